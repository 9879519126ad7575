import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';

/** The storage of a server. It outlives the server's processes. */
export interface Store extends AsyncDisposable {
  databaseUrl: string | undefined;
  dataDir: string;
  /** Returns its size on disk. */
  sizeMiB(): Promise<number>;
}

const MIB = 1024 * 1024;
const PREFIX = 'threadql_bench_';

export const POSTGRES_URL =
  process.env['TEST_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres';

export async function createDirectory(): Promise<Store> {
  const dataDir = await mkdtemp(path.join(os.tmpdir(), 'threadql-bench-'));
  // Also when the benchmark is stopped.
  const removeOnExit = () => rmSync(dataDir, { recursive: true, force: true });
  process.once('exit', removeOnExit);
  return {
    databaseUrl: undefined,
    dataDir,
    sizeMiB: () => directoryMiB(dataDir),
    async [Symbol.asyncDispose]() {
      process.off('exit', removeOnExit);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** A new database on the PostgreSQL at TEST_DATABASE_URL. */
export async function createPostgres(): Promise<Store> {
  const name = `${PREFIX}${process.pid}_${randomBytes(3).toString('hex')}`;
  await dropLeftovers();
  await queryPostgres(`CREATE DATABASE ${name}`);
  const databaseUrl = Object.assign(new URL(POSTGRES_URL), { pathname: `/${name}` }).href;
  return {
    databaseUrl,
    dataDir: os.tmpdir(),
    async sizeMiB() {
      const [row] = await queryPostgres<{ bytes: string }>(
        `SELECT pg_database_size('${name}') AS "bytes"`,
      );
      return Number(row?.bytes) / MIB;
    },
    async [Symbol.asyncDispose]() {
      await queryPostgres(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
  };
}

export async function queryPostgres<Row extends object>(statement: string): Promise<Row[]> {
  const client = new pg.Client(POSTGRES_URL);
  await client.connect();
  try {
    return (await client.query<Row>(statement)).rows;
  } finally {
    await client.end();
  }
}

/** Drops the databases of killed benchmarks. */
async function dropLeftovers(): Promise<void> {
  const rows = await queryPostgres<{ datname: string }>(
    `SELECT datname FROM pg_database WHERE datname LIKE '${PREFIX}%'`,
  );
  for (const { datname } of rows) {
    const pid = Number(datname.slice(PREFIX.length).split('_')[0]);
    if (!isAlive(pid)) await queryPostgres(`DROP DATABASE IF EXISTS ${datname} WITH (FORCE)`);
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function directoryMiB(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async ({ parentPath, name }) => (await stat(path.join(parentPath, name))).blocks * 512);
  return (await Promise.all(sizes)).reduce((sum, bytes) => sum + bytes, 0) / MIB;
}
