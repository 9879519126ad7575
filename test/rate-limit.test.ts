import { describe, expect } from 'vitest';
import { createRateLimit } from '../src/auth/rate-limit.ts';
import type { AppError } from '../src/errors.ts';
import { randomId, until, type GraphqlResult } from './support/app.ts';
import { openSocket } from './support/refusals.ts';
import { settingsOf } from './support/settings.ts';
import { createViewer, it as base } from './support/viewers.ts';

const it = base.extend('viewer', ({ server }) =>
  createViewer(server, { tenant: 'acme', owner: randomId(), role: 'member' }),
);
type Viewer = Awaited<ReturnType<typeof createViewer>>;

const ALICE = { tenant: 'acme', identity: 'alice' };

/** The seconds to wait before the bucket has the units again, or undefined if it has them now. */
function waitOf(charge: () => void): unknown {
  try {
    charge();
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ code: 'RATE_LIMITED' });
    return (error as AppError).details['retryAfterSeconds'];
  }
}

describe('The bucket of a viewer', () => {
  it('has the units of a minute, and gets them back evenly', () => {
    const limit = createRateLimit(60);
    const waits = (units: number, atSeconds: number) =>
      waitOf(() => limit.charge(ALICE, units, atSeconds * 1000));
    expect(waits(50, 0)).toBeUndefined();
    expect(waits(20, 0)).toBe(10);
    expect(waits(20, 9.5)).toBe(1);
    expect(waits(20, 10)).toBeUndefined();
    expect(waits(1, 10)).toBe(1);
    expect(waits(60, 60)).toBe(10);
    expect(waits(60, 1000)).toBeUndefined();
    expect(waits(60, 1059)).toBe(1);
  });

  it('does not get fuller than the units of a minute', () => {
    const limit = createRateLimit(60);
    limit.charge(ALICE, 1, 0);
    limit.charge(ALICE, 60, 1_000_000);
    expect(waitOf(() => limit.charge(ALICE, 1, 1_000_000))).toBe(1);
  });

  it('is a bucket of its tenant and identity', () => {
    const limit = createRateLimit(60);
    limit.charge(ALICE, 60, 0);
    limit.charge({ ...ALICE, tenant: 'globex' }, 60, 0);
    limit.charge({ ...ALICE, identity: 'bob' }, 60, 0);
    expect(waitOf(() => limit.charge(ALICE, 60, 0))).toBe(60);
  });

  it('gives everything without a limit', () => {
    const limit = createRateLimit(0);
    for (let n = 0; n < 3; n++) limit.charge(ALICE, 1e9, 0);
  });
});

/** A document with this cost; a viewer of the server has 58,000 units per minute. */
const pages = (fields: string) =>
  `threads(first: 100) { nodes { runs(first: 100) { nodes { ${fields} } } } }`;
const COSTS_20201 = `{ ${pages('id')} }`;
const COSTS_40201 = `{ ${pages('id status threadId')} }`;
const COSTS_60201 = `{ ${pages('id status threadId attempt createdAt')} }`;
const RUNS_OF_RUNS = `runs(first: 100) { nodes { thread { runs(first: 100) { nodes { id status } } } } }`;
const FOLLOW_FOR_30302 = `subscription { threadChanged { ${RUNS_OF_RUNS} } }`;
const CREATE_FOR_30302 = `mutation { createThread { ${RUNS_OF_RUNS} } }`;

it.override('settings', {
  ...settingsOf({ AUTH: 'keys', RATE_LIMIT: '58000', COST_LIMIT: '100000' }),
});

const LIMITED = {
  message: expect.stringMatching(/^Rate limit of 58000 .* RATE_LIMIT sets the limit\.$/),
  extensions: { code: 'RATE_LIMITED', retryAfterSeconds: expect.any(Number) },
};

