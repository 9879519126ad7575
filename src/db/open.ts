import { createHash } from 'node:crypto';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import type { Config } from '../config.ts';
import { DatabaseAwayError, isDatabaseAway, isUniqueViolation, summarizeError } from '../errors.ts';
import { PrismaClient } from '../generated/prisma/client.ts';
import type { Logger } from '../log.ts';
import { repeat } from '../repeat.ts';
import { openEmbedded } from './embedded.ts';
import { createHints } from './hints.ts';
import { migrate, MIGRATIONS } from './migrate.ts';
import { vacuum } from './vacuum.ts';

export type Query = <Row extends object = Record<string, unknown>>(
  text: string,
  params?: readonly unknown[],
  options?: QueryOptions,
) => Promise<Row[]>;

export interface QueryOptions {
  /** Plan the statement anew, for these values: where the best plan depends on them. Default: it is prepared. */
  planAnew?: boolean;
}

/** The database as the hot path sees it. */
export interface Sql {
  /**
   * Runs one statement. Its text is prepared once per connection, so texts must not hold values. int8 comes as number.
   * Throws DatabaseAwayError where there is no database to ask.
   */
  query: Query;
  /** Runs `work` on one connection between BEGIN and COMMIT; ROLLBACK when it throws. Nothing in it may use another door. */
  transaction<T>(work: (query: Query) => Promise<T>): Promise<T>;
  /** A hint to every process that listens, this one included, after the work it speaks of has been committed. It may get lost. */
  notify(channel: string, payload: string): void;
  /** The same for the other processes alone: this one has been told in more detail. */
  notifyOthers(channel: string, payload: string): void;
  /** Calls `onPayload` for each hint until the returned function is called. */
  listen(channel: string, onPayload: (payload: string) => void): () => void;
}

