import type {
  ChannelVersions,
  Checkpoint,
  CheckpointMetadata,
  CheckpointPendingWrite,
  CheckpointTuple,
} from '@langchain/langgraph-checkpoint';
import { TASKS, maxChannelVersion } from '@langchain/langgraph-checkpoint';
import type { Query } from '../db/open.ts';
import { appendEvents, eventColumns, type PendingEvent } from '../events/log.ts';
import type { CheckpointSource } from '../generated/prisma/enums.ts';
import { serde } from './serde.ts';
import type { Item, ItemBounds, ItemNumbers, SerializedValue, StoredValue } from './values.ts';
import { loadValue, storedValue } from './values.ts';

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

/** Which run's attempt writes; a write by an attempt that has lost its claim stores nothing. Null: an edit by hand. */
export type Fence = { runId: string; claimToken: string } | null;

export interface NewCheckpoint {
  threadId: string;
  namespace: string;
  parentId: string | undefined;
  checkpoint: Checkpoint;
  metadata: Record<string, unknown>;
  /** The channels that have a new version, with its value. */
  values: { channel: string; version: number; value: SerializedValue }[];
}

/** What a task wrote on top of a checkpoint. */
export interface NewWrites {
  threadId: string;
  namespace: string;
  checkpointId: string;
  taskId: string;
  writes: { index: number; channel: string; value: SerializedValue }[];
}

/** An edit by hand has no run: its write rows carry this one. */
const NO_RUN = '00000000-0000-0000-0000-000000000000';

/**
 * Ends a subquery that looks up rows by a whole key: it is not turned into a join. A plan is made for a thread as long as
 * most, and where those are short, the planner reads all that a thread has and sifts it.
 */
const BY_KEY = 'OFFSET 0';

// ── Writing ──────────────────────────────────────────────────────────────────────────────────

// FOR KEY SHARE makes the fence a lock: a claim, which takes the run's row FOR UPDATE, waits for a statement that
// is under way, and a statement that comes later finds another token, or none once the run has ended.
const CLAIM = `claim AS (
  SELECT "id" FROM "Run" WHERE "id" = $1::uuid AND "claimToken" = $2::uuid FOR KEY SHARE)`;
const NO_CLAIM = `claim AS (SELECT $1::uuid AS "id" WHERE $2::uuid IS NULL)`;

/** Of the numbers of the items of thread c."threadId". */
const LOWEST = `(SELECT least(min("number"), 0) FROM "ChannelItem" i WHERE i."threadId" = c."threadId")`;
const HIGHEST = `(SELECT greatest(max("number"), 0) FROM "ChannelItem" i WHERE i."threadId" = c."threadId")`;

// An item has one number in its thread. Where the writer did not know one that is stored, or a number that is given,
// nothing is stored and the writer is told.
const INSERT_ITEMS = `fresh AS (
  SELECT * FROM unnest($4::int[], $5::bytea[], $6::text[], $7::bytea[]) AS f("number", "hash", "type", "value")
), known AS (
  SELECT "number", "hash" FROM "ChannelItem" WHERE "threadId" = $3::uuid AND "hash" = ANY($5::bytea[])
), bounds AS (
  SELECT ${LOWEST} AS "lowest", ${HIGHEST} AS "highest" FROM (VALUES ($3::uuid)) AS c("threadId")
), ready AS (
  SELECT claim."id" FROM claim, bounds WHERE NOT EXISTS (SELECT 1 FROM known)
    AND NOT EXISTS (SELECT 1 FROM fresh WHERE fresh."number" BETWEEN bounds."lowest" AND bounds."highest")
), items AS (
  INSERT INTO "ChannelItem" ("threadId", "number", "hash", "type", "value") SELECT $3::uuid, fresh.* FROM ready, fresh
  RETURNING "number")`;

