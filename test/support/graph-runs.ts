import { Annotation, END, START, StateGraph } from '@langchain/langgraph';
import { CheckpointReader } from '../../src/checkpoints/reader.ts';
import type { Query } from '../../src/db/query.ts';
import { withCheckpointer, type CompiledGraph } from '../../src/graphs/load.ts';
import { startAttempt, type TestAttempt } from './attempts.ts';
import { openTestDatabase } from './databases.ts';
import { it as base } from './fixture.ts';

interface RunOptions {
  threadId?: string;
  checkpointId?: string;
  durability?: 'sync' | 'async' | 'exit';
}

/** Runs graphs with the saver of a worker, without a server. */
export interface GraphRuns {
  /** Throws the error of the saver. */
  run(graph: CompiledGraph, input: unknown, options?: RunOptions): Promise<EndedAttempt>;
  /** Reads the state of a thread, at its newest checkpoint by default. */
  read(
    graph: CompiledGraph,
    threadId: string,
    checkpointId?: string,
  ): ReturnType<CompiledGraph['getState']>;
  /** Returns the id of the newest checkpoint. */
  headOf(threadId: string): Promise<string>;
}

type EndedAttempt = TestAttempt & { values: any };

/** `db` is the file's database, without a server. */
export const it = base
  .extend('db', { scope: 'file' }, async ({ database }, { onCleanup }) => {
    const { sql, close } = await openTestDatabase(database);
    onCleanup(close);
    return sql;
  })
  .extend('graphRuns', { scope: 'file' }, ({ db }) => createGraphRuns(db.query));

function createGraphRuns(query: Query): GraphRuns {
  const reader = new CheckpointReader(query);
  return {
    async run(graph, input, { threadId, checkpointId, durability = 'sync' } = {}) {
      const attempt = await startAttempt(query, threadId);
      const values = await invoke(graph, input, { attempt, checkpointId, durability });
      await attempt.end();
      return { ...attempt, values };
    },
    read: (graph, threadId, checkpointId) =>
      withCheckpointer(graph, reader).getState(
        {
          configurable: {
            thread_id: threadId,
            ...(checkpointId && { checkpoint_id: checkpointId }),
          },
        },
        { subgraphs: true },
      ),
    async headOf(threadId) {
      const tuple = await reader.getTuple({ configurable: { thread_id: threadId } });
      return String(tuple?.checkpoint.id);
    },
  };
}

interface Invocation {
  attempt: TestAttempt;
  checkpointId?: string | undefined;
  durability: 'sync' | 'async' | 'exit';
}

/** Invokes a graph with the saver of an attempt. Throws the error of the saver. */
export async function invoke(
  graph: CompiledGraph,
  input: unknown,
  { attempt, checkpointId, durability }: Invocation,
): Promise<unknown> {
  const { saver, signal, threadId } = attempt;
  const result = graph.invoke(input as Parameters<CompiledGraph['invoke']>[0], {
    configurable: {
      thread_id: threadId,
      ...(checkpointId && { checkpoint_id: checkpointId }),
      __pregel_checkpointer: saver,
    },
    durability,
    recursionLimit: 1000,
    signal,
  });
  const values = await result.catch((error: unknown) => {
    throw signal.aborted ? signal.reason : error;
  });
  if (signal.aborted) throw signal.reason;
  return values;
}

/** A builder of a graph. The tests look only at its values, so it accepts any state and node. */
export function graphOf(state: unknown): any {
  return new StateGraph(state as ReturnType<typeof Annotation.Root>);
}

export const Log = Annotation.Root({
  log: Annotation<string[]>({ reducer: (before, more) => [...before, ...more], default: () => [] }),
});

/** A graph with so many nodes in a row. Each appends its name to `log`. */
export function chain(length: number, node: (step: number) => unknown = () => {}): CompiledGraph {
  const graph = graphOf(Log);
  for (let i = 0; i < length; i++) {
    graph.addNode(`n${i}`, async () => {
      await node(i);
      return { log: [`n${i}`] };
    });
    graph.addEdge(i === 0 ? START : `n${i - 1}`, `n${i}`);
  }
  return graph.addEdge(`n${length - 1}`, END).compile();
}
