import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { MemorySaver } from '@langchain/langgraph';
import { echo, slow, steps10, tokens } from '../graphs/threadql.ts';
import { INPUT } from '../client.ts';
import type { GraphTask, GraphTimes } from '../servers.ts';

// The floor of every server for graphs: the compiled graphs with MemorySaver, in process. A request starts the runs, and this
// process measures them.

const graphs = { echo, slow, steps10, tokens };
const checkpointer = new MemorySaver();
for (const graph of Object.values(graphs)) graph.checkpointer = checkpointer;

async function run({ graph, count, concurrency, stream }: GraphTask): Promise<GraphTimes> {
  const compiled = graphs[graph];
  const each: number[] = [];
  let started = 0;
  const began = performance.now();
  async function loop(): Promise<void> {
    while (started++ < count) {
      const runBegan = performance.now();
      const config = { configurable: { thread_id: randomUUID() } };
      if (stream) {
        const streamMode = ['updates' as const, 'messages' as const, 'custom' as const];
        const events = await compiled.stream(INPUT, { ...config, streamMode });
        for await (const event of events) void event;
      } else await compiled.invoke(INPUT, config);
      each.push(performance.now() - runBegan);
      // No later request needs the thread.
      await checkpointer.deleteThread(config.configurable.thread_id);
    }
  }
  await Promise.all(Array.from({ length: concurrency }, loop));
  return { each, totalMs: performance.now() - began };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = request.method === 'POST' ? await run(JSON.parse(await text(request))) : {};
  response.end(JSON.stringify(body));
}

createServer((request, response) => void answer(request, response)).listen(
  Number(process.env['PORT']),
  '127.0.0.1',
);
