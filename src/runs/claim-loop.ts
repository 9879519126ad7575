import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseAwayError } from '../errors.ts';
import { reasonOf, type Logger } from '../log.ts';
import { POLL_MS } from '../repeat.ts';
import { within } from '../within.ts';
import type { ClaimedRun, Owner, RunQueue } from './queue.ts';

/** Claims due runs for the free worker slots: after a notification, after the end of a run, and once per poll interval. */
export interface ClaimLoop {
  /** Claims due runs for the free slots and starts them. */
  tick(): Promise<void>;
  /** Begins the next tick now. Without an id, any run may be due. */
  wake(runId?: string): void;
  /** Begins the next tick now if the last claim may have left due runs behind. */
  onSlotFreed(): void;
  /** Begins no further tick. Waits for the current one for at most a poll interval. */
  stop(): Promise<void>;
}

export interface ClaimLoopOptions {
  queue: RunQueue;
  leaseSeconds: number;
  log: Logger;
  freeSlots(): number;
  /** Ids of the runs with an attempt in this process. */
  runsHere(): string[];
  start(claim: ClaimedRun): void;
}

interface LoopState {
  /** Ids of runs announced since the last claim. Empty string: some run, id unknown. */
  announced: Set<string>;
  /** The last claim filled all free slots: more runs may be due. */
  isFull: boolean;
  /** The last claim found runs of several owners. */
  isShared: boolean;
  /** The owner of the last claimed run. */
  served: Owner;
  /** Time of the last claim of any due run. */
  claimedAt: number;
  /** Claims without an answer: several if the database answers slowly. */
  pending: Set<Promise<void>>;
  /** Time of the last claim that failed because the database was away. */
  awayAt: number;
  /** Time of the last release of orphaned runs. */
  orphansReleasedAt: number;
  /** Ends the pause before the next tick. */
  resume(): void;
}

/** A run is orphaned if its claim is stored but has no attempt: the answer was lost, or the end could not be stored. */
const RELEASE_ORPHANS_MS = 5000;
/** Before all owners. */
const NO_OWNER: Owner = { tenant: '', owner: '' };

export function startClaimLoop(options: ClaimLoopOptions): ClaimLoop {
  const stopping = new AbortController();
  const state: LoopState = {
    announced: new Set(),
    isFull: false,
    isShared: false,
    served: NO_OWNER,
    claimedAt: -Infinity,
    pending: new Set(),
    awayAt: -Infinity,
    orphansReleasedAt: performance.now(),
    resume: () => {},
  };

  function tick(): Promise<void> {
    const claim = claimDueRuns(options, state).finally(() => state.pending.delete(claim));
    state.pending.add(claim);
    return claim;
  }

  function wake(runId = ''): void {
    state.announced.add(runId);
    state.resume();
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const claim = tick().catch((error: unknown) => noteFailure(error, options.log, state));
      // The claim may share a connection with a statement that waits for a lock. The next claim gets another connection.
      await within(POLL_MS, claim);
      await pause(state, stopping.signal);
    }
  }

  const stopped = run();
  return {
    tick,
    wake,
    onSlotFreed() {
      if (state.isFull) wake();
    },
    stop() {
      stopping.abort();
      wake();
      return stopped;
    },
  };
}

async function claimDueRuns(options: ClaimLoopOptions, state: LoopState): Promise<void> {
  const mayBeShared = state.isFull && (state.isShared || state.announced.size > 0);
  state.announced.clear();
  let free = options.freeSlots();
  await releaseOrphans(options, state);
  const takeOver = mayTakeOver(options, state);
  const start = (claims: readonly ClaimedRun[]): void => {
    free -= claims.length;
    for (const claim of claims) {
      state.announced.delete(claim.id);
      state.served = { tenant: claim.tenant, owner: claim.owner };
      options.start(claim);
    }
  };
  // While runs wait for a slot, an owner with many runs must not delay the first run of another owner. But once a second, the
  // earliest runs come first: also those of busy owners, and those with an expired lease.
  const isRecent = performance.now() - state.claimedAt < POLL_MS;
  if (free > 0 && mayBeShared && isRecent) {
    // In turn: from the owner after the last one to the end, and then from the first one.
    start(await options.queue.claimForIdleOwners(free, state.served));
    if (free > 0) start(await options.queue.claimForIdleOwners(free, NO_OWNER));
  }
  let claims: ClaimedRun[] = [];
  if (free > 0) {
    claims = await options.queue.claim(free, { takeOver });
    state.claimedAt = performance.now();
    start(claims);
  }
  state.isFull = free <= 0;
  state.isShared =
    claims.length > 0 ? claims.some(({ isQueueShared }) => isQueueShared) : mayBeShared;
}

/**
 * Whether a claim may include runs with an expired lease. No worker can renew a lease while the database is away. After an
 * outage the workers have the duration of a lease to renew: otherwise each outage would cost each run an attempt.
 */
function mayTakeOver({ queue, leaseSeconds }: ClaimLoopOptions, { awayAt }: LoopState): boolean {
  return !queue.leasesEnd || performance.now() - awayAt > leaseSeconds * 1000;
}

/** Makes orphaned runs due if leases do not end. Does nothing while a claim has no answer: its runs would look like orphans. */
async function releaseOrphans(
  { queue, runsHere }: ClaimLoopOptions,
  state: LoopState,
): Promise<void> {
  // The claim of this tick is not in `pending` yet.
  if (queue.leasesEnd || state.pending.size > 0) return;
  if (performance.now() - state.orphansReleasedAt < RELEASE_ORPHANS_MS) return;
  state.orphansReleasedAt = performance.now();
  await queue.expireOthers(runsHere());
}

/** Logs one line per outage. */
function noteFailure(error: unknown, log: Logger, state: LoopState): void {
  if (!(error instanceof DatabaseAwayError)) {
    log.error({ err: error }, 'Runs could not be claimed.');
    return;
  }
  const isNew = performance.now() - state.awayAt > 3 * POLL_MS;
  state.awayAt = performance.now();
  if (isNew) log.warn(reasonOf(error), 'runs cannot be claimed: the database is away');
}

/** Waits for a notification, a free slot or the poll interval. While the database is away, only for the poll interval. */
async function pause(state: LoopState, signal: AbortSignal): Promise<void> {
  if (performance.now() - state.awayAt < POLL_MS) {
    await sleep(POLL_MS, undefined, { signal }).catch(() => {});
    return;
  }
  if (state.announced.size > 0) return;
  const resumed = new Promise<void>((resolve) => {
    state.resume = resolve;
  });
  await within(POLL_MS, resumed);
}
