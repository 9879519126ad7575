import type { Query } from '../db/query.ts';
import { sql, type Statement } from '../db/sql.ts';
import { newId } from '../db/uuid.ts';
import { toJsonColumn } from '../json.ts';
import type { PendingInterrupt } from './pending.ts';

/**
 * SQL: the number of answers in the task of the interrupt `i`. With each answer, LangGraph stores all answers of the task again:
 * the newest write counts.
 */
const ANSWERS_HELD = sql`coalesce((
  SELECT (SELECT sum(w."ranges"[n + 1] - w."ranges"[n] + 1) FROM generate_series(1, cardinality(w."ranges"), 2) n)
  FROM "CheckpointWrite" w
  WHERE w."threadId" = i."threadId" AND w."namespace" = i."namespace" AND w."checkpointId" = i."checkpointId"
    AND w."taskId" = i."taskId" AND w."channel" = '__resume__'
  ORDER BY w."seq" DESC LIMIT 1), 0)`;

/** SQL: true if no node has consumed the answer to the interrupt `i`. A task consumes an answer when it ends or reaches its next interrupt. */
export const UNCONSUMED = sql`(${ANSWERS_HELD}) <= i."ordinal" AND NOT EXISTS (
  SELECT 1 FROM "CheckpointWrite" w WHERE w."threadId" = i."threadId" AND w."namespace" = i."namespace"
    AND w."checkpointId" = i."checkpointId" AND w."taskId" = i."taskId" AND w."index" >= 0)`;

/**
 * SQL: true if the interrupt is pending, or answered by a run that has not started. Closing an interrupt includes the latter:
 * otherwise a cancellation of that run would reopen the interrupt.
 */
const unanswered = (threadId: unknown): Statement =>
  sql`("pending" OR "answeredById" IN (SELECT "id" FROM "Run" WHERE "threadId" = ${threadId} AND "status" = 'PENDING'))`;

/** SQL: closes the interrupts of a thread except those with the ids in `open`; none if `open` is null. */
export function closeOthers(threadId: unknown, open: unknown): Statement {
  return sql`UPDATE "Interrupt" SET "pending" = false, "answeredById" = NULL
    WHERE "threadId" = ${threadId} AND "id" <> ALL(${open}::uuid[]) AND ${unanswered(threadId)}`;
}

/**
 * Stores the pending interrupts of a thread: inserts the new ones, and opens the rest again. Returns all ids. The ordinal of an
 * interrupt is the number of answers already in its task.
 */
export async function storeInterrupts(
  query: Query,
  { threadId, runId }: { threadId: string; runId: string },
  interrupts: readonly PendingInterrupt[],
): Promise<{ id: string; isNew: boolean }[]> {
  if (interrupts.length === 0) return [];
  return query(
    sql`INSERT INTO "Interrupt" ("id", "tenant", "owner", "threadId", "checkpointId", "namespace", "taskId", "node", "langgraphId", "ordinal",
       "value", "responseSchema", "runId")
     SELECT i."id", t."tenant", t."owner", i."threadId", i."checkpointId", i."namespace", i."taskId", i."node", i."langgraphId", ${ANSWERS_HELD},
       i."value"::json, i."schema"::json, ${runId}::uuid
     FROM (SELECT ${threadId}::uuid AS "threadId", u.*
       FROM unnest(${interrupts.map(() => newId())}::uuid[], ${interrupts.map(({ checkpointId }) => checkpointId)}::uuid[],
         ${interrupts.map(({ namespace }) => namespace)}::text[], ${interrupts.map(({ taskId }) => taskId)}::text[],
         ${interrupts.map(({ node }) => node)}::text[], ${interrupts.map(({ langgraphId }) => langgraphId)}::text[],
         ${interrupts.map(({ value }) => toJsonColumn(value))}::text[],
         ${interrupts.map(({ responseSchema }) => toJsonColumn(responseSchema || undefined))}::text[])
         AS u("id", "checkpointId", "namespace", "taskId", "node", "langgraphId", "value", "schema")) i
       JOIN "Thread" t ON t."id" = i."threadId"
     ON CONFLICT ("threadId", "checkpointId", "langgraphId", "ordinal")
       DO UPDATE SET "value" = EXCLUDED."value",
         -- Stays closed while a run with its answer has not started. Otherwise the task has raised it again: it is pending again.
         ("pending", "answeredById") = (SELECT count(*) = 0, max(r."id"::text)::uuid FROM "Run" r
           WHERE r."id" = "Interrupt"."answeredById" AND r."threadId" = "Interrupt"."threadId" AND r."status" = 'PENDING')
     RETURNING "id", xmax = 0 AS "isNew"`,
  );
}

/** Closes the interrupts of a namespace and of the namespaces below it, after a replacement of its state. No run of the thread is due. */
export async function closeInterrupts(
  query: Query,
  { threadId, namespace }: { threadId: string; namespace: string },
): Promise<void> {
  await query(
    sql`UPDATE "Interrupt" SET "pending" = false, "answeredById" = NULL WHERE "threadId" = ${threadId}
       AND ${unanswered(threadId)} AND (${namespace}::text = '' OR "namespace" = ${namespace}
         OR starts_with("namespace", ${namespace}::text || '|'))`,
  );
}

/** A run in a thread. The thread may be a copy: the rows of a copy also have the id of the run. */
interface RunInThread {
  threadId: string;
  runId: string;
}

/** Reopens the interrupts with an answer of this run that no node has consumed. */
export async function reopenAnswered(
  query: Query,
  { threadId, runId }: RunInThread,
): Promise<void> {
  await query(
    sql`UPDATE "Interrupt" i SET "pending" = true, "answeredById" = NULL
      WHERE i."threadId" = ${threadId} AND i."answeredById" = ${runId} AND ${UNCONSUMED}`,
  );
}

/**
 * Deletes answers that no node of this run has consumed. LangGraph stores them together with the error of a task, and would use
 * them again in the next run.
 */
export async function forgetUnfinished(
  query: Query,
  { threadId, runId }: RunInThread,
): Promise<void> {
  await query(
    sql`DELETE FROM "CheckpointWrite" a WHERE a."threadId" = ${threadId} AND a."runId" = ${runId} AND a."channel" = '__resume__' AND NOT EXISTS (
       SELECT 1 FROM "CheckpointWrite" w WHERE w."threadId" = a."threadId" AND w."namespace" = a."namespace"
         AND w."checkpointId" = a."checkpointId" AND w."taskId" = a."taskId"
         AND (w."index" >= 0 OR w."runId" = ${runId} AND w."channel" = '__interrupt__'))`,
  );
}
