import { SYSTEM } from '../auth/viewer.ts';
import type { Query } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { ThreadBusyError } from '../errors.ts';
import type { CancelAction, MultitaskStrategy } from '../generated/prisma/client.ts';
import { isBusy, isRunningOrDue } from './busy.ts';
import { stopRuns, type Stops } from './cancel.ts';
import { lockThreads } from './lock.ts';

/** Strategies not in this list stop no runs. */
const CANCEL_ACTIONS: Partial<Record<MultitaskStrategy, CancelAction>> = {
  INTERRUPT: 'KEEP',
  ROLLBACK: 'ROLLBACK',
};

/**
 * Applies the strategy of a new run, under the lock of its thread, to the running and due runs of the thread. Delayed runs are
 * not affected. Returns the stopped runs. Throws ThreadBusyError.
 */
export async function applyStrategy(
  query: Query,
  threadId: string,
  strategy: MultitaskStrategy,
): Promise<Stops | undefined> {
  if (strategy === 'REJECT') await refuseBusy(query, threadId);
  const action = CANCEL_ACTIONS[strategy];
  if (!action) return undefined;
  await lockThreads(query, [{ viewer: SYSTEM, threadId }]);
  return stopRuns(query, sql`r."threadId" = ${threadId} AND ${isRunningOrDue('r')}`, { action });
}

/** Throws ThreadBusyError if a run of the thread is running or due. */
export async function refuseBusy(query: Query, threadId: string): Promise<void> {
  const [thread] = await query<{ busy: boolean }>(sql`SELECT ${isBusy(threadId)} AS "busy"`);
  if (thread?.busy) throw new ThreadBusyError(threadId);
}
