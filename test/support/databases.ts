import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { inject } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { openDatabase, type Database } from '../../src/db/open.ts';
import type { Query } from '../../src/db/query.ts';
import { sql, type Statement } from '../../src/db/sql.ts';
import { createLogger, type Logger } from '../../src/log.ts';

/** The database settings of a server. */
export interface TestDatabase {
  databaseUrl: string | undefined;
  dataDir: string;
  /** Deletes the database and closes its connections. */
  dispose(): Promise<void>;
}

/** Creates a migrated, empty database on the engine of this project. */
export async function createTestDatabase(): Promise<TestDatabase> {
  return copyTemplate(inject('template'));
}

/** Creates a database without migrations. On the embedded engine, the directory does not exist yet. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  return copyTemplate(undefined);
}

async function copyTemplate(template: string | undefined): Promise<TestDatabase> {
  const url = inject('testDatabaseUrl');
  return inject('database') === 'postgres' && url
    ? createPostgres(url, template)
    : createEmbedded(template);
}

async function createEmbedded(template: string | undefined): Promise<TestDatabase> {
  // The folder is beside the template. The end of the test run deletes both.
  const folder = await mkdtemp(path.join(inject('template'), '../data-'));
  const dataDir = path.join(folder, 'nested/data');
  if (template) await copyFolder(template, dataDir);
  return {
    databaseUrl: undefined,
    dataDir,
    dispose: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Like `cp` of node:fs, ten times as fast. */
async function copyFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  const entries = await readdir(from, { withFileTypes: true });
  await Promise.all(
    entries.map(async (entry) => {
      const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)];
      return entry.isDirectory() ? copyFolder(source, target) : copyFile(source, target);
    }),
  );
}

async function createPostgres(url: string, template = 'template1'): Promise<TestDatabase> {
  // Every name begins with the name of the template. The end of the test run deletes all of them.
  const name = `${inject('template')}_${randomBytes(4).toString('hex')}`;
  await execute(url, `CREATE DATABASE ${name} TEMPLATE ${template}`);
  return {
    databaseUrl: Object.assign(new URL(url), { pathname: `/${name}` }).href,
    dataDir: path.join(os.tmpdir(), name),
    dispose: () => execute(url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  };
}

const OBJECT_IN_USE = '55006';
const ATTEMPTS = 50;

async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        await client.query(statement);
        return;
      } catch (error) {
        const busy = error instanceof pg.DatabaseError && error.code === OBJECT_IN_USE;
        if (!busy || attempt === ATTEMPTS) throw error;
        await sleep(100);
      }
    }
  } finally {
    await client.end();
  }
}

/** Opens the two connections of the server to a database: pool and Prisma. */
export async function openTestDatabase(
  { databaseUrl, dataDir }: TestDatabase,
  log: Logger = createLogger('silent'),
): Promise<Database> {
  return openDatabase({ ...readConfig({}), databaseUrl, dataDir }, log);
}

/** Queries a database without a server. An embedded database must not have a server meanwhile. */
export async function queryDirectly<Row extends object>(
  database: TestDatabase,
  statement: Statement,
): Promise<Row[]> {
  const opened = await openTestDatabase(database);
  try {
    return await opened.sql.query<Row>(statement);
  } finally {
    await opened.close();
  }
}

/** Whether another session waits for a lock of the transaction of `query`. PostgreSQL only. */
export async function isWaitedFor(query: Query): Promise<boolean> {
  const waiting = await query(
    sql`SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))`,
  );
  return waiting.length > 0;
}
