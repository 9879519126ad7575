import { isLarge, type NewCheckpoint, type NewWrites } from '../checkpoints/records.ts';
import type { MeasuredEvent } from '../events/event.ts';
import { endRun, type Ended, type Outcome } from './end.ts';
import type { Entry, Head } from './journal-queue.ts';
import {
  openJournal,
  publish,
  schedule,
  type JournalOptions,
  type OpenJournal,
} from './journal-storing.ts';
import { createKnownCheckpoints, type KnownCheckpoints } from './known-checkpoints.ts';

/**
 * Stores the checkpoints, task writes and events of an attempt, in order, from a single queue. Each statement stores the first
 * entries of the queue and is fenced by the claim. So readers never see an event before an earlier checkpoint of the attempt.
 *
 * No method rejects. Under durability ASYNC, a rejection would end the process, or let the remaining nodes run. `onFailure`
 * gets each failure and aborts the attempt.
 */
export interface Journal {
  /** Adds a checkpoint. Resolves when the graph may continue: see `inTurn` of the options. */
  put(checkpointId: string, checkpoint: Promise<NewCheckpoint>): Promise<void>;
  /** Adds the writes of a task. Resolves like `put`. */
  putWrites(writes: Promise<NewWrites>): Promise<void>;
  /** Adds an event, after the checkpoint named by the event. Resolves when there is room for the next event. */
  append(event: MeasuredEvent): Promise<void>;
  /** The database has this checkpoint: an event may name it. */
  noteStored(checkpointId: string): void;
  /** Resolves when all records so far are stored, or dropped after a failure. */
  flushRecords(): Promise<void>;
  /** Resolves when all entries so far are stored, or dropped after a failure. */
  flush(): Promise<void>;
  /**
   * Stores the remaining entries and the end of the run with a single statement. Undefined, with nothing changed: the entries are
   * too large for a statement, the attempt has failed, or a transaction holds the thread or the run. The journal then stores the
   * entries without the end of the run.
   */
  finish(outcome: Outcome): Promise<Ended | undefined>;
  /** Drops the unstored records. Resolves when the events are stored. */
  close(): Promise<void>;
}

/** A graph with more unstored records waits for the database. */
const MOST_RECORDS_AHEAD = 200;
/** A graph with more unstored events waits for the database. */
const MOST_EVENTS_AHEAD = 1000;

export function createJournal(options: JournalOptions): Journal {
  const journal = openJournal(options);
  const known = createKnownCheckpoints(options.signal);

  return {
    put(checkpointId, checkpoint) {
      const added = addRecord(journal, checkpoint);
      known.add(checkpointId);
      return added;
    },
    putWrites: (writes) => addRecord(journal, writes),
    append: (event) => addEvent(journal, known, event),
    noteStored: (checkpointId) => known.add(checkpointId),
    async flushRecords() {
      if (journal.queue.count('record') > 0) await flush(journal);
    },
    flush: () => flush(journal),
    async finish(outcome) {
      journal.isFinishing = true;
      const ended = await endWith(journal, outcome);
      journal.isFinishing = false;
      schedule(journal);
      return ended;
    },
    async close() {
      if (journal.phase === 'OPEN') journal.phase = 'RECORDS_DROPPED';
      await journal.storing;
      journal.queue.dropRecords();
      await flush(journal);
    },
  };
}

function add(journal: OpenJournal, entry: Entry): void {
  journal.queue.add(entry);
  schedule(journal);
}

async function addRecord(
  journal: OpenJournal,
  record: Promise<NewCheckpoint | NewWrites>,
): Promise<void> {
  const serialized = record.then(
    (value) => ({ record: value }),
    (error: unknown) => ({ error }),
  );
  if (journal.phase !== 'OPEN') return;
  add(journal, { kind: 'record', serialized });
  if (!journal.inTurn || journal.queue.count('record') > MOST_RECORDS_AHEAD) await flush(journal);
}

async function addEvent(
  journal: OpenJournal,
  known: KnownCheckpoints,
  event: MeasuredEvent,
): Promise<void> {
  const { checkpointId } = event;
  const at = new Date();
  if (checkpointId !== undefined && !(await known.until(checkpointId))) return;
  const { phase } = journal;
  if (phase === 'DROPPED' || (phase === 'RECORDS_DROPPED' && checkpointId !== undefined)) return;
  add(journal, { kind: 'event', event: { ...event, at } });
  if (journal.queue.count('event') > MOST_EVENTS_AHEAD) await flush(journal);
}

async function flush(journal: OpenJournal): Promise<void> {
  await new Promise<void>((reach) => add(journal, { kind: 'marker', reach }));
  await journal.storing;
}

/** Undefined if the remaining entries cannot be stored, or the end of the run has not been stored with them. */
async function endWith(journal: OpenJournal, outcome: Outcome): Promise<Ended | undefined> {
  const { query, run, queue, itemsOf } = journal;
  const head = await remaining(journal);
  if (!head) return undefined;
  const { records, events } = head;
  const unstored = { records, events, items: itemsOf(head.threadId) };
  // After a failure with an unknown outcome, the journal stores the entries again. Their fence shows whether the run has ended.
  const ended = await endRun(query, run, outcome, unstored).catch(() => undefined);
  if (!ended) return undefined;
  queue.remove(head.length);
  publish(journal, events, ended.firstEvent);
  return ended;
}

/** The remaining entries, if a single statement can store them. */
async function remaining(journal: OpenJournal): Promise<Head | undefined> {
  const { queue, limit, signal, itemsOf } = journal;
  const { threadId } = journal.writer;
  await journal.storing;
  const head = await queue.head(limit.check);
  const isAll = head.length === queue.length && head.threadId === threadId && !head.failure;
  if (!isAll || journal.phase !== 'OPEN' || signal.aborted) return undefined;
  return isLarge(itemsOf(threadId), head.records) ? undefined : head;
}
