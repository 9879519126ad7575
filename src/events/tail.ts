import { EVENTS_CHANNEL } from '../channels.ts';
import type { Sql } from '../db/open.ts';
import type { Logger } from '../log.ts';
import { remember } from '../remember.ts';
import { POLL_MS, repeat } from '../repeat.ts';
import { GAP, type StoredEvent } from './event.ts';
import { interruptible, sleepUntilWoken, type Sleeper } from './interruptible.ts';

/** What a reader may have waiting; with more it drops all, and reads it from the table when it gets there. */
const BUFFER_BYTES = 1_048_576;
const EVENT_BYTES = 200;
const PAGE_EVENTS = 200;
/** Of a run that is going on here: with more, its readers begin at the table. */
const RECENT_BYTES = 65_536;
const MOST_RECENT_RUNS = 1000;

/** Live readers of the event log. */
export interface EventTail {
  /** How many follow something now. */
  readonly readers: number;
  /** What waits for readers that are slower than their runs. */
  readonly bufferedBytes: number;
  /**
   * Events after number `after`, in order: the stored ones, then the live ones; a GAP in place of those that are no longer
   * kept. A run's end after its final event; a thread's when the thread is deleted. `return()` ends them at once, also
   * while it waits.
   */
  follow(followed: Followed, from: Start): AsyncIterableIterator<StoredEvent, void>;
  /** The thread of a run that has begun here, and of which all events are still at hand: it need not be looked up. */
  threadOf(runId: string): string | undefined;
  /** Hands events that have just been committed, of one thread and without a gap, to the readers of this process, and a hint to others. */
  publish(events: readonly StoredEvent[]): void;
  /**
   * The same of the event with which a run begins, for the first time: until it ends or is left, all its events are handed
   * over here.
   */
  begin(started: StoredEvent): void;
  /** The run may go on elsewhere. */
  leave(runId: string): void;
  /** Tells the readers of a thread that it is gone; those of other processes see it within a second. */
  end(threadId: string): void;
  close(): void;
}

export interface Start {
  /**
   * Events after this number. 'now': for whoever has just seen that it goes on, and waits for its end: nothing is read that
   * is stored already, and of what comes before the end some may be left out.
   */
  after: number | 'now';
  /** Undefined: of every type. */
  types?: readonly StoredEvent['type'][] | undefined;
}

/** One run of a thread, or, without `runId`, all of them. */
export interface Followed {
  threadId: string;
  runId?: string;
}

/** A reader's inbox: what happened since it last looked. Numbers are the thread's, so that a gap shows. */
interface Inbox extends Sleeper {
  followed: Followed;
  events: StoredEvent[];
  bytes: number;
  /** The numbers of the thread's first and last event that were handed over; null when none was since the table was read. */
  first: number | null;
  last: number | null;
  /** Something may be in the table that is not in `events`. */
  behind: boolean;
  /** Whether the table has been looked at: before, something may be there that was never handed over. */
  looked: boolean;
}

const EMPTY = { bytes: 0, first: null, last: null };

