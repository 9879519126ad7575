import type { VariablesOf } from '../../data/graphql.ts';
import { isUuid } from '../../data/ids.ts';
import { readMetadata } from '../filters/metadata.ts';
import { pageOf } from '../filters/page.ts';
import type { LIST_THREADS } from './documents.ts';
import type { ThreadsSearch } from './search.ts';

type Variables = VariablesOf<typeof LIST_THREADS>;

/** The variables of the list for a search. */
export function listVariables(search: ThreadsSearch): Variables {
  const { sort = 'UPDATED_AT', direction = 'DESC' } = search;
  return {
    filter: threadFilter(search),
    orderBy: { field: sort, direction },
    ...pageOf(search),
  };
}

/** The filter without the status, for the counts by status. */
export function threadFilter({ status, graph, meta, find }: ThreadsSearch): Variables['filter'] {
  const { value: metadata } = readMetadata(meta ?? '');
  return {
    ...(status && { status }),
    ...(graph && { graphId: graph }),
    ...(metadata && { metadata }),
    ...(find && (isUuid(find) ? { ids: [find] } : { text: find })),
  };
}
