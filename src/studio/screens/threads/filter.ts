import type { VariablesOf } from '../../data/graphql.ts';
import { parseObject } from '../../ui/json/parse.ts';
import type { LIST_THREADS } from './documents.ts';
import type { ThreadsSearch } from './search.ts';

type Variables = VariablesOf<typeof LIST_THREADS>;

const PAGE = 50;
const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;

/** The variables of the list for a search. */
export function listVariables(search: ThreadsSearch): Variables {
  const { sort = 'UPDATED_AT', direction = 'DESC', after, before } = search;
  return {
    filter: threadFilter(search),
    orderBy: { field: sort, direction },
    ...(before ? { last: PAGE, before } : { first: PAGE, after: after ?? null }),
  };
}

/** The filter without the status, for the counts by status. */
export function threadFilter({ status, graph, meta, find }: ThreadsSearch): Variables['filter'] {
  const { value: metadata } = readMetadata(meta ?? '');
  return {
    ...(status && { status }),
    ...(graph && { graphId: graph }),
    ...(metadata && { metadata }),
    ...(find && (UUID.test(find) ? { ids: [find] } : { text: find })),
  };
}

/** Reads `key=value`, with several pairs after each other, or a JSON object. */
export function readMetadata(text: string): ReturnType<typeof parseObject> {
  if (text.trim() === '' || text.trim().startsWith('{')) return parseObject(text);
  const pairs = text.trim().split(/\s+/);
  const wrong = pairs.find((pair) => !/^[^=]+=/.test(pair));
  if (wrong !== undefined)
    return { error: `"${wrong}" is not key=value. JSON is also possible: {"key": 1}.` };
  const entries = pairs.map((pair): [string, string] => {
    const at = pair.indexOf('=');
    return [pair.slice(0, at), pair.slice(at + 1)];
  });
  return { value: Object.fromEntries(entries) };
}