const INSERT_VALUES = `"values" AS (
  INSERT INTO "ChannelValue" ("threadId", "namespace", "channel", "version", "type", "value", "ranges")
  SELECT $3::uuid, v.namespace, v.channel, v.version, v.type, v.value, v.ranges::int[] FROM ready,
    unnest($8::text[], $9::text[], $10::bigint[], $11::text[], $12::bytea[], $13::text[])
      AS v(namespace, channel, version, type, value, ranges)
  ON CONFLICT DO NOTHING RETURNING "version")`;

// LangGraph's indexes: a channel write counts once; an error, an interrupt and an answer replace the one before.
const INSERT_WRITES = `writes AS (
  INSERT INTO "CheckpointWrite" ("threadId", "namespace", "checkpointId", "taskId", "index", "runId", "channel", "type", "value", "ranges")
  SELECT $3::uuid, w.namespace, w.checkpoint, w.task, w.index, ready."id", w.channel, w.type, w.value, w.ranges::int[] FROM ready,
    unnest($14::text[], $15::uuid[], $16::text[], $17::int[], $18::text[], $19::text[], $20::bytea[], $21::text[])
      WITH ORDINALITY AS w(namespace, checkpoint, task, index, channel, type, value, ranges, place)
  ORDER BY w.place
  ON CONFLICT ("threadId", "namespace", "checkpointId", "taskId", "index", "runId") DO UPDATE SET
    "channel" = CASE WHEN EXCLUDED."index" < 0 THEN EXCLUDED."channel" ELSE "CheckpointWrite"."channel" END,
    "type" = CASE WHEN EXCLUDED."index" < 0 THEN EXCLUDED."type" ELSE "CheckpointWrite"."type" END,
    "value" = CASE WHEN EXCLUDED."index" < 0 THEN EXCLUDED."value" ELSE "CheckpointWrite"."value" END,
    "ranges" = CASE WHEN EXCLUDED."index" < 0 THEN EXCLUDED."ranges" ELSE "CheckpointWrite"."ranges" END
  RETURNING "index")`;

// LangGraph stores a checkpoint again where a run with durability "exit" ends before its first step: it stays where it is.
const INSERT_CHECKPOINTS = `new AS (
  SELECT n.* FROM ready, unnest($22::text[], $23::uuid[], $24::uuid[], $25::text[], $26::int[], $27::text[], $28::int[],
      $29::text[], $30::text[], $31::timestamptz[])
    WITH ORDINALITY AS n(namespace, id, parent, source, step, metadata, format, versions, seen, at, place)
), head AS (
  INSERT INTO "CheckpointHead" ("threadId", "namespace", "checkpointId")
  SELECT DISTINCT ON (new.namespace) $3::uuid, new.namespace, new.id FROM new
  WHERE NOT EXISTS (SELECT 1 FROM "Checkpoint" c
    WHERE c."threadId" = $3::uuid AND c."namespace" = new.namespace AND c."checkpointId" = new.id ${BY_KEY})
  ORDER BY new.namespace, new.place DESC
  ON CONFLICT ("threadId", "namespace") DO UPDATE SET "checkpointId" = EXCLUDED."checkpointId" RETURNING "namespace", "checkpointId"
), checkpoints AS (
  INSERT INTO "Checkpoint" ("threadId", "namespace", "checkpointId", "parentId", "runId", "source", "step", "metadata",
    "format", "versions", "versionsSeen", "createdAt")
  SELECT $3::uuid, new.namespace, new.id, new.parent, NULLIF($1::uuid, '${NO_RUN}'), new.source::"CheckpointSource", new.step,
    new.metadata::jsonb, new.format, new.versions::json, new.seen::json, new.at FROM new
  ORDER BY new.place
  ON CONFLICT ("threadId", "namespace", "checkpointId") DO UPDATE SET
    "metadata" = EXCLUDED."metadata", "versions" = EXCLUDED."versions", "versionsSeen" = EXCLUDED."versionsSeen"
  RETURNING "step")`;

// What is told is stored with what is put, so that whoever reads an event finds the checkpoint that it shows.
const INSERT_EVENTS = `events AS (${appendEvents('ready', { threadId: '$3', runId: '$1', columns: 32 })})`;

