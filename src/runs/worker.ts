import { RUNS_CHANNEL, THREADS_CHANNEL } from '../db/channels.ts';
import type { Logger } from '../log.ts';
import { within } from '../within.ts';
import { createAttempt, GivenBackError, type Attempt } from './attempt.ts';
import { startClaimLoop, type ClaimLoop } from './claim-loop.ts';
import { createLeases, type CreateRenewer, type Leases } from './leases.ts';
import type { ClaimedRun, RunQueue } from './queue.ts';
import {
  createAttemptContext,
  runAttempt,
  type AttemptContext,
  type AttemptNeeds,
} from './run-attempt.ts';
import { startedEvent } from './started-event.ts';
import { runAttributed } from './uncaught-errors.ts';

/** The time to store the release of the claims, after the grace period of a shutdown. */
const RELEASE_WITHIN_MS = 5000;

/** Claims runs and executes several of them at a time. */
export interface Worker {
  /** Claims due runs for the free slots and starts them. The claim loop calls `tick`; so do tests. */
  tick(): Promise<void>;
  /** Claims nothing new, lets each run reach the end of its step, and releases the claims. */
  stop(): Promise<void>;
}

export interface WorkerOptions {
  queue: RunQueue;
  createRenewer: CreateRenewer;
  /** The number of worker slots. 0: this process executes no runs. */
  concurrency: number;
  leaseSeconds: number;
  graceSeconds: number;
}

/** The state of a worker that executes runs. */
interface WorkerState {
  /** The attempts of this process. A promise resolves when its attempt is settled. */
  attempts: Map<Attempt, Promise<void>>;
  context: AttemptContext;
  leases: Leases;
  loop: ClaimLoop;
  /** Aborted when the shutdown begins: no further attempt starts. */
  stopping: AbortController;
  /** Aborted at the end of the grace period of the shutdown. */
  leaving: AbortController;
}

export function startWorker(app: AttemptNeeds, options: WorkerOptions): Worker {
  return options.concurrency > 0
    ? startExecuting(app, options)
    : { tick: async () => {}, stop: async () => {} };
}

function startExecuting(app: AttemptNeeds, options: WorkerOptions): Worker {
  const { queue, concurrency, leaseSeconds } = options;
  const { sql, log } = app;
  const attempts = new Map<Attempt, Promise<void>>();
  const [stopping, leaving] = [new AbortController(), new AbortController()];
  const context = createAttemptContext(queue, leaving.signal);
  const leases = createLeases(app, options);
  const loop = startClaimLoop({
    queue,
    leaseSeconds,
    log,
    freeSlots: () => concurrency - attempts.size,
    runsHere: () => Array.from(attempts.keys(), ({ runId }) => runId),
    start,
  });
  const state: WorkerState = { attempts, context, leases, loop, stopping, leaving };

  function start(claim: ClaimedRun): void {
    const isRefused = stopping.signal.aborted || attempts.size >= concurrency;
    if (isRefused) releaseClaim(claim, { queue, log });
    else startAttempt(app, state, claim);
  }

  const unlisten = sql.listen(RUNS_CHANNEL, loop.wake);
  return {
    tick: loop.tick,
    async stop() {
      await stopExecuting(state, options.graceSeconds * 1000);
      unlisten();
    },
  };
}

function startAttempt(app: AttemptNeeds, state: WorkerState, claim: ClaimedRun): void {
  const attempt = createAttempt(claim);
  // The thread of a delayed run becomes BUSY only now.
  if (claim.dueAt > claim.createdAt) app.sql.notify(THREADS_CHANNEL, claim.threadId);
  const started = startedEvent(claim);
  if (started) app.tail.begin(started);
  state.leases.hold(attempt);
  state.attempts.set(attempt, runToEnd(app, state, attempt));
}

async function runToEnd(app: AttemptNeeds, state: WorkerState, attempt: Attempt): Promise<void> {
  const { attempts, context, leases, loop } = state;
  let nextIsDue = false;
  try {
    const ended = await runAttributed(attempt, () => runAttempt(app, context, attempt));
    nextIsDue = ended?.nextIsDue ?? false;
  } catch (error) {
    app.log.error({ err: error, run: attempt.runId }, 'An attempt could not be settled.');
  }
  attempts.delete(attempt);
  app.tail.leave(attempt.runId);
  leases.drop(attempt);
  if (nextIsDue) loop.wake();
  else loop.onSlotFreed();
}

/** Releases a claim that came too late. If the release fails, the lease expires. */
function releaseClaim(claim: ClaimedRun, { queue, log }: { queue: RunQueue; log: Logger }): void {
  queue
    .release(claim)
    .catch((error: unknown) =>
      log.warn({ err: error, run: claim.id }, 'a claim could not be released'),
    );
}

/** Waits until each attempt has reached the end of its step. Aborts the remaining attempts at the end of the grace period. */
async function stopExecuting(state: WorkerState, graceMs: number): Promise<void> {
  const { attempts, leases, loop, stopping, leaving } = state;
  stopping.abort();
  await loop.stop();
  for (const { control } of attempts.keys()) control.requestDrain('The server stops.');
  const grace = setTimeout(() => {
    leaving.abort();
    for (const attempt of attempts.keys()) attempt.fail(new GivenBackError('The server stops.'));
  }, graceMs);
  const settled = Promise.all(attempts.values());
  await within(graceMs + RELEASE_WITHIN_MS, settled);
  clearTimeout(grace);
  await leases.stop();
}