export function createEventTail(sql: Sql, log: Logger): EventTail {
  const inboxes = new Map<string, Set<Inbox>>();
  const closing = new AbortController();
  const unlisten = sql.listen(EVENTS_CHANNEL, (threadId) => void fetchNews(threadId));
  const polling = repeat(lookForMissed, {
    pauseMs: POLL_MS,
    onError: (error) => log.warn({ err: error }, 'Events could not be polled.'),
  });
  /** Threads whose news are being read; true where there is more since that began. */
  const fetching = new Map<string, boolean>();
  /** All events of runs that have begun here and go on: whoever comes now finds them here. */
  const recent = new Map<string, { events: StoredEvent[]; bytes: number }>();

  /** The truth behind the hints: one statement a second for all readers of the process. */
  async function lookForMissed(): Promise<void> {
    const followed = [...inboxes.keys()].filter((threadId) => hintedOf(threadId).length > 0);
    if (followed.length === 0) return;
    const rows = await sql.query<{ threadId: string; last: number | null; gone: boolean }>(
      `SELECT f.id AS "threadId", (SELECT max("number") FROM "RunEvent" WHERE "threadId" = f.id) AS "last",
         NOT EXISTS (SELECT 1 FROM "Thread" WHERE "id" = f.id) AS "gone"
       FROM unnest($1::uuid[]) AS f(id)`,
      [followed],
    );
    for (const { threadId, last, gone } of rows) {
      if (gone) fallAllBehind(threadId);
      else if (isNews(threadId, last ?? 0)) void fetchNews(threadId);
    }
  }

  /** Whoever has not looked may have come too late, or been handed things in another order. */
  function isNews(threadId: string, newest: number): boolean {
    return hintedOf(threadId).some(
      ({ behind, looked, last }) => !behind && (!looked || (last !== null && newest > last)),
    );
  }

  /** The thread's readers that depend on hints: what they follow is not going on here, or not all of it. */
  function hintedOf(threadId: string): Inbox[] {
    const readers = Array.from(inboxes.get(threadId) ?? []);
    return readers.filter(({ followed: { runId } }) => !runId || !recent.has(runId));
  }

  function fallAllBehind(threadId: string): void {
    for (const inbox of inboxes.get(threadId) ?? []) fallBehind(inbox);
  }

  /** Reads what another process has stored, once for all readers of the thread. Never rejects. */
  async function fetchNews(threadId: string): Promise<void> {
    if (!inboxes.has(threadId)) return;
    if (fetching.has(threadId)) {
      fetching.set(threadId, true);
      return;
    }
    try {
      do {
        fetching.set(threadId, false);
        await deliverNews(threadId);
      } while (fetching.get(threadId));
    } catch (error) {
      log.warn({ err: error }, 'New events could not be read.');
      fallAllBehind(threadId);
    } finally {
      fetching.delete(threadId);
    }
  }

  async function deliverNews(threadId: string): Promise<void> {
    const waiting = Array.from(inboxes.get(threadId) ?? []).filter(({ behind }) => !behind);
    // Whoever is reading the table may be past the place where the news are.
    for (const inbox of waiting) if (!inbox.looked || inbox.last === null) fallBehind(inbox);
    const known = waiting.flatMap(({ behind, last }) => (behind ? [] : (last ?? [])));
    if (known.length === 0) return;
    const page = { after: Math.min(...known), limit: PAGE_EVENTS, bytes: BUFFER_BYTES };
    const rows = await readEvents(sql, { threadId }, page);
    for (const events of withoutHoles(rows)) {
      for (const inbox of inboxes.get(threadId) ?? []) deliver(inbox, events);
    }
    if (isFull(rows, PAGE_EVENTS)) fetching.set(threadId, true);
  }

  function publish(events: readonly StoredEvent[]): void {
    const [first] = events;
    if (!first) return;
    for (const event of events) keepRecent(event);
    for (const inbox of inboxes.get(first.threadId) ?? []) deliver(inbox, events);
    sql.notifyOthers(EVENTS_CHANNEL, first.threadId);
  }

  function keepRecent(event: StoredEvent): void {
    const { type, runId } = event;
    const kept = recent.get(runId);
    if (!kept) return;
    kept.events.push(event);
    kept.bytes += sizeOf(event);
    if (type === 'FINISHED' || kept.bytes > RECENT_BYTES) recent.delete(runId);
  }

  function enter(followed: Followed, after: Start['after']): Inbox {
    const { threadId, runId = '' } = followed;
    const inbox: Inbox = {
      ...EMPTY,
      followed,
      events: [],
      behind: after !== 'now',
      looked: false,
      wake() {},
    };
    const kept = recent.get(runId);
    if (kept && after !== 'now') {
      const { events, bytes } = kept;
      const last = events.at(-1)?.number ?? null;
      Object.assign(inbox, { events: [...events], bytes, last, behind: false, looked: true });
    }
    inboxes.set(threadId, (inboxes.get(threadId) ?? new Set()).add(inbox));
    return inbox;
  }

  function remove(inbox: Inbox): void {
    const { threadId } = inbox.followed;
    const readers = inboxes.get(threadId);
    readers?.delete(inbox);
    if (readers?.size === 0) inboxes.delete(threadId);
  }

  async function* read(
    followed: Followed,
    { after, types }: Start,
    left: AbortSignal,
  ): AsyncGenerator<StoredEvent, void> {
    const inbox = enter(followed, after);
    const wanted = ({ type }: StoredEvent) => !types || types.includes(type);
    const ends = ({ type }: StoredEvent) => followed.runId !== undefined && type === 'FINISHED';
    let seen = after === 'now' ? undefined : after;
    try {
      while (!left.aborted && !closing.signal.aborted) {
        if (inbox.behind) {
          // From here on events gather in the inbox: what the table does not show yet will be there.
          Object.assign(inbox, EMPTY, { events: [], behind: false, looked: true });
          // Seen together with the first rows: where it is over, no others will come after those that are read now.
          const { over, last, rows } = await lookAt(sql, followed, seen);
          seen ??= last;
          for await (const event of readStored(sql, followed, { after: seen, rows })) {
            seen = event.number;
            if (wanted(event)) yield event;
            if (ends(event)) return;
          }
          if (over) return;
          if (inbox.first !== null && inbox.first > last + 1) fallBehind(inbox);
          inbox.last ??= last;
          continue;
        }
        const event = inbox.events.shift();
        if (!event) {
          await sleepUntilWoken(inbox, left, () => inbox.behind || inbox.events.length > 0);
          continue;
        }
        inbox.bytes -= sizeOf(event);
        if (seen !== undefined && event.number <= seen) continue;
        seen = event.number;
        if (wanted(event)) yield event;
        if (ends(event)) return;
      }
    } finally {
      remove(inbox);
    }
  }

  return {
    get readers() {
      return Array.from(inboxes.values()).reduce((sum, { size }) => sum + size, 0);
    },
    get bufferedBytes() {
      return Array.from(inboxes.values())
        .flatMap((readers) => [...readers])
        .reduce((sum, { bytes }) => sum + bytes, 0);
    },
    follow: (followed, from) => interruptible((left) => read(followed, from, left)),
    threadOf: (runId) => recent.get(runId)?.events[0]?.threadId,
    publish,
    begin(started) {
      remember(recent, started.runId, { events: [], bytes: 0 }, MOST_RECENT_RUNS);
      publish([started]);
    },
    leave: (runId) => void recent.delete(runId),
    end(threadId) {
      for (const [runId, { events }] of recent) {
        if (events[0]?.threadId === threadId) recent.delete(runId);
      }
      fallAllBehind(threadId);
    },
    close() {
      void polling.stop();
      unlisten();
      closing.abort();
      for (const threadId of inboxes.keys()) fallAllBehind(threadId);
    },
  };
}

