import { permit } from '../auth/authorize.ts';
import { canWriteRun, requireRole } from '../auth/scope.ts';
import { SYSTEM, type Viewer } from '../auth/viewer.ts';
import { STOPS_CHANNEL, RUNS_CHANNEL, THREADS_CHANNEL } from '../db/channels.ts';
import { isEmptyFilter } from '../db/page.ts';
import type { Query, Sql } from '../db/query.ts';
import { raw, sql, type Statement } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import { BadInputError, ConflictError, NotFoundError } from '../errors.ts';
import type { StoredEvent } from '../events/event.ts';
import type { EventTail } from '../events/tail.ts';
import type { CancelAction, Run, RunStatus } from '../generated/prisma/client.ts';
import type { Graphs } from '../graphs/load.ts';
import { endRun } from './end.ts';
import { lockThreads } from './lock.ts';
import { readRun, runCondition, type RunFilter } from './search.ts';
import { ACTIVE } from './status.ts';

/** Runs with a new request to stop. `announceStops` announces them after the commit. */
export interface Stops {
  ids: string[];
  /** The final events of runs without an attempt: such a run ends at once. */
  events: StoredEvent[];
  /** Runs for a worker to stop. */
  running: string[];
}

/** A request to stop runs. */
interface Cancellation {
  action: CancelAction;
  /** Stored with the run. */
  reason?: string | null | undefined;
}

const LONGEST_REASON = 1000;

/** The most runs in one transaction of `cancelRuns`. */
const SLICE_RUNS = 100;
const MOST_RETURNED = 100;

/**
 * Asks a run to stop. A run that has not started ends at once. A started run ends when its worker, or the next worker, has
 * stopped it. Throws ConflictError if the run has ended.
 */
export async function cancelRun(
  app: { sql: Sql; tail: EventTail },
  asking: Viewer,
  runId: string,
  how: Cancellation,
): Promise<Run> {
  const id = parseUuid('id', runId);
  checkReason(how);
  const { viewer, run } = await permitCancel(app, asking, id, how.action);
  const [stopped] = await cancelEach(app, [run], how);
  if (stopped) return stopped;
  // A concurrent rollback may have made the run a tombstone.
  const { status } = await requireRun(app, viewer, id);
  throw new ConflictError(`Run ${id} is ${status}; only an unfinished run can be cancelled.`);
}

function checkReason({ action, reason }: Cancellation): void {
  if (reason == null) return;
  if (action === 'ROLLBACK') {
    throw new BadInputError('reason', 'A rollback leaves no run, so it has no reason.');
  }
  if (reason.length >= 1 && reason.length <= LONGEST_REASON) return;
  throw new BadInputError(
    'reason',
    `reason has ${reason.length} characters; it must have 1 to ${LONGEST_REASON}.`,
  );
}

/** The run, and the viewer with the permission to cancel it. Throws if the viewer may not. */
export async function permitCancel(
  app: { sql: Sql },
  asking: Viewer,
  id: string,
  action: CancelAction,
): Promise<{ viewer: Viewer; run: Run }> {
  requireRole(asking, 'member');
  const viewer = await authorizeCancel(asking, action, { run_ids: [id] });
  return { viewer, run: await requireRun(app, viewer, id) };
}

/** Asks for the permission to cancel runs. LangGraph calls it an update of their threads. */
async function authorizeCancel(
  asking: Viewer,
  action: CancelAction,
  metadata: Record<string, unknown>,
): Promise<Viewer> {
  const value = { action: action === 'ROLLBACK' ? 'rollback' : 'interrupt', metadata };
  return permit(asking, 'threads:update', value);
}

async function requireRun(app: { sql: Sql }, viewer: Viewer, id: string): Promise<Run> {
  const run = await readRun(app.sql.query, viewer, id);
  if (!run || run.tombstone) throw new NotFoundError('Run', id);
  return run;
}

/**
 * Asks all matching active runs to stop, slice by slice: each slice is a transaction and locks few threads for a short time.
 * Runs accepted meanwhile are not affected. Returns the first stopped runs. If a slice fails, the runs of earlier slices stay
 * cancelled.
 */
