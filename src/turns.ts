import { setImmediate as nextTurn } from 'node:timers/promises';

/** The most time for work in one turn of the event loop. */
const TURN_MS = 5;

/** Divides long work into turns of the event loop. The server answers requests between two turns. */
export interface Turns {
  /** True if the time of this turn is over. */
  isOver(): boolean;
  /** Resolves in the next turn. */
  next(): Promise<void>;
}

export function createTurns(): Turns {
  let began = performance.now();
  return {
    isOver: () => performance.now() - began > TURN_MS,
    async next() {
      await nextTurn();
      began = performance.now();
    },
  };
}
