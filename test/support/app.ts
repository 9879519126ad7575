import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TadaDocumentNode, VariablesOf } from 'gql.tada';
import { print } from 'graphql';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import { readConfig, type Config } from '../../src/config.ts';
import { createLogger } from '../../src/log.ts';
import { startServer, type Server } from '../../src/server.ts';
import { createTestDatabase, type TestDatabase } from './databases.ts';
import { operation, type Answered, type AnswerTo } from './graphql.ts';

/** A text, or a document of `operation()` with its types. */
export type Document<Result = any, Variables = any> = TadaDocumentNode<Result, Variables>;

export interface GraphqlResult<Data = any> {
  data: Data;
  errors?: { message: string; path?: (string | number)[]; extensions: Record<string, any> }[];
}

/** A server with its own database, and the means to send requests to it. */
export interface TestApp extends AsyncDisposable {
  url: string;
  app: Server['app'];
  /** Sends a document over HTTP. Fails the test if the answer has errors. */
  gql<Result, Variables>(
    document: Document<Result, Variables>,
    variables?: Variables,
  ): Promise<Answered<Result>>;
  gql(document: string, variables?: Record<string, unknown>): Promise<any>;
  /** Sends a document over HTTP and returns its errors. Variables may have wrong types. */
  errors(
    document: string | Document,
    variables?: Record<string, unknown>,
  ): Promise<NonNullable<GraphqlResult['errors']>>;
  /** Sends a document over HTTP and returns the answer unchanged. Variables may have wrong types. */
  request<Result>(
    document: Document<Result>,
    variables?: Record<string, unknown>,
  ): Promise<GraphqlResult<Result>>;
  request(document: string, variables?: Record<string, unknown>): Promise<GraphqlResult>;
  /** Subscribes over its own WebSocket (or SSE). Yields the answers until the server completes. */
  subscribe<Result, Variables>(
    document: Document<Result, Variables>,
    variables?: Variables,
    transport?: Transport,
  ): AsyncIterableIterator<Result>;
  subscribe(
    document: string,
    variables?: Record<string, unknown>,
    transport?: Transport,
  ): AsyncIterableIterator<any>;
  /** Follows a run to its end and returns all its events. */
  follow(runId: string, options?: FollowOptions): Promise<any[]>;
  /** Lets the worker claim due runs for its free slots and start them. */
  tick: Server['worker']['tick'];
  /** The same server for a client with these credentials: headers, or over a WebSocket `connectionParams`. */
  as(credentials: Record<string, string>): TestApp;
  stop(): Promise<void>;
}

export type Transport = 'websocket' | 'sse';

const GRAPHS_FILE = path.join(import.meta.dirname, 'langgraph.json');

/** Selects all data of the events, for comparisons. */
const FOLLOW = operation(`
  subscription Follow($runId: ID!, $after: ID, $modes: [StreamMode!]) {
    runEvents(runId: $runId, after: $after, modes: $modes) {
      __typename
      id
      runId
      namespace
      ... on RunStartedEvent {
        attempt
        checkpointId
      }
      ... on ValuesEvent {
        values
      }
      ... on UpdatesEvent {
        node
        update
      }
      ... on MessagesEvent {
        message {
          messageId
          type
          text
        }
        isChunk
        metadata
      }
      ... on CustomEvent {
        data
      }
      ... on InterruptEvent {
        interrupts {
          id
          value
          node
        }
      }
      ... on RunFinishedEvent {
        status
        error {
          name
          message
        }
      }
    }
  }
`);

export type FollowedEvent = AnswerTo<typeof FOLLOW>['runEvents'];

export interface FollowOptions {
  after?: string;
  modes?: VariablesOf<typeof FOLLOW>['modes'];
  transport?: Transport;
}

export async function createTestApp(settings: Partial<Config> = {}): Promise<TestApp> {
  return startTestApp(await createTestDatabase(), settings);
}

/** The running servers of the tests. */
export const runningServers = new Set<TestApp>();

/** Starts a server on this database and deletes the database when the server stops. */
async function startTestApp(
  database: TestDatabase,
  settings: Partial<Config> = {},
): Promise<TestApp> {
  return start(database, settings, () => database.dispose());
}

/** Starts a server on a database and keeps the database when the server stops. */
export async function startTestServer(
  database: TestDatabase,
  settings: Partial<Config> = {},
): Promise<TestApp> {
  return start(database, settings, async () => {});
}

