import { isChunk, isMessage, toPlain } from '../checkpoints/plain.ts';
import type { NewEvent, StreamMode } from '../events/event.ts';
import type { Run } from '../generated/prisma/client.ts';
import type { CompiledGraph } from '../graphs/load.ts';
import { isRecord } from '../json.ts';
import type { Chunk } from './graph-stream.ts';
import { nameMessages } from './messages.ts';
import { createStateReferences } from './state-references.ts';

/** Converts the chunks of a run to events. */
export interface GraphEvents {
  of(chunk: Chunk): Generator<NewEvent>;
  /** At the end of the stream: the VALUES events without a checkpoint. */
  flush(): Generator<NewEvent>;
}

export function createGraphEvents(
  graph: CompiledGraph,
  run: Pick<Run, 'streamModes' | 'durability'>,
  { keepsCheckpoints, isReplayed }: { keepsCheckpoints: boolean; isReplayed: IsReplayed },
): GraphEvents {
  const modes = new Set(run.streamModes as StreamMode[]);
  const namesCheckpoints = run.durability !== 'EXIT';
  const states = createStateReferences(graph, { keepsCheckpoints, namesCheckpoints });

  function* eventsOf(chunk: Chunk): Generator<NewEvent> {
    const { namespace, mode, payload } = chunk;
    if (mode === 'values') {
      yield* states.add({ type: 'VALUES', namespace, data: { values: toPlain(payload) } });
    } else if (mode === 'checkpoints') {
      yield* states.addCheckpoint(chunk, { isShown: modes.has('CHECKPOINTS') });
    } else if (mode === 'messages') yield* messageEvents(chunk);
    else if (!modes.has(mode.toUpperCase() as StreamMode)) return;
    else if (mode === 'updates') yield* updateEvents(chunk, isReplayed);
    else if (mode === 'custom') {
      yield { type: 'CUSTOM', namespace, data: { data: toPlain(payload) ?? null } };
    } else if (mode === 'tasks') yield { type: 'TASKS', namespace, data: toPlain(payload) };
    else if (mode === 'tools') yield { type: 'TOOLS', namespace, data: toPlain(payload) };
    else if (mode === 'debug') yield states.debugEvent(chunk);
    else if (mode === 'events') yield* langChainEvents(chunk);
  }

  return { of: eventsOf, flush: states.flush };
}

/** True if a cached update of a namespace belongs to a task that finished before the run resumed. */
type IsReplayed = (namespace: string[]) => boolean;

/** An event per node, without the updates from before the run resumed. */
function* updateEvents({ namespace, payload }: Chunk, isReplayed: IsReplayed): Generator<NewEvent> {
  if (!isRecord(payload)) return;
  const { __metadata__: metadata, ...updates } = payload;
  if (isRecord(metadata) && metadata['cached'] && isReplayed(namespace)) return;
  for (const [node, update] of Object.entries(updates)) {
    nameMessages(update);
    yield { type: 'UPDATES', namespace, data: { node, update: toPlain(update) ?? null } };
  }
}

/** An event of LangChain's `streamEvents`. */
function* langChainEvents({ namespace, payload }: Chunk): Generator<NewEvent> {
  if (isHidden((payload as { tags: string[] }).tags)) return;
  yield { type: 'EVENTS', namespace, data: toPlain(payload) };
}

/** Keys of LangChain's metadata with values that clients find elsewhere: in the run of the event, or under a different key. */
const REDUNDANT_KEYS = [
  'run_id',
  'thread_id',
  'graph_id',
  'assistant_id',
  'checkpoint_ns',
  'versions',
];

type MessagePayload = [unknown, metadata: Record<string, unknown>, takeEnded: () => string[]];

function* messageEvents({ namespace, payload }: Chunk): Generator<NewEvent> {
  const [message, metadata, takeEnded] = payload as MessagePayload;
  if (!isMessage(message) || isHidden(metadata['tags'])) return;
  const ended = takeEnded();
  const shown = Object.entries(metadata).filter(
    ([key]) => !key.startsWith('__') && !REDUNDANT_KEYS.includes(key),
  );
  yield {
    type: 'MESSAGES',
    namespace,
    data: {
      message: toPlain(message),
      isChunk: isChunk(message) && !isReturned(metadata),
      metadata: toPlain(Object.fromEntries(shown)),
      // Only for some clients: the streamed messages without further pieces.
      ...(ended.length > 0 && { ended }),
    },
  };
}

/** True if a node returned the message: the message is then complete, even if it has a chunk class. */
function isReturned({ name, langgraph_node: node, ...more }: Record<string, unknown>): boolean {
  return name === node && !('ls_model_type' in more);
}

/** True if the tags hide the output of a run, node or model. */
export function isHidden(tags: unknown): boolean {
  return Array.isArray(tags) && tags.includes('langsmith:hidden');
}
