import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect } from 'vitest';
import { WebSocket } from 'ws';
import type { Document } from './support/app.ts';
import { CREATE_RUN, CREATE_THREAD, type Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { connectRaw, head, openRawWebSocket } from './support/raw-socket.ts';
import { GRAPHQL_WS, openSocket, repeat, socketUrl } from './support/refusals.ts';
import { settingsOf } from './support/settings.ts';

const ROOT = path.join(import.meta.dirname, '..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');

/** A row of the table in docs/limits.md. */
interface Row {
  limit: string;
  byDefault: string;
  variable: string | undefined;
  /** The code in the last column, with any number in place of its numbers. */
  seen: RegExp[];
}

/** The cells of a page's tables, row by row, without their heads. */
function cellsOf(page: string): string[][] {
  const rows = page.split('\n').filter((line) => line.startsWith('| '));
  const cells = rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  return cells.filter(
    ([first]) => first !== 'limit' && first !== 'variable' && !/^-+$/.test(first ?? ''),
  );
}

const code = (cell: string) => Array.from(cell.matchAll(/`([^`]+)`/g), ([, text]) => text ?? '');

const ROWS = cellsOf(read('docs/limits.md')).map(
  ([limit = '', byDefault = '', variable = '', seen = '']): Row => ({
    limit,
    byDefault,
    variable: code(variable)[0],
    seen: code(seen).map(
      (text) => new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\d+/g, '\\d+')),
    ),
  }),
);

/** Limits for a single small request, on the server of this file. */
const SMALL = {
  BODY_LIMIT_BYTES: '100000',
  REST_BODY_LIMIT_BYTES: '200000',
  DEPTH_LIMIT: '5',
  ALIAS_LIMIT: '5',
  DIRECTIVE_LIMIT: '5',
  TOKEN_LIMIT: '600',
  SELECTION_LIMIT: '50',
  COST_LIMIT: '1000',
  SOCKET_OPERATION_LIMIT: '1',
  SOCKET_INIT_SECONDS: '1',
  METADATA_KEY_LIMIT: '10',
  METADATA_LIMIT_BYTES: '1000',
  CONFIG_KEY_LIMIT: '10',
  CONFIG_LIMIT_BYTES: '3000',
  CONFIG_DEPTH_LIMIT: '5',
  RECURSION_LIMIT: '50',
  RUN_SECONDS: '60',
  QUEUED_RUN_LIMIT: '2',
  STATE_LIMIT_BYTES: '60000',
  SUPERSTEP_LIMIT: '100',
  EVENT_LIMIT_BYTES: '100000',
  RUN_EVENT_LIMIT_BYTES: '200000',
};

const keys = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, n]));
const repeated = (count: number, value: unknown) => Array.from({ length: count }, () => value);
const levels = (count: number): unknown => (count === 0 ? 1 : { a: levels(count - 1) });

/** Sends a request over a limit. Returns the answer to the client. */
type Case = (client: Client) => Promise<string>;

const refused =
  (document: string | Document, variables?: Record<string, unknown>): Case =>
  async (client) => {
    const errors = await client.errors(document, variables);
    return errors.map(({ message, extensions }) => `${extensions['code']}: ${message}`).join('\n');
  };
const run = (input: Record<string, unknown>) =>
  refused(CREATE_RUN, { input: { assistantId: 'large', input: {}, ...input } });

/** Runs the graph `large` with a value over a limit. Returns the run and its events as text. */
const large =
  (what: string): Case =>
  async (client) => {
    const input = { assistantId: 'large', input: { what }, onCompletion: 'KEEP' } as const;
    const made = await client.runToEnd(input);
    return `${made.status}: ${made.error?.message} ${JSON.stringify(await client.follow(made.id))}`;
  };

/** Limits with a test in another file: the file, and a part of the test's name. */
const ELSEWHERE: Record<string, [file: string, test: string]> = {
  OPERATION_SECONDS: ['operations', 'ends a query that takes longer, and its work'],
  RATE_LIMIT: ['rate-limit', 'refuses an operation with status 429 and the time to wait'],
  OWNER_RUN_LIMIT: ['owner-run-limit', 'refuses one more run of the owner, and of no other owner'],
  OWNER_STORAGE_LIMIT: [
    'owner-storage-limit',
    'refuses runs, supersteps, edits and copies of an owner with more bytes, and of no other owner',
  ],
  ANSWER_LIMIT_BYTES: ['operations', 'refuses a page of states by their stored sizes'],
  CONNECTION_LIMIT: ['connections', 'of all addresses closes one more'],
  ADDRESS_CONNECTIONS: ['connections', 'of an address refuses one more of that address'],
  ADDRESS_BUFFER_BYTES: ['connections', 'of bytes that an address holds closes the connections'],
  HEADER_SECONDS: ['connections', 'HEADER_SECONDS'],
  BODY_SECONDS: ['connections', 'BODY_SECONDS'],
  WRITE_SECONDS: ['unread', 'WRITE_SECONDS'],
  KEEP_ALIVE_SECONDS: ['connections', 'is closed when it was not used for the time'],
  WAITING_LIMIT: ['waiting', 'WAITING_LIMIT'],
  SOCKET_UNREAD_BYTES: ['limits', 'is closed when its client has left 8 MiB unread'],
  'requests under way on one connection': [
    'connections',
    'gets the answers to requests that it sends together one after the other',
  ],
  'unread bytes on a WebSocket until the server stops reading from it': [
    'unread',
    'gets all pongs once it reads',
  ],
  'changed threads that wait for a `threadChanged` subscription': [
    'thread-changed',
    'ends for a watcher with more than 10,000 changed threads before it',
  ],
  'operations at a time, in a process, with a read of a state or a page of states above 1 MiB': [
    'operations',
    'are three at a time, and others are answered meanwhile',
  ],
  'attempts of a run': ['worker', 'gives a run up that has lost three workers'],
  'runs returned by `cancelRuns`; it cancels all matching runs': [
    'cancel',
    'stops all that match, in slices, also more than it returns',
  ],
  'seconds until `/ready` answers': [
    'database-trouble',
    'that answers nothing is not ready and has no client wait for ever',
  ],
  SHUTDOWN_GRACE_SECONDS: ['worker', 'a server that stops gives back what it executes'],
};

/** Limits too large for a request of a test, or of no request. */
const UNTRIED = [
  'requests waiting behind an earlier request of their connection, in a process',
  'seconds of a statement until the embedded database counts as away',
  'seconds after the grace until the process ends, with status 1 if its stop is not complete',
];

const CASES: Record<string, Case> = {
  async BODY_LIMIT_BYTES(client) {
    const post = { method: 'POST', headers: { 'content-type': 'application/json' } };
    const body = JSON.stringify({ query: `{ __typename } #${'x'.repeat(100_000)}` });
    const response = await fetch(`${client.url}/graphql`, { ...post, body });
    using socket = await openSocket(client);
    socket.socket.on('error', () => {});
    socket.socket.send(body);
    const [closed] = await once(socket.socket, 'close');
    return `status ${response.status}, ${await response.text()}, close code ${closed}`;
  },
  async REST_BODY_LIMIT_BYTES(client) {
    const body = JSON.stringify({ metadata: { text: 'x'.repeat(200_000) } });
    const response = await fetch(`${client.url}/threads`, { method: 'POST', body });
    return `status ${response.status}: ${await response.text()}`;
  },
  DEPTH_LIMIT: refused(
    `{ graphs { nodes { name } } runs { nodes { thread { runs { nodes { id } } } } } }`,
  ),
  ALIAS_LIMIT: refused(`{ ${repeat(6, (n) => `a${n}: graphs { id }`)} }`),
  DIRECTIVE_LIMIT: refused(`{ ${repeat(6, () => '... @include(if: true) { graphs { id } }')} }`),
  TOKEN_LIMIT: refused(
    `{ threads(filter: { ids: [${repeat(600, () => '"a"')}] }) { totalCount } }`,
  ),
  SELECTION_LIMIT: refused(`{ ${repeat(11, () => '__typename')} }`),
  COST_LIMIT: refused('{ threads(first: 100) { nodes { runs { nodes { id } } } } }'),
  async SOCKET_OPERATION_LIMIT(client) {
    using socket = await openSocket(client);
    const query = 'subscription { threadChanged { id } }';
    for (const id of ['1', '2']) socket.send({ id, type: 'subscribe', payload: { query } });
    return JSON.stringify(await socket.receive());
  },
  async SOCKET_INIT_SECONDS(client) {
    const socket = new WebSocket(socketUrl(client), GRAPHQL_WS);
    return `close code ${(await once(socket, 'close'))[0]}`;
  },
  async 'bytes of the head of a request'(client) {
    using raw = await connectRaw(client.url);
    raw.write(head('GET /health', { 'X-Long': 'x'.repeat(17_000) }));
    return `status ${(await raw.closed).slice(9, 12)}`;
  },
  async 'pieces of a WebSocket message'(client) {
    using raw = await openRawWebSocket(client.url);
    const piece = Buffer.from([0, 0x80, 0, 0, 0, 0]);
    raw.write(Buffer.concat([Buffer.from([1, 0x80, 0, 0, 0, 0]), ...Array(4096).fill(piece)]));
    const closed = Buffer.from(await raw.closed, 'latin1');
    const at = closed.lastIndexOf(0x88);
    return `close code ${closed.readUInt16BE(at + 2)}`;
  },
  async 'silence of a WebSocket, in seconds'(client) {
    using raw = await openRawWebSocket(client.url);
    await raw.closed;
    return 'the connection is closed';
  },
  async 'lines of a document with positions in its errors'(client) {
    const [error] = await client.errors(`${'\n'.repeat(501)}{ nothing }`);
    return `errors ${'locations' in (error ?? {}) ? 'with' : 'without'} locations`;
  },
  async 'reported validation errors of a document'(client) {
    const errors = await client.errors(`{ ${repeat(12, (n) => `a${n}`)} }`);
    return String(errors[10]?.message);
  },
  METADATA_KEY_LIMIT: refused(CREATE_THREAD, { input: { metadata: keys(11) } }),
  METADATA_LIMIT_BYTES: refused(CREATE_THREAD, { input: { metadata: { a: 'x'.repeat(1000) } } }),
  CONFIG_KEY_LIMIT: run({ config: { configurable: keys(11) } }),
  CONFIG_LIMIT_BYTES: run({ config: { configurable: { a: 'x'.repeat(3000) } } }),
  CONFIG_DEPTH_LIMIT: refused(CREATE_THREAD, { input: { metadata: levels(6) } }),
  RECURSION_LIMIT: run({ config: { recursion_limit: 51 } }),
  RUN_SECONDS: run({ timeoutSeconds: 61 }),
  'levels of lists and objects in a value of a state': large('deep'),
  'levels of lists and objects in an answer or event': large('deepEvent'),
  STATE_LIMIT_BYTES: large('state'),
  SUPERSTEP_LIMIT: refused(CREATE_THREAD, {
    input: {
      graphId: 'large',
      supersteps: repeated(20, { updates: [{ asNode: 'make', values: { value: 'x' } }] }),
    },
  }),
  EVENT_LIMIT_BYTES: large('event'),
  RUN_EVENT_LIMIT_BYTES: large('events'),
  async QUEUED_RUN_LIMIT(client) {
    const threadId = await client.createThread();
    const later = { assistantId: 'large', input: {}, threadId, afterSeconds: 1000 };
    for (let queued = 0; queued < 2; queued++) await client.startRun(later);
    return run(later)(client);
  },
};