/** Puts news into an inbox, or says that the table has to be read for it. */
function deliver(inbox: Inbox, events: readonly StoredEvent[]): void {
  const { last, followed, behind } = inbox;
  if (behind) return;
  const news = events.filter(({ number }) => number > (last ?? 0));
  const [first] = news;
  if (!first) return;
  const own = news.filter(({ runId }) => followed.runId === undefined || runId === followed.runId);
  const bytes = own.reduce((sum, event) => sum + sizeOf(event), inbox.bytes);
  // Another process wrote in between: only the table has it all.
  const gap = last !== null && first.number !== last + 1;
  if (gap || bytes > BUFFER_BYTES) return fallBehind(inbox);
  inbox.first ??= first.number;
  inbox.last = news.at(-1)?.number ?? last;
  inbox.bytes = bytes;
  inbox.events.push(...own);
  inbox.wake();
}

/** What it holds is in the table too. */
function fallBehind(inbox: Inbox): void {
  Object.assign(inbox, { events: [], bytes: 0, behind: true });
  inbox.wake();
}

/**
 * All stored events after a number, page by page, of which `rows` are the first; a GAP, once, in place of those that are no
 * longer kept.
 */
async function* readStored(
  sql: Pick<Sql, 'query'>,
  followed: Followed,
  { after, rows: first }: { after: number; rows: StoredEvent[] },
): AsyncGenerator<StoredEvent, void> {
  let seen = after;
  let limit = PAGE_EVENTS;
  let gapTold = false;
  let rows = first;
  for (;;) {
    const more = isFull(rows, limit);
    // The next page of large events reads little more than it can give.
    limit = Math.min(PAGE_EVENTS, rows.length * 2);
    // Given away one by one: a reader may be slow.
    for (let event = rows.shift(); event; event = rows.shift()) {
      const gap: StoredEvent | undefined = gapTold
        ? undefined
        : await findGap(sql, followed, seen, event);
      gapTold ||= gap !== undefined;
      seen = event.number;
      if (gap) yield gap;
      yield event;
    }
    if (!more) return;
    rows = await readEvents(sql, followed, { after: seen, limit, bytes: BUFFER_BYTES });
  }
}

/** The events, cut where numbers are missing. */
function withoutHoles(events: readonly StoredEvent[]): StoredEvent[][] {
  const parts: StoredEvent[][] = [];
  for (const event of events) {
    const part = parts.at(-1);
    if (part?.at(-1)?.number === event.number - 1) part.push(event);
    else parts.push([event]);
  }
  return parts;
}

/** Whether a page may not have been all. */
function isFull(rows: readonly StoredEvent[], limit: number): boolean {
  return (
    rows.length === limit || rows.reduce((sum, event) => sum + sizeOf(event), 0) >= BUFFER_BYTES
  );
}

