import type {
  ChannelVersions,
  Checkpoint,
  CheckpointMetadata,
  CheckpointPendingWrite,
  CheckpointTuple,
  SerializerProtocol,
} from '@langchain/langgraph-checkpoint';
import { TASKS, maxChannelVersion } from '@langchain/langgraph-checkpoint';
import type { Query } from '../db/query.ts';
import { compile, raw, sql } from '../db/sql.ts';
import type { CheckpointSource } from '../generated/prisma/enums.ts';
import { setKey } from '../json.ts';
import { configOf } from './address.ts';
import { inWriteOrder } from './records.ts';
import { serde } from './serde.ts';
import type { ChannelSizes, StateLimit } from './sizes.ts';
import { BY_KEY, highestItem, lowestItem } from './store-statement.ts';
import type { Item, ItemBounds, ItemNumbers, StoredItem, StoredValue } from './values.ts';
import { loadValue, sizeOfContent, storedSize } from './values.ts';

/** Fragments as text, for statements with numbered parameters. */
const BY_ROW_KEY = compile(BY_KEY).text;
const LOWEST = compile(lowestItem(raw('c."threadId"'))).text;
const HIGHEST = compile(highestItem(raw('c."threadId"'))).text;

/** A row of "Checkpoint": a state without its values. */
export interface CheckpointRow {
  threadId: string;
  namespace: string;
  checkpointId: string;
  seq: number;
  parentId: string | null;
  runId: string | null;
  source: CheckpointSource;
  step: number;
  metadata: Record<string, unknown>;
  format: number;
  versions: ChannelVersions;
  versionsSeen: Record<string, ChannelVersions>;
  createdAt: Date;
}

/** In a namespace, by default the root; without an id its newest. */
interface CheckpointPlace {
  namespace?: string | undefined;
  checkpointId?: string | null | undefined;
}

const FIND = `SELECT * FROM "Checkpoint"
  WHERE "threadId" = $1 AND "namespace" = $2 AND "checkpointId" = coalesce($3::uuid,
    (SELECT "checkpointId" FROM "CheckpointHead" WHERE "threadId" = $1 AND "namespace" = $2))`;

function placeParams(threadId: string, { namespace = '', checkpointId }: CheckpointPlace) {
  return [threadId, namespace, checkpointId ?? null];
}

/** The checkpoint with this id, or the newest of the namespace. */
export async function findCheckpoint(
  query: Query,
  threadId: string,
  place: CheckpointPlace,
): Promise<CheckpointRow | undefined> {
  const [row] = await query<CheckpointRow>(FIND, placeParams(threadId, place));
  return row;
}

interface CheckpointSearch {
  threadId?: string | undefined;
  /** Undefined: every namespace. */
  namespace?: string | undefined;
  checkpointId?: string | undefined;
  /** Only checkpoints that were stored before this one; where a namespace does not hold it, those with a lesser id. */
  before?: string | undefined;
  /** Contained in the checkpoint's metadata. */
  metadata?: Record<string, unknown> | undefined;
  limit?: number | undefined;
}

/** Checkpoints without their values, newest first. */
export function listCheckpoints(
  query: Query,
  { threadId, namespace, checkpointId, before, metadata, limit }: CheckpointSearch,
): Promise<CheckpointRow[]> {
  return query<CheckpointRow>(
    `SELECT * FROM "Checkpoint" c
     WHERE ($1::uuid IS NULL OR "threadId" = $1) AND ($2::text IS NULL OR "namespace" = $2)
       AND ($3::uuid IS NULL OR "checkpointId" = $3) AND ($5::jsonb IS NULL OR "metadata" @> $5)
       AND ($4::uuid IS NULL OR "seq" < coalesce((SELECT "seq" FROM "Checkpoint" b WHERE b."threadId" = c."threadId"
           AND b."namespace" = c."namespace" AND b."checkpointId" = $4),
         CASE WHEN "checkpointId" < $4 THEN "seq" + 1 END))
     ORDER BY "seq" DESC LIMIT $6`,
    [
      threadId ?? null,
      namespace ?? null,
      checkpointId ?? null,
      before ?? null,
      metadata && Object.keys(metadata).length > 0 ? JSON.stringify(metadata) : null,
      limit ?? null,
    ],
  );
}

