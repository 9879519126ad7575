import { createBatched } from '../db/batch.ts';
import type { Query } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { readWithin, type Budget } from './budget.ts';
import { CONTENT, withContent, type WithText } from './content.ts';
import { lastNumbers, loadElements } from './decode.ts';
import { fixedGraph, inTurn, type Reading } from './graphs.ts';
import type { StoredItem } from './items.ts';
import { messagesIn, messageText, messageType, type MessageType } from './message.ts';
import { showsAsStored } from './newest-messages.ts';
import { toPlain, type PlainMessage } from './plain.ts';
import { serdeOf } from './serde.ts';
import { BY_KEY } from './store-statement.ts';
import { PART } from './units.ts';

// A preview reads a few items at both ends of the stored list of messages, for all threads of a list with two statements.

/** The ends of a conversation. */
export interface Preview {
  /** The text of the first human message. */
  title: string | null;
  /** The newest message with a text. */
  last: { type: MessageType; text: string } | null;
}

const MOST_CHARS = 200;
const FIRST_ITEMS = 3;
/** The first of these may be the end of a longer value, and is then left out. */
const LAST_ITEMS = 4;
/** A larger item is left out. */
const MOST_ITEM_BYTES = 65_536;

/** The previews of threads. Undefined for a thread without messages, or whose graph does not store them as a list. */
async function readPreviews(
  app: Reading,
  threadIds: readonly string[],
): Promise<(Preview | undefined)[]> {
  const ends = (await findEnds(app.sql.query, threadIds)).map(({ first, last, ...thread }) => ({
    ...thread,
    first: firstNumbers(first ?? [], FIRST_ITEMS),
    last: lastNumbers(last ?? [], LAST_ITEMS),
    isWhole: lastNumbers(last ?? [], LAST_ITEMS + 1).length <= LAST_ITEMS,
  }));
  const items = await readItems(app.sql.query, ends, app.operation);
  const previews = new Map<string, Preview>();
  for (const { threadId, graphId, first, last, isWhole } of ends) {
    const graph = await fixedGraph(app, graphId);
    if (!showsAsStored(graph, '')) continue;
    const stored = items.get(threadId) ?? new Map<number, StoredItem>();
    const decode = (numbers: readonly number[]) =>
      inTurn(app, async () =>
        messagesIn(toPlain({ messages: await loadElements(serdeOf(graph), stored, numbers) })),
      );
    if (first.length === 0) continue;
    const preview = previewOf(
      await decode(readable(first, stored)),
      await decode(readable(last, stored, { isBroken: !isWhole })),
    );
    previews.set(threadId, preview);
  }
  return threadIds.map((id) => previews.get(id));
}

/** The preview of a thread. A list of threads reads all previews at once. */
export const findPreview = createBatched(readPreviews);

function previewOf(first: readonly PlainMessage[], newest: readonly PlainMessage[]): Preview {
  const human = first.find((message) => messageType(message) === 'HUMAN');
  const last = newest.findLast((message) => messageText(message).trim() !== '');
  return {
    title: human ? cut(messageText(human)) : null,
    last: last ? { type: messageType(last), text: cut(messageText(last)) } : null,
  };
}

/** The text without a break in the middle of a pair of surrogates. */
function cut(text: string): string {
  const trimmed = text.trim();
  if (trimmed.length <= MOST_CHARS) return trimmed;
  return `${trimmed.slice(0, MOST_CHARS - 1).replace(/\p{Surrogate}$/u, '')}…`;
}

/** The ends of the list of messages in the current checkpoint. */
interface Ends {
  threadId: string;
  /** The graph of the checkpoint. */
  graphId: string | null;
  /** The first pairs of item numbers, and the last pairs: one more than the number of wanted items. A pair has at least one item. */
  first: number[] | null;
  last: number[] | null;
}

