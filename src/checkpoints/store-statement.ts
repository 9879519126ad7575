import { param, raw, sql, type Statement } from '../db/sql.ts';
import { appendEvents } from '../events/append.ts';
import type { Rows } from './records.ts';
import { HASH_BYTES, type SerializedValue } from './units.ts';
import type { Item, ItemBounds } from './items.ts';
import type { StoredValue } from './values.ts';

// Stores checkpoints, task writes and events of a thread in one statement: all or nothing.

/** The run id in rows of hand edits, which have no run. */
export const NO_RUN = '00000000-0000-0000-0000-000000000000';

/**
 * Ends a subquery for rows with a given key. It keeps PostgreSQL from turning the subquery into a join. The planner expects a
 * thread of average length. If most threads are short, a join would read and filter all rows of a long thread.
 */
export const BY_KEY = raw('OFFSET 0');

/** The lowest number of a thread's items, at most 0. `threadId` is an expression, or a parameter. */
export function lowestItem(threadId: unknown): Statement {
  return sql`(SELECT least(min("number"), 0) FROM "ChannelItem" i WHERE i."threadId" = ${threadId})`;
}

/** The highest number of a thread's items, at least 0. */
export function highestItem(threadId: unknown): Statement {
  return sql`(SELECT greatest(max("number"), 0) FROM "ChannelItem" i WHERE i."threadId" = ${threadId})`;
}

/** Rows of one thread and their run. */
export interface StatementContent {
  /** Parameters. */
  threadId: unknown;
  runId: unknown;
  items: readonly Item[];
  rows: Rows;
  /** The stored form of each value in the rows. */
  stored: ReadonlyMap<SerializedValue, StoredValue>;
}

/** More CTEs for a statement, and their part of its result. Each fragment begins with its comma or keyword. */
export interface Addition {
  ctes: Statement;
  columns: Statement;
  from: Statement;
}

const NOTHING: Addition = { ctes: raw(''), columns: raw(''), from: raw('') };

/** A row of the result. Without known items there is one row, and its `number` and `hash` are null. */
export interface Stored extends Pick<Item, 'hash' | 'number'>, ItemBounds {
  /** The fence held. */
  claimed: boolean;
  /** The statement has stored everything. False: the writer does not know all items of the thread. */
  stored: boolean;
  /** The number of the first event; null without events. */
  firstEvent: number | null;
}

/**
 * Stores the content if the CTE `claim` of `fence` has a row and the thread has none of the items. Only then the CTE `ready` has
 * a row.
 */
export function storeStatement(
  fence: Statement,
  content: StatementContent,
  { ctes, columns, from }: Addition = NOTHING,
): Statement {
  const { threadId, runId, rows } = content;
  return sql`WITH ${fence}, ${insertContent(content)}, ${insertCheckpoints(content)}, events AS (
  ${appendEvents(raw('ready'), { threadId, runId }, rows.events)}
)${ctes}
SELECT EXISTS (SELECT 1 FROM claim) AS "claimed", EXISTS (SELECT 1 FROM ready) AS "stored", bounds.*, known."number", known."hash",
  (SELECT min("number") FROM events) AS "firstEvent"${columns}
FROM bounds LEFT JOIN known ON true${from}`;
}

/** The rows with bytes: items, values and writes. */
function insertContent({ threadId, items, rows, stored }: StatementContent): Statement {
  const ofValues = rows.values.flatMap(({ value }) => stored.get(value) ?? []);
  const ofWrites = rows.writes.flatMap(({ value }) => stored.get(value) ?? []);
  const layout = layOut([...items, ...ofValues, ...ofWrites].map(({ value }) => value));
  const { slices } = layout;
  const bytes = param(layout.bytes);
  return sql`${insertItems({ threadId, bytes, items, slices: slices.slice(0, items.length) })}, ${insertValues(
    {
      threadId,
      bytes,
      values: rows.values,
      stored: ofValues,
      slices: slices.slice(items.length, items.length + ofValues.length),
    },
  )}, ${insertWrites({
    threadId,
    bytes,
    writes: rows.writes,
    stored: ofWrites,
    slices: slices.slice(items.length + ofValues.length),
  })}`;
}

/** A value's bytes among those of the statement. `start` counts from 1. */
interface Slice {
  start: number;
  length: number;
}

type Slices = readonly (Slice | null)[];

/**
 * All bytes of a statement as one parameter, and the slice of each value. One bytea travels in binary; an array of them would
 * travel as text of twice the size.
 */