export async function cancelRuns(
  app: { sql: Sql; graphs: Graphs; tail: EventTail },
  asking: Viewer,
  filter: RunFilter,
  action: CancelAction,
): Promise<Run[]> {
  if (isEmptyFilter(filter)) {
    throw new BadInputError(
      'filter',
      'filter must not be empty: an empty filter would cancel all runs.',
    );
  }
  requireRole(asking, 'member');
  const viewer = await authorizeCancel(asking, action, { status: filter.status });
  const condition = runCondition(app, viewer, filter);
  // The scope is for the index: the slices have it, too.
  const [range] = await app.sql.query<{ last: number }>(
    sql`SELECT coalesce(max("seq"), 0) AS "last" FROM "Run" WHERE ${canWriteRun(viewer)}`,
  );
  const last = range?.last ?? 0;
  const stopped: Run[] = [];
  for (let after = 0; ;) {
    const slice = await app.sql.query<Run & { seq: number }>(
      sql`SELECT * FROM "Run" WHERE ${condition} AND "status" IN ('PENDING', 'RUNNING')
         AND "seq" > ${after} AND "seq" <= ${last}
       ORDER BY "seq" LIMIT ${raw(SLICE_RUNS)}`,
    );
    const runs = await cancelEach(app, slice, { action }, filter.status ?? ACTIVE);
    stopped.push(...runs.slice(0, MOST_RETURNED - stopped.length));
    if (slice.length < SLICE_RUNS) return stopped;
    after = slice.at(-1)?.seq ?? last;
  }
}

/** Asks the runs to stop, if they still have one of the statuses. Returns the new rows of the stopped runs. */
async function cancelEach(
  app: { sql: Sql; tail: EventTail },
  found: readonly Run[],
  how: Cancellation,
  statuses: readonly RunStatus[] = ACTIVE,
): Promise<Run[]> {
  if (found.length === 0) return [];
  const ids = found.map(({ id }) => id);
  const { stops, runs } = await app.sql.transaction(async (query) => {
    const threadIds = [...new Set(found.flatMap(({ threadId }) => threadId ?? []))];
    await lockThreads(
      query,
      threadIds.map((threadId) => ({ viewer: SYSTEM, threadId })),
    );
    const matches = sql`r."id" = ANY(${ids}::uuid[]) AND r."status" = ANY(${statuses}::"RunStatus"[])`;
    const stops = await stopRuns(query, matches, how);
    const runs = await query<Run>(
      sql`SELECT * FROM "Run" WHERE "id" = ANY(${stops.ids}::uuid[]) ORDER BY "seq"`,
    );
    return { stops, runs };
  });
  announceStops(app, stops);
  return runs;
}

/**
 * Asks active runs to stop. `condition` selects them by the alias `r`. The transaction has locked their threads with
 * `lockThreads`: otherwise a running attempt could use the number of the final event of a queued run.
 */
export async function stopRuns(
  query: Query,
  condition: Statement,
  { action, reason = null }: Cancellation,
): Promise<Stops> {
  // A later request with KEEP does not revoke an earlier ROLLBACK. The first reason stays.
  const runs = await query<Run & { threadId: string }>(
    sql`UPDATE "Run" r SET "cancelRequestedAt" = coalesce("cancelRequestedAt", now()), "cancelAction" = CASE
        WHEN "cancelAction" = 'ROLLBACK' THEN "cancelAction" ELSE ${action}::"CancelAction" END, "cancelReason" = coalesce("cancelReason", ${reason}::text)
      WHERE "status" IN ('PENDING', 'RUNNING') AND "threadId" IS NOT NULL AND ${condition} RETURNING r.*`,
  );
  const stops: Stops = { ids: runs.map(({ id }) => id), events: [], running: [] };
  for (const run of runs.toSorted((a, b) => Number(a.seq) - Number(b.seq))) {
    // A started run without a worker may have rows in the thread: the next worker settles it.
    if (run.status === 'RUNNING' || run.startedAt !== null) stops.running.push(run.id);
    else {
      const rollback = run.cancelAction === 'ROLLBACK';
      const ended = await endRun(query, run, { status: 'CANCELLED', rollback });
      stops.events.push(...(ended?.events ?? []));
    }
  }
  return stops;
}

/**
 * Ends the active runs of a thread at once, with status CANCELLED, before the thread is deleted. Locks the thread. Returns their
 * final events.
 */
export async function endRunsOfThread(query: Query, threadId: string): Promise<StoredEvent[]> {
  await lockThreads(query, [{ viewer: SYSTEM, threadId }]);
  const runs = await query<Run>(
    sql`SELECT * FROM "Run" WHERE "threadId" = ${threadId} AND "status" IN ('PENDING', 'RUNNING') ORDER BY "seq"`,
  );
  const events: StoredEvent[] = [];
  for (const run of runs) {
    // onCompletion: the caller deletes the thread, also of a stateless run.
    const ended = await endRun(
      query,
      { ...run, threadId, onCompletion: null },
      { status: 'CANCELLED' },
    );
    events.push(...(ended?.events ?? []));
  }
  return events;
}

/** Notifies workers and readers, after the commit. */
export function announceStops(
  { sql: database, tail }: { sql: Sql; tail: EventTail },
  stops: Stops,
): void {
  for (const event of stops.events) {
    tail.publish([event]);
    database.notify(THREADS_CHANNEL, event.threadId);
  }
  for (const id of stops.running) {
    database.notify(STOPS_CHANNEL, id);
    database.notify(RUNS_CHANNEL, id);
  }
}
