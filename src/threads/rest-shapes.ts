import type { ClientApp } from '../app.ts';
import { wireValue } from '../checkpoints/rest-values.ts';
import { findCurrentStates, valuesOf } from '../checkpoints/states.ts';
import type { StorageDetails } from '../checkpoints/storage-details.ts';
import { readErrorSummary } from '../errors.ts';
import type { Interrupt, Thread } from '../generated/prisma/client.ts';
import { interruptShape, rootTaskId } from '../interrupts/rest.ts';
import { pendingInterruptsOf } from '../interrupts/search.ts';
import { isRecord, setKey } from '../json.ts';
import { selected } from '../rest/fields.ts';
import { fieldOf, valueAt } from './rest-extract.ts';
import { lastConfig } from './config.ts';

interface Wanted {
  /** Only these fields. Default: all. */
  select?: readonly string[] | null | undefined;
  /** Paths in the threads, by the name of the result. */
  extract?: Record<string, string> | null | undefined;
}

/** The JSON of threads. Values, interrupts and configurations are read only for the fields that need them. */
export async function threadShapes(
  app: ClientApp,
  threads: readonly Thread[],
  { select, extract }: Wanted = {},
): Promise<Record<string, unknown>[]> {
  const needed = new Set(Object.values(extract ?? {}).map(fieldOf));
  const needs = (field: string) => !select || select.includes(field) || needed.has(field);
  const ids = threads.map(({ id }) => id);
  const [states, interrupts, configs] = await Promise.all([
    needs('values') ? findCurrentStates(app, ids) : new Map(),
    needs('interrupts') ? pendingInterruptsOf(app, ids) : [],
    needs('config') ? Promise.all(ids.map((id) => lastConfig(app, id))) : [],
  ]);
  const shapes: Record<string, unknown>[] = [];
  for (const [i, thread] of threads.entries()) {
    const own = interrupts.filter(({ threadId }) => threadId === thread.id);
    const shape = {
      ...threadFields(thread),
      config: configs[i] ?? {},
      values: wireValue(await valuesOf(states.get(thread.id))),
      interrupts: byTask(own),
    };
    const found = Object.entries(extract ?? {}).map(([name, path]) => [name, valueAt(shape, path)]);
    shapes.push({
      ...selected(shape, select),
      ...(extract && { extracted: Object.fromEntries(found) as Record<string, unknown> }),
    });
  }
  return shapes;
}

/** The JSON of one thread. */
export async function threadShape(
  app: ClientApp,
  thread: Thread,
): Promise<Record<string, unknown> | undefined> {
  return (await threadShapes(app, [thread]))[0];
}

function threadFields(thread: Thread) {
  const { status, error } = thread;
  return {
    thread_id: thread.id,
    created_at: thread.createdAt.toISOString(),
    updated_at: thread.updatedAt.toISOString(),
    state_updated_at: thread.stateUpdatedAt.toISOString(),
    metadata: thread.metadata,
    status: status.toLowerCase(),
    error: status === 'ERROR' && isRecord(error) ? errorShape(error) : null,
  };
}

function errorShape(stored: Record<string, unknown>) {
  const { name, message } = readErrorSummary(stored);
  return { error: name, message };
}

/** The interrupts by the id of their task in the root graph. */
function byTask(interrupts: readonly Interrupt[]): Record<string, unknown[]> {
  const tasks: Record<string, unknown[]> = {};
  for (const interrupt of interrupts) {
    const task = rootTaskId(interrupt);
    tasks[task] = [...(tasks[task] ?? []), interruptShape(interrupt)];
  }
  return tasks;
}

/** The JSON of what a thread stores. */
export function storageShape(
  threadId: string,
  { checkpoints, values, writes, channels }: StorageDetails,
) {
  const byChannel: Record<string, unknown> = {};
  for (const { channel, versions, bytes } of channels) {
    setKey(byChannel, channel, { versions, bytes });
  }
  return {
    thread_id: threadId,
    total_bytes: checkpoints.bytes + values.bytes + writes.bytes,
    checkpoints,
    channel_values: { ...values, by_channel: byChannel },
    pending_writes: writes,
  };
}
