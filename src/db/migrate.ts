import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type pg from 'pg';
import { compile, sql } from './sql.ts';

/** The folder of the migrations, independent of the working directory. */
export const MIGRATIONS = path.join(import.meta.dirname, '../../prisma/migrations');

interface Migration {
  name: string;
  script: string;
  checksum: string;
}

/** The same lock as in Prisma: `prisma migrate deploy` and a starting server wait for each other. */
const LOCK = 72707369;

/** The table of Prisma, unchanged. */
const HISTORY_TABLE = `
  CREATE TABLE _prisma_migrations (
    id                      VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum                VARCHAR(64) NOT NULL,
    finished_at             TIMESTAMPTZ,
    migration_name          VARCHAR(255) NOT NULL,
    logs                    TEXT,
    rolled_back_at          TIMESTAMPTZ,
    started_at              TIMESTAMPTZ NOT NULL DEFAULT now(),
    applied_steps_count     INTEGER NOT NULL DEFAULT 0
  )`;

/**
 * Applies the missing migrations, all or none, and returns their names. Processes that start at the same time wait for each
 * other. Throws if the history of the database is not the beginning of the history of this version.
 */
export async function migrate(client: pg.ClientBase, folder: string): Promise<string[]> {
  const migrations = await readMigrations(folder);
  await client.query('BEGIN');
  try {
    await client.query(`SELECT pg_advisory_xact_lock(${LOCK})`);
    const missing = await findMissing(client, migrations);
    for (const migration of missing) await apply(client, migration);
    await client.query('COMMIT');
    return missing.map(({ name }) => name);
  } catch (error) {
    // ROLLBACK fails on a broken connection; the first error is the useful one.
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  return Promise.all(
    names.toSorted().map(async (name) => {
      const text = await readFile(path.join(folder, name, 'migration.sql'), 'utf8');
      // Git may check files out with Windows line ends, which must not change the checksum.
      const script = text.replaceAll('\r\n', '\n');
      return { name, script, checksum: createHash('sha256').update(script).digest('hex') };
    }),
  );
}

async function findMissing(client: pg.ClientBase, migrations: Migration[]): Promise<Migration[]> {
  const { rows } = await client.query(`SELECT to_regclass('_prisma_migrations') AS found`);
  if (rows[0].found === null) await client.query(HISTORY_TABLE);
  const { rows: history } = await client.query<{ name: string; checksum: string; done: boolean }>(
    `SELECT migration_name AS name, checksum, finished_at IS NOT NULL AS done
     FROM _prisma_migrations WHERE rolled_back_at IS NULL ORDER BY started_at`,
  );
  const known = new Map(migrations.map((migration) => [migration.name, migration]));
  for (const { name, checksum, done } of history) {
    const migration = known.get(name);
    if (!migration) {
      throw new Error(
        `The database has the migration ${name}, which this version does not know: a newer version wrote it. Start that one.`,
      );
    }
    if (!done) {
      throw new Error(
        `The migration ${name} was begun and not finished: repair the database with \`prisma migrate resolve\`.`,
      );
    }
    if (checksum !== migration.checksum) {
      throw new Error(
        `The migration ${name} is not what was applied to the database: its file has changed since. Restore the file, and write changes as a new migration.`,
      );
    }
  }
  const applied = new Set(history.map(({ name }) => name));
  return migrations.filter(({ name }) => !applied.has(name));
}

async function apply(client: pg.ClientBase, { name, script, checksum }: Migration): Promise<void> {
  await client.query(script).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`The migration ${name} failed, and nothing was changed: ${reason}`, {
      cause: error,
    });
  });
  const { text, values } = compile(
    sql`INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
     VALUES (${randomUUID()}, ${checksum}, ${name}, clock_timestamp(), clock_timestamp(), 1)`,
  );
  await client.query(text, values);
}
