import type { SerializerProtocol } from '@langchain/langgraph-checkpoint';
import type { Query } from '../db/query.ts';
import { param, raw, sql, type Statement } from '../db/sql.ts';
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

/** A list of checkpoints. */
export interface List {
  channel: string;
  /** True for the current state: all writes on top of the checkpoint count. False: only the writes of a client's command count. */
  current: boolean;
}

/** The end of a list to read. */
export interface End extends List {
  /** The number of items. An item has a part of an element, a whole element, or several. */
  most: number;
  /** The number of items behind them, at the end of the list. */
  behind: number;
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
    numbers: numbersBefore(ranges ?? [], end),
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

function numbersBefore(ranges: readonly number[], { most, behind }: End): number[] {
  const numbers = lastNumbers(ranges, most + behind);
  return numbers.slice(0, Math.max(numbers.length - behind, 0));
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
  { most, behind, ...list }: End,
): Promise<ListRow[]> {
  if (checkpoints.length === 0) return [];
  return query<ListRow>(sql`SELECT c."id" AS "checkpointId", c."version" IS NULL AS "isUnwritten",
      v."ranges"[greatest(cardinality(v."ranges") - ${2 * (most + behind)}::int, 0) + 1:] AS "ranges"
    ${fromLists(checkpoints, list)}`);
}

/** FROM and WHERE of a statement: the checkpoints `c` with a list, and the values `v` of their channel. */
function fromLists(checkpoints: readonly CheckpointRow[], { channel, current }: List): Statement {
  const threadId = param(checkpoints[0]?.threadId);
  const namespace = param(checkpoints[0]?.namespace);
  const ids = checkpoints.map(({ checkpointId }) => checkpointId);
  const versions = checkpoints.map((row) => row.versions[channel]?.toString() ?? null);
  const name = param(channel);
  return sql`FROM unnest(${ids}::uuid[], ${versions}::bigint[]) AS c("id", "version") LEFT JOIN LATERAL (
      SELECT * FROM "ChannelValue" WHERE "threadId" = ${threadId}::uuid AND "namespace" = ${namespace}
        AND "channel" = ${name} AND "version" = c."version" ${BY_KEY}) v ON true
    WHERE (c."version" IS NULL OR v."type" = 'list') AND NOT EXISTS (
      SELECT 1 FROM "CheckpointWrite" w WHERE w."threadId" = ${threadId}::uuid AND w."namespace" = ${namespace}
        AND w."checkpointId" = c."id" AND w."channel" = ${name}
        AND (${current}::boolean OR w."taskId" = ${NULL_TASK_ID}))`;
}

/** An item of a list. */
export interface FoundItem {
  /** The number of items behind it, at the end of the list. Null: no item has one of the texts. */
  behind: number | null;
  /** The item is a part of an element. Whether the element has one of the texts is unknown. */
  isPart: boolean | null;
}

/**
 * Finds the item nearest the end of a list with one of these texts, or with a part of an element. PostgreSQL reads the items from
 * the end and stops at this item. Undefined if the channel holds no stored list, or if a write on top counts.
 */
export async function findItem(
  query: Query,
  checkpoint: CheckpointRow,
  { texts, ...list }: List & { texts: readonly string[] },
): Promise<FoundItem | undefined> {
  const [found] = await query<FoundItem>(sql`SELECT item.* FROM (
      SELECT v."ranges" ${fromLists([checkpoint], list)}) list LEFT JOIN LATERAL (
      SELECT n."behind", i."type" = ${raw(`'${PART}'`)} AS "isPart" FROM (
        SELECT "number", row_number() OVER (ORDER BY "pair" DESC, "number" DESC)::int - 1 AS "behind", "pair"
        FROM generate_series(1, cardinality(list."ranges"), 2) AS "pair",
          generate_series(list."ranges"["pair"], list."ranges"["pair" + 1]) AS "number" ${BY_KEY}) n, LATERAL (
        SELECT "type", "value" FROM "ChannelItem" WHERE "threadId" = ${checkpoint.threadId}::uuid
          AND "number" = n."number" ${BY_KEY}) i
      WHERE i."type" = ${raw(`'${PART}'`)} OR EXISTS (
        SELECT 1 FROM unnest(${texts}::text[]) AS t("text") WHERE position(convert_to(t."text", 'UTF8') IN i."value") > 0)
      ORDER BY n."pair" DESC, n."number" DESC LIMIT 1) item ON true
    WHERE list."ranges" IS NOT NULL`);
  return found;
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
