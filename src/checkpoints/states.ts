import type { StateSnapshot } from '@langchain/langgraph';
import type { CheckpointTuple, SerializerProtocol } from '@langchain/langgraph-checkpoint';
import type { Query } from '../db/query.ts';
import { withCheckpointer, type CompiledGraph } from '../graphs/load.ts';
import { once } from '../once.ts';
import { readSizes, type ChannelSize } from './channel-sizes.ts';
import { pick, valuesOfChannels } from './channel-values.ts';
import { findCheckpoint, listChildren, listParents, type CheckpointRow } from './find.ts';
import { graphsOf, inTurn, placeOf, type Reading } from './graphs.ts';
import { MessageMissingError, messagesIn, pageOf, type MessagePage } from './message.ts';
import { newestOf } from './newest-messages.ts';
import { toPlain, type PlainMessage } from './plain.ts';
import { asRead, serdeOf } from './serde.ts';
import { LoadedReader, shownValues, takeSnapshot, type Snapshot } from './snapshot.ts';
import { readNext, readRan } from './steps.ts';
import { findTuple, readHeads, readTuples, type DecodeTuple } from './tuples.ts';

/** A checkpoint, read on demand: one statement reads the values, tasks or relatives of a whole page of checkpoints. */
export interface State {
  row: CheckpointRow;
  /** The content of the checkpoint and the writes on top of it. Each call returns new objects. */
  tuple(): Promise<CheckpointTuple>;
  /** The graph's view of the checkpoint. */
  snapshot(): Promise<Snapshot>;
  /** The snapshot's values as clients see them. */
  values(): Promise<unknown>;
  /** The values of these channels. Reads only them if `snapshot` was not called, with few exceptions. */
  valuesOf(channels: readonly string[]): Promise<unknown>;
  /** The stored bytes of each channel, the largest first. Reads no values. */
  sizes(): Promise<ChannelSize[]>;
  /**
   * A page of the messages, oldest first, as clients see them. Reads only a part of a long list if `snapshot` was not called.
   * Throws MessageMissingError.
   */
  messages(page: MessagePage): Promise<PlainMessage[]>;
  /** The nodes of the next step, as in the snapshot. Reads no values if `snapshot` was not called, with rare exceptions. */
  next(): Promise<readonly string[]>;
  /** The nodes of the step before the checkpoint. Reads no values. */
  ran(): Promise<readonly string[]>;
  /** The parent checkpoint. */
  parent(): Promise<State | undefined>;
  /** The child checkpoints, oldest first. */
  children(): Promise<State[]>;
}

/**
 * The states of checkpoints of a namespace, each read with its own graph. With `current`, they include the writes of finished
 * parallel tasks on top. `read`: the content of the checkpoints, if it is already read.
 */
export function statesOf(
  app: Reading,
  rows: readonly CheckpointRow[],
  { current = false, read }: { current?: boolean; read?: readonly DecodeTuple[] } = {},
): State[] {
  const graphs = once(() => graphsOf(app, rows.map(placeOf)));
  const readAll = () => inTurn(app, () => readTuples(app.sql.query, rows, app.operation));
  const loaded = once(async () => read ?? readAll());
  const newest = newestOf(app, rows, { current });
  const withoutList = once(async () => statesOf(app, await newest.withoutList(), { current }));
  const relatives = relativesOf(app, rows);
  const sizes = once(async () => readSizes(app, rows, await graphs()));
  const partOf = valuesOfChannels(app, rows, { graphs, current });
  const nextOf = nextOfAll(app, rows, { graphs, current });
  return rows.map((row, i) => {
    const decoder = async () => {
      const graph = (await graphs())[i];
      const decode = (await loaded())[i] as DecodeTuple;
      return { graph, decode: () => decode(serdeOf(graph)) };
    };
    const snapshot = once(async () => {
      const { graph, decode } = await decoder();
      return inTurn(app, async () =>
        takeSnapshot(app.sql.query, graph, { tuple: await decode(), current }),
      );
    });
    // All fields of an object begin before the graphs are there: then it is known whether one of them reads all.
    const isRead = () => graphs().then(() => !!read || loaded.isAsked() || snapshot.isAsked());
    const shown = (taken: Snapshot) => inTurn(app, async () => shownValues(taken));
    const values = once(async () => shown(await snapshot()));
    // If the page is not read yet, read only the checkpoints without a usable list of messages.
    const wholeValues = async () => {
      const states = loaded.isAsked() ? [] : await withoutList();
      const own = states.find((state) => state.row === row);
      return own ? own.values() : values();
    };
    return {
      row,
      tuple: async () => inTurn(app, (await decoder()).decode),
      snapshot,
      values,
      async valuesOf(channels) {
        const part = (await isRead()) ? undefined : await partOf(row, channels);
        return part ?? pick(await values(), channels);
      },
      sizes: async () => (await sizes())[i] ?? [],
      async messages(page) {
        const graph = (await graphs())[i];
        // Other fields of the same object have called `snapshot` before this point.
        const part = snapshot.isAsked() ? undefined : await newest.messages(row, graph, page);
        const messages = part ?? pageOf(messagesIn(await wholeValues()), page);
        if (!messages) throw new MessageMissingError(String(page.before));
        return messages;
      },
      next: async () =>
        ((await isRead()) ? undefined : await nextOf(row)) ?? nextIn(await snapshot()),
      ...relatives(row),
    };
  });
}