/** The number of the first parameter that a store statement leaves to whoever extends it. */
export const FIRST_FREE_PARAM = 37;

/**
 * A statement that stores checkpoints and writes of one thread, and events of its run, where the CTE `claim` has a row: all or
 * none. Only then, `ready` has one. `also`: more CTEs, and what they add to the result.
 */
export function storeStatement(claim: string, also = { ctes: '', columns: '', from: '' }): string {
  return `WITH ${claim}, ${INSERT_ITEMS}, ${INSERT_VALUES}, ${INSERT_WRITES}, ${INSERT_CHECKPOINTS}, ${INSERT_EVENTS}${also.ctes}
SELECT EXISTS (SELECT 1 FROM claim) AS "claimed", EXISTS (SELECT 1 FROM ready) AS "stored", bounds.*, known."number", known."hash",
  (SELECT min("number") FROM events) AS "firstEvent"${also.columns}
FROM bounds LEFT JOIN known ON true${also.from}`;
}

/** What a statement says that has stored something. */
export interface Stored extends Pick<Item, 'hash' | 'number'>, ItemBounds {
  claimed: boolean;
  stored: boolean;
  /** The number of the first event; null where there was none. */
  firstEvent: number | null;
}

const STORE_FENCED = storeStatement(CLAIM);
const STORE_BY_HAND = storeStatement(NO_CLAIM);

/** Which thread is written to, by whom, and the numbers that its items have. */
export interface StoringBy {
  threadId: string;
  fence: Fence;
  items: ItemNumbers;
}

/** What one statement stores. */
export interface Storable {
  /** Of one thread, in their order; the last new checkpoint of a namespace becomes its head. */
  records: readonly (NewCheckpoint | NewWrites)[];
  /** Of the run whose claim is the fence. */
  events?: readonly PendingEvent[];
}

/** Stores checkpoints, writes and events, all or none. Undefined, with nothing stored, when the claim is lost. */
export function store(
  query: Query,
  by: StoringBy,
  storable: Storable,
): Promise<Stored | undefined> {
  const claim = by.fence ? [by.fence.runId, by.fence.claimToken] : [NO_RUN, null];
  return storeBy(by, storable, (params) =>
    query<Stored>(by.fence ? STORE_FENCED : STORE_BY_HAND, [...claim, ...params]),
  );
}

/** Does it with a statement of the caller's, made by `storeStatement`, whose first two parameters are not in `params`. */
export async function storeBy<Result extends Stored>(
  { threadId, items }: Pick<StoringBy, 'threadId' | 'items'>,
  { records, events = [] }: Storable,
  run: (params: unknown[]) => Promise<Result[]>,
): Promise<Result | undefined> {
  const checkpoints = lastOfEach(
    records.flatMap((record) => ('checkpoint' in record ? record : [])),
  );
  const writes = countedWrites(records.flatMap((record) => ('writes' in record ? record : [])));
  const values = checkpoints.flatMap(({ namespace, values: own }) =>
    own.map((value) => ({ namespace, ...value })),
  );
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const stored = storedValues(items, records);
    const fresh = items.takeNew();
    const rows = await run([
      threadId,
      ...itemColumns(fresh),
      values.map(({ namespace }) => namespace),
      values.map(({ channel }) => channel),
      values.map(({ version }) => version),
      ...valueColumns(values, stored),
      writes.map(({ namespace }) => namespace),
      writes.map(({ checkpointId }) => checkpointId),
      writes.map(({ taskId }) => taskId),
      writes.map(({ index }) => index),
      writes.map(({ channel }) => channel),
      ...valueColumns(writes, stored),
      ...checkpointColumns(checkpoints),
      ...eventColumns(events),
    ]).catch((error: unknown) => {
      items.forget(fresh);
      throw error;
    });
    const [result] = rows;
    if (result?.stored) return result;
    items.forget(fresh);
    if (!result?.claimed) return undefined;
    const known = rows.filter(({ number }) => number !== null);
    items.learn(known, result);
  }
  throw new Error('The items of a thread changed while one was stored.');
}

