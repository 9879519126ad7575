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
import { setKey } from '../json.ts';
import { configOf } from './address.ts';
import type { Budget } from './budget.ts';
import { listParents, type CheckpointPlace, type CheckpointRow } from './find.ts';
import { findAndLoad, loadContent, versionKey } from './load.ts';
import type { Content, ItemRow, ValueRow, WriteRow } from './load.ts';
import { loadHeads } from './load-heads.ts';
import { inWriteOrder } from './records.ts';
import { serde } from './serde.ts';
import type { ChannelSizes, StateLimit } from './sizes.ts';
import { loadValue, sizeOfContent, storedSize } from './decode.ts';
import type { ItemNumbers } from './items.ts';

// Reads checkpoints as LangGraph's tuples.

/** Decodes a checkpoint into new objects: two results share none. */
export type DecodeTuple = (by: SerializerProtocol) => Promise<CheckpointTuple>;

/** The serde for the values of a checkpoint. */
export type SerdeOf = (row: CheckpointRow) => SerializerProtocol | Promise<SerializerProtocol>;

interface ReadOptions {
  /** Learns the loaded items. */
  items?: ItemNumbers;
  /** Learns the sizes of the channels. */
  sizes?: StateLimit | undefined;
  serdeOf?: SerdeOf;
  budget?: Budget | undefined;
}

/** The checkpoint with this id, or the newest of the namespace. */
export async function findTuple(
  query: Query,
  threadId: string,
  place: CheckpointPlace,
  { items, sizes, serdeOf = () => serde, budget }: ReadOptions = {},
): Promise<CheckpointTuple | undefined> {
  const found = await findAndLoad(query, { ...place, threadId }, budget);
  if (!found) return undefined;
  const { row, bounds, content } = found;
  items?.learn(content.items.values(), bounds);
  sizes?.learn(row, sizesOf(content));
  const [decode] = await decodersOf(query, [row], content);
  return decode?.(await serdeOf(row));
}

function sizesOf({ values, items }: Content): ChannelSizes {
  const bytes = new Map<number, number>();
  for (const { number, value } of items.values()) bytes.set(number, sizeOfContent(value));
  return new Map(
    values.map((row) => [row.channel, { version: row.version, bytes: storedSize(bytes, row) }]),
  );
}

/**
 * Reads checkpoints of a namespace in a single statement. Each can be decoded several times. `only`: the channels to read, without
 * the writes on top.
 */
export async function readTuples(
  query: Query,
  checkpoints: readonly CheckpointRow[],
  budget?: Budget,
  only?: ReadonlySet<string>,
): Promise<DecodeTuple[]> {
  if (checkpoints.length === 0) return [];
  // Without their versions: LangGraph searches the history for a missing value of a channel with a version.
  const rows = only ? checkpoints.map((row) => withChannels(row, only)) : checkpoints;
  return decodersOf(query, rows, await loadContent(query, rows, { budget, withWrites: !only }));
}

function withChannels(row: CheckpointRow, only: ReadonlySet<string>): CheckpointRow {
  const versions = Object.entries(row.versions).filter(([channel]) => only.has(channel));
  return { ...row, versions: Object.fromEntries(versions) };
}

/** Reads and decodes checkpoints of a namespace in a single statement. */
export async function loadTuples(
  query: Query,
  checkpoints: readonly CheckpointRow[],
  by: SerializerProtocol = serde,
): Promise<CheckpointTuple[]> {
  const tuples = await readTuples(query, checkpoints);
  return Promise.all(tuples.map((decode) => decode(by)));
}

/** The newest checkpoint of the root graph of each thread, by thread. One statement reads them all. */
export async function readHeads(
  query: Query,
  threadIds: readonly string[],
  budget?: Budget,
): Promise<Map<string, { row: CheckpointRow; decode: DecodeTuple | undefined }>> {
  const heads = await loadHeads(query, threadIds, budget);
  const read = heads.map(async ({ row, content }) => {
    const [decode] = await decodersOf(query, [row], content);
    return [row.threadId, { row, decode }] as const;
  });
  return new Map(await Promise.all(read));
}

async function decodersOf(
  query: Query,
  checkpoints: readonly CheckpointRow[],
  { values, writes, items }: Content,
): Promise<DecodeTuple[]> {
  const sends = await readSends(query, checkpoints);
  const byVersion = new Map(values.map((row) => [versionKey(row), row]));
  const writesOf = (id: string) => writes.filter(({ checkpointId }) => checkpointId === id);
  return checkpoints.map((row) => async (by) => ({
    config: configOf(row.threadId, row.namespace, row.checkpointId),
    checkpoint: withSends(await sends.get(row.parentId ?? '')?.(by), {
      v: row.format,
      id: row.checkpointId,
      ts: row.createdAt.toISOString(),
      channel_values: await loadChannels(row.versions, byVersion, { by, items }),
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
  items: ReadonlyMap<number, ItemRow>;
}

async function loadChannels(
  versions: ChannelVersions,
  values: ReadonlyMap<string, ValueRow>,
  { by, items }: Decoding,
): Promise<Record<string, unknown>> {
  const channels: Record<string, unknown> = {};
  for (const [channel, version] of Object.entries(versions)) {
    const row = values.get(versionKey({ channel, version }));
    if (row) setKey(channels, channel, await loadValue(by, items, row));
  }
  return channels;
}

/**
 * From this format on, a checkpoint holds the Sends for the nodes of its next step. In older formats, the writes on top of its parent
 * hold them.
 */
export const SENDS_FORMAT = 4;

async function readSends(
  query: Query,
  checkpoints: readonly CheckpointRow[],
): Promise<Map<string, (by: SerializerProtocol) => Promise<unknown[]>>> {
  const old = checkpoints.filter(({ format, parentId }) => format < SENDS_FORMAT && parentId);
  const rows = await listParents(query, old);
  // The parents' own Sends are not needed.
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

function sendsIn({ pendingWrites: writes = [] }: CheckpointTuple): unknown[] {
  return writes.filter(([, channel]) => channel === TASKS).map(([, , value]) => value);
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
  found: readonly WriteRow[],
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
 * The effective writes on top of a checkpoint, in the order of LangGraph's sort key. For channels, the writes of a task's last
 * run count. For an error, an interrupt or an answer, the newest write of the task counts.
 */
export function orderWrites(found: readonly WriteRow[]): WriteRow[] {
  const rows = found.toSorted((a, b) => a.seq - b.seq);
  const lastRuns = new Map(
    rows.filter(({ index }) => index >= 0).map(({ taskId, runId }) => [taskId, runId]),
  );
  const newest = new Map<string, WriteRow | undefined>();
  for (const row of rows) {
    const counts = row.index < 0 || row.runId === lastRuns.get(row.taskId);
    const key = `${row.index} ${row.taskId}`;
    newest.set(key, counts ? row : newest.get(key));
  }
  const shown = Array.from(newest.values()).filter((row) => row !== undefined);
  return inWriteOrder(shown);
}
