import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import type { Config } from '../config.ts';
import { summarizeError } from '../errors.ts';
import { PrismaClient } from '../generated/prisma/client.ts';
import type { Logger } from '../log.ts';
import { repeat } from '../repeat.ts';
import { createCursors, readSecret } from './cursors.ts';
import { openEmbedded } from './embedded.ts';
import { createHealth } from './health.ts';
import { migrate, MIGRATIONS } from './migrate.ts';
import { createNotifications, type Wire } from './notifications.ts';
import { createPool, listenerOf } from './pool.ts';
import type { Query, Sql } from './query.ts';
import { sql } from './sql.ts';
import { createStatements } from './statements.ts';
import { vacuum } from './vacuum.ts';

/** One pool of connections with two interfaces: Prisma, and SQL. */
export interface Database {
  db: PrismaClient;
  sql: Sql;
  /** True: no other process can use this database. */
  embedded: boolean;
  /** True if the database can be read and written. Answers within three seconds. */
  isReady(): Promise<boolean>;
  /** Waits for the statements in progress. Later statements fail. */
  close(): Promise<void>;
}

const VACUUM_EVERY_MS = 60_000;

/**
 * Opens PostgreSQL at `databaseUrl`, or else the embedded database in `dataDir`, which it creates if necessary. Applies the
 * missing migrations. Throws if the database cannot be reached, is in use (embedded), or is newer than this version.
 */
export async function openDatabase(config: Config, log: Logger): Promise<Database> {
  const embedded = config.databaseUrl ? undefined : await openEmbedded(config.dataDir, log);
  const pool = createPool(config, embedded, log);
  let secret: Buffer;
  try {
    secret = await bringUpToDate(pool, log);
  } catch (error) {
    await pool.end();
    await embedded?.close();
    throw error;
  }

  const { isReady, ...outcomes } = createHealth(pool, embedded?.busyMs);
  const statements = createStatements(pool, outcomes);
  const { close: closeNotifications, ...notifications } = createNotifications(
    log,
    embedded ? undefined : notifyThrough(statements.query, listenerOf(config)),
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
    await closeNotifications();
    await db.$disconnect();
    await pool.end();
    await embedded?.close();
  }
  let closed: Promise<void> | undefined;
  return {
    db,
    sql: { ...statements, ...notifications, cursors: createCursors(secret) },
    embedded: embedded !== undefined,
    isReady,
    close: () => (closed ??= close()),
  };
}

/** The transport: a connection for LISTEN, and a statement for NOTIFY. */
function notifyThrough(query: Query, connection: pg.ClientConfig): Wire {
  return {
    connection,
    send: (channels, payloads) =>
      query(
        sql`SELECT pg_notify(channel, payload)
          FROM unnest(${channels}::text[], ${payloads}::text[]) AS n(channel, payload)`,
        { takesLong: true },
      ),
  };
}

/** Applies the missing migrations. Returns the secret of the database. */
async function bringUpToDate(pool: pg.Pool, log: Logger): Promise<Buffer> {
  const client = await pool.connect().catch((error: unknown) => {
    const { host, port, database } = new pg.Client(pool.options);
    throw new Error(
      `Cannot connect to the database "${database}" at ${host}:${port}: ${reasonOf(error)}`,
      { cause: error },
    );
  });
  try {
    await requireUtf8(client);
    const applied = await migrate(client, MIGRATIONS);
    if (applied.length > 0) log.info({ migrations: applied }, 'the database is up to date');
    return await readSecret(client);
  } finally {
    client.release();
  }
}

async function requireUtf8(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ name: string; encoding: string }>(
    `SELECT current_database() AS "name", current_setting('server_encoding') AS "encoding"`,
  );
  for (const { name, encoding } of rows) {
    if (encoding === 'UTF8') return;
    throw new Error(
      `The database "${name}" has the encoding ${encoding}, and threadql needs UTF8. Create another one: ` +
        `CREATE DATABASE "${name}_utf8" ENCODING 'UTF8' TEMPLATE template0.`,
    );
  }
}

/** The cause of a failed connection: one message for each address of the host. */
function reasonOf(error: unknown): string {
  const causes: unknown[] = error instanceof AggregateError ? error.errors : [error];
  return causes.map((cause) => summarizeError(cause).message).join('; ');
}
