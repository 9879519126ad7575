import type { RunnableConfig } from '@langchain/core/runnables';
import { isCommand, type RunControl, type StreamMode as LangGraphMode } from '@langchain/langgraph';
import { type BaseCheckpointSaver, uuid6 } from '@langchain/langgraph-checkpoint';
import { isChunk, isMessage, toPlain } from '../checkpoints/plain.ts';
import type { NewEvent, StreamMode } from '../events/event.ts';
import type { Run } from '../generated/prisma/client.ts';
import type { CompiledGraph } from '../graphs/load.ts';
import { knowsSubgraph } from '../graphs/subgraphs.ts';
import { isRecord } from '../json.ts';

export interface Execution {
  saver: BaseCheckpointSaver;
  signal: AbortSignal;
  /** Asked to drain, the graph stops at its next step. */
  control: RunControl;
  /** The run's input, a Command, or null to go on from where the thread stands. */
  input: unknown;
  /** The checkpoint to start from; undefined: the newest. */
  start?: StartingPoint | undefined;
  /** Whether the checkpoints can be read afterwards, so that an event may refer to one. */
  keepsCheckpoints: boolean;
}

/** A checkpoint, as LangGraph's configuration names it. */
export interface StartingPoint {
  checkpoint_id: string;
  checkpoint_ns: string;
  /** Of a subgraph's checkpoint: those of the graphs around it, by namespace. */
  checkpoint_map?: Record<string, string>;
}

/** How the stream ended when it did not throw. */
export interface Ending {
  /** The graph, or one within it, may wait: for an answer, or before or after a node. Its state tells. */
  mayWait: boolean;
}

type Chunk = [origin: string[], mode: LangGraphMode, payload: unknown];

/** Drives the graph and yields what clients should see. Throws what the graph throws. */
export async function* executeRun(
  graph: CompiledGraph,
  run: Run & { threadId: string },
  { saver, signal, control, input, start, keepsCheckpoints }: Execution,
): AsyncGenerator<NewEvent, Ending> {
  const modes = new Set(run.streamModes as StreamMode[]);
  // What the thread's tasks had finished before is not told again.
  const goesOn = input === null || isCommand(input);
  const config = runConfig(run, saver);
  const stream: AsyncIterable<Chunk> = await graph.stream(input, {
    ...config,
    configurable: { ...config.configurable, ...start },
    signal,
    control,
    streamMode: langGraphModes(modes),
    // Always: otherwise what a subgraph writes to the stream itself comes as if the graph had.
    subgraphs: true,
    durability: run.durability.toLowerCase() as 'sync' | 'async' | 'exit',
    ...(run.interruptBefore.length > 0 && { interruptBefore: nodeNames(run.interruptBefore) }),
    ...(run.interruptAfter.length > 0 && { interruptAfter: nodeNames(run.interruptAfter) }),
  });

  // A run that is hidden as a whole does not tell that it waits.
  let mayWait = isHidden(config.tags);
  const states = stateReferences(graph, {
    keepsCheckpoints,
    namesCheckpoints: run.durability !== 'EXIT',
  });
  try {
    for await (const [origin, mode, payload] of readAhead(stream)) {
      // A message's origin ends with the task that it comes from.
      const namespace = mode === 'messages' ? origin.slice(0, -1) : origin;
      if (isInterruption(mode, payload)) mayWait = true;
      else if (namespace.length > 0 && !run.streamSubgraphs) continue;
      else if (mode === 'values')
        yield* states.hold({ type: 'VALUES', namespace, data: { values: toPlain(payload) } });
      else if (mode === 'checkpoints')
        yield* states.release(namespace, payload, modes.has('CHECKPOINTS'));
      else if (mode === 'messages') yield* messageEvents(namespace, payload);
      else if (modes.has(mode.toUpperCase() as StreamMode))
        yield* eventsOf(mode, namespace, payload, goesOn);
    }
  } catch (error) {
    // A graph that runs out of steps has shown its last state, and not the checkpoint that holds it.
    yield* states.rest();
    throw error;
  }
  yield* states.rest();
  return { mayWait };
}

