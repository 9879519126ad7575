import { empty, raw, sql, type Statement } from '../db/sql.ts';

/**
 * Whether the run with this alias is running or due; a delayed run is neither. Not now(), the start of the transaction:
 * another transaction may have stored a run while this one waited for the lock of the thread.
 */
export function isRunningOrDue(run: string): Statement {
  return raw(
    `(${run}."status" = 'RUNNING' OR ${run}."status" = 'PENDING' AND ${run}."dueAt" <= statement_timestamp())`,
  );
}

const RUNNING_OR_DUE = isRunningOrDue('r');

/** Whether a run of the thread, other than `except`, is running or due. Stays true under the lock of the thread. */
export function isBusy(threadId: unknown, except?: unknown): Statement {
  return sql`EXISTS (SELECT 1 FROM "Run" r WHERE r."threadId" = ${threadId} AND ${RUNNING_OR_DUE}
    ${except === undefined ? empty : sql`AND r."id" <> ${except}`})`;
}
