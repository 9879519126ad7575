import type { Query } from '../db/query.ts';
import { empty, param, raw, sql, type Statement } from '../db/sql.ts';
import { readWithin, type Budget, type Measured } from './budget.ts';
import { CONTENT_COLUMNS, withContent, type WithText } from './content.ts';
import { checkpointAt, type CheckpointPlace, type CheckpointRow } from './find.ts';
import { serde } from './serde.ts';
import { BY_KEY, highestItem, lowestItem } from './store-statement.ts';
import { loadValue } from './decode.ts';
import type { Item, ItemBounds, StoredItem } from './items.ts';
import type { StoredValue } from './values.ts';

// Loads the content of checkpoints: the values of their channels, the writes on top of them, and the items of both.

/** The value of a channel. */
export interface ValueRow extends StoredValue {
  channel: string;
  version: number;
}

/** A write of a task on top of a checkpoint. */
export interface WriteRow extends StoredValue {
  checkpointId: string;
  taskId: string;
  taskPath: string;
  index: number;
  channel: string;
  runId: string;
  /** Orders writes. */
  seq: number;
}

/** An item of the values and writes. */
export interface ItemRow extends StoredItem {
  number: number;
  hash: Buffer;
}

/** The content of checkpoints of one namespace. Several checkpoints may have the same value. */
export interface Content {
  values: readonly ValueRow[];
  writes: readonly WriteRow[];
  items: ReadonlyMap<number, ItemRow>;
}

/** The columns of a result row and their types. */
const COLUMNS = {
  channel: 'text',
  version: 'bigint',
  checkpointId: 'uuid',
  taskId: 'text',
  taskPath: 'text',
  index: 'int',
  runId: 'uuid',
  seq: 'bigint',
  number: 'int',
  hash: 'bytea',
  type: 'text',
  value: 'bytea',
  text: 'text',
  ranges: 'int[]',
  bytes: 'bigint',
  checkpoint: 'text',
  threadId: 'uuid',
};

type Column = keyof typeof COLUMNS;

/** Rows of several threads also have the id of the thread. */
const NAMES_OF_THREADS = Object.keys(COLUMNS) as readonly Column[];
const NAMES: readonly Column[] = NAMES_OF_THREADS.filter((name) => name !== 'threadId');

/** A result row. The columns of other kinds are null. */
export type LoadedRow =
  | (ValueRow & WithText & { kind: 'value' })
  | (WriteRow & WithText & { kind: 'write' })
  | (ItemRow & WithText & { kind: 'item' })
  | { kind: 'size'; bytes: number }
  | { kind: 'checkpoint'; checkpoint: string };

/** The beginning of a SELECT in a UNION. Columns of other kinds are NULL. */
function select(kind: LoadedRow['kind'], own: readonly Column[], all = NAMES): Statement {
  const expressions: Partial<Record<Column, string>> = CONTENT_COLUMNS;
  const columns = all.map((name) =>
    own.includes(name) ? (expressions[name] ?? `"${name}"`) : `NULL::${COLUMNS[name]} AS "${name}"`,
  );
  return raw(`SELECT '${kind}' AS "kind", ${columns.join(', ')}`);
}

const STORED: readonly Column[] = ['type', 'value', 'text'];

/** The columns of each kind of row. */
const OWN: Record<LoadedRow['kind'], readonly Column[]> = {
  value: ['channel', 'version', ...STORED, 'ranges'],
  write: [
    ...(['checkpointId', 'taskId', 'taskPath', 'index', 'channel', 'runId', 'seq'] as const),
    ...STORED,
    'ranges',
  ],
  item: ['number', 'hash', ...STORED],
  size: ['bytes'],
  checkpoint: ['checkpoint'],
};

const SELECT_VALUE = select('value', OWN.value);
const SELECT_WRITE = select('write', OWN.write);
const SELECT_ITEM = select('item', OWN.item);
const SELECT_SIZE = select('size', OWN.size);
const SELECT_CHECKPOINT = select('checkpoint', OWN.checkpoint);

/** The beginning of a SELECT for rows of several threads. */
export function selectOfThreads(kind: LoadedRow['kind']): Statement {
  const own = OWN[kind];
  return select(kind, kind === 'size' ? own : [...own, 'threadId'], NAMES_OF_THREADS);
}

/** The checkpoints of a namespace to load. */
interface Selection {
  /** Parameters. */
  threadId: unknown;
  namespace: unknown;
  /** A CTE in front of the others, with its comma. */
  found?: Statement;
  /** A table: channels, versions, and the number of checkpoints with each version. */
  versions: Statement;
  /** An array: the ids of the checkpoints. */
  ids: Statement;
  /** A query with additional rows for the result. */
  also?: Statement;
}

