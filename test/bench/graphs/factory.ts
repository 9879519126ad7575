import { setTimeout as sleep } from 'node:timers/promises';
import type * as models from '@langchain/core/language_models/chat_models';
import type * as messages from '@langchain/core/messages';
import type * as outputs from '@langchain/core/outputs';
import type * as langgraph from '@langchain/langgraph';

/** What the graphs are made of: each server brings its own copy of it. */
export interface Library {
  langgraph: typeof langgraph;
  messages: typeof messages;
  models: typeof models;
  outputs: typeof outputs;
}

export type GraphName = 'echo' | 'steps10' | 'tokens' | 'slow';

/** Chunks of an answer, where the input does not say how many. */
export const CHUNKS = 200;
const STEPS = 10;
const SLOW_NODES = 2;
const SLOW_MS = 50;

/** The graphs that every server runs: deterministic, without a model. */
export function createGraphs({ langgraph, messages, models, outputs }: Library) {
  const { Annotation, END, MessagesAnnotation, START, StateGraph } = langgraph;
  const { AIMessage, AIMessageChunk } = messages;

  const State = Annotation.Root({
    ...MessagesAnnotation.spec,
    /** How many chunks `tokens` streams. */
    count: Annotation<number>,
    /** How long it waits before each. */
    pauseMs: Annotation<number>,
  });
  type Node = (state: typeof State.State) => Promise<typeof State.Update>;

  function chain(length: number, node: Node) {
    const names = Array.from({ length }, (_, i) => `node${i + 1}`);
    const graph = new StateGraph(State).addNode(
      names.map((name) => [name, node] as [string, Node]),
    );
    const stations = [START, ...names, END];
    // The names are not known to the compiler.
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
        // When it was said: how long it takes to arrive is measured by it.
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
    /** One node, which answers at once. */
    echo: chain(1, async () => say()),
    /** Ten nodes in a chain, each of which adds a message. */
    steps10: chain(STEPS, async () => say()),
    /** One node, which streams an answer in 200 chunks (or `count`, each after `pauseMs`). */
    tokens: chain(1, async ({ messages, count, pauseMs }) => {
      const model = new ChunkModel(count ?? CHUNKS, pauseMs ?? 0);
      const chunks = await model.stream(messages);
      let answer: messages.AIMessageChunk | undefined;
      for await (const chunk of chunks) answer = answer ? answer.concat(chunk) : chunk;
      return { messages: answer ? [answer] : [] };
    }),
    /** Two nodes, each of which waits for 50 ms. */
    slow: chain(SLOW_NODES, async () => {
      await sleep(SLOW_MS);
      return say();
    }),
  };
}
