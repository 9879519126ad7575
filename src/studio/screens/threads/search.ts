import { oneOf, someOf, text } from '../../data/search.ts';

export const STATUSES = ['IDLE', 'BUSY', 'INTERRUPTED', 'ERROR'] as const;
/** The columns that the server sorts by. */
export const SORTS = ['ID', 'STATUS', 'CREATED_AT', 'UPDATED_AT'] as const;

/** What the list of threads shows, as its URL says it. */
export interface ThreadsSearch {
  status?: (typeof STATUSES)[number][] | undefined;
  graph?: string | undefined;
  /** `key=value`, or a JSON object. */
  meta?: string | undefined;
  /** Words of the metadata, or an id. */
  find?: string | undefined;
  sort?: (typeof SORTS)[number] | undefined;
  direction?: 'ASC' | 'DESC' | undefined;
  after?: string | undefined;
  before?: string | undefined;
}

export function readThreadsSearch(search: Record<string, unknown>): ThreadsSearch {
  return {
    status: someOf(search['status'], STATUSES),
    graph: text(search['graph']),
    meta: text(search['meta']),
    find: text(search['find']),
    sort: oneOf(search['sort'], SORTS),
    direction: oneOf(search['direction'], ['ASC', 'DESC']),
    after: text(search['after']),
    before: text(search['before']),
  };
}
