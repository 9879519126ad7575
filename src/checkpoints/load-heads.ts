import type { Query } from '../db/query.ts';
import { param, sql, type Statement } from '../db/sql.ts';
import { readWithin, type Budget } from './budget.ts';
import {
  parseCheckpoint,
  selectOfThreads,
  sortOut,
  type LoadedCheckpoint,
  type LoadedRow,
} from './load.ts';
import { BY_KEY } from './store-statement.ts';

const SELECT_VALUE = selectOfThreads('value');
const SELECT_WRITE = selectOfThreads('write');
const SELECT_ITEM = selectOfThreads('item');
const SELECT_SIZE = selectOfThreads('size');
const SELECT_CHECKPOINT = selectOfThreads('checkpoint');

/**
 * The newest checkpoint of the root graph of each thread, with its content, in one statement. Leaves out threads without a
 * checkpoint. Throws if the content of all is larger than the budget.
 */
export async function loadHeads(
  query: Query,
  threadIds: readonly string[],
  budget?: Budget,
): Promise<Pick<LoadedCheckpoint, 'row' | 'content'>[]> {
  return readWithin(budget, async (mostBytes = Number.MAX_SAFE_INTEGER) => {
    const rows = await query<LoadedRow & { threadId: string | null }>(
      headsStatement(threadIds, mostBytes),
      { takesLong: true, onlyReads: true },
    );
    const byThread = new Map<string | null, LoadedRow[]>();
    for (const { threadId, ...row } of rows) {
      const own = byThread.get(threadId) ?? [];
      own.push(row);
      byThread.set(threadId, own);
    }
    const { bytes } = sortOut(byThread.get(null) ?? []);
    const loaded = threadIds.map((id) => sortOut(byThread.get(id) ?? []).content);
    const heads = loaded.flatMap(({ checkpoint, content }) =>
      checkpoint === undefined ? [] : { row: parseCheckpoint(checkpoint).row, content },
    );
    return { bytes, content: heads };
  });
}

/** The row with the size has no thread. */
function headsStatement(threadIds: readonly string[], mostBytes: number): Statement {
  const within = sql`WHERE (SELECT "bytes" FROM size) <= ${param(mostBytes)}::bigint`;
  return sql`WITH c AS (
  SELECT c.* FROM unnest(${threadIds}::uuid[]) AS t("id"), LATERAL (
    SELECT * FROM "CheckpointHead" WHERE "threadId" = t."id" AND "namespace" = '' ${BY_KEY}) h, LATERAL (
    SELECT * FROM "Checkpoint" WHERE "threadId" = h."threadId" AND "namespace" = ''
      AND "checkpointId" = h."checkpointId" ${BY_KEY}) c
), v AS (
  SELECT v.* FROM c, json_each_text(c."versions") e, LATERAL (
    SELECT * FROM "ChannelValue" WHERE "threadId" = c."threadId" AND "namespace" = '' AND "channel" = e.key
      AND "version" = e.value::bigint ${BY_KEY}) v
), w AS (
  SELECT w.* FROM c, LATERAL (SELECT * FROM "CheckpointWrite" WHERE "threadId" = c."threadId" AND "namespace" = ''
    AND "checkpointId" = c."checkpointId" ${BY_KEY}) w
), r AS (
  SELECT "threadId", int4range("ranges"[i], "ranges"[i + 1], '[]') AS "range"
  FROM (SELECT "threadId", "ranges" FROM v UNION ALL SELECT "threadId", "ranges" FROM w) r,
    generate_series(1, cardinality("ranges"), 2) i
), n AS (
  SELECT "threadId", unnest(range_agg("range")) AS "range" FROM r GROUP BY "threadId"
), size AS (
  SELECT coalesce(sum("bytes"), 0)::bigint AS "bytes" FROM (
    SELECT octet_length("value") AS "bytes" FROM v
    UNION ALL SELECT octet_length("value") FROM w
    UNION ALL SELECT i."bytes" FROM r, LATERAL (SELECT sum(octet_length("value")) AS "bytes" FROM "ChannelItem"
      WHERE "threadId" = r."threadId" AND "number" >= lower(r."range") AND "number" < upper(r."range") ${BY_KEY}) i
  ) bytes
)
${SELECT_VALUE} FROM v ${within}
UNION ALL ${SELECT_WRITE} FROM w ${within}
UNION ALL ${SELECT_ITEM} FROM (SELECT i.* FROM n, LATERAL (SELECT * FROM "ChannelItem" WHERE "threadId" = n."threadId"
  AND "number" >= lower(n."range") AND "number" < upper(n."range") ${BY_KEY}) i) i ${within}
UNION ALL ${SELECT_SIZE} FROM size
UNION ALL ${SELECT_CHECKPOINT} FROM (SELECT "threadId", row_to_json(c)::text AS "checkpoint" FROM c) c`;
}
