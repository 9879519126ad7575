import { param, sql } from '../db/sql.ts';
import type { CompiledGraph } from '../graphs/load.ts';
import { shownChannels } from './channel-values.ts';
import { toNumbers } from './decode.ts';
import type { CheckpointRow } from './find.ts';
import { inTurn, type Reading } from './graphs.ts';
import { countUses, versionKey } from './load.ts';
import { BY_KEY } from './store-statement.ts';
import { sum } from './units.ts';

/** The stored bytes of a channel in a state. */
export interface ChannelSize {
  name: string;
  bytes: number;
}

interface SizeRow {
  /** Null for an item. */
  channel: string | null;
  /** Of a value; the number of an item. */
  version: number;
  ranges: number[] | null;
  bytes: number | null;
}

/** The channels of checkpoints of a namespace with their stored bytes, the largest first. One statement reads the sizes of all. */
export async function readSizes(
  app: Reading,
  rows: readonly CheckpointRow[],
  graphs: readonly (CompiledGraph | undefined)[],
): Promise<ChannelSize[][]> {
  const bytesOf = await inTurn(app, () => readBytes(app, rows));
  return rows.map(({ namespace, versions }, i) => {
    const isShown = shownChannels(graphs[i], namespace) ?? (() => true);
    const sizes = Object.entries(versions).flatMap(([name, version]) => {
      const bytes = bytesOf.get(versionKey({ channel: name, version }));
      return bytes === undefined || !isShown(name) ? [] : [{ name, bytes }];
    });
    return sizes.toSorted((a, b) => b.bytes - a.bytes);
  });
}

/** The bytes of the values of checkpoints, by version key. */
async function readBytes(
  { sql: { query } }: Reading,
  rows: readonly CheckpointRow[],
): Promise<Map<string, number>> {
  const threadId = param(rows[0]?.threadId);
  const namespace = param(rows[0]?.namespace);
  const wanted = countUses(rows);
  const found = await query<SizeRow>(
    sql`WITH v AS (
  SELECT v."channel", v."version", v."ranges", octet_length(v."value") AS "bytes"
  FROM unnest(${wanted.map(({ channel }) => channel)}::text[], ${wanted.map(({ version }) => version)}::bigint[])
    AS wanted("channel", "version"), LATERAL (SELECT * FROM "ChannelValue" WHERE "threadId" = ${threadId}::uuid
      AND "namespace" = ${namespace} AND "channel" = wanted."channel" AND "version" = wanted."version" ${BY_KEY}) v
), n AS (
  SELECT unnest(range_agg(int4range("ranges"[i], "ranges"[i + 1], '[]'))) AS "range"
  FROM v, generate_series(1, cardinality("ranges"), 2) i
)
SELECT * FROM v UNION ALL SELECT NULL, i."number", NULL, octet_length(i."value") FROM n, LATERAL (
  SELECT * FROM "ChannelItem" WHERE "threadId" = ${threadId}::uuid
    AND "number" >= lower(n."range") AND "number" < upper(n."range") ${BY_KEY}) i`,
    { onlyReads: true },
  );
  const items = new Map<number, number>();
  for (const { channel, version, bytes } of found)
    if (channel === null) items.set(version, bytes ?? 0);
  return new Map(
    found.flatMap(({ channel, version, ranges, bytes }) => {
      if (channel === null) return [];
      const inItems = Array.from(toNumbers(ranges ?? []), (number) => items.get(number) ?? 0);
      return [[versionKey({ channel, version }), (bytes ?? 0) + sum(inItems)] as const];
    }),
  );
}
