import type { Sql } from '../db/query.ts';
import { empty, raw, sql, type Statement } from '../db/sql.ts';
import { EVENT_BYTES, GAP, type StoredEvent } from './event.ts';
import { BUFFER_BYTES, bytesOf, type Followed } from './inbox.ts';

export const PAGE_EVENTS = 200;

type Reads = Pick<Sql, 'query'>;

interface PageRequest {
  /** Events after this number. */
  after: number;
  /** The last events before this number. Undefined: the first events. */
  before?: number | undefined;
  limit: number;
  /** Undefined: events of every type. */
  types?: readonly StoredEvent['type'][] | undefined;
  /** The most bytes of the page; the first event may have more. Undefined: no limit. */
  bytes?: number;
}

/** Stored events, oldest first. */
export async function readEvents(
  { query }: Reads,
  followed: Followed,
  page: PageRequest,
): Promise<StoredEvent[]> {
  return query<StoredEvent>(selectEvents(followed, page));
}

/** Each optional condition has a text of its own: `$1 IS NULL OR …` would keep PostgreSQL from an index scan in order. */
function selectEvents(
  { threadId, runId }: Followed,
  { after, before, limit, types, bytes }: PageRequest,
): Statement {
  const isFollowed = runId === undefined ? sql`"threadId" = ${threadId}` : sql`"runId" = ${runId}`;
  const hasType = types ? sql`AND "type"::text = ANY(${types})` : empty;
  const isBefore = before === undefined ? empty : sql`AND "number" < ${before}`;
  const direction = raw(before === undefined ? 'ASC' : 'DESC');
  return sql`SELECT "threadId", "number", "runId", "type", "namespace", "data", "checkpointId", "createdAt", "size" FROM (
    SELECT *, sum("size" + ${OVERHEAD}) OVER (ORDER BY "number") - "size" - ${OVERHEAD} AS "before" FROM (
      SELECT *, coalesce(octet_length("data"::text), 0) AS "size" FROM "RunEvent"
      WHERE ${isFollowed} AND "number" > ${after} ${isBefore} ${hasType}
      ORDER BY "number" ${direction} LIMIT ${limit}) page) page
    ${bytes === undefined ? empty : sql`WHERE "before" < ${bytes}`} ORDER BY "number"`;
}

const OVERHEAD = raw(EVENT_BYTES);

/** True if a page may have a successor. */
export function isFullPage(events: readonly StoredEvent[], limit: number): boolean {
  const bytes = events.reduce((sum, event) => sum + bytesOf(event), 0);
  return events.length === limit || bytes >= BUFFER_BYTES;
}

export interface FirstPage {
  /** True if no further event can follow: the run is final, or the thread is deleted. */
  isOver: boolean;
  /** The number of the thread's newest event. */
  last: number;
  events: StoredEvent[];
}

/** Reads the state of a run or thread, and the first page after number `after`, in one snapshot. Without `after`: no events. */
export async function readFirstPage(
  { query }: Reads,
  followed: Followed,
  after: number | undefined,
): Promise<FirstPage> {
  const limit = after === undefined ? 0 : PAGE_EVENTS;
  const page = selectEvents(followed, { after: after ?? 0, limit, bytes: BUFFER_BYTES });
  const rows = await query<Omit<FirstPage, 'events'> & StoredEvent>(sql`
    SELECT coalesce((SELECT max("number") FROM "RunEvent" WHERE "threadId" = ${followed.threadId}), 0) AS "last",
      NOT EXISTS (${selectOpen(followed)}) AS "isOver", e.*
    FROM (VALUES (true)) AS one LEFT JOIN (${page}) e ON true ORDER BY e."number"`);
  const [{ isOver, last } = { isOver: true, last: 0 }] = rows;
  // Without events, the left join returns a row of NULLs.
  const events = rows.flatMap(({ isOver: _isOver, last: _last, ...event }) =>
    event.number === null ? [] : event,
  );
  return { isOver, last, events };
}

function selectOpen({ threadId, runId }: Followed): Statement {
  return runId === undefined
    ? sql`SELECT 1 FROM "Thread" WHERE "id" = ${threadId}`
    : sql`SELECT 1 FROM "Run" WHERE "id" = ${runId} AND "status" IN ('PENDING', 'RUNNING')`;
}

export interface NewestRow {
  threadId: string;
  /** The number of the newest event; null without events. */
  last: number | null;
  /** True if the thread is deleted. */
  isGone: boolean;
}

/** The newest event of each thread. */
export function readNewest({ query }: Reads, threadIds: readonly string[]): Promise<NewestRow[]> {
  return query<NewestRow>(sql`
    SELECT f.id AS "threadId", (SELECT max("number") FROM "RunEvent" WHERE "threadId" = f.id) AS "last",
      NOT EXISTS (SELECT 1 FROM "Thread" WHERE "id" = f.id) AS "isGone"
    FROM unnest(${threadIds}::uuid[]) AS f(id)`);
}

/**
 * All stored events after number `after`, page by page; `events` is the first page. A single GAP replaces all deleted events.
 */
export async function* readPages(
  database: Reads,
  followed: Followed,
  { after, events: first }: { after: number; events: StoredEvent[] },
): AsyncGenerator<StoredEvent, void> {
  let seen = after;
  let limit = PAGE_EVENTS;
  let hasGap = false;
  let events = first;
  for (;;) {
    const isLast = !isFullPage(events, limit);
    // With large events, the next page has a smaller limit: PostgreSQL then reads fewer rows beyond the limit of bytes.
    limit = Math.min(PAGE_EVENTS, events.length * 2);
    // shift() frees the memory of each event at once: a reader may be slow.
    for (let event = events.shift(); event; event = events.shift()) {
      const gap: StoredEvent | undefined = hasGap
        ? undefined
        : await findGap(database, followed, { seen, next: event });
      hasGap ||= gap !== undefined;
      seen = event.number;
      if (gap) yield gap;
      yield event;
    }
    if (isLast) return;
    events = await readEvents(database, followed, { after: seen, limit, bytes: BUFFER_BYTES });
  }
}

/**
 * The GAP between number `seen` and the event `next`, if events between them were deleted. Three cases have no GAP: retention
 * deletes the STARTED event of a run last (runs/retention.ts), so no event is missing before it; events of other runs have the
 * numbers between; and a run without a claim has only its final event.
 */
export async function findGap(
  { query }: Reads,
  { threadId, runId }: Followed,
  { seen, next }: { seen: number; next: StoredEvent },
): Promise<StoredEvent | undefined> {
  if (next.number === seen + 1) return undefined;
  if (runId !== undefined) {
    if (next.type === 'STARTED') return undefined;
    const [row] = await query<{ kept: number }>(sql`
      SELECT count(*) AS "kept" FROM "RunEvent"
      WHERE "threadId" = ${threadId} AND "number" > ${seen} AND "number" < ${next.number}
      HAVING EXISTS (SELECT 1 FROM "Run" WHERE "id" = ${runId} AND "startedAt" IS NOT NULL)`);
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
