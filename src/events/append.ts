import type { Query } from '../db/query.ts';
import { sql, type Statement } from '../db/sql.ts';
import { EVENT_BYTES, type MeasuredEvent } from './event.ts';

/** An event that is not stored yet. */
export interface PendingEvent extends MeasuredEvent {
  /** The time at which the run emitted the event. Default: the time of the statement. */
  at?: Date;
}

/**
 * SQL: the number of a thread's newest event. The number is correct even after retention has deleted the event. `threadId` is an
 * SQL expression or a parameter.
 */
export function lastNumberOf(threadId: unknown): Statement {
  return sql`greatest(coalesce((SELECT max("number") FROM "RunEvent" WHERE "threadId" = ${threadId}), 0),
  coalesce((SELECT "lastEvent" FROM "Thread" WHERE "id" = ${threadId}), 0))`;
}

/** The number of a thread's newest event; 0 if it has none. */
export async function lastNumber(query: Query, threadId: string): Promise<number> {
  const [row] = await query<{ last: number }>(sql`SELECT ${lastNumberOf(threadId)} AS "last"`);
  return row?.last ?? 0;
}

/** Bytes of the stored events of a run, after the compression by PostgreSQL. */
export async function storedBytes(query: Query, runId: string): Promise<number> {
  const [row] = await query<{ bytes: number }>(
    sql`SELECT coalesce(sum(coalesce(pg_column_size("data"), 0) + ${EVENT_BYTES}::int), 0)::bigint AS "bytes"
      FROM "RunEvent" WHERE "runId" = ${runId}`,
    { onlyReads: true },
  );
  return row?.bytes ?? 0;
}

/**
 * SQL: numbers and stores events of a run, if the relation `fence` has a row. Fails with a unique violation if a concurrent
 * statement stores an event of the thread with the same number.
 */
export function appendEvents(
  fence: Statement,
  { threadId, runId }: { threadId: unknown; runId: unknown },
  events: readonly PendingEvent[],
): Statement {
  return sql`INSERT INTO "RunEvent" ("threadId", "runId", "number", "type", "namespace", "data", "checkpointId", "createdAt")
    SELECT ${threadId}::uuid, ${runId}::uuid, last."number" + e."ordinal", e."type"::"RunEventType",
      string_to_array(e."namespace", '|'), e."data"::json, e."checkpointId", coalesce(e."at", now())
    FROM ${fence}, (SELECT ${lastNumberOf(threadId)} AS "number") AS last,
      unnest(${events.map(({ type }) => type)}::text[], ${events.map(namespaceText)}::text[],
        ${events.map(({ json }) => json)}::text[], ${events.map(({ checkpointId }) => checkpointId ?? null)}::uuid[],
        ${events.map(({ at }) => at ?? null)}::timestamptz[])
        WITH ORDINALITY AS e("type", "namespace", "data", "checkpointId", "at", "ordinal") RETURNING *`;
}

/** The namespace of an event as text. In SQL, `string_to_array(…, '|')` converts it to an array. */
export function namespaceText({ namespace }: Pick<PendingEvent, 'namespace'>): string {
  return namespace.join('|');
}
