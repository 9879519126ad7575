import type { BaseCallbackHandler } from '@langchain/core/callbacks/base';
import type { RunnableConfig } from '@langchain/core/runnables';
import { isCommand, type RunControl, type StreamMode as LangGraphMode } from '@langchain/langgraph';
import type { BaseCheckpointSaver } from '@langchain/langgraph-checkpoint';
import type { MeasuredEvent, NewEvent, StreamMode } from '../events/event.ts';
import type { MeasureEvent } from '../events/measure.ts';
import type { Run } from '../generated/prisma/client.ts';
import { configurationOf } from '../graphs/configuration.ts';
import type { CompiledGraph } from '../graphs/load.ts';
import { isRecord } from '../json.ts';
import type { AttemptSaver } from './attempt-saver.ts';
import { createGraphEvents, isHidden } from './graph-events.ts';
import { createQueue, createStream, currentNamespace, type Chunk } from './graph-stream.ts';
import { LangChainEventsHandler } from './langchain-events.ts';
import { MessagesHandler } from './messages.ts';
import { ToolEventsHandler } from './tool-events.ts';

export interface Execution {
  saver: AttemptSaver;
  signal: AbortSignal;
  /** A drain request stops the graph at its next step. */
  control: RunControl;
  /** The input of the run, a Command, or null to continue from the checkpoint. */
  input: unknown;
  /** The checkpoint to start from; undefined: the newest. */
  start?: StartingPoint | undefined;
  /** True if the checkpoints stay readable after the run: events may then refer to them. */
  keepsCheckpoints: boolean;
  /** Above the limit for the events of a run, throws and aborts the signal. */
  measure: MeasureEvent;
}

/** The address of a checkpoint in LangGraph's configuration. */
export interface StartingPoint {
  checkpoint_id: string;
  checkpoint_ns: string;
  /** For a checkpoint of a subgraph: the checkpoints of its parent graphs, by namespace. */
  checkpoint_map?: Record<string, string>;
}

/** The result of a stream without an error. */
export interface Ending {
  /** The graph or a subgraph may wait at an interrupt. The state of the graph decides. */
  mayWait: boolean;
}

/**
 * Executes the graph and yields the events of its stream. Throws the errors of the graph.
 *
 * Each event has a copy of the data, made during the call of `emit`: right after the call, the graph may change its data.
 * LangGraph's own stream stays empty: its reader runs later and loses the last chunks if the graph throws.
 */
export async function* executeRun(
  graph: CompiledGraph,
  run: ClaimedRun,
  execution: Execution,
): AsyncGenerator<MeasuredEvent, Ending> {
  const { saver, input, keepsCheckpoints, measure } = execution;
  const config = runConfig(run, saver);
  const queue = createQueue<MeasuredEvent>();
  // With the hidden tag, a run emits no interrupts: its state decides.
  let mayWait = isHidden(config.tags);
  // The updates of tasks that finished in an earlier attempt or run are events of that attempt or run.
  const resumes = input === null || isCommand(input);
  const isReplayed = (namespace: string[]) => resumes && saver.takeEnded(namespace.join('|'));
  const events = createGraphEvents(graph, run, { keepsCheckpoints, isReplayed });

  /** Measures each event at once: in one turn of the event loop, a graph may emit more than fits into memory. */
  function add(newEvents: () => Iterable<NewEvent>): void {
    queue.add(() => measured(newEvents(), measure));
  }

  const emitting = emittingConfig(run, (chunk) => {
    if (isInterrupt(chunk)) mayWait = true;
    else if (chunk.namespace.length === 0 || run.streamSubgraphs) add(() => events.of(chunk));
    // Throws into the node: nothing else stops a node with an endless loop of writes.
    if (chunk.mode === 'custom') queue.check();
  });

  executeGraph(graph, run, { ...execution, config: mergeConfigs(config, emitting) })
    // After its limit of steps, a graph has emitted its last state, but no checkpoint of this state.
    .finally(() => add(() => events.flush()))
    .then(
      () => queue.end(),
      (error: unknown) => queue.end({ error }),
    );
  yield* queue;
  return { mayWait };
}

type ClaimedRun = Run & { threadId: string };

