import { permit } from '../auth/authorize.ts';
import type { Viewer } from '../auth/viewer.ts';
import { measureStorage } from '../checkpoints/storage.ts';
import type { Config } from '../config.ts';
import { THREADS_CHANNEL } from '../db/channels.ts';
import type { Query, Sql } from '../db/query.ts';
import { param, raw, sql, type Param, type Statement } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import { ConflictError, NotFoundError, ThreadBusyError } from '../errors.ts';
import type { Thread } from '../generated/prisma/client.ts';
import { lockThread } from '../runs/lock.ts';

/** The most rows that one transaction deletes: it holds the lock of the thread. */
const SLICE_ROWS = 1000;

/**
 * Deletes the history of a thread: all checkpoints that neither its current state nor its next run needs, with their writes and
 * values. Each transaction deletes some rows, so a failure midway leaves a shorter history. Throws ThreadBusyError while a run is
 * active, delayed runs included, and ConflictError while a question is open.
 */
export async function pruneThread(
  { config, sql: database }: { config: Config; sql: Sql },
  asking: Viewer,
  threadId: string,
): Promise<Thread> {
  const id = parseUuid('id', threadId);
  const viewer = await permit(asking, 'threads:delete', { thread_id: id });
  const inTransaction = <Result>(work: (query: Query) => Promise<Result>): Promise<Result> =>
    database.transaction(async (query) => {
      await lockThread(query, viewer, id);
      await refuseActive(query, id);
      return work(query);
    });
  for (const deletion of [deleteCheckpoints, forgetOutputs, deleteValues, deleteItems]) {
    const statement = deletion(param(id));
    const count = (query: Query) => query<{ count: number }>(statement);
    while (((await inTransaction(count))[0]?.count ?? 0) === SLICE_ROWS);
  }
  const thread = await inTransaction(async (query) => {
    await measureStorage(query, id, config.ownerStorageLimit);
    // The rule of snapshots (src/README.md): a transaction that has read the thread before sees the change.
    const [row] = await query<Thread>(
      sql`UPDATE "Thread" SET "updatedAt" = "updatedAt" WHERE "id" = ${id} RETURNING *`,
    );
    return row;
  });
  if (!thread) throw new NotFoundError('Thread', id);
  database.notify(THREADS_CHANNEL, id);
  return thread;
}

async function refuseActive(query: Query, threadId: string): Promise<void> {
  const [found] = await query<{ isActive: boolean; isAsking: boolean }>(
    sql`SELECT EXISTS (SELECT 1 FROM "Run" WHERE "threadId" = ${threadId} AND "status" IN ('PENDING', 'RUNNING')) AS "isActive",
      EXISTS (SELECT 1 FROM "Interrupt" WHERE "threadId" = ${threadId} AND "pending") AS "isAsking"`,
  );
  if (found?.isActive) throw new ThreadBusyError(threadId);
  if (found?.isAsking) {
    throw new ConflictError(
      `Thread ${threadId} waits for an answer; its history is needed until then.`,
    );
  }
}

/** The most rows of a deletion, as the end of a SELECT. */
const SLICE = raw(`LIMIT ${SLICE_ROWS}`);

/**
 * The CTE `kept`: the newest checkpoint of each namespace that the next run may continue from. A namespace with task ids belongs to
 * a step after one checkpoint of the root graph. The value of a DeltaChannel is the sum of the writes since its last whole value:
 * the metadata name such channels, and the ancestors up to that value stay.
 */
function keptOf(threadId: Param): Statement {
  return sql`kept AS (
    SELECT c."namespace", c."checkpointId", c."parentId",
      ARRAY(SELECT jsonb_object_keys(CASE WHEN jsonb_typeof(c."metadata"->'counters_since_delta_snapshot') = 'object'
        THEN c."metadata"->'counters_since_delta_snapshot' ELSE '{}' END)) AS "unknown"
    FROM "CheckpointHead" h JOIN "Checkpoint" c USING ("threadId", "namespace", "checkpointId")
    WHERE h."threadId" = ${threadId}::uuid AND (position(':' IN h."namespace") = 0 OR c."metadata"->'parents'->>'' = (
      SELECT "checkpointId"::text FROM "CheckpointHead" WHERE "threadId" = ${threadId}::uuid AND "namespace" = ''))
    UNION ALL
    SELECT p."namespace", p."checkpointId", p."parentId", ARRAY(
      SELECT "channel" FROM unnest(kept."unknown") AS u("channel") WHERE NOT EXISTS (
        SELECT 1 FROM "ChannelValue" v WHERE v."threadId" = ${threadId}::uuid AND v."namespace" = p."namespace"
          AND v."channel" = u."channel" AND v."version" = (p."versions"->>u."channel")::bigint))
    FROM kept JOIN "Checkpoint" p ON p."threadId" = ${threadId}::uuid AND p."namespace" = kept."namespace"
      AND p."checkpointId" = kept."parentId"
    WHERE cardinality(kept."unknown") > 0
  )`;
}

