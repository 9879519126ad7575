import { wireValue } from '../checkpoints/rest-values.ts';
import type { StoredEvent } from '../events/event.ts';
import type { Run } from '../generated/prisma/client.ts';
import { isRecord, recordOf } from '../json.ts';
import { toolDataOf } from './event-values.ts';
import { lifecycleEnd, shownFailure, type FrameSource } from './rest-frames.ts';
import {
  createMessageEvents,
  namespaceOfMessage,
  type MessageEvent,
} from './rest-protocol-messages.ts';
import { createNamespaces, type NamespaceEvent } from './rest-protocol-namespaces.ts';

/** An event of the protocol, without its id and time. */
export interface ProtocolEvent {
  method: string;
  channel: string;
  namespace: readonly string[];
  node?: string | undefined;
  /** Read only if a client gets the event. */
  data: () => unknown;
}

/** Reads what events refer to. */
export interface ProtocolSource extends Pick<FrameSource, 'values'> {
  /** The questions with these ids, each with its namespace. */
  questions(ids: readonly string[]): Promise<Question[]>;
}

export interface Question {
  id: string;
  value: unknown;
  namespace: string[];
}

/** What the events of a run so far have shown. */
interface RunState {
  run: Run;
  source: ProtocolSource;
  messages: ReturnType<typeof createMessageEvents>;
  namespaces: ReturnType<typeof createNamespaces>;
  /** VALUES events, by namespace. Clients expect the checkpoint of a state before the state. */
  held: Map<string, StoredEvent>;
}

/**
 * Makes the events of LangGraph's protocol from the stored events of a run, from the first one on. A stored event becomes the same
 * events for each reader, with any filter: their positions are a part of their ids.
 */
export function createProtocolEvents(run: Run, source: ProtocolSource) {
  const state: RunState = {
    run,
    source,
    messages: createMessageEvents(),
    namespaces: createNamespaces({ hasTasks: run.streamModes.includes('TASKS') }),
    held: new Map(),
  };
  return async function* of(event: StoredEvent): AsyncGenerator<ProtocolEvent, void> {
    if (event.type === 'STARTED') yield* started(state);
    else if (event.type === 'INTERRUPT') yield* asked(state, event);
    else if (event.type === 'FINISHED') yield* finished(state, event);
    else if (!UNKNOWN.has(event.type)) yield* inGraph(state, event);
  };
}

function* started({ run, source, ...state }: RunState): Generator<ProtocolEvent> {
  for (const event of state.held.values()) yield valuesEvent(event, source);
  state.held.clear();
  state.messages.forget();
  state.namespaces.forget();
  yield lifecycle([], { event: 'running', graph_name: run.graphId });
  const answers = recordOf(run.command)['resume'];
  if (!Array.isArray(answers)) return;
  const ids = answers.map((answer) => String(recordOf(answer)['interruptId']));
  const data = async () => {
    const questions = await source.questions(ids);
    return { interrupt_ids: questions.map(({ id }) => id) };
  };
  yield { method: 'input.answered', channel: 'input', namespace: [], data };
}

function* finished(
  { run, source, held, messages, namespaces }: RunState,
  { data }: StoredEvent,
): Generator<ProtocolEvent> {
  const { status, error } = recordOf(data);
  const end = lifecycleEnd(status);
  for (const event of held.values()) yield valuesEvent(event, source);
  // The messages of a failed or cancelled task stay open: they are not in the state.
  if (status === 'SUCCESS' || status === 'INTERRUPTED') yield* each(messages.finish([]));
  yield* each(namespaces.endAll(end));
  const failure = end === 'failed' && { error: shownFailure(status, error).message };
  yield lifecycle([], { event: end, graph_name: run.graphId, ...failure });
}

async function* asked(
  { source }: RunState,
  { data }: StoredEvent,
): AsyncGenerator<ProtocolEvent, void> {
  const ids = recordOf(data)['interruptIds'] as string[];
  for (const { id, value, namespace } of await source.questions(ids)) {
    const asking = { interrupt_id: id, payload: value };
    yield { method: 'input.requested', channel: 'input', namespace, data: () => asking };
  }
}

function* inGraph(state: RunState, event: StoredEvent): Generator<ProtocolEvent> {
  const { messages, namespaces } = state;
  const { type, namespace } = event;
  const data = recordOf(event.data);
  if (type === 'TASKS' && !isResult(data)) namespaces.observe(namespace, data);
  yield* each(namespaces.start(namespaceOf(event)));
  if (type === 'MESSAGES') yield* each(messages.of(event));
  else if (type === 'VALUES') yield* values(state, event);
  else if (type === 'CHECKPOINTS') yield* checkpoint(state, event);
  else if (type === 'TASKS') yield* task(state, event);
  else if (type === 'UPDATES') {
    yield updateEvent(event);
    yield* each(namespaces.endNode(namespace, String(data['node'])));
  } else if (type === 'CUSTOM') yield customEvent(event);
  else if (type === 'TOOLS') yield toolEvent(event);
}

