import type { Claimer, ClaimedRun } from './queue.ts';

/** The worker slots of this process. The insertion of a run takes a free slot and claims the run for it. */
export interface Slots {
  /** Slots kept for current insertions. With 16 runs at once, a server that does not keep them executes a fifth fewer. */
  readonly kept: number;
  /** Current insertions, also after the loss of their slot: each may claim its run. */
  readonly inserting: number;
  /** Keeps a slot for an insertion. Undefined: no slot is free. */
  take(): Slot | undefined;
  /** Offers the slots of a worker from now on. */
  open(host: Host): void;
  /** Offers no more slots. Resolves when no slot is kept. */
  close(): Promise<void>;
}

export interface Slot {
  claimer: Claimer;
  /** Starts the run after the commit of its insertion. Undefined, without a claim: frees the slot. */
  fill(claim: ClaimedRun | undefined): void;
}

/** The worker, as the slots see it. */
export interface Host {
  claimer: Claimer;
  isFree(): boolean;
  /** Executes the run. Its slot may have been lost to another run. */
  start(claim: ClaimedRun): void;
  /** Called when a kept slot is free again. */
  onFreed(): void;
}

/** A longer insertion waits for the lock of its thread: other runs may use the slot. */
const MOST_KEPT_MS = 1000;

export function createSlots(): Slots {
  let host: Host | undefined;
  let inserting = 0;
  const kept = new Set<Promise<void>>();

  function keep({ claimer, start, onFreed }: Host): Slot {
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
        // The client gets its answer before the run begins.
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
