import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { App } from '../app.ts';
import { RUNS_CHANNEL, STOPS_CHANNEL, THREADS_CHANNEL } from '../channels.ts';
import { ClaimLostError } from '../errors.ts';
import type { StoredEvent } from '../events/event.ts';
import { remember } from '../remember.ts';
import { POLL_MS } from '../repeat.ts';
import {
  CancelledError,
  createAttempt,
  execute,
  GivenBackError,
  type Attempt,
  type Executing,
} from './attempt.ts';
import type { Ended, Outcome } from './end.ts';
import type { Keeper, KeeperOptions } from './keeper.ts';
import { startedEvent, type ClaimedRun, type RunQueue } from './queue.ts';
import { runAttributed } from '../stray.ts';

/** With more, each statement would carry less: what waits for its turn gathers. */
export const STORES_AT_A_TIME = 3;

/** How often is looked for runs that this process claimed and does not know of: an answer was lost, or an end not stored. */
const STRAY_LOOK_MS = 5000;

const MOST_MISSED_STOPS = 1000;

/** The last wait before a run that has ended is left to the next claim; 100 ms the first, then twice as long each time. */
const LONGEST_RETRY_MS = 12_800;

/** Claims runs and executes them, several at a time. */
export interface Worker {
  /** Takes nothing new, lets every run reach the end of its step, and gives the claims back. */
  stop(): Promise<void>;
}

export interface WorkerOptions {
  queue: RunQueue;
  /** Makes what keeps the claims. */
  keep(handlers: Pick<KeeperOptions, 'onLost' | 'onCancel'>): Keeper;
  /** Runs at a time. */
  concurrency: number;
  graceSeconds: number;
}

