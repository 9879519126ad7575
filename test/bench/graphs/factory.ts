import { setTimeout as sleep } from 'node:timers/promises';
import type * as models from '@langchain/core/language_models/chat_models';
import type * as messages from '@langchain/core/messages';
import type * as outputs from '@langchain/core/outputs';
import type * as langgraph from '@langchain/langgraph';

/** The parts of the graphs. Each server brings its own copy of LangGraph. */
export interface Library {
  langgraph: typeof langgraph;
  messages: typeof messages;
  models: typeof models;
  outputs: typeof outputs;
}

export type GraphName = 'echo' | 'steps10' | 'tokens' | 'slow';

/** The default number of chunks of an answer. */
export const CHUNKS = 200;
const STEPS = 10;
const SLOW_NODES = 2;
const SLOW_MS = 50;

/** The graphs of all servers: deterministic, without a model. */
export function createGraphs({ langgraph, messages, models, outputs }: Library) {
  const { Annotation, END, MessagesAnnotation, START, StateGraph } = langgraph;
  const { AIMessage, AIMessageChunk } = messages;

  const State = Annotation.Root({
    ...MessagesAnnotation.spec,
    /** The number of chunks of `tokens`. */
    count: Annotation<number>,
    /** The pause before each chunk. */
    pauseMs: Annotation<number>,
  });
  type Node = (state: typeof State.State) => Promise<typeof State.Update>;

  function chain(length: number, node: Node) {
    const names = Array.from({ length }, (_, i) => `node${i + 1}`);
    const graph = new StateGraph(State).addNode(
      names.map((name) => [name, node] as [string, Node]),
    );
    const stations = [START, ...names, END];
    // The compiler does not know the names.
    const untyped = graph as unknown as { addEdge(from: string, to: string): void };
    for (const [i, station] of stations.slice(1).entries())
      untyped.addEdge(stations[i] ?? START, station);
    return graph.compile();
  }

  const say = () => ({ messages: [new AIMessage('So I hear.')] });

  class ChunkModel extends models.BaseChatModel {
    readonly #count: number;
    readonly #pauseMs: number;

    constructor(count: number, pauseMs: number) {
      super({});
      this.#count = count;
      this.#pauseMs = pauseMs;
    }

    override _llmType() {
      return 'chunks';
    }

    override async *_streamResponseChunks(
      _messages: messages.BaseMessage[],
      _options: this['ParsedCallOptions'],
      run?: Parameters<models.BaseChatModel['_streamResponseChunks']>[2],
    ) {
      for (let i = 0; i < this.#count; i++) {
        if (this.#pauseMs > 0) await sleep(this.#pauseMs);
        // The time of the chunk. The measurement of delivery needs it.
        const text = `${Date.now()} `;
        const message = new AIMessageChunk({ content: text });
        const chunk = new outputs.ChatGenerationChunk({ text, message });
        yield chunk;
        await run?.handleLLMNewToken(text, undefined, undefined, undefined, undefined, { chunk });
      }
    }

    override async _generate(): Promise<outputs.ChatResult> {
      throw new Error('This model only streams.');
    }
  }

  return {
    /** A single node with an immediate answer. */
    echo: chain(1, async () => say()),
    /** A chain of ten nodes. Each adds a message. */
    steps10: chain(STEPS, async () => say()),
    /** A single node. It streams an answer in 200 chunks (or `count`, each after `pauseMs`). */
    tokens: chain(1, async ({ messages, count, pauseMs }) => {
      const model = new ChunkModel(count ?? CHUNKS, pauseMs ?? 0);
      const chunks = await model.stream(messages);
      let answer: messages.AIMessageChunk | undefined;
      for await (const chunk of chunks) answer = answer ? answer.concat(chunk) : chunk;
      return { messages: answer ? [answer] : [] };
    }),
    /** Two nodes. Each waits for 50 ms. */
    slow: chain(SLOW_NODES, async () => {
      await sleep(SLOW_MS);
      return say();
    }),
  };
}
