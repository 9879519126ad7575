import path from 'node:path';
import { startServer } from '@langchain/langgraph-api/server';

// The open LangGraph.js server as its command line starts it, with ten workers. With fifty, as many as threadql has, it found
// new runs sooner, drained no faster, and stopped answering on the way to 10,000 stored runs.

const file = path.join(import.meta.dirname, 'graphs.mjs');
const names = ['echo', 'steps10', 'tokens', 'slow'];

await startServer({
  port: Number(process.env.PORT),
  nWorkers: 10,
  host: '127.0.0.1',
  cwd: process.env.BENCH_DATA_DIR,
  graphs: Object.fromEntries(names.map((name) => [name, `${file}:${name}`])),
});