/** Stored events after a number, oldest first: at most `limit`, and where `bytes` is given no more than that takes, but one. */
export async function readEvents(
  sql: Pick<Sql, 'query'>,
  { threadId, runId }: Followed,
  {
    after,
    limit,
    types,
    bytes,
  }: {
    after: number;
    limit: number;
    types?: readonly StoredEvent['type'][] | undefined;
    bytes?: number;
  },
): Promise<StoredEvent[]> {
  const params = [runId ?? threadId, after, limit, bytes ?? null];
  const statement = selectEvents(runId === undefined ? 'threadId' : 'runId', types !== undefined);
  return sql.query<StoredEvent>(statement, types ? [...params, types] : params);
}

/** A condition that may not apply would keep PostgreSQL from reading in the order of the index. */
function selectEvents(by: 'threadId' | 'runId', typed: boolean): string {
  return `SELECT "threadId", "number", "runId", "type", "namespace", "data", "checkpointId", "createdAt", "size" FROM (
    SELECT *, sum("size" + ${EVENT_BYTES}) OVER (ORDER BY "number") - "size" - ${EVENT_BYTES} AS "before" FROM (
      SELECT *, coalesce(octet_length("data"::text), 0) AS "size" FROM "RunEvent"
      WHERE "${by}" = $1 AND "number" > $2 ${typed ? 'AND "type"::text = ANY($5)' : ''}
      ORDER BY "number" LIMIT $3) page) page
    WHERE $4::bigint IS NULL OR "before" < $4 ORDER BY "number"`;
}

/**
 * What stands before an event where others, after number `seen`, are no longer kept. Of a run, what began it goes last
 * (runs/retention.ts), so that nothing is missing before a start. Numbers that other runs of the thread have taken are
 * no gap; neither is what a run did not tell that no worker has had.
 */
export async function findGap(
  sql: Pick<Sql, 'query'>,
  { threadId, runId }: Followed,
  seen: number,
  next: StoredEvent,
): Promise<StoredEvent | undefined> {
  if (next.number === seen + 1) return undefined;
  if (runId !== undefined) {
    if (next.type === 'STARTED') return undefined;
    const [row] = await sql.query<{ kept: number }>(
      `SELECT count(*) AS "kept" FROM "RunEvent" WHERE "threadId" = $1 AND "number" > $2 AND "number" < $3
       HAVING EXISTS (SELECT 1 FROM "Run" WHERE "id" = $4 AND "startedAt" IS NOT NULL)`,
      [threadId, seen, next.number, runId],
    );
    if (!row || row.kept === next.number - seen - 1) return undefined;
  }
  return {
    type: GAP,
    threadId,
    runId: next.runId,
    number: next.number - 1,
    namespace: [],
    data: null,
    createdAt: next.createdAt,
  };
}

interface Look {
  /** Nothing more can come: the run is final, or the thread is gone. */
  over: boolean;
  /** The number of the thread's newest event. */
  last: number;
}

/** How it stands, and the first page of events after number `after`; none where that is undefined. */
async function lookAt(
  { query }: Pick<Sql, 'query'>,
  { threadId, runId }: Followed,
  after: number | undefined,
): Promise<Look & { rows: StoredEvent[] }> {
  const page = [after ?? 0, after === undefined ? 0 : PAGE_EVENTS, BUFFER_BYTES];
  const found = await (runId === undefined
    ? query<Look & StoredEvent>(LOOK_AT_THREAD, [threadId, ...page])
    : query<Look & StoredEvent>(LOOK_AT_RUN, [runId, ...page, threadId]));
  const [{ over, last } = { over: true, last: 0 }] = found;
  // Without events, there is one row that tells of none.
  const rows = found.flatMap(({ over: _over, last: _last, ...event }) =>
    event.number === null ? [] : event,
  );
  return { over, last, rows };
}

function lookStatement(
  by: 'threadId' | 'runId',
  { thread, isOpen }: { thread: string; isOpen: string },
): string {
  return `SELECT coalesce((SELECT max("number") FROM "RunEvent" WHERE "threadId" = ${thread}), 0) AS "last",
    NOT EXISTS (${isOpen}) AS "over", e.*
    FROM (VALUES (true)) AS one LEFT JOIN (${selectEvents(by, false)}) e ON true ORDER BY e."number"`;
}

const LOOK_AT_THREAD = lookStatement('threadId', {
  thread: '$1',
  isOpen: `SELECT 1 FROM "Thread" WHERE "id" = $1`,
});
const LOOK_AT_RUN = lookStatement('runId', {
  thread: '$5',
  isOpen: `SELECT 1 FROM "Run" WHERE "id" = $1 AND "status" IN ('PENDING', 'RUNNING')`,
});

function sizeOf({ size }: StoredEvent): number {
  return EVENT_BYTES + (size ?? 0);
}
