import { EVENTS_CHANNEL } from '../db/channels.ts';
import type { Sql } from '../db/query.ts';
import type { Logger } from '../log.ts';
import type { StoredEvent } from './event.ts';
import {
  deliver,
  finishReading,
  hasWork,
  liveInbox,
  staleInbox,
  startReading,
  takeEvent,
  unreadInbox,
  type Followed,
  type Inbox,
} from './inbox.ts';
import { interruptible, sleepUntilWoken } from './interruptible.ts';
import { createNews } from './news.ts';
import { readFirstPage, readPages } from './read.ts';
import { createReaders, type Readers } from './readers.ts';
import { createRecentRuns, type RecentRuns } from './recent.ts';

/** Live readers of the event log. */
export interface EventTail {
  /** The number of readers. */
  readonly readers: number;
  /** The bytes of events in memory for readers slower than their runs. */
  readonly bufferedBytes: number;
  /**
   * Events in order: the stored ones, then the live ones; a GAP in place of deleted events. The events of a run end after
   * its final event, those of a thread when the thread is deleted. `return()` ends them at once, also during a wait.
   */
  follow(followed: Followed, from: Start): AsyncIterableIterator<StoredEvent, void>;
  /** The thread of a run if all events of the run are in memory. */
  threadOf(runId: string): string | undefined;
  /** Delivers committed events to the readers of this process, and notifies the other processes. The events have consecutive numbers of a single thread. */
  publish(events: readonly StoredEvent[]): void;
  /** Publishes the first event of a run. This process then publishes all events of the run, until its end or a call of `leave`. */
  begin(started: StoredEvent): void;
  /** The run may continue in another process. */
  leave(runId: string): void;
  /** Ends the readers of a deleted thread. The readers of other processes end within a second. */
  end(threadId: string): void;
  close(): void;
}

export interface Start {
  /**
   * Events after this number. 'now' is for a wait for the end of a run that was unfinished a moment ago: the reader needs no
   * stored event, and may miss events before the final event.
   */
  after: number | 'now';
  /** Undefined: events of every type. */
  types?: readonly StoredEvent['type'][] | undefined;
}

export function createEventTail(sql: Sql, log: Logger): EventTail {
  const readers = createReaders();
  const recent = createRecentRuns();
  const news = createNews({ sql, log }, readers, recent);
  const unlisten = sql.listen(EVENTS_CHANNEL, (threadId) => void news.fetch(threadId));
  const closing = new AbortController();
  const source = { sql, readers, recent, closing: closing.signal };

  function publish(events: readonly StoredEvent[]): void {
    const [first] = events;
    if (!first) return;
    for (const event of events) recent.add(event);
    for (const inbox of readers.of(first.threadId)) deliver(inbox, events);
    sql.notifyOthers(EVENTS_CHANNEL, first.threadId);
  }

  return {
    get readers() {
      return readers.count;
    },
    get bufferedBytes() {
      return readers.bufferedBytes;
    },
    follow: (followed, start) =>
      interruptible((returned) => read(source, { ...start, followed }, returned)),
    threadOf: (runId) => recent.threadOf(runId),
    publish,
    begin(started) {
      recent.begin(started.runId);
      publish([started]);
    },
    leave: (runId) => recent.leave(runId),
    end(threadId) {
      recent.leaveThread(threadId);
      readers.markStale(threadId);
    },
    close() {
      news.stop();
      unlisten();
      closing.abort();
      for (const threadId of readers.threadIds()) readers.markStale(threadId);
    },
  };
}

interface Source {
  sql: Pick<Sql, 'query'>;
  readers: Readers;
  recent: RecentRuns;
  closing: AbortSignal;
}

/** Reads the table when the inbox is STALE, and takes events from the inbox otherwise. */
async function* read(
  { sql, readers, recent, closing }: Source,
  { followed, after, types }: Start & { followed: Followed },
  returned: AbortSignal,
): AsyncGenerator<StoredEvent, void> {
  const isWanted = ({ type }: StoredEvent) => !types || types.includes(type);
  const isEnd = ({ type }: StoredEvent) => followed.runId !== undefined && type === 'FINISHED';
  const inbox = openInbox(followed, after, recent);
  let seen = after === 'now' ? undefined : after;
  readers.add(inbox);
  try {
    while (!returned.aborted && !closing.aborted) {
      if (inbox.state.name === 'STALE') {
        startReading(inbox);
        const { isOver, last, events } = await readFirstPage(sql, followed, seen);
        seen ??= last;
        for await (const event of readPages(sql, followed, { after: seen, events })) {
          seen = event.number;
          if (isWanted(event)) yield event;
          if (isEnd(event)) return;
        }
        if (isOver) return;
        finishReading(inbox, last);
        continue;
      }
      const event = takeEvent(inbox);
      if (!event) {
        await sleepUntilWoken(inbox, returned, () => hasWork(inbox));
        continue;
      }
      if (seen !== undefined && event.number <= seen) continue;
      seen = event.number;
      if (isWanted(event)) yield event;
      if (isEnd(event)) return;
    }
  } finally {
    readers.remove(inbox);
  }
}

function openInbox(followed: Followed, after: Start['after'], recent: RecentRuns): Inbox {
  if (after === 'now') return unreadInbox(followed);
  const run = recent.find(followed.runId ?? '');
  const last = run?.events.at(-1);
  return run && last ? liveInbox(followed, run, last.number) : staleInbox(followed);
}