async function start(
  database: TestDatabase,
  settings: Partial<Config>,
  afterStop: () => Promise<void>,
): Promise<TestApp> {
  const config: Config = {
    ...readConfig({}),
    port: 0,
    graphsFile: GRAPHS_FILE,
    databaseUrl: database.databaseUrl,
    dataDir: database.dataDir,
    poolSize: 5,
    shutdownGraceSeconds: 1,
    logLevel: 'silent',
    ...settings,
  };
  const server = createClients(
    await startServer(config, { log: createLogger(config.logLevel), env: process.env }),
    async () => {
      runningServers.delete(server);
      await afterStop();
    },
  );
  runningServers.add(server);
  return server;
}

/** Makes the means to send requests to a running server, with the headers of `credentials`. */
export function createClients(
  server: Server,
  afterStop: () => Promise<void> = async () => {},
  credentials: Record<string, string> = {},
): TestApp {
  const endpoint = `${server.url}/graphql`;
  const leaving = new Set<() => unknown>();

  async function request(
    document: string | Document,
    variables?: Record<string, unknown>,
  ): Promise<GraphqlResult> {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...credentials },
      body: JSON.stringify({ query: textOf(document), variables }),
    });
    return (await response.json()) as GraphqlResult;
  }

  async function gql(
    document: string | Document,
    variables?: Record<string, unknown>,
  ): Promise<any> {
    const result = await request(document, variables);
    if (result.errors) {
      const sent = `${textOf(document)}\n${JSON.stringify(variables)}`;
      expect.fail(`${JSON.stringify(result.errors)}\n${sent}`);
    }
    return result.data;
  }

  async function errors(document: string | Document, variables?: Record<string, unknown>) {
    const result = await request(document, variables);
    if (!result.errors) {
      expect.fail(`No errors: ${JSON.stringify(result.data)}\n${textOf(document)}`);
    }
    return result.errors;
  }

  async function* subscribe(
    document: string | Document,
    variables: Record<string, unknown> = {},
    transport: Transport = 'websocket',
  ): AsyncIterableIterator<any> {
    const client =
      transport === 'websocket'
        ? createWsClient({
            url: endpoint.replace('http', 'ws'),
            webSocketImpl: WebSocket,
            retryAttempts: 0,
            connectionParams: credentials,
          })
        : createSseClient({ url: endpoint, retryAttempts: 0, headers: credentials });
    const dispose = () => client.dispose();
    leaving.add(dispose);
    const query = textOf(document);
    try {
      for await (const { data, errors: failed } of client.iterate({ query, variables })) {
        if (failed) throw Object.assign(new Error(failed[0]?.message), { errors: failed });
        yield data;
      }
    } finally {
      leaving.delete(dispose);
      await client.dispose();
    }
  }

  async function follow(
    runId: string,
    { transport, ...options }: FollowOptions = {},
  ): Promise<any[]> {
    const events: any[] = [];
    for await (const { runEvents } of subscribe(FOLLOW, { runId, ...options }, transport)) {
      events.push(runEvents);
    }
    return events;
  }

  let stopped: Promise<void> | undefined;
  const stop = () =>
    (stopped ??= (async () => {
      for (const leave of leaving) await leave();
      await server.stop();
      await afterStop();
    })());

  return {
    url: server.url,
    app: server.app,
    request,
    gql,
    errors,
    subscribe,
    follow,
    tick: () => server.worker.tick(),
    as: (other) => createClients(server, async () => {}, other),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function textOf(document: string | Document): string {
  return typeof document === 'string' ? document : print(document);
}

/** Longer than any condition needs on a busy machine, and shorter than the time of a test. */
const LONGEST_WAIT_MS = 50_000;

/** Waits until `look` returns a truthy value, and returns this value. */
export async function until<T>(look: () => T | Promise<T>): Promise<NonNullable<T>> {
  const end = performance.now() + LONGEST_WAIT_MS;
  while (performance.now() < end) {
    const seen = await look();
    if (seen) return seen;
    await sleep(20);
  }
  throw new Error(
    `The test waited ${LONGEST_WAIT_MS / 1000} s for a condition in vain: ${String(look)}`,
  );
}

export function randomId(): string {
  return randomUUID();
}

export const CREATE_RUN = `mutation ($input: CreateRunInput!, $wait: Boolean! = false) {
  createRun(input: $input, wait: $wait) { id status threadId output error { name message } }
}`;

export const CREATE_THREAD = `mutation ($input: CreateThreadInput) {
  createThread(input: $input) { id status metadata values createdAt updatedAt }
}`;

export const human = (content: string) => ({ messages: [{ role: 'user', content }] });
