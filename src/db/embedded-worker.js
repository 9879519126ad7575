// The embedded database's thread. Plain JavaScript: threads do not inherit the TypeScript loader on Node 20.
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';

/** @type {{ directory: string, socket: string | undefined }} */
const { directory, socket } = workerData;

if (!existsSync(directory)) await create();
const db = await PGlite.create(directory);
failLoudly();
// One connection is used at a time; its successor may come before its end has been noticed.
const server = new PGLiteSocketServer({
  db,
  maxConnections: 10,
  ...(socket ? { path: socket } : { port: 0 }),
});
await server.start();
parentPort.postMessage(server.getServerConn());

parentPort.once('message', () => void close());

async function close() {
  await server.stop();
  await db.close();
  parentPort.close();
}

/** Creates the database under another name, so that one whose creation was cut short is not taken for whole. */
async function create() {
  const unfinished = `${directory}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  await (await PGlite.create(unfinished)).close();
  await rename(unfinished, directory);
}

/** Ends the thread when PGlite itself breaks, which the socket server would answer with silence for ever. */
function failLoudly() {
  const execute = db.execProtocolRawStream.bind(db);
  db.execProtocolRawStream = (...args) =>
    execute(...args).catch((error) => {
      setImmediate(() => {
        throw error;
      });
      throw error;
    });
}
