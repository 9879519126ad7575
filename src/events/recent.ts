import { remember } from '../remember.ts';
import type { StoredEvent } from './event.ts';
import { bytesOf } from './inbox.ts';

/** The most bytes of a run. Readers of a larger run read the table first. */
const RECENT_BYTES = 65_536;
const MOST_RECENT_RUNS = 1000;

/** A run with all its events so far, and their bytes. */
export interface RecentRun {
  readonly events: readonly StoredEvent[];
  readonly bytes: number;
}

/**
 * The unfinished runs that have started in this process, with all their events: a new reader of such a run needs no read of the
 * table.
 */
export interface RecentRuns {
  has(runId: string): boolean;
  find(runId: string): RecentRun | undefined;
  threadOf(runId: string): string | undefined;
  /** Adds a run, without events. */
  begin(runId: string): void;
  /** Adds an event to its run, if the run is here. Removes the run after its final event, or with too many bytes. */
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
    find: (runId) => runs.get(runId),
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
