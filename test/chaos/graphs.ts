import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LangGraphRunnableConfig } from '@langchain/langgraph';
import { Annotation, END, START, StateGraph, interrupt } from '@langchain/langgraph';
import pg from 'pg';

// The graph that is run while processes are killed. Each node leaves an effect outside of the server's tables first.

const pool = new pg.Pool({
  connectionString: process.env['CHAOS_DATABASE_URL'],
  max: 4,
  connectionTimeoutMillis: 2000,
});
// Connections are broken on purpose.
pool.on('error', () => {});

const RETRY_MS = 50;

const State = Annotation.Root({
  /** Names whoever gave the input. */
  label: Annotation<string>,
  /** Whether node `ask` asks. */
  asks: Annotation<boolean>,
  /** The longest that a node takes. */
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

/** Records that the node began, once, and then takes its time. */
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

/** Insists while the database is away. */
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
