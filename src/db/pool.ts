import pg from 'pg';
import type { Config } from '../config.ts';
import { reasonOf, type Logger } from '../log.ts';
import type { Embedded } from './embedded.ts';
import { beginSession, SESSION } from './session.ts';

const CONNECT_TIMEOUT_MS = 15_000;

/** The embedded database has one session. Its prepared statements outlive the connections, so a new connection removes them. */
const EMBEDDED_SESSION = `${SESSION}; DEALLOCATE ALL`;

/** Creates the pool of the embedded database, or else of PostgreSQL at `databaseUrl`. */
export function createPool(config: Config, embedded: Embedded | undefined, log: Logger): pg.Pool {
  const pool = new pg.Pool({
    ...(embedded?.poolConfig ?? serverOf(config)),
    pipeline: true,
    // oxlint-disable-next-line typescript/no-misused-promises -- the pool waits for the promise, in spite of its types
    onConnect: (client) => beginSession(client, embedded ? EMBEDDED_SESSION : SESSION),
  });
  // An `error` event without a listener ends the process. The pool emits it for idle connections; a connection emits it at
  // any time, even after the pool has dropped it.
  pool.on('error', (error) => log.warn(reasonOf(error), 'a database connection broke'));
  pool.on('connect', (client) => client.on('error', ignoreBroken));
  return pool;
}

function serverOf(config: Config): pg.PoolConfig {
  return {
    connectionString: config.databaseUrl,
    application_name: 'threadql',
    max: config.poolSize,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  };
}

/** The connection for LISTEN: a pooler in transaction mode needs a URL of its own for it. */
export function listenerOf(config: Config): pg.ClientConfig {
  return config.databaseListenUrl
    ? { connectionString: config.databaseListenUrl, application_name: 'threadql hints' }
    : serverOf(config);
}

/** The statement in progress gets the same error. */
function ignoreBroken(): void {}
