import { someOf, text } from '../../data/search.ts';

export const IN_FLIGHT = ['PENDING', 'RUNNING'] as const;
export const ENDED = ['ERROR', 'TIMEOUT', 'INTERRUPTED', 'SUCCESS', 'CANCELLED'] as const;
export const RUN_STATUSES = [...IN_FLIGHT, ...ENDED] as const;

/** What the list of runs shows, as its URL says it. */
export interface RunsSearch {
  /** Absent: the runs in flight, and after them the ended ones. */
  status?: (typeof RUN_STATUSES)[number][] | undefined;
  assistant?: string | undefined;
  graph?: string | undefined;
  thread?: string | undefined;
  after?: string | undefined;
  before?: string | undefined;
}

export function readRunsSearch(search: Record<string, unknown>): RunsSearch {
  return {
    status: someOf(search['status'], RUN_STATUSES),
    assistant: text(search['assistant']),
    graph: text(search['graph']),
    thread: text(search['thread']),
    after: text(search['after']),
    before: text(search['before']),
  };
}
