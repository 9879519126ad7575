import type { Claimer, ClaimedRun } from './queue.ts';

/**
 * Where this process executes runs. One that is inserted while a place is free is claimed by its insertion: it need not be
 * looked for.
 */
export interface Places {
  /** How many are kept for runs that are being inserted. */
  readonly kept: number;
  /** How many runs are being inserted that may be claimed with that, also those that no place is kept for any more. */
  readonly inserting: number;
  /** Keeps a place for a run that is about to be inserted; undefined where none is free. */
  take(): Place | undefined;
  /** There are places from now on. */
  open(host: Host): void;
  /** There are none any more. Resolves when none is kept. */
  close(): Promise<void>;
}

export interface Place {
  claimer: Claimer;
  /** Executes the run once it is committed, or frees the place where it was not claimed. */
  fill(claim: ClaimedRun | undefined): void;
}

/** Who executes what comes to a place. */
export interface Host {
  claimer: Claimer;
  isFree(): boolean;
  /** The place may not be kept any more. */
  start(claim: ClaimedRun): void;
  /** A place that was kept is free again. */
  onFreed(): void;
}

/** An insertion that takes longer waits for somebody who holds its thread. */
const MOST_KEPT_MS = 1000;

export function createPlaces(): Places {
  let host: Host | undefined;
  let inserting = 0;
  const kept = new Set<Promise<void>>();

  function keep({ claimer, start, onFreed }: Host): Place {
    let resolve = (): void => {};
    const freed = new Promise<void>((done) => {
      resolve = done;
    });
    function free(): void {
      clearTimeout(timer);
      kept.delete(freed);
      resolve();
    }
    const timer = setTimeout(() => {
      free();
      onFreed();
    }, MOST_KEPT_MS).unref();
    kept.add(freed);
    inserting += 1;
    return {
      claimer,
      fill(claim) {
        // Whoever asked for the run is answered first.
        setImmediate(() => {
          inserting -= 1;
          free();
          if (claim) start(claim);
          else onFreed();
        });
      },
    };
  }

  return {
    get kept() {
      return kept.size;
    },
    get inserting() {
      return inserting;
    },
    take: () => (host?.isFree() ? keep(host) : undefined),
    open(opened) {
      host = opened;
    },
    async close() {
      host = undefined;
      await Promise.all(kept);
    },
  };
}
