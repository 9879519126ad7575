import type { RunnableConfig } from '@langchain/core/runnables';
import type { StateSnapshot } from '@langchain/langgraph';
import type { CheckpointTuple } from '@langchain/langgraph-checkpoint';
import type { App } from '../app.ts';
import type { Query } from '../db/open.ts';
import { withCheckpointer, type CompiledGraph } from '../graphs/load.ts';
import { knowsSubgraph } from '../graphs/subgraphs.ts';
import { toPlain } from './plain.ts';
import { StateReader } from './saver.ts';
import { asRead } from './serde.ts';
import type { CheckpointRow } from './store.ts';
import { findCheckpoint, findTuple, listChildren, listParents, loadTuples } from './store.ts';

/** A checkpoint that is read piece by piece: its values and tasks cost a statement for its whole page, once asked for. */
export interface State {
  row: CheckpointRow;
  /** What the checkpoint holds, and the writes on top of it. */
  tuple(): Promise<CheckpointTuple>;
  /** What its graph makes of it. */
  snapshot(): Promise<Snapshot>;
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
  app: Pick<App, 'sql' | 'graphs'>,
  rows: readonly CheckpointRow[],
  { current = false } = {},
): State[] {
  const loaded = once(() => loadTuples(app.sql.query, rows));
  const parents = once(async () => statesOf(app, await listParents(app.sql.query, rows)));
  const children = once(async () => statesOf(app, await listChildren(app.sql.query, rows)));
  return rows.map((row, i) => {
    const tuple = async () => (await loaded())[i] as CheckpointTuple;
    return {
      row,
      tuple,
      snapshot: once(async () => takeSnapshot(app, await tuple(), current)),
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
  app: Pick<App, 'sql' | 'graphs'>,
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
  { sql, graphs }: Pick<App, 'sql' | 'graphs'>,
  tuple: CheckpointTuple,
  current: boolean,
): Promise<Snapshot> {
  const graphId = String((tuple.metadata as Record<string, unknown> | undefined)?.['graph_id']);
  if (!graphs.has(graphId)) return bareSnapshot(tuple);
  const served = await graphs.resolve(graphId);
  const graph = withCheckpointer(served, new LoadedReader(sql.query, tuple));
  const { checkpoint_id: checkpointId, ...place } = tuple.config.configurable ?? {};
  // LangGraph would read it as a state of the graph itself.
  if (!knowsSubgraph(graph, place['checkpoint_ns'])) return bareSnapshot(tuple);
  const asItWas = { configurable: { ...place, checkpoint_id: checkpointId } };
  if (!current) return graph.getState(asItWas);
  return graph.getState({ configurable: place }).catch(() => {
    // What the tasks of a step wrote may not fit together, which is what their run failed with: then the step has not been.
    // Read anew: LangGraph has begun to put it into what was loaded.
    return withCheckpointer(served, new StateReader(sql.query)).getState(asItWas);
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

  constructor(query: Query, tuple: CheckpointTuple) {
    super(query);
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
  return shownValues(await state?.snapshot());
}

/** The values at a checkpoint, read in one statement; empty where there is none. */
export async function findValues(
  app: Pick<App, 'sql' | 'graphs'>,
  threadId: string,
  place: { namespace?: string; checkpointId: string },
): Promise<unknown> {
  const tuple = await findTuple(app.sql.query, threadId, place);
  return shownValues(tuple && (await takeSnapshot(app, tuple, false)));
}

/** The same of a checkpoint that has just been stored here, as they would be read. */
export async function valuesLeft(
  app: Pick<App, 'sql' | 'graphs'>,
  left: CheckpointTuple,
): Promise<unknown> {
  return shownValues(await takeSnapshot(app, await asStored(left), false));
}

/** What the graph makes of a checkpoint that has just been stored here, as it would be read. */
export async function stateLeft(
  query: Query,
  graph: CompiledGraph,
  left: CheckpointTuple,
): Promise<StateSnapshot> {
  const stored = await asStored(left);
  return withCheckpointer(graph, new LoadedReader(query, stored)).getState(stored.config);
}

/** What was put, with the values as they come back. */
async function asStored({ checkpoint, ...tuple }: CheckpointTuple): Promise<CheckpointTuple> {
  const held = Object.entries(checkpoint.channel_values).filter(([, value]) => value !== undefined);
  const values = await Promise.all(
    held.map(async ([channel, value]) => [channel, await asRead(value)] as const),
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
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}
