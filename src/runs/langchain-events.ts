import { BaseCallbackHandler } from '@langchain/core/callbacks/base';
import { AIMessageChunk } from '@langchain/core/messages';
import type { Generation, LLMResult } from '@langchain/core/outputs';
import { isGraphDrained, isGraphInterrupt } from '@langchain/langgraph';
import { isRecord } from '../json.ts';

type Metadata = Record<string, unknown>;

/** An event of LangChain's `streamEvents` in its version v2. */
interface LangChainEvent {
  event: string;
  name: string;
  run_id: string;
  /** The runs above this one, outermost first. */
  parent_ids: string[];
  tags: string[];
  metadata: Metadata;
  data: unknown;
}

/** A run of LangChain that has not ended: of the graph, a node, a model, a tool, a retriever or a chain. */
interface Source {
  type: string;
  name: string;
  tags: string[];
  metadata: Metadata;
  parentIds: string[];
  input: unknown;
}

/** How a run starts. LangChain's callbacks have these values at different places. */
interface Start {
  runId: string;
  parentId: string | undefined;
  tags: string[] | undefined;
  metadata: Metadata | undefined;
  type: string;
  name: string;
  /** Undefined: the run gets its input later, from a stream. */
  input: unknown;
}

/**
 * Emits the events of a graph and of all LangChain runs in it, like LangChain's handler of `streamEvents`, which packages cannot
 * import. There is no event `on_chain_stream` of the graph: the other stream modes have its stream.
 */
export class LangChainEventsHandler extends BaseCallbackHandler {
  /** LangChain finds the handler by this name and calls `tapOutputIterable`. */
  name = 'event_stream_tracer';
  /** Makes models stream their tokens. */
  lc_prefer_streaming = true;
  override awaitHandlers = true;
  readonly #emit: (event: LangChainEvent) => void;
  readonly #sources = new Map<string, Source>();

  constructor(emit: (event: LangChainEvent) => void) {
    super();
    this.#emit = emit;
  }

  override handleChainStart(...args: Parameters<Handler['handleChainStart']>): void {
    const [chain, inputs, runId, parentId, tags, metadata, runType, runName] = args;
    // A run in a stream starts with an empty text instead of its input.
    const input = isDeferred(inputs) ? undefined : unwrapped(inputs, 'input');
    const name = runName ?? nameOf(chain);
    this.#start({ runId, parentId, tags, metadata, type: runType ?? 'chain', name, input });
  }

  override handleChainEnd(...args: Parameters<Handler['handleChainEnd']>): void {
    const [outputs, runId, , , more] = args;
    const source = this.#sources.get(runId);
    if (source && more?.inputs) source.input = unwrapped(more.inputs, 'input');
    const data = { output: unwrapped(outputs, 'output') };
    // The whole graph: its input is in its first event.
    if (source?.parentIds.length === 0) source.input = undefined;
    this.#end(runId, data);
  }

  override handleChainError(_error: unknown, runId: string): void {
    this.#sources.delete(runId);
  }

  override handleChatModelStart(...args: Parameters<Handler['handleChatModelStart']>): void {
    const [model, messages, runId, parentId, , tags, metadata, name = nameOf(model)] = args;
    const input = { messages };
    this.#start({ runId, parentId, tags, metadata, type: 'chat_model', name, input });
  }

  override handleLLMStart(...args: Parameters<Handler['handleLLMStart']>): void {
    const [model, prompts, runId, parentId, , tags, metadata, name = nameOf(model)] = args;
    this.#start({ runId, parentId, tags, metadata, type: 'llm', name, input: { prompts } });
  }

  override handleLLMNewToken(...args: Parameters<Handler['handleLLMNewToken']>): void {
    const [token, , runId, , , fields] = args;
    const isChat = this.#sources.get(runId)?.type === 'chat_model';
    const generation: Partial<Generation> & { message?: unknown } = fields?.chunk ?? {};
    const chunk = isChat
      ? (generation.message ?? new AIMessageChunk({ content: token, id: `run-${runId}` }))
      : { text: generation.text ?? token, generationInfo: generation.generationInfo };
    this.#send(runId, 'stream', { chunk });
  }

