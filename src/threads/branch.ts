import { NULL_TASK_ID } from '../checkpoints/new-records.ts';
import { sql, type Param, type Statement } from '../db/sql.ts';

/** A branch of a thread as SQL. */
export interface Branch {
  /** Tables for a WITH RECURSIVE clause. */
  tables: Statement;
  /** The columns status, restStatus, metadata, graphId and error of a thread that ends here, from its source `t`. */
  thread: Statement;
  /** The rows of each table. */
  rows: Record<string, Statement>;
}

/**
 * The branch up to a checkpoint of the root graph: its ancestors, the states of subgraphs in the steps between them, and their
 * values and items. The step after the checkpoint may have begun; the branch leaves out its results and interrupts. It keeps the
 * values that a client wrote with a command, because `state(checkpointId:)` shows them.
 */
export function branchUpTo(threadId: Param, end: Param): Branch {
  const ofThread = sql`"threadId" = ${threadId}::uuid`;
  const isKept = sql`("namespace", "checkpointId") IN (SELECT "namespace", "checkpointId" FROM kept)`;
  const isAtEnd = sql`("namespace" = '' AND "checkpointId" = ${end}::uuid)`;
  return {
    tables: sql`line AS (
  SELECT "checkpointId", "parentId", "metadata" FROM "Checkpoint"
    WHERE ${ofThread} AND "namespace" = '' AND "checkpointId" = ${end}::uuid
  UNION ALL
  SELECT c."checkpointId", c."parentId", c."metadata" FROM line JOIN "Checkpoint" c
    ON c."threadId" = ${threadId}::uuid AND c."namespace" = '' AND c."checkpointId" = line."parentId"
), kept AS MATERIALIZED (
  SELECT "namespace", "checkpointId", "seq", "versions" FROM "Checkpoint" WHERE ${ofThread} AND (
    "namespace" = '' AND "checkpointId" IN (SELECT "checkpointId" FROM line)
    OR "namespace" <> '' AND "metadata"->'parents'->>'' IN (
      SELECT "checkpointId"::text FROM line WHERE "checkpointId" <> ${end}::uuid))
), kept_values AS MATERIALIZED (
  SELECT * FROM "ChannelValue" WHERE ${ofThread} AND ("namespace", "channel", "version") IN (
    SELECT kept."namespace", v."key", v."value"::bigint FROM kept, json_each_text(kept."versions") v)
), kept_writes AS MATERIALIZED (
  SELECT * FROM "CheckpointWrite" WHERE ${ofThread} AND ${isKept}
    AND (NOT ${isAtEnd} OR "taskId" = ${NULL_TASK_ID} AND NOT starts_with("channel", '__'))
), kept_items AS MATERIALIZED (
  SELECT range_agg(int4range("ranges"[i], "ranges"[i + 1], '[]')) AS "numbers" FROM (
    SELECT "ranges" FROM kept_values UNION ALL SELECT "ranges" FROM kept_writes) r,
    generate_series(1, cardinality("ranges"), 2) AS i
)`,
    thread: sql`'IDLE', 'IDLE', t."metadata" - 'assistant_id' || (
      SELECT jsonb_strip_nulls(jsonb_build_object('graph_id', "metadata"->'graph_id', 'assistant_id', "metadata"->'assistant_id'))
      FROM line WHERE "checkpointId" = ${end}::uuid), (SELECT "metadata"->>'graph_id' FROM line WHERE "checkpointId" = ${end}::uuid), NULL`,
    rows: {
      ChannelItem: sql`SELECT * FROM "ChannelItem" WHERE ${ofThread} AND "number" <@ (SELECT "numbers" FROM kept_items)`,
      ChannelValue: sql`SELECT * FROM kept_values`,
      Checkpoint: sql`SELECT * FROM "Checkpoint" WHERE ${ofThread} AND ${isKept}`,
      CheckpointHead: sql`SELECT DISTINCT ON ("namespace") "namespace", "checkpointId" FROM kept
    ORDER BY "namespace", "checkpointId" = ${end}::uuid DESC, "seq" DESC`,
      CheckpointWrite: sql`SELECT * FROM kept_writes`,
      Interrupt: sql`SELECT * FROM "Interrupt" WHERE ${ofThread} AND ${isKept} AND NOT ${isAtEnd}`,
    },
  };
}
