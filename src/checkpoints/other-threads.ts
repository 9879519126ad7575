import type { RunnableConfig } from '@langchain/core/runnables';
import type { CheckpointTuple } from '@langchain/langgraph-checkpoint';

/**
 * LangGraph passes the saver of a run on to graphs called by its nodes, even to a graph with its own thread_id and checkpointer.
 * The checkpoints of such a graph are stored in the run's thread, in a namespace with the other thread_id. They need no row in
 * "Thread" and are deleted with the run's thread.
 */
export function placeOnThread(config: RunnableConfig, threadId: string): RunnableConfig {
  const { thread_id: asked, checkpoint_ns: namespace = '' } = config.configurable ?? {};
  if (asked === undefined || asked === null || asked === threadId) return config;
  // No node has an empty name.
  const other = `:${encodeURIComponent(String(asked))}`;
  const checkpoint_ns = namespace === '' ? other : `${namespace}|${other}`;
  return {
    ...config,
    configurable: { ...config.configurable, thread_id: threadId, checkpoint_ns },
  };
}

/** The tuple with the thread and the namespace that the graph asked for in `config`. */
export function placeAsAsked(tuple: CheckpointTuple, config: RunnableConfig): CheckpointTuple {
  const { thread_id, checkpoint_ns = '' } = config.configurable ?? {};
  const place = (stored: RunnableConfig): RunnableConfig => ({
    ...stored,
    configurable: { ...stored.configurable, thread_id, checkpoint_ns },
  });
  const { parentConfig } = tuple;
  return {
    ...tuple,
    config: place(tuple.config),
    ...(parentConfig && { parentConfig: place(parentConfig) }),
  };
}
