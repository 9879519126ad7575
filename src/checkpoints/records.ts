import type { Checkpoint } from '@langchain/langgraph-checkpoint';
import { compareWritesSortKeys, writesSortKey } from '@langchain/langgraph-checkpoint';
import type { PendingEvent } from '../events/append.ts';
import { sizeOf, sum, type SerializedValue } from './units.ts';
import type { Item, ItemNumbers } from './items.ts';
import { storedValue, type StoredValue } from './values.ts';

// The records of checkpoints and writes, and the rows of their statement.

export interface NewCheckpoint {
  threadId: string;
  namespace: string;
  parentId: string | undefined;
  checkpoint: Checkpoint;
  metadata: Record<string, unknown>;
  /** The channels with a new version, and their values. */
  values: { channel: string; version: number; value: SerializedValue }[];
}

/** The writes of a task on top of a checkpoint. */
export interface NewWrites {
  threadId: string;
  namespace: string;
  checkpointId: string;
  taskId: string;
  /** LangGraph orders the writes of a step by it. */
  taskPath: string;
  writes: { index: number; channel: string; value: SerializedValue }[];
}

/** The content of one statement. */
export interface Storable {
  /** The records of a thread, in their order. The last new checkpoint of a namespace becomes its head. */
  records: readonly (NewCheckpoint | NewWrites)[];
  /** Events of the run with the claim of the fence. */
  events?: readonly PendingEvent[];
}

/** The most bytes of new items for a statement. A statement blocks the connection until its end. */
const STATEMENT_BYTES = 2_097_152;

/** True if the new content of the records is too large for one statement. */
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

/**
 * Items in batches, each for a statement. There is at least one batch. From batch to batch, the absolute values of the numbers
 * grow.
 */
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

/** The rows of a statement, apart from items. */
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

/** Each checkpoint once, at its first position, with its last content: one statement cannot store a row twice. */
function lastOfEach(checkpoints: NewCheckpoint[]): NewCheckpoint[] {
  const last = new Map<string, NewCheckpoint>();
  for (const each of checkpoints) {
    const key = `${each.checkpoint.id} ${each.namespace}`;
    const values = [...(last.get(key)?.values ?? []), ...each.values];
    last.set(key, { ...each, values });
  }
  return [...last.values()];
}

/** Each write once. LangGraph's indexes: of writes to channels the first counts; of errors, interrupts and answers the last. */
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

/** Writes in the order of LangGraph's sort key. */
export function inWriteOrder<Write extends { taskPath: string; taskId: string; index: number }>(
  writes: readonly Write[],
): Write[] {
  const keyOf = ({ taskPath, taskId, index }: Write) => writesSortKey(taskPath, taskId, index);
  return writes.toSorted((a, b) => compareWritesSortKeys(keyOf(a), keyOf(b)));
}

/** The stored form of each value. Items get their numbers in the order of the records, independent of how records are grouped. */
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
      // In lists of LangGraph itself, such as answers, the number of items must equal the number of elements.
      for (const { index, value } of record.writes)
        stored.set(value, storedValue(items, value, { use: 'write', alone: index < 0 }));
    }
  }
  return stored;
}