describe('RATE_LIMIT', () => {
  const post = ({ client, headers }: Viewer, query: string, accept = 'application/json') =>
    fetch(`${client.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept, ...headers },
      body: JSON.stringify({ query }),
    });

  it('refuses an operation with status 429 and the time to wait', async ({ viewer }) => {
    await viewer.client.gql(COSTS_40201);
    const response = await post(viewer, COSTS_40201);
    expect(response.status).toBe(429);
    const { errors, ...others } = (await response.json()) as GraphqlResult;
    expect(others).toEqual({});
    expect(errors).toEqual([LIMITED]);
    const { retryAfterSeconds } = errors?.[0]?.extensions ?? {};
    expect(retryAfterSeconds).toBeGreaterThan(0);
    expect(retryAfterSeconds).toBeLessThanOrEqual(24);
    expect(response.headers.get('retry-after')).toBe(String(retryAfterSeconds));
  });

  it('accepts the operation again after the time', async ({ viewer: { client } }) => {
    await client.gql(COSTS_40201);
    expect(await client.errors(COSTS_20201)).toEqual([LIMITED]);
    const data = await until(async () => (await client.request(COSTS_20201)).data);
    expect(data).toEqual({ threads: { nodes: [] } });
  });

  it('does not affect other viewers', async ({ viewer, viewers }) => {
    await viewer.client.gql(COSTS_40201);
    await viewers.nobody.gql(COSTS_40201);
    expect(await viewer.client.errors(COSTS_40201)).toEqual([LIMITED]);
  });

  it('counts an operation by its variables', async ({ viewer: { client } }) => {
    const document = `query ($first: Int) { ${pages('id status threadId').replaceAll('100', '$first')} }`;
    for (let sent = 0; sent < 10; sent++) await client.gql(document, { first: 20 });
    await client.gql(document, { first: 100 });
    expect(await client.errors(document, { first: 100 })).toEqual([LIMITED]);
  });

  it('counts nothing for a refused operation', async ({ viewer: { client } }) => {
    await client.gql(COSTS_20201);
    for (let sent = 0; sent < 3; sent++)
      expect(await client.errors(COSTS_40201)).toEqual([LIMITED]);
    await client.gql(COSTS_20201);
  });

  it('executes nothing of a refused mutation', async ({ server }) => {
    const tenant = randomId();
    const { client } = await createViewer(server, { tenant, owner: 'alice', role: 'member' });
    const { client: admin } = await createViewer(server, { tenant, owner: 'ada', role: 'admin' });
    await client.gql(COSTS_40201);
    expect(await client.errors(CREATE_FOR_30302)).toEqual([LIMITED]);
    expect(await admin.gql('{ threads { totalCount } }')).toEqual({ threads: { totalCount: 0 } });
  });

  it('refuses a subscription over SSE with the status and the header', async ({ viewer }) => {
    await viewer.client.gql(COSTS_40201);
    const response = await post(viewer, FOLLOW_FOR_30302, 'text/event-stream');
    expect([response.status, response.headers.get('retry-after')]).toEqual([
      429,
      expect.stringMatching(/^\d+$/),
    ]);
    expect(await response.text()).toContain('"code":"RATE_LIMITED"');
  });

  it('refuses a subscription over WebSocket with its only message', async ({ viewer }) => {
    const { client, headers } = viewer;
    using socket = await openSocket(client, headers);
    const subscribe = (id: string, query: string) =>
      socket.send({ id, type: 'subscribe', payload: { query } });
    subscribe('1', COSTS_40201);
    expect(await socket.receive()).toMatchObject({ id: '1', type: 'next' });
    expect(await socket.receive()).toEqual({ id: '1', type: 'complete' });
    subscribe('2', FOLLOW_FOR_30302);
    expect(await socket.receive()).toEqual({ id: '2', type: 'error', payload: [LIMITED] });
    socket.send({ type: 'ping' });
    expect(await socket.receive()).toEqual({ type: 'pong' });
    // The connection remains open for operations within the limit.
    subscribe('3', '{ viewer { tenant } }');
    expect(await socket.receive()).toMatchObject({ id: '3', type: 'next' });
  });

  it('refuses for ever an operation that costs more than the units of a minute', async ({
    viewer,
  }) => {
    const response = await post(viewer, COSTS_60201);
    expect(response.headers.get('retry-after')).toBeNull();
    expect(await response.json()).toEqual({
      errors: [
        {
          message:
            'The operation costs 60201 units; at most 58000 per minute are allowed. RATE_LIMIT sets the limit.',
          extensions: { code: 'BAD_USER_INPUT' },
        },
      ],
    });
  });

  it('counts all clients as one viewer without access control', async ({ startServer }) => {
    const { server } = await startServer({ rateLimit: 58_000 });
    await server.as({ 'x-client': 'a' }).gql(COSTS_40201);
    expect(await server.as({ 'x-client': 'b' }).errors(COSTS_40201)).toEqual([LIMITED]);
  });
});
