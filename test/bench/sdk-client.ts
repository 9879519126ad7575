import { randomUUID } from 'node:crypto';
import { Client as SdkClient } from '@langchain/langgraph-sdk';
import { concurrently } from './concurrently.ts';
import type { Client, StartOptions } from './client.ts';
import { createStopwatch, INPUT, NotServedError } from './client.ts';
import type { GraphName } from './graphs/factory.ts';

const CREATORS = 16;
const STREAM_MODES = ['updates' as const, 'messages-tuple' as const, 'custom' as const];

/** Drives the LangGraph.js server through its SDK. */
export function createPeerClient(url: string): Client {
  const { threads, runs } = new SdkClient({
    apiUrl: url,
    apiKey: null,
    callerOptions: { maxRetries: 0 },
  });
  const inputOf = ({ input }: StartOptions = {}) => ({ ...INPUT, ...input });

  return {
    async freshThreads(count) {
      return Array.from({ length: count }, () => randomUUID());
    },
    async wait(graph, threadId) {
      // The types of the SDK separate the two kinds of runs.
      const values = threadId
        ? await runs.wait(threadId, graph, { input: inputOf(), ifNotExists: 'create' })
        : await runs.wait(null, graph, { input: inputOf() });
      if (!('messages' in values)) throw new Error(`A run gave ${JSON.stringify(values)}.`);
    },
    async follow(graph, threadId) {
      const watch = createStopwatch();
      const options = { input: inputOf(), streamMode: STREAM_MODES };
      const stream = runs.stream(threadId, graph, { ...options, ifNotExists: 'create' });
      for await (const { event } of stream) watch.saw(kindOf(event));
      return watch.ended();
    },
    async start(graph, threadId, options) {
      const run = await runs.create(threadId, graph, {
        input: inputOf(options),
        ifNotExists: 'create',
        streamMode: STREAM_MODES,
        // Without this option, the followers of a run compete for its events.
        streamResumable: options !== undefined,
        ...(options?.afterSeconds && { afterSeconds: options.afterSeconds }),
      });
      return { id: run.run_id, threadId };
    },
    async isBusy() {
      return (await threads.search({ status: 'busy', limit: 1 })).length > 0;
    },
    async subscribe({ id, threadId }, onChunk) {
      const leaving = new AbortController();
      const options = { signal: leaving.signal, lastEventId: '-1', streamMode: STREAM_MODES };
      const ended = (async () => {
        for await (const { event, data } of runs.joinStream(threadId, id, options)) {
          if (event.startsWith('messages')) onChunk(data[0].content);
        }
      })().catch((error: unknown) => {
        if (!leaving.signal.aborted) throw error;
      });
      return {
        ended,
        async close() {
          leaving.abort();
          await ended;
        },
      };
    },
    async createThread(metadata = {}) {
      return (await threads.create({ metadata })).thread_id;
    },
    async getThread(id) {
      await threads.get(id);
    },
    async search(metadata) {
      return (await threads.search({ metadata, limit: 10 })).length;
    },
    async state(id) {
      return (await threads.getState<{ messages: unknown[] }>(id)).values.messages.length;
    },
    async history(id, limit) {
      return (await threads.getHistory(id, { limit })).length;
    },
    async copy(id) {
      await threads.copy(id);
    },
    async createEdited() {
      return (await threads.create({ graphId: 'echo' })).thread_id;
    },
    async edit(id, messages) {
      const values = { messages: messages.map((content) => ({ role: 'assistant', content })) };
      await threads.updateState(id, { values, asNode: 'node1' });
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** The embed server has no `wait` and no background runs. A client waits until the end of the stream. */
export function createEmbedClient(url: string): Client {
  const { threads, runs } = new SdkClient({
    apiUrl: url,
    apiKey: null,
    callerOptions: { maxRetries: 0 },
  });
  const notServed = async (): Promise<never> => {
    throw new NotServedError('The embed server has no such thing.');
  };

  async function consume(stream: AsyncGenerator<{ event: string; data: unknown }>): Promise<void> {
    let last: unknown;
    for await (const { event, data } of stream) {
      if (event === 'error') throw new Error(JSON.stringify(data));
      last = data;
    }
    if (!last) throw new Error('A run gave nothing.');
  }

  return {
    ...createPeerClient(url),
    async freshThreads(count) {
      const ids = Array.from({ length: count }, () => randomUUID());
      await concurrently(CREATORS, async (i) => {
        const threadId = ids[i];
        if (threadId) await threads.create({ threadId });
        return threadId !== undefined;
      });
      return ids;
    },
    async wait(graph: GraphName, threadId) {
      const options = { input: INPUT, streamMode: 'values' as const };
      await consume(
        threadId ? runs.stream(threadId, graph, options) : runs.stream(null, graph, options),
      );
    },
    async follow(graph, threadId) {
      const watch = createStopwatch();
      const stream = runs.stream(threadId, graph, { input: INPUT, streamMode: STREAM_MODES });
      for await (const { event } of stream) watch.saw(kindOf(event));
      return watch.ended();
    },
    start: notServed,
    isBusy: notServed,
    subscribe: notServed,
    copy: notServed,
  };
}

function kindOf(event: string): 'chunk' | 'update' | 'other' {
  if (event.startsWith('messages')) return 'chunk';
  return event === 'updates' ? 'update' : 'other';
}
