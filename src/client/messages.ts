import type { StoredThread, ThreadEvent } from './documents.ts';
import type { MessageVersion, ThreadMessage, ThreadToolCall } from './types.ts';

type Stored = StoredThread['messages'][number];
type StoredVersion = NonNullable<Stored['versions']>[number];
type MessagesEvent = Extract<ThreadEvent, { __typename: 'MessagesEvent' }>;
type ToolCallChunk = MessagesEvent['message']['toolCallChunks'][number];

/** The messages of a state. A message that has not changed is the same object as in `before`. */
export function storedMessages(
  stored: readonly Stored[],
  before: readonly ThreadMessage[],
): ThreadMessage[] {
  const known = new Map(before.map((message) => [message.id, message]));
  return stored.map(({ messageId, versions: read, ...fields }, index) => {
    // A message without an id has at least its place.
    const id = messageId ?? `#${index}`;
    const old = known.get(id);
    const versions = read ? read.map(versionOf) : (old?.versions ?? []);
    return sameOrNew(old, { id, ...fields, namespace: [], status: 'stored', versions });
  });
}

function versionOf({ newest, isCurrent }: StoredVersion): MessageVersion {
  return { checkpointId: newest.checkpointId, isCurrent };
}

/** The old object if it has the same content. React then renders nothing again. */
export function sameOrNew<Value>(old: Value | undefined, value: Value): Value {
  return old !== undefined && JSON.stringify(old) === JSON.stringify(value) ? old : value;
}

/** Adds the message of an event: appends a chunk, or puts a whole message in its place. */
export function addStreamed(
  streamed: readonly ThreadMessage[],
  event: MessagesEvent,
): ThreadMessage[] {
  const id = event.message.messageId ?? event.id;
  const old = streamed.find((message) => message.id === id);
  const message = event.isChunk ? appended(old, event, id) : streamedMessage(event, id);
  return old ? streamed.map((each) => (each === old ? message : each)) : [...streamed, message];
}

function streamedMessage({ message, namespace }: MessagesEvent, id: string): ThreadMessage {
  const { messageId: _, toolCallChunks: __, ...fields } = message;
  return { id, ...fields, namespace, status: 'streaming', versions: [] };
}

function appended(old: ThreadMessage | undefined, event: MessagesEvent, id: string): ThreadMessage {
  const first = old ?? { ...streamedMessage(event, id), text: '', toolCalls: [] };
  const { message } = event;
  const text = first.text + message.text;
  const toolCalls = message.toolCallChunks.reduce(addToolCallChunk, first.toolCalls);
  return { ...first, text, content: text, toolCalls };
}

/** Appends to the call at the chunk's index. A chunk without an index continues the last call, unless it has a name. */
function addToolCallChunk(calls: ThreadToolCall[], chunk: ToolCallChunk): ThreadToolCall[] {
  const next = chunk.name === null ? calls.length - 1 : calls.length;
  const index = Math.max(0, chunk.index ?? next);
  const old = calls[index];
  const argsText = (old?.argsText ?? '') + (chunk.args ?? '');
  const call: ThreadToolCall = {
    toolCallId: old?.toolCallId ?? chunk.toolCallId,
    name: old?.name || (chunk.name ?? ''),
    args: parsed(argsText),
    argsText,
  };
  return [...calls.slice(0, index), call, ...calls.slice(index + 1)];
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** The human messages with an id in the input of a run. The state will have them under the same ids. */
export function inputMessages(input: unknown): ThreadMessage[] {
  const messages: unknown = isRecord(input) ? input['messages'] : undefined;
  if (!Array.isArray(messages)) return [];
  return messages.filter(isRecord).flatMap(({ id, type, role, content }) => {
    const isHuman = [type, role].some((name) => name === 'human' || name === 'user');
    return isHuman && typeof id === 'string' ? [humanMessage(id, content)] : [];
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function humanMessage(id: string, content: unknown): ThreadMessage {
  const blocks: { text?: unknown }[] = Array.isArray(content) ? content : [{ text: content }];
  return {
    id,
    type: 'HUMAN',
    text: blocks.map(({ text }) => (typeof text === 'string' ? text : '')).join(''),
    content,
    name: null,
    toolCalls: [],
    toolCallId: null,
    namespace: [],
    status: 'sending',
    versions: [],
  };
}

/** The input of a run for a text or for the input of a graph. Each message gets an id. */
export function withMessageIds(input: string | Record<string, unknown>): Record<string, unknown> {
  if (typeof input === 'string') {
    return { messages: [{ id: newId(), type: 'human', content: input }] };
  }
  if (!Array.isArray(input['messages'])) return input;
  const messages = input['messages'].map((message: unknown) =>
    isRecord(message) ? { id: newId(), ...message } : message,
  );
  return { ...input, messages };
}

/** A random id. Unlike `crypto.randomUUID`, it also works on a page without TLS. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
