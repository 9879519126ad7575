import type { Sql } from '../db/query.ts';
import type { Logger } from '../log.ts';
import { POLL_MS, repeat } from '../repeat.ts';
import type { StoredEvent } from './event.ts';
import { BUFFER_BYTES, deliver, markStale, mayMiss, neededAfter, type Inbox } from './inbox.ts';
import { isFullPage, PAGE_EVENTS, readEvents, readNewest } from './read.ts';
import type { Readers } from './readers.ts';
import type { RecentRuns } from './recent.ts';

/** Delivers events from other processes. */
export interface News {
  /** Reads the new events of a thread, once for all its readers. Never rejects. */
  fetch(threadId: string): Promise<void>;
  /** Ends the poll. */
  stop(): void;
}

export function createNews(
  { sql, log }: { sql: Pick<Sql, 'query'>; log: Logger },
  readers: Readers,
  recent: RecentRuns,
): News {
  /** The threads of the reads in progress; true if the thread needs a further read. */
  const fetching = new Map<string, boolean>();
  const polling = repeat(poll, {
    pauseMs: POLL_MS,
    onError: (error) => log.warn({ err: error }, 'Events could not be polled.'),
  });

  /** Recovers from lost notifications, with a single statement for all readers of the process. */
  async function poll(): Promise<void> {
    const threadIds = readers.threadIds().filter((threadId) => notified(threadId).length > 0);
    if (threadIds.length === 0) return;
    for (const { threadId, last, isGone } of await readNewest(sql, threadIds)) {
      const isNews = notified(threadId).some((inbox) => mayMiss(inbox, last ?? 0));
      if (isGone) readers.markStale(threadId);
      else if (isNews) void fetch(threadId);
    }
  }

  /** The readers of a thread with a need for notifications. An attempt in this process publishes all events of its run itself. */
  function notified(threadId: string): Inbox[] {
    const inboxes = Array.from(readers.of(threadId));
    return inboxes.filter(({ followed: { runId } }) => !runId || !recent.has(runId));
  }

  async function fetch(threadId: string): Promise<void> {
    if (readers.of(threadId).size === 0) return;
    if (fetching.has(threadId)) {
      fetching.set(threadId, true);
      return;
    }
    try {
      do {
        fetching.set(threadId, false);
        const isComplete = await deliverNews(sql, readers, threadId);
        if (!isComplete) fetching.set(threadId, true);
      } while (fetching.get(threadId));
    } catch (error) {
      log.warn({ err: error }, 'New events could not be read.');
      readers.markStale(threadId);
    } finally {
      fetching.delete(threadId);
    }
  }

  return { fetch, stop: () => void polling.stop() };
}

/** Delivers a page of events to the readers of a thread. False if there may be a further page. */
async function deliverNews(
  sql: Pick<Sql, 'query'>,
  readers: Readers,
  threadId: string,
): Promise<boolean> {
  const inboxes = Array.from(readers.of(threadId)).filter(({ state }) => state.name !== 'STALE');
  const numbers = inboxes.flatMap((inbox) => neededAfter(inbox) ?? []);
  for (const inbox of inboxes) if (neededAfter(inbox) === undefined) markStale(inbox);
  if (numbers.length === 0) return true;
  const page = { after: Math.min(...numbers), limit: PAGE_EVENTS, bytes: BUFFER_BYTES };
  const events = await readEvents(sql, { threadId }, page);
  for (const part of withoutHoles(events)) {
    for (const inbox of readers.of(threadId)) deliver(inbox, part);
  }
  return !isFullPage(events, PAGE_EVENTS);
}

/** The events, cut at missing numbers. */
function withoutHoles(events: readonly StoredEvent[]): StoredEvent[][] {
  const parts: StoredEvent[][] = [];
  for (const event of events) {
    const part = parts.at(-1);
    if (part?.at(-1)?.number === event.number - 1) part.push(event);
    else parts.push([event]);
  }
  return parts;
}