  override handleLLMEnd({ generations, llmOutput }: LLMResult, runId: string): void {
    const [first] = generations.flat() as (Generation & { message?: unknown })[];
    const texts = generations.map((some) =>
      some.map(({ text, generationInfo }) => ({ text, generationInfo })),
    );
    const isChat = this.#sources.get(runId)?.type === 'chat_model';
    const output = isChat ? first?.message : { generations: texts, llmOutput: llmOutput ?? {} };
    this.#end(runId, { output });
  }

  override handleLLMError(_error: unknown, runId: string): void {
    this.#sources.delete(runId);
  }

  override handleToolStart(...args: Parameters<Handler['handleToolStart']>): void {
    const [tool, text, runId, parentId, tags, metadata, name = nameOf(tool)] = args;
    this.#start({ runId, parentId, tags, metadata, type: 'tool', name, input: argumentsIn(text) });
  }

  override handleToolEnd(output: unknown, runId: string): void {
    this.#end(runId, { output });
  }

  override handleToolError(error: unknown, runId: string): void {
    // An interrupt or a stop of the server is no failure of the tool.
    if (isGraphInterrupt(error) || isGraphDrained(error)) this.#sources.delete(runId);
    // Without its stack, which contains paths of the server.
    else this.#end(runId, { error: error instanceof Error ? error.message : error }, 'error');
  }

  override handleRetrieverStart(...args: Parameters<Handler['handleRetrieverStart']>): void {
    const [retriever, query, runId, parentId, tags, metadata, name = nameOf(retriever)] = args;
    this.#start({ runId, parentId, tags, metadata, type: 'retriever', name, input: { query } });
  }

  override handleRetrieverEnd(documents: unknown, runId: string): void {
    this.#end(runId, { output: documents });
  }

  override handleRetrieverError(_error: unknown, runId: string): void {
    this.#sources.delete(runId);
  }

  override handleCustomEvent(name: string, data: unknown, runId: string): void {
    const source = this.#sources.get(runId);
    if (source) this.#emitOf(runId, source, { event: 'on_custom_event', name, data });
  }

  /** For LangChain: the chunks of a chain that its caller reads as a stream. */
  async *tapOutputIterable<Output>(
    runId: string,
    output: AsyncIterable<Output>,
  ): AsyncGenerator<Output> {
    for await (const chunk of output) {
      this.#send(runId, 'stream', { chunk });
      yield chunk;
    }
  }

  #start({ runId, parentId, tags = [], metadata = {}, type, name, input }: Start): void {
    const parent = parentId === undefined ? undefined : this.#sources.get(parentId);
    const parentIds = parent ? [...parent.parentIds, String(parentId)] : [];
    this.#sources.set(runId, { type, name, tags, metadata, parentIds, input });
    this.#send(runId, 'start', { input });
  }

  #end(runId: string, data: object, step = 'end'): void {
    this.#send(runId, step, { ...data, input: this.#sources.get(runId)?.input });
    this.#sources.delete(runId);
  }

  #send(runId: string, step: string, data: object): void {
    const source = this.#sources.get(runId);
    if (!source) return;
    this.#emitOf(runId, source, { event: `on_${source.type}_${step}`, name: source.name, data });
  }

  #emitOf(
    runId: string,
    { parentIds, tags, metadata }: Source,
    { event, name, data }: Pick<LangChainEvent, 'event' | 'name' | 'data'>,
  ): void {
    const shown = Object.entries(metadata).filter(([key]) => !key.startsWith('__'));
    this.#emit({
      event,
      name,
      run_id: runId,
      parent_ids: parentIds,
      tags,
      metadata: Object.fromEntries(shown),
      data,
    });
  }
}

type Handler = Required<BaseCallbackHandler>;

/** The name of a class, from LangChain's description of an object of it. */
function nameOf(serialized: { id?: string[] } | undefined): string {
  return serialized?.id?.at(-1) ?? 'Unnamed';
}

/** LangChain wraps a value that is not an object. */
function unwrapped(value: unknown, key: 'input' | 'output'): unknown {
  if (!isRecord(value) || !(key in value)) return value;
  return Object.keys(value).length === 1 ? value[key] : value;
}

function isDeferred(inputs: unknown): boolean {
  return unwrapped(inputs, 'input') === '';
}

/** The arguments of a tool: LangChain gives them as JSON, or a text as it is. */
function argumentsIn(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (isRecord(value)) return value;
  } catch {
    // A text.
  }
  return { input: text };
}
