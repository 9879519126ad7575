import { TASKS } from '@langchain/langgraph-checkpoint';
import type { Query } from '../db/query.ts';
import { param, raw, sql } from '../db/sql.ts';
import { isRecord } from '../json.ts';
import { readWithin, type Budget } from './budget.ts';
import { toNumbers } from './decode.ts';
import type { CheckpointRow } from './find.ts';
import { versionKey } from './load.ts';
import { NULL_TASK_ID } from './new-records.ts';
import { BY_KEY } from './store-statement.ts';
import { ELEMENTS, PART } from './units.ts';

// Reads what decides about the nodes of a step: the channels that start nodes, without the content of large values.

/** The beginning of the stored bytes of a value or of an item. */
export interface Head {
  type: string;
  /** Null for a value in items. */
  head: Buffer | null;
  /** The number of all bytes. */
  bytes: number;
}

/** A value of a channel. */
export interface ControlValue extends Head {
  ranges: number[] | null;
}

/** A write on top of a checkpoint that may change its next nodes. */
export interface ControlWrite extends ControlValue {
  checkpointId: string;
  taskId: string;
  channel: string;
  runId: string;
  index: number;
}

export interface Control {
  /** By `versionKey`. */
  values: ReadonlyMap<string, ControlValue>;
  /** The items of Sends and of the values with `isDeep`, by number. */
  items: ReadonlyMap<number, Head>;
  writes: readonly ControlWrite[];
}

/** A value to read. */
export interface ControlChannel {
  channel: string;
  version: number | string;
  /** Also the items of the value. */
  isDeep: boolean;
}

/** A value of a few names and a Send up to its arguments have fewer bytes. */
const HEAD_BYTES = 512;

/** Writes of tasks that do not end the task. Answers do not count: see StateReader. */
const NOT_WRITTEN = ['__error__', '__interrupt__', '__scheduled__', '__resume__'];

interface ControlRow extends ControlWrite {
  kind: 'value' | 'item' | 'write';
  version: number;
  number: number;
  /** The bytes of the heads of all rows. */
  total: number;
}

/**
 * Reads channels of checkpoints of one namespace, in one statement. `current`: the writes of all tasks on top of the checkpoints;
 * otherwise only those of a client's command.
 */
export async function readControl(
  query: Query,
  checkpoints: readonly CheckpointRow[],
  {
    channels,
    current,
    budget,
  }: { channels: readonly ControlChannel[]; current: boolean; budget: Budget | undefined },
): Promise<Control> {
  const threadId = param(checkpoints[0]?.threadId);
  const namespace = param(checkpoints[0]?.namespace);
  const ids = checkpoints.map(({ checkpointId }) => checkpointId);
  return readWithin(budget, async (mostBytes = Number.MAX_SAFE_INTEGER) => {
    const rows = await query<ControlRow>(
      sql`WITH v AS (
  SELECT v.*, wanted."isDeep" FROM unnest(${channels.map(({ channel }) => channel)}::text[],
    ${channels.map(({ version }) => Number(version))}::bigint[], ${channels.map(({ isDeep }) => isDeep)}::boolean[])
    AS wanted("channel", "version", "isDeep"), LATERAL (SELECT * FROM "ChannelValue" WHERE "threadId" = ${threadId}::uuid
      AND "namespace" = ${namespace} AND "channel" = wanted."channel" AND "version" = wanted."version" ${BY_KEY}) v
), w AS (
  SELECT w.* FROM unnest(${ids}::uuid[]) AS ids(id), LATERAL (SELECT * FROM "CheckpointWrite" WHERE "threadId" = ${threadId}::uuid
    AND "namespace" = ${namespace} AND "checkpointId" = ids.id ${BY_KEY}) w
  WHERE w."channel" <> ALL(${NOT_WRITTEN}::text[]) AND (${current}::boolean OR w."taskId" = ${NULL_TASK_ID})
), n AS (
  SELECT unnest(range_agg(int4range(r."ranges"[i], r."ranges"[i + 1], '[]'))) AS "range"
  FROM (SELECT "ranges" FROM v WHERE "isDeep" UNION ALL SELECT "ranges" FROM w WHERE "channel" = ${TASKS}) r,
    generate_series(1, cardinality(r."ranges"), 2) i
)
SELECT "kind", "channel", "version", "number", "checkpointId", "taskId", "index", "runId", "type", "ranges", "bytes", "total",
  CASE WHEN "total" <= ${mostBytes}::bigint THEN "head" END AS "head"
FROM (SELECT *, coalesce(sum(octet_length("head")) OVER (), 0)::bigint AS "total" FROM (
  SELECT 'value' AS "kind", "channel", "version", NULL::int AS "number", NULL::uuid AS "checkpointId", NULL AS "taskId",
    NULL::int AS "index", NULL::uuid AS "runId", "type", "ranges", ${HEAD} FROM v
  UNION ALL SELECT 'write', "channel", NULL, NULL, "checkpointId", "taskId", "index", "runId", "type", "ranges", ${HEAD} FROM w
  UNION ALL SELECT 'item', NULL, NULL, "number", NULL, NULL, NULL, NULL, "type", NULL, ${HEAD}
    FROM n, LATERAL (SELECT * FROM "ChannelItem" WHERE "threadId" = ${threadId}::uuid
      AND "number" >= lower(n."range") AND "number" < upper(n."range") ${BY_KEY}) i) heads) heads`,
      { onlyReads: true },
    );
    return { bytes: rows[0]?.total ?? 0, content: sortOut(rows) };
  });
}

