import { execFile } from 'node:child_process';
import path from 'node:path';
import { describe, expect, inject } from 'vitest';
import { createApiKey, hashOf } from '../src/auth/keys.ts';
import { SYSTEM } from '../src/auth/viewer.ts';
import { raw, sql } from '../src/db/sql.ts';
import { startRetention } from '../src/runs/retention.ts';
import { randomId, until, type GraphqlResult, type TestApp } from './support/app.ts';
import { createEmptyDatabase, type TestDatabase } from './support/databases.ts';
import { it } from './support/fixture.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';

it.override('settings', { auth: 'keys' });

const CREATE = `mutation ($input: CreateApiKeyInput!) {
  createApiKey(input: $input) { key apiKey { id name owner roles last4 createdAt expiresAt revokedAt lastUsedAt } }
}`;
const LIST = `query ($first: Int, $after: String) {
  apiKeys(first: $first, after: $after) {
    nodes { id name owner roles last4 createdAt expiresAt revokedAt lastUsedAt } pageInfo { endCursor hasNextPage }
  }
}`;
const REVOKE = `mutation ($id: ID!) { revokeApiKey(id: $id) { id revokedAt } }`;
const VIEWER = `{ viewer { tenant identity roles } }`;
const REFUSAL = 'The API key is unknown, expired or revoked.';

interface Made {
  tenant?: string;
  owner?: string;
  roles?: string[];
  expiresAt?: Date;
}

/** Makes a key without a login, as the command does. */
async function makeKey(
  { app }: TestApp,
  { tenant = 'acme', owner = 'alice', roles = ['admin'], expiresAt }: Made = {},
): Promise<{ key: string; id: string }> {
  const input = { name: 'a key', owner, roles, expiresAt };
  const { key, apiKey } = await createApiKey(app, { ...SYSTEM, tenant }, input);
  return { key, id: apiKey.id };
}

/** Sends a document with these headers. */
async function send(
  { url }: { url: string },
  headers: Record<string, string>,
  { query, variables }: { query: string; variables?: object },
): Promise<GraphqlResult & { status: number; text: string }> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
  const text = await response.text();
  return { ...JSON.parse(text), status: response.status, text };
}

/** Sends a document with a key. */
function ask(server: { url: string }, key: string, query: string, variables: object = {}) {
  return send(server, { 'x-api-key': key }, { query, variables });
}

/** The answer to a document with a key. Fails the test if it has errors. */
async function dataOf(...args: Parameters<typeof ask>): Promise<any> {
  const { data, errors } = await ask(...args);
  expect(errors).toBeUndefined();
  return data;
}

/** Code and argument of the only error. */
async function refusalOf(...args: Parameters<typeof ask>): Promise<unknown> {
  const { errors = [] } = await ask(...args);
  expect(errors).toHaveLength(1);
  const { code, argument } = errors[0]?.extensions ?? {};
  return argument === undefined ? code : { code, argument };
}

const unknownKey = () => `tql_${Buffer.from(randomId().slice(0, 32)).toString('base64url')}`;

/** The tables with a text in one of their rows, also as bytes. */
async function tablesWith({ app }: TestApp, bytes: string | Buffer): Promise<string[]> {
  const hex = Buffer.from(bytes).toString('hex');
  const texts = typeof bytes === 'string' ? [bytes, hex] : [hex];
  const tables = await app.sql.query<{ name: string }>(
    sql`SELECT quote_ident(table_name) AS "name" FROM information_schema.tables WHERE table_schema = 'public'`,
  );
  const found = [];
  for (const { name } of tables) {
    const rows = await app.sql.query(
      sql`SELECT FROM ${raw(name)} AS t
        WHERE EXISTS (SELECT FROM unnest(${texts}::text[]) AS s(x) WHERE strpos(t::text, s.x) > 0) LIMIT 1`,
    );
    if (rows.length > 0) found.push(name);
  }
  return found;
}

