import type { Query } from '../db/open.ts';
import { ThreadBusyError } from '../errors.ts';
import type { CancelAction, MultitaskStrategy } from '../generated/prisma/client.ts';
import { isBusy, lockThreads } from '../threads/lock.ts';
import { stopRuns, type Stops } from './cancel.ts';

/** What the strategies that stop other runs do to them. */
const STOPPED_BY: Partial<Record<MultitaskStrategy, CancelAction>> = {
  INTERRUPT: 'KEEP',
  ROLLBACK: 'ROLLBACK',
};

const DUE_OR_RUNNING = `"threadId" = $1 AND ("status" = 'RUNNING' OR "dueAt" <= statement_timestamp())`;

/**
 * Decides, under the thread's lock, what a new run does to those that the thread already has: the one that is running
 * and those that wait for it. A delayed run is in nobody's way before its time. Throws ThreadBusyError.
 */
export async function makeWay(
  query: Query,
  threadId: string,
  strategy: MultitaskStrategy,
): Promise<Stops[]> {
  if (strategy === 'REJECT') await refuseBusy(query, threadId);
  const action = STOPPED_BY[strategy];
  if (!action) return [];
  await lockThreads(query, [threadId]);
  return [await stopRuns(query, DUE_OR_RUNNING, [threadId], action)];
}

/** Throws ThreadBusyError where a run of the thread is running, or due. */
export async function refuseBusy(query: Query, threadId: string): Promise<void> {
  const [thread] = await query<{ busy: boolean }>(`SELECT ${isBusy('$1')} AS "busy"`, [threadId]);
  if (thread?.busy) throw new ThreadBusyError(threadId);
}