/** The checkpoints that these, of one namespace, were made from. */
export function listParents(
  query: Query,
  rows: readonly CheckpointRow[],
): Promise<CheckpointRow[]> {
  const ids = rows.flatMap(({ parentId }) => parentId ?? []);
  return listByIds(query, rows[0], { column: '"checkpointId"', ids });
}

/** The checkpoints that were made from these, of one namespace, oldest first. */
export function listChildren(
  query: Query,
  rows: readonly CheckpointRow[],
): Promise<CheckpointRow[]> {
  const ids = rows.map(({ checkpointId }) => checkpointId);
  return listByIds(query, rows[0], { column: '"parentId"', ids });
}

async function listByIds(
  query: Query,
  place: CheckpointRow | undefined,
  { column, ids }: { column: '"checkpointId"' | '"parentId"'; ids: string[] },
): Promise<CheckpointRow[]> {
  if (!place || ids.length === 0) return [];
  return query<CheckpointRow>(
    `SELECT * FROM "Checkpoint" WHERE "threadId" = $1 AND "namespace" = $2 AND ${column} = ANY($3::uuid[]) ORDER BY "seq"`,
    [place.threadId, place.namespace, ids],
  );
}

/** The stored bytes that may be read, such as of an operation. */
export interface Budget {
  readonly bytesLeft: number;
  /** Counts bytes. Throws if they are more than `bytesLeft`. */
  charge(bytes: number): void;
  /** Waits until much may be read. */
  beforeLarge(): Promise<void>;
}

/** A row of what checkpoints hold: which columns it has depends on its kind. */
export interface ValueRow extends StoredValue {
  kind: 'value' | 'write' | 'item' | 'checkpoint' | 'size';
  channel: string;
  version: number;
  checkpointId: string;
  taskId: string;
  taskPath: string;
  index: number;
  runId: string;
  number: number;
  hash: Buffer;
  /** Orders writes. */
  seq: number;
  /** The value where it is JSON: bytes would come as text of twice the size. */
  text: string | null;
}

/** SQL: the columns `value` and `text` of a stored row. */
const CONTENT = `CASE WHEN "type" NOT IN ('json', 'elements') THEN "value" END AS "value",
  CASE WHEN "type" IN ('json', 'elements') THEN convert_from("value", 'UTF8') END AS "text"`;

/** What to read. */
interface Load {
  /** SQL: the channels and versions of the checkpoints, and in how many of them each stands. */
  wanted: string;
  /** SQL: the ids of the checkpoints. */
  ids: string;
  from?: string;
  also?: string;
  /** SQL: the most bytes. One more row has the size; with more bytes, nothing else is read. */
  most?: string;
}

/** A statement that reads what checkpoints of one namespace hold: an item that several of them show comes once. */
function loadStatement({ wanted, ids, from = '', also = '', most }: Load): string {
  const within = most === undefined ? '' : `WHERE (SELECT "bytes" FROM size) <= ${most}`;
  return `WITH ${from} v AS (
  SELECT v.*, wanted.uses FROM ${wanted} AS wanted(channel, version, uses), LATERAL (SELECT * FROM "ChannelValue"
    WHERE "threadId" = $1 AND "namespace" = $2 AND "channel" = wanted.channel AND "version" = wanted.version ${BY_ROW_KEY}) v
), w AS (
  SELECT w.* FROM unnest(${ids}) AS ids(id), LATERAL (SELECT * FROM "CheckpointWrite"
    WHERE "threadId" = $1 AND "namespace" = $2 AND "checkpointId" = ids.id ${BY_ROW_KEY}) w
), n AS (
  SELECT unnest(range_agg(int4range(r."ranges"[i], r."ranges"[i + 1], '[]'))) AS "range"
  FROM (SELECT "ranges" FROM v UNION ALL SELECT "ranges" FROM w) r, generate_series(1, cardinality(r."ranges"), 2) i
)${most === undefined ? '' : SIZE}
SELECT 'value' AS "kind", "channel", "version", NULL::uuid AS "checkpointId", NULL AS "taskId", NULL AS "taskPath", NULL::int AS "index", NULL::uuid AS "runId",
  "type", ${CONTENT}, "ranges", NULL::int AS "number", NULL::bytea AS "hash", NULL::bigint AS "seq" FROM v ${within}
UNION ALL SELECT 'write', "channel", NULL, "checkpointId", "taskId", "taskPath", "index", "runId", "type", ${CONTENT}, "ranges", NULL, NULL, "seq" FROM w ${within}
UNION ALL SELECT 'item', NULL, NULL, NULL, NULL, NULL, NULL, NULL, "type", ${CONTENT}, NULL, "number", "hash", NULL
  FROM n, LATERAL (SELECT * FROM "ChannelItem"
    WHERE "threadId" = $1 AND "number" >= lower(n."range") AND "number" < upper(n."range") ${BY_ROW_KEY}) i ${within}
${most === undefined ? '' : SIZE_ROW}${also}`;
}