describe('createApiKey', () => {
  it('shows the key once, and stores only its hash', async ({ server }) => {
    const admin = await makeKey(server);
    const input = { name: 'Website', owner: 'website', roles: ['MEMBER', 'READER', 'MEMBER'] };
    const { createApiKey: created } = await dataOf(server, admin.key, CREATE, { input });
    expect(created.key).toMatch(/^tql_[\w-]{43}$/);
    expect(created.apiKey).toEqual({
      id: expect.any(String),
      name: 'Website',
      owner: 'website',
      roles: ['READER', 'MEMBER'],
      last4: created.key.slice(-4),
      createdAt: expect.any(String),
      expiresAt: null,
      revokedAt: null,
      lastUsedAt: null,
    });

    await dataOf(server, created.key, VIEWER);
    expect((await ask(server, admin.key, LIST)).text).not.toContain(created.key);
    const secret = Buffer.from(created.key.slice(4), 'base64url');
    expect(await tablesWith(server, created.key)).toEqual([]);
    expect(await tablesWith(server, created.key.slice(4))).toEqual([]);
    expect(await tablesWith(server, secret)).toEqual([]);
    expect(await tablesWith(server, hashOf(created.key))).toEqual(['"ApiKey"']);
  });

  it('makes a different key each time', async ({ server }) => {
    const keys = await Promise.all(Array.from({ length: 20 }, () => makeKey(server)));
    expect(new Set(keys.map(({ key }) => key)).size).toBe(20);
  });

  it.for([
    `'; DROP TABLE "ApiKey"; --`,
    '\u202Eright to left',
    '👩‍👩‍👧 é ﷽',
    '%_\\',
    ' ',
    'x'.repeat(255),
  ])('takes any characters as name and owner: %j', async (text, { server }) => {
    const { key } = await makeKey(server);
    const input = { name: text, owner: text, roles: ['READER'] };
    const { createApiKey: created } = await dataOf(server, key, CREATE, { input });
    expect(created.apiKey).toMatchObject({ name: text, owner: text });
    const { apiKeys } = await dataOf(server, key, LIST, { first: 1 });
    expect(apiKeys.nodes).toMatchObject([{ name: text, owner: text }]);
    const { viewer } = await dataOf(server, created.key, VIEWER);
    expect(viewer).toEqual({ tenant: 'acme', identity: text, roles: ['READER'] });
  });

  it.for<[object, string]>([
    [{ name: '' }, 'input.name'],
    [{ owner: 'a\tb' }, 'input.owner'],
    [{ owner: 'a\nb' }, 'input.owner'],
    [{ name: 'x'.repeat(256) }, 'input.name'],
    [{ name: 'a\0b' }, 'input.name'],
    [{ name: '\ud800' }, 'input.name'],
    [{ owner: '' }, 'input.owner'],
    [{ owner: 'x'.repeat(256) }, 'input.owner'],
    [{ roles: [] }, 'input.roles'],
    [{ expiresAt: '2020-01-01T00:00:00Z' }, 'input.expiresAt'],
  ])('refuses %j', async ([change, argument], { server }) => {
    const { key } = await makeKey(server, { tenant: randomId() });
    const input = { name: 'a', owner: 'b', roles: ['READER'], ...change };
    expect(await refusalOf(server, key, CREATE, { input })).toEqual({
      code: 'BAD_USER_INPUT',
      argument,
    });
    expect((await dataOf(server, key, LIST)).apiKeys.nodes).toHaveLength(1);
  });

  it.for(['OWNER', 'admin', null])('refuses the role %j', async (role, { server }) => {
    const { key } = await makeKey(server);
    const input = { name: 'a', owner: 'b', roles: [role] };
    expect(await refusalOf(server, key, CREATE, { input })).toBe('BAD_USER_INPUT');
  });
});

