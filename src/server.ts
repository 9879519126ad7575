import { hostname } from 'node:os';
import type { App } from './app.ts';
import { ensureSystemAssistants } from './assistants/create.ts';
import { createRunAssistants } from './assistants/run-assistant.ts';
import { readAssistantDefaults } from './assistants/defaults.ts';
import { createAuthenticator, type Authenticator } from './auth/authenticate.ts';
import { createHandlerLogin } from './auth/handler-login.ts';
import type { Handlers } from './auth/handlers.ts';
import { createLogins } from './auth/logins.ts';
import { createRateLimit } from './auth/rate-limit.ts';
import type { Config } from './config.ts';
import { createLargeReads } from './db/large-reads.ts';
import { openDatabase, type Database } from './db/open.ts';
import { createEventBatches } from './events/batches.ts';
import { createEventTail } from './events/tail.ts';
import { createGraphqlFront } from './graphql/front.ts';
import { loadHandlers } from './graphs/load-handlers.ts';
import { loadGraphs } from './graphs/load.ts';
import { isLoopback } from './http/access.ts';
import { createRestFront } from './rest/front.ts';
import { createHttpServer } from './http/server.ts';
import { createStudioFront } from './http/studio.ts';
import type { Logger } from './log.ts';
import { createLeaseRenewer } from './runs/lease-renewer.ts';
import { createMessageTexts } from './runs/message-texts.ts';
import { createRunQueue } from './runs/queue.ts';
import { startRetention } from './runs/retention.ts';
import { startStorageMeasurements } from './runs/storage-measurements.ts';
import { createWaits } from './runs/wait.ts';
import { startWorker, type Worker } from './runs/worker.ts';
import { createThreadChanges } from './threads/changed.ts';

/** A running server. */
export interface Server {
  /** For example http://127.0.0.1:4000. */
  url: string;
  app: App;
  worker: Worker;
  /** Accepts no more requests, finishes or releases its runs, and closes its connections. */
  stop(): Promise<void>;
}

/** Creates the parts of the server and starts them. If a part does not start, closes the others and throws. */
export async function startServer(
  config: Config,
  { log, env }: { log: Logger; env: NodeJS.ProcessEnv },
): Promise<Server> {
  const graphs = await loadGraphs(config.graphsFile, { env, log });
  // From here on, `env` has the variables of the project.
  const handlers = await loadHandlers(config.graphsFile, { log, uncovered: config.authUncovered });
  const defaults = readAssistantDefaults(env, config);
  const database = await openDatabase(config, log);
  try {
    await ensureSystemAssistants({ sql: database.sql, graphs }, defaults);
    const auth = openAccess({ config, log, sql: database.sql }, handlers);
    return await startOn(database, { config, log, graphs, auth });
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** Throws if other machines reach the server without access control. */
function openAccess(
  needs: Pick<App, 'config' | 'log' | 'sql'>,
  handlers: Handlers | undefined,
): Authenticator {
  const logins = createLogins(needs);
  const { auth, authUncovered: uncovered, host } = needs.config;
  if (handlers) {
    if (auth === 'none') {
      throw new Error('AUTH=none contradicts auth.path in langgraph.json: remove one of them.');
    }
    return createAuthenticator(
      logins,
      createHandlerLogin(handlers, { ...needs, uncovered, authScope: needs.config.authScope }),
    );
  }
  if (logins.length === 0 && auth !== 'none' && !isLoopback(host)) {
    throw new Error(
      `HOST is ${host}, so other machines reach the server, but no client needs to log in. Set AUTH=keys, AUTH_JWKS_URL, or auth.path in langgraph.json; or AUTH=none if every client may do everything.`,
    );
  }
  return createAuthenticator(logins);
}

async function startOn(
  database: Database,
  parts: Pick<App, 'config' | 'log' | 'graphs' | 'auth'>,
): Promise<Server> {
  const stopping = new AbortController();
  const app = createApp(database, parts, stopping.signal);
  const { config, log, sql } = app;
  // A single process owns an embedded database. Its claims do not expire, and at its start every RUNNING run is an orphan.
  const name = `${hostname()}/${process.pid}`;
  const queue = createRunQueue(sql, {
    worker: name,
    leaseSeconds: database.embedded ? Infinity : config.leaseSeconds,
  });
  if (database.embedded) await queue.expireOthers([]);
  const http = createHttpServer(app, (connections) => ({
    main: createGraphqlFront(app, connections),
    others: [
      ...(config.studio ? [createStudioFront()] : []),
      ...(config.rest ? [createRestFront(app)] : []),
    ],
  }));
  const url = await http.listen();
  const worker = startWorker(
    { ...app, log: log.child({ worker: name }) },
    {
      queue,
      createRenewer: (handlers) => createLeaseRenewer({ ...config, log, ...handlers }),
      concurrency: config.workerConcurrency,
      leaseSeconds: config.leaseSeconds,
      graceSeconds: config.shutdownGraceSeconds,
    },
  );
  const retention = startRetention(app);
  const measurements = startStorageMeasurements(app);

  return {
    url,
    app,
    worker,
    async stop() {
      stopping.abort();
      await http.close();
      await worker.stop();
      await retention.stop();
      await measurements.stop();
      app.changes.close();
      app.tail.close();
      await database.close();
    },
  };
}

function createApp(
  { db, sql, isReady }: Database,
  { config, log, graphs, auth }: Pick<App, 'config' | 'log' | 'graphs' | 'auth'>,
  stopping: AbortSignal,
): App {
  const tail = createEventTail(sql, log);
  return {
    config,
    log,
    auth,
    rateLimit: createRateLimit(config.rateLimit),
    db,
    sql,
    isReady,
    isStopping: () => stopping.aborted,
    graphs,
    assistants: createRunAssistants(sql.query),
    events: createEventBatches(sql, tail, log),
    tail,
    texts: createMessageTexts(),
    changes: createThreadChanges(sql, log),
    waits: createWaits(config.waitingLimit),
    largeReads: createLargeReads(),
  };
}