/**
 * The bytes of all checkpoints together: a value counts for each checkpoint that shows it, and an item for each value. Adds
 * and takes away uses where ranges of items begin and end, so that each item is looked at once, whoever shows it.
 */
const SIZE = `, edges AS (
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
      WHERE "threadId" = $1 AND "number" >= parts."first" AND "number" < parts."next" ${BY_ROW_KEY}) i WHERE parts.uses > 0
  ) bytes
)`;

const SIZE_ROW = `UNION ALL SELECT 'size', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'json', NULL, NULL, NULL, NULL, NULL, "bytes" FROM size
`;

const LOAD_PAGE = {
  wanted: `unnest($3::text[], $4::bigint[], $5::bigint[])`,
  ids: `$6::uuid[]`,
};
const LOAD = loadStatement(LOAD_PAGE);
const LOAD_WITHIN = loadStatement({ ...LOAD_PAGE, most: '$7::bigint' });

/** The checkpoint itself comes as one more row, so that finding and loading it is one statement. */
const FIND_AND_LOAD_ONE = {
  from: `c AS (SELECT c.*, ${LOWEST} AS "lowest", ${HIGHEST} AS "highest" FROM (${FIND}) c),`,
  wanted: `(SELECT e.key, e.value::bigint, 1::bigint FROM c, json_each_text(c."versions") e)`,
  ids: `ARRAY(SELECT "checkpointId" FROM c)`,
  also: `UNION ALL SELECT 'checkpoint', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'json', NULL, row_to_json(c)::text, NULL, NULL, NULL, NULL
  FROM c`,
};
const FIND_AND_LOAD = loadStatement(FIND_AND_LOAD_ONE);
const FIND_AND_LOAD_WITHIN = loadStatement({ ...FIND_AND_LOAD_ONE, most: '$4::bigint' });

/** More is much, so that few operations read it at a time. */
const LARGE_BYTES = 1_048_576;

/** Runs a load statement. With a budget, throws if the rows are too large; then nothing of them was read. */
async function load(
  query: Query,
  { text, within, params }: { text: string; within: string; params: unknown[] },
  { budget, takesLong = false }: { budget: Budget | undefined; takesLong?: boolean },
): Promise<ValueRow[]> {
  if (!budget) return withContent(await query<ValueRow>(text, params, { takesLong }));
  const loadUpTo = (most: number) => query<ValueRow>(within, [...params, most], { takesLong });
  const rows = await loadUpTo(Math.min(budget.bytesLeft, LARGE_BYTES));
  const size = rows.find(({ kind }) => kind === 'size')?.seq ?? 0;
  const before = budget.bytesLeft;
  budget.charge(size);
  if (size <= LARGE_BYTES) return withContent(rows);
  await budget.beforeLarge();
  return withContent(await loadUpTo(before));
}

/** The serde for the values of a checkpoint. */
export type SerdeOf = (row: CheckpointRow) => SerializerProtocol | Promise<SerializerProtocol>;

interface LoadOptions {
  /** Learns the items that are loaded. */
  items?: ItemNumbers;
  /** Learns the sizes of the channels. */
  sizes?: StateLimit | undefined;
  serdeOf?: SerdeOf;
  /** What is loaded is charged to it. */
  budget?: Budget | undefined;
}