describe('A request with an API key', () => {
  it.for(['x-api-key', 'authorization'])('has its viewer: %s', async (header, { server }) => {
    const { key } = await makeKey(server, { owner: 'bob', roles: ['member'] });
    const value = header === 'authorization' ? `Bearer ${key}` : key;
    const { data } = await send(server, { [header]: value }, { query: VIEWER });
    expect(data).toEqual({ viewer: { tenant: 'acme', identity: 'bob', roles: ['MEMBER'] } });
  });

  it('is refused in the same words for each bad key, without the key', async ({ server }) => {
    const good = await makeKey(server);
    const expired = await makeKey(server);
    const revoked = await makeKey(server);
    await server.app.sql.query(
      sql`UPDATE "ApiKey" SET "expiresAt" = now() WHERE "id" = ${expired.id}`,
    );
    await dataOf(server, good.key, REVOKE, { id: revoked.id });
    const bad = [
      expired.key,
      revoked.key,
      unknownKey(),
      'tql_',
      'nonsense',
      good.id,
      good.key.slice(4),
      good.key.slice(0, -1),
      `${good.key}A`,
      good.key.toUpperCase(),
      good.key.replace('tql_', 'TQL_'),
      `${good.key}, ${good.key}`,
      `x${good.key}`,
      hashOf(good.key).toString('hex'),
    ];
    for (const key of bad) {
      const { status, errors, text } = await ask(server, key, VIEWER);
      expect({ key, status, errors }).toEqual({
        key,
        status: 401,
        errors: [{ message: REFUSAL, extensions: { code: 'UNAUTHENTICATED' } }],
      });
      expect(text).not.toContain(key);
    }
    for (const key of [expired.key, revoked.key, unknownKey(), 'tql_short']) {
      const { status, errors } = await send(
        server,
        { authorization: `Bearer ${key}` },
        { query: VIEWER },
      );
      expect({ status, message: errors?.[0]?.message }).toEqual({ status: 401, message: REFUSAL });
    }
  });

  it('is refused without a key, with an empty key and with a token of another kind', async ({
    server,
  }) => {
    for (const headers of [{}, { authorization: 'Bearer abc' }, { 'x-api-key': '' }] as Record<
      string,
      string
    >[]) {
      const { status, errors } = await send(server, headers, { query: VIEWER });
      expect([status, errors?.[0]?.extensions['code']]).toEqual([401, 'UNAUTHENTICATED']);
    }
  });

  it('is refused after the end of a key that the server knows', async ({ server }) => {
    const end = Date.now() + 3000;
    const { key } = await makeKey(server, { expiresAt: new Date(end) });
    await dataOf(server, key, VIEWER);
    await until(async () => (await ask(server, key, VIEWER)).status === 401);
    // The server forgets a key only after 30 seconds.
    expect(Date.now()).toBeLessThan(end + 15_000);
  });

  it('costs no statement while the server knows the key', async ({ server }) => {
    const { key, id } = await makeKey(server);
    await dataOf(server, key, VIEWER);
    // Without a notification, the process still knows the key.
    await server.app.sql.query(sql`DELETE FROM "ApiKey" WHERE "id" = ${id}`);
    await dataOf(server, key, VIEWER);
  });

  it('sets the time of the last use, at most once a minute', async ({ server }) => {
    const { key, id } = await makeKey(server, { tenant: randomId() });
    const lastUse = async () => (await dataOf(server, key, LIST)).apiKeys.nodes[0].lastUsedAt;
    const first = await until(lastUse);
    expect(Date.now() - Date.parse(first)).toBeLessThan(60_000);
    server.app.sql.notify('threadql_keys', id);
    await dataOf(server, key, VIEWER);
    expect(await lastUse()).toBe(first);
  });

  it('sees its own threads, or with AUTH_SCOPE=tenant those of its tenant', async ({
    startServer,
    ownDatabase,
  }) => {
    const THREADS = `{ threads { totalCount } }`;
    const CREATE_THREAD = `mutation { createThread { id } }`;
    const counts = [];
    const roles = ['member'];
    for (const authScope of ['owner', 'tenant'] as const) {
      const { server } = await startServer({ auth: 'keys', authScope }, ownDatabase);
      const keyOf = async (made: Made) => (await makeKey(server, { roles, ...made })).key;
      await dataOf(server, await keyOf({ owner: 'alice' }), CREATE_THREAD);
      for (const made of [{ owner: 'bob' }, { roles: ['admin'] }, { tenant: 'globex' }]) {
        counts.push((await dataOf(server, await keyOf(made), THREADS)).threads.totalCount);
      }
      await server.stop();
    }
    expect(counts).toEqual([0, 1, 0, 2, 2, 0]);
  });
});