/**
 * Loads the content of checkpoints. Each value and each item comes once. With `mostBytes`, one more row has the size of the content;
 * above this limit, the content does not come.
 */
function loadStatement(selection: Selection, mostBytes: number | undefined): Statement {
  const { threadId, namespace, found = empty, versions, ids, also } = selection;
  const isLimited = mostBytes !== undefined;
  const within = isLimited
    ? sql`WHERE (SELECT "bytes" FROM size) <= ${param(mostBytes)}::bigint`
    : empty;
  return sql`WITH ${found} v AS (
  SELECT v.*, wanted.uses FROM ${versions} AS wanted(channel, version, uses), LATERAL (SELECT * FROM "ChannelValue"
    WHERE "threadId" = ${threadId} AND "namespace" = ${namespace} AND "channel" = wanted.channel AND "version" = wanted.version ${BY_KEY}) v
), w AS (
  SELECT w.* FROM unnest(${ids}) AS ids(id), LATERAL (SELECT * FROM "CheckpointWrite"
    WHERE "threadId" = ${threadId} AND "namespace" = ${namespace} AND "checkpointId" = ids.id ${BY_KEY}) w
), n AS (
  SELECT unnest(range_agg(int4range(r."ranges"[i], r."ranges"[i + 1], '[]'))) AS "range"
  FROM (SELECT "ranges" FROM v UNION ALL SELECT "ranges" FROM w) r, generate_series(1, cardinality(r."ranges"), 2) i
)${isLimited ? sizeOf(threadId) : empty}
${SELECT_VALUE} FROM v ${within}
UNION ALL ${SELECT_WRITE} FROM w ${within}
UNION ALL ${SELECT_ITEM} FROM n, LATERAL (SELECT * FROM "ChannelItem"
  WHERE "threadId" = ${threadId} AND "number" >= lower(n."range") AND "number" < upper(n."range") ${BY_KEY}) i ${within}
${isLimited ? sql`UNION ALL ${SELECT_SIZE} FROM size` : empty}
${also ? sql`UNION ALL ${also}` : empty}`;
}

/**
 * The CTE `size`: the bytes of all checkpoints together. A value counts once per checkpoint, and an item once per value. `edges`
 * adds uses at the first number of a range and subtracts them after the last number. So the statement reads each item once.
 */
function sizeOf(threadId: unknown): Statement {
  return sql`, edges AS (
  SELECT edge.at, sum(edge.uses) AS uses
  FROM (SELECT "ranges", uses FROM v UNION ALL SELECT "ranges", 1 FROM w) r, generate_series(1, cardinality(r."ranges"), 2) i,
    LATERAL (VALUES (r."ranges"[i], r.uses), (r."ranges"[i + 1] + 1, -r.uses)) AS edge(at, uses)
  GROUP BY edge.at
), parts AS (
  SELECT at AS "first", lead(at) OVER ordered AS "next", sum(uses) OVER ordered AS uses FROM edges WINDOW ordered AS (ORDER BY at)
), size AS (
  SELECT coalesce(sum("bytes"), 0)::bigint AS "bytes" FROM (
    SELECT v.uses * octet_length(v."value") AS "bytes" FROM v
    UNION ALL SELECT octet_length(w."value") FROM w
    UNION ALL SELECT parts.uses * i."bytes" FROM parts, LATERAL (SELECT sum(octet_length("value")) AS "bytes" FROM "ChannelItem"
      WHERE "threadId" = ${threadId} AND "number" >= parts."first" AND "number" < parts."next" ${BY_KEY}) i WHERE parts.uses > 0
  ) bytes
)`;
}

/** A checkpoint with its content. */
export interface LoadedCheckpoint {
  row: CheckpointRow;
  /** Of the thread. */
  bounds: ItemBounds;
  content: Content;
}

/** Finds a checkpoint and loads its content, in one statement. Throws if the content is larger than the budget. */
export async function findAndLoad(
  query: Query,
  place: CheckpointPlace & { threadId: string },
  budget?: Budget,
): Promise<LoadedCheckpoint | undefined> {
  const threadId = param(place.threadId);
  const namespace = param(place.namespace ?? '');
  const selection: Selection = {
    threadId,
    namespace,
    found: sql`c AS (
  SELECT c.*, ${LOWEST} AS "lowest", ${HIGHEST} AS "highest" FROM (${checkpointAt(threadId, namespace, place.checkpointId)}) c
),`,
    versions: raw(
      `(SELECT e.key, e.value::bigint, 1::bigint FROM c, json_each_text(c."versions") e)`,
    ),
    ids: raw(`ARRAY(SELECT "checkpointId" FROM c)`),
    also: sql`${SELECT_CHECKPOINT} FROM (SELECT row_to_json(c)::text AS "checkpoint" FROM c) c`,
  };
  const { checkpoint, content } = await load(query, selection, { budget });
  return checkpoint === undefined ? undefined : { ...parseCheckpoint(checkpoint), content };
}

