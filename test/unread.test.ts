import { randomUUID } from 'node:crypto';
import { describe, expect } from 'vitest';
import { readConfig } from '../src/config.ts';
import { until } from './support/app.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';
import {
  connectRaw,
  frame,
  head,
  openRawWebSocket,
  PING,
  type RawSocket,
} from './support/raw-socket.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';

/**
 * Half of it is more than kernels buffer for both ends of a connection: Linux buffers up to 75 MB if `tcp_rmem` allows 32 MiB.
 */
const MUCH = 256 * 1024 * 1024;

const { writeSeconds } = readConfig({ WRITE_SECONDS: '1' });
it.override('settings', { writeSeconds, metadataLimitBytes: 1_000_000 });

const TYPENAME = operation('{ __typename }');
const SET_METADATA = operation(`mutation ($id: ID!, $metadata: JSONObject!) {
  updateThread(id: $id, input: { metadata: $metadata }) { id }
}`);

/** Sends until the server has closed the connection or read everything. Returns the number of sent bytes. */
async function sendUnread(
  { socket, closed }: RawSocket,
  dataOf: (round: number) => Buffer,
): Promise<number> {
  let isClosed = false;
  let round = 0;
  void closed.then(() => (isClosed = true));
  socket.pause();
  await until(() => {
    const isFull = () => socket.writableLength > 1_000_000 || socket.bytesWritten > MUCH;
    // A client notices the end when it writes.
    while (!socket.destroyed && !isFull()) socket.write(dataOf(round++));
    return isClosed || socket.bytesWritten > MUCH;
  });
  return socket.bytesWritten - socket.writableLength;
}

describe('a client that reads nothing', { timeout: SEVERAL_STARTS_MS }, () => {
  /** Many operations, each with an id of its own. */
  const operations = (query: string) => (round: number) =>
    Buffer.concat(
      Array.from({ length: 1000 }, (_, n) =>
        frame({ id: `${round}-${n}`, type: 'subscribe', payload: { query } }),
      ),
    );
  const pings = Buffer.concat(Array<Buffer>(500).fill(frame('x'.repeat(125), PING)));
  const largePing = frame({ type: 'ping', payload: { a: 'x'.repeat(1_000_000) } });

  it.for<[string, (round: number) => Buffer]>([
    ['pongs with their payload', () => largePing],
    ['pongs of the WebSocket', () => pings],
    ['errors', operations(`{ ${'x'.repeat(1000)} }`)],
    ['answers', operations('{ __typename graphs { mermaid } }')],
  ])(
    'loses its WebSocket, and the server reads no more of it: %s',
    async ([, dataOf], { server, client }) => {
      using raw = await openRawWebSocket(server.url);
      expect(await sendUnread(raw, dataOf)).toBeLessThan(MUCH / 2);
      expect(await client.gql(TYPENAME)).toEqual({ __typename: 'Query' });
    },
  );

  it('loses its connection while it asks for page after page', async ({ server }) => {
    using raw = await connectRaw(server.url);
    const pages = Buffer.from(head('GET /graphql', { Accept: 'text/html' }).repeat(500));
    expect(await sendUnread(raw, () => pages)).toBeLessThan(MUCH / 2);
  });

  it.for([
    ['SSE', connectRaw],
    ['a WebSocket', openRawWebSocket],
  ] as const)('ends its subscription over %s', async ([transport, open], { server, client }) => {
    const id = await client.createThread();
    using raw = await open(server.url);
    const query = `subscription { threadChanged(ids: ["${id}"]) { metadata } }`;
    const body = JSON.stringify({ query });
    const headers = {
      Accept: 'text/event-stream',
      'Content-Type': 'application/json',
      'Content-Length': body.length,
    };
    raw.write(
      transport === 'SSE'
        ? head('POST /graphql', headers) + body
        : frame({ id: '1', type: 'subscribe', payload: { query } }),
    );
    await raw.see(/"metadata":\{\}/);
    raw.socket.pause();
    expect(server.app.changes.watchers).toBe(1);
    for (let n = 0; server.app.changes.watchers > 0 && n < 500; n++) {
      await client.gql(SET_METADATA, { id, metadata: { n, filler: 'x'.repeat(200_000) } });
    }
    await until(() => server.app.changes.watchers === 0);
  });
});

describe('a client that reads late', () => {
  it('gets all pongs once it reads', async ({ server }) => {
    using raw = await openRawWebSocket(server.url);
    raw.socket.pause();
    const ping = frame({ type: 'ping', payload: { a: 'x'.repeat(900_000) } });
    for (let n = 0; n < 8; n++) raw.write(ping);
    raw.socket.resume();
    await until(() => raw.text().split('"type":"pong"').length === 9);
  });
});

describe('a WebSocket that the server has closed', () => {
  it('executes no operation that comes after', async ({ server, client }) => {
    using raw = await openRawWebSocket(server.url);
    const thread = randomUUID();
    const subscribe = (id: string, query: string) =>
      frame({ id, type: 'subscribe', payload: { query } });
    const watch = subscribe('1', 'subscription { threadChanged(ids: []) { id } }');
    const create = subscribe('2', `mutation { createThread(input: { id: "${thread}" }) { id } }`);
    raw.write(Buffer.concat([watch, watch, create]));
    await raw.closed;
    expect(raw.text()).toContain('Subscriber for 1 already exists');
    expect(await client.findThread(thread)).toBeNull();
  });
});