/** Of a write that the thread knows an item of: learning them once is enough, unless somebody else writes. */
const ATTEMPTS = 3;

/** One statement cannot store a row twice. Each checkpoint as it came last, where it came first. */
function lastOfEach(checkpoints: NewCheckpoint[]): NewCheckpoint[] {
  const last = new Map<string, NewCheckpoint>();
  for (const each of checkpoints) {
    const key = `${each.checkpoint.id} ${each.namespace}`;
    const values = [...(last.get(key)?.values ?? []), ...each.values];
    last.set(key, { ...each, values });
  }
  return [...last.values()];
}

/** Of writes with one place, the one that counts. */
function countedWrites(records: NewWrites[]) {
  const counted = new Map<string, Omit<NewWrites, 'writes'> & NewWrites['writes'][number]>();
  for (const { writes, ...task } of records) {
    for (const write of writes) {
      const key = `${task.checkpointId} ${task.taskId} ${write.index} ${task.namespace}`;
      if (write.index < 0 || !counted.has(key)) counted.set(key, { ...task, ...write });
    }
  }
  return [...counted.values()];
}

/** What to store for each value. Items are numbered in the order of the records, so that it does not matter which come together. */
function storedValues(
  items: ItemNumbers,
  records: readonly (NewCheckpoint | NewWrites)[],
): Map<SerializedValue, StoredValue> {
  return new Map(
    records.flatMap((record) =>
      'values' in record
        ? record.values.map(({ value }) => [value, storedValue(items, value, 'channel')] as const)
        : record.writes.map(({ value }) => [value, storedValue(items, value, 'write')] as const),
    ),
  );
}

function valueColumns(
  rows: readonly { value: SerializedValue }[],
  stored: ReadonlyMap<SerializedValue, StoredValue>,
): unknown[] {
  const found = rows.flatMap(({ value }) => stored.get(value) ?? []);
  return [
    found.map(({ type }) => type),
    found.map(
      ({ value }) => value && Buffer.from(value.buffer, value.byteOffset, value.byteLength),
    ),
    found.map(({ ranges }) => ranges && `{${ranges.join(',')}}`),
  ];
}

function checkpointColumns(checkpoints: NewCheckpoint[]): unknown[] {
  return [
    checkpoints.map(({ namespace }) => namespace),
    checkpoints.map(({ checkpoint }) => checkpoint.id),
    checkpoints.map(({ parentId }) => parentId ?? null),
    checkpoints.map(({ metadata }) => String(metadata['source']).toUpperCase()),
    checkpoints.map(({ metadata }) => metadata['step']),
    checkpoints.map(({ metadata }) => JSON.stringify(metadata)),
    checkpoints.map(({ checkpoint }) => checkpoint.v),
    checkpoints.map(({ checkpoint }) => JSON.stringify(checkpoint.channel_versions)),
    checkpoints.map(({ checkpoint }) => JSON.stringify(checkpoint.versions_seen)),
    checkpoints.map(({ checkpoint }) => checkpoint.ts),
  ];
}

function itemColumns(items: Item[]): unknown[] {
  return [
    items.map(({ number }) => number),
    items.map(({ hash }) => hash),
    items.map(({ type }) => type),
    items.map(({ value }) => Buffer.from(value.buffer, value.byteOffset, value.byteLength)),
  ];
}

// ── Reading ──────────────────────────────────────────────────────────────────────────────────

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

interface ValueRow extends StoredValue {
  kind: 'value' | 'write' | 'item' | 'checkpoint';
  channel: string;
  version: number;
  checkpointId: string;
  taskId: string;
  index: number;
  runId: string;
  number: number;
  hash: Buffer;
}

