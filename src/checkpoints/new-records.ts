import type { RunnableConfig } from '@langchain/core/runnables';
import type { ChannelVersions, PendingWrite } from '@langchain/langgraph-checkpoint';
import { WRITES_IDX_MAP, getCheckpointId } from '@langchain/langgraph-checkpoint';
import { AppError, readErrorSummary, summarizeError } from '../errors.ts';
import { isRecord } from '../json.ts';
import { placeOf } from './address.ts';
import { type NewCheckpoint, type NewWrites } from './records.ts';
import { serializeValue, type SerializeOptions } from './units.ts';

/** LangGraph's task id for the writes of an input or a command. */
export const NULL_TASK_ID = '00000000-0000-0000-0000-000000000000';

export async function newCheckpoint(
  config: RunnableConfig,
  {
    checkpoint,
    metadata,
    newVersions,
  }: Pick<NewCheckpoint, 'checkpoint' | 'metadata'> & { newVersions: ChannelVersions },
  how: SerializeOptions,
): Promise<NewCheckpoint> {
  checkNames([placeOf(config).namespace, ...Object.keys(checkpoint.channel_versions)]);
  const changed = Object.keys(newVersions).filter(
    (channel) => checkpoint.channel_values[channel] !== undefined,
  );
  const values = await Promise.all(
    changed.map(async (channel) => ({
      channel,
      version: Number(newVersions[channel]),
      value: await serialize(channel, checkpoint.channel_values[channel], how),
    })),
  );
  return {
    ...placeOf(config),
    parentId: getCheckpointId(config) || undefined,
    checkpoint,
    metadata,
    values,
  };
}

export async function newWrites(
  config: RunnableConfig,
  { writes, ...task }: Pick<NewWrites, 'taskId' | 'taskPath'> & { writes: PendingWrite[] },
  how: SerializeOptions,
): Promise<NewWrites> {
  checkNames([placeOf(config).namespace, ...writes.map(([channel]) => channel)]);
  // A node with several answers writes all of them each time. Of writes with the same index, the last one counts.
  const placed = new Map(
    writes.map((write, index) => [WRITES_IDX_MAP[write[0]] ?? index, write] as const),
  );
  const serialized = await Promise.all(
    Array.from(placed, async ([index, [channel, value]]) => ({
      index,
      channel,
      value: await serialize(channel, channel === '__error__' ? storableError(value) : value, how),
    })),
  );
  return { ...placeOf(config), checkpointId: getCheckpointId(config), ...task, writes: serialized };
}

/** Refuses a name with a null byte or half a character: PostgreSQL's text type would not keep it. */
function checkNames(names: readonly string[]): void {
  const odd = names.find((name) => /[\0\p{Surrogate}]/u.test(name));
  if (odd === undefined) return;
  const shown = JSON.stringify(odd);
  throw new Error(
    `A node or a channel has the name ${shown}, which cannot be stored: it holds a null byte or half a character.`,
  );
}

/** LangGraph copies the name and the message of a thrown error. They may have any type, a function included. */
function storableError(error: unknown): unknown {
  if (!isRecord(error)) return error;
  const isText = typeof error['name'] === 'string' && typeof error['message'] === 'string';
  return isText ? error : readErrorSummary(error);
}

async function serialize(channel: string, value: unknown, how: SerializeOptions) {
  try {
    return await serializeValue(value, how);
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    const why = summarizeError(cause).message;
    throw new Error(`The value of channel "${channel}" cannot be stored: ${why}.`, { cause });
  }
}
