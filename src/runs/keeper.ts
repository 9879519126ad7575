import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { summarizeError } from '../errors.ts';
import type { Logger } from '../log.ts';

/** What identifies one attempt at a run. */
export interface Claim {
  id: string;
  claimToken: string;
}

/**
 * Keeps the claims of this process while graphs block its event loop: a thread with a connection of its own renews
 * their leases. When nothing else could run for `maxBlockedSeconds`, it ends the process, with status 70.
 */
export interface Keeper {
  /** Keeps this claim until it is dropped. */
  hold(claim: Claim): void;
  /** A later claim of the same run is kept on. */
  drop(claim: Claim): void;
  /** Renews nothing more, and no longer watches. */
  stop(): Promise<void>;
}

export interface KeeperOptions {
  /** Undefined: claims do not expire, and only the event loop is watched. */
  databaseUrl: string | undefined;
  /** How long a claim holds without renewal. It is renewed three times as often. */
  leaseSeconds: number;
  /** 0: for ever. */
  maxBlockedSeconds: number;
  log: Logger;
  /** The run that is held under this id has another claim, has ended, or is gone. Called once for a claim. */
  onLost(runId: string): void;
  /** The run that is held is to be cancelled. Called again when it is to be cancelled in another way. */
  onCancel(runId: string): void;
}

/** Often enough for a thread that looks once a second. */
const TICK_MS = 500;
const RESTART_MS = 1000;
/** How long the thread gets to say goodbye to the database. */
const STOP_MS = 2000;

/** What the thread says; each message has one of these. */
interface Told {
  lost?: Claim;
  cancel?: Claim;
  /** Leases can no longer be renewed. */
  failure?: Error;
  /** They can again. */
  renewing?: true;
}

export function createKeeper(options: KeeperOptions): Keeper {
  const { databaseUrl, leaseSeconds, maxBlockedSeconds, log, onLost, onCancel } = options;
  const held = new Map<string, string>();
  const stopping = new AbortController();

  /** How often this thread has ticked. */
  const shared = new SharedArrayBuffer(4);
  const ticks = new Int32Array(shared);
  const ticking = setInterval(() => Atomics.add(ticks, 0, 1), TICK_MS).unref();

  let { worker, ended } = startThread();

  function startThread() {
    const worker = new Worker(new URL('./keeper-thread.js', import.meta.url), {
      workerData: { databaseUrl, leaseSeconds, maxBlockedSeconds, shared },
      execArgv: [],
    });
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    worker.on('message', listen);
    worker.on('error', (error) => log.error({ err: error }, 'The thread that keeps claims broke.'));
    worker.once('exit', () => void restart());
    worker.unref();
    return { worker, ended };
  }

  async function restart(): Promise<void> {
    await sleep(RESTART_MS, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
    if (stopping.signal.aborted) return;
    ({ worker, ended } = startThread());
    for (const [id, claimToken] of held) worker.postMessage({ hold: { id, claimToken } });
  }

  function listen({ lost, cancel, failure, renewing }: Told): void {
    if (failure) {
      log.warn({ reason: summarizeError(failure).message }, 'claims cannot be renewed');
    }
    if (renewing) log.info('claims are renewed again');
    // What is told of an earlier claim no longer matters.
    if (lost && held.get(lost.id) === lost.claimToken) onLost(lost.id);
    if (cancel && held.get(cancel.id) === cancel.claimToken) onCancel(cancel.id);
  }

  return {
    hold({ id, claimToken }) {
      held.set(id, claimToken);
      worker.postMessage({ hold: { id, claimToken } });
    },
    drop({ id, claimToken }) {
      if (held.get(id) === claimToken) held.delete(id);
      worker.postMessage({ drop: { id, claimToken } });
    },
    async stop() {
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
