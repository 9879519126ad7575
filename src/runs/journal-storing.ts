import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ItemNumbers } from '../checkpoints/items.ts';
import type { StateLimit } from '../checkpoints/sizes.ts';
import { store, type StoringBy } from '../checkpoints/store.ts';
import type { Query } from '../db/query.ts';
import { ClaimLostError, isTransactionRollback, isUniqueViolation } from '../errors.ts';
import { isRefusal, numbered, type EventBatches, type Writer } from '../events/batches.ts';
import type { EventTail } from '../events/tail.ts';
import type { EndingRun } from './end.ts';
import { createJournalQueue, type Head, type JournalQueue } from './journal-queue.ts';

export interface JournalOptions {
  query: Query;
  /** The attempt. */
  writer: Writer;
  /** The run of the attempt. */
  run: EndingRun;
  batches: EventBatches;
  tail: Pick<EventTail, 'publish'>;
  limit: StateLimit;
  itemsOf: (threadId: string) => ItemNumbers;
  /**
   * Limits the statements of all attempts in this process: each statement waits for its turn. The graph continues without waiting
   * for the database, up to a limit of unstored records. Default: each statement runs at once, and the graph waits for it.
   */
  inTurn?: InTurn | undefined;
  /** Aborted when the attempt stops. */
  signal: AbortSignal;
  /** Called with each failure, including a lost claim. */
  onFailure: (error: unknown) => void;
}

export type InTurn = (work: () => Promise<void>) => Promise<void>;

/** A journal in memory: `journal.ts` adds entries to its queue, and the functions of this file store them. */
export interface OpenJournal extends JournalOptions {
  readonly queue: JournalQueue;
  /** RECORDS_DROPPED: the journal stores only events. DROPPED: it stores nothing. */
  phase: 'OPEN' | 'RECORDS_DROPPED' | 'DROPPED';
  /** A call of `storeSome` is under way. */
  isScheduled: boolean;
  /** `finish` is storing the remaining entries with the end of the run: no further statement begins. */
  isFinishing: boolean;
  /** The current statement. */
  storing: Promise<void>;
}

/** Consecutive records without a pause share a statement. The longest wait for further records. */
const GATHER_MS = 20;

export function openJournal(options: JournalOptions): OpenJournal {
  const queue = createJournalQueue(options.writer.threadId);
  const storing = Promise.resolve();
  return {
    ...options,
    queue,
    phase: 'OPEN',
    isScheduled: false,
    isFinishing: false,
    storing,
  };
}

/** Stores the entries, statement by statement, until the queue is empty. */
export function schedule(journal: OpenJournal): void {
  if (journal.isScheduled || journal.isFinishing || journal.queue.length === 0) return;
  journal.isScheduled = true;
  void storeSome(journal).finally(() => {
    journal.isScheduled = false;
    schedule(journal);
  });
}

/** If the queue has events only, they share a statement with events of further attempts. */
async function storeSome(journal: OpenJournal): Promise<void> {
  const { queue, inTurn } = journal;
  if (queue.count('record') === 0) return storeEvents(journal);
  const work = async (): Promise<void> => {
    await gather(journal);
    if (journal.isFinishing || journal.phase !== 'OPEN' || queue.count('record') === 0) return;
    journal.storing = storeHead(journal);
    await journal.storing;
  };
  await (inTurn ? inTurn(work) : work());
}

/** LangGraph puts the writes of a task, and the checkpoint after them, in consecutive turns of the event loop. */
async function gather(journal: OpenJournal): Promise<void> {
  const { queue } = journal;
  const until = performance.now() + GATHER_MS;
  let gathered: number;
  do {
    gathered = queue.count('record');
    await nextTurn();
  } while (queue.count('record') > gathered && !journal.isFinishing && performance.now() < until);
}

async function storeEvents(journal: OpenJournal): Promise<void> {
  const { batches, writer, queue } = journal;
  let markStored = (): void => {};
  try {
    await batches.store({
      writer,
      takeEvents(limits) {
        // A record has arrived in the meantime: its statement also stores the events.
        if (journal.isFinishing || queue.count('record') > 0) return [];
        journal.storing = new Promise((resolve) => {
          markStored = resolve;
        });
        return queue.takeEvents(limits);
      },
    });
  } catch (error) {
    fail(journal, error);
  } finally {
    markStored();
  }
}

async function storeHead(journal: OpenJournal): Promise<void> {
  const { queue, limit } = journal;
  try {
    const head = await queue.head(limit.check);
    if (head.length > 0) await storeEntries(journal, head);
    queue.remove(head.length);
    if (head.failure) dropRecords(journal, head.failure.error);
  } catch (error) {
    fail(journal, error);
  }
}

async function storeEntries(journal: OpenJournal, head: Head): Promise<void> {
  const { query, writer, batches, itemsOf } = journal;
  const { threadId, records, events } = head;
  const { runId, claimToken } = writer;
  const by = { threadId, fence: { runId, claimToken }, items: itemsOf(threadId) };
  try {
    const first = await storeTwice(query, by, { records, events });
    publish(journal, events, first);
  } catch (error) {
    if (events.length === 0 || !isRefusal(error)) throw error;
    // The database may have refused an event: store the records first, then the events alone.
    await storeTwice(query, by, { records, events: [] });
    await batches.storeAlone(writer, events);
  }
}

/** Tries again once if a concurrent statement has stored the same item, or has used the number of an event. Returns the first number. */
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

/** Publishes stored events, with consecutive numbers from `first` on. */
export function publish(
  { tail, writer }: OpenJournal,
  events: Head['events'],
  first: number,
): void {
  if (events.length > 0) tail.publish(numbered(writer, events, first));
}

function dropRecords(journal: OpenJournal, error: unknown): void {
  if (journal.phase === 'OPEN') journal.phase = 'RECORDS_DROPPED';
  journal.queue.dropRecords();
  journal.onFailure(error);
}

function fail(journal: OpenJournal, error: unknown): void {
  journal.phase = 'DROPPED';
  journal.queue.clear();
  journal.onFailure(error);
}