/** The checkpoint with this id, or the newest of the namespace, with what it holds. */
export async function findTuple(
  query: Query,
  threadId: string,
  place: CheckpointPlace,
  { items, sizes, serdeOf = () => serde, budget }: LoadOptions = {},
): Promise<CheckpointTuple | undefined> {
  const params = placeParams(threadId, place);
  const statement = { text: FIND_AND_LOAD, within: FIND_AND_LOAD_WITHIN, params };
  const rows = await load(query, statement, { budget });
  const found = rows.find(({ kind }) => kind === 'checkpoint');
  if (!found) return undefined;
  const row = parseCheckpoint(found);
  items?.learn(
    rows.filter(({ kind }) => kind === 'item'),
    row,
  );
  sizes?.learn(row, sizesOf(rows));
  const [decode] = await decodersOf(query, [row], rows);
  return decode?.(await serdeOf(row));
}

function sizesOf(rows: readonly ValueRow[]): ChannelSizes {
  const items = new Map<number, number>();
  for (const { kind, number, value } of rows)
    if (kind === 'item') items.set(number, sizeOfContent(value));
  const values = rows.filter(({ kind }) => kind === 'value');
  return new Map(
    values.map((row) => [row.channel, { version: row.version, bytes: storedSize(items, row) }]),
  );
}

/** The rows with their values in one place. */
function withContent(rows: readonly ValueRow[]): ValueRow[] {
  return rows.map((row) => ({ ...row, value: row.text ?? row.value }));
}

function parseCheckpoint({ value }: ValueRow): CheckpointRow & ItemBounds {
  const row = JSON.parse(String(value)) as CheckpointRow & ItemBounds;
  return { ...row, createdAt: new Date(row.createdAt) };
}

/** Everything that checkpoints of one namespace hold, read in one statement. */
export async function readTuples(
  query: Query,
  checkpoints: readonly CheckpointRow[],
  budget?: Budget,
): Promise<DecodeTuple[]> {
  if (checkpoints.length === 0) return [];
  return decodersOf(query, checkpoints, await readRows(query, checkpoints, budget));
}

/** The rows of everything that checkpoints of one namespace hold. */
export async function readRows(
  query: Query,
  checkpoints: readonly CheckpointRow[],
  budget?: Budget,
): Promise<ValueRow[]> {
  const [first] = checkpoints;
  if (!first) return [];
  const wanted = new Map<string, { channel: string; version: number; uses: number }>();
  for (const { versions } of checkpoints) {
    for (const [channel, version] of Object.entries(versions)) {
      const key = `${version} ${channel}`;
      const { uses = 0 } = wanted.get(key) ?? {};
      wanted.set(key, { channel, version: Number(version), uses: uses + 1 });
    }
  }
  const channels = [...wanted.values()];
  const params = [
    first.threadId,
    first.namespace,
    channels.map(({ channel }) => channel),
    channels.map(({ version }) => version),
    channels.map(({ uses }) => uses),
    checkpoints.map(({ checkpointId }) => checkpointId),
  ];
  const statement = { text: LOAD, within: LOAD_WITHIN, params };
  return load(query, statement, { budget, takesLong: true });
}

/** The values of rows of a thread, as they were before they were stored. */
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
      ));
  const byNumber = new Map(items.map((item) => [item.number, item]));
  return Promise.all(rows.map((row) => loadValue(serde, byNumber, row)));
}

/** The same, decoded once. */
export async function loadTuples(
  query: Query,
  checkpoints: readonly CheckpointRow[],
  by: SerializerProtocol = serde,
): Promise<CheckpointTuple[]> {
  const tuples = await readTuples(query, checkpoints);
  return Promise.all(tuples.map((decode) => decode(by)));
}

/** Decodes a checkpoint into new objects: no two results share one. */
export type DecodeTuple = (by: SerializerProtocol) => Promise<CheckpointTuple>;