export function createWorker(
  app: Pick<App, 'sql' | 'graphs' | 'places' | 'events' | 'tail' | 'log'>,
  { queue, keep, concurrency, graceSeconds }: WorkerOptions,
): Worker {
  const { sql, places, log } = app;
  const attempts = new Map<Attempt, Promise<void>>();
  const inTurn = pLimit(STORES_AT_A_TIME);
  const stopping = new AbortController();
  /** Runs of which was told since the last claim was sent, and that have not come with it; '' where it may be any. */
  const told = new Set<string>();
  /** There may be more to claim than there was room for. */
  let isFull = false;
  /** Claims that are under way: one, or more where an answer takes long. */
  const claiming = new Set<Promise<void>>();
  /** Runs that were to stop, and were not being executed here: their claim may be on its way. */
  const missedStops = new Map<string, true>();
  let straysSoughtAt = performance.now();
  let resume = (): void => {};
  const executes = concurrency > 0;
  const unlisten = [
    sql.listen(STOPS_CHANNEL, onStop),
    ...(executes ? [sql.listen(RUNS_CHANNEL, wake)] : []),
  ];

  function wake(runId = ''): void {
    told.add(runId);
    resume();
  }

  /** Claims what there is room for, and starts it. */
  async function tick(): Promise<void> {
    told.clear();
    const room = concurrency - attempts.size - places.kept;
    await freeStrays();
    const claims = room > 0 ? await queue.claim(room) : [];
    isFull = claims.length >= room;
    for (const claim of claims) {
      told.delete(claim.id);
      start(claim);
    }
  }

  /** Where leases do not end, runs that strayed would never go on. None is being claimed meanwhile that would look like one. */
  async function freeStrays(): Promise<void> {
    const isTime = performance.now() - straysSoughtAt >= STRAY_LOOK_MS;
    if (queue.leasesEnd || !isTime || places.inserting > 0 || claiming.size > 0) return;
    straysSoughtAt = performance.now();
    await queue.expireOthers(Array.from(attempts.keys(), ({ runId }) => runId));
  }

  /**
   * Whether the next run may be claimed with its insertion. One at a time: runs that come together are claimed together, and
   * then go on in step, which takes less of the processor than one after the other. Where others wait already, they are first.
   */
  function isFree(): boolean {
    const isWaitedFor = isFull || claiming.size > 0 || told.size > 0 || places.kept > 0;
    return !isWaitedFor && attempts.size < concurrency;
  }

  function onFreed(): void {
    if (isFull) wake();
  }

  function start(claim: ClaimedRun): void {
    if (stopping.signal.aborted || attempts.size >= concurrency) return giveBack(claim);
    const attempt = createAttempt(claim);
    // Its thread was not busy before.
    if (claim.dueAt > claim.createdAt) sql.notify(THREADS_CHANNEL, claim.threadId);
    if (!claim.retried) app.tail.begin(startedEvent(claim));
    keeper?.hold(claim);
    const done = runAttributed(attempt, () => runAttempt(attempt))
      .catch((error: unknown) =>
        log.error({ err: error, run: claim.id }, 'An attempt could not be settled.'),
      )
      .finally(() => {
        attempts.delete(attempt);
        app.tail.leave(claim.id);
        keeper?.drop(claim);
        onFreed();
      });
    attempts.set(attempt, done);
    if (missedStops.delete(claim.id)) void look(attempt);
  }

  /** What came too late. Its lease ends by itself. */
  function giveBack(claim: ClaimedRun): void {
    queue
      .release(claim)
      .catch((error: unknown) =>
        log.warn({ err: error, run: claim.id }, 'a claim could not be given back'),
      );
  }

  async function runAttempt(attempt: Attempt): Promise<void> {
    const { claim } = attempt;
    const names = { run: claim.id, thread: claim.threadId, attempt: claim.attempt };
    const began = performance.now();
    log.info(names, 'run started');
    const end: Executing['end'] = (outcome, rest) => queue.end(claim, outcome, rest);
    const outcome = await execute(app, attempt, { inTurn, end });
    const ended = outcome && 'ended' in outcome ? outcome.ended : await settle(attempt, outcome);
    if (ended === 'given back') {
      log.info(names, 'run given back');
      return;
    }
    if (!ended) {
      log.warn(names, 'run lost: its claim is gone');
      return;
    }
    app.tail.publish(ended.events);
    sql.notify(THREADS_CHANNEL, claim.threadId);
    if (ended.nextIsDue) wake();
    log.info(
      { ...names, ...statusIn(ended.events), ms: Math.round(performance.now() - began) },
      'run ended',
    );
  }

  /** Undefined where the claim is lost. */
  async function settle(
    attempt: Attempt,
    outcome: Outcome | undefined,
  ): Promise<Ended | 'given back' | undefined> {
    const { claim } = attempt;
    await app.events.flush(attempt);
    // While it cannot be settled here, another worker may do that.
    app.tail.leave(attempt.runId);
    if (attempt.failure instanceof ClaimLostError) return undefined;
    if (outcome) return insist(() => queue.settle(claim, outcome));
    await insist(() => queue.release(claim));
    return 'given back';
  }

  /** Tries again while the database fails, unless the server stops: a run that has ended must not stay RUNNING. */
  async function insist<T>(work: () => Promise<T>): Promise<T> {
    for (let delayMs = 100; ; delayMs *= 2) {
      try {
        return await work();
      } catch (error) {
        if (delayMs > LONGEST_RETRY_MS || stopping.signal.aborted) throw error;
        log.warn({ err: error, delayMs }, 'a run could not be settled yet');
        await sleep(delayMs, undefined, { signal: stopping.signal }).catch(() => {});
      }
    }
  }

  async function claimUntilStopped(): Promise<void> {
    while (!stopping.signal.aborted) {
      const claim = tick()
        .catch((error: unknown) => log.error({ err: error }, 'Runs could not be claimed.'))
        .finally(() => claiming.delete(claim));
      claiming.add(claim);
      // It may share a connection with a statement that waits for a thread: the next one gets another.
      await within(POLL_MS, claim);
      await idle();
    }
  }

  /** Waits for a hint, for a free place or for the next look. */
  async function idle(): Promise<void> {
    if (told.size > 0) return;
    const resumed = new Promise<void>((resolve) => {
      resume = resolve;
    });
    await within(POLL_MS, resumed);
  }

  function onStop(runId: string): void {
    const executed = Array.from(attempts.keys()).filter((attempt) => attempt.runId === runId);
    if (executed.length === 0) remember(missedStops, runId, true, MOST_MISSED_STOPS);
    for (const attempt of executed) void look(attempt);
  }

  /** Looks after a claim, which also extends it; aborts the attempt when the claim is gone or somebody wants the run to stop. Never rejects. */
  async function look(attempt: Attempt): Promise<void> {
    try {
      const { lost, cancelAction } = await queue.renew(attempt.claim);
      if (lost) attempt.fail(new ClaimLostError());
      else if (cancelAction) attempt.fail(new CancelledError(cancelAction));
    } catch (error) {
      log.warn({ err: error, run: attempt.runId }, 'a claim could not be renewed');
    }
  }

  const keeper = executes ? keep({ onLost: onStop, onCancel: onStop }) : undefined;
  if (executes) places.open({ claimer: queue.claimer, isFree, start, onFreed });
  const claimed = executes ? claimUntilStopped() : Promise.resolve();

  return {
    async stop() {
      stopping.abort();
      wake();
      const arePlacesFree = places.close();
      await claimed;
      for (const { control } of attempts.keys()) control.requestDrain('The server stops.');
      const grace = setTimeout(() => {
        for (const attempt of attempts.keys())
          attempt.fail(new GivenBackError('The server stops.'));
      }, graceSeconds * 1000);
      await Promise.all([arePlacesFree, ...attempts.values()]);
      clearTimeout(grace);
      await keeper?.stop();
      for (const stop of unlisten) stop();
    },
  };
}

/** Resolves when the work is done, or after that time. */
async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms).unref();
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}

/** A cancellation may have come before the outcome that was to be settled. */
function statusIn(events: readonly StoredEvent[]): { status?: unknown } {
  const { status } = (events.at(-1)?.data ?? {}) as { status?: unknown };
  return { status };
}
