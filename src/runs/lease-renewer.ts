import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { SESSION } from '../db/session.ts';
import { compile, sql, type Statement } from '../db/sql.ts';
import { reasonOf, type Logger } from '../log.ts';

/** Identifies one attempt of a run. */
export interface Claim {
  id: string;
  claimToken: string;
}

/**
 * Renews the leases of this process, also while a graph blocks its event loop: it uses a thread with its own connection. If
 * the event loop is blocked for `maxBlockedSeconds`, the thread ends the process with exit status 70.
 */
export interface LeaseRenewer {
  /** Renews the lease of this claim until `drop`. */
  hold(claim: Claim): void;
  /** Does not affect a later claim of the same run. */
  drop(claim: Claim): void;
  /** Stops the thread. */
  stop(): Promise<void>;
}

export interface LeaseRenewerOptions {
  /** Undefined: claims do not expire, and the thread only watches the event loop. */
  databaseUrl: string | undefined;
  /** The duration of a lease. It is renewed every third of it. */
  leaseSeconds: number;
  /** 0: no limit. */
  maxBlockedSeconds: number;
  log: Logger;
  /** The claim is lost: the run has another claim, has ended or does not exist anymore. Called once for a claim. */
  onLost(runId: string): void;
  /** The run has a cancellation request. Called again if the action of the request changes. */
  onCancel(runId: string): void;
}

/** Shorter than the interval of the thread's check, one second. */
const TICK_MS = 500;
const RESTART_MS = 1000;
/** The time for the thread to close its connection. */
const STOP_MS = 2000;

interface LeaseValues {
  ids: readonly string[];
  claimTokens: readonly string[];
  lease: string;
}

/** A message of the thread, with one of these properties. */
interface Message {
  lost?: Claim;
  cancel?: Claim;
  /** Renewal fails. */
  failure?: Error;
  /** Renewal works again. */
  renewing?: true;
}

export function createLeaseRenewer(options: LeaseRenewerOptions): LeaseRenewer {
  /** Run id → claim token. */
  const held = new Map<string, string>();
  const stopping = new AbortController();
  /** The number of ticks of the main thread. */
  const ticks = new Int32Array(new SharedArrayBuffer(4));
  const ticking = setInterval(() => Atomics.add(ticks, 0, 1), TICK_MS).unref();
  let thread = start();

  function start(): Thread {
    const started = startThread(options, ticks.buffer);
    started.worker.on('message', (message: Message) => handle(message, { held, options }));
    started.worker.once('exit', () => void restart());
    // After the listeners: a listener for messages keeps the process alive.
    started.worker.unref();
    return started;
  }

  async function restart(): Promise<void> {
    await sleep(RESTART_MS, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
    if (stopping.signal.aborted) return;
    thread = start();
    for (const [id, claimToken] of held) thread.worker.postMessage({ hold: { id, claimToken } });
  }

  return {
    hold({ id, claimToken }) {
      held.set(id, claimToken);
      thread.worker.postMessage({ hold: { id, claimToken } });
    },
    drop({ id, claimToken }) {
      if (held.get(id) === claimToken) held.delete(id);
      thread.worker.postMessage({ drop: { id, claimToken } });
    },
    async stop() {
      const { worker, ended } = thread;
      if (!stopping.signal.aborted) {
        stopping.abort();
        clearInterval(ticking);
        worker.ref();
        worker.postMessage({ stop: true });
      }
      const timer = setTimeout(() => void worker.terminate(), STOP_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

interface Thread {
  worker: Worker;
  ended: Promise<void>;
}

function startThread(
  { databaseUrl, leaseSeconds, maxBlockedSeconds, log }: LeaseRenewerOptions,
  ticks: SharedArrayBuffer,
): Thread {
  const lease = `${leaseSeconds} seconds`;
  const worker = new Worker(new URL('./lease-thread.js', import.meta.url), {
    workerData: {
      databaseUrl,
      session: SESSION,
      renewal: compile(renewLeases({ ids: [], claimTokens: [], lease })).text,
      lease,
      leaseSeconds,
      maxBlockedSeconds,
      shared: ticks,
    },
    execArgv: [],
  });
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.on('error', (error) => log.error({ err: error }, 'The thread that renews leases failed.'));
  return { worker, ended };
}

function handle(
  { lost, cancel, failure, renewing }: Message,
  { held, options }: { held: ReadonlyMap<string, string>; options: LeaseRenewerOptions },
): void {
  const { log, onLost, onCancel } = options;
  if (failure) log.warn(reasonOf(failure), 'claims cannot be renewed');
  if (renewing) log.info('claims are renewed again');
  // Ignores messages about an earlier claim of the run.
  if (lost && held.get(lost.id) === lost.claimToken) onLost(lost.id);
  if (cancel && held.get(cancel.id) === cancel.claimToken) onCancel(cancel.id);
}

/**
 * Renews the leases of several claims, and returns the runs with a valid claim. The thread binds the values again for each
 * renewal, in this order.
 *
 * The statement skips locked rows: a transaction of the blocked main thread may hold the lock, and the remaining leases must not
 * expire during the wait. No worker can claim a locked run.
 */
function renewLeases({ ids, claimTokens, lease }: LeaseValues): Statement {
  return sql`WITH c AS (SELECT * FROM unnest(${ids}::uuid[], ${claimTokens}::uuid[]) AS c(run, token)), free AS (
    SELECT r."id" FROM "Run" r JOIN c ON r."id" = c.run AND r."claimToken" = c.token
    WHERE r."status" = 'RUNNING' FOR NO KEY UPDATE OF r SKIP LOCKED
  ), renewed AS (
    UPDATE "Run" r SET "leaseExpiresAt" = now() + ${lease}::interval FROM free WHERE r."id" = free."id"
  )
  SELECT r."id", r."cancelAction" FROM "Run" r JOIN c ON r."id" = c.run AND r."claimToken" = c.token
  WHERE r."status" = 'RUNNING'`;
}