/** A statement that reads what checkpoints of one namespace hold: an item that several of them show comes once. */
function loadStatement({
  wanted,
  ids,
  from = '',
  also = '',
}: {
  wanted: string;
  ids: string;
  from?: string;
  also?: string;
}): string {
  return `WITH ${from} v AS (
  SELECT v.* FROM ${wanted} AS wanted(channel, version), LATERAL (SELECT * FROM "ChannelValue"
    WHERE "threadId" = $1 AND "namespace" = $2 AND "channel" = wanted.channel AND "version" = wanted.version ${BY_KEY}) v
), w AS (
  SELECT w.* FROM unnest(${ids}) AS ids(id), LATERAL (SELECT * FROM "CheckpointWrite"
    WHERE "threadId" = $1 AND "namespace" = $2 AND "checkpointId" = ids.id ${BY_KEY}) w
), n AS (
  SELECT unnest(range_agg(int4range(r."ranges"[i], r."ranges"[i + 1], '[]'))) AS "range"
  FROM (SELECT "ranges" FROM v UNION ALL SELECT "ranges" FROM w) r, generate_series(1, cardinality(r."ranges"), 2) i
)
SELECT 'value' AS "kind", "channel", "version", NULL::uuid AS "checkpointId", NULL AS "taskId", NULL::int AS "index", NULL::uuid AS "runId",
  "type", "value", "ranges", NULL::int AS "number", NULL::bytea AS "hash", NULL::bigint AS "seq" FROM v
UNION ALL SELECT 'write', "channel", NULL, "checkpointId", "taskId", "index", "runId", "type", "value", "ranges", NULL, NULL, "seq" FROM w
UNION ALL SELECT 'item', NULL, NULL, NULL, NULL, NULL, NULL, i."type", i."value", NULL, i."number", i."hash", NULL
  FROM n, LATERAL (SELECT * FROM "ChannelItem"
    WHERE "threadId" = $1 AND "number" >= lower(n."range") AND "number" < upper(n."range") ${BY_KEY}) i
${also} ORDER BY "seq"`;
}

const LOAD = loadStatement({
  wanted: `unnest($3::text[], $4::bigint[])`,
  ids: `$5::uuid[]`,
});

/** The checkpoint itself comes as one more row, so that finding and loading it is one statement. */
const FIND_AND_LOAD = loadStatement({
  from: `c AS (SELECT c.*, ${LOWEST} AS "lowest", ${HIGHEST} AS "highest" FROM (${FIND}) c),`,
  wanted: `(SELECT e.key, e.value::bigint FROM c, json_each_text(c."versions") e)`,
  ids: `ARRAY(SELECT "checkpointId" FROM c)`,
  also: `UNION ALL SELECT 'checkpoint', NULL, NULL, NULL, NULL, NULL, NULL, 'json', convert_to(row_to_json(c)::text, 'UTF8'), NULL, NULL, NULL, NULL
  FROM c`,
});

/** The checkpoint with this id, or the newest of the namespace, with what it holds. */
export async function findTuple(
  query: Query,
  threadId: string,
  place: CheckpointPlace,
  items?: ItemNumbers,
): Promise<CheckpointTuple | undefined> {
  const rows = await query<ValueRow>(FIND_AND_LOAD, placeParams(threadId, place));
  const found = rows.find(({ kind }) => kind === 'checkpoint');
  if (!found) return undefined;
  const row = parseCheckpoint(found);
  items?.learn(
    rows.filter(({ kind }) => kind === 'item'),
    row,
  );
  const [tuple] = await toTuples(query, [row], rows);
  return tuple;
}

function parseCheckpoint({ value }: ValueRow): CheckpointRow & ItemBounds {
  const row = JSON.parse(Buffer.from(value ?? []).toString()) as CheckpointRow & ItemBounds;
  return { ...row, createdAt: new Date(row.createdAt) };
}

/** Everything that checkpoints of one namespace hold, read in one statement and decoded once. */
export async function loadTuples(
  query: Query,
  checkpoints: readonly CheckpointRow[],
): Promise<CheckpointTuple[]> {
  const [first] = checkpoints;
  if (!first) return [];
  const wanted = new Map<string, [channel: string, version: number]>();
  for (const { versions } of checkpoints) {
    for (const [channel, version] of Object.entries(versions)) {
      wanted.set(`${version} ${channel}`, [channel, Number(version)]);
    }
  }
  const params = [
    first.threadId,
    first.namespace,
    Array.from(wanted.values(), ([channel]) => channel),
    Array.from(wanted.values(), ([, version]) => version),
    checkpoints.map(({ checkpointId }) => checkpointId),
  ];
  const rows = await query<ValueRow>(LOAD, params, { takesLong: true });
  return toTuples(query, checkpoints, rows);
}