const LOWEST = lowestItem(raw('c."threadId"'));
const HIGHEST = highestItem(raw('c."threadId"'));

export function parseCheckpoint(json: string): { row: CheckpointRow; bounds: ItemBounds } {
  const { lowest, highest, ...row } = JSON.parse(json) as CheckpointRow & ItemBounds;
  return { row: { ...row, createdAt: new Date(row.createdAt) }, bounds: { lowest, highest } };
}

const NO_CONTENT: Content = { values: [], writes: [], items: new Map() };

/** Loads the content of checkpoints of a namespace. Throws if it is larger than the budget. */
export async function loadContent(
  query: Query,
  checkpoints: readonly CheckpointRow[],
  { budget, withWrites = true }: { budget?: Budget | undefined; withWrites?: boolean } = {},
): Promise<Content> {
  const [first] = checkpoints;
  if (!first) return NO_CONTENT;
  const versions = countUses(checkpoints);
  const ids = withWrites ? checkpoints.map(({ checkpointId }) => checkpointId) : [];
  const selection: Selection = {
    threadId: param(first.threadId),
    namespace: param(first.namespace),
    versions: sql`unnest(${versions.map(({ channel }) => channel)}::text[], ${versions.map(({ version }) => version)}::bigint[],
      ${versions.map(({ uses }) => uses)}::bigint[])`,
    ids: sql`${ids}::uuid[]`,
  };
  const { content } = await load(query, selection, { budget, takesLong: true });
  return content;
}

interface UsedVersion {
  channel: string;
  version: number;
  uses: number;
}

/** The versions of channels, and the number of checkpoints with each version. */
export function countUses(checkpoints: readonly CheckpointRow[]): UsedVersion[] {
  const used = new Map<string, UsedVersion>();
  for (const { versions } of checkpoints) {
    for (const [channel, version] of Object.entries(versions)) {
      const key = versionKey({ channel, version });
      const { uses = 0 } = used.get(key) ?? {};
      used.set(key, { channel, version: Number(version), uses: uses + 1 });
    }
  }
  return [...used.values()];
}

/** Unique per value of a namespace. */
export function versionKey({ channel, version }: { channel: string; version: number | string }) {
  return `${version} ${channel}`;
}

interface Loaded {
  content: Content;
  checkpoint: string | undefined;
}

function load(
  query: Query,
  selection: Selection,
  { budget, takesLong = false }: { budget: Budget | undefined; takesLong?: boolean },
): Promise<Loaded> {
  return readWithin(budget, async (mostBytes) => {
    const statement = loadStatement(selection, mostBytes);
    return sortOut(await query<LoadedRow>(statement, { takesLong, onlyReads: true }));
  });
}

export function sortOut(rows: readonly LoadedRow[]): Measured<Loaded> {
  const values: ValueRow[] = [];
  const writes: WriteRow[] = [];
  const items = new Map<number, ItemRow>();
  let bytes = 0;
  let checkpoint: string | undefined;
  for (const row of rows) {
    if (row.kind === 'value') values.push(withContent(row));
    else if (row.kind === 'write') writes.push(withContent(row));
    else if (row.kind === 'item') items.set(row.number, withContent(row));
    else if (row.kind === 'size') ({ bytes } = row);
    else ({ checkpoint } = row);
  }
  return { bytes, content: { content: { values, writes, items }, checkpoint } };
}

/** Loads the items of known values, and decodes the values. */
export async function loadStored(
  query: Query,
  threadId: string,
  rows: readonly StoredValue[],
): Promise<unknown[]> {
  const ranges = rows.map((row) => row.ranges ?? []).flat();
  const lowest = ranges.filter((_, i) => i % 2 === 0);
  const highest = ranges.filter((_, i) => i % 2 === 1);
  const items = await (lowest.length === 0
    ? []
    : query<Item>(
        sql`SELECT DISTINCT i.* FROM unnest(${lowest}::int[], ${highest}::int[]) AS r("lowest", "highest")
          JOIN "ChannelItem" i ON i."threadId" = ${threadId} AND i."number" BETWEEN r."lowest" AND r."highest"`,
        { onlyReads: true },
      ));
  const byNumber = new Map(items.map((item) => [item.number, item]));
  return Promise.all(rows.map((row) => loadValue(serde, byNumber, row)));
}
