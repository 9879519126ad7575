import type { Query } from '../db/query.ts';
import { param, sql } from '../db/sql.ts';
import { lastNumber } from '../events/append.ts';

/** The run to roll back, with its thread. */
interface RolledBackRun {
  id: string;
  threadId: string;
  startedAt: Date | null;
}

/**
 * Deletes all rows of the run in its thread, and reopens the interrupts with an answer of the run. Before its start, a run has no
 * rows in the thread, and a different run may be writing to it. The transaction has locked the thread and the run.
 */
export async function rollBack(query: Query, run: RolledBackRun): Promise<void> {
  if (run.startedAt !== null) await undo(query, run);
  await query(
    sql`UPDATE "Interrupt" SET "pending" = true, "answeredById" = NULL
      WHERE "threadId" = ${run.threadId} AND "answeredById" = ${run.id}`,
  );
}

/**
 * Deletes the rows of all attempts: no other run has written to the thread since the first attempt began. The newest remaining
 * checkpoint becomes the head of its namespace. Numbers of items and events are not used twice.
 */
async function undo(query: Query, { id, threadId }: RolledBackRun): Promise<void> {
  const last = await lastNumber(query, threadId);
  await query(sql`UPDATE "Thread" SET "lastEvent" = ${last} WHERE "id" = ${threadId}`);
  await query(sql`DELETE FROM "RunEvent" WHERE "threadId" = ${threadId} AND "runId" = ${id}`);
  await query(sql`DELETE FROM "Interrupt" WHERE "threadId" = ${threadId} AND "runId" = ${id}`);
  await query(
    sql`DELETE FROM "CheckpointWrite" WHERE "threadId" = ${threadId} AND "runId" = ${id}`,
  );
  await query(sql`DELETE FROM "Checkpoint" WHERE "threadId" = ${threadId} AND "runId" = ${id}`);
  await resetHeads(query, threadId);
  await deleteUnused(query, threadId);
}

async function resetHeads(query: Query, threadId: string): Promise<void> {
  await query(
    sql`DELETE FROM "CheckpointHead" h WHERE "threadId" = ${threadId} AND NOT EXISTS (
      SELECT 1 FROM "Checkpoint" c WHERE c."threadId" = ${threadId} AND c."namespace" = h."namespace")`,
  );
  await query(
    sql`UPDATE "CheckpointHead" h SET "checkpointId" = last."checkpointId" FROM (
      SELECT DISTINCT ON ("namespace") "namespace", "checkpointId" FROM "Checkpoint" WHERE "threadId" = ${threadId}
      ORDER BY "namespace", "seq" DESC
    ) last WHERE h."threadId" = ${threadId} AND h."namespace" = last."namespace"`,
  );
}

/** Deletes the channel values without a checkpoint, and then the items outside the used ranges. */
async function deleteUnused(query: Query, threadId: string): Promise<void> {
  const thread = param(threadId);
  await query(
    sql`WITH used AS (
      SELECT DISTINCT c."namespace", v.key AS "channel", v.value::bigint AS "version"
      FROM "Checkpoint" c, json_each_text(c."versions") v WHERE c."threadId" = ${thread}
    )
    DELETE FROM "ChannelValue" v WHERE "threadId" = ${thread} AND NOT EXISTS (SELECT 1 FROM used u
      WHERE u."namespace" = v."namespace" AND u."channel" = v."channel" AND u."version" = v."version")`,
  );
  await query(
    sql`DELETE FROM "ChannelItem" i USING (
      SELECT coalesce(min("number"), 0) AS "lowest", coalesce(max("number"), 0) AS "highest" FROM (
        SELECT unnest("ranges") AS "number" FROM "ChannelValue" WHERE "threadId" = ${thread}
        UNION ALL SELECT unnest("ranges") FROM "CheckpointWrite" WHERE "threadId" = ${thread}) ranges) used
    WHERE i."threadId" = ${thread} AND i."number" NOT BETWEEN least(used."lowest", 0) AND greatest(used."highest", 0)`,
  );
}

/** Gives the thread the graph and assistant of its last run, or of its last checkpoint. The run is already a tombstone. */
export async function resetGraph(query: Query, threadId: string): Promise<void> {
  const thread = param(threadId);
  await query(
    sql`UPDATE "Thread" t SET "graphId" = last.graph, "metadata" = t."metadata" - 'assistant_id'
        || jsonb_strip_nulls(jsonb_build_object('graph_id', last.graph, 'assistant_id', last.assistant))
    FROM (SELECT * FROM (
      (SELECT 1 AS place, "graphId" AS graph, "assistantId"::text AS assistant FROM "Run"
        WHERE "threadId" = ${thread} AND NOT "tombstone" ORDER BY "seq" DESC LIMIT 1)
      UNION ALL
      (SELECT 2, "metadata" ->> 'graph_id', "metadata" ->> 'assistant_id' FROM "Checkpoint"
        WHERE "threadId" = ${thread} ORDER BY "seq" DESC LIMIT 1)) either ORDER BY place LIMIT 1) last
    WHERE t."id" = ${thread} AND last.graph IS NOT NULL`,
  );
}
