import { permit } from '../auth/authorize.ts';
import { canRead } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import { BadInputError, NotFoundError } from '../errors.ts';
import { lastNumber } from '../events/append.ts';
import { eventId, GAP, parseEventId, type StoredEvent, type StreamMode } from '../events/event.ts';
import type { Followed } from '../events/inbox.ts';
import type { EventTail } from '../events/tail.ts';
import type { Run, Thread } from '../generated/prisma/client.ts';
import { createRun, type CreateNeeds } from './create.ts';
import { findRunByKey, readKey } from './idempotency.ts';
import type { NewRun } from './request.ts';
import { findRun } from './search.ts';

/** The types of events independent of the stream modes. */
const ALWAYS: readonly StoredEvent['type'][] = ['STARTED', 'INTERRUPT', 'FINISHED', GAP];

/** The thread id for a run without a thread and without events. */
const NOWHERE = '00000000-0000-0000-0000-000000000000';

interface EventFilter {
  /** The id of an event: only later events. */
  after?: string | null | undefined;
  /** Null: all modes of the run. */
  modes?: readonly StreamMode[] | null | undefined;
}

/** The stored events of a run, then the live events, until the final event; a GAP in place of deleted events. */
export async function followRun(
  app: { sql: Sql; tail: EventTail },
  viewer: Viewer,
  id: string,
  { after, modes }: EventFilter,
): Promise<AsyncIterableIterator<StoredEvent, void>> {
  const runId = parseUuid('runId', id);
  const threadId = await findThread(app, viewer, runId);
  return followIn(app, { runId, threadId }, { after, modes });
}

/**
 * Creates a run and follows its events. A request with the idempotency key of an earlier one follows the run of that request.
 * The key is required: client libraries repeat a subscription after a lost connection, and each repetition would create a run.
 */
export async function streamRun(
  app: CreateNeeds,
  viewer: Viewer,
  request: NewRun,
  filter: EventFilter,
): Promise<AsyncIterableIterator<StoredEvent, void>> {
  if (request.idempotencyKey == null) {
    throw new BadInputError(
      'input.idempotencyKey',
      'streamRun needs input.idempotencyKey, a new one for each run: with the same key, a repeated subscription follows the run.',
    );
  }
  // A cursor belongs to a run that exists: a wrong one must not create a run.
  const run =
    filter.after == null
      ? await createRun(app, viewer, request)
      : await findStreamed(app, viewer, request);
  return followIn(app, { runId: run.id, threadId: await threadOfEvents(app, run) }, filter);
}

/** The run of an earlier request with this key. */
async function findStreamed(
  { sql: { query } }: { sql: Sql },
  asking: Viewer,
  request: NewRun,
): Promise<Run> {
  const viewer = await permit(asking, 'threads:read', { thread_id: request.threadId });
  const key = readKey('input.idempotencyKey', request);
  const run = key && (await findRunByKey(query, viewer, key));
  if (run) return run;
  throw new BadInputError(
    'after',
    'No run has this idempotencyKey yet, so after cannot be the id of one of its events.',
  );
}

/** The events of a run that the viewer may read, from its first event on. */
export async function followFromStart(
  app: { sql: Sql; tail: EventTail },
  run: Run,
): Promise<AsyncIterableIterator<StoredEvent, void>> {
  return followFrom(app, { runId: run.id, threadId: await threadOfEvents(app, run) }, 0, null);
}

function followIn(
  app: { tail: EventTail },
  followed: Followed,
  { after, modes }: EventFilter,
): AsyncIterableIterator<StoredEvent, void> {
  return followFrom(app, followed, readCursor(after, followed.threadId), modes);
}

function followFrom(
  { tail }: { tail: EventTail },
  followed: Followed,
  after: number,
  modes: EventFilter['modes'],
): AsyncIterableIterator<StoredEvent, void> {
  const types = wantedTypes(modes);
  return tail.follow(followed, { after, ...(types && { types }) });
}

/** The id of a thread that the viewer may read. Throws NotFoundError. */
export async function requireReadable(
  { sql: { query } }: { sql: Pick<Sql, 'query'> },
  asking: Viewer,
  id: string,
): Promise<string> {
  const threadId = parseUuid('threadId', id);
  const viewer = await permit(asking, 'threads:read', { thread_id: threadId });
  const [thread] = await query(
    sql`SELECT 1 FROM "Thread" WHERE "id" = ${threadId} AND ${canRead(viewer)}`,
  );
  if (!thread) throw new NotFoundError('Thread', threadId);
  return threadId;
}

/** The events of all runs of a thread, from now or after a cursor, until it is deleted. */
export async function followThread(
  app: { sql: Sql; tail: EventTail },
  asking: Viewer,
  id: string,
  { after, modes }: EventFilter,
): Promise<AsyncIterableIterator<StoredEvent, void>> {
  const threadId = await requireReadable(app, asking, id);
  const number =
    after == null ? await lastNumber(app.sql.query, threadId) : readCursor(after, threadId);
  return followFrom(app, { threadId }, number, modes);
}

/**
 * The cursor for a client that reads the state of the thread after this row was read, and then follows the events of the thread.
 * The state includes all events up to the cursor: those up to the last end of a run. An executing run may have begun before
 * that end, because a waiting run of the thread can be cancelled in between: the cursor is then before its first event.
 */
export async function eventCursor(
  { sql: { query } }: { sql: Sql },
  { id, status, lastEvent, updatedAt }: Thread,
): Promise<string> {
  const settled = Number(lastEvent);
  if (status !== 'BUSY') return eventId({ threadId: id, number: settled });
  const [row] = await query<{ first: number | null }>(
    sql`SELECT min(e."number") AS "first" FROM "Run" r JOIN "RunEvent" e ON e."runId" = r."id"
      WHERE r."threadId" = ${id} AND r."startedAt" IS NOT NULL
        AND (r."status" IN ('PENDING', 'RUNNING') OR r."finishedAt" > ${updatedAt})`,
  );
  const first = row?.first ?? settled + 1;
  return eventId({ threadId: id, number: Math.min(settled, first - 1) });
}

async function findThread(app: { sql: Sql }, viewer: Viewer, runId: string): Promise<string> {
  const run = await findRun(app, viewer, runId);
  if (!run) throw new NotFoundError('Run', runId);
  return threadOfEvents(app, run);
}

/** The thread in the run's events. After the deletion of a stateless run's thread, its events still have the id. */
export async function threadOfEvents(app: { sql: Sql }, run: Run): Promise<string> {
  if (run.threadId !== null) return run.threadId;
  const [event] = await app.sql.query<{ threadId: string }>(
    sql`SELECT "threadId" FROM "RunEvent" WHERE "runId" = ${run.id} LIMIT 1`,
  );
  return event?.threadId ?? NOWHERE;
}

/** The number in the id of an event; 0 without an id. Throws a BadInputError for an id of another thread. */
export function readCursor(
  cursor: string | null | undefined,
  threadId: string,
  argument = 'after',
): number {
  if (cursor == null) return 0;
  const event = parseEventId(cursor);
  if (!event)
    throw new BadInputError(argument, (name) => `${name(argument)} is not the id of an event.`);
  if (event.threadId !== threadId) {
    throw new BadInputError(
      argument,
      (name) => `${name(argument)} is the id of an event of another thread.`,
    );
  }
  return event.number;
}

/** The types of these modes, and of the events that every reader gets. */
export function wantedTypes(modes: EventFilter['modes']): StoredEvent['type'][] | undefined {
  return modes == null ? undefined : [...ALWAYS, ...modes];
}