/** The relatives of checkpoints of a namespace, and the nodes between each checkpoint and its parent. */
function relativesOf(
  app: Reading,
  rows: readonly CheckpointRow[],
): (row: CheckpointRow) => Pick<State, 'parent' | 'children' | 'ran'> {
  const parentRows = once(() => listParents(app.sql.query, rows));
  const parents = once(async () => statesOf(app, await parentRows()));
  const children = once(async () => statesOf(app, await listChildren(app.sql.query, rows)));
  const ran = once(async () => readRan(app, rows, await parentRows()));
  return (row) => ({
    parent: async () =>
      row.parentId === null
        ? undefined
        : (await parents()).find(({ row: parent }) => parent.checkpointId === row.parentId),
    children: async () =>
      (await children()).filter(({ row: child }) => child.parentId === row.checkpointId),
    ran: async () => (await ran()).get(row) ?? [],
  });
}

/** Finds the next nodes of checkpoints. Only those that need their values are read with them. */
function nextOfAll(
  app: Reading,
  rows: readonly CheckpointRow[],
  {
    graphs,
    current,
  }: { graphs: () => Promise<readonly (CompiledGraph | undefined)[]>; current: boolean },
): (row: CheckpointRow) => Promise<readonly string[] | undefined> {
  const known = once(async () => {
    const served = await graphs();
    const next = await readNext(
      app,
      rows.map((row, i) => ({ row, graph: served[i] })),
      { current },
    );
    return new Map(rows.map((row, i) => [row, next[i]]));
  });
  const whole = once(async () => {
    const next = await known();
    const unknown = rows.filter((row) => next.get(row) === undefined);
    return statesOf(app, unknown, { current });
  });
  return async (row) => {
    const next = (await known()).get(row);
    if (next) return next;
    const own = (await whole()).find((state) => state.row === row);
    return own && nextIn(await own.snapshot());
  };
}

function nextIn({ next }: Snapshot): string[] {
  return next.map(String);
}

/** The state at a checkpoint, by default the current state. Undefined without a checkpoint. */
export async function findState(
  app: Reading,
  threadId: string,
  {
    namespace,
    checkpointId,
  }: { namespace?: string; checkpointId?: string | null | undefined } = {},
): Promise<State | undefined> {
  const row = await findCheckpoint(app.sql.query, threadId, {
    namespace: namespace ?? '',
    checkpointId,
  });
  return row && statesOf(app, [row], { current: checkpointId == null })[0];
}

/** The most threads of one statement for their current states. */
const MOST_AT_ONCE = 100;

/**
 * The current states of threads, by thread, without threads that have none. One statement reads up to 100 of them with their
 * values; each graph made by a function needs one more.
 */
