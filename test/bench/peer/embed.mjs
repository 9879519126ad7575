import { serve } from '@hono/node-server';
import { createEmbedServer } from '@langchain/langgraph-api/experimental/embed';
import { MemorySaver } from '@langchain/langgraph';
import * as graph from './graphs.mjs';

// The peer's engine and wire format without its queue: runs are executed by the request that asks for them.

const stored = new Map();

const threads = {
  async get(id) {
    const thread = stored.get(id);
    if (!thread) throw new Error(`No thread ${id}`);
    return thread;
  },
  async set(id, { metadata }) {
    const thread = { thread_id: id, metadata: { ...stored.get(id)?.metadata, ...metadata } };
    stored.set(id, thread);
    return thread;
  },
  async delete(id) {
    stored.delete(id);
  },
};

const app = createEmbedServer({ graph: { ...graph }, threads, checkpointer: new MemorySaver() });
serve({ fetch: app.fetch, port: Number(process.env.PORT), hostname: '127.0.0.1' });