/** Resolves at the end of the graph. */
async function executeGraph(
  graph: CompiledGraph,
  { durability, interruptBefore, interruptAfter }: ClaimedRun,
  { config, input, start, signal, control }: Execution & { config: RunnableConfig },
): Promise<void> {
  const stream = await graph.stream(input, {
    ...config,
    configurable: { ...config.configurable, ...start },
    signal,
    control,
    streamMode: [],
    // With 'sync', LangGraph awaits each put before the next nodes can change its values. Under durability ASYNC, a put already
    // resolves when the saver has copied the values.
    durability: durability === 'EXIT' ? 'exit' : 'sync',
    ...(interruptBefore.length > 0 && { interruptBefore: nodeNames(interruptBefore) }),
    ...(interruptAfter.length > 0 && { interruptAfter: nodeNames(interruptAfter) }),
  });
  for await (const _ of stream) {
    // The stream has no modes, so it is empty.
  }
}

function mergeConfigs(config: RunnableConfig, emitting: RunnableConfig): RunnableConfig {
  const configurable = { ...config.configurable, ...emitting.configurable };
  return { ...config, ...emitting, configurable };
}

function* measured(
  events: Iterable<NewEvent>,
  measure: MeasureEvent,
): Generator<MeasuredEvent, void> {
  for (const event of events) yield measure(event);
}

/** The configuration of the graph, its nodes and its tools. */
function runConfig(run: ClaimedRun, saver: BaseCheckpointSaver): RunnableConfig {
  const { configurable, ...config } = runConfiguration(run);
  // All runs share the graph, so the saver of a run is part of its configuration.
  return { ...config, configurable: { ...configurable, __pregel_checkpointer: saver } };
}

/** A copy of the configuration, for a graph function. */
export function runConfiguration(run: ClaimedRun): RunnableConfig {
  return configurationOf({ ...run, runId: run.id, user: run.viewer });
}

/** In addition to the requested modes: the server needs `updates` for interrupts, and `checkpoints` for the ids of checkpoints in events. */
function langGraphModes(modes: ReadonlySet<StreamMode>): LangGraphMode[] {
  const asked = Array.from(modes, (mode) => mode.toLowerCase() as LangGraphMode);
  const namesCheckpoints = modes.has('VALUES') || modes.has('DEBUG');
  const needed: LangGraphMode[] = namesCheckpoints ? ['updates', 'checkpoints'] : ['updates'];
  return [...new Set([...asked, ...needed])];
}

/** With this configuration, LangGraph calls `emit` with each chunk as soon as the chunk exists. */
function emittingConfig({ streamModes }: Pick<Run, 'streamModes'>, emit: (chunk: Chunk) => void) {
  const modes = new Set(streamModes as StreamMode[]);
  return {
    configurable: { __pregel_stream: createStream(langGraphModes(modes), emit) },
    callbacks: handlersOf(modes, emit),
    writer: (payload: unknown) => {
      if (modes.has('CUSTOM')) emit({ namespace: currentNamespace(), mode: 'custom', payload });
    },
  };
}

/** LangChain's callbacks for the modes that are not from LangGraph's execution loop. MESSAGES comes first: it gives ids to messages. */
function handlersOf(modes: ReadonlySet<StreamMode>, emit: (chunk: Chunk) => void) {
  const handlers: BaseCallbackHandler[] = [];
  if (modes.has('MESSAGES')) {
    const handler = new MessagesHandler((namespace, payload) =>
      emit({ namespace, mode: 'messages', payload }),
    );
    handlers.push(handler);
  }
  if (modes.has('TOOLS')) {
    const handler = new ToolEventsHandler((namespace, payload) =>
      emit({ namespace, mode: 'tools', payload }),
    );
    handlers.push(handler);
  }
  if (modes.has('EVENTS')) {
    // Without a namespace, so the events of subgraphs always belong to them: a reader needs all parents of a run.
    const handler = new LangChainEventsHandler((payload) =>
      emit({ namespace: [], mode: 'events', payload }),
    );
    handlers.push(handler);
  }
  return handlers;
}

function nodeNames(names: string[]): string[] | '*' {
  return names.includes('*') ? '*' : names;
}

function isInterrupt({ mode, payload }: Chunk): boolean {
  const canInterrupt = mode === 'updates' || mode === 'values';
  return canInterrupt && isRecord(payload) && '__interrupt__' in payload;
}
