import { text } from '../../data/search.ts';

/** What the inbox shows, as its URL says it. */
export interface InboxSearch {
  graph?: string | undefined;
  /** `key=value`, or a JSON object: metadata of the threads. */
  meta?: string | undefined;
  /** The selected question. Absent: the oldest one. */
  q?: string | undefined;
  after?: string | undefined;
  before?: string | undefined;
}

export function readInboxSearch(search: Record<string, unknown>): InboxSearch {
  return {
    graph: text(search['graph']),
    meta: text(search['meta']),
    q: text(search['q']),
    after: text(search['after']),
    before: text(search['before']),
  };
}
