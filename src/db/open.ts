import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import type { Config } from '../config.ts';
import { summarizeError } from '../errors.ts';
import { PrismaClient } from '../generated/prisma/client.ts';
import type { Logger } from '../log.ts';
import { repeat } from '../repeat.ts';
import { openEmbedded } from './embedded.ts';
import { createHints } from './hints.ts';
import { migrate, MIGRATIONS } from './migrate.ts';
import { createStatements } from './statements.ts';
import { vacuum } from './vacuum.ts';

export type Query = <Row extends object = Record<string, unknown>>(
  text: string,
  params?: readonly unknown[],
  options?: QueryOptions,
) => Promise<Row[]>;

export interface QueryOptions {
  /** Plan the statement anew, for these values: where the best plan depends on them. Default: it is prepared. */
  planAnew?: boolean;
  /** It may take long: no other statement is to wait behind it. Default: several may share a connection. */
  takesLong?: boolean;
}

/** The database as the hot path sees it. */
export interface Sql {
  /**
   * Runs one statement. Its text is prepared once per connection, so texts must not hold values. int8 comes as number.
   * Statements that are sent together may be answered one after the other.
   * Throws DatabaseAwayError where there is no database to ask.
   */
  query: Query;
  /** Runs `work` on one connection between BEGIN and COMMIT; ROLLBACK when it throws. Nothing in it may use another door. */
  transaction<T>(work: (query: Query) => Promise<T>): Promise<T>;
  /** A hint to every process that listens, this one included, after the work it speaks of has been committed. It may get lost. */
  notify(channel: string, payload: string): void;
  /** The same for the other processes alone: this one has been told in more detail. */
  notifyOthers(channel: string, payload: string): void;
  /** The same for this process alone: there is nothing yet that others could find. */
  notifyHere(channel: string, payload: string): void;
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
const VACUUM_EVERY_MS = 60_000;

/**
 * What a connection begins with. Prisma's adapter takes every timestamptz for UTC. Compiling a statement takes longer
 * than any of ours runs.
 */
const SESSION = `SET TIME ZONE 'UTC'; SET jit = off`;
/** The embedded database is one session, whose prepared statements outlive the connections. */
const EMBEDDED_SESSION = `${SESSION}; DEALLOCATE ALL`;

/** A payload on each channel. */
const NOTIFY = `SELECT pg_notify(channel, payload) FROM unnest($1::text[], $2::text[]) AS hint(channel, payload)`;

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
    pipeline: true,
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
  const { close: closeHints, ...hints } = createHints(
    log,
    embedded
      ? undefined
      : {
          connection: config.databaseListenUrl
            ? { connectionString: config.databaseListenUrl, application_name: 'threadql hints' }
            : poolConfig,
          send: (channels, payloads) =>
            statements.query(NOTIFY, [channels, payloads], { takesLong: true }),
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
    await closeHints();
    await db.$disconnect();
    await pool.end();
    await embedded?.close();
  }
  let closed: Promise<void> | undefined;
  return {
    db,
    sql: { ...statements, ...hints },
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

/** The statement that waits gets the error of a broken connection; the event repeats it. */
function ignoreBroken(): void {}
