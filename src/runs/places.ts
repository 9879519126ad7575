import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Claimer, ClaimedRun } from './queue.ts';

/**
 * Where this process executes runs. One that is inserted while a place is free is claimed by its insertion: it need not be
 * looked for.
 */
export interface Places {
  /** How many are kept for runs that are being inserted. */
  readonly kept: number;
  /** Keeps a place for a run that is about to be inserted; undefined where none is free. */
  take(): Place | undefined;
  /** There are places from now on. */
  open(host: Host): void;
  /** There are none any more. Resolves when every one that was kept is filled, or free again. */
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
  start(claim: ClaimedRun): void;
  /** A place that was kept is free again. */
  onFreed(): void;
}

export function createPlaces(): Places {
  let host: Host | undefined;
  const kept = new Set<Promise<void>>();

  function keep({ claimer, start, onFreed }: Host): Place {
    let fill: Place['fill'] = () => {};
    const filled = new Promise<ClaimedRun | undefined>((resolve) => {
      fill = resolve;
    }).then(async (claim) => {
      // Whoever asked for the run is answered first.
      await nextTurn();
      kept.delete(filled);
      if (claim) start(claim);
      else onFreed();
    });
    kept.add(filled);
    return { claimer, fill };
  }

  return {
    get kept() {
      return kept.size;
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
