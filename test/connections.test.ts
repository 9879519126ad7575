import { describe, expect } from 'vitest';
import { randomId, until, type TestApp } from './support/app.ts';
import { it } from './support/fixture.ts';
import { intercept } from './support/queries.ts';
import { connectRaw, frame, head, PING, post, UPGRADE } from './support/raw-socket.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';
import { settingsOf } from './support/settings.ts';

const TOTAL = '{ threads { totalCount } }';
const GET = head(`GET /graphql?query=${encodeURIComponent(TOTAL)}`);
const ANSWER = '{"data":{"threads":{"totalCount":0}}}';

/** The server of this file has short time limits. */
it.override(
  'settings',
  settingsOf({
    HEADER_SECONDS: '1',
    BODY_SECONDS: '1',
    SOCKET_INIT_SECONDS: '1',
    KEEP_ALIVE_SECONDS: '1',
  }),
);

/** Holds the server's matching statements, and counts them. */
function holdStatements({ app: { sql } }: TestApp, pattern: RegExp) {
  const { query } = sql;
  let release = (): void => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  let count = 0;
  sql.query = intercept(query, async ({ text }, send) => {
    if (pattern.test(text)) {
      count += 1;
      await released;
    }
    return send();
  });
  return {
    count: () => count,
    release,
    [Symbol.dispose]() {
      release();
      sql.query = query;
    },
  };
}

