import { once } from 'node:events';
import { request as send, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { CREATE_RUN, CREATE_THREAD, createTestApp, human, type TestApp } from './support/app.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const SEARCH = '{ assistants { totalCount } }';

let server: TestApp;
let endpoint: string;
beforeAll(async () => {
  server = await createTestApp({
    allowedHosts: ['ours.example'],
    corsOrigins: ['https://app.example'],
    bodyLimitBytes: 100_000,
  });
  endpoint = `${server.url}/graphql`;
});
afterAll(() => server.stop());

/** fetch chooses the Host header itself; this does not. */
async function get(headers: Record<string, string>) {
  const request = send(`${endpoint}?query=${encodeURIComponent(SEARCH)}`, { headers });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return { status: response.statusCode, body: JSON.parse(await text(response)) };
}

function post(body: string, headers: Record<string, string> = JSON_TYPE) {
  return fetch(endpoint, { method: 'POST', headers, body });
}

/** "open", or the status with which the upgrade was refused. */
async function openSocket(headers: Record<string, string>): Promise<unknown> {
  const url = endpoint.replace('http', 'ws');
  const socket = new WebSocket(url, 'graphql-transport-ws', { headers });
  const outcome = await Promise.race([
    once(socket, 'open').then(() => 'open'),
    once(socket, 'unexpected-response').then(([, response]) => response.statusCode),
  ]);
  socket.on('error', () => {});
  socket.terminate();
  return outcome;
}

describe('Host', () => {
  it.each(['localhost', 'localhost:1', '127.0.0.1', '127.3.2.1:80', '[::1]:4000', 'Ours.Example'])(
    'is ours when it is %s',
    async (host) => {
      expect(await get({ host })).toMatchObject({ status: 200, body: { data: {} } });
    },
  );

  it.each([
    'evil.example',
    'localhost.evil.example',
    '10.1.2.3',
    'evil.example:4000',
    'a@localhost',
  ])('is refused when it is %s, over HTTP and WebSocket', async (host) => {
    const refused = { errors: [{ extensions: { code: 'FORBIDDEN' } }] };
    expect(await get({ host })).toMatchObject({ status: 403, body: refused });
    expect(await openSocket({ host })).toBe(403);
  });
});

describe('Origin', () => {
  it('opens a WebSocket for no page, our own pages and those of CORS_ORIGINS', async () => {
    expect(await openSocket({})).toBe('open');
    expect(await openSocket({ origin: server.url })).toBe('open');
    expect(await openSocket({ origin: 'https://app.example' })).toBe('open');
  });

  it.each(['https://evil.example', 'http://localhost:1', 'https://app.example.evil', 'null'])(
    'opens no WebSocket for pages of %s, and shows them no answer',
    async (origin) => {
      expect(await openSocket({ origin })).toBe(403);
      const response = await post(JSON.stringify({ query: SEARCH }), { ...JSON_TYPE, origin });
      expect(response.headers.get('access-control-allow-origin')).toBeNull();
    },
  );

  it('lets the pages of CORS_ORIGINS send JSON and read answers', async () => {
    const origin = 'https://app.example';
    const headers = { origin, 'access-control-request-headers': 'content-type' };
    const preflight = await fetch(endpoint, { method: 'OPTIONS', headers });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-headers')).toBe('content-type');
    expect(preflight.headers.get('access-control-allow-origin')).toBe(origin);
    const answer = await post(JSON.stringify({ query: SEARCH }), { ...JSON_TYPE, origin });
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin);
  });
});