/** An item with several small elements comes as a whole. */
const HEAD = raw(`coalesce(octet_length("value"), 0) AS "bytes",
    CASE WHEN "type" = '${ELEMENTS}' THEN "value" ELSE substring("value" FOR ${HEAD_BYTES}) END AS "head"`);

function sortOut(rows: readonly ControlRow[]): Control {
  const of = (kind: ControlRow['kind']) => rows.filter((row) => row.kind === kind);
  return {
    values: new Map(of('value').map((row) => [versionKey(row), row])),
    items: new Map(of('item').map((row) => [row.number, row])),
    writes: of('write'),
  };
}

/** The JSON of a value without content. */
const UNDEFINED = JSON.stringify({ lc: 2, type: 'undefined' });

/** False for a channel without a value. */
export function hasValue(value: ControlValue | undefined): boolean {
  return value !== undefined && !(value.type === 'json' && String(value.head) === UNDEFINED);
}

/** True if the head has all bytes. */
export function isWhole({ head, bytes }: Head): boolean {
  return (head?.byteLength ?? 0) === bytes;
}

/** The items of a value, in their order. */
export function itemsIn({ items }: Control, { ranges }: ControlValue): Head[] {
  return Array.from(toNumbers(ranges ?? [])).flatMap((number) => items.get(number) ?? []);
}

/** The node of each Send in a list of Sends. Undefined if the beginning of a Send does not show it. */
export function nodesOfSends(control: Control, sends: ControlValue): string[] | undefined {
  const nodes: (string | undefined)[] = [];
  let isInside = false;
  for (const { type, head } of itemsIn(control, sends)) {
    const text = String(head);
    if (type === ELEMENTS) nodes.push(...nodesIn(JSON.parse(text)));
    else if (!isInside) nodes.push(nodeOfSend(text));
    isInside = type === PART;
  }
  const known = nodes.filter((node) => node !== undefined);
  return known.length === nodes.length ? known : undefined;
}

/** The node of a Send, from the beginning of its JSON. */
export function nodeOfSend(text: string): string | undefined {
  const [, node] = /^\{"node":("(?:[^"\\]|\\.)*")/.exec(text) ?? [];
  return node === undefined ? undefined : (JSON.parse(node) as string);
}

function nodesIn(elements: unknown): (string | undefined)[] {
  return (elements as unknown[]).map((send) => {
    const node = isRecord(send) ? send['node'] : undefined;
    return typeof node === 'string' ? node : undefined;
  });
}
