// The embedded database's thread. Plain JavaScript: threads do not inherit the TypeScript loader on Node 20.
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import process from 'node:process';
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import { NodeFS } from '@electric-sql/pglite/nodefs';
import { closeToOthers, withoutOthers } from './owner-only.js';

/**
 * One or more whole messages of the PostgreSQL protocol from connection `id`. Without bytes: the connection has ended.
 *
 * @typedef {{ id: number, bytes?: Uint8Array }} Packet
 * @type {{ directory: string, atWork: SharedArrayBuffer }}
 */
const { directory, atWork: shared } = workerData;

/** Small pieces of an answer leave together. */
const GATHERED_BYTES = 65_536;

/** Since when a statement is being executed, in milliseconds since 1970; 0: none is. */
const atWork = new BigInt64Array(shared);

/** @type {Packet[]} */
const waiting = [];
let isDraining = false;
/** The connection with an open transaction: the others wait. */
let owner = 0;

/** Makes files private to their owner. The umask of PostgreSQL has no effect in the engine. */
class OwnFiles extends NodeFS {
  /** @type {NodeFS['init']} */
  async init(pg, options) {
    const { emscriptenOpts } = await super.init(pg, options);
    return { emscriptenOpts: { ...emscriptenOpts, preRun: [...emscriptenOpts.preRun, mask] } };
  }
}

function mask({ FS }) {
  const { mknod, chmod } = FS;
  FS.mknod = (file, mode, device) => mknod(file, withoutOthers(mode), device);
  FS.chmod = (file, mode, ...more) => chmod(file, withoutOthers(mode), ...more);
}

/** The last fatal error of PostgreSQL. */
let lastWords = '';

if (!existsSync(directory)) await create();
closeToOthers(directory);
const db = await open(directory);
endWhenBroken();
parentPort.postMessage({ open: true });

parentPort.on('message', (message) => {
  if (message === 'close') void close();
  else {
    waiting.push(message);
    if (!isDraining) void drain();
  }
});

/** Creates the database under a temporary name, so that an interrupted creation leaves nothing under the final name. */
async function create() {
  const unfinished = `${directory}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true, mode: 0o700 });
  await (await open(unfinished)).close();
  await rename(unfinished, directory);
}

/** @param {string} place */
async function open(place) {
  try {
    return await PGlite.create({ fs: new OwnFiles(place), onStderr: listen });
  } catch (error) {
    throw lastWords ? new Error(lastWords, { cause: error }) : error;
  }
}

/** @param {string} line */
function listen(line) {
  [lastWords] = /\b(FATAL|PANIC): .*/.exec(line) ?? [lastWords];
  return false; // not to be printed
}

/**
 * After each SQL error, PostgreSQL jumps out of its main loop: an exception with this status. Any other exception is a broken
 * engine, such as a PANIC on a full disk. PGlite would continue to call it forever.
 */
const LONG_JUMP = 100;

/** Ends this thread as soon as the engine breaks. Committed data is in its files. */
function endWhenBroken() {
  const engine = db.Module;
  const loopOnce = engine._PostgresMainLoopOnce;
  engine._PostgresMainLoopOnce = () => {
    try {
      return loopOnce();
    } catch (error) {
      if (error?.status !== LONG_JUMP) end(lastWords || String(error));
      throw error;
    }
  };
}

/** @param {string} failure */
function end(failure) {
  parentPort.postMessage({ failure });
  process.exit(1);
}

async function close() {
  await db.close();
  parentPort.close();
}

/** Executes the waiting packets one at a time. The engine has one session, so a transaction excludes other connections. */
async function drain() {
  isDraining = true;
  for (let next = take(); next; next = take()) {
    if (next.bytes) await execute(next.id, next.bytes);
    else if (db.isInTransaction()) await db.exec('ROLLBACK');
    owner = db.isInTransaction() ? next.id : 0;
  }
  isDraining = false;
}

/** @returns {Packet | undefined} */
function take() {
  const index = waiting.findIndex(({ id }) => owner === 0 || id === owner);
  return index === -1 ? undefined : waiting.splice(index, 1)[0];
}

/**
 * @param {number} id
 * @param {Uint8Array} bytes
 */
async function execute(id, bytes) {
  const answer = createAnswer(id);
  Atomics.store(atWork, 0, BigInt(Date.now()));
  await db.execProtocolRawStream(bytes, { syncToFs: false, onRawData: answer.add });
  Atomics.store(atWork, 0, 0n);
  answer.send();
}

/**
 * Sends an answer in few pieces.
 *
 * @param {number} id
 */
function createAnswer(id) {
  /** @type {Uint8Array | undefined} */
  let gathered;
  let used = 0;

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  const post = (bytes) => parentPort.postMessage({ id, bytes }, [bytes.buffer]);

  function send() {
    if (used > 0) post(gathered.slice(0, used));
    used = 0;
  }

  return {
    send,
    /** @param {Uint8Array} bytes A view of the engine's memory. */
    add(bytes) {
      if (used + bytes.length > GATHERED_BYTES) send();
      if (bytes.length > GATHERED_BYTES) return post(bytes.slice());
      gathered ??= new Uint8Array(GATHERED_BYTES);
      gathered.set(bytes, used);
      used += bytes.length;
    },
  };
}
