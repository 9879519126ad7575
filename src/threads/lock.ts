import type { Query } from '../db/open.ts';
import { NotFoundError } from '../errors.ts';

/**
 * Keeps a thread as it is until the transaction ends: of those that decide by its state, or change it, one at a time. NO
 * KEY: a checkpoint that is being stored holds its run's row, and looks up the thread's before it lets go. Throws
 * NotFoundError.
 */
export async function lockThread(query: Query, id: string): Promise<void> {
  const [thread] = await query(`SELECT 1 FROM "Thread" WHERE "id" = $1 FOR NO KEY UPDATE`, [id]);
  if (!thread) throw new NotFoundError('Thread', id);
}

/**
 * The same for several threads, as far as there are such, and for what their runs tell and put: who stores that holds the
 * rows of those runs, locked in this order. Whoever decides about several threads begins with it.
 */
export async function lockThreads(query: Query, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await query(
    `SELECT 1 FROM "Thread" WHERE "id" = ANY($1::uuid[]) ORDER BY "id" FOR NO KEY UPDATE`,
    [ids],
  );
  await query(
    `SELECT 1 FROM "Run" WHERE "threadId" = ANY($1::uuid[]) AND "status" IN ('PENDING', 'RUNNING') ORDER BY "id" FOR UPDATE`,
    [ids],
  );
}

/**
 * SQL: whether a run of the thread, other than `except`, is running, or due; a delayed one is not. `threadId` and `except`
 * are SQL too, such as `$1`. Under the thread's lock it stays true until the lock goes. Not now(), which is when the
 * transaction began: it may have waited for the lock while another one stored a run.
 */
export function isBusy(threadId: string, except?: string): string {
  return `EXISTS (SELECT 1 FROM "Run" r WHERE r."threadId" = ${threadId}
    AND (r."status" = 'RUNNING' OR r."status" = 'PENDING' AND r."dueAt" <= statement_timestamp())
    ${except ? `AND r."id" <> ${except}` : ''})`;
}
