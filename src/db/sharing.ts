import type pg from 'pg';
import { corkThisTurn } from '../cork.ts';

/** Longer than a statement takes that reads or writes a few rows. */
const SLOW_MS = 20;

/** A connection on which several statements are under way. */
interface Shared {
  client: Promise<pg.PoolClient>;
  /** Whether the pool has given it. */
  isOpen: boolean;
  users: number;
  /** When it last answered. */
  answeredAt: number;
}

/**
 * Lends a connection of the pool to several at once: what they send in one turn of the event loop leaves together, and is
 * answered in order (https://node-postgres.com/features/pipelining). Two processes that wake each other for every statement
 * spend more time on that than on most statements. Where the connection does not answer soon, whoever comes next gets another.
 */
export function createSharing(
  pool: pg.Pool,
): <T>(work: (client: pg.PoolClient) => Promise<T>) => Promise<T> {
  let newest: Shared | undefined;

  function open(): Shared {
    const shared: Shared = {
      client: pool.connect(),
      isOpen: false,
      users: 0,
      answeredAt: performance.now(),
    };
    void shared.client.then(
      () => Object.assign(shared, { isOpen: true, answeredAt: performance.now() }),
      () => {},
    );
    return shared;
  }

  /** Whoever waits in the pool for a connection of his own is not to wait until nobody wants to share any more. */
  function mayBeJoined({ isOpen, answeredAt }: Shared): boolean {
    return !isOpen || (pool.waitingCount === 0 && performance.now() - answeredAt < SLOW_MS);
  }

  return async (work) => {
    if (!newest || !mayBeJoined(newest)) newest = open();
    const shared = newest;
    shared.users++;
    try {
      const client = await shared.client;
      corkThisTurn(client.connection.stream);
      return await work(client);
    } finally {
      shared.users--;
      shared.answeredAt = performance.now();
      if (shared.users === 0) {
        if (newest === shared) newest = undefined;
        void shared.client.then(
          (client) => client.release(),
          () => {},
        );
      }
    }
  };
}