describe('a connection', () => {
  it('gets the answers to requests that it sends together one after the other, in order', async ({
    server,
  }) => {
    using raw = await connectRaw(server.url);
    using held = holdStatements(server, /count\(\*\)/);
    const ids = Array.from({ length: 300 }, (_, i) => `q${i}`);
    raw.write(ids.map((id) => post(`{ ${id}: threads { totalCount } }`)).join(''));
    await until(() => held.count() === 1);
    // Meanwhile the server answers requests on further connections. It starts no second request of this connection.
    expect(await server.gql('{ __typename }')).toEqual({ __typename: 'Query' });
    expect(held.count()).toBe(1);
    held.release();
    await raw.see(/q299/);
    expect(raw.text().match(/q\d+/g)).toEqual(ids);
  });

  it('that its client has left begins no request that still waits', async ({ server }) => {
    using raw = await connectRaw(server.url);
    using held = holdStatements(server, /count\(\*\)/);
    raw.write(GET.repeat(5000));
    await until(() => held.count() === 1);
    raw.socket.resetAndDestroy();
    held.release();
    // If the server started queued requests, it would start them before these answers.
    for (let n = 0; n < 20; n++) await server.gql('{ assistants { totalCount } }');
    expect(held.count()).toBeLessThan(50);
  });

  it('gets what is whole answered, then an error about what is no HTTP', async ({ server }) => {
    using raw = await connectRaw(server.url);
    raw.write(`${GET}${GET}nonsense\r\n\r\n`);
    const text = await raw.closed;
    expect(text.split(ANSWER)).toHaveLength(3);
    expect(text).toMatch(/ 400 Bad Request[^]*The request is not valid HTTP\.[^]*BAD_USER_INPUT/);
  });

  it('may send a body in pieces of one byte', async ({ startServer }) => {
    // Not the server of this file: its limit for a body is one second.
    const { server } = await startServer();
    using raw = await connectRaw(server.url);
    const body = JSON.stringify({ query: `${TOTAL} # ${'x'.repeat(50_000)}` });
    const type = { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' };
    raw.write(head('POST /graphql', type));
    raw.write(Array.from(body, (byte) => `1\r\n${byte}\r\n`).join(''));
    raw.write('0\r\n\r\n');
    await raw.see(/"totalCount":0/);
  });
});

// These tests wait for the seconds of a limit, and can do so together.
describe('a client that is slow', { timeout: SEVERAL_STARTS_MS, concurrent: true }, () => {
  it.for<[what: string, sent: string]>([
    ['nothing', ''],
    ['half of a head', GET.slice(0, 40)],
    ['half of the head of an upgrade', UPGRADE.slice(0, 80)],
    ['a second head in part', `${GET}GET /gra`],
  ])('to send the head of a request is refused: %s', async ([_what, sent], { server }) => {
    using raw = await connectRaw(server.url);
    raw.write(sent);
    if (sent.startsWith(GET)) {
      await raw.see(/totalCount/);
      raw.write('phql HTTP/1.1\r\n');
    }
    expect(await raw.closed).toMatch(/ 408 [^]*HEADER_SECONDS sets the limit\./);
  });

  it.for<[method: string, headers: Record<string, string | number>]>([
    ['POST', { 'Content-Type': 'application/json', 'Content-Length': 100 }],
    ['POST', { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' }],
    ['GET', { 'Content-Length': 100 }],
  ])('to send the body of a %s is refused: %j', async ([method, headers], { server }) => {
    using raw = await connectRaw(server.url);
    raw.write(head(`${method} /graphql?query=${encodeURIComponent(TOTAL)}`, headers));
    expect(await raw.closed).toMatch(/ 408 [^]*BODY_SECONDS sets the limit\./);
  });

  it.for<[what: string, sent: Buffer | undefined]>([
    ['nothing', undefined],
    ['a part of a frame', frame({ type: 'connection_init' }).subarray(0, 10)],
    ['a ping', frame('', PING)],
  ])(
    'to introduce its WebSocket loses it, also where it sends %s',
    async ([_what, sent], { server }) => {
      using raw = await connectRaw(server.url);
      raw.write(UPGRADE);
      await raw.see(/ 101 /);
      if (sent) raw.write(sent);
      expect(await raw.closed).toContain('Connection initialisation timeout');
    },
  );

  it('loses no time to others: a request that waits for its turn is not slow', async ({
    server,
  }) => {
    using raw = await connectRaw(server.url);
    const slow = `mutation { createRun(wait: true, input: {
      assistantId: "slow", input: { log: [] } }) { status } }`;
    raw.write(post(slow) + post(TOTAL).slice(0, -5));
    await raw.see(/"status":"SUCCESS"/);
    raw.write(post(TOTAL).slice(-5));
    await raw.see(/totalCount/);
  });
});

describe('the limit of connections', { timeout: SEVERAL_STARTS_MS }, () => {
  it('of an address refuses one more of that address, until another one has ended', async ({
    startServer,
  }) => {
    const { server } = await startServer(settingsOf({ ADDRESS_CONNECTIONS: '2' }));
    using first = await connectRaw(server.url);
    using second = await connectRaw(server.url);
    for (const raw of [first, second]) {
      raw.write(GET);
      await raw.see(/totalCount/);
    }
    using third = await connectRaw(server.url);
    third.write(GET);
    expect(await third.closed).toMatch(
      / 503 [^]*Limit of 2 connections of one address exceeded. ADDRESS_CONNECTIONS sets the limit\.[^]*SERVICE_UNAVAILABLE/,
    );
    using elsewhere = await connectRaw(server.url, { localAddress: '127.0.0.2' });
    elsewhere.write(GET);
    await elsewhere.see(/totalCount/);
    first.socket.destroy();
    await until(async () => {
      using next = await connectRaw(server.url);
      next.write(GET);
      return await Promise.race([next.see(/totalCount/), next.closed.then(() => false)]);
    });
  });

  it('of all addresses closes one more', async ({ startServer }) => {
    const { server } = await startServer(settingsOf({ CONNECTION_LIMIT: '2' }));
    using first = await connectRaw(server.url);
    using second = await connectRaw(server.url, { localAddress: '127.0.0.2' });
    for (const raw of [first, second]) {
      raw.write(GET);
      await raw.see(/totalCount/);
    }
    using third = await connectRaw(server.url, { localAddress: '127.0.0.3' });
    third.write(GET);
    expect(await third.closed).toBe('');
    first.write(GET);
    await first.see(/totalCount[^]*totalCount/);
    first.socket.destroy();
    second.socket.destroy();
  });

  it('of bytes that an address holds closes the connections that hold most', async ({
    startServer,
  }) => {
    const { server } = await startServer(settingsOf({ ADDRESS_BUFFER_BYTES: '1048576' }));
    const unfinished = (bytes: number) =>
      head('POST /graphql', { 'Content-Type': 'application/json', 'Content-Length': 1_000_000 }) +
      ' '.repeat(bytes);
    using small = await connectRaw(server.url);
    using large = await connectRaw(server.url);
    using elsewhere = await connectRaw(server.url, { localAddress: '127.0.0.2' });
    small.write(unfinished(500_000));
    elsewhere.write(unfinished(900_000));
    large.write(unfinished(900_000));
    expect(await large.closed).toBe('');
    for (const raw of [small, elsewhere]) expect(raw.socket.closed).toBe(false);
  });
});

describe('a keep-alive connection', { timeout: SEVERAL_STARTS_MS, concurrent: true }, () => {
  it('is closed when it was not used for the time that its client is told', async ({ server }) => {
    using raw = await connectRaw(server.url);
    raw.write(GET);
    await raw.see(/Keep-Alive: timeout=1\r\n[^]*totalCount/);
    await raw.closed;
  });

  it('answers a request that was sent while a graph blocked the event loop for longer', async ({
    ownDatabase,
    startProcess,
  }) => {
    const { client } = await startProcess(ownDatabase, {
      KEEP_ALIVE_SECONDS: '1',
      HEADER_SECONDS: '1',
      MAX_BLOCKED_SECONDS: '60',
    });
    using resting = await connectRaw(client.url);
    using fresh = await connectRaw(client.url);
    resting.write(GET);
    await resting.see(/totalCount/);
    const run = client.runToEnd({
      assistantId: 'hog',
      input: { ms: 12_000 },
      threadId: randomId(),
      ifThreadMissing: 'CREATE',
    });
    resting.write(GET);
    fresh.write(GET);
    await resting.see(/totalCount[^]*totalCount/);
    await fresh.see(/totalCount/);
    expect((await run).status).toBe('SUCCESS');
  });
});