describe('revokeApiKey', () => {
  it('ends a key that the server knows, and keeps the time of the first call', async ({
    server,
  }) => {
    const admin = await makeKey(server);
    const { key, id } = await makeKey(server);
    await dataOf(server, key, VIEWER);
    const { revokeApiKey: first } = await dataOf(server, admin.key, REVOKE, { id });
    expect(first).toEqual({ id, revokedAt: expect.any(String) });
    await until(async () => (await ask(server, key, VIEWER)).status === 401);
    expect(await dataOf(server, admin.key, REVOKE, { id })).toEqual({ revokeApiKey: first });
  });

  it('ends the key of the client itself', async ({ server }) => {
    const { key, id } = await makeKey(server);
    await dataOf(server, key, REVOKE, { id });
    await until(async () => (await ask(server, key, VIEWER)).status === 401);
  });

  it.skipIf(inject('database') === 'embedded')(
    'ends it in the other processes',
    async ({ startServer, ownDatabase }) => {
      const [{ server: first }, { server: second }] = [
        await startServer({ auth: 'keys' }, ownDatabase),
        await startServer({ auth: 'keys' }, ownDatabase),
      ];
      const { key, id } = await makeKey(first);
      await dataOf(first, key, VIEWER);
      await dataOf(second, key, REVOKE, { id });
      await until(async () => (await ask(first, key, VIEWER)).status === 401);
    },
  );

  it('answers in the same words for a missing key and for one of another tenant', async ({
    server,
  }) => {
    const { key } = await makeKey(server);
    const foreign = await makeKey(server, { tenant: 'globex' });
    for (const id of [foreign.id, randomId()]) {
      const { errors } = await ask(server, key, REVOKE, { id });
      expect(errors).toMatchObject([
        { message: `API key ${id} does not exist.`, extensions: { code: 'NOT_FOUND' } },
      ]);
    }
    await dataOf(server, foreign.key, VIEWER);
  });

  it('refuses a key in the place of an id, and does not repeat it', async ({ server }) => {
    const { key } = await makeKey(server);
    const { errors, text } = await ask(server, key, REVOKE, { id: key });
    expect(errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'id' });
    expect(text).not.toContain(key);
  });
});

describe('apiKeys', () => {
  it('lists the keys of the tenant, newest first, in pages', async ({ server }) => {
    const tenant = randomId();
    const made = [];
    for (const owner of ['a', 'b', 'c']) made.push(await makeKey(server, { tenant, owner }));
    const key = made[0]?.key ?? '';
    await makeKey(server, { tenant: randomId() });
    await dataOf(server, key, REVOKE, { id: made[1]?.id });

    const { apiKeys: first } = await dataOf(server, key, LIST, { first: 2 });
    expect(first.nodes).toMatchObject([
      { owner: 'c', revokedAt: null },
      { owner: 'b', revokedAt: expect.any(String) },
    ]);
    const after = first.pageInfo.endCursor;
    const { apiKeys: second } = await dataOf(server, key, LIST, { first: 2, after });
    expect(second.nodes).toMatchObject([{ owner: 'a' }]);
    expect(second.pageInfo.hasNextPage).toBe(false);
    const errors = [{ first: 0 }, { first: 101 }, { after: 'x' }].map((variables) =>
      refusalOf(server, key, LIST, variables),
    );
    for (const error of await Promise.all(errors)) {
      expect(error).toMatchObject({ code: 'BAD_USER_INPUT' });
    }
  });

  it('and the mutations need the role admin', async ({ server }) => {
    const { id } = await makeKey(server);
    const input = { name: 'a', owner: 'b', roles: ['ADMIN'] };
    for (const role of ['reader', 'member']) {
      const { key } = await makeKey(server, { roles: [role] });
      for (const [query, variables] of [
        [LIST, {}],
        [CREATE, { input }],
        [REVOKE, { id }],
        [REVOKE, { id: randomId() }],
      ] as const) {
        const { data, errors } = await ask(server, key, query, variables);
        expect(Object.values(data)).toEqual([null]);
        expect(errors).toMatchObject([
          {
            message: `This needs the role admin; the roles of "alice" are: ${role}.`,
            extensions: { code: 'FORBIDDEN' },
          },
        ]);
      }
    }
  });
});

