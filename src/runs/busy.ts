import { empty, raw, sql, type Statement } from '../db/sql.ts';

/**
 * SQL: true if the run with this alias is running or due; a delayed run is neither. statement_timestamp() instead of now(), the
 * start of the transaction: while this transaction waited for the lock of the thread, a concurrent transaction may have stored a
 * run.
 */
export function isRunningOrDue(run: string): Statement {
  return raw(
    `(${run}."status" = 'RUNNING' OR ${run}."status" = 'PENDING' AND ${run}."dueAt" <= statement_timestamp())`,
  );
}

const RUNNING_OR_DUE = isRunningOrDue('r');

/** SQL: true if a run of the thread, except the run `except`, is running or due. The result is stable under the lock of the thread. */
export function isBusy(threadId: unknown, except?: unknown): Statement {
  return sql`EXISTS (SELECT 1 FROM "Run" r WHERE r."threadId" = ${threadId} AND ${RUNNING_OR_DUE}
    ${except === undefined ? empty : sql`AND r."id" <> ${except}`})`;
}