async function decodersOf(
  query: Query,
  checkpoints: readonly CheckpointRow[],
  rows: readonly ValueRow[],
): Promise<DecodeTuple[]> {
  const sends = await readSends(query, checkpoints);
  const items = new Map<number, StoredItem>();
  const values = new Map<string, ValueRow>();
  const writes: ValueRow[] = [];
  for (const row of rows) {
    if (row.kind === 'item') items.set(row.number, { type: row.type, value: row.value });
    else if (row.kind === 'value') values.set(`${row.version} ${row.channel}`, row);
    else if (row.kind === 'write') writes.push(row);
  }
  const writesOf = (id: string) => writes.filter(({ checkpointId }) => checkpointId === id);
  return checkpoints.map((row) => async (by) => ({
    config: configOf(row.threadId, row.namespace, row.checkpointId),
    checkpoint: withSends(await sends.get(row.parentId ?? '')?.(by), {
      v: row.format,
      id: row.checkpointId,
      ts: row.createdAt.toISOString(),
      channel_values: await loadChannels(row.versions, values, { by, items }),
      channel_versions: { ...row.versions },
      versions_seen: structuredClone(row.versionsSeen),
    }),
    metadata: structuredClone(row.metadata) as unknown as CheckpointMetadata,
    pendingWrites: await pendingWrites(writesOf(row.checkpointId), { by, items }),
    ...(row.parentId && { parentConfig: configOf(row.threadId, row.namespace, row.parentId) }),
  }));
}

interface Decoding {
  by: SerializerProtocol;
  items: ReadonlyMap<number, StoredItem>;
}

async function loadChannels(
  versions: ChannelVersions,
  values: ReadonlyMap<string, ValueRow>,
  { by, items }: Decoding,
): Promise<Record<string, unknown>> {
  const channels: Record<string, unknown> = {};
  for (const [channel, version] of Object.entries(versions)) {
    const row = values.get(`${version} ${channel}`);
    if (row) setKey(channels, channel, await loadValue(by, items, row));
  }
  return channels;
}

/** Since this format, a checkpoint itself holds what was sent to the nodes of its next step; before, its parent's writes do. */
const SENDS_FORMAT = 4;

async function readSends(
  query: Query,
  checkpoints: readonly CheckpointRow[],
): Promise<Map<string, (by: SerializerProtocol) => Promise<unknown[]>>> {
  const old = checkpoints.filter(({ format, parentId }) => format < SENDS_FORMAT && parentId);
  const rows = await listParents(query, old);
  // What was sent to the parents themselves is not asked for.
  const parents = await readTuples(
    query,
    rows.map((row) => ({ ...row, format: SENDS_FORMAT })),
  );
  return new Map(
    parents.map((decode, i) => [
      String(rows[i]?.checkpointId),
      async (by) => sendsIn(await decode(by)),
    ]),
  );
}

function sendsIn({ pendingWrites = [] }: CheckpointTuple): unknown[] {
  return pendingWrites.filter(([, channel]) => channel === TASKS).map(([, , value]) => value);
}

function withSends(sends: unknown[] | undefined, checkpoint: Checkpoint): Checkpoint {
  if (!sends || checkpoint.v >= SENDS_FORMAT) return checkpoint;
  const versions = Object.values(checkpoint.channel_versions);
  return {
    ...checkpoint,
    channel_values: { ...checkpoint.channel_values, [TASKS]: sends },
    channel_versions: {
      ...checkpoint.channel_versions,
      [TASKS]: versions.length > 0 ? maxChannelVersion(...versions) : 1,
    },
  };
}

async function pendingWrites(
  found: readonly ValueRow[],
  { by, items }: Decoding,
): Promise<CheckpointPendingWrite[]> {
  return Promise.all(
    orderWrites(found).map(async (row): Promise<CheckpointPendingWrite> => [
      row.taskId,
      row.channel,
      await loadValue(by, items, row),
    ]),
  );
}

/**
 * The writes on a checkpoint that count. What a task wrote to channels is what it wrote when it last ran; of an error, an
 * interrupt and an answer the newest counts. LangGraph applies writes in the order of its sort key.
 */
export function orderWrites(found: readonly ValueRow[]): ValueRow[] {
  const rows = found.toSorted((a, b) => a.seq - b.seq);
  const lastRuns = new Map(
    rows.filter(({ index }) => index >= 0).map(({ taskId, runId }) => [taskId, runId]),
  );
  const newest = new Map<string, ValueRow | undefined>();
  for (const row of rows) {
    const counts = row.index < 0 || row.runId === lastRuns.get(row.taskId);
    const key = `${row.index} ${row.taskId}`;
    newest.set(key, counts ? row : newest.get(key));
  }
  const shown = Array.from(newest.values()).filter((row) => row !== undefined);
  return inWriteOrder(shown);
}
