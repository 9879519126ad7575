import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { describe, expect } from 'vitest';
import { WebSocket } from 'ws';
import type { TestApp } from './support/app.ts';
import { it as base } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import {
  AUDIENCE,
  createIssuerKey,
  epoch,
  signToken,
  startJwksServer,
  type IssuerKey,
} from './support/jwks.ts';
import { sendTo } from './support/rest.ts';
import { settingsOf } from './support/settings.ts';

const it = base
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the names of the fixtures from the pattern
  .extend('jwks', { scope: 'file' }, async ({}, { onCleanup }) => {
    const jwks = await startJwksServer([await createIssuerKey('first')]);
    onCleanup(() => jwks[Symbol.asyncDispose]());
    return jwks;
  })
  .extend('settings', { scope: 'file' }, ({ jwks }) => settingsFor(jwks.url))
  .extend('key', ({ jwks }): IssuerKey => {
    const [key] = jwks.keys;
    if (!key) throw new Error('The issuer has no key.');
    return key;
  });

function settingsFor(url: string, env: Record<string, string> = {}) {
  return settingsOf({
    AUTH_JWKS_URL: url,
    AUTH_AUDIENCE: AUDIENCE,
    AUTH_CLAIM_TENANT: 'tenant',
    AUTH_LEEWAY: '0',
    ...env,
  });
}

const CREATE = 'mutation { createThread { id } }';
const LIST = '{ threads { totalCount edges { node { id } } } }';
const FOLLOW = 'subscription { threadChanges { __typename } }';

/** Sends a document with a token, and returns the answer. */
async function ask(
  { url }: TestApp,
  token: string,
  query: string,
  variables: Record<string, unknown> = {},
): Promise<{ status: number; data: any; errors: any[] }> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  return { status: response.status, ...((await response.json()) as { data: any; errors: any[] }) };
}

/** Creates a thread, and returns its id. */
async function createThread(server: TestApp, token: string): Promise<string> {
  const { data } = await ask(server, token, CREATE);
  return data.createThread.id;
}

async function listedIds(server: TestApp, token: string): Promise<string[]> {
  const { data } = await ask(server, token, LIST);
  const ids = data.threads.edges.map(({ node }: any) => node.id);
  expect(data.threads.totalCount).toBe(ids.length);
  return ids;
}

describe('Clients with tokens', () => {
  it('of two tenants do not see the threads of each other, also as admins', async ({
    server,
    key,
  }) => {
    const tokenOf = (tenant: string) => signToken(key, { tenant, roles: 'admin' });
    const [ours, theirs] = [await tokenOf("o'neil %_"), await tokenOf("O'Neil %_")];
    const [our, their] = [await createThread(server, ours), await createThread(server, theirs)];

    expect(await listedIds(server, ours)).toEqual([our]);
    expect(await listedIds(server, theirs)).toEqual([their]);
    const query = 'query ($id: ID!) { thread(id: $id) { id } }';
    expect((await ask(server, ours, query, { id: their })).data).toEqual({ thread: null });
    expect((await ask(server, theirs, query, { id: their })).data.thread.id).toBe(their);
  });

  it('of a tenant see their own threads only, unless they are admins', async ({ server, key }) => {
    const tokenOf = (sub: string, roles?: string) => signToken(key, { tenant: 'team', sub, roles });
    const [ann, bob] = [await tokenOf('ann'), await tokenOf('bob')];
    const [first, second] = [await createThread(server, ann), await createThread(server, bob)];

    expect(await listedIds(server, ann)).toEqual([first]);
    expect(await listedIds(server, bob)).toEqual([second]);
    const all = await listedIds(server, await tokenOf('eve', 'admin'));
    expect(all.toSorted()).toEqual([first, second].toSorted());
  });

  it('of a tenant see all of its threads with AUTH_SCOPE=tenant', async ({
    startServer,
    jwks,
    key,
  }) => {
    const { server } = await startServer(settingsFor(jwks.url, { AUTH_SCOPE: 'tenant' }));
    const tokenOf = (sub: string) => signToken(key, { tenant: 'team', sub });
    const id = await createThread(server, await tokenOf('ann'));
    expect(await listedIds(server, await tokenOf('bob'))).toEqual([id]);
  });

  it('create nothing with the role reader', async ({ server, key }) => {
    const token = await signToken(key, { tenant: 'readers', roles: ['reader'] });
    const { errors } = await ask(server, token, CREATE);
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    expect(await listedIds(server, token)).toEqual([]);
  });
});

