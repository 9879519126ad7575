import { BaseCallbackHandler } from '@langchain/core/callbacks/base';
import { isGraphDrained, isGraphInterrupt } from '@langchain/langgraph';
import { isHidden } from './graph-events.ts';
import { namespaceOf } from './graph-stream.ts';

interface Call {
  namespace: string[];
  /** The namespace of the task, joined with `|`. Only some clients see it. */
  taskNamespace: unknown;
  toolCallId: string | undefined;
  name: string;
}

type EmitToolEvent = (namespace: string[], event: Record<string, unknown>) => void;

/**
 * Emits the start, the partial results and the end of each call of a tool, like LangGraph's handler of the mode "tools", which
 * earlier versions lack. The id of a call is missing if the project's version of LangChain does not pass it to handlers.
 */
export class ToolEventsHandler extends BaseCallbackHandler {
  name = 'ToolEventsHandler';
  override awaitHandlers = true;
  readonly #emit: EmitToolEvent;
  /** The calls without an end, by LangChain run id. */
  readonly #calls = new Map<string, Call>();

  constructor(emit: EmitToolEvent) {
    super();
    this.#emit = emit;
  }

  override handleToolStart(...args: Parameters<Handler['handleToolStart']>): void {
    const [, input, runId, , tags, metadata, name = 'unknown', toolCallId] = args;
    const namespace = namespaceOf(metadata ?? {});
    if (!namespace || isHidden(tags)) return;
    const taskNamespace = metadata?.['langgraph_checkpoint_ns'];
    this.#calls.set(runId, { namespace, taskNamespace, toolCallId, name });
    this.#send(runId, 'on_tool_start', { input });
  }

  /** A tool that is a generator yields partial results. */
  override handleToolEvent(data: unknown, runId: string): void {
    this.#send(runId, 'on_tool_event', { data });
  }

  override handleToolEnd(output: unknown, runId: string): void {
    this.#send(runId, 'on_tool_end', { output });
    this.#calls.delete(runId);
  }

  override handleToolError(error: unknown, runId: string): void {
    // After an interrupt or a stop of the server, the tool starts again later.
    if (!isGraphInterrupt(error) && !isGraphDrained(error)) {
      this.#send(runId, 'on_tool_error', { error });
    }
    this.#calls.delete(runId);
  }

  #send(runId: string, event: string, data: Record<string, unknown>): void {
    const call = this.#calls.get(runId);
    if (!call) return;
    const { namespace, ...names } = call;
    this.#emit(namespace, { event, ...names, ...data });
  }
}

type Handler = Required<BaseCallbackHandler>;
