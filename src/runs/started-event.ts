import { raw, sql, type Statement } from '../db/sql.ts';
import type { StoredEvent } from '../events/event.ts';

/** SQL: stores the STARTED event of each run in the CTE `claimed`. Its column `before` is the number of the thread's last event. */
export function insertStartedEvents(claimed: string, condition = raw('true')): Statement {
  return sql`INSERT INTO "RunEvent" ("threadId", "runId", "number", "type", "namespace", "data", "createdAt")
  SELECT "threadId", "id", "before" + 1, 'STARTED', '{}', json_build_object('attempt', "attempt"), "startedAt"
  FROM ${raw(claimed)} WHERE ${condition}
  RETURNING "runId", "number", "data", "createdAt"`;
}

/** The columns of a claim for its STARTED event, from a CTE `started` with `insertStartedEvents`. Null without an event. */
export interface StartedEventColumns {
  eventNumber: number | null;
  eventData: unknown;
  eventCreatedAt: Date | null;
}

export const STARTED_EVENT_COLUMNS = raw(
  `started."number" AS "eventNumber", started."data" AS "eventData", started."createdAt" AS "eventCreatedAt"`,
);

/** The STARTED event stored by the claim of a run. Undefined for a retried run: its attempt appends the event later. */
export function startedEvent({
  id: runId,
  threadId,
  eventNumber: number,
  eventData: data,
  eventCreatedAt: createdAt,
}: StartedEventColumns & { id: string; threadId: string }): StoredEvent | undefined {
  if (number === null || createdAt === null) return undefined;
  return { type: 'STARTED', threadId, runId, number, namespace: [], data, createdAt };
}
