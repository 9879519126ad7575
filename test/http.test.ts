import { once } from 'node:events';
import { request as send, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { print } from 'graphql';
import { describe, expect } from 'vitest';
import { WebSocket } from 'ws';
import { sql } from '../src/db/sql.ts';
import { human } from './support/app.ts';
import { CREATE_THREAD, type Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { GRAPHQL_WS, socketUrl } from './support/refusals.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const SEARCH = '{ assistants { totalCount } }';

it.override('settings', {
  allowedHosts: ['ours.example'],
  corsOrigins: ['https://app.example'],
  bodyLimitBytes: 100_000,
});

const endpointOf = ({ url }: Client) => `${url}/graphql`;

/** Sends a GET request with these headers. `fetch` would set the header Host itself. */
async function get(client: Client, headers: Record<string, string>) {
  const request = send(`${endpointOf(client)}?query=${encodeURIComponent(SEARCH)}`, { headers });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return { status: response.statusCode, body: JSON.parse(await text(response)) };
}

function post(client: Client, body: string, headers: Record<string, string> = JSON_TYPE) {
  return fetch(endpointOf(client), { method: 'POST', headers, body });
}

/** Returns "open", or the status of the response to a refused upgrade. */
async function openSocket(client: Client, headers: Record<string, string>): Promise<unknown> {
  const socket = new WebSocket(socketUrl(client), GRAPHQL_WS, { headers });
  const outcome = await Promise.race([
    once(socket, 'open').then(() => 'open'),
    once(socket, 'unexpected-response').then(([, response]) => response.statusCode),
  ]);
  socket.on('error', () => {});
  socket.terminate();
  return outcome;
}

describe('Host', () => {
  it.for(['localhost', 'localhost:1', '127.0.0.1', '127.3.2.1:80', '[::1]:4000', 'Ours.Example'])(
    'is ours when it is %s',
    async (host, { client }) => {
      expect(await get(client, { host })).toMatchObject({ status: 200, body: { data: {} } });
    },
  );

  it.for([
    'evil.example',
    'localhost.evil.example',
    '10.1.2.3',
    'evil.example:4000',
    'a@localhost',
  ])('is refused when it is %s, over HTTP and WebSocket', async (host, { client }) => {
    const refused = { errors: [{ extensions: { code: 'FORBIDDEN' } }] };
    expect(await get(client, { host })).toMatchObject({ status: 403, body: refused });
    expect(await openSocket(client, { host })).toBe(403);
  });
});

describe('Origin', () => {
  it('opens a WebSocket for no page, our own pages and those of CORS_ORIGINS', async ({
    client,
  }) => {
    expect(await openSocket(client, {})).toBe('open');
    expect(await openSocket(client, { origin: client.url })).toBe('open');
    expect(await openSocket(client, { origin: 'https://app.example' })).toBe('open');
  });

  it.for(['https://evil.example', 'http://localhost:1', 'https://app.example.evil', 'null'])(
    'opens no WebSocket for pages of %s, and shows them no answer',
    async (origin, { client }) => {
      expect(await openSocket(client, { origin })).toBe(403);
      const response = await post(client, JSON.stringify({ query: SEARCH }), {
        ...JSON_TYPE,
        origin,
      });
      expect(response.headers.get('access-control-allow-origin')).toBeNull();
    },
  );

  it('lets the pages of CORS_ORIGINS send JSON and read answers', async ({ client }) => {
    const origin = 'https://app.example';
    const headers = { origin, 'access-control-request-headers': 'content-type' };
    const preflight = await fetch(endpointOf(client), { method: 'OPTIONS', headers });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-headers')).toBe('content-type');
    expect(preflight.headers.get('access-control-allow-origin')).toBe(origin);
    const answer = await post(client, JSON.stringify({ query: SEARCH }), { ...JSON_TYPE, origin });
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin);
    expect(answer.headers.get('access-control-expose-headers')).toBe('retry-after');
  });
});

describe('a request', () => {
  it('may be a POST of application/json alone', async ({ client }) => {
    const body = JSON.stringify({ query: SEARCH });
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/graphql']) {
      const response = await post(client, body, { 'content-type': type });
      expect(response.status).toBe(415);
      expect(await response.json()).toMatchObject({
        errors: [{ extensions: { code: 'BAD_USER_INPUT' } }],
      });
    }
    const charset = { 'content-type': 'application/json; charset=utf-8' };
    expect((await post(client, body, charset)).status).toBe(200);
  });

  it('may be a GET of a query, not of a mutation', async ({ client }) => {
    const mutation = encodeURIComponent('mutation { deleteThread(id: "x") }');
    expect((await fetch(`${endpointOf(client)}?query=${mutation}`)).status).toBe(405);
  });

  it.for(['', '{', '1', 'null', '[]', '{}', `[{"query":"{__typename}"}]`, '{"query":1}'])(
    'is a client error when its body is %j',
    async (body, { client }) => {
      const response = await post(client, body);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({
        errors: [{ extensions: { code: 'BAD_USER_INPUT' } }],
      });
    },
  );

  it('is refused as soon as its body is larger than the limit', async ({ client }) => {
    const large = await post(
      client,
      JSON.stringify({ query: SEARCH, variables: { x: 'x'.repeat(200_000) } }),
    );
    expect(large.status).toBe(413);
    expect(await large.json()).toMatchObject({
      errors: [{ extensions: { code: 'PAYLOAD_TOO_LARGE' } }],
    });

    const endless = connect(Number(new URL(client.url).port), '127.0.0.1');
    endless.on('error', () => {});
    endless.write(
      'POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n',
    );
    endless.write('Transfer-Encoding: chunked\r\n\r\n');
    const chunk = `${(60_000).toString(16)}\r\n${'x'.repeat(60_000)}\r\n`;
    endless.write(chunk + chunk);
    const [answer] = await once(endless, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1\.1 413/);
    endless.destroy();
  });

  it('closes a WebSocket whose message is larger than the limit', async ({ client }) => {
    const socket = new WebSocket(socketUrl(client), GRAPHQL_WS);
    await once(socket, 'open');
    socket.send('x'.repeat(200_000));
    expect((await once(socket, 'close'))[0]).toBe(1009);
  });
});

