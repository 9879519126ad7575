import { permit } from '../auth/authorize.ts';
import { canRead } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Query, Sql } from '../db/query.ts';
import { raw, sql } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import { lastNumberOf } from '../events/append.ts';
import type { StoredEvent } from '../events/event.ts';
import type { EventTail } from '../events/tail.ts';
import type { Run } from '../generated/prisma/client.ts';
import { requireReadable } from './events.ts';

/** The start of a reader that needs all events of each run. */
interface RunsStart {
  /** The events after this number, with the earlier ones of their runs. Undefined: those of the current run. */
  after: number | undefined;
}

/**
 * The events of a thread for a reader that needs each run from its first event: those of the current run and of all later runs,
 * until the thread is deleted. The current run is the executing or next one, or else the last one. Runs that ended while it
 * waited come before it: a client that connects again after a moment misses no end of a run.
 */
export async function followRuns(
  app: { sql: Sql; tail: EventTail },
  asking: Viewer,
  id: string,
  { after }: RunsStart,
): Promise<AsyncIterableIterator<StoredEvent, void>> {
  const threadId = await requireReadable(app, asking, id);
  const start =
    after === undefined
      ? await startOfCurrent(app.sql.query, threadId)
      : await startOfRunsAfter(app.sql.query, threadId, after);
  return app.tail.follow({ threadId }, { after: start });
}

/** SQL: true if the run executes, waits for its next attempt, or is due. */
const IS_NEXT = raw(
  `(r."status" IN ('PENDING', 'RUNNING') AND (r."startedAt" IS NOT NULL OR r."dueAt" <= statement_timestamp()))`,
);

/** Runs that may have ended while the current run waited. */
const MOST_OVERLAPPING = 100;

/** The number before the first event of the current run. */
async function startOfCurrent(query: Query, threadId: string): Promise<number> {
  const [row] = await query<{ before: number }>(sql`
    WITH ended AS (
      SELECT r.* FROM "Run" r WHERE r."threadId" = ${threadId} AND NOT r."tombstone"
        AND r."finishedAt" IS NOT NULL
      ORDER BY r."seq" DESC LIMIT ${MOST_OVERLAPPING}::int
    ), current AS (
      (SELECT r."id", greatest(r."createdAt", r."dueAt") AS "since" FROM "Run" r
        WHERE r."threadId" = ${threadId} AND ${IS_NEXT} ORDER BY r."startedAt" NULLS LAST, r."seq" LIMIT 1)
      UNION ALL
      (SELECT "id", greatest("createdAt", "dueAt") FROM ended ORDER BY "seq" DESC LIMIT 1)
      LIMIT 1
    )
    SELECT coalesce(min(e."first") - 1, ${lastNumberOf(threadId)}) AS "before"
    FROM current JOIN "Run" r ON r."id" = current."id" OR r."id" IN (
      SELECT "id" FROM ended WHERE "finishedAt" >= current."since")
    JOIN LATERAL (SELECT min("number") AS "first" FROM "RunEvent" WHERE "runId" = r."id") e ON true`);
  return row?.before ?? 0;
}

/** The number before the first event of the runs with events after this number. */
async function startOfRunsAfter(query: Query, threadId: string, after: number): Promise<number> {
  if (after <= 0) return 0;
  // A thread executes a run at a time: its events are together, apart from the end of a cancelled run that never started.
  const [row] = await query<{ before: number }>(sql`
    SELECT least(${after}::bigint, ${lastNumberOf(threadId)}, min(e."first") - 1) AS "before" FROM (
      SELECT "runId" FROM "RunEvent" WHERE "threadId" = ${threadId} AND "number" IN (${after}::bigint, ${after}::bigint + 1)
      UNION SELECT r."id" FROM "Run" r WHERE r."threadId" = ${threadId} AND ${IS_NEXT}
    ) runs JOIN LATERAL (SELECT min("number") AS "first" FROM "RunEvent" WHERE "runId" = runs."runId") e ON true`);
  return row?.before ?? 0;
}

/** The number of the last event before a run, or of the newest event if the run has none yet. */
export async function lastNumberBefore(
  { sql: { query } }: { sql: Pick<Sql, 'query'> },
  { id, threadId }: Pick<Run, 'id' | 'threadId'>,
): Promise<number> {
  const [row] = await query<{ before: number }>(sql`
    SELECT coalesce((SELECT min("number") - 1 FROM "RunEvent" WHERE "runId" = ${id}), ${lastNumberOf(threadId)}) AS "before"`);
  return row?.before ?? 0;
}

/** The pending questions of a thread. */
export interface Questions {
  /** Whether the thread waits for an answer. False during a run, which may discard its questions. */
  isAsking: boolean;
  /** The assistant of the newest question, or else of the newest run; for a thread without runs, the name of its graph. Null: unknown. */
  assistantId: string | null;
}

/** The pending questions of a thread and the assistant that gets the answers. Undefined: the viewer has no such thread. */
export async function questionsOf(
  { sql: { query } }: { sql: Pick<Sql, 'query'> },
  asking: Viewer,
  id: string,
): Promise<Questions | undefined> {
  const threadId = parseUuid('threadId', id);
  const viewer = await permit(asking, 'threads:read', { thread_id: threadId });
  const [thread] = await query<Questions>(sql`
    SELECT t."status" <> 'BUSY' AND EXISTS (
        SELECT 1 FROM "Interrupt" i WHERE i."threadId" = t."id" AND i."pending") AS "isAsking",
      coalesce(
        (SELECT r."assistantId" FROM "Interrupt" i JOIN "Run" r ON r."id" = i."runId"
          WHERE i."threadId" = t."id" AND i."pending" ORDER BY i."seq" DESC LIMIT 1)::text,
        (SELECT r."assistantId" FROM "Run" r WHERE r."threadId" = t."id" AND NOT r."tombstone" ORDER BY r."seq" DESC LIMIT 1)::text,
        t."graphId") AS "assistantId"
    FROM "Thread" t WHERE t."id" = ${threadId} AND ${canRead(viewer, 't')}`);
  return thread;
}
