import { setImmediate as nextTurn } from 'node:timers/promises';
import { isLarge, type NewCheckpoint, type NewWrites } from '../checkpoints/records.ts';
import type { StateLimit } from '../checkpoints/sizes.ts';
import { store, type StoringBy } from '../checkpoints/store.ts';
import type { ItemNumbers } from '../checkpoints/items.ts';
import type { Query } from '../db/query.ts';
import { ClaimLostError, isTransactionRollback, isUniqueViolation } from '../errors.ts';
import { isRefusal, numbered, type EventBatches, type Writer } from '../events/batches.ts';
import type { MeasuredEvent } from '../events/event.ts';
import type { EventTail } from '../events/tail.ts';
import { endRun, type Ended, type EndingRun, type Outcome } from './end.ts';
import { createJournalQueue, type Entry, type Head } from './journal-queue.ts';

/**
 * Stores what one attempt puts and emits, in order: one queue of checkpoints, task writes and events. Each statement stores the
 * first entries of the queue and is fenced by the claim. So an event is never visible before a checkpoint that was put before it.
 *
 * No method rejects. Under durability ASYNC a rejection would end the process, or let the remaining nodes run. A failure goes to
 * `onFailure`, which aborts the attempt.
 */
export interface Journal {
  /** Adds a checkpoint. Resolves when the graph may go on: see `inTurn` of the options. */
  put(checkpointId: string, checkpoint: Promise<NewCheckpoint>): Promise<void>;
  /** Adds the writes of a task. Resolves like `put`. */
  putWrites(writes: Promise<NewWrites>): Promise<void>;
  /** Adds an event, after the checkpoint that it shows. Resolves when there is room for more. */
  append(event: MeasuredEvent): Promise<void>;
  /** The database holds this checkpoint: an event may show it. */
  noteStored(checkpointId: string): void;
  /** Resolves when all records so far are stored, or dropped after a failure. */
  flushRecords(): Promise<void>;
  /** Resolves when all entries so far are stored, or dropped after a failure. */
  flush(): Promise<void>;
  /**
   * Ends the run with the statement that stores the remaining entries. Undefined, with nothing changed: there is too much for one
   * statement, something failed, or another transaction decides about the run. The entries are then stored by themselves.
   */
  finish(outcome: Outcome): Promise<Ended | undefined>;
  /** Drops the records that are not stored. Resolves when the events are. */
  close(): Promise<void>;
}

export interface JournalOptions {
  query: Query;
  /** The attempt, and its run. */
  writer: Writer;
  run: EndingRun;
  batches: EventBatches;
  tail: Pick<EventTail, 'publish'>;
  limit: StateLimit;
  itemsOf: (threadId: string) => ItemNumbers;
  /**
   * Runs work when enough work of other attempts is done. The graph then need not wait for the database, unless it is far ahead.
   * Default: the work runs at once, and the graph waits.
   */
  inTurn?: InTurn | undefined;
  /** Aborted when the attempt stops. */
  signal: AbortSignal;
  /** Called with each failure, a lost claim included. */
  onFailure: (error: unknown) => void;
}

export type InTurn = (work: () => Promise<void>) => Promise<void>;

/** A graph with more unstored records waits for the database. */
const MOST_RECORDS_AHEAD = 200;
/** A graph with more unstored events waits for the database. */
const MOST_EVENTS_AHEAD = 1000;
/** Records that follow each other without a pause gather for one statement, at most this long. */
const GATHER_MS = 20;

