import type { RunnableConfig } from '@langchain/core/runnables';
import { uuid6 } from '@langchain/langgraph-checkpoint';
import { toPlain } from '../checkpoints/plain.ts';
import type { NewEvent } from '../events/event.ts';
import type { CompiledGraph } from '../graphs/load.ts';
import { knowsSubgraph } from '../graphs/subgraphs.ts';
import { recordOf } from '../json.ts';
import { debugData, showsCheckpoint, type CheckpointIds } from './debug-events.ts';
import type { Chunk } from './graph-stream.ts';

/**
 * LangGraph emits the values of a state just before their checkpoint. The VALUES event waits for the checkpoint and gets its id
 * instead of the values: otherwise the server would store the whole state twice in each step.
 */
export function createStateReferences(
  graph: CompiledGraph,
  { keepsCheckpoints, namesCheckpoints }: { keepsCheckpoints: boolean; namesCheckpoints: boolean },
) {
  const waiting = new Map<string, NewEvent>();
  /** The newest checkpoint of each namespace. */
  const newest = new Map<string, CheckpointIds>();

  /** The event without its values: readers find them in the checkpoint. With its values if readers cannot read the checkpoint. */
  function refer(event: NewEvent, checkpointId: string | undefined): NewEvent {
    if (!keepsCheckpoints || !checkpointId) return event;
    if (!knowsSubgraph(graph, event.namespace.join('|'))) return { ...event, checkpointId };
    return { ...event, data: withoutValues(event), checkpointId };
  }

  return {
    *add(event: NewEvent): Generator<NewEvent> {
      const key = event.namespace.join('|');
      const previous = waiting.get(key);
      // The previous event belongs to a subgraph without checkpoints.
      if (previous) yield previous;
      waiting.set(key, event);
    },
    *addCheckpoint(
      { namespace, payload }: Chunk,
      { isShown }: { isShown: boolean },
    ): Generator<NewEvent> {
      const key = namespace.join('|');
      const ids = namesCheckpoints ? idsOf(payload) : newIds(payload, newest.get(key));
      newest.set(key, ids);
      const { checkpointId } = ids;
      const values = waiting.get(key);
      if (values) yield refer(values, checkpointId);
      waiting.delete(key);
      if (!isShown) return;
      const data = checkpointData(payload, ids);
      yield refer({ type: 'CHECKPOINTS', namespace, data }, checkpointId);
    },
    /** LangGraph emits it right after the checkpoint itself. */
    debugEvent({ namespace, payload }: Chunk): NewEvent {
      const ids = newest.get(namespace.join('|')) ?? NO_IDS;
      const data = debugData(payload, { namespace, ids });
      const event: NewEvent = { type: 'DEBUG', namespace, data };
      return showsCheckpoint(payload) ? refer(event, ids.checkpointId) : event;
    },
    *flush(): Generator<NewEvent> {
      yield* waiting.values();
      waiting.clear();
    },
  };
}

const NO_IDS: CheckpointIds = { checkpointId: undefined, parentId: undefined };

/** The parts of a checkpoint in LangGraph's stream that have its ids. */
interface CheckpointPayload {
  config?: RunnableConfig;
  parentConfig?: RunnableConfig;
  metadata?: { step?: number };
}

function idsOf(payload: unknown): CheckpointIds {
  const { config, parentConfig } = payload as CheckpointPayload;
  return {
    checkpointId: config?.configurable?.['checkpoint_id'],
    parentId: parentConfig?.configurable?.['checkpoint_id'],
  };
}

/** With durability EXIT, LangGraph shows all states with the id of the checkpoint before the run. */
function newIds(payload: unknown, previous: CheckpointIds | undefined): CheckpointIds {
  const { metadata } = payload as CheckpointPayload;
  const parentId = previous?.checkpointId ?? idsOf(payload).checkpointId;
  return { checkpointId: uuid6(metadata?.step ?? 0), parentId };
}

function withoutValues({ type, data }: NewEvent): unknown {
  const { values: _values, ...others } = recordOf(data);
  if (type !== 'DEBUG') return others;
  const { values: _nested, ...payload } = recordOf(others['payload']);
  return { ...others, payload };
}

function checkpointData(payload: unknown, { checkpointId, parentId }: CheckpointIds): unknown {
  const { values, next, tasks, metadata } = payload as Record<string, unknown>;
  const shown = toPlain({ values, next, tasks, metadata }) as object;
  return { ...shown, checkpointId, ...(parentId !== undefined && { parentId }) };
}
