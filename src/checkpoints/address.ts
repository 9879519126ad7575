import type { RunnableConfig } from '@langchain/core/runnables';

/** A checkpoint in its thread. */
export interface CheckpointAddress {
  namespace: string;
  checkpointId: string;
}

/** A key for a checkpoint of a thread. */
export function checkpointKey({ namespace, checkpointId }: CheckpointAddress): string {
  return `${checkpointId} ${namespace}`;
}

/** The thread and the namespace in LangGraph's configuration. */
export function placeOf(config: RunnableConfig): { threadId: string; namespace: string } {
  const { thread_id: threadId, checkpoint_ns: namespace = '' } = config.configurable ?? {};
  if (typeof threadId !== 'string') throw new Error('configurable.thread_id is missing.');
  return { threadId, namespace };
}

/** LangGraph's configuration for a checkpoint, or for the newest one of the namespace. */
export function configOf(
  threadId: string,
  namespace: string,
  checkpointId?: string,
): RunnableConfig {
  return {
    configurable: {
      thread_id: threadId,
      checkpoint_ns: namespace,
      ...(checkpointId !== undefined && { checkpoint_id: checkpointId }),
    },
  };
}

/** The configuration of another checkpoint in the same namespace. */
export function configAfter(config: RunnableConfig, checkpointId: string): RunnableConfig {
  const { threadId, namespace } = placeOf(config);
  return configOf(threadId, namespace, checkpointId);
}