function* values(state: RunState, event: StoredEvent): Generator<ProtocolEvent> {
  const { run, source, held, messages } = state;
  yield* each(messages.finish(event.namespace));
  const hasCheckpoint = event.checkpointId && run.streamModes.includes('CHECKPOINTS');
  if (hasCheckpoint) held.set(event.namespace.join('|'), event);
  else yield valuesEvent(event, source);
}

/** The checkpoint without its state, and then the state. */
function* checkpoint({ source, held }: RunState, event: StoredEvent): Generator<ProtocolEvent> {
  const { namespace, data } = event;
  const { checkpointId: id, parentId, metadata } = recordOf(data);
  const { step, source: origin } = recordOf(metadata);
  const parent = typeof parentId === 'string' && { parent_id: parentId };
  const shown = { id, ...parent, step, source: origin };
  if (typeof id === 'string') {
    yield { method: 'checkpoints', channel: 'checkpoints', namespace, data: () => shown };
  }
  const key = namespace.join('|');
  const state = held.get(key);
  held.delete(key);
  if (state) yield valuesEvent(state, source);
}

function* task({ messages, namespaces }: RunState, event: StoredEvent): Generator<ProtocolEvent> {
  const { namespace } = event;
  const data = recordOf(event.data);
  const ended = isResult(data) && isComplete(data);
  const path = [...namespace, `${String(data['name'])}:${String(data['id'])}`];
  if (ended) yield* each(messages.finish(path));
  yield { method: 'tasks', channel: 'tasks', namespace, data: () => wireValue(data) };
  if (ended) yield* each(namespaces.endTask(path));
}

/** The protocol has no events of these kinds. */
const UNKNOWN = new Set<StoredEvent['type']>(['GAP', 'DEBUG', 'EVENTS']);

function isResult(task: Record<string, unknown>): boolean {
  return 'result' in task || 'error' in task;
}

function isComplete({ error, interrupts }: Record<string, unknown>): boolean {
  return error == null && !(Array.isArray(interrupts) && interrupts.length > 0);
}

/** Messages and calls of tools belong to the namespace of their task. */
function namespaceOf(event: StoredEvent): string[] {
  if (event.type === 'MESSAGES') return namespaceOfMessage(event);
  const task = event.type === 'TOOLS' ? recordOf(event.data)['taskNamespace'] : undefined;
  return typeof task === 'string' && task !== '' ? task.split('|') : [...event.namespace];
}

function* each(events: Iterable<NamespaceEvent | MessageEvent>): Generator<ProtocolEvent> {
  for (const event of events) {
    const { namespace, data } = event;
    if (!('node' in event)) yield lifecycle(namespace, data);
    else {
      const { node } = event;
      yield { method: 'messages', channel: 'messages', namespace, node, data: () => data };
    }
  }
}

function lifecycle(namespace: readonly string[], data: object): ProtocolEvent {
  return { method: 'lifecycle', channel: 'lifecycle', namespace, data: () => data };
}

function valuesEvent(event: StoredEvent, source: ProtocolSource): ProtocolEvent {
  const data = async () => wireValue(await source.values(event));
  return { method: 'values', channel: 'values', namespace: event.namespace, data };
}

function updateEvent({ namespace, data }: StoredEvent): ProtocolEvent {
  const { node: name, update } = recordOf(data);
  const node = String(name);
  const shown = wireValue(update);
  const isObject = typeof shown === 'object' && shown !== null;
  const values = isObject ? shown : shown == null ? {} : { value: shown };
  return { method: 'updates', channel: 'updates', namespace, node, data: () => ({ node, values }) };
}

/** What a writer gave a name and a payload has a channel of its own. */
function customEvent({ namespace, data }: StoredEvent): ProtocolEvent {
  const payload = wireValue(recordOf(data)['data']);
  const name = isRecord(payload) && 'payload' in payload ? payload['name'] : undefined;
  const isNamed = typeof name === 'string' && name !== '';
  return {
    method: 'custom',
    channel: isNamed ? `custom:${name}` : 'custom',
    namespace,
    data: () => (isNamed ? payload : { payload }),
  };
}

function toolEvent(event: StoredEvent): ProtocolEvent {
  const call = recordOf(wireValue(toolDataOf(event)));
  return {
    method: 'tools',
    channel: 'tools',
    namespace: namespaceOf(event),
    data: () => ({ ...toolStep(call), tool_call_id: call['toolCallId'] ?? null }),
  };
}

function toolStep({ event, name, input, data, output, error }: Record<string, unknown>): object {
  if (event === 'on_tool_start') return { event: 'tool-started', tool_name: name, input };
  if (event === 'on_tool_end') return { event: 'tool-finished', output };
  if (event === 'on_tool_error') {
    return {
      event: 'tool-error',
      message: isRecord(error) ? String(error['message']) : String(error),
    };
  }
  const delta = typeof data === 'string' ? data : (JSON.stringify(data) ?? '');
  return { event: 'tool-output-delta', delta };
}
