import { print } from 'graphql';
import { createClient as createWsClient } from 'graphql-ws';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import { raw, sql } from '../../src/db/sql.ts';
import { human, type GraphqlResult, type TestApp } from './app.ts';
import { CREATE_ASSISTANT, createAssistant, updateAssistant } from './assistants.ts';
import { CREATE_RUN, CREATE_THREAD, type Client } from './client.ts';
import { it as base } from './fixture.ts';
import { socketUrl } from './refusals.ts';

export type Refusal = NonNullable<GraphqlResult['errors']>[number];
export type Variables = Record<string, unknown>;
export type Transport = 'HTTP' | 'WebSocket';
export const TRANSPORTS: Transport[] = ['HTTP', 'WebSocket'];

export const ASSISTANT_ID = '01900000-0000-7000-8000-00000000000a';
export const THREAD_ID = '01900000-0000-7000-8000-00000000000b';
export const OTHER_THREAD_ID = '01900000-0000-7000-8000-00000000000c';
/** The id of an assistant whose graph the server no longer has. */
export const STRANDED_ID = '01900000-0000-7000-8000-00000000000d';
/** The id of nothing. */
export const UNKNOWN_ID = '01900000-0000-7000-8000-00000000000f';

/** Mutations of the cases, as text. */
export const DOCUMENTS = {
  createAssistant: print(CREATE_ASSISTANT),
  createRun: print(CREATE_RUN),
  createThread: print(CREATE_THREAD),
  updateAssistant: `mutation ($id: ID = "${ASSISTANT_ID}", $input: UpdateAssistantInput = {}) {
    updateAssistant(id: $id, input: $input) { version }
  }`,
};

/** Sends a document with variables, and returns the whole answer. */
type Send = (query: string, variables: Variables) => Promise<GraphqlResult>;

interface Requests extends Record<Transport, Send> {
  sockets: { opened: number; closed: number };
}

/** Sends over a single WebSocket. No refused request may close it. */
function createSocket(server: { url: string }) {
  const sockets = { opened: 0, closed: 0 };
  const socket = createWsClient({
    url: socketUrl(server),
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    lazy: false,
    on: { opened: () => sockets.opened++, closed: () => sockets.closed++ },
  });
  const send: Send = async (query, variables) => {
    const answers = socket.iterate({ query, variables });
    try {
      return (await answers.next()).value as GraphqlResult;
    } catch (refused) {
      if (!Array.isArray(refused)) throw refused;
      return { data: undefined, errors: refused as Refusal[] };
    } finally {
      await answers.return?.();
    }
  };
  return { sockets, send, dispose: () => socket.dispose() };
}

/** Creates the rows with the ids of this file. The tests do not change them. */
async function createRows(client: Client, { app }: TestApp): Promise<void> {
  await createAssistant(client, { id: ASSISTANT_ID });
  await updateAssistant(client, ASSISTANT_ID);
  await createAssistant(client, { id: STRANDED_ID });
  // As after a start of the server without this graph.
  for (const [table, key] of [
    ['Assistant', 'id'],
    ['AssistantVersion', 'assistantId'],
  ]) {
    await app.sql.query(
      sql`UPDATE ${raw(`"${table}"`)} SET "graphId" = 'gone' WHERE ${raw(`"${key}"`)} = ${STRANDED_ID}`,
    );
  }
  for (const id of [THREAD_ID, OTHER_THREAD_ID]) {
    await client.createThread({ id });
    await client.runToEnd({ threadId: id, assistantId: ASSISTANT_ID, input: human('hello') });
  }
}

/** `requests` sends over HTTP or over a WebSocket to the server of the file, after the creation of the rows. */
export const it = base.extend(
  'requests',
  { scope: 'file' },
  async ({ client, server }, { onCleanup }): Promise<Requests> => {
    await createRows(client, server);
    const { sockets, send, dispose } = createSocket(server);
    onCleanup(dispose);
    return {
      HTTP: (query, variables) => client.request(query, variables),
      WebSocket: send,
      sockets,
    };
  },
);

/** The fixtures of a refused request. */
export interface Target {
  server: TestApp;
  requests: Requests;
}

/** Counts the rows of the tables. */
export async function countRows({ app }: TestApp): Promise<unknown> {
  const tables = ['Assistant', 'AssistantVersion', 'Thread', 'Run', 'Checkpoint', 'ChannelValue'];
  const counts = tables.map((table) => `(SELECT count(*)::int FROM "${table}") AS "${table}"`);
  const [row] = await app.sql.query(sql`SELECT ${raw(counts.join(', '))}`);
  return row;
}

/** Sends a bad request and returns its single error. Checks the number of rows, and a request after it. */
export async function refusalOf(
  { server, requests }: Target,
  transport: Transport,
  document: string,
  variables: Variables = {},
): Promise<Refusal> {
  const send = requests[transport];
  const before = await countRows(server);
  const { data, errors } = await send(document, variables);
  const what = `${document} ${JSON.stringify(variables).slice(0, 500)}`;
  expect(errors, `${what} gave ${JSON.stringify(data)}`).toHaveLength(1);
  const [refusal] = errors as [Refusal];
  expect(refusal.extensions['code'], `${refusal.message}: ${what}`).not.toBe(
    'INTERNAL_SERVER_ERROR',
  );
  expect(await countRows(server), what).toEqual(before);
  expect(await send('{ graph(id: "echo") { id } }', {})).toEqual({
    data: { graph: { id: 'echo' } },
  });
  return refusal;
}

export interface Case {
  what: string;
  document: string;
  variables?: Variables;
  code: string;
  /** Undefined for a refusal by GraphQL itself, and if no argument is wrong. */
  argument?: string;
  message: RegExp;
}

/** Declares two tests of each case: over HTTP and over WebSocket. */
export function itIsRefused(cases: Case[]): void {
  const each = cases.flatMap((refused) =>
    TRANSPORTS.map((transport): [string, Transport, Case] => [refused.what, transport, refused]),
  );
  it.for(each)(
    'is refused: %s, over %s',
    async ([_what, transport, expected], { server, requests }) => {
      const { document, variables, code, argument, message } = expected;
      const refusal = await refusalOf({ server, requests }, transport, document, variables);
      expect(refusal.message).toMatch(message);
      expect(refusal.extensions).toEqual(argument === undefined ? { code } : { code, argument });
    },
  );
}

/** Declares the last test of a file. */
export function itLeavesItsWebSocketOpen(): void {
  it('leaves the WebSocket open that all of this came over', ({ requests }) => {
    expect(requests.sockets).toEqual({ opened: 1, closed: 0 });
  });
}

export const badInput = (argument: string) => ({ code: 'BAD_USER_INPUT', argument });
