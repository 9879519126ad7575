import { remember } from '../remember.ts';
import type { StoredEvent } from './event.ts';
import { bytesOf } from './inbox.ts';

/** The most bytes of a run. The readers of a run with more start at the table. */
const RECENT_BYTES = 65_536;
const MOST_RECENT_RUNS = 1000;

/** All events of runs with their start in this process and no end yet: new readers of such a run need no read of the table. */
export interface RecentRuns {
  has(runId: string): boolean;
  /** All events of a run so far; undefined if the run is not here. */
  eventsOf(runId: string): readonly StoredEvent[] | undefined;
  threadOf(runId: string): string | undefined;
  /** Adds a run, without events. */
  begin(runId: string): void;
  /** Adds an event of a run that is here. The run leaves after its final event, or with too many bytes. */
  add(event: StoredEvent): void;
  leave(runId: string): void;
  leaveThread(threadId: string): void;
}

export function createRecentRuns(): RecentRuns {
  const runs = new Map<string, { events: StoredEvent[]; bytes: number }>();
  const threadOf = (runId: string) => runs.get(runId)?.events[0]?.threadId;

  return {
    threadOf,
    has: (runId) => runs.has(runId),
    eventsOf: (runId) => runs.get(runId)?.events,
    begin: (runId) => remember(runs, runId, { events: [], bytes: 0 }, MOST_RECENT_RUNS),
    add(event) {
      const run = runs.get(event.runId);
      if (!run) return;
      run.events.push(event);
      run.bytes += bytesOf(event);
      if (event.type === 'FINISHED' || run.bytes > RECENT_BYTES) runs.delete(event.runId);
    },
    leave: (runId) => void runs.delete(runId),
    leaveThread(threadId) {
      for (const runId of runs.keys()) if (threadOf(runId) === threadId) runs.delete(runId);
    },
  };
}
