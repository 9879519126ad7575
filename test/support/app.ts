import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import { readConfig, type Config } from '../../src/config.ts';
import { createLogger } from '../../src/log.ts';
import { startServer, type Server } from '../../src/server.ts';
import { createTestDatabase } from './databases.ts';

export interface GraphqlResult {
  data: any;
  errors?: { message: string; path?: (string | number)[]; extensions: Record<string, any> }[];
}

/** A server of the test's own, on a database of its own, and the ways into it. */
export interface TestApp extends AsyncDisposable {
  url: string;
  app: Server['app'];
  /** Sends a document over HTTP; fails the test when the answer has errors. */
  gql(document: string, variables?: Record<string, unknown>): Promise<any>;
  /** Sends a document over HTTP; gives its errors. */
  errors(
    document: string,
    variables?: Record<string, unknown>,
  ): Promise<NonNullable<GraphqlResult['errors']>>;
  /** Sends a document over HTTP; gives the answer as it is. */
  request(document: string, variables?: Record<string, unknown>): Promise<GraphqlResult>;
  /** Subscribes over a WebSocket (or SSE) of its own; gives what comes, until the server completes it. */
  subscribe(
    document: string,
    variables?: Record<string, unknown>,
    transport?: Transport,
  ): AsyncIterableIterator<any>;
  /** Follows a run to its end; gives all its events. */
  follow(runId: string, options?: FollowOptions): Promise<any[]>;
  stop(): Promise<void>;
}

export type Transport = 'websocket' | 'sse';

interface FollowOptions {
  after?: string;
  modes?: string[];
  transport?: Transport;
}

const GRAPHS_FILE = path.join(import.meta.dirname, 'langgraph.json');

/** Everything that events show, for tests that compare them. */
const EVENT_FIELDS = `
  __typename id runId namespace
  ... on RunStartedEvent { attempt checkpointId }
  ... on ValuesEvent { values }
  ... on UpdatesEvent { node update }
  ... on MessagesEvent { message { messageId type text } isChunk metadata }
  ... on CustomEvent { data }
  ... on InterruptEvent { interrupts { id value node } }
  ... on RunFinishedEvent { status error { name message } }
`;

const FOLLOW = `subscription ($runId: ID!, $after: ID, $modes: [StreamMode!]) {
  runEvents(runId: $runId, after: $after, modes: $modes) { ${EVENT_FIELDS} }
}`;

export async function createTestApp(settings: Partial<Config> = {}): Promise<TestApp> {
  const database = await createTestDatabase();
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
  const server = await startServer(config, {
    log: createLogger(config.logLevel),
    env: process.env,
  });
  return createClients(server, () => database.dispose());
}

/** The ways into a server that runs. */
export function createClients(
  server: Server,
  afterStop: () => Promise<void> = async () => {},
): TestApp {
  const endpoint = `${server.url}/graphql`;
  const leaving = new Set<() => unknown>();

  async function request(
    document: string,
    variables?: Record<string, unknown>,
  ): Promise<GraphqlResult> {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: document, variables }),
    });
    return (await response.json()) as GraphqlResult;
  }

  async function gql(document: string, variables?: Record<string, unknown>): Promise<any> {
    const result = await request(document, variables);
    if (result.errors) {
      expect.fail(`${JSON.stringify(result.errors)}\n${document}\n${JSON.stringify(variables)}`);
    }
    return result.data;
  }

  async function errors(document: string, variables?: Record<string, unknown>) {
    const result = await request(document, variables);
    if (!result.errors) expect.fail(`No errors: ${JSON.stringify(result.data)}\n${document}`);
    return result.errors;
  }

  async function* subscribe(
    query: string,
    variables: Record<string, unknown> = {},
    transport: Transport = 'websocket',
  ): AsyncIterableIterator<any> {
    const client =
      transport === 'websocket'
        ? createWsClient({
            url: endpoint.replace('http', 'ws'),
            webSocketImpl: WebSocket,
            retryAttempts: 0,
          })
        : createSseClient({ url: endpoint, retryAttempts: 0 });
    const dispose = () => client.dispose();
    leaving.add(dispose);
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
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Waits until `look` gives something truthy, and gives that. */
export async function until<T>(look: () => T | Promise<T>): Promise<NonNullable<T>> {
  for (let tries = 0; tries < 500; tries++) {
    const seen = await look();
    if (seen) return seen;
    await sleep(20);
  }
  throw new Error('What the test waits for has not come.');
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