function layOut(values: readonly StoredValue['value'][]): { bytes: Buffer; slices: Slices } {
  const pieces: Uint8Array[] = [];
  let end = 0;
  const slices = values.map((value) => {
    if (value === null) return null;
    const piece = typeof value === 'string' ? Buffer.from(value) : value;
    const start = end + 1;
    end += piece.byteLength;
    pieces.push(piece);
    return { start, length: piece.byteLength };
  });
  return { bytes: Buffer.concat(pieces), slices };
}

const startsOf = (slices: Slices) => slices.map((slice) => slice?.start ?? null);
const lengthsOf = (slices: Slices) => slices.map((slice) => slice?.length ?? null);

interface Part {
  threadId: unknown;
  bytes: unknown;
  slices: Slices;
}

/**
 * An item has a single number in its thread. The CTE `ready` stays empty if the thread already has an equal item or uses the
 * number. Then the result names the known items.
 */
function insertItems({
  threadId,
  bytes,
  items,
  slices,
}: Part & { items: readonly Item[] }): Statement {
  const hashes = Buffer.concat(items.map(({ hash }) => hash));
  return sql`fresh AS (
  SELECT f."number", substring(${hashes}::bytea, f."ordinal"::int * ${raw(`${HASH_BYTES} - ${HASH_BYTES - 1}, ${HASH_BYTES}`)}) AS "hash",
    f."type", f."start", f."length"
  FROM unnest(${items.map(({ number }) => number)}::int[], ${items.map(({ type }) => type)}::text[],
    ${startsOf(slices)}::int[], ${lengthsOf(slices)}::int[]) WITH ORDINALITY AS f("number", "type", "start", "length", "ordinal")
), known AS (
  SELECT i."number", i."hash" FROM fresh, LATERAL (SELECT "number", "hash" FROM "ChannelItem"
    WHERE "threadId" = ${threadId}::uuid AND "hash" = fresh."hash" ${BY_KEY}) i
), bounds AS (
  SELECT ${lowestItem(raw('c."threadId"'))} AS "lowest", ${highestItem(raw('c."threadId"'))} AS "highest"
  FROM (VALUES (${threadId}::uuid)) AS c("threadId")
), ready AS (
  SELECT claim."id" FROM claim, bounds WHERE NOT EXISTS (SELECT 1 FROM known)
    AND NOT EXISTS (SELECT 1 FROM fresh WHERE fresh."number" BETWEEN bounds."lowest" AND bounds."highest")
), items AS (
  INSERT INTO "ChannelItem" ("threadId", "number", "hash", "type", "value")
  SELECT ${threadId}::uuid, "number", "hash", "type", substring(${bytes}::bytea, fresh."start", fresh."length") FROM ready, fresh
  RETURNING "number"
)`;
}

function insertValues({
  threadId,
  bytes,
  values,
  stored,
  slices,
}: Part & { values: Rows['values']; stored: readonly StoredValue[] }): Statement {
  return sql`"values" AS (
  INSERT INTO "ChannelValue" ("threadId", "namespace", "channel", "version", "type", "value", "ranges")
  SELECT ${threadId}::uuid, v."namespace", v."channel", v."version", v."type", substring(${bytes}::bytea, v."start", v."length"),
    v."ranges"::int[]
  FROM ready, unnest(${values.map(({ namespace }) => namespace)}::text[], ${values.map(({ channel }) => channel)}::text[],
      ${values.map(({ version }) => version)}::bigint[], ${stored.map(({ type }) => type)}::text[], ${startsOf(slices)}::int[],
      ${lengthsOf(slices)}::int[], ${stored.map(rangesText)}::text[])
    AS v("namespace", "channel", "version", "type", "start", "length", "ranges")
  ON CONFLICT DO NOTHING RETURNING "version"
)`;
}

