import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import type pg from 'pg';
import type { Logger } from '../log.ts';
import { ownDataDirectory } from './data-directory.ts';

export interface Embedded {
  /** How to reach it: one connection, kept. */
  poolConfig: pg.PoolConfig;
  /** To be called after the pool has ended. */
  close(): Promise<void>;
}

/**
 * Opens the PostgreSQL that lives in `dataDir` (PGlite), or creates it, in a thread of its own. Throws when another
 * process has it open.
 */
export async function openEmbedded(dataDir: string, log: Logger): Promise<Embedded> {
  const release = await ownDataDirectory(path.resolve(dataDir));
  try {
    const directory = path.join(path.resolve(dataDir), 'database');
    if (!existsSync(directory)) {
      log.info(`creating the embedded database in ${dataDir}; the first time takes a few seconds`);
    }
    return await startThread(directory, { log, release });
  } catch (error) {
    await release();
    throw error;
  }
}

async function startThread(
  directory: string,
  { log, release }: { log: Logger; release: () => Promise<void> },
): Promise<Embedded> {
  const socketDir = await mkdtemp(path.join(os.tmpdir(), 'threadql-')); // 0700
  const socket = process.platform === 'win32' ? undefined : path.join(socketDir, '.s.PGSQL.5432');
  const worker = new Worker(new URL('./embedded-worker.js', import.meta.url), {
    workerData: { directory, socket },
    execArgv: [],
  });
  let closing = false;
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));

  const address = await new Promise<string>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('its thread ended')));
  }).catch(async (error: Error) => {
    await rm(socketDir, { recursive: true, force: true });
    throw new Error(`The embedded database in ${directory} does not open: ${error.message}`, {
      cause: error,
    });
  });
  worker.on('error', (error) => log.fatal({ err: error }, 'the embedded database broke'));
  worker.once('exit', () => {
    if (!closing) log.fatal('the embedded database has ended; start the server again');
  });

  return {
    poolConfig: {
      host: socket ? socketDir : '127.0.0.1',
      port: socket ? 5432 : Number(address.slice(address.lastIndexOf(':') + 1)),
      user: 'postgres',
      database: 'postgres',
      ssl: false,
      max: 1,
      idleTimeoutMillis: 0,
    },
    async close() {
      closing = true;
      worker.postMessage('close');
      await ended;
      await rm(socketDir, { recursive: true, force: true });
      await release();
    },
  };
}
