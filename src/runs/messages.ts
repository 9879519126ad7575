import { randomUUID } from 'node:crypto';
import { BaseCallbackHandler } from '@langchain/core/callbacks/base';
import { AIMessageChunk, type BaseMessage } from '@langchain/core/messages';
import type { LLMResult } from '@langchain/core/outputs';
import { isCommand } from '@langchain/langgraph';
import { isMessage } from '../checkpoints/plain.ts';
import { isRecord } from '../json.ts';
import { namespaceOf } from './graph-stream.ts';

type Metadata = Record<string, unknown>;

/**
 * Receives a message of a graph. Its node may change the message after the call. `takeEnded` returns the ids of the messages whose
 * streams have ended since its last call.
 */
type EmitMessage = (
  namespace: string[],
  payload: [message: BaseMessage, metadata: Metadata, takeEnded: () => string[]],
) => void;

/**
 * Emits the messages of a run: the tokens of its models, and the messages from its nodes.
 *
 * Replaces LangGraph's handler of the mode "messages". Some versions of LangGraph's handler give the same id to all messages
 * of a node without an id, so the state keeps only the last of these messages. This handler gives each of them an id of its
 * own, before the state receives it.
 */
export class MessagesHandler extends BaseCallbackHandler {
  /** LangGraph's `pushMessage` finds the handler by this name and calls `_emit`. */
  name = 'StreamMessagesHandler';
  /** Makes models stream their tokens. */
  lc_prefer_streaming = true;
  override awaitHandlers = true;
  readonly #emit: EmitMessage;
  /** The models and nodes with visible messages, by LangChain run id. */
  readonly #sources = new Map<string, Metadata>();
  /** The ids of emitted messages and of messages in the input of a node. */
  readonly #known = new Set<string>();
  /** The id of the message in a model's stream, by LangChain run id. */
  readonly #streamed = new Map<string, string>();
  #ended: string[] = [];

  constructor(emit: EmitMessage) {
    super();
    this.#emit = emit;
  }

  override handleChatModelStart(
    ...[, , runId, , , tags, metadata, name]: Parameters<Handler['handleChatModelStart']>
  ): void {
    if (!metadata || tags?.some((tag) => NOT_STREAMED.has(tag))) return;
    this.#sources.set(runId, { tags, name, ...metadata });
  }

  override handleLLMNewToken(
    ...[token, , runId, , , fields]: Parameters<Handler['handleLLMNewToken']>
  ): void {
    const metadata = this.#sources.get(runId);
    if (!metadata) return;
    const message = messageOf(fields?.chunk) ?? new AIMessageChunk(token);
    const id = this.#streamed.get(runId) ?? message.id ?? `run-${runId}`;
    this.#streamed.set(runId, id);
    // The provider's id takes precedence over LangChain's generated id.
    if (message.id == null || message.id === `run-${runId}`) setId(message, id);
    this.#emitMessage(metadata, message);
  }

  override handleLLMEnd(output: LLMResult, runId: string): void {
    const metadata = this.#sources.get(runId);
    const message = messageOf(output.generations[0]?.[0]);
    const streamed = this.#streamed.get(runId);
    if (streamed !== undefined) this.#ended.push(streamed);
    else if (metadata && message) {
      if (message.id == null) setId(message, `run-${runId}`);
      this.#emitOnce(metadata, message);
    }
    this.#forget(runId);
  }

  override handleLLMError(_error: unknown, runId: string): void {
    this.#forget(runId);
  }

  override handleChainStart(
    ...[, inputs, runId, , tags, metadata, , name]: Parameters<Handler['handleChainStart']>
  ): void {
    const isNode = metadata !== undefined && name === metadata['langgraph_node'];
    if (!isNode || tags?.includes('langsmith:hidden')) return;
    this.#sources.set(runId, { tags, name, ...metadata });
    for (const { id } of messagesIn(inputs)) if (id != null) this.#known.add(id);
  }

  override handleChainEnd(outputs: unknown, runId: string): void {
    const metadata = this.#sources.get(runId);
    this.#forget(runId);
    if (!metadata) return;
    nameMessages(outputs);
    for (const message of messagesIn(outputs)) this.#emitOnce(metadata, message);
  }

  override handleChainError(_error: unknown, runId: string): void {
    this.#forget(runId);
  }

  /** For `pushMessage`. */
  _emit([, metadata]: [unknown, Metadata], message: BaseMessage): void {
    this.#emitMessage(metadata, message);
  }

  #emitOnce(metadata: Metadata, message: BaseMessage): void {
    if (message.id == null || !this.#known.has(message.id)) this.#emitMessage(metadata, message);
  }

  #emitMessage(metadata: Metadata, message: BaseMessage): void {
    if (message.id != null) this.#known.add(message.id);
    const namespace = namespaceOf(metadata);
    if (namespace) this.#emit(namespace, [message, metadata, this.#takeEnded]);
  }

  readonly #takeEnded = (): string[] => {
    const ended = this.#ended;
    this.#ended = [];
    return ended;
  };

  #forget(runId: string): void {
    this.#sources.delete(runId);
    this.#streamed.delete(runId);
  }
}

/** Gives each message in the output of a node an id, before the state receives it: events and the state then have the same. */
export function nameMessages(output: unknown): void {
  for (const message of messagesIn(output)) {
    if (message.id == null) setId(message, randomUUID());
  }
}

type Handler = Required<BaseCallbackHandler>;

const NOT_STREAMED = new Set(['langsmith:nostream', 'nostream']);

/** The message in a model's output or in a chunk of it. */
function messageOf(generation: unknown): BaseMessage | undefined {
  const message = isRecord(generation) ? generation['message'] : undefined;
  return isMessage(message) ? message : undefined;
}

function setId(message: BaseMessage, id: string): void {
  message.id = id;
  if (isRecord(message.lc_kwargs)) message.lc_kwargs['id'] = id;
}

/** The messages of a node's input or output: one message, a list of messages, an update, or a Command with an update. */
function* messagesIn(output: unknown): Generator<BaseMessage> {
  if (isMessage(output)) yield output;
  else if (isCommand(output)) yield* messagesInUpdate(output.update);
  else if (!Array.isArray(output)) yield* messagesInUpdate(output);
  else if (output.some(isCommand)) for (const each of output) yield* messagesIn(each);
  else yield* output.filter(isMessage);
}

/** An update is a record or a list of entries. */
function* messagesInUpdate(update: unknown): Generator<BaseMessage> {
  const values = Array.isArray(update)
    ? update.map((entry) => (Array.isArray(entry) ? entry[1] : entry))
    : isRecord(update)
      ? Object.values(update)
      : [];
  for (const value of values)
    if (isMessage(value) || Array.isArray(value)) yield* messagesIn(value);
}