function findEnds(query: Query, threadIds: readonly string[]): Promise<Ends[]> {
  return query<Ends>(
    sql`SELECT h."threadId", c."metadata"->>'graph_id' AS "graphId",
        v."ranges"[1:${2 * FIRST_ITEMS}::int] AS "first",
        v."ranges"[greatest(cardinality(v."ranges") - ${2 * (LAST_ITEMS + 1)}::int, 0) + 1:] AS "last"
      FROM unnest(${threadIds}::uuid[]) AS t("id"), LATERAL (
        SELECT * FROM "CheckpointHead" WHERE "threadId" = t."id" AND "namespace" = '' ${BY_KEY}) h, LATERAL (
        SELECT * FROM "Checkpoint" WHERE "threadId" = h."threadId" AND "namespace" = ''
          AND "checkpointId" = h."checkpointId" ${BY_KEY}) c, LATERAL (
        SELECT * FROM "ChannelValue" WHERE "threadId" = h."threadId" AND "namespace" = '' AND "channel" = 'messages'
          AND "version" = (c."versions"->>'messages')::bigint ${BY_KEY}) v
      WHERE v."type" = 'list'`,
    { onlyReads: true },
  );
}

interface ItemRow extends StoredItem, WithText {
  threadId: string;
  number: number;
  /** The bytes of all items of the result. */
  total: number;
}

/** The items by thread and number. A large item has no value. */
async function readItems(
  query: Query,
  ends: readonly { threadId: string; first: number[]; last: number[] }[],
  budget: Budget | undefined,
): Promise<Map<string, Map<number, StoredItem>>> {
  const wanted = ends.flatMap(({ threadId, first, last }) =>
    Array.from(new Set([...first, ...last]), (number) => ({ threadId, number })),
  );
  if (wanted.length === 0) return new Map();
  const threadIds = wanted.map(({ threadId }) => threadId);
  const numbers = wanted.map(({ number }) => number);
  return readWithin(budget, async (mostBytes = Number.MAX_SAFE_INTEGER) => {
    const rows = await query<ItemRow>(
      sql`SELECT "threadId", "number", "type", "total", ${CONTENT}
        FROM (SELECT "threadId", "number", "type", "total", CASE WHEN "total" <= ${mostBytes}::bigint THEN "small" END AS "value"
          FROM (SELECT *, coalesce(sum(octet_length("small")) OVER (), 0)::bigint AS "total" FROM (
            SELECT i.*, CASE WHEN octet_length(i."value") <= ${MOST_ITEM_BYTES}::int THEN i."value" END AS "small"
            FROM unnest(${threadIds}::uuid[], ${numbers}::int[]) AS n("threadId", "number"), LATERAL (
              SELECT * FROM "ChannelItem" WHERE "threadId" = n."threadId" AND "number" = n."number" ${BY_KEY}) i) i) i) i`,
      { onlyReads: true },
    );
    const items = new Map<string, Map<number, StoredItem>>();
    for (const row of rows) {
      const own = items.get(row.threadId) ?? new Map<number, StoredItem>();
      items.set(row.threadId, own.set(row.number, withContent(row)));
    }
    return { bytes: rows[0]?.total ?? 0, content: items };
  });
}

/** The numbers of items with whole elements. `isBroken`: the first item may be the end of a value. */
function readable(
  numbers: readonly number[],
  items: ReadonlyMap<number, StoredItem>,
  { isBroken = false } = {},
): number[] {
  let isInside = isBroken;
  return numbers.filter((number) => {
    const { type, value = null } = items.get(number) ?? {};
    const isWhole = !isInside && type !== PART;
    isInside = type === PART;
    return isWhole && value !== null;
  });
}

/** The first numbers in ranges. */
function firstNumbers(ranges: readonly number[], most: number): number[] {
  const numbers: number[] = [];
  for (let i = 0; i + 1 < ranges.length; i += 2) {
    for (let number = Number(ranges[i]); number <= Number(ranges[i + 1]); number++) {
      if (numbers.length === most) return numbers;
      numbers.push(number);
    }
  }
  return numbers;
}