describe('A key after its end', () => {
  it('stays in the list for 30 days', async ({ startServer, ownDatabase }) => {
    const { server } = await startServer({ auth: 'keys' }, ownDatabase);
    const admin = await makeKey(server);
    const ends = [
      { owner: 'expired-31', expiresAt: 31 },
      { owner: 'expired-29', expiresAt: 29 },
      { owner: 'revoked-31', revokedAt: 31 },
      { owner: 'revoked-29', revokedAt: 29 },
      { owner: 'revoked-first', expiresAt: 29, revokedAt: 31 },
      { owner: 'valid', expiresAt: -31 },
    ];
    for (const { owner, expiresAt = null, revokedAt = null } of ends) {
      const { id } = await makeKey(server, { owner });
      await server.app.sql.query(
        sql`UPDATE "ApiKey" SET "expiresAt" = now() - make_interval(days => ${expiresAt}),
          "revokedAt" = now() - make_interval(days => ${revokedAt}) WHERE "id" = ${id}`,
      );
    }
    const owners = async () => {
      const { apiKeys } = await dataOf(server, admin.key, LIST);
      return apiKeys.nodes.map(({ owner }: { owner: string }) => owner);
    };
    expect(await owners()).toHaveLength(7);
    // A server sweeps at its start.
    const retention = startRetention(server.app);
    await until(async () => (await owners()).length < 7);
    await retention.stop();
    expect(await owners()).toEqual(['valid', 'revoked-29', 'expired-29', 'alice']);
  });
});

describe('A server without access control', () => {
  it('lets every client create keys, and has one viewer', async ({ startServer, ownDatabase }) => {
    const { client } = await startServer({}, ownDatabase);
    expect(await client.gql(VIEWER)).toEqual({
      viewer: { tenant: 'default', identity: '', roles: ['ADMIN'] },
    });
    const input = { name: 'a', owner: 'b', roles: ['READER'] };
    const { createApiKey: created } = await client.gql(CREATE, { input });
    expect(created.key).toMatch(/^tql_/);
  });
});

interface Outcome {
  stdout: string;
  stderr: string;
  status: number;
}

/** Executes `npm run keys` without npm. */
function keysCommand({ databaseUrl, dataDir }: TestDatabase, ...args: string[]): Promise<Outcome> {
  const env = {
    PATH: process.env['PATH'],
    THREADQL_DATA_DIR: dataDir,
    ...(databaseUrl && { DATABASE_URL: databaseUrl }),
  };
  const cwd = path.join(import.meta.dirname, '..');
  return new Promise((resolve) => {
    execFile(process.execPath, ['src/keys.js', ...args], { cwd, env }, (error, stdout, stderr) =>
      resolve({ stdout, stderr, status: Number(error?.code ?? 0) }),
    );
  });
}

