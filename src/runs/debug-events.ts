import { toPlain } from '../checkpoints/plain.ts';
import { isRecord, recordOf } from '../json.ts';

/** The ids of a checkpoint and its parent. */
export interface CheckpointIds {
  checkpointId: string | undefined;
  parentId: string | undefined;
}

interface DebugChunk {
  step: number;
  type: 'checkpoint' | 'task' | 'task_result';
  timestamp: string;
  payload: Record<string, unknown>;
}

/** True if a chunk of LangGraph's mode "debug" shows a checkpoint. */
export function showsCheckpoint(chunk: unknown): boolean {
  return recordOf(chunk)['type'] === 'checkpoint';
}

/**
 * The data of a DEBUG event, like those of LangGraph's own server. LangGraph shows a checkpoint with the whole configuration of
 * its run: here, the configuration has the ids only.
 */
export function debugData(
  chunk: unknown,
  { namespace, ids }: { namespace: string[]; ids: CheckpointIds },
): unknown {
  if (!showsCheckpoint(chunk)) return toPlain(chunk);
  const { step, type, timestamp, payload } = chunk as DebugChunk;
  const { values, metadata, next } = payload;
  const tasks = (payload['tasks'] as Record<string, unknown>[]).map(withAddress);
  const config = recordOf(recordOf(payload['config'])['configurable']);
  const at = (checkpointId: string | undefined) =>
    checkpointId === undefined
      ? null
      : {
          thread_id: config['thread_id'],
          checkpoint_ns: namespace.join('|'),
          checkpoint_id: checkpointId,
        };
  const [own, parent] = [at(ids.checkpointId), at(ids.parentId)];
  return toPlain({
    step,
    type,
    timestamp,
    payload: {
      config: own && { configurable: own },
      parent_config: parent && { configurable: parent },
      values,
      metadata,
      next,
      tasks,
      checkpoint: own && { ...own, checkpoint_map: null },
      parent_checkpoint: parent && { ...parent, checkpoint_map: null },
    },
  });
}

/** A task of a subgraph has the address of its checkpoints as `checkpoint` instead of `state`. */
function withAddress({ state, ...task }: Record<string, unknown>): Record<string, unknown> {
  if (!isRecord(state)) return task;
  const { thread_id, checkpoint_ns } = recordOf(state['configurable']);
  return { ...task, checkpoint: { thread_id, checkpoint_ns } };
}
