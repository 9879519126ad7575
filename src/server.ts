import { hostname } from 'node:os';
import type { App } from './app.ts';
import { ensureSystemAssistants } from './assistants/create.ts';
import { createKnownAssistants } from './assistants/known.ts';
import type { Config } from './config.ts';
import { openDatabase, type Database } from './db/open.ts';
import { createEventLog } from './events/log.ts';
import { createEventTail } from './events/tail.ts';
import { loadGraphs } from './graphs/load.ts';
import { createHttpServer } from './http.ts';
import type { Logger } from './log.ts';
import { createKeeper } from './runs/keeper.ts';
import { createPlaces } from './runs/places.ts';
import { createRunQueue } from './runs/queue.ts';
import { startRetention } from './runs/retention.ts';
import { createWorker } from './runs/worker.ts';
import { createThreadChanges } from './threads/changed.ts';

/** A server that answers. */
export interface Server {
  /** Where it answers, such as http://127.0.0.1:4000. */
  url: string;
  app: App;
  /** Takes nothing new, finishes or gives back what it has, and closes what it used. */
  stop(): Promise<void>;
}

/** Puts the server together and starts it. Throws, with nothing left open, when a part does not start. */
export async function startServer(
  config: Config,
  { log, env }: { log: Logger; env: NodeJS.ProcessEnv },
): Promise<Server> {
  // LangChain's default leaves callbacks to the background, where runs that go on at once lose each other's tokens.
  env['LANGCHAIN_CALLBACKS_BACKGROUND'] = 'false';
  const graphs = await loadGraphs(config.graphsFile, { env, log });
  const database = await openDatabase(config, log);
  try {
    return await startOn(database, { config, log, graphs });
  } catch (error) {
    await database.close();
    throw error;
  }
}

async function startOn(
  { db, sql, embedded, close }: Database,
  { config, log, graphs }: Pick<App, 'config' | 'log' | 'graphs'>,
): Promise<Server> {
  const tail = createEventTail(sql, log);
  const events = createEventLog(sql, tail, log);
  const changes = createThreadChanges(sql, log);
  const assistants = createKnownAssistants(sql);
  const places = createPlaces();
  const app: App = { config, log, db, sql, graphs, assistants, places, events, tail, changes };
  await ensureSystemAssistants(app);

  // One process owns an embedded database: its claims do not expire, and every run it left running is due.
  const name = `${hostname()}/${process.pid}`;
  const queue = createRunQueue(sql, {
    worker: name,
    leaseSeconds: embedded ? Infinity : config.leaseSeconds,
  });
  if (embedded) await queue.expireOthers([]);
  const http = createHttpServer(app);
  const url = await http.listen();
  const worker = createWorker(
    { ...app, log: log.child({ worker: name }) },
    {
      queue,
      keep: (handlers) =>
        createKeeper({
          databaseUrl: config.databaseUrl,
          leaseSeconds: config.leaseSeconds,
          maxBlockedSeconds: config.maxBlockedSeconds,
          log,
          ...handlers,
        }),
      concurrency: config.workerConcurrency,
      graceSeconds: config.shutdownGraceSeconds,
    },
  );
  const retention = startRetention(app);

  return {
    url,
    app,
    async stop() {
      await http.close();
      await worker.stop();
      await retention.stop();
      changes.close();
      tail.close();
      await close();
    },
  };
}
