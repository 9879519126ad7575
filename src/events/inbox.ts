import { EVENT_BYTES, type StoredEvent } from './event.ts';
import type { Sleeper } from './interruptible.ts';

/** The most bytes in an inbox. With more, the inbox is emptied, and its reader reads the events from the table. */
export const BUFFER_BYTES = 1_048_576;

/** A run of a thread; without `runId`, all its runs. */
export interface Followed {
  threadId: string;
  runId?: string;
}

/**
 * The relation between an inbox and the table. `first` and `last` are the numbers of delivered events. A thread numbers the
 * events of all its runs without a gap: a gap between two deliveries means a missing event.
 */
type State =
  /** The reader has not read the table. Earlier events may be missing. */
  | { name: 'UNREAD'; last?: number }
  /** The inbox is empty and refuses deliveries. The reader must read the table. */
  | { name: 'STALE' }
  /** The reader reads the table. The inbox has the deliveries since the start of the read. */
  | { name: 'READING'; first?: number; last?: number }
  /** The inbox gets every event after the last read of the table. The newest delivered number is `last`. */
  | { name: 'LIVE'; last: number };

/** The events for a reader, until it takes them. */
export interface Inbox extends Sleeper {
  readonly followed: Followed;
  state: State;
  events: StoredEvent[];
  bytes: number;
}

/** The inbox of a reader without a need for earlier events. */
export function unreadInbox(followed: Followed): Inbox {
  return { followed, state: { name: 'UNREAD' }, events: [], bytes: 0, wake() {} };
}

/** The inbox of a reader whose first events come from the table. */
export function staleInbox(followed: Followed): Inbox {
  return { ...unreadInbox(followed), state: { name: 'STALE' } };
}

/** The inbox of a reader of a run with all its events in memory. `last` is the number of the newest. */
export function liveInbox(
  followed: Followed,
  { events, bytes }: { events: readonly StoredEvent[]; bytes: number },
  last: number,
): Inbox {
  return { ...unreadInbox(followed), state: { name: 'LIVE', last }, events: [...events], bytes };
}

/** In any state except STALE: adds the new events. If an event is missing or the inbox is full, the inbox becomes STALE. */
export function deliver(inbox: Inbox, events: readonly StoredEvent[]): void {
  const { state, followed } = inbox;
  if (state.name === 'STALE') return;
  const { last } = state;
  const news = events.filter(({ number }) => number > (last ?? 0));
  const [first] = news;
  if (!first) return;
  const isMissing = last !== undefined && first.number !== last + 1;
  const own = news.filter(({ runId }) => followed.runId === undefined || runId === followed.runId);
  const bytes = own.reduce((sum, event) => sum + bytesOf(event), inbox.bytes);
  if (isMissing || bytes > BUFFER_BYTES) return markStale(inbox);
  if (state.name === 'READING') state.first ??= first.number;
  state.last = news.at(-1)?.number ?? first.number;
  inbox.bytes = bytes;
  inbox.events.push(...own);
  inbox.wake();
}

/** Any state → STALE: drops the events, because the table has them too. */
export function markStale(inbox: Inbox): void {
  Object.assign(inbox, { state: { name: 'STALE' }, events: [], bytes: 0 } satisfies Partial<Inbox>);
  inbox.wake();
}

/** STALE → READING, before the read of the table: an event stored after the snapshot of that read arrives in the inbox. */
export function startReading(inbox: Inbox): void {
  inbox.state = { name: 'READING' };
}

/**
 * READING → LIVE, after a read up to the thread's event `lastRead`; STALE if events between the read and the first delivery
 * are missing. An inbox that became STALE during the read stays STALE.
 */
export function finishReading(inbox: Inbox, lastRead: number): void {
  const { state } = inbox;
  if (state.name !== 'READING') return;
  const { first, last = lastRead } = state;
  if (first !== undefined && first > lastRead + 1) return markStale(inbox);
  inbox.state = { name: 'LIVE', last };
}

/** Takes the oldest event. */
export function takeEvent(inbox: Inbox): StoredEvent | undefined {
  const event = inbox.events.shift();
  if (event) inbox.bytes -= bytesOf(event);
  return event;
}

/** True if the reader can take an event or must read the table. */
export function hasWork({ state, events }: Inbox): boolean {
  return state.name === 'STALE' || events.length > 0;
}

/** True if an inbox may miss the thread's event `newest` and its reader has no reason to read the table. */
export function mayMiss({ state }: Inbox, newest: number): boolean {
  if (state.name === 'STALE') return false;
  return state.name === 'UNREAD' || (state.last !== undefined && newest > state.last);
}

/**
 * An inbox needs the thread's events after this number. Undefined if the number is unknown: before the first read of the table,
 * and during a read without a delivery so far, because its snapshot may be older than the events.
 */
export function neededAfter({ state }: Inbox): number | undefined {
  return state.name === 'READING' || state.name === 'LIVE' ? state.last : undefined;
}

export function bytesOf({ size }: StoredEvent): number {
  return EVENT_BYTES + (size ?? 0);
}
