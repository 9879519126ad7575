import { getConfig, type StreamMode } from '@langchain/langgraph';

/** An element of a graph's stream. */
export interface Chunk {
  /** The path of the subgraph, outermost first; empty for the graph itself. */
  namespace: string[];
  mode: string;
  /** The graph may change this object later. */
  payload: unknown;
}

/** The part of LangGraph's stream used by its execution loop. */
interface LoopStream {
  modes: ReadonlySet<StreamMode>;
  push(chunk: [namespace: string[], mode: StreamMode, payload: unknown]): void;
}

/**
 * Calls `emit` with each chunk of the modes. LangGraph writes the chunks of a graph and its subgraphs to the stream if the
 * configuration of the graph has it under the key `__pregel_stream`.
 */
export function createStream(
  modes: readonly StreamMode[],
  emit: (chunk: Chunk) => void,
): LoopStream {
  const wanted = new Set(modes);
  return {
    modes: wanted,
    push(chunk) {
      const [[...origin], mode, payload] = chunk;
      if (!wanted.has(mode)) return;
      // In earlier versions of LangGraph, the namespace of the graph itself is a single empty name.
      const namespace = origin.filter((name) => name !== '');
      // LangGraph keeps the chunks of the graph itself until its end, for a reader of its stream. Without payload, they need no memory.
      if (namespace.length === 0) chunk[2] = undefined;
      emit({ namespace, mode, payload });
    },
  };
}

/** The namespace of the graph of the current node. */
export function currentNamespace(): string[] {
  const namespace: string | undefined = getConfig()?.configurable?.['checkpoint_ns'];
  return namespace?.split('|').slice(0, -1) ?? [];
}

/**
 * The namespace of the graph of a LangChain run. Its metadata contain the namespace of the task: the task itself and its
 * calling tasks (Functional API) are removed from the end.
 */
export function namespaceOf(metadata: Record<string, unknown>): string[] | undefined {
  const taskNamespace = metadata['langgraph_checkpoint_ns'] ?? metadata['checkpoint_ns'];
  if (typeof taskNamespace !== 'string' || taskNamespace === '') return undefined;
  let tasks = 1;
  let path = metadata['langgraph_path'];
  while (Array.isArray(path) && path[0] === '__pregel_push' && path.at(-1) === true) {
    tasks += 1;
    path = path[1];
  }
  return taskNamespace.split('|').slice(0, -tasks);
}

/** A first-in, first-out queue with a single reader. */
export interface Queue<T> extends AsyncIterable<T, void> {
  /** Adds the elements. An error of the iterable ends the queue. */
  add(elements: () => Iterable<T>): void;
  /** If an error of `add` has ended the queue, throws this error. */
  check(): void;
  /** Ends the queue after its elements, with or without an error. Further calls have no effect. */
  end(failure?: { error: unknown }): void;
}

export function createQueue<T>(): Queue<T> {
  let waiting: T[] = [];
  let ended: { failure: { error: unknown } | undefined } | undefined;
  let addFailure: { error: unknown } | undefined;
  let wake = (): void => {};

  function end(failure?: { error: unknown }): void {
    ended ??= { failure };
    wake();
  }

  return {
    end,
    add(elements) {
      if (ended) return;
      try {
        for (const element of elements()) waiting.push(element);
        wake();
      } catch (error) {
        addFailure = { error };
        end(addFailure);
      }
    },
    check() {
      if (addFailure) throw addFailure.error;
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const next = waiting;
        waiting = [];
        yield* next;
        if (waiting.length > 0) continue;
        if (ended?.failure) throw ended.failure.error;
        if (ended) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