export function createJournal(options: JournalOptions): Journal {
  const { query, writer, run, batches, tail, limit, itemsOf, inTurn, signal, onFailure } = options;
  const { runId, threadId, claimToken } = writer;
  const queue = createJournalQueue(threadId);
  /** RECORDS_DROPPED: only events are stored. DROPPED: nothing is. */
  let state: 'OPEN' | 'RECORDS_DROPPED' | 'DROPPED' = 'OPEN';
  let isScheduled = false;
  /** `finish` stores the remaining entries: no other statement begins. */
  let isFinishing = false;
  /** The statement that is under way. */
  let storing: Promise<void> = Promise.resolve();
  /** Checkpoints that an event may show: put here, or read from the database. */
  const known = new Set<string>();
  /** Calls of `append` that wait for a checkpoint. */
  const awaited = new Map<string, () => void>();

  function schedule(): void {
    if (isScheduled || isFinishing || queue.length === 0) return;
    isScheduled = true;
    void storeSome().finally(() => {
      isScheduled = false;
      schedule();
    });
  }

  /** Events alone share a statement with those of other attempts. */
  async function storeSome(): Promise<void> {
    if (queue.count('record') === 0) return storeEvents();
    const work = async (): Promise<void> => {
      await gather();
      if (isFinishing || state !== 'OPEN' || queue.count('record') === 0) return;
      storing = storeHead();
      await storing;
    };
    await (inTurn ? inTurn(work) : work());
  }

  /** LangGraph puts the writes of a task and what follows from them in consecutive turns of the event loop. */
  async function gather(): Promise<void> {
    const until = performance.now() + GATHER_MS;
    const mayGather = () => !isFinishing && performance.now() < until;
    let gathered: number;
    do {
      gathered = queue.count('record');
      await nextTurn();
    } while (queue.count('record') > gathered && mayGather());
  }

  async function storeEvents(): Promise<void> {
    let markStored = (): void => {};
    try {
      await batches.store({
        writer,
        takeEvents(limits) {
          // A record came meanwhile: its statement stores the events, too.
          if (isFinishing || queue.count('record') > 0) return [];
          storing = new Promise((resolve) => {
            markStored = resolve;
          });
          return queue.takeEvents(limits);
        },
      });
    } catch (error) {
      fail(error);
    } finally {
      markStored();
    }
  }

  async function storeHead(): Promise<void> {
    try {
      const head = await queue.head(limit.check);
      if (head.length > 0) await storeEntries(head);
      queue.remove(head.length);
      if (head.failure) dropRecords(head.failure.error);
    } catch (error) {
      fail(error);
    }
  }

  async function storeEntries({ threadId: id, records, events }: Head): Promise<void> {
    const by = { threadId: id, fence: { runId, claimToken }, items: itemsOf(id) };
    try {
      const first = await storeTwice(query, by, { records, events });
      publish(events, first);
    } catch (error) {
      if (events.length === 0 || !isRefusal(error)) throw error;
      // The data of an event may be the reason. By themselves, the events show that.
      await storeTwice(query, by, { records, events: [] });
      await batches.storeAlone(writer, events);
    }
  }

  function publish(events: Head['events'], first: number): void {
    if (events.length > 0) tail.publish(numbered(writer, events, first));
  }

  function dropRecords(error: unknown): void {
    if (state === 'OPEN') state = 'RECORDS_DROPPED';
    queue.dropRecords();
    onFailure(error);
  }

  function fail(error: unknown): void {
    state = 'DROPPED';
    queue.clear();
    onFailure(error);
  }

  function add(entry: Entry): void {
    queue.add(entry);
    schedule();
  }

  async function addRecord(record: Promise<NewCheckpoint | NewWrites>): Promise<void> {
    const serialized = record.then(
      (value) => ({ record: value }),
      (error: unknown) => ({ error }),
    );
    if (state !== 'OPEN') return;
    add({ kind: 'record', serialized });
    if (!inTurn || queue.count('record') > MOST_RECORDS_AHEAD) await flush();
  }

  function markKnown(checkpointId: string): void {
    known.add(checkpointId);
    awaited.get(checkpointId)?.();
  }

  /** Whether the checkpoint came; not if the attempt was aborted before. */
  async function untilKnown(checkpointId: string): Promise<boolean> {
    if (!known.has(checkpointId) && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          signal.removeEventListener('abort', done);
          awaited.delete(checkpointId);
          resolve();
        };
        awaited.set(checkpointId, done);
        signal.addEventListener('abort', done);
      });
    }
    return known.has(checkpointId);
  }

  async function flush(): Promise<void> {
    await new Promise<void>((reach) => add({ kind: 'marker', reach }));
    await storing;
  }

  /** The remaining entries, if one statement can store them. */
  async function remaining(): Promise<Head | undefined> {
    await storing;
    const head = await queue.head(limit.check);
    const isAll = head.length === queue.length && head.threadId === threadId && !head.failure;
    if (!isAll || state !== 'OPEN' || signal.aborted) return undefined;
    return isLarge(itemsOf(threadId), head.records) ? undefined : head;
  }

  async function endWith(outcome: Outcome): Promise<Ended | undefined> {
    const head = await remaining();
    if (!head) return undefined;
    const { records, events } = head;
    const unstored = { records, events, items: itemsOf(threadId) };
    // If the answer is lost, the entries are stored again, and the fence tells whether the run has ended.
    const ended = await endRun(query, run, outcome, unstored).catch(() => undefined);
    if (!ended) return undefined;
    queue.remove(head.length);
    publish(events, ended.firstEvent);
    return ended;
  }

  return {
    put(checkpointId, checkpoint) {
      const added = addRecord(checkpoint);
      markKnown(checkpointId);
      return added;
    },
    putWrites: addRecord,
    async append(event) {
      const { checkpointId } = event;
      const at = new Date();
      if (checkpointId !== undefined && !(await untilKnown(checkpointId))) return;
      if (state === 'DROPPED' || (state === 'RECORDS_DROPPED' && checkpointId !== undefined))
        return;
      add({ kind: 'event', event: { ...event, at } });
      if (queue.count('event') > MOST_EVENTS_AHEAD) await flush();
    },
    noteStored: markKnown,
    async flushRecords() {
      if (queue.count('record') > 0) await flush();
    },
    flush,
    async finish(outcome) {
      isFinishing = true;
      const ended = await endWith(outcome);
      isFinishing = false;
      schedule();
      return ended;
    },
    async close() {
      if (state === 'OPEN') state = 'RECORDS_DROPPED';
      await storing;
      queue.dropRecords();
      await flush();
    },
  };
}

/** Tries a second time if another writer has stored the same item, or taken the number of an event. Returns the first number. */
async function storeTwice(
  query: Query,
  by: StoringBy,
  storable: Pick<Head, 'records' | 'events'>,
): Promise<number> {
  const stored = await store(query, by, storable).catch((error: unknown) => {
    if (!isUniqueViolation(error) && !isTransactionRollback(error)) throw error;
    return store(query, by, storable);
  });
  if (!stored) throw new ClaimLostError();
  return Number(stored.firstEvent);
}