export async function findCurrentStates(
  app: Reading,
  threadIds: readonly string[],
): Promise<Map<string, State>> {
  const states = new Map<string, State>();
  for (let i = 0; i < threadIds.length; i += MOST_AT_ONCE) {
    const ids = threadIds.slice(i, i + MOST_AT_ONCE);
    const heads = await inTurn(app, () => readHeads(app.sql.query, ids, app.operation));
    for (const [id, { row, decode }] of heads) {
      const read = decode && { read: [decode] };
      for (const state of statesOf(app, [row], { current: true, ...read })) states.set(id, state);
    }
  }
  return states;
}

/** The state's values as clients see them. */
export async function valuesOf(state: State | undefined): Promise<unknown> {
  return (await state?.values()) ?? {};
}

/**
 * The values at a checkpoint; empty without a checkpoint. A single statement reads them; graphs made by functions need a second
 * statement.
 */
export async function findValues(
  app: Reading,
  threadId: string,
  place: { namespace?: string; checkpointId: string },
): Promise<unknown> {
  return inTurn(app, async () => {
    let graph: CompiledGraph | undefined;
    const tuple = await findTuple(app.sql.query, threadId, place, {
      budget: app.operation,
      async serdeOf(row) {
        [graph] = await graphsOf(app, [placeOf(row)]);
        return serdeOf(graph);
      },
    });
    return shownValues(tuple && (await takeSnapshot(app.sql.query, graph, { tuple })));
  });
}

/** The values of a newly stored checkpoint, from memory. They are equal to the values in the database. */
export async function valuesOfFinal(app: Reading, final: CheckpointTuple): Promise<unknown> {
  const { thread_id: threadId, checkpoint_ns: namespace = '' } = final.config.configurable ?? {};
  const checkpointId = final.checkpoint.id;
  const metadata = final.metadata as unknown as Record<string, unknown>;
  const [graph] = await graphsOf(app, [placeOf({ threadId, namespace, checkpointId, metadata })]);
  const tuple = await asStored(final, serdeOf(graph));
  return shownValues(await takeSnapshot(app.sql.query, graph, { tuple }));
}

/** The graph's state at a newly stored checkpoint, from memory. */
export async function stateOfFinal(
  query: Query,
  graph: CompiledGraph,
  final: CheckpointTuple,
): Promise<StateSnapshot> {
  const by = serdeOf(graph);
  const stored = await asStored(final, by);
  return withCheckpointer(graph, new LoadedReader(query, stored, by)).getState(stored.config);
}

/** The checkpoint with decoded copies of its values. */
async function asStored(
  { checkpoint, ...tuple }: CheckpointTuple,
  by: SerializerProtocol,
): Promise<CheckpointTuple> {
  const held = Object.entries(checkpoint.channel_values).filter(([, value]) => value !== undefined);
  const values = await Promise.all(
    held.map(async ([channel, value]) => [channel, await asRead(by, value)] as const),
  );
  return { ...tuple, checkpoint: { ...checkpoint, channel_values: Object.fromEntries(values) } };
}

/**
 * The writes of each node in the step before a checkpoint, as a list if the node ran several times. Null if they are unknown. The
 * checkpoint of a hand edit keeps them in its metadata; for a run, the writes on top of the parent contain them.
 */
export async function writesOf({ row, parent }: State): Promise<Record<string, unknown> | null> {
  const { writes } = row.metadata;
  if (row.runId === null) return (writes as Record<string, unknown> | undefined) ?? null;
  const before = row.source === 'INPUT' ? undefined : await parent();
  if (!before) return null;
  const [{ pendingWrites = [] }, { tasks }] = await Promise.all([
    before.tuple(),
    before.snapshot(),
  ]);
  const byNode: Record<string, unknown[]> = {};
  for (const { id, name } of tasks) {
    const wrote = pendingWrites.filter(
      ([taskId, channel]) =>
        taskId === id && !channel.startsWith('__') && !channel.startsWith('branch:'),
    );
    if (wrote.length === 0) continue;
    const update = Object.fromEntries(
      wrote.map(([, channel, value]) => [channel, toPlain(value) ?? null]),
    );
    byNode[name] = [...(byNode[name] ?? []), update];
  }
  const shown = Object.entries(byNode).map(([name, updates]) => [
    name,
    updates.length === 1 ? updates[0] : updates,
  ]);
  return shown.length > 0 ? Object.fromEntries(shown) : null;
}
