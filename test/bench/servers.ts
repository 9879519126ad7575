import path from 'node:path';
import type { Client } from './client.ts';
import type { GraphName } from './graphs/factory.ts';
import type { ServerProcess } from './processes.ts';
import { startProcess } from './processes.ts';
import { createEmbedClient, createPeerClient } from './sdk-client.ts';
import type { Store } from './stores.ts';
import { createDirectory, createPostgres } from './stores.ts';
import { createThreadqlClient } from './threadql-client.ts';

export type ServerName = 'pg' | 'rest' | 'embedded' | 'peer' | 'embed' | 'graph' | 'transport';

/** The names of the servers in the tables, in the order of the columns. */
export const SERVER_TITLES: Record<ServerName, string> = {
  pg: 'threadql, PostgreSQL',
  rest: 'threadql over REST, PostgreSQL',
  embedded: 'threadql, embedded',
  peer: 'peer',
  embed: 'peer, embed',
  graph: 'in process',
  transport: 'transport',
};

/** A running server and its client. */
export interface Server extends AsyncDisposable {
  name: ServerName;
  process: ServerProcess;
  client: Client;
}

export interface StartOptions {
  /** Kept when the server is disposed. Without it, the server gets a new store. */
  store?: Store;
  env?: Record<string, string>;
  profileDir?: string | undefined;
}

const GRAPHS_FILE = path.join(import.meta.dirname, 'graphs/langgraph.json');

interface Kind {
  /** Starts the server as its users do: the peer's command line runs it through tsx. */
  command: readonly string[];
  probe: string;
  createStore: () => Promise<Store>;
  envOf(store: Store): Record<string, string | undefined>;
  createClient(url: string): Client;
}

const THREADQL = {
  command: ['src/start.js'],
  probe: '/ready',
  envOf: ({ databaseUrl, dataDir }: Store) => ({
    DATABASE_URL: databaseUrl,
    THREADQL_DATA_DIR: path.join(dataDir, 'data'),
    THREADQL_CONFIG: GRAPHS_FILE,
    LOG_LEVEL: 'warn',
    SHUTDOWN_GRACE_SECONDS: '1',
  }),
  createClient: createThreadqlClient,
};

const KINDS: Record<Exclude<ServerName, 'graph'>, Kind> = {
  pg: { ...THREADQL, createStore: createPostgres },
  rest: { ...THREADQL, createStore: createPostgres, createClient: createPeerClient },
  embedded: { ...THREADQL, createStore: createDirectory },
  peer: {
    command: ['--import', 'tsx', 'test/bench/peer/server.mjs'],
    probe: '/ok',
    createStore: createDirectory,
    envOf: ({ dataDir }) => ({ BENCH_DATA_DIR: dataDir, LOG_LEVEL: 'error' }),
    createClient: createPeerClient,
  },
  embed: {
    command: ['--import', 'tsx', 'test/bench/peer/embed.mjs'],
    probe: '/',
    createStore: createDirectory,
    envOf: () => ({ LOG_LEVEL: 'error' }),
    createClient: createEmbedClient,
  },
  transport: {
    command: ['--import', 'tsx', 'test/bench/floors/transport.ts'],
    probe: '/health',
    createStore: createDirectory,
    envOf: () => ({}),
    createClient: createThreadqlClient,
  },
};

export async function createStore(name: Exclude<ServerName, 'graph'>): Promise<Store> {
  return KINDS[name].createStore();
}

export async function startServer(
  name: Exclude<ServerName, 'graph'>,
  { store: given, env = {}, profileDir }: StartOptions = {},
): Promise<Server> {
  const { command, probe, envOf, createClient } = KINDS[name];
  const store = given ?? (await createStore(name));
  const removeStore = async () => {
    if (!given) await store[Symbol.asyncDispose]();
  };
  try {
    const isOurs = KINDS[name].command === THREADQL.command;
    const process = await startProcess({
      command,
      probe,
      env: { ...envOf(store), ...env },
      profileDir: isOurs ? profileDir : undefined,
    });
    const client = createClient(process.url);
    return {
      name,
      process,
      client,
      async [Symbol.asyncDispose]() {
        await client[Symbol.asyncDispose]();
        await process[Symbol.asyncDispose]();
        await removeStore();
      },
    };
  } catch (error) {
    await removeStore();
    throw error;
  }
}

export interface GraphTask {
  graph: GraphName;
  count: number;
  concurrency: number;
  /** Reads the stream instead of the values. */
  stream?: boolean;
}

export interface GraphTimes {
  /** Milliseconds of each run. */
  each: number[];
  totalMs: number;
}

/** The compiled graphs in a separate process, without a server. */
export interface GraphFloor extends AsyncDisposable {
  run(task: GraphTask): Promise<GraphTimes>;
}

export async function startGraphFloor(): Promise<GraphFloor> {
  const process = await startProcess({
    command: ['--import', 'tsx', 'test/bench/floors/graph.ts'],
    probe: '/',
    env: { LANGCHAIN_CALLBACKS_BACKGROUND: 'false' },
  });
  return {
    async run(task) {
      const response = await fetch(process.url, { method: 'POST', body: JSON.stringify(task) });
      return (await response.json()) as GraphTimes;
    },
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  };
}
