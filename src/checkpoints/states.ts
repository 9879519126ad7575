import type { RunnableConfig } from '@langchain/core/runnables';
import type { StateSnapshot } from '@langchain/langgraph';
import type { CheckpointTuple } from '@langchain/langgraph-checkpoint';
import type { Query } from '../db/query.ts';
import { withCheckpointer, type CompiledGraph } from '../graphs/load.ts';
import { knowsSubgraph } from '../graphs/subgraphs.ts';
import { findCheckpoint, listChildren, listParents, type CheckpointRow } from './find.ts';
import { graphsOf, inTurn, placeOf, type Reading } from './graphs.ts';
import { messagesIn } from './message.ts';
import { newestOf } from './newest-messages.ts';
import { toPlain, type PlainMessage } from './plain.ts';
import { StateReader } from './reader.ts';
import { asRead, serdeOf, type Serde } from './serde.ts';
import { findTuple, readTuples, type DecodeTuple } from './tuples.ts';

/** A checkpoint that is read piece by piece: its values and tasks cost a statement for its whole page, once asked for. */
export interface State {
  row: CheckpointRow;
  /** What the checkpoint holds, and the writes on top of it: for each call in objects of its own. */
  tuple(): Promise<CheckpointTuple>;
  /** What its graph makes of it. */
  snapshot(): Promise<Snapshot>;
  /** The snapshot's values as clients see them. */
  values(): Promise<unknown>;
  /** The newest messages, oldest first, as clients see them. Reads only the end of a long list, unless the snapshot is asked for. */
  newestMessages(count: number): Promise<PlainMessage[]>;
  /** The checkpoint it was made from. */
  parent(): Promise<State | undefined>;
  /** The checkpoints that were made from it, oldest first. */
  children(): Promise<State[]>;
}

/** LangGraph's view of a state; of a graph that is not served any more, or that a node's code calls, the values alone. */
export type Snapshot = Pick<StateSnapshot, 'values' | 'next' | 'tasks'>;

/**
 * The states of checkpoints of one namespace. `current` shows what finished parallel tasks wrote on top, as the state
 * of now does. Each checkpoint is read by the graph that wrote it, since a thread may have had several.
 */
export function statesOf(
  app: Reading,
  rows: readonly CheckpointRow[],
  { current = false } = {},
): State[] {
  const graphs = once(() => graphsOf(app, rows.map(placeOf)));
  const loaded = once(() => inTurn(app, () => readTuples(app.sql.query, rows, app.operation)));
  const parents = once(async () => statesOf(app, await listParents(app.sql.query, rows)));
  const children = once(async () => statesOf(app, await listChildren(app.sql.query, rows)));
  const newest = newestOf(app, rows, { current });
  const withoutList = once(async () => statesOf(app, await newest.withoutList(), { current }));
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
    const values = once(async () => {
      const taken = await snapshot();
      return inTurn(app, async () => shownValues(taken));
    });
    // A checkpoint of a page that is not read yet is read without those whose lists tell enough.
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
      async newestMessages(count) {
        const graph = (await graphs())[i];
        // Fields beside this one have asked for the snapshot by now.
        const end = snapshot.isAsked() ? undefined : await newest.messages(row, graph, count);
        return end ?? messagesIn(await wholeValues()).slice(-count);
      },
      parent: async () =>
        row.parentId === null
          ? undefined
          : (await parents()).find(({ row: parent }) => parent.checkpointId === row.parentId),
      children: async () =>
        (await children()).filter(({ row: child }) => child.parentId === row.checkpointId),
    };
  });
}

/** The state at a checkpoint, or now; undefined where there is none. */
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