describe('what cannot be stored', () => {
  it.for<[string, unknown, string]>([
    ['a null byte', { a: [{ b: 'x\0' }] }, 'input.metadata.a[0].b'],
    ['a null byte in a key', { a: { 'x\0': 1 } }, 'input.metadata.a'],
    ['half of a surrogate pair', { a: '\ud83d' }, 'input.metadata.a'],
    ['more than 100 levels', { a: nested(100) }, 'input.metadata'],
  ])('is bad input that names its place: %s', async ([_what, metadata, argument], { client }) => {
    const [error] = await client.errors(CREATE_THREAD, { input: { metadata } });
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument });
  });

  it('is the same in literals', async ({ client }) => {
    const document = (metadata: string) =>
      `mutation { createThread(input: { metadata: ${metadata} }) { id } }`;
    for (const metadata of ['{ a: "\\u0000" }', '{ a: "\\ud83d" }', '{ a: 1e999 }']) {
      const [error] = await client.errors(document(metadata));
      expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' });
    }
  });

  it('is bad input in names and ids too', async ({ client }) => {
    const [name] = await client.errors(
      '{ assistants(filter: { name: "\\u0000" }) { totalCount } }',
    );
    expect(name?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'filter.name' });
    const [id] = await client.errors('{ thread(id: "\\u0000") { id } }');
    expect(id?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'id' });
  });

  it('takes emoji, and 100 levels in what a graph is given', async ({ client }) => {
    await client.createThread({ metadata: { emoji: '👩‍👩‍👧' } });
    const input = { assistantId: 'echo', input: { ...human('👩‍👩‍👧'), deep: nested(99) } };
    await client.startRun(input);
  });

  it('stays a client error where it would overflow the stack', async ({ client }) => {
    const list = '['.repeat(40_000) + ']'.repeat(40_000);
    const query = JSON.stringify(print(CREATE_THREAD));
    const variables = await post(
      client,
      `{"query":${query},"variables":{"input":{"metadata":{"a":${list}}}}}`,
    );
    const literal = await post(
      client,
      JSON.stringify({
        query: `mutation { createThread(input: { metadata: { a: ${list} } }) { id } }`,
      }),
    );
    for (const response of [variables, literal]) {
      expect(response.status).toBeLessThan(500);
      expect(await response.json()).toMatchObject({
        errors: [{ extensions: { code: 'BAD_USER_INPUT' } }],
      });
    }
  });
});

/** Returns lists within lists, this many levels deep. */
function nested(levels: number): unknown {
  return levels === 0 ? 1 : [nested(levels - 1)];
}

describe('an error', () => {
  it('has the code BAD_USER_INPUT where GraphQL refuses the document or its variables', async ({
    client,
  }) => {
    for (const document of ['{', '{ nope }', 'query ($id: ID!) { thread(id: $id) { id } }']) {
      const [error] = await client.errors(document);
      expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT' });
    }
  });

  it('says nothing about a bug, over HTTP, SSE and WebSocket', async ({ startServer }) => {
    const { server: broken } = await startServer();
    await broken.app.sql.query(sql`DROP TABLE "AssistantVersion"`);
    const query = '{ assistant(id: "echo") { versions { nodes { name } } } }';
    const masked = { message: 'Unexpected error.', extensions: { code: 'INTERNAL_SERVER_ERROR' } };
    expect(await broken.errors(query)).toMatchObject([masked]);
    for (const transport of ['websocket', 'sse'] as const) {
      const answers = broken.subscribe(query, {}, transport);
      await expect(answers.next()).rejects.toMatchObject({ errors: [masked] });
    }
  });
});

it('says whether it lives, and whether its database answers', async ({ client }) => {
  expect((await fetch(`${client.url}/health`)).status).toBe(200);
  expect((await fetch(`${client.url}/ready`)).status).toBe(200);
});

it('sends subscribers away to come back when it stops, and stops at once', async ({
  startServer,
}) => {
  const { server, client } = await startServer();
  const threadId = await client.createThread();
  const socket = new WebSocket(socketUrl(client), GRAPHQL_WS);
  await once(socket, 'open');
  const stream = await post(
    client,
    JSON.stringify({ query: `subscription { threadEvents(threadId: "${threadId}") { id } }` }),
    { ...JSON_TYPE, accept: 'text/event-stream' },
  );
  const cutOff = stream.text().then(
    () => 'completed',
    () => 'cut off',
  );
  const closed = once(socket, 'close');
  // A server gives requests without an answer 5 seconds. Subscriptions must not use them.
  const late = sleep(5000, 'late', { ref: false });
  expect(await Promise.race([server.stop(), late])).not.toBe('late');
  expect((await closed)[0]).toBe(1012);
  expect(await cutOff).toBe('cut off');
});
