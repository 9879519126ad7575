import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { until } from './support/app.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { sendTo } from './support/rest.ts';
import { human, sdkClient } from './support/sdk.ts';

const keysOf = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`key${n}`, n]));

describe('A body', () => {
  it('may have 100,000 keys and 1,000,000 values, and no more', async ({ server }) => {
    const create = (metadata: unknown) => sendTo(server, 'POST', '/threads/count', metadata);
    const most = await create({ ignored: keysOf(99_998), metadata: {} });
    expect([most.status, most.body]).toEqual([200, expect.any(Number)]);
    expect(await create({ ignored: keysOf(100_000) })).toMatchObject({
      status: 413,
      body: { code: 'PAYLOAD_TOO_LARGE', detail: 'The body has more than 100,000 keys.' },
    });
    const values = Array.from({ length: 1_000_000 }, () => 1);
    expect((await create({ ignored: values })).status).toBe(200);
    expect(await create({ ignored: [...values, 1] })).toMatchObject({
      status: 413,
      body: { detail: 'The body has more than 1,000,000 values.' },
    });
  });

  it('counts only keys, not the marks in texts', async ({ server }) => {
    const text = `${'":,\\'.repeat(150_000)}\\"`;
    const { status } = await sendTo(server, 'POST', '/threads/count', { [text]: [text, text] });
    expect(status).toBe(200);
  });

  it('may begin with a byte order mark, and be nothing else', async ({ server }) => {
    expect((await sendTo(server, 'POST', '/threads/count', '\uFEFF{"metadata":{}}')).status).toBe(
      200,
    );
    expect((await sendTo(server, 'POST', '/threads/count', '\uFEFF')).status).toBe(200);
    expect((await sendTo(server, 'POST', '/threads/count', '\uFEFF\uFEFF{}')).status).toBe(400);
  });
});

describe('The part of a list', () => {
  it.for<[string, unknown, number]>([
    ['null', null, 200],
    ['a whole number', 3, 200],
    ['a boolean', true, 422],
    ['a list', [5], 422],
    ['a text', '5', 422],
    ['a fraction', 1.5, 422],
    ['an object', {}, 422],
  ])('in a body may not be of another type: %s', async ([, value, status], { server }) => {
    for (const path of ['/threads/search', '/assistants/search']) {
      for (const field of ['limit', 'offset']) {
        const answer = await sendTo(server, 'POST', path, { [field]: value });
        expect(answer.status, `${path} ${field}`).toBe(status);
        if (status !== 200) expect(answer.body.detail).toContain(field);
      }
    }
  });

  it.for([
    ['limit=3', 200],
    ['limit=', 422],
    ['limit=true', 422],
    ['limit=1&limit=2', 422],
    ['offset=1e3', 422],
    ['offset=%203', 422],
  ] as const)('in a query is a whole number: %s', async ([query, status], { client, server }) => {
    const id = await client.createThread();
    expect((await sendTo(server, 'GET', `/threads/${id}/runs?${query}`)).status).toBe(status);
  });
});

describe('An empty list of ids', () => {
  it('selects nothing', async ({ client, server }) => {
    const id = await client.createThread();
    expect((await sendTo(server, 'POST', '/threads/search', { ids: [] })).body).toEqual([]);
    const prune = await sendTo(server, 'POST', '/threads/prune', { thread_ids: [] });
    expect(prune.body).toEqual({ pruned_count: 0 });
    const cancel = { thread_id: id, run_ids: [] };
    expect((await sendTo(server, 'POST', '/runs/cancel', cancel)).status).toBe(404);
    expect((await sendTo(server, 'GET', `/threads/${id}`)).status).toBe(200);
  });
});

