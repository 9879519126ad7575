import type { App } from '../app.ts';
import type { Page } from '../db/page.ts';
import { readSize } from '../db/page.ts';
import { BadInputError, NotFoundError } from '../errors.ts';
import { eventId, GAP, parseEventId, type StoredEvent, type StreamMode } from '../events/event.ts';
import { lastNumber } from '../events/log.ts';
import { findGap, readEvents } from '../events/tail.ts';
import type { Run } from '../generated/prisma/client.ts';
import { parseUuid } from '../uuid.ts';
import { findRun } from './search.ts';

/** What is told of a run whichever modes are asked for. */
const ALWAYS: readonly StoredEvent['type'][] = ['STARTED', 'INTERRUPT', 'FINISHED', GAP];

/** The thread of a run that has neither a thread nor events. */
const NOWHERE = '00000000-0000-0000-0000-000000000000';

interface EventFilter {
  /** An event's id: only what comes after it. */
  after?: string | null | undefined;
  /** Null: everything that was recorded. */
  modes?: readonly StreamMode[] | null | undefined;
}

/** A run's events, the stored ones and then the live ones, until its final one; a gap in place of those that are no longer kept. */
export async function followRun(
  app: Pick<App, 'sql' | 'tail'>,
  id: string,
  { after, modes }: EventFilter,
): Promise<AsyncIterableIterator<StoredEvent, void>> {
  const runId = parseUuid('runId', id);
  const threadId = app.tail.threadOf(runId) ?? (await findThread(app, runId));
  const number = readCursor(after, threadId);
  const types = wantedTypes(modes);
  return app.tail.follow({ runId, threadId }, { after: number, ...(types && { types }) });
}

/** The events of all runs of a thread, from now or after a cursor, until it is deleted. */
export async function followThread(
  app: Pick<App, 'sql' | 'tail'>,
  id: string,
  { after, modes }: EventFilter,
): Promise<AsyncIterableIterator<StoredEvent, void>> {
  const threadId = parseUuid('threadId', id);
  const [thread] = await app.sql.query(`SELECT 1 FROM "Thread" WHERE "id" = $1`, [threadId]);
  if (!thread) throw new NotFoundError('Thread', threadId);
  const number =
    after == null ? await lastNumber(app.sql.query, threadId) : readCursor(after, threadId);
  const types = wantedTypes(modes);
  return app.tail.follow({ threadId }, { after: number, ...(types && { types }) });
}

/** A page of a run's recorded events, oldest first, as a reader would get them. A cursor is an event's id. */
export async function listRunEvents(
  app: Pick<App, 'sql'>,
  run: Run,
  { first, after, modes }: EventFilter & { first?: number | null | undefined },
): Promise<Page<StoredEvent>> {
  const size = readSize('first', first);
  const threadId = await threadOfEvents(app, run);
  const number = readCursor(after, threadId);
  const types = wantedTypes(modes);
  const followed = { threadId, runId: run.id };
  const stored = await readEvents(app.sql, followed, { after: number, limit: size + 1, types });
  // What comes next says whether something is missing, also where it is not asked for.
  const [next] = types ? await readEvents(app.sql, followed, { after: number, limit: 1 }) : stored;
  const gap = next && (await findGap(app.sql, followed, number, next));
  const rows = gap ? [gap, ...stored] : stored;
  const edges = rows.slice(0, size).map((node) => ({ cursor: eventId(node), node }));
  return {
    edges,
    pageInfo: {
      hasNextPage: rows.length > size,
      hasPreviousPage: number > 0,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    count: () => Promise.resolve(edges.length),
  };
}

async function findThread(app: Pick<App, 'sql'>, runId: string): Promise<string> {
  const run = await findRun(app, runId);
  if (!run) throw new NotFoundError('Run', runId);
  return threadOfEvents(app, run);
}

/** The thread whose numbers the run's events have, also when the thread is gone. */
async function threadOfEvents({ sql }: Pick<App, 'sql'>, run: Run): Promise<string> {
  if (run.threadId !== null) return run.threadId;
  const [event] = await sql.query<{ threadId: string }>(
    `SELECT "threadId" FROM "RunEvent" WHERE "runId" = $1 LIMIT 1`,
    [run.id],
  );
  return event?.threadId ?? NOWHERE;
}

function readCursor(after: string | null | undefined, threadId: string): number {
  if (after == null) return 0;
  const event = parseEventId(after);
  if (!event) throw new BadInputError('after', 'after is not the id of an event.');
  if (event.threadId !== threadId) {
    throw new BadInputError('after', 'after is the id of an event of another thread.');
  }
  return event.number;
}

function wantedTypes(modes: EventFilter['modes']): StoredEvent['type'][] | undefined {
  return modes == null ? undefined : [...ALWAYS, ...modes];
}