it.override('settings', {
  ...settingsOf(SMALL),
  graphsFile: path.join(ROOT, 'test/support/limit-graphs.json'),
});

describe('docs/limits.md', () => {
  it('has a request over each of its limits here, and no other', () => {
    const tried = [...Object.keys(CASES), ...Object.keys(ELSEWHERE), ...UNTRIED];
    expect(tried.toSorted()).toEqual(ROWS.map(keyOf).toSorted());
  });

  it('has the defaults of docs/operation.md', () => {
    const defaults = new Map(
      cellsOf(read('docs/operation.md')).map(([variable = '', byDefault = '']) => [
        code(variable)[0],
        code(byDefault)[0],
      ]),
    );
    const set = ROWS.filter(({ variable }) => variable);
    expect(set.map(({ variable, byDefault }) => [variable, byDefault])).toEqual(
      set.map(({ variable }) => [variable, defaults.get(variable)]),
    );
  });

  it.for(Object.entries(ELSEWHERE))('has a test of its own for %s', ([_key, [file, test]]) => {
    expect(read(`test/${file}.test.ts`)).toContain(test);
  });

  const here = ROWS.filter((row) => keyOf(row) in CASES);
  it.for(here.map((row) => [keyOf(row), row] as const))(
    'says what a client sees above the limit: %s',
    // The server closes a silent WebSocket after 36 s.
    { timeout: 120_000 },
    async ([key, { variable, seen }], { client }) => {
      const sees = (await CASES[key]?.(client)) ?? '';
      for (const part of seen) expect(sees).toMatch(part);
      const named = Array.from(sees.matchAll(/(\w+) sets the limit\./g), ([, name]) => name);
      expect(named.filter((name) => name !== variable)).toEqual([]);
    },
  );
});

function keyOf({ limit, variable }: Row): string {
  return variable ?? limit;
}
