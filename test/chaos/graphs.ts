import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LangGraphRunnableConfig } from '@langchain/langgraph';
import { Annotation, END, START, StateGraph, interrupt } from '@langchain/langgraph';
import pg from 'pg';

// The graph under the faults. Each node first writes an effect outside of the server's tables.

const pool = new pg.Pool({
  connectionString: process.env['CHAOS_DATABASE_URL'],
  max: 4,
  connectionTimeoutMillis: 2000,
});
// Connections are broken on purpose.
pool.on('error', () => {});

const RETRY_MS = 50;

const State = Annotation.Root({
  /** The name of the input's client. */
  label: Annotation<string>,
  /** Whether node `ask` asks. */
  asks: Annotation<boolean>,
  /** The maximum duration of a node. */
  ms: Annotation<number>,
  log: Annotation<string[]>({
    reducer: (before, after) => before.concat(after),
    default: () => [],
  }),
});

type Node = (
  state: typeof State.State,
  config: LangGraphRunnableConfig,
) => Promise<typeof State.Update>;

/** Records the start of the node once, and then waits. */
function working(node: string, step: number): Node {
  return async ({ label, asks, ms }, { configurable, signal }) => {
    await record(
      [randomUUID(), configurable?.['run_id'], node, step, process.pid, new Date()],
      signal,
    );
    const entry =
      node === 'ask' && asks ? `${label}:ask=${String(interrupt(label))}` : `${label}:${node}`;
    await sleep(Math.random() * ms, undefined, { signal });
    return { log: [entry] };
  };
}

/** Repeats a statement while the database is unavailable. */
async function record(effect: unknown[], signal: AbortSignal | undefined): Promise<void> {
  for (;;) {
    signal?.throwIfAborted();
    try {
      await pool.query(
        `INSERT INTO chaos."Effect" ("id", "runId", "node", "step", "pid", "startedAt") VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT DO NOTHING`,
        effect,
      );
      return;
    } catch {
      await sleep(RETRY_MS);
    }
  }
}

/** Nodes `one`, then `left` and `right` in one superstep, then `ask`, then `last`. */
export const work = new StateGraph(State)
  .addNode('one', working('one', 1))
  .addNode('left', working('left', 2))
  .addNode('right', working('right', 2))
  .addNode('ask', working('ask', 3))
  .addNode('last', working('last', 4))
  .addEdge(START, 'one')
  .addEdge('one', 'left')
  .addEdge('one', 'right')
  .addEdge(['left', 'right'], 'ask')
  .addEdge('ask', 'last')
  .addEdge('last', END)
  .compile();