describe('An error', () => {
  it('names the fields of the REST interface', async ({ client, server }) => {
    const id = await client.createThread();
    const run = { assistant_id: 'echo', input: null };
    const metadata = { graph_id: 'echo' };
    const step = { updates: [{ values: {} }, { values: {} }] };
    const cases: [string, string, unknown, RegExp][] = [
      ['POST', `/threads/${id}/history`, { before: 'x' }, /^before is not a UUID\.$/],
      ['POST', '/threads/search', { ids: ['x'] }, /^ids\[0\] is not a UUID\.$/],
      ['POST', '/threads/prune', { thread_ids: ['x'] }, /^thread_ids\[0\] is not a UUID\.$/],
      ['POST', '/runs/cancel', { thread_id: id, run_ids: ['x'] }, /^run_ids\[0\] is not a UUID\.$/],
      ['POST', '/runs/batch', Array.from({ length: 101 }, () => run), /^body has 101 entries/],
      ['POST', '/runs/batch', [run, { ...run, after_seconds: -1 }], /^body\[1\]\.after_seconds/],
      ['POST', '/threads', { metadata, supersteps: [step] }, /: as_node is required if/],
      ['POST', '/threads', { supersteps: [step] }, /^Supersteps need the graph_id of a graph/],
      // The text of a client stays as it is.
      ['POST', '/assistants', { graph_id: 'threadId' }, /^There is no graph "threadId";/],
      ['POST', '/threads', { metadata: { threadId: '\0' } }, /^metadata\.threadId holds/],
    ];
    for (const [method, path, body, message] of cases) {
      const answer = await sendTo(server, method, path, body);
      expect([answer.status, answer.body.detail], path).toEqual([
        422,
        expect.stringMatching(message),
      ]);
    }
    const key = { 'idempotency-key': 'x'.repeat(256) };
    const long = await sendTo(server, 'POST', '/runs', run, key);
    expect(long.body.detail).toMatch(/^Idempotency-Key has 256 characters/);
  });
});

describe('A method that a path does not have', () => {
  it('is refused with the methods of the path', async ({ client, server }) => {
    const id = await client.createThread();
    for (const [method, path, allow] of [
      ['PUT', `/threads/${id}`, 'GET, PATCH, DELETE, OPTIONS'],
      ['PUT', '/runs/batch', 'POST, OPTIONS'],
      ['POST', '/ok', 'GET, OPTIONS'],
    ] as const) {
      const answer = await sendTo(server, method, path);
      expect([answer.status, answer.headers.get('allow')], path).toEqual([405, allow]);
      expect(answer.body).toEqual({
        detail: answer.body.message,
        message: expect.any(String),
        code: 'BAD_USER_INPUT',
      });
    }
  });

  it.for(['PROPFIND', 'TRACE'])('also %s, which no route has', async (method, { server }) => {
    const { status, allow, body } = await sendRaw(server, method, '/threads');
    expect([status, allow]).toEqual([405, 'GET, POST, PUT, PATCH, DELETE, OPTIONS']);
    expect(JSON.parse(body)).toMatchObject({ code: 'BAD_USER_INPUT', detail: expect.any(String) });
  });
});

/** Sends a method that fetch refuses. */
function sendRaw({ url }: { url: string }, method: string, path: string) {
  return new Promise<{ status?: number; allow?: string; body: string }>((resolve, reject) => {
    const sent = httpRequest(new URL(path, url), { method }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () =>
        resolve({ status: response.statusCode, allow: response.headers.allow, body }),
      );
    });
    sent.on('error', reject).end();
  });
}

describe('What is not there yet', () => {
  it.for([
    ['POST', '/runs/crons'],
    ['GET', '/runs/crons'],
    ['POST', '/runs/crons/search'],
    ['POST', '/runs/crons/count'],
    ['PATCH', `/runs/crons/${randomUUID()}`],
    ['DELETE', `/runs/crons/${randomUUID()}`],
    ['POST', `/threads/${randomUUID()}/runs/crons`],
    ['PUT', '/store/items'],
    ['GET', '/store/items'],
    ['DELETE', '/store/items'],
    ['POST', '/store/items/search'],
    ['POST', '/store/namespaces'],
    ['POST', '/a2a/echo'],
    ['POST', '/mcp'],
    ['PATCH', `/threads/${randomUUID()}/state`],
  ] as const)('is not found: %s %s', async ([method, path], { server }) => {
    const body = method === 'GET' ? undefined : {};
    expect([404, 405]).toContain((await sendTo(server, method, path, body)).status);
  });

  it('is refused by its name where it is a field', async ({ client, server }) => {
    const id = await client.createThread();
    const run = { assistant_id: 'echo', input: null };
    const ttl = { ttl: 60, strategy: 'delete' };
    const cases: [string, string, object, string][] = [
      ['POST', '/threads', { ttl }, 'ttl'],
      ['POST', '/threads', { ttl: 5 }, 'ttl'],
      ['PATCH', `/threads/${id}`, { ttl }, 'ttl'],
      ['POST', `/threads/${id}/runs`, { ...run, webhook: 'https://example.com' }, 'webhook'],
      ['POST', '/runs/batch', [{ ...run, webhook: 'https://example.com' }], 'webhook'],
      ['POST', `/threads/${id}/runs/wait`, { ...run, feedback_keys: ['a'] }, 'feedback_keys'],
      ['POST', `/threads/${id}/runs/stream?namespace=a`, run, 'namespace'],
    ];
    for (const [method, path, body, name] of cases) {
      const answer = await sendTo(server, method, path, body);
      expect([answer.status, answer.body.detail], path).toEqual([
        422,
        expect.stringContaining(`${name} is not supported`),
      ]);
    }
    expect(await sdkClient(client).runs.list(id)).toEqual([]);
  });
});

