import type { NewCheckpoint, NewWrites } from '../checkpoints/records.ts';
import type { PendingEvent } from '../events/append.ts';
import { LARGEST_BATCH, type BatchLimits } from '../events/batches.ts';

/** A checkpoint, or the writes of a task. */
export type JournalRecord = NewCheckpoint | NewWrites;

/** A record after its serialization, or the error of the serialization. */
export type Serialized = { record: JournalRecord } | { error: unknown };

/** `reach` of a marker is called when all entries before the marker have left the queue. */
export type Entry =
  | { kind: 'event'; event: PendingEvent }
  | { kind: 'record'; serialized: Promise<Serialized> }
  | { kind: 'marker'; reach: () => void };

/** The first entries of a queue, as many as a statement can store. */
export interface Head {
  /** The thread of all records and events. */
  threadId: string;
  records: JournalRecord[];
  events: PendingEvent[];
  /** Bytes of the events. */
  bytes: number;
  /** The number of entries. */
  length: number;
  /** The error of the next entry: it cannot be stored. */
  failure?: { error: unknown };
}

/** The unstored records and events of an attempt, in order. */
export interface JournalQueue {
  /** The number of entries. A marker at the start of the queue is reached, and removed, at once. */
  readonly length: number;
  /** The number of entries of this kind. */
  count(kind: Entry['kind']): number;
  /** Adds an entry at the end. */
  add(entry: Entry): void;
  /** Removes the first entries. */
  remove(length: number): void;
  /** Removes the first events, up to the limits or the first record. */
  takeEvents(limits: BatchLimits): PendingEvent[];
  /**
   * The first entries, as many as a statement can store: of a single thread, up to the limits of LARGEST_BATCH for events, and up
   * to the first record with a failed serialization or refused by `check`. The entries stay in the queue.
   */
  head(check: (record: JournalRecord) => void): Promise<Head>;
  /** Removes the records, and the events with a checkpoint. */
  dropRecords(): void;
  /** Removes all entries. */
  clear(): void;
}

/** The id is the thread of the events. Records may belong to a different thread. */
export function createJournalQueue(ownThreadId: string): JournalQueue {
  let entries: Entry[] = [];
  const counts = { event: 0, record: 0, marker: 0 };

  function remove(length: number): void {
    for (const entry of entries.splice(0, length)) {
      counts[entry.kind] -= 1;
      if (entry.kind === 'marker') entry.reach();
    }
    if (entries[0]?.kind === 'marker') remove(1);
  }

  return {
    get length() {
      return entries.length;
    },
    count: (kind) => counts[kind],
    add(entry) {
      entries.push(entry);
      counts[entry.kind] += 1;
      remove(0);
    },
    remove,
    takeEvents(limits) {
      const events: PendingEvent[] = [];
      let bytes = 0;
      for (const entry of entries) {
        const isFull = events.length >= limits.events || bytes >= limits.bytes;
        if (entry.kind !== 'event' || isFull) break;
        events.push(entry.event);
        bytes += entry.event.size;
      }
      remove(events.length);
      return events;
    },
    async head(check) {
      const head: Head = { threadId: ownThreadId, records: [], events: [], bytes: 0, length: 0 };
      // During the serialization of a record, the graph may add entries at the end.
      for (const entry of entries.slice()) {
        const isAdded = await addTo(head, entry, { ownThreadId, check });
        if (!isAdded) break;
        head.length += 1;
      }
      return head;
    },
    dropRecords() {
      const kept = entries.filter(
        (entry) =>
          entry.kind === 'marker' ||
          (entry.kind === 'event' && entry.event.checkpointId === undefined),
      );
      counts.event = kept.filter(({ kind }) => kind === 'event').length;
      counts.record = 0;
      entries = kept;
      remove(0);
    },
    clear: () => remove(entries.length),
  };
}

/** Adds an entry to a head. False if the statement cannot also store this entry. */
async function addTo(
  head: Head,
  entry: Entry,
  { ownThreadId, check }: { ownThreadId: string; check: (record: JournalRecord) => void },
): Promise<boolean> {
  if (entry.kind === 'marker') return true;
  if (entry.kind === 'event') {
    const isFull = head.events.length >= LARGEST_BATCH.events || head.bytes >= LARGEST_BATCH.bytes;
    if (isFull || head.threadId !== ownThreadId) return false;
    head.events.push(entry.event);
    head.bytes += entry.event.size;
    return true;
  }
  const serialized = checked(await entry.serialized, check);
  if ('error' in serialized) {
    head.failure = serialized;
    return false;
  }
  const { record } = serialized;
  if (head.records.length + head.events.length === 0) head.threadId = record.threadId;
  if (record.threadId !== head.threadId) return false;
  head.records.push(record);
  return true;
}

function checked(serialized: Serialized, check: (record: JournalRecord) => void): Serialized {
  try {
    if ('record' in serialized) check(serialized.record);
    return serialized;
  } catch (error) {
    return { error };
  }
}
