import type { App } from '../app.ts';
import { STOPS_CHANNEL, RUNS_CHANNEL, THREADS_CHANNEL } from '../channels.ts';
import type { Query } from '../db/open.ts';
import { BadInputError, ConflictError, NotFoundError } from '../errors.ts';
import type { StoredEvent } from '../events/event.ts';
import type { CancelAction, Run, RunStatus } from '../generated/prisma/client.ts';
import { lockThreads } from '../threads/lock.ts';
import { parseUuid } from '../uuid.ts';
import { endRun } from './end.ts';
import { findRun, runConditions, type RunFilter } from './search.ts';
import { ACTIVE } from './status.ts';

/** What others have to be told, once it is committed, of runs that were asked to stop. */
export interface Stops {
  /** All of them. */
  ids: string[];
  /** The last events of runs that have ended. */
  events: StoredEvent[];
  /** Runs that a worker has to stop. */
  running: string[];
}

const MOST_RUNS = 100;

/**
 * Asks a run to stop. One that no worker has had ends at once; any other when its worker, or the next one, has stopped
 * it. Throws ConflictError for a run that has ended.
 */
export async function cancelRun(
  app: Pick<App, 'sql' | 'tail'>,
  runId: string,
  action: CancelAction,
): Promise<Run> {
  const id = parseUuid('id', runId);
  const found = await requireRun(app, id);
  const [stopped] = await cancelEach(app, [found], action);
  if (stopped) return stopped;
  // It may have been rolled back meanwhile.
  const { status } = await requireRun(app, id);
  throw new ConflictError(
    `Run ${id} is ${status}; only a run that has not ended can be cancelled.`,
  );
}

async function requireRun(app: Pick<App, 'sql'>, id: string): Promise<Run> {
  const run = await findRun(app, id);
  if (!run || run.tombstone) throw new NotFoundError('Run', id);
  return run;
}

/** Asks every run that matches and has not ended to stop. Returns them. */
export async function cancelRuns(
  app: Pick<App, 'sql' | 'graphs' | 'tail'>,
  filter: RunFilter,
  action: CancelAction,
): Promise<Run[]> {
  if (Object.values(filter).every((value) => value == null)) {
    throw new BadInputError('filter', 'An empty filter would cancel every run: say which ones.');
  }
  const { where, params } = runConditions(app, filter);
  const found = await app.sql.query<Run>(
    `SELECT * FROM "Run" WHERE ${where.join(' AND ')} AND "status" IN ('PENDING', 'RUNNING')
     ORDER BY "threadId", "seq" LIMIT ${MOST_RUNS + 1}`,
    params,
  );
  if (found.length > MOST_RUNS) {
    throw new BadInputError('filter', `It matches more than ${MOST_RUNS} runs; narrow it down.`);
  }
  return cancelEach(app, found, action, filter.status ?? ACTIVE);
}

/** Gives the runs as they then are, without those that have not, or no longer, one of the statuses. */
async function cancelEach(
  { sql, tail }: Pick<App, 'sql' | 'tail'>,
  found: readonly Run[],
  action: CancelAction,
  statuses: readonly RunStatus[] = ACTIVE,
): Promise<Run[]> {
  const ids = found.map(({ id }) => id);
  const { stops, runs } = await sql.transaction(async (query) => {
    const threadIds = [...new Set(found.flatMap(({ threadId }) => threadId ?? []))];
    await lockThreads(query, threadIds);
    const where = `"id" = ANY($1::uuid[]) AND "status" = ANY($2::"RunStatus"[])`;
    const stops = await stopRuns(query, where, [ids, statuses], action);
    const runs = await query<Run>(
      `SELECT * FROM "Run" WHERE "id" = ANY($1::uuid[]) ORDER BY "seq"`,
      [stops.ids],
    );
    return { stops, runs };
  });
  announceStops({ sql, tail }, stops);
  return runs;
}

/**
 * Stops the runs that match and have not ended, in a transaction that holds their threads, by `lockThreads`: the event that
 * ends a run that waits takes a number, which one that is running must not take meanwhile.
 */
export async function stopRuns(
  query: Query,
  where: string,
  params: readonly unknown[],
  action: CancelAction,
): Promise<Stops> {
  // Who asked first to leave no trace is not overruled by who asks later to keep some.
  const runs = await query<Run & { threadId: string }>(
    `UPDATE "Run" SET "cancelRequestedAt" = coalesce("cancelRequestedAt", now()), "cancelAction" = CASE
       WHEN "cancelAction" = 'ROLLBACK' THEN "cancelAction" ELSE $${params.length + 1}::"CancelAction" END
     WHERE "status" IN ('PENDING', 'RUNNING') AND "threadId" IS NOT NULL AND ${where} RETURNING *`,
    [...params, action],
  );
  const stops: Stops = { ids: runs.map(({ id }) => id), events: [], running: [] };
  for (const run of runs.toSorted((a, b) => Number(a.seq) - Number(b.seq))) {
    // An attempt that was given back may have left something: its next worker settles it.
    if (run.status === 'RUNNING' || run.startedAt !== null) stops.running.push(run.id);
    else {
      const rollback = run.cancelAction === 'ROLLBACK';
      const ended = await endRun(query, run, { status: 'CANCELLED', rollback });
      stops.events.push(...(ended?.events ?? []));
    }
  }
  return stops;
}

/** Tells the workers and the readers. After the commit. */
export function announceStops({ sql, tail }: Pick<App, 'sql' | 'tail'>, stops: Stops): void {
  for (const event of stops.events) {
    tail.publish([event]);
    sql.notify(THREADS_CHANNEL, event.threadId);
  }
  for (const id of stops.running) {
    sql.notify(STOPS_CHANNEL, id);
    sql.notify(RUNS_CHANNEL, id);
  }
}
