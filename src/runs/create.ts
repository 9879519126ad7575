import { AssistantChangedError } from '../assistants/cache.ts';
import { RUNS_CHANNEL, THREADS_CHANNEL } from '../db/channels.ts';
import { readSize } from '../db/page.ts';
import type { EventTail } from '../events/tail.ts';
import type { Run } from '../generated/prisma/client.ts';
import { createTurns } from '../turns.ts';
import { acceptRuns, needsDecisions, type Accepted } from './accept.ts';
import { announceStops } from './cancel.ts';
import { NearlyFullError } from './limits.ts';
import {
  checkRequest,
  type CheckedRun,
  type CheckNeeds,
  type NewRun,
  type RepeatedRun,
} from './request.ts';
import type { Slot, Slots } from './slots.ts';

type Needs = CheckNeeds & { slots: Slots; tail: EventTail };

/**
 * Inserts a run. Inserting is enqueueing: a worker can claim the run after the commit. If the thread is idle and this process
 * has a free worker slot, the insertion also claims the run.
 */
export async function createRun(app: Needs, request: NewRun): Promise<Run> {
  const [run] = await retryIfAssistantChanged(app, async () =>
    storeRuns(app, [await checkRequest(app, 'input', request)]),
  );
  return run as Run;
}

/** Inserts several runs in their order, all or none. */
export async function createRuns(app: Needs, requests: readonly NewRun[]): Promise<Run[]> {
  readSize('inputs', requests.length);
  return retryIfAssistantChanged(app, async () => {
    const checked: (CheckedRun | RepeatedRun)[] = [];
    const turns = createTurns();
    for (const [i, request] of requests.entries()) {
      if (turns.isOver()) await turns.next();
      checked.push(await checkRequest(app, `inputs[${i}]`, request));
    }
    return storeRuns(app, checked);
  });
}

/** Repeats the work while an assistant has changed since it was read. */
async function retryIfAssistantChanged<T>(
  { assistants }: Needs,
  work: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof AssistantChangedError)) throw error;
      assistants.forget(error.assistantId);
    }
  }
}

/** Stores the new runs. Returns a run for each request, in the order of the requests. */
async function storeRuns(
  app: Needs,
  requests: readonly (CheckedRun | RepeatedRun)[],
): Promise<Run[]> {
  const runs = requests
    .filter((request): request is CheckedRun => !('repeated' in request))
    // The order of locks: requests that share several threads cannot deadlock.
    .toSorted((a, b) => (a.threadId ?? '').localeCompare(b.threadId ?? ''));
  const taken = takeSlots(app.slots, runs);
  let accepted = new Map<CheckedRun, Accepted>();
  try {
    accepted = await acceptAll(app, runs, taken);
  } finally {
    for (const run of runs) {
      const claim = accepted.get(run)?.claim;
      taken.get(run)?.fill(claim);
      // Also after a refusal: while the thread was locked, a worker may have skipped a due run of it.
      if (!claim) app.sql.notify(RUNS_CHANNEL, run.id);
    }
  }
  for (const { run, stops } of accepted.values()) {
    if (stops) announceStops(app, stops);
    app.sql.notify(THREADS_CHANNEL, String(run.threadId));
  }
  return requests.map((request) =>
    'repeated' in request ? request.repeated : (accepted.get(request) as Accepted).run,
  );
}

/** Reserves worker slots. A delayed run gets none. */
function takeSlots(slots: Slots, runs: readonly CheckedRun[]): Map<CheckedRun, Slot> {
  const taken = new Map<CheckedRun, Slot>();
  for (const run of runs) {
    const slot = run.afterSeconds > 0 ? undefined : slots.take();
    if (slot) taken.set(run, slot);
  }
  return taken;
}

/** Accepts runs in one transaction. A single statement is enough for a run without decisions and without a key. */
async function acceptAll(
  { config, sql }: Pick<Needs, 'config' | 'sql'>,
  runs: readonly CheckedRun[],
  slots: ReadonlyMap<CheckedRun, Slot>,
): Promise<Map<CheckedRun, Accepted>> {
  const [run] = runs;
  if (!run) return new Map();
  const { queuedRunLimit } = config;
  const options = { slots, queuedRunLimit };
  if (runs.length > 1 || needsDecisions(run)) {
    return sql.transaction((query) => acceptRuns(query, runs, options));
  }
  try {
    if (run.key) return await sql.transaction((query) => acceptRuns(query, runs, options));
    return await acceptRuns(sql.query, runs, options);
  } catch (error) {
    if (!(error instanceof NearlyFullError)) throw error;
    return sql.transaction((query) => acceptRuns(query, runs, { ...options, locksFirst: true }));
  }
}