/** LangGraph's indexes: the first write to a channel counts; a later error, interrupt or answer replaces the earlier one. */
function insertWrites({
  threadId,
  bytes,
  writes,
  stored,
  slices,
}: Part & { writes: Rows['writes']; stored: readonly StoredValue[] }): Statement {
  return sql`writes AS (
  INSERT INTO "CheckpointWrite" ("threadId", "namespace", "checkpointId", "taskId", "index", "runId", "channel", "type", "value",
    "ranges", "taskPath")
  SELECT ${threadId}::uuid, w."namespace", w."checkpointId", w."taskId", w."index", ready."id", w."channel", w."type",
    substring(${bytes}::bytea, w."start", w."length"), w."ranges"::int[], w."taskPath"
  FROM ready, unnest(${writes.map(({ namespace }) => namespace)}::text[], ${writes.map(({ checkpointId }) => checkpointId)}::uuid[],
      ${writes.map(({ taskId }) => taskId)}::text[], ${writes.map(({ index }) => index)}::int[],
      ${writes.map(({ channel }) => channel)}::text[], ${stored.map(({ type }) => type)}::text[], ${startsOf(slices)}::int[],
      ${lengthsOf(slices)}::int[], ${stored.map(rangesText)}::text[], ${writes.map(({ taskPath }) => taskPath)}::text[])
    WITH ORDINALITY AS w("namespace", "checkpointId", "taskId", "index", "channel", "type", "start", "length", "ranges", "taskPath",
      "ordinal")
  ORDER BY w."ordinal"
  ON CONFLICT ("threadId", "namespace", "checkpointId", "taskId", "index", "runId") DO UPDATE SET
    "channel" = CASE WHEN EXCLUDED."index" < 0 THEN EXCLUDED."channel" ELSE "CheckpointWrite"."channel" END,
    "type" = CASE WHEN EXCLUDED."index" < 0 THEN EXCLUDED."type" ELSE "CheckpointWrite"."type" END,
    "value" = CASE WHEN EXCLUDED."index" < 0 THEN EXCLUDED."value" ELSE "CheckpointWrite"."value" END,
    "ranges" = CASE WHEN EXCLUDED."index" < 0 THEN EXCLUDED."ranges" ELSE "CheckpointWrite"."ranges" END
  RETURNING "index"
)`;
}

function rangesText({ ranges }: StoredValue): string | null {
  return ranges && `{${ranges.join(',')}}`;
}

/**
 * The last new checkpoint of a namespace becomes its head. LangGraph stores a checkpoint again if a run with durability "exit"
 * ends before its first step: such a checkpoint keeps its position.
 */
function insertCheckpoints({
  threadId,
  runId,
  rows: { checkpoints },
}: StatementContent): Statement {
  return sql`new AS (
  SELECT n.* FROM ready, unnest(${checkpoints.map(({ namespace }) => namespace)}::text[],
      ${checkpoints.map(({ checkpoint }) => checkpoint.id)}::uuid[], ${checkpoints.map(({ parentId }) => parentId ?? null)}::uuid[],
      ${checkpoints.map(({ metadata }) => String(metadata['source']).toUpperCase())}::text[],
      ${checkpoints.map(({ metadata }) => metadata['step'])}::int[],
      ${checkpoints.map(({ metadata }) => JSON.stringify(metadata))}::text[], ${checkpoints.map(({ checkpoint }) => checkpoint.v)}::int[],
      ${checkpoints.map(({ checkpoint }) => JSON.stringify(checkpoint.channel_versions))}::text[],
      ${checkpoints.map(({ checkpoint }) => JSON.stringify(checkpoint.versions_seen))}::text[],
      ${checkpoints.map(({ checkpoint }) => checkpoint.ts)}::timestamptz[])
    WITH ORDINALITY AS n("namespace", "id", "parentId", "source", "step", "metadata", "format", "versions", "seen", "at", "ordinal")
), head AS (
  INSERT INTO "CheckpointHead" ("threadId", "namespace", "checkpointId")
  SELECT DISTINCT ON (new."namespace") ${threadId}::uuid, new."namespace", new."id" FROM new
  WHERE NOT EXISTS (SELECT 1 FROM "Checkpoint" c
    WHERE c."threadId" = ${threadId}::uuid AND c."namespace" = new."namespace" AND c."checkpointId" = new."id" ${BY_KEY})
  ORDER BY new."namespace", new."ordinal" DESC
  ON CONFLICT ("threadId", "namespace") DO UPDATE SET "checkpointId" = EXCLUDED."checkpointId" RETURNING "namespace", "checkpointId"
), checkpoints AS (
  INSERT INTO "Checkpoint" ("threadId", "namespace", "checkpointId", "parentId", "runId", "source", "step", "metadata",
    "format", "versions", "versionsSeen", "createdAt")
  SELECT ${threadId}::uuid, new."namespace", new."id", new."parentId", NULLIF(${runId}::uuid, ${raw(`'${NO_RUN}'`)}),
    new."source"::"CheckpointSource", new."step", new."metadata"::jsonb, new."format", new."versions"::json, new."seen"::json, new."at"
  FROM new
  ORDER BY new."ordinal"
  ON CONFLICT ("threadId", "namespace", "checkpointId") DO UPDATE SET
    "metadata" = EXCLUDED."metadata", "versions" = EXCLUDED."versions", "versionsSeen" = EXCLUDED."versionsSeen"
  RETURNING "step"
)`;
}