/** Deletes the oldest checkpoints that are not kept, and their writes. */
function deleteCheckpoints(threadId: Param): Statement {
  return sql`WITH RECURSIVE ${keptOf(threadId)}, old AS MATERIALIZED (
    SELECT "namespace", "checkpointId" FROM "Checkpoint" c WHERE "threadId" = ${threadId}::uuid AND NOT EXISTS (
      SELECT 1 FROM kept WHERE kept."namespace" = c."namespace" AND kept."checkpointId" = c."checkpointId")
    ORDER BY "seq" ${SLICE}
  ), writes AS (
    DELETE FROM "CheckpointWrite" w USING old WHERE w."threadId" = ${threadId}::uuid AND w."namespace" = old."namespace"
      AND w."checkpointId" = old."checkpointId"
  ), heads AS (
    DELETE FROM "CheckpointHead" h USING old WHERE h."threadId" = ${threadId}::uuid AND h."namespace" = old."namespace"
      AND h."checkpointId" = old."checkpointId"
  ), checkpoints AS (
    DELETE FROM "Checkpoint" c USING old WHERE c."threadId" = ${threadId}::uuid AND c."namespace" = old."namespace"
      AND c."checkpointId" = old."checkpointId"
  )
  SELECT count(*) AS "count" FROM old`;
}

/** The output of a run is a state: earlier runs lose it. */
function forgetOutputs(threadId: Param): Statement {
  return sql`WITH old AS MATERIALIZED (
    SELECT "id" FROM "Run" r WHERE "threadId" = ${threadId}::uuid AND "headId" IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM "Checkpoint" c WHERE c."threadId" = ${threadId}::uuid AND c."namespace" = '' AND c."checkpointId" = r."headId")
    ${SLICE}
  ), runs AS (
    UPDATE "Run" r SET "headId" = NULL FROM old WHERE r."id" = old."id"
  )
  SELECT count(*) AS "count" FROM old`;
}

function deleteValues(threadId: Param): Statement {
  return sql`WITH used AS MATERIALIZED (
    SELECT DISTINCT c."namespace", v."key" AS "channel", v."value"::bigint AS "version"
    FROM "Checkpoint" c, json_each_text(c."versions") v WHERE c."threadId" = ${threadId}::uuid
  ), old AS MATERIALIZED (
    SELECT "namespace", "channel", "version" FROM "ChannelValue" WHERE "threadId" = ${threadId}::uuid
      AND ("namespace", "channel", "version") NOT IN (SELECT * FROM used) ${SLICE}
  ), deleted AS (
    DELETE FROM "ChannelValue" v USING old WHERE v."threadId" = ${threadId}::uuid AND v."namespace" = old."namespace"
      AND v."channel" = old."channel" AND v."version" = old."version"
  )
  SELECT count(*) AS "count" FROM old`;
}

/** Keeps the items with the lowest and the highest number: no number is used twice. */
function deleteItems(threadId: Param): Statement {
  return sql`WITH used AS MATERIALIZED (
    SELECT range_agg(int4range("ranges"[i], "ranges"[i + 1], '[]')) AS "numbers" FROM (
      SELECT "ranges" FROM "ChannelValue" WHERE "threadId" = ${threadId}::uuid
      UNION ALL SELECT "ranges" FROM "CheckpointWrite" WHERE "threadId" = ${threadId}::uuid) r,
      generate_series(1, cardinality("ranges"), 2) AS i
  ), bounds AS MATERIALIZED (
    SELECT min("number") AS "lowest", max("number") AS "highest" FROM "ChannelItem" WHERE "threadId" = ${threadId}::uuid
  ), old AS MATERIALIZED (
    SELECT "number" FROM "ChannelItem", bounds WHERE "threadId" = ${threadId}::uuid
      AND "number" > bounds."lowest" AND "number" < bounds."highest"
      AND NOT coalesce("number" <@ (SELECT "numbers" FROM used), false) ${SLICE}
  ), deleted AS (
    DELETE FROM "ChannelItem" i USING old WHERE i."threadId" = ${threadId}::uuid AND i."number" = old."number"
  )
  SELECT count(*) AS "count" FROM old`;
}
