import type { SerializerProtocol } from '@langchain/langgraph-checkpoint';
import { createBatched } from '../db/batch.ts';
import type { Query } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { isRecord } from '../json.ts';
import { readWithin, type Budget } from './budget.ts';
import { CONTENT, withContent, type WithText } from './content.ts';
import { loadElements } from './decode.ts';
import { fixedGraph, inTurn, type Reading } from './graphs.ts';
import type { StoredItem } from './items.ts';
import { intOr, messagesIn, messageType } from './message.ts';
import { toPlain, type PlainMessage } from './plain.ts';
import { serdeOf } from './serde.ts';
import { BY_KEY } from './store-statement.ts';
import { PART } from './units.ts';

/** A run, and its final state if its thread was deleted with it. */
export interface UsageRun {
  id: string;
  threadId: string | null;
  graphId: string;
  output: unknown;
}

/** Token counts in the form of a message. */
export interface Usage extends Record<string, unknown> {
  input_tokens: number;
  output_tokens: number;
  total_tokens: number;
}

/**
 * The token counts of runs: of the AI messages that a run added to `messages`, or changed there, in the graph or a subgraph, also
 * if it removed them later. Undefined for a run whose messages have no counts. A list stores each message once, so only the items
 * that the run added are read.
 */
async function readUsage(app: Reading, runs: readonly UsageRun[]): Promise<(Usage | undefined)[]> {
  const items = await readNewItems(app.sql.query, runs, app.operation);
  const usages: (Usage | undefined)[] = [];
  for (const { id, graphId, output } of runs) {
    const graph = await fixedGraph(app, graphId);
    const messages = await inTurn(app, async () => {
      const stored = items.get(id) ?? [];
      const decoded = await Promise.all(stored.map((item) => decode(serdeOf(graph), item)));
      return messagesIn(toPlain({ messages: decoded.flat() }));
    });
    usages.push(sumUsage([...messagesIn(output), ...messages]));
  }
  return usages;
}

/** The token counts of a run. A list of runs reads them at once. */
export const findUsage = createBatched(readUsage);

/** The sum over AI messages, each id once. Undefined if no message has counts. */
function sumUsage(messages: readonly PlainMessage[]): Usage | undefined {
  const counted = new Map<unknown, Record<string, unknown>>();
  for (const message of messages) {
    const { id, usage_metadata: usage } = message;
    if (messageType(message) === 'AI' && isRecord(usage)) counted.set(id ?? message, usage);
  }
  if (counted.size === 0) return undefined;
  const sum: Usage = { input_tokens: 0, output_tokens: 0, total_tokens: 0 };
  for (const usage of counted.values()) {
    for (const count of Object.keys(sum) as (keyof Usage)[])
      sum[count] = Number(sum[count]) + intOr(0, usage[count]);
  }
  return sum;
}

/** The elements in an item. None for the end of a message of more than a megabyte: its start is in other items. */
async function decode(by: SerializerProtocol, item: StoredItem): Promise<unknown[]> {
  try {
    return await loadElements(by, new Map([[1, item]]), [1]);
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

interface ItemRow extends StoredItem, WithText {
  runId: string;
  /** The bytes of all items of the result. */
  total: number;
}

/**
 * The items with token counts that each run added to the lists of messages in its checkpoints, oldest first. The checkpoints
 * before the run show which items are older.
 */
async function readNewItems(
  query: Query,
  runs: readonly UsageRun[],
  budget: Budget | undefined,
): Promise<Map<string, StoredItem[]>> {
  const runIds = runs.map(({ id }) => id);
  const threadIds = runs.map(({ threadId }) => threadId);
  return readWithin(budget, async (mostBytes = Number.MAX_SAFE_INTEGER) => {
    const rows = await query<ItemRow>(
      sql`WITH own AS (
        SELECT c."runId", c."threadId", c."namespace", c."parentId", c."versions"->>'messages' AS "version"
        FROM unnest(${runIds}::uuid[], ${threadIds}::uuid[]) AS r("id", "threadId"), LATERAL (
          SELECT * FROM "Checkpoint" WHERE "runId" = r."id" ${BY_KEY}) c WHERE c."threadId" = r."threadId"
      ), versions AS (
        SELECT DISTINCT "runId", "threadId", "namespace", "version", true AS "isOwn" FROM own
        UNION ALL SELECT DISTINCT own."runId", own."threadId", own."namespace", p."versions"->>'messages', false
        FROM own, LATERAL (SELECT * FROM "Checkpoint" WHERE "threadId" = own."threadId" AND "namespace" = own."namespace"
          AND "checkpointId" = own."parentId" ${BY_KEY}) p WHERE p."runId" IS DISTINCT FROM own."runId"
      ), ranges AS (
        SELECT versions."runId", versions."threadId", versions."isOwn", int4range(v."ranges"[i], v."ranges"[i + 1], '[]') AS "range"
        FROM versions, LATERAL (SELECT * FROM "ChannelValue" WHERE "threadId" = versions."threadId"
          AND "namespace" = versions."namespace" AND "channel" = 'messages' AND "version" = versions."version"::bigint ${BY_KEY}) v,
          generate_series(1, cardinality(v."ranges"), 2) AS i WHERE v."type" = 'list'
      ), added AS (
        SELECT "runId", "threadId", range_agg("range") FILTER (WHERE "isOwn")
          - coalesce(range_agg("range") FILTER (WHERE NOT "isOwn"), '{}') AS "numbers" FROM ranges GROUP BY "runId", "threadId"
      ), items AS (
        SELECT added."runId", i."number", i."type", i."value", sum(octet_length(i."value")) OVER ()::bigint AS "total"
        FROM added, unnest(added."numbers") AS part, LATERAL (SELECT * FROM "ChannelItem" WHERE "threadId" = added."threadId"
          AND "number" >= lower(part) AND "number" < upper(part) ${BY_KEY}) i
        WHERE i."type" <> ${PART} AND position('"usage_metadata"'::bytea IN i."value") > 0
      ) SELECT "runId", "type", "total", ${CONTENT} FROM (
        SELECT "runId", "number", "type", "total", CASE WHEN "total" <= ${mostBytes}::bigint THEN "value" END AS "value" FROM items
      ) i ORDER BY "number"`,
      { onlyReads: true },
    );
    const items = new Map<string, StoredItem[]>();
    for (const row of rows)
      items.set(row.runId, [...(items.get(row.runId) ?? []), withContent(row)]);
    return { bytes: rows[0]?.total ?? 0, content: items };
  });
}
