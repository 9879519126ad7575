import { AssistantChangedError } from '../assistants/run-assistant.ts';
import { requireRole } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import { RUNS_CHANNEL, THREADS_CHANNEL } from '../db/channels.ts';
import type { Created } from '../db/node-id.ts';
import { checkLength } from '../db/page.ts';
import { AppError } from '../errors.ts';
import type { EventTail } from '../events/tail.ts';
import type { Run } from '../generated/prisma/client.ts';
import { createTurns } from '../turns.ts';
import { acceptAlone, acceptRuns, needsDecisions, type Accepted } from './accept.ts';
import { announceStops } from './cancel.ts';
import { authorizeRun } from './authorize-run.ts';
import { isKeyTaken } from './idempotency.ts';
import { NearlyFullError } from './limits.ts';
import {
  checkRequest,
  findRepeated,
  type CheckedRun,
  type CheckNeeds,
  type NewRun,
  type RepeatedRun,
} from './request.ts';

export type CreateNeeds = CheckNeeds & { tail: EventTail };

/** Inserts a run. Inserting is enqueueing: a worker can claim the run after the commit. */
export async function createRun(
  app: CreateNeeds,
  viewer: Viewer,
  request: NewRun,
): Promise<Created<Run>> {
  const [run] = await retryIfAssistantChanged(app, viewer, async () =>
    storeRuns(app, [await checkRequest(app, await authorizeRun(viewer, request), 'input')]),
  );
  return run as Created<Run>;
}

/** Inserts several runs in their order, all or none. */
export async function createRuns(
  app: CreateNeeds,
  viewer: Viewer,
  requests: readonly NewRun[],
): Promise<Created<Run>[]> {
  checkLength('inputs', requests);
  return retryIfAssistantChanged(app, viewer, async () => {
    const checked: (CheckedRun | RepeatedRun)[] = [];
    const turns = createTurns();
    for (const [i, request] of requests.entries()) {
      if (turns.isOver()) await turns.next();
      const authorized = await authorizeRun(viewer, request);
      const argument = `inputs[${i}]`;
      // Before the locks of all threads: the thread of an earlier run may be deleted.
      const repeated = await findRepeated(app, authorized, argument);
      checked.push(repeated ?? (await checkRequest(app, authorized, argument)));
    }
    return storeRuns(app, checked);
  });
}

/** Repeats the work while an assistant has changed since it was read. */
async function retryIfAssistantChanged<T>(
  { assistants }: CreateNeeds,
  viewer: Viewer,
  work: () => Promise<T>,
): Promise<T> {
  requireRole(viewer, 'member');
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof AssistantChangedError)) throw error;
      assistants.forget(viewer, error.assistantId);
    }
  }
}

/** Stores the new runs. Returns a run for each request, in the order of the requests. */
async function storeRuns(
  app: CreateNeeds,
  requests: readonly (CheckedRun | RepeatedRun)[],
): Promise<Created<Run>[]> {
  const runs = requests
    .filter((request): request is CheckedRun => !('repeated' in request))
    // The order of locks: requests that share several threads cannot deadlock.
    .toSorted((a, b) => (a.threadId ?? '').localeCompare(b.threadId ?? ''));
  let accepted: Map<CheckedRun, Accepted>;
  try {
    accepted = await acceptAll(app, runs);
  } finally {
    // Also after a refusal: while the thread was locked, a worker may have skipped a due run of it.
    for (const run of runs) app.sql.notify(RUNS_CHANNEL, run.id);
  }
  for (const { run, stops } of accepted.values()) {
    if (stops) announceStops(app, stops);
    app.sql.notify(THREADS_CHANNEL, String(run.threadId));
  }
  return requests.map((request) =>
    'repeated' in request
      ? { ...request.repeated, isNew: false }
      : (accepted.get(request) as Accepted).run,
  );
}

/**
 * Accepts runs in one transaction. A single statement is enough for a run without decisions. If its key is in use, the statement
 * violates the unique index of the keys and changes nothing: the transaction then finds the earlier run.
 */
async function acceptAll(
  { config, sql }: Pick<CreateNeeds, 'config' | 'sql'>,
  runs: readonly CheckedRun[],
): Promise<Map<CheckedRun, Accepted>> {
  const [run] = runs;
  if (!run) return new Map();
  const inTransaction = () => sql.transaction((query) => acceptRuns(query, runs, config));
  if (runs.length > 1 || needsDecisions(run)) return inTransaction();
  try {
    return new Map([[run, await acceptAlone(sql.query, run, config)]]);
  } catch (error) {
    if (error instanceof NearlyFullError) return inTransaction();
    // An earlier request may have the key, and may have filled the queue.
    const mayBeRepeated = run.key && (isKeyTaken(error) || error instanceof AppError);
    if (mayBeRepeated) return inTransaction();
    throw error;
  }
}
