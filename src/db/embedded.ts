import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type pg from 'pg';
import type { Logger } from '../log.ts';
import { within } from '../within.ts';
import { ownDataDirectory } from './data-directory.ts';
import { EmbeddedStream, type Link } from './embedded-stream.ts';

export interface Embedded {
  /** A pool with one permanent connection. */
  poolConfig: pg.PoolConfig;
  /** The time since the start of the present statement; 0 without a statement. */
  busyMs(): number;
  /** Called after the pool has ended. */
  close(): Promise<void>;
}

/** The pause before a broken thread is replaced. It doubles each time, up to the longest. */
const SHORTEST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 5000;
/** Opening takes a second, or longer if it must replay the WAL since the last checkpoint of PostgreSQL. */
const OPEN_WITHIN_MS = 120_000;
/** Closing ends the present statement and writes a checkpoint of PostgreSQL. */
const CLOSE_WITHIN_MS = 10_000;

/**
 * Opens or creates the embedded database (PGlite) in `dataDir`, in a thread of its own. Throws if another process has it open.
 * A broken thread is replaced until the database is open again; committed data is kept. In between, connections are refused.
 */
export async function openEmbedded(dataDir: string, log: Logger): Promise<Embedded> {
  const release = await ownDataDirectory(path.resolve(dataDir), log);
  const directory = path.join(path.resolve(dataDir), 'database');
  const first = await startFirst(directory, log).catch(async (error: unknown) => {
    await release();
    throw error;
  });
  const closing = new AbortController();
  const engine: Engine = { directory, thread: first };
  const kept = keepOpen(engine, { first, log, closing: closing.signal });

  return {
    poolConfig: {
      stream: () => new EmbeddedStream(engine.thread?.link),
      user: 'postgres',
      database: 'postgres',
      ssl: false,
      max: 1,
      idleTimeoutMillis: 0,
    },
    busyMs: () => engine.thread?.busyMs() ?? 0,
    async close() {
      closing.abort();
      const isInOrder = (await engine.thread?.close()) ?? true;
      await kept;
      await release();
      if (isInOrder) return;
      log.warn(
        `the embedded database did not close within ${CLOSE_WITHIN_MS / 1000} s and was cut off; what was committed is kept`,
      );
    },
  };
}

interface Engine {
  directory: string;
  /** Undefined while the database is not open. */
  thread: EngineThread | undefined;
}

async function startFirst(directory: string, log: Logger): Promise<EngineThread> {
  if (!existsSync(directory)) {
    const parent = path.dirname(directory);
    log.info(`creating the embedded database in ${parent}; the first time takes a few seconds`);
  }
  return startThread(directory).catch((error: Error) => {
    throw new Error(`The embedded database in ${directory} does not open: ${error.message}`, {
      cause: error,
    });
  });
}

/** Opens the database again after each end of its thread. */
async function keepOpen(
  engine: Engine,
  { first, log, closing }: { first: EngineThread; log: Logger; closing: AbortSignal },
): Promise<void> {
  let reason = await first.ended;
  let retryMs = SHORTEST_RETRY_MS;
  while (!closing.aborted) {
    engine.thread = undefined;
    log.error({ reason, retryMs }, 'the embedded database broke; it is opened again');
    await sleep(retryMs, undefined, { signal: closing }).catch(() => {});
    if (closing.aborted) return;
    retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
    try {
      const thread = await startThread(engine.directory, closing);
      engine.thread = thread;
      if (closing.aborted) await thread.close();
      else log.info('the embedded database is open again');
      const openedAt = performance.now();
      reason = await thread.ended;
      if (performance.now() - openedAt > LONGEST_RETRY_MS) retryMs = SHORTEST_RETRY_MS;
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
  }
}

/** A message of the thread. */
interface ThreadMessage {
  /** The database is open. */
  open?: true;
  /** The reason for the end of the thread. */
  failure?: string;
  /** An answer to a connection. */
  id?: number;
  bytes?: Uint8Array<ArrayBuffer>;
}

/** A thread with an open database. */
interface EngineThread {
  link: Link;
  busyMs(): number;
  /** Resolves with the reason when the thread has ended. */
  ended: Promise<string>;
  /** True if the database closed in time; otherwise the thread was terminated. */
  close(): Promise<boolean>;
}

/** Throws if the database does not open in time or `signal` is aborted before. */
async function startThread(directory: string, signal?: AbortSignal): Promise<EngineThread> {
  const shared = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
  const atWork = new BigInt64Array(shared);
  const worker = new Worker(new URL('./embedded-worker.js', import.meta.url), {
    workerData: { directory, atWork: shared },
    execArgv: [],
  });
  const streams = new Map<number, EmbeddedStream>();
  let failure = 'its thread ended';
  worker.on('message', (message: ThreadMessage) => {
    if (message.failure) failure = message.failure;
  });
  worker.on('error', (error: unknown) => {
    failure = error instanceof Error ? error.message : String(error);
  });
  const ended = new Promise<string>((resolve) => {
    worker.once('exit', () => {
      // pg rejects the waiting statements of each connection.
      for (const stream of streams.values()) stream.destroy();
      resolve(failure);
    });
  });
  await isOpen(worker, ended, signal);
  worker.on('message', ({ id, bytes }: ThreadMessage) => {
    if (id && bytes) streams.get(id)?.receive(bytes);
  });

  return {
    ended,
    busyMs() {
      const since = Number(Atomics.load(atWork, 0));
      return since === 0 ? 0 : Date.now() - since;
    },
    link: {
      send: (id, bytes) => worker.postMessage({ id, bytes }, bytes ? [bytes.buffer] : []),
      add: (id, stream) => void streams.set(id, stream),
      remove(id) {
        if (streams.delete(id)) worker.postMessage({ id });
      },
    },
    async close() {
      worker.postMessage('close');
      const isInOrder = await within(CLOSE_WITHIN_MS, ended);
      if (!isInOrder) await worker.terminate();
      return isInOrder;
    },
  };
}

async function isOpen(worker: Worker, ended: Promise<string>, signal?: AbortSignal): Promise<void> {
  const opened = new Promise<boolean>((resolve) => {
    worker.once('message', ({ open }: ThreadMessage) => open && resolve(true));
  });
  const aborted = new Promise<string>((resolve) => {
    signal?.addEventListener('abort', () => resolve('the server stops'));
  });
  const late = sleep(OPEN_WITHIN_MS, `it took longer than ${OPEN_WITHIN_MS / 1000} s`, {
    ref: false,
  });
  const outcome = await Promise.race([opened, ended, aborted, late]);
  if (outcome === true) return;
  await worker.terminate();
  throw new Error(String(outcome));
}
