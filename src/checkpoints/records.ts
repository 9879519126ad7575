import type { Checkpoint } from '@langchain/langgraph-checkpoint';
import { compareWritesSortKeys, writesSortKey } from '@langchain/langgraph-checkpoint';
import type { PendingEvent } from '../events/append.ts';
import { sizeOf, sum, type SerializedValue } from './units.ts';
import { storedValue, type Item, type ItemNumbers, type StoredValue } from './values.ts';

// What a graph puts, as records, and the rows that a statement makes of them.

export interface NewCheckpoint {
  threadId: string;
  namespace: string;
  parentId: string | undefined;
  checkpoint: Checkpoint;
  metadata: Record<string, unknown>;
  /** The channels that have a new version, with its value. */
  values: { channel: string; version: number; value: SerializedValue }[];
}

/** What a task wrote on top of a checkpoint. */
export interface NewWrites {
  threadId: string;
  namespace: string;
  checkpointId: string;
  taskId: string;
  /** Orders the writes of one step, as LangGraph gives it. */
  taskPath: string;
  writes: { index: number; channel: string; value: SerializedValue }[];
}

/** What one statement stores. */
export interface Storable {
  /** Of one thread, in their order; the last new checkpoint of a namespace becomes its head. */
  records: readonly (NewCheckpoint | NewWrites)[];
  /** Of the run whose claim is the fence. */
  events?: readonly PendingEvent[];
}

/** The most bytes of new items for one statement: other statements wait for it. */
const STATEMENT_BYTES = 2_097_152;

/** Whether the new content of these records is too much for one statement. */
export function isLarge(items: ItemNumbers, records: Storable['records']): boolean {
  const sizes = records.flatMap((each) =>
    ('values' in each ? each.values : each.writes).map(({ value }) => sizeOf(value)),
  );
  if (sum(sizes) <= STATEMENT_BYTES) return false;
  const tried = items.copy();
  const stored = Array.from(storedValues(tried, records).values(), ({ value }) => value);
  const fresh = [...tried.takeNew().map(({ value }) => value), ...stored];
  return sum(fresh.map((bytes) => bytes?.length ?? 0)) > STATEMENT_BYTES;
}

/** Items in batches, each for a statement. One batch at least. The thread's numbers grow away from 0 with each batch. */
export function cutItems(items: readonly Item[]): Item[][] {
  let batch: Item[] = [];
  const batches = [batch];
  let bytes = 0;
  for (const item of items.toSorted((a, b) => Math.abs(a.number) - Math.abs(b.number))) {
    if (batch.length > 0 && bytes + item.value.byteLength > STATEMENT_BYTES) {
      batch = [];
      batches.push(batch);
      bytes = 0;
    }
    batch.push(item);
    bytes += item.value.byteLength;
  }
  return batches;
}

/** The rows that a statement stores beside items. */
export interface Rows {
  checkpoints: NewCheckpoint[];
  values: (NewCheckpoint['values'][number] & { namespace: string })[];
  writes: (Omit<NewWrites, 'writes'> & NewWrites['writes'][number])[];
  events: readonly PendingEvent[];
}

export const NO_ROWS: Rows = { checkpoints: [], values: [], writes: [], events: [] };

export function rowsOf({ records, events = [] }: Storable): Rows {
  const checkpoints = lastOfEach(
    records.flatMap((record) => ('checkpoint' in record ? record : [])),
  );
  const values = checkpoints.flatMap(({ namespace, values: own }) =>
    own.map((value) => ({ namespace, ...value })),
  );
  const writes = countedWrites(records.flatMap((record) => ('writes' in record ? record : [])));
  return { checkpoints, values, writes, events };
}

/** One statement cannot store a row twice. Each checkpoint as it came last, where it came first. */
function lastOfEach(checkpoints: NewCheckpoint[]): NewCheckpoint[] {
  const last = new Map<string, NewCheckpoint>();
  for (const each of checkpoints) {
    const key = `${each.checkpoint.id} ${each.namespace}`;
    const values = [...(last.get(key)?.values ?? []), ...each.values];
    last.set(key, { ...each, values });
  }
  return [...last.values()];
}

/** Of writes with one place, the one that counts. */
export function countedWrites(records: readonly NewWrites[]): Rows['writes'] {
  const counted = new Map<string, Rows['writes'][number]>();
  for (const { writes, ...task } of records) {
    for (const write of writes) {
      const key = `${task.checkpointId} ${task.taskId} ${write.index} ${task.namespace}`;
      if (write.index < 0 || !counted.has(key)) counted.set(key, { ...task, ...write });
    }
  }
  return [...counted.values()];
}

/** Writes in the order in which LangGraph applies them: that of its sort key. */
export function inWriteOrder<Write extends { taskPath: string; taskId: string; index: number }>(
  writes: readonly Write[],
): Write[] {
  const keyOf = ({ taskPath, taskId, index }: Write) => writesSortKey(taskPath, taskId, index);
  return writes.toSorted((a, b) => compareWritesSortKeys(keyOf(a), keyOf(b)));
}

/** What to store for each value. Items are numbered in the order of the records, so that it does not matter which come together. */
export function storedValues(
  items: ItemNumbers,
  records: Storable['records'],
): Map<SerializedValue, StoredValue> {
  const stored = new Map<SerializedValue, StoredValue>();
  for (const record of records) {
    if ('values' in record) {
      for (const { value } of record.values)
        stored.set(value, storedValue(items, value, { use: 'channel' }));
    } else {
      // Of LangGraph's own lists, such as answers, the elements are counted by their items.
      for (const { index, value } of record.writes)
        stored.set(value, storedValue(items, value, { use: 'write', alone: index < 0 }));
    }
  }
  return stored;
}
