import type { RunnableConfig } from '@langchain/core/runnables';
import type { StateSnapshot } from '@langchain/langgraph';
import type { CheckpointTuple, SerializerProtocol } from '@langchain/langgraph-checkpoint';
import type { Query } from '../db/query.ts';
import { withCheckpointer, type CompiledGraph } from '../graphs/load.ts';
import { knowsSubgraph } from '../graphs/subgraphs.ts';
import { toPlain } from './plain.ts';
import { StateReader } from './reader.ts';
import { serdeOf } from './serde.ts';

/** LangGraph's view of a state. Without a served graph, or for a graph that a node calls in its code, only the values. */
export type Snapshot = Pick<StateSnapshot, 'values' | 'next' | 'tasks'>;

/** The state of a loaded checkpoint. With `current`, it includes the writes of finished parallel tasks on top. */
export async function takeSnapshot(
  query: Query,
  served: CompiledGraph | undefined,
  { tuple, current = false }: { tuple: CheckpointTuple; current?: boolean },
): Promise<Snapshot> {
  if (!served) return bareSnapshot(tuple);
  const by = serdeOf(served);
  const graph = withCheckpointer(served, new LoadedReader(query, tuple, by));
  const { checkpoint_id: checkpointId, ...place } = tuple.config.configurable ?? {};
  // LangGraph would read an unknown namespace as a state of the graph itself.
  if (!knowsSubgraph(graph, place['checkpoint_ns'])) return bareSnapshot(tuple);
  const asItWas = { configurable: { ...place, checkpoint_id: checkpointId } };
  if (!current) return graph.getState(asItWas);
  return graph.getState({ configurable: place }).catch(() => {
    // The writes of parallel tasks may contradict each other, and their run failed for this reason. Then the state is the
    // checkpoint without them. It is read again because LangGraph has already changed the loaded objects.
    return withCheckpointer(served, new StateReader(query, by)).getState(asItWas);
  });
}

/** The values of the graph's own channels. LangGraph's channels begin with __ or with branch:. */
function bareSnapshot({ checkpoint }: CheckpointTuple): Snapshot {
  const values = Object.entries(checkpoint.channel_values).filter(
    ([channel]) => !channel.startsWith('__') && !channel.startsWith('branch:'),
  );
  return { values: Object.fromEntries(values), next: [], tasks: [] };
}

/** Reads a given checkpoint from memory, and the rest from the database. */
export class LoadedReader extends StateReader {
  readonly #tuple: CheckpointTuple;

  constructor(query: Query, tuple: CheckpointTuple, by: SerializerProtocol) {
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

/** The values of a state as clients see them. */
export function shownValues(snapshot: Snapshot | undefined): unknown {
  // A graph of the functional API has no values before its end.
  return toPlain(snapshot?.values) ?? {};
}
