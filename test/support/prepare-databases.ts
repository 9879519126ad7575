import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import pg from 'pg';
import { pino } from 'pino';
import type { TestProject } from 'vitest/node';
import { readConfig } from '../../src/config.ts';
import { openDatabase } from '../../src/db/open.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The database of this project. */
    database: 'embedded' | 'postgres';
    /** The PostgreSQL server for the databases of the tests. */
    testDatabaseUrl: string | undefined;
    /** The template of each test's database: a data directory, or the name of a database. */
    template: string;
  }
}

/** The prefix of all names that test runs on this machine create. The id of the process follows. */
const PREFIX = `threadql_test_${createHash('sha1').update(os.hostname()).digest('hex').slice(0, 6)}_`;
const SHARED_MEMORY = '/dev/shm';
const ENOUGH_BYTES = 2 ** 31;

/** Prepares the migrated template of all test databases, once per run and project. */
export default async function prepare(project: TestProject): Promise<() => Promise<void>> {
  const { database, testDatabaseUrl } = project.getProvidedContext();
  return database === 'postgres'
    ? preparePostgres(project, testDatabaseUrl ?? '')
    : prepareEmbedded(project);
}

async function prepareEmbedded(project: TestProject): Promise<() => Promise<void>> {
  const parent = await findFastFolder();
  for (const name of await readdir(parent)) {
    if (isAbandoned(name)) await rm(path.join(parent, name), { recursive: true, force: true });
  }
  const folder = await mkdtemp(path.join(parent, `${PREFIX}${process.pid}_`));
  const template = path.join(folder, 'template');
  await migrate({ THREADQL_DATA_DIR: template });
  project.provide('template', template);
  return () => rm(folder, { recursive: true, force: true });
}

/** A copy of a database takes 50 ms in memory, and one or two seconds on many disks. */
async function findFastFolder(): Promise<string> {
  const memory = await statfs(SHARED_MEMORY).catch(() => undefined);
  const free = memory ? memory.bavail * memory.bsize : 0;
  return free > ENOUGH_BYTES ? SHARED_MEMORY : os.tmpdir();
}

async function preparePostgres(project: TestProject, url: string): Promise<() => Promise<void>> {
  const template = `${PREFIX}${process.pid}_${randomBytes(3).toString('hex')}`;
  await withClient(url, async (client) => {
    for (const name of await findDatabases(client)) {
      if (isAbandoned(name)) await drop(client, name);
    }
    await client.query(`CREATE DATABASE ${template}`);
  });
  await migrate({ DATABASE_URL: nameDatabase(url, template) });
  project.provide('template', template);
  return () =>
    withClient(url, async (client) => {
      for (const name of await findDatabases(client)) {
        if (name.startsWith(template)) await drop(client, name);
      }
    });
}

async function migrate(env: NodeJS.ProcessEnv): Promise<void> {
  const database = await openDatabase(readConfig(env), pino({ level: 'silent' }));
  await database.close();
}

/** The URL of another database on the same server. */
function nameDatabase(url: string, name: string): string {
  return Object.assign(new URL(url), { pathname: `/${name}` }).href;
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function findDatabases(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT datname AS name FROM pg_database WHERE starts_with(datname, $1)`,
    [PREFIX],
  );
  return rows.map(({ name }) => name);
}

async function drop(client: pg.Client, name: string): Promise<void> {
  await client.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`);
}

/** Whether a killed test run of this machine left this folder or database. */
function isAbandoned(name: string): boolean {
  if (!name.startsWith(PREFIX)) return false;
  const pid = Number(name.slice(PREFIX.length).split('_')[0]);
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH';
  }
}