describe('A request', () => {
  it('with a wrong token executes nothing, and its answer has no part of the token', async ({
    server,
    key,
  }) => {
    const claims = { tenant: 'wrong', roles: 'admin' };
    const token = await signToken(key, { ...claims, exp: epoch() - 1 });
    const { status, ...answer } = await ask(server, token, CREATE);
    expect(status).toBe(401);
    expect(answer.errors).toMatchObject([
      { message: 'The token has expired.', extensions: { code: 'UNAUTHENTICATED' } },
    ]);
    for (const part of token.split('.')) expect(JSON.stringify(answer)).not.toContain(part);
    expect(await listedIds(server, await signToken(key, claims))).toEqual([]);
  });

  it('without a token is refused', async ({ server }) => {
    const errors = await server.errors(LIST);
    expect(errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
  });

  it('waits for the keys of the issuer: SERVICE_UNAVAILABLE while their address is away', async ({
    startServer,
    key,
  }) => {
    const away = await startJwksServer([]);
    await away[Symbol.asyncDispose]();
    const { server } = await startServer(settingsFor(away.url));
    const { status, errors } = await ask(server, await signToken(key, { tenant: 'a' }), LIST);
    expect(status).toBe(503);
    expect(errors).toMatchObject([
      {
        message: 'The server cannot read the keys of the tokens at the moment.',
        extensions: { code: 'SERVICE_UNAVAILABLE' },
      },
    ]);
  });
});

describe('The address of the keys of the issuer', () => {
  it('may answer without keys: every token is refused with UNAUTHENTICATED', async ({
    startServer,
    key,
  }) => {
    await using jwks = await startJwksServer([key]);
    jwks.body = '{"keys": []}';
    const { server } = await startServer(settingsFor(jwks.url));
    const token = await signToken(key, { tenant: 'a' });
    const { status, errors } = await ask(server, token, LIST);
    expect(status).toBe(401);
    expect(errors).toMatchObject([
      {
        message: 'The server does not know the key of the token.',
        extensions: { code: 'UNAUTHENTICATED' },
      },
    ]);
  });
});

describe('A subscription whose token expires', () => {
  it('ends with the close code 4403 of its WebSocket', async ({ server, key }) => {
    const exp = epoch() + 3;
    const token = await signToken(key, { tenant: 'a', exp });
    const client = createWsClient({
      url: `${server.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      connectionParams: { authorization: `Bearer ${token}` },
    });
    const end = await client
      .iterate({ query: FOLLOW })
      .next()
      .catch((reason: unknown) => reason);
    await client.dispose();
    expect(end).toMatchObject({ code: 4403 });
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000);
  });

  it('ends with one UNAUTHENTICATED error over SSE', async ({ server, key }) => {
    const exp = epoch() + 3;
    const token = await signToken(key, { tenant: 'a', exp });
    const client = createSseClient({
      url: `${server.url}/graphql`,
      retryAttempts: 0,
      headers: { authorization: `Bearer ${token}` },
    });
    const results = client.iterate({ query: FOLLOW });
    expect(await results.next()).toMatchObject({
      value: { errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] },
    });
    expect(await results.next()).toMatchObject({ done: true });
    client.dispose();
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000);
  });
});

const EXPIRED = { error: 'UnauthenticatedError', message: 'The credentials have expired.' };

describe('A request over REST that waits while its token expires', () => {
  /** The paths of a new run, with the method; `$run` is a run that another request has created. */
  const waits = [
    'POST /threads/$thread/runs/wait',
    'POST /runs/wait',
    'GET /threads/$thread/runs/$run/join',
  ];
  const streams = [
    'POST /threads/$thread/runs/stream',
    'POST /runs/stream',
    'GET /threads/$thread/runs/$run/stream',
    'GET /threads/$thread/stream',
  ];

  /** Sends the request with a token for three seconds, and then ends the run, which no request can end. */
  async function askUntilExpired(server: TestApp, key: IssuerKey, request: string) {
    const gate = createGate();
    const claims = { tenant: 'rest', roles: 'admin' };
    const headers = { authorization: `Bearer ${await signToken(key, claims)}` };
    const send = (method: string, path: string, body?: object) =>
      sendTo(server, method, path, body, headers);
    const thread = (await send('POST', '/threads', {})).body.thread_id;
    const run = { assistant_id: 'gate', input: { log: ['in'], file: gate.file } };
    const started = request.includes('$run')
      ? (await send('POST', `/threads/${thread}/runs`, run)).body.run_id
      : '';
    const exp = epoch() + 3;
    const [method = '', path = ''] = request.split(' ');
    const response = await fetch(
      new URL(path.replace('$thread', thread).replace('$run', started), server.url),
      {
        method,
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${await signToken(key, { ...claims, exp })}`,
        },
        ...(method === 'POST' && { body: JSON.stringify(run) }),
      },
    );
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000);
    await gate.open();
    return { text, send, thread };
  }

  it.for(waits)('ends with an error, and its run goes on: %s', async (request, { server, key }) => {
    const { text, send, thread } = await askUntilExpired(server, key, request);
    expect(JSON.parse(text)).toEqual({ __error__: EXPIRED });
    if (!request.includes('$thread')) return;
    const { run_id } = (await send('GET', `/threads/${thread}/runs`)).body[0];
    const result = await send('GET', `/threads/${thread}/runs/${run_id}/join`);
    expect(result.body.log).toEqual(['in', 'before', 'hold', 'after']);
  });

  it.for(streams)('ends its stream with one error: %s', async (request, { server, key }) => {
    const { text } = await askUntilExpired(server, key, request);
    const events = text.split('\n\n').filter((each) => each.includes('event: '));
    expect(events.at(-1)).toBe(`event: error\ndata: ${JSON.stringify(EXPIRED)}`);
    expect(events.filter((each) => each.includes('event: error'))).toHaveLength(1);
  });
});
