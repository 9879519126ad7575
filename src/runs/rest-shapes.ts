import { wireValue } from '../checkpoints/rest-values.ts';
import type { Run, RunStatus } from '../generated/prisma/client.ts';
import { recordOf } from '../json.ts';
import { restModesOf } from './rest-modes.ts';

/** A run that stops at a question has succeeded for LangGraph's clients, and a cancelled one is interrupted. */
const STATUS: Record<RunStatus, string> = {
  PENDING: 'pending',
  RUNNING: 'running',
  SUCCESS: 'success',
  INTERRUPTED: 'success',
  CANCELLED: 'interrupted',
  ERROR: 'error',
  TIMEOUT: 'timeout',
};

export const REST_STATUSES = [...new Set(Object.values(STATUS))] as [string, ...string[]];

/** The statuses of runs that clients know under this name. */
export function statusesOf(name: string): RunStatus[] {
  return (Object.keys(STATUS) as RunStatus[]).filter((status) => STATUS[status] === name);
}

export function statusName(status: RunStatus): string {
  return STATUS[status];
}

/** A run as LangGraph's SDKs read it. */
export function runShape(run: Run): Record<string, unknown> {
  return {
    run_id: run.id,
    thread_id: run.threadId,
    assistant_id: run.assistantId,
    created_at: run.createdAt.toISOString(),
    updated_at: (run.finishedAt ?? run.startedAt ?? run.createdAt).toISOString(),
    status: STATUS[run.status],
    metadata: run.metadata,
    multitask_strategy: run.multitaskStrategy.toLowerCase(),
    kwargs: kwargsOf(run),
    ...(run.cancelReason !== null && { cancel_reason: run.cancelReason }),
  };
}

/** What the run executes, in the words of the request. */
function kwargsOf(run: Run): Record<string, unknown> {
  const config = recordOf(run.config);
  return {
    input: wireValue(run.input ?? null),
    command: run.command ?? null,
    config: {
      ...config,
      configurable: {
        ...recordOf(config['configurable']),
        run_id: run.id,
        thread_id: run.threadId,
        graph_id: run.graphId,
        assistant_id: run.assistantId,
      },
    },
    context: run.context ?? null,
    stream_mode: restModesOf(run),
    interrupt_before: run.interruptBefore,
    interrupt_after: run.interruptAfter,
    subgraphs: run.streamSubgraphs,
    resumable: true,
    temporary: run.onCompletion === 'DELETE',
  };
}