describe('a request', () => {
  it('may be a POST of application/json alone', async () => {
    const body = JSON.stringify({ query: SEARCH });
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/graphql']) {
      const response = await post(body, { 'content-type': type });
      expect(response.status).toBe(415);
      expect(await response.json()).toMatchObject({
        errors: [{ extensions: { code: 'BAD_USER_INPUT' } }],
      });
    }
    const charset = { 'content-type': 'application/json; charset=utf-8' };
    expect((await post(body, charset)).status).toBe(200);
  });

  it('may be a GET of a query, not of a mutation', async () => {
    const mutation = encodeURIComponent('mutation { deleteThread(id: "x") }');
    expect((await fetch(`${endpoint}?query=${mutation}`)).status).toBe(405);
  });

  it.each(['', '{', '1', 'null', '[]', '{}', `[{"query":"{__typename}"}]`, '{"query":1}'])(
    'is a client error when its body is %j',
    async (body) => {
      const response = await post(body);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({
        errors: [{ extensions: { code: 'BAD_USER_INPUT' } }],
      });
    },
  );

  it('is refused as soon as its body is larger than the limit', async () => {
    const large = await post(
      JSON.stringify({ query: SEARCH, variables: { x: 'x'.repeat(200_000) } }),
    );
    expect(large.status).toBe(413);
    expect(await large.json()).toMatchObject({
      errors: [{ extensions: { code: 'PAYLOAD_TOO_LARGE' } }],
    });

    const endless = connect(Number(new URL(server.url).port), '127.0.0.1');
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

  it('closes a WebSocket whose message is larger than the limit', async () => {
    const socket = new WebSocket(endpoint.replace('http', 'ws'), 'graphql-transport-ws');
    await once(socket, 'open');
    socket.send('x'.repeat(200_000));
    expect((await once(socket, 'close'))[0]).toBe(1009);
  });
});

describe('what cannot be stored', () => {
  const CREATE = 'mutation ($input: CreateThreadInput) { createThread(input: $input) { id } }';

  it.each([
    ['a null byte', { a: [{ b: 'x\0' }] }, 'input.metadata.a[0].b'],
    ['a null byte in a key', { a: { 'x\0': 1 } }, 'input.metadata.a'],
    ['half of a surrogate pair', { a: '\ud83d' }, 'input.metadata.a'],
    ['more than 100 levels', { a: nested(100) }, 'input.metadata'],
  ])('is bad input that names its place: %s', async (_what, metadata, argument) => {
    const [error] = await server.errors(CREATE, { input: { metadata } });
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument });
  });

  it('is the same in literals', async () => {
    const document = (metadata: string) =>
      `mutation { createThread(input: { metadata: ${metadata} }) { id } }`;
    for (const metadata of ['{ a: "\\u0000" }', '{ a: "\\ud83d" }', '{ a: 1e999 }']) {
      const [error] = await server.errors(document(metadata));
      expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' });
    }
  });

  it('is bad input in names and ids too', async () => {
    const [name] = await server.errors(
      '{ assistants(filter: { name: "\\u0000" }) { totalCount } }',
    );
    expect(name?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'filter.name' });
    const [id] = await server.errors('{ thread(id: "\\u0000") { id } }');
    expect(id?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'id' });
  });

  it('takes emoji, and 100 levels in what a graph is given', async () => {
    await server.gql(CREATE, { input: { metadata: { emoji: '👩‍👩‍👧' } } });
    const input = { assistantId: 'echo', input: { ...human('👩‍👩‍👧'), deep: nested(99) } };
    await server.gql(CREATE_RUN, { input });
  });

  it('stays a client error where it would overflow the stack', async () => {
    const list = '['.repeat(40_000) + ']'.repeat(40_000);
    const query = JSON.stringify(CREATE);
    const variables = await post(
      `{"query":${query},"variables":{"input":{"metadata":{"a":${list}}}}}`,
    );
    const literal = await post(
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

/** A list in a list …, `levels` deep. */
function nested(levels: number): unknown {
  return levels === 0 ? 1 : [nested(levels - 1)];
}

describe('an error', () => {
  it('has the code BAD_USER_INPUT where GraphQL refuses the document or its variables', async () => {
    for (const document of ['{', '{ nope }', 'query ($id: ID!) { thread(id: $id) { id } }']) {
      const [error] = await server.errors(document);
      expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT' });
    }
  });

  it('says nothing about a bug, over HTTP, SSE and WebSocket', async () => {
    await using broken = await createTestApp();
    await broken.app.sql.query('DROP TABLE "AssistantVersion"');
    const query = '{ assistant(id: "echo") { versions { nodes { name } } } }';
    const masked = { message: 'Unexpected error.', extensions: { code: 'INTERNAL_SERVER_ERROR' } };
    expect(await broken.errors(query)).toMatchObject([masked]);
    for (const transport of ['websocket', 'sse'] as const) {
      const answers = broken.subscribe(query, {}, transport);
      await expect(answers.next()).rejects.toMatchObject({ errors: [masked] });
    }
  });
});

it('says whether it lives, and whether its database answers', async () => {
  expect((await fetch(`${server.url}/health`)).status).toBe(200);
  expect((await fetch(`${server.url}/ready`)).status).toBe(200);
});

it('sends subscribers away to come back when it stops, and stops at once', async () => {
  const stopping = await createTestApp();
  const threadId = (await stopping.gql(CREATE_THREAD)).createThread.id;
  const socket = new WebSocket(
    `${stopping.url.replace('http', 'ws')}/graphql`,
    'graphql-transport-ws',
  );
  await once(socket, 'open');
  const stream = await fetch(`${stopping.url}/graphql`, {
    method: 'POST',
    headers: { ...JSON_TYPE, accept: 'text/event-stream' },
    body: JSON.stringify({
      query: `subscription { threadEvents(threadId: "${threadId}") { id } }`,
    }),
  });
  const cutOff = stream.text().then(
    () => 'completed',
    () => 'cut off',
  );
  const closed = once(socket, 'close');
  const started = performance.now();
  await stopping.stop();
  expect(performance.now() - started).toBeLessThan(3000);
  expect((await closed)[0]).toBe(1012);
  expect(await cutOff).toBe('cut off');
});
