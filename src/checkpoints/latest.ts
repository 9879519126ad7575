import type { SerializerProtocol } from '@langchain/langgraph-checkpoint';
import type { Query } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { readWithin, type Budget } from './budget.ts';
import { CONTENT, withContent, type WithText } from './content.ts';
import type { CheckpointRow } from './find.ts';
import { NULL_TASK_ID } from './new-records.ts';
import { BY_KEY } from './store-statement.ts';
import { PART } from './units.ts';
import { lastNumbers, loadElements } from './decode.ts';
import type { StoredItem } from './items.ts';

/** The last elements of a list in a checkpoint. */
export interface Latest {
  /** True if no step has written the channel: its value is the initial value of the graph. */
  isUnwritten: boolean;
  /** Decodes the elements into new objects. */
  decode(by: SerializerProtocol): Promise<unknown[]>;
  /** True if these are all elements of the list. */
  isWhole: boolean;
}

/** The end of a list to read. */
interface End {
  channel: string;
  /** The number of items. An item has a part of an element, a whole element, or several. */
  most: number;
  /** True for the current state: all writes on top of the checkpoint count. False: only the writes of a client's command count. */
  current: boolean;
}

/**
 * Reads the end of the list in a channel, for checkpoints of one namespace. Leaves out a checkpoint if its channel holds no list,
 * or if a write on top counts.
 */
export async function readLatest(
  query: Query,
  checkpoints: readonly CheckpointRow[],
  end: End,
  budget?: Budget,
): Promise<Map<string, Latest>> {
  const lists = await findLists(query, checkpoints, end);
  const found = lists.map(({ ranges, ...list }) => ({
    ...list,
    numbers: lastNumbers(ranges ?? [], end.most),
  }));
  const wanted = found.flatMap(({ numbers }) => numbers);
  const items = await readItems(query, checkpoints[0]?.threadId, wanted, budget);
  return new Map(
    found.map(({ checkpointId, isUnwritten, numbers }) => {
      const isWhole = numbers.length < end.most;
      const known = isWhole ? numbers : dropBroken(numbers, items);
      const decode: Latest['decode'] = (by) => loadElements(by, items, known);
      return [checkpointId, { isUnwritten, decode, isWhole }];
    }),
  );
}

interface ListRow {
  checkpointId: string;
  isUnwritten: boolean;
  /** The last pairs of item numbers. A pair covers at least one item. */
  ranges: number[] | null;
}

async function findLists(
  query: Query,
  checkpoints: readonly CheckpointRow[],
  { channel, most, current }: End,
): Promise<ListRow[]> {
  const [first] = checkpoints;
  if (!first) return [];
  const { threadId, namespace } = first;
  const ids = checkpoints.map(({ checkpointId }) => checkpointId);
  const versions = checkpoints.map((row) => row.versions[channel]?.toString() ?? null);
  return query<ListRow>(sql`SELECT c."id" AS "checkpointId", c."version" IS NULL AS "isUnwritten",
        v."ranges"[greatest(cardinality(v."ranges") - ${2 * most}::int, 0) + 1:] AS "ranges"
      FROM unnest(${ids}::uuid[], ${versions}::bigint[]) AS c("id", "version") LEFT JOIN LATERAL (
        SELECT * FROM "ChannelValue" WHERE "threadId" = ${threadId}::uuid AND "namespace" = ${namespace}
          AND "channel" = ${channel} AND "version" = c."version" ${BY_KEY}) v ON true
      WHERE (c."version" IS NULL OR v."type" = 'list') AND NOT EXISTS (
        SELECT 1 FROM "CheckpointWrite" w WHERE w."threadId" = ${threadId}::uuid AND w."namespace" = ${namespace}
          AND w."checkpointId" = c."id" AND w."channel" = ${channel}
          AND (${current}::boolean OR w."taskId" = ${NULL_TASK_ID}))`);
}

interface ItemRow extends StoredItem, WithText {
  number: number;
  /** The bytes of all items of the result. */
  total: number;
}

/** Reads items. Repeated numbers count repeatedly. Throws if the items are larger than the budget. */
async function readItems(
  query: Query,
  threadId: string | undefined,
  numbers: readonly number[],
  budget: Budget | undefined,
): Promise<Map<number, StoredItem>> {
  if (numbers.length === 0) return new Map();
  return readWithin(budget, async (mostBytes = Number.MAX_SAFE_INTEGER) => {
    const rows = await query<ItemRow>(sql`SELECT "number", "type", "total", ${CONTENT}
      FROM (SELECT "number", "type", "total", CASE WHEN "total" <= ${mostBytes}::bigint THEN "value" END AS "value"
        FROM (SELECT i.*, sum(n."uses" * octet_length(i."value")) OVER ()::bigint AS "total"
          FROM (SELECT "number", count(*) AS "uses" FROM unnest(${numbers}::int[]) AS n("number") GROUP BY "number") n, LATERAL (
            SELECT * FROM "ChannelItem" WHERE "threadId" = ${threadId}::uuid AND "number" = n."number" ${BY_KEY}) i) i) i`);
    const items = rows.map((row) => [row.number, withContent(row)] as const);
    return { bytes: rows[0]?.total ?? 0, content: new Map(items) };
  });
}

/** The first item may be the last part of an element. Only the item before it could show this. */
function dropBroken(
  numbers: readonly number[],
  items: ReadonlyMap<number, StoredItem>,
): readonly number[] {
  const end = numbers.findIndex((number) => items.get(number)?.type !== PART);
  return end < 0 ? [] : numbers.slice(end + 1);
}
