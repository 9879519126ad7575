import type { RunnableConfig } from '@langchain/core/runnables';
import { isRecord, recordOf } from '../json.ts';

/** The columns of a run, or of an assistant, for the configuration of a graph. */
export interface Configured {
  runId?: string | null | undefined;
  threadId?: string | null | undefined;
  graphId: string;
  assistantId: string;
  config: unknown;
  /** Null: no context. LangGraph checks a context, even if it is empty, instead of `configurable`. */
  context: unknown;
  metadata: unknown;
  /** The viewer of a run, for `configurable`; never in metadata. */
  user?: unknown;
}

/**
 * The configuration of a graph, its nodes and its tools, and the argument of a graph function. Each call makes a deep copy,
 * so a graph may change its configuration without an effect on stored rows and other runs.
 */
export function configurationOf(from: Configured): RunnableConfig & { context?: object } {
  const { config, context, metadata, user } = structuredClone({
    config: from.config as Record<string, unknown>,
    context: from.context,
    metadata: from.metadata as Record<string, unknown>,
    user: recordOf(from.user),
  });
  const ids = {
    ...(from.runId != null && { run_id: from.runId }),
    ...(from.threadId != null && { thread_id: from.threadId }),
    graph_id: from.graphId,
    assistant_id: from.assistantId,
  };
  const limit = config['recursion_limit'] ?? config['recursionLimit'];
  return {
    configurable: { ...(config['configurable'] as object | undefined), ...user, ...ids },
    metadata: { ...(config['metadata'] as object | undefined), ...metadata, ...ids },
    tags: (config['tags'] as string[] | undefined) ?? [],
    ...(from.runId != null && { runId: from.runId }),
    ...(isRecord(context) && { context }),
    ...(typeof limit === 'number' && { recursionLimit: limit }),
  };
}