describe('The command for keys', { timeout: SEVERAL_STARTS_MS }, () => {
  const CREATE_ADMIN = ['create', '--name', 'Operator', '--role', 'admin', '--owner', 'alice'];

  it('creates, lists and revokes keys before a server has started', async ({
    startProcess,
    onTestFinished,
  }) => {
    const database = await createEmptyDatabase();
    onTestFinished(database.dispose);
    const created = await keysCommand(database, ...CREATE_ADMIN, '--expires', '90d');
    expect(created).toEqual({
      stdout: expect.stringMatching(/^tql_[\w-]{43}\n$/),
      stderr: expect.stringMatching(
        /^Created the API key [0-9a-f-]{36}\. No command shows it again\.\n$/,
      ),
      status: 0,
    });
    const key = created.stdout.trim();
    const name = 'a\n\u009b31m"';
    const other = await keysCommand(
      database,
      'create',
      `--name=${name}`,
      '--owner=bob',
      '--tenant=acme',
      '--role=reader',
      '--role=member',
    );

    const all = await keysCommand(database, 'list');
    expect(all.stdout).not.toContain('\u009b');
    const rows = all.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows).toMatchObject([
      { name, owner: 'bob', tenant: 'acme', roles: ['reader', 'member'], expiresAt: null },
      {
        name: 'Operator',
        owner: 'alice',
        tenant: 'default',
        roles: ['admin'],
        last4: key.slice(-4),
      },
    ]);
    const end = Date.parse(rows[1].expiresAt) - Date.parse(rows[1].createdAt);
    expect(Math.abs(end / 86_400_000 - 90)).toBeLessThan(0.01);
    const own = await keysCommand(database, 'list', '--tenant', 'acme');
    expect(own.stdout.trimEnd().split('\n')).toEqual([all.stdout.split('\n')[0]]);
    expect(await keysCommand(database, 'revoke', rows[0].id)).toEqual({
      stdout: '',
      stderr: `Revoked the API key ${rows[0].id}.\n`,
      status: 0,
    });

    const server = await startProcess(database, { AUTH: 'keys', LOG_LEVEL: 'debug' });
    expect((await dataOf(server.client, key, VIEWER)).viewer.identity).toBe('alice');
    for (const bad of [other.stdout.trim(), `${key}x`, unknownKey()]) {
      expect((await ask(server.client, bad, VIEWER)).status).toBe(401);
      expect(server.output()).not.toContain(bad);
    }
    expect(server.output()).not.toContain(key);
  });

  it('uses PostgreSQL beside a server, and tells of a server on the embedded database', async ({
    startServer,
    ownDatabase,
  }) => {
    const { server } = await startServer({ auth: 'keys' }, ownDatabase);
    const created = await keysCommand(ownDatabase, ...CREATE_ADMIN);
    if (inject('database') === 'embedded') {
      const sentence = `The server with the process id ${process.pid} uses the database in ${ownDatabase.dataDir}: stop it first, or use its API.\n`;
      expect(created).toEqual({ stdout: '', stderr: sentence, status: 1 });
      return;
    }
    const key = created.stdout.trim();
    await dataOf(server, key, VIEWER);
    const { apiKeys } = await dataOf(server, key, LIST);
    await keysCommand(ownDatabase, 'revoke', apiKeys.nodes[0].id);
    await until(async () => (await ask(server, key, VIEWER)).status === 401);
  });

  it('refuses wrong arguments with a sentence, and changes nothing', async ({ ownDatabase }) => {
    const cases: [string[], string][] = [
      [[], 'The command is not complete, or has too many arguments.'],
      [['delete'], 'The command is not complete, or has too many arguments.'],
      [['revoke'], 'The command is not complete, or has too many arguments.'],
      [['list', 'x'], 'The command is not complete, or has too many arguments.'],
      [['create', '--owner', 'a'], 'A key needs --name, --owner and --role.'],
      [
        [...CREATE_ADMIN, '--expires', 'soon'],
        '--expires must be a time such as 90s, 30m, 24h or 7d.',
      ],
      [[...CREATE_ADMIN, '--expires', '0s'], '--expires is in the past.'],
      ...['', 'a\nb'].map((tenant): [string[], string] => [
        [...CREATE_ADMIN, '--tenant', tenant],
        '--tenant must be a text of 1 to 255 characters without control characters.',
      ]),
      [
        [...CREATE_ADMIN, '--role', 'boss'],
        '--role must have one or more of the roles reader, member, admin.',
      ],
      [[...CREATE_ADMIN, '--name', 'x'.repeat(256)], '--name must have 1 to 255 characters.'],
      [['revoke', 'x'], 'ID is not a UUID.'],
      [
        ['revoke', '01900000-0000-7000-8000-00000000000a'],
        'API key 01900000-0000-7000-8000-00000000000a does not exist.',
      ],
    ];
    for (const [args, sentence] of cases) {
      const { stdout, stderr, status } = await keysCommand(ownDatabase, ...args);
      expect({ args, stdout, sentence: stderr.split('\n')[0], status }).toEqual({
        args,
        stdout: '',
        sentence,
        status: 1,
      });
    }
    expect(await keysCommand(ownDatabase, 'list')).toEqual({ stdout: '', stderr: '', status: 0 });
  });
});