async function toTuples(
  query: Query,
  checkpoints: readonly CheckpointRow[],
  rows: readonly ValueRow[],
): Promise<CheckpointTuple[]> {
  const sends = await loadSends(query, checkpoints);
  const decoded = new Map<number, unknown>();
  const itemRows = rows.filter(({ kind }) => kind === 'item');
  await Promise.all(
    itemRows.map(async (row) => {
      decoded.set(row.number, await serde.loadsTyped(row.type, row.value ?? new Uint8Array()));
    }),
  );
  const values = new Map<string, unknown>();
  const writes = new Map<string, ValueRow[]>();
  for (const row of rows) {
    if (row.kind === 'value') {
      values.set(`${row.version} ${row.channel}`, await loadValue(serde, decoded, row));
    } else if (row.kind === 'write') {
      writes.set(row.checkpointId, [...(writes.get(row.checkpointId) ?? []), row]);
    }
  }

  return Promise.all(
    checkpoints.map(async (row) => ({
      config: configOf(row.threadId, row.namespace, row.checkpointId),
      checkpoint: withSends(sends.get(row.parentId ?? ''), {
        v: row.format,
        id: row.checkpointId,
        ts: row.createdAt.toISOString(),
        channel_values: pickValues(row.versions, values),
        channel_versions: row.versions,
        versions_seen: row.versionsSeen,
      }),
      metadata: row.metadata as unknown as CheckpointMetadata,
      pendingWrites: await pendingWrites(writes.get(row.checkpointId) ?? [], decoded),
      ...(row.parentId && { parentConfig: configOf(row.threadId, row.namespace, row.parentId) }),
    })),
  );
}

/** Since this format, a checkpoint itself holds what was sent to the nodes of its next step; before, its parent's writes do. */
const SENDS_FORMAT = 4;

async function loadSends(
  query: Query,
  checkpoints: readonly CheckpointRow[],
): Promise<Map<string, unknown[]>> {
  const old = checkpoints.filter(({ format, parentId }) => format < SENDS_FORMAT && parentId);
  const rows = await listParents(query, old);
  // What was sent to the parents themselves is not asked for.
  const parents = await loadTuples(
    query,
    rows.map((row) => ({ ...row, format: SENDS_FORMAT })),
  );
  return new Map(
    parents.map(({ checkpoint, pendingWrites = [] }) => [
      checkpoint.id,
      pendingWrites.filter(([, channel]) => channel === TASKS).map(([, , value]) => value),
    ]),
  );
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

function configOf(threadId: string, namespace: string, checkpointId: string) {
  return {
    configurable: { thread_id: threadId, checkpoint_ns: namespace, checkpoint_id: checkpointId },
  };
}

function pickValues(versions: ChannelVersions, values: ReadonlyMap<string, unknown>) {
  const picked: Record<string, unknown> = {};
  for (const [channel, version] of Object.entries(versions)) {
    const key = `${version} ${channel}`;
    if (values.has(key)) picked[channel] = values.get(key);
  }
  return picked;
}

/**
 * What a task wrote to channels is what it wrote when it last ran; of an error, an interrupt and an answer the newest
 * counts. Each stands where the task's first row of that index does. Rows come ordered by seq.
 */
async function pendingWrites(
  rows: readonly ValueRow[],
  items: ReadonlyMap<number, unknown>,
): Promise<CheckpointPendingWrite[]> {
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
  return Promise.all(
    shown.map(async (row): Promise<CheckpointPendingWrite> => [
      row.taskId,
      row.channel,
      await loadValue(serde, items, row),
    ]),
  );
}
