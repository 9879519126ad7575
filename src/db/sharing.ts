import type pg from 'pg';
import { DatabaseAwayError, outdatesConnection } from '../errors.ts';

/** A statement for a few rows takes less time. */
const SLOW_MS = 20;

/** A connection with several statements in progress. */
interface Shared {
  client: Promise<pg.PoolClient>;
  /** True after the pool has opened the connection. */
  isOpen: boolean;
  users: number;
  /** The time of the last answer. */
  answeredAt: number;
  /** The connection is broken or leads to a server that refuses writes. A new one may lead to another server. */
  isOutdated: boolean;
}

/** Takes a connection from the pool. If that fails, the statement was not sent. */
export async function takeConnection(pool: pg.Pool): Promise<pg.PoolClient> {
  return pool.connect().catch((error: unknown) => {
    throw new DatabaseAwayError(error, { changedNothing: true });
  });
}

/**
 * Lends one connection of the pool to several callers. PostgreSQL answers their statements in order
 * (https://node-postgres.com/features/pipelining): waking a process for each statement costs more than most statements. If the
 * connection does not answer within SLOW_MS, the next caller gets another one. With 16 runs at once, a server executes 1.5 times as
 * many per second as with a connection for each statement; with 64, 1.2 times.
 */
export function createSharing(
  pool: pg.Pool,
): <T>(work: (client: pg.PoolClient) => Promise<T>) => Promise<T> {
  let newest: Shared | undefined;

  function open(): Shared {
    const shared: Shared = {
      client: takeConnection(pool),
      isOpen: false,
      users: 0,
      answeredAt: performance.now(),
      isOutdated: false,
    };
    void shared.client.then(
      () => Object.assign(shared, { isOpen: true, answeredAt: performance.now() }),
      () => {},
    );
    return shared;
  }

  /** False while a caller waits in the pool for a connection of its own: sharing must not keep the connection forever. */
  function mayBeJoined({ isOpen, answeredAt, isOutdated }: Shared): boolean {
    if (isOutdated) return false;
    return !isOpen || (pool.waitingCount === 0 && performance.now() - answeredAt < SLOW_MS);
  }

  return async (work) => {
    if (!newest || !mayBeJoined(newest)) newest = open();
    const shared = newest;
    shared.users++;
    try {
      const client = await shared.client;
      return await work(client);
    } catch (error) {
      shared.isOutdated ||= outdatesConnection(error);
      throw error;
    } finally {
      shared.users--;
      shared.answeredAt = performance.now();
      if (shared.users === 0) {
        if (newest === shared) newest = undefined;
        void shared.client.then(
          (client) => client.release(shared.isOutdated),
          () => {},
        );
      }
    }
  };
}