/** One pool of connections behind two doors. */
export interface Database {
  db: PrismaClient;
  sql: Sql;
  /** True where no other process can be at this database. */
  embedded: boolean;
  /** Waits for the statements that are under way. Nothing can be asked afterwards. */
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 15_000;
const TRANSACTION_ATTEMPTS = 4;
const VACUUM_EVERY_MS = 60_000;

/**
 * What a connection begins with. Prisma's adapter takes every timestamptz for UTC. Compiling a statement takes longer
 * than any of ours runs.
 */
const SESSION = `SET TIME ZONE 'UTC'; SET jit = off`;
/** The embedded database is one session, whose prepared statements outlive the connections. */
const EMBEDDED_SESSION = `${SESSION}; DEALLOCATE ALL`;

/**
 * Opens the database that the configuration names and brings it up to date: PostgreSQL, or the embedded one in
 * `dataDir`, which it creates. Throws when it cannot be reached, is in use (embedded), or is newer than this version.
 */
export async function openDatabase(config: Config, log: Logger): Promise<Database> {
  const embedded = config.databaseUrl ? undefined : await openEmbedded(config.dataDir, log);
  const poolConfig = embedded?.poolConfig ?? {
    connectionString: config.databaseUrl,
    application_name: 'threadql',
    max: config.poolSize,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  };
  const pool = new pg.Pool({
    ...poolConfig,
    // oxlint-disable-next-line typescript/no-misused-promises -- the pool waits for it, whatever its types say
    onConnect: (client) => client.query(embedded ? EMBEDDED_SESSION : SESSION),
  });
  // Without listeners, a connection that breaks would end the process: the pool's while it is idle, and its own at any
  // time, also when the pool has given it up.
  pool.on('error', (error) =>
    log.warn({ reason: summarizeError(error).message }, 'a database connection broke'),
  );
  pool.on('connect', (client) => client.on('error', ignoreBroken));
  try {
    await bringUpToDate(pool, log);
  } catch (error) {
    await pool.end();
    await embedded?.close();
    throw error;
  }

  const statements = createStatements(pool);
  const hints = createHints(
    log,
    embedded
      ? undefined
      : {
          connection: config.databaseListenUrl
            ? { connectionString: config.databaseListenUrl, application_name: 'threadql hints' }
            : poolConfig,
          send: (channel, payload) =>
            statements.query('SELECT pg_notify($1, $2)', [channel, payload]),
        },
  );
  const db = new PrismaClient({ adapter: new PrismaPg(pool), errorFormat: 'minimal' });

  const vacuuming =
    embedded &&
    repeat(() => vacuum(statements.query), {
      pauseMs: VACUUM_EVERY_MS,
      onError: (error) => log.warn({ err: error }, 'The embedded database could not be vacuumed.'),
    });

  async function close(): Promise<void> {
    await vacuuming?.stop();
    await hints.close();
    await db.$disconnect();
    await pool.end();
    await embedded?.close();
  }
  let closed: Promise<void> | undefined;
  return {
    db,
    sql: {
      ...statements,
      notify: hints.notify,
      notifyOthers: hints.notifyOthers,
      listen: hints.listen,
    },
    embedded: embedded !== undefined,
    close: () => (closed ??= close()),
  };
}

async function bringUpToDate(pool: pg.Pool, log: Logger): Promise<void> {
  const client = await pool.connect().catch((error: unknown) => {
    const { host, port, database } = new pg.Client(pool.options);
    throw new Error(
      `Cannot connect to the database "${database}" at ${host}:${port}: ${reasonOf(error)}`,
      { cause: error },
    );
  });
  try {
    const applied = await migrate(client, MIGRATIONS);
    if (applied.length > 0) log.info({ migrations: applied }, 'the database is up to date');
  } finally {
    client.release();
  }
}

/** Why a connection failed, also where every address of a host failed for itself. */
function reasonOf(error: unknown): string {
  const causes: unknown[] = error instanceof AggregateError ? error.errors : [error];
  return causes.map((cause) => summarizeError(cause).message).join('; ');
}

/** `sql` without its hints. */
function createStatements(pool: pg.Pool): Pick<Sql, 'query' | 'transaction'> {
  const names = new Map<string, string>();

  function nameOf(text: string): string {
    let name = names.get(text);
    if (!name) {
      name = createHash('sha1').update(text).digest('base64url');
      names.set(text, name);
    }
    return name;
  }

  function queryOn(client: pg.ClientBase): Query {
    return async <Row extends object>(
      text: string,
      params: readonly unknown[] = [],
      { planAnew = false }: QueryOptions = {},
    ) => {
      const { rows } = await client.query<Row>({
        ...(!planAnew && { name: nameOf(text) }),
        text,
        values: [...params],
        types: TYPES,
      });
      return rows;
    };
  }

  /** Lends a connection, which goes back to the pool unless it broke. */
  async function withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    try {
      const client = await pool.connect();
      try {
        return await work(client);
      } finally {
        client.release();
      }
    } catch (error) {
      throw isDatabaseAway(error) ? new DatabaseAwayError(error) : error;
    }
  }

  async function transactOnce<T>(work: (query: Query) => Promise<T>): Promise<T> {
    return withClient(async (client) => {
      await client.query('BEGIN');
      try {
        const result = await work(queryOn(client));
        const { command } = await client.query('COMMIT');
        // What PostgreSQL answers when `work` swallowed the error of a statement.
        if (command === 'ROLLBACK') throw new Error('A statement of the transaction had failed.');
        return result;
      } catch (error) {
        // Where ROLLBACK fails too, the connection is broken, and with it the transaction.
        await client.query('ROLLBACK').catch(() => {});
        throw error;
      }
    });
  }

  return {
    query: (...statement) => withClient((client) => queryOn(client)(...statement)),
    async transaction(work) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await transactOnce(work);
        } catch (error) {
          if (attempt === TRANSACTION_ATTEMPTS || !isTransient(error)) throw error;
        }
      }
    },
  };
}

/** pg parses int8 to a string. Ours are sequence numbers and versions, all below 2^53. */
const TYPES: pg.CustomTypesConfig = {
  getTypeParser: (type, format) =>
    type === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(type, format),
};

/** The statement that waits gets the error of a broken connection; the event repeats it. */
function ignoreBroken(): void {}

/** The same transaction may succeed at once, after a serialization failure or a deadlock. */
function isTransient(error: unknown): boolean {
  // A run that is going on numbers its events without the thread's lock: it was first.
  if (isUniqueViolation(error, 'RunEvent_pkey')) return true;
  return (
    error instanceof Error && 'code' in error && (error.code === '40001' || error.code === '40P01')
  );
}
