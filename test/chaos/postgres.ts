import { execFile, spawn, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { freePort } from '../support/free-port.ts';

/** A database for faults. */
export interface ChaosDatabase extends AsyncDisposable {
  url: string;
  /** Kills PostgreSQL and starts it again. Undefined: the server has other users too. */
  restart: (() => Promise<void>) | undefined;
  /** Sends a statement. Repeats it while the database is unavailable. */
  query<Row extends object>(text: string, params?: unknown[]): Promise<Row[]>;
  /** Breaks every connection except its own. */
  terminateConnections(): Promise<void>;
}

const DEBIAN = '/usr/lib/postgresql';
const ATTEMPTS = 600;

/** Starts a new PostgreSQL. Without the programs for it, creates a database on the server at `sharedUrl`. */
export async function openChaosDatabase(sharedUrl: string | undefined): Promise<ChaosDatabase> {
  const programs = await findPrograms();
  if (programs) return startPostgres(programs);
  if (sharedUrl) return createDatabase(sharedUrl);
  throw new Error('There is no PostgreSQL: install one, or set TEST_DATABASE_URL.');
}

/** Returns the folder of initdb and pg_ctl in the newest version. */
async function findPrograms(): Promise<string | undefined> {
  const folders = [
    ...(await readdir(DEBIAN).catch((): string[] => []))
      .toSorted((a, b) => Number(b) - Number(a))
      .map((version) => path.join(DEBIAN, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(path.delimiter),
  ];
  for (const folder of folders) {
    const names = await readdir(folder).catch((): string[] => []);
    if (names.includes('initdb') && names.includes('pg_ctl')) return folder;
  }
  return undefined;
}

async function startPostgres(programs: string): Promise<ChaosDatabase> {
  const scratch = await mkdtemp(path.join(os.tmpdir(), 'threadql-chaos-'));
  const isRoot = process.getuid?.() === 0;
  const data = path.join(scratch, 'data');

  /** PostgreSQL refuses to run as root. */
  function commandOf(program: string, args: string[]): string[] {
    const command = [path.join(programs, program), ...args];
    return isRoot ? ['runuser', '-u', 'postgres', '--', ...command] : command;
  }

  /** The output is discarded, because the server inherits the pipes. */
  async function run(program: string, args: string[]): Promise<void> {
    const [name = '', ...rest] = commandOf(program, args);
    const child = spawn(name, rest, { cwd: '/', stdio: 'ignore' });
    const [status] = await once(child, 'exit');
    if (status !== 0) throw new Error(`${program} ended with ${status}.`);
  }
  const control = (...args: string[]) => run('pg_ctl', ['-D', data, '-w', ...args]);

  /** Also after a failure. */
  function stopOnExit(): void {
    const [name = '', ...rest] = commandOf('pg_ctl', ['-D', data, '-m', 'immediate', 'stop']);
    spawnSync(name, rest, { cwd: '/', stdio: 'ignore' });
    rmSync(scratch, { recursive: true, force: true });
  }
  process.once('exit', stopOnExit);

  async function stop(): Promise<void> {
    process.off('exit', stopOnExit);
    await control('-m', 'immediate', 'stop').catch(() => {});
    await rm(scratch, { recursive: true, force: true });
  }

  try {
    const port = await freePort();
    await chmod(scratch, 0o755);
    if (isRoot) await promisify(execFile)('chown', ['postgres', scratch]);
    await run('initdb', [
      '-D',
      data,
      '-U',
      'postgres',
      '-A',
      'trust',
      '-E',
      'UTF8',
      '--no-locale',
      '--no-sync',
    ]);
    // Data of a killed process survives without fsync. This test does not cover the loss of the machine.
    const options = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off`;
    await control('-l', path.join(scratch, 'log'), '-o', options, 'start');
    return openDatabase(`postgres://postgres@127.0.0.1:${port}/postgres`, {
      restart: () => control('-l', path.join(scratch, 'log'), '-m', 'immediate', 'restart'),
      dispose: stop,
    });
  } catch (error) {
    await stop();
    throw error;
  }
}

async function createDatabase(sharedUrl: string): Promise<ChaosDatabase> {
  const name = `threadql_chaos_${process.pid}_${randomBytes(3).toString('hex')}`;
  await executeOn(sharedUrl, `CREATE DATABASE ${name}`);
  return openDatabase(Object.assign(new URL(sharedUrl), { pathname: `/${name}` }).href, {
    restart: undefined,
    dispose: () => executeOn(sharedUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  });
}

async function executeOn(url: string, statement: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

function openDatabase(
  url: string,
  { restart, dispose }: Pick<ChaosDatabase, 'restart'> & { dispose(): Promise<void> },
): ChaosDatabase {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'chaos',
    max: 2,
    connectionTimeoutMillis: 5000,
  });
  pool.on('error', () => {});

  async function query<Row extends object>(text: string, params: unknown[] = []): Promise<Row[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return (await pool.query<Row>(text, params)).rows;
      } catch (error) {
        const isRefused = error instanceof pg.DatabaseError && !error.code?.startsWith('57P');
        if (isRefused || attempt === ATTEMPTS) throw error;
        await sleep(100);
      }
    }
  }

  return {
    url,
    restart,
    query,
    async terminateConnections() {
      await query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name <> 'chaos' AND pid <> pg_backend_pid()`,
      );
    },
    async [Symbol.asyncDispose]() {
      await pool.end();
      await dispose();
    },
  };
}