/** Reads without a pause: when a graph throws, LangGraph drops what waits in its stream to be read. */
async function* readAhead<T>(source: AsyncIterable<T>): AsyncGenerator<T, void> {
  let waiting: T[] = [];
  let isOver = false;
  let wake = (): void => {};
  const reading = (async () => {
    try {
      for await (const element of source) {
        waiting.push(element);
        wake();
      }
    } finally {
      isOver = true;
      wake();
    }
  })();
  reading.catch(() => {}); // it is awaited once all is given
  for (;;) {
    const next = waiting;
    waiting = [];
    yield* next;
    if (waiting.length > 0) continue;
    if (isOver) return reading;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}

/** What the graph, its nodes and its tools see as their configuration. */
export function runConfig(
  run: Run & { threadId: string },
  saver: BaseCheckpointSaver,
): RunnableConfig {
  const config = run.config as Record<string, unknown>;
  const ids = {
    run_id: run.id,
    thread_id: run.threadId,
    graph_id: run.graphId,
    assistant_id: run.assistantId,
  };
  const context = run.context as Record<string, unknown>;
  const limit = config['recursion_limit'] ?? config['recursionLimit'];
  return {
    configurable: {
      ...(config['configurable'] as object | undefined),
      ...ids,
      // The graph is shared by all runs: what belongs to one of them comes with its configuration.
      __pregel_checkpointer: saver,
    },
    metadata: {
      ...(config['metadata'] as object | undefined),
      ...(run.metadata as object),
      ...ids,
    },
    tags: (config['tags'] as string[] | undefined) ?? [],
    runId: run.id,
    // An empty context would be checked in place of a configurable that a graph still declares the old way.
    ...(Object.keys(context).length > 0 && { context }),
    ...(typeof limit === 'number' && { recursionLimit: limit }),
  };
}

/** `updates` is always asked for: it tells that the graph waits. `checkpoints` tells which state `values` shows. */
function langGraphModes(modes: ReadonlySet<StreamMode>): LangGraphMode[] {
  const asked = Array.from(modes, (mode) => mode.toLowerCase() as LangGraphMode);
  const needed: LangGraphMode[] = modes.has('VALUES') ? ['updates', 'checkpoints'] : ['updates'];
  return [...new Set([...asked, ...needed])];
}

function nodeNames(names: string[]): string[] | '*' {
  return names.includes('*') ? '*' : names;
}

function isInterruption(mode: LangGraphMode, payload: unknown): boolean {
  const tells = mode === 'updates' || mode === 'values';
  return tells && isRecord(payload) && '__interrupt__' in payload;
}

function* eventsOf(
  mode: LangGraphMode,
  namespace: string[],
  payload: unknown,
  goesOn: boolean,
): Generator<NewEvent> {
  if (mode === 'updates') yield* updateEvents(namespace, payload, goesOn);
  else if (mode === 'custom')
    yield { type: 'CUSTOM', namespace, data: { data: toPlain(payload) ?? null } };
  else if (mode === 'tasks') yield { type: 'TASKS', namespace, data: toPlain(payload) };
}

/** One event per node. What a finished task wrote before is not told again when a run goes on. */
function* updateEvents(
  namespace: string[],
  payload: unknown,
  goesOn: boolean,
): Generator<NewEvent> {
  if (!isRecord(payload)) return;
  const { __metadata__: told, ...updates } = payload;
  if (goesOn && isRecord(told) && told['cached']) return;
  for (const [node, update] of Object.entries(updates)) {
    yield { type: 'UPDATES', namespace, data: { node, update: toPlain(update) ?? null } };
  }
}

/** Left out of every chunk's metadata: the event's run has them, or another key says the same. */
const KNOWN_FROM_THE_RUN = [
  'run_id',
  'thread_id',
  'graph_id',
  'assistant_id',
  'checkpoint_ns',
  'versions',
];

function* messageEvents(namespace: string[], payload: unknown): Generator<NewEvent> {
  const [message, metadata] = payload as [unknown, Record<string, unknown>];
  if (!isMessage(message) || isHidden(metadata['tags'])) return;
  const shown = Object.entries(metadata).filter(
    ([key]) => !key.startsWith('__') && !KNOWN_FROM_THE_RUN.includes(key),
  );
  yield {
    type: 'MESSAGES',
    namespace,
    data: {
      message: toPlain(message),
      isChunk: isChunk(message) && !isReturned(metadata),
      metadata: toPlain(Object.fromEntries(shown)),
    },
  };
}

/** Whether a node returned the message, which is whole then, even where it is of the class of chunks. */
function isReturned({ name, langgraph_node: node, ...more }: Record<string, unknown>): boolean {
  return name === node && !('ls_model_type' in more);
}

/** What has this tag is for nobody to see. */
function isHidden(tags: unknown): boolean {
  return Array.isArray(tags) && tags.includes('langsmith:hidden');
}

/**
 * LangGraph shows a state's values just before the checkpoint that holds them. The event waits for it and then refers
 * to it, so that the log does not keep the conversation once more per step.
 */
function stateReferences(
  graph: CompiledGraph,
  { keepsCheckpoints, namesCheckpoints }: { keepsCheckpoints: boolean; namesCheckpoints: boolean },
) {
  const held = new Map<string, NewEvent>();

  /** The event without the values, which are the checkpoint's; with them where they could not be read from it. */
  function refer(event: NewEvent, checkpointId: string | undefined): NewEvent {
    if (!keepsCheckpoints || !checkpointId) return event;
    if (!knowsSubgraph(graph, event.namespace.join('|'))) return { ...event, checkpointId };
    const { values: _, ...data } = event.data as Record<string, unknown>;
    return { ...event, data, checkpointId };
  }

  return {
    *hold(event: NewEvent): Generator<NewEvent> {
      const key = event.namespace.join('|');
      const before = held.get(key);
      if (before) yield before; // of a subgraph that keeps no checkpoints
      held.set(key, event);
    },
    *release(namespace: string[], payload: unknown, showCheckpoint: boolean): Generator<NewEvent> {
      const key = namespace.join('|');
      const checkpointId = namesCheckpoints ? checkpointIdOf(payload) : uuid6(stepOf(payload));
      const values = held.get(key);
      if (values) yield refer(values, checkpointId);
      held.delete(key);
      if (showCheckpoint) {
        const data = checkpointData(payload, checkpointId);
        yield refer({ type: 'CHECKPOINTS', namespace, data }, checkpointId);
      }
    },
    *rest(): Generator<NewEvent> {
      yield* held.values();
      held.clear();
    },
  };
}

function checkpointIdOf(payload: unknown): string | undefined {
  const config = (payload as { config?: RunnableConfig }).config;
  return config?.configurable?.['checkpoint_id'];
}

function stepOf(payload: unknown): number {
  return (payload as { metadata?: { step?: number } }).metadata?.step ?? 0;
}

function checkpointData(payload: unknown, checkpointId: string | undefined): unknown {
  const { values, next, tasks, metadata } = payload as Record<string, unknown>;
  return { ...(toPlain({ values, next, tasks, metadata }) as object), checkpointId };
}