describe('A waiting request', () => {
  it('gives back its slot when its client leaves', async ({ startServer }) => {
    const { client, server } = await startServer({ waitingLimit: 1 });
    const sdk = sdkClient(client);
    const threadId = await client.createThread();
    const { run_id } = await sdk.runs.create(threadId, 'echo', { input: null, afterSeconds: 600 });
    // A worker of another server has the run and does not stop it.
    await server.app.sql.query(
      sql`UPDATE "Run" SET "status" = 'RUNNING', "startedAt" = now(), "claimToken" = gen_random_uuid(), "worker" = 'other',
        "leaseExpiresAt" = now() + interval '1 hour' WHERE "id" = ${run_id}`,
    );
    const leaving = new AbortController();
    const cancel = fetch(`${client.url}/threads/${threadId}/runs/${run_id}/cancel?wait=1`, {
      method: 'POST',
      signal: leaving.signal,
    });
    const wait = () => sdk.runs.wait(null, 'echo', { input: { messages: [human('hi')] } });
    await until(async () => {
      const rows = await server.app.sql.query(
        sql`SELECT 1 FROM "Run" WHERE "id" = ${run_id} AND "cancelRequestedAt" IS NOT NULL`,
      );
      return rows.length > 0;
    });
    await expect(wait()).rejects.toThrow('503');
    leaving.abort();
    await expect(cancel).rejects.toThrow('aborted');
    await until(async () =>
      wait().then(
        () => true,
        () => false,
      ),
    );
    expect((await sdk.runs.get(threadId, run_id)).status).toBe('running');
  });

  it('for a run that is rolled back or deleted learns that there is no such run', async ({
    client,
  }) => {
    const sdk = sdkClient(client);
    for (const end of ['rollback', 'delete'] as const) {
      const threadId = await client.createThread();
      const gate = createGate();
      const input = { log: [], file: gate.file };
      const { run_id } = await sdk.runs.create(threadId, 'gate', { input });
      await until(async () => (await sdk.runs.get(threadId, run_id)).status === 'running');
      const join = fetch(`${client.url}/threads/${threadId}/runs/${run_id}/join`);
      if (end === 'rollback') await sdk.runs.cancel(threadId, run_id, true, 'rollback');
      else await sdk.threads.delete(threadId);
      const answer = await join;
      // The request may come after the end.
      if (answer.status !== 404) {
        expect(await answer.json(), end).toEqual({
          __error__: { error: 'NotFoundError', message: `Run not found: ${run_id}` },
        });
      }
    }
  });

  it('for a state of more than 1 MiB gets the whole state', async ({ client }) => {
    const sdk = sdkClient(client);
    const threadId = await client.createThread();
    const text = 'x'.repeat(600_000);
    await sdk.runs.wait(threadId, 'echo', { input: { messages: [human(text)] } });
    const { run_id } = await sdk.runs.create(threadId, 'echo', {
      input: { messages: [human(text)] },
    });
    const joined: any = await sdk.runs.join(threadId, run_id);
    const waited: any = await sdk.runs.wait(threadId, 'echo', { input: { messages: [] } });
    expect(JSON.stringify(joined).length).toBeGreaterThan(1_200_000);
    expect(joined.messages.map(({ content }: any) => content.length)).toEqual(
      waited.messages.slice(0, joined.messages.length).map(({ content }: any) => content.length),
    );
    expect((await sdk.threads.getState(threadId)).values).toEqual(waited);
  });
});