async function takeSnapshot(
  query: Query,
  served: CompiledGraph | undefined,
  { tuple, current = false }: { tuple: CheckpointTuple; current?: boolean },
): Promise<Snapshot> {
  if (!served) return bareSnapshot(tuple);
  const by = serdeOf(served);
  const graph = withCheckpointer(served, new LoadedReader(query, tuple, by));
  const { checkpoint_id: checkpointId, ...place } = tuple.config.configurable ?? {};
  // LangGraph would read it as a state of the graph itself.
  if (!knowsSubgraph(graph, place['checkpoint_ns'])) return bareSnapshot(tuple);
  const asItWas = { configurable: { ...place, checkpoint_id: checkpointId } };
  if (!current) return graph.getState(asItWas);
  return graph.getState({ configurable: place }).catch(() => {
    // What the tasks of a step wrote may not fit together, which is what their run failed with: then the step has not been.
    // Read anew: LangGraph has begun to put it into what was loaded.
    return withCheckpointer(served, new StateReader(query, by)).getState(asItWas);
  });
}

/** The state channels by name; LangGraph's own begin with __ or hold a branch. */
function bareSnapshot({ checkpoint }: CheckpointTuple): Snapshot {
  const values = Object.entries(checkpoint.channel_values).filter(
    ([channel]) => !channel.startsWith('__') && !channel.startsWith('branch:'),
  );
  return { values: Object.fromEntries(values), next: [], tasks: [] };
}

/** Reads one checkpoint from memory, and every other one from the database. */
class LoadedReader extends StateReader {
  readonly #tuple: CheckpointTuple;

  constructor(query: Query, tuple: CheckpointTuple, by: Serde) {
    super(query, by);
    this.#tuple = tuple;
  }

  protected override async readTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const asked = config.configurable ?? {};
    const loaded = this.#tuple.config.configurable ?? {};
    const same =
      (asked['checkpoint_ns'] ?? '') === loaded['checkpoint_ns'] &&
      (asked['checkpoint_id'] ?? loaded['checkpoint_id']) === loaded['checkpoint_id'];
    return same ? this.#tuple : super.readTuple(config);
  }
}

/** The state's values as clients see them. */
export async function valuesOf(state: State | undefined): Promise<unknown> {
  return (await state?.values()) ?? {};
}

/** The values at a checkpoint, read in one statement, and one more for a graph made by a function; empty without a checkpoint. */
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

/** The same of a checkpoint that has just been stored here, as they would be read. */
export async function valuesOfFinal(app: Reading, final: CheckpointTuple): Promise<unknown> {
  const { thread_id: threadId, checkpoint_ns: namespace = '' } = final.config.configurable ?? {};
  const checkpointId = final.checkpoint.id;
  const metadata = final.metadata as unknown as Record<string, unknown>;
  const [graph] = await graphsOf(app, [placeOf({ threadId, namespace, checkpointId, metadata })]);
  const tuple = await asStored(final, serdeOf(graph));
  return shownValues(await takeSnapshot(app.sql.query, graph, { tuple }));
}

/** What the graph makes of a checkpoint that has just been stored here, as it would be read. */
export async function stateOfFinal(
  query: Query,
  graph: CompiledGraph,
  final: CheckpointTuple,
): Promise<StateSnapshot> {
  const by = serdeOf(graph);
  const stored = await asStored(final, by);
  return withCheckpointer(graph, new LoadedReader(query, stored, by)).getState(stored.config);
}

/** What was put, with the values as they come back. */
async function asStored(
  { checkpoint, ...tuple }: CheckpointTuple,
  by: Serde,
): Promise<CheckpointTuple> {
  const held = Object.entries(checkpoint.channel_values).filter(([, value]) => value !== undefined);
  const values = await Promise.all(
    held.map(async ([channel, value]) => [channel, await asRead(by, value)] as const),
  );
  return { ...tuple, checkpoint: { ...checkpoint, channel_values: Object.fromEntries(values) } };
}

function shownValues(snapshot: Snapshot | undefined): unknown {
  // A graph of the functional API has none before it has ended.
  return toPlain(snapshot?.values) ?? {};
}

/**
 * What each node wrote in the step that led to a checkpoint, as a list where it ran several times; null where nothing is
 * known. A hand edit's checkpoint keeps it; a run's is found in what the tasks of the parent wrote.
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

/** Calls `make` at the first call, and gives its result to all. */
function once<T>(make: () => Promise<T>): (() => Promise<T>) & { isAsked(): boolean } {
  let made: Promise<T> | undefined;
  return Object.assign(() => (made ??= make()), { isAsked: () => made !== undefined });
}
