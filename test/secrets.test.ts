import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { describe, expect } from 'vitest';
import { WebSocket } from 'ws';
import { createApiKey } from '../src/auth/keys.ts';
import { SYSTEM } from '../src/auth/viewer.ts';
import { raw, sql } from '../src/db/sql.ts';
import { randomId } from './support/app.ts';
import { openTestDatabase, queryDirectly, type TestDatabase } from './support/databases.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import {
  AUDIENCE,
  createIssuerKey,
  epoch,
  signToken,
  startJwksServer,
  type IssuerKey,
} from './support/jwks.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';

const RUN = `mutation ($input: CreateRunInput!, $wait: Boolean! = true) {
  createRun(input: $input, wait: $wait) {
    id threadId status output metadata config error { name message }
    thread { metadata values history(first: 10) { nodes { values metadata } } }
  }
}`;
const FOLLOW = `subscription ($input: CreateRunInput!) {
  streamRun(input: $input) {
    __typename
    ... on ValuesEvent { values }
    ... on RunFinishedEvent { status error { message } run { output config metadata } }
  }
}`;
const CREATE_KEY = `mutation { createApiKey(input: { name: "a", owner: "b", roles: [MEMBER] }) { key apiKey { id } } }`;
const REVOKE = `mutation ($id: ID!) { revokeApiKey(id: $id) { id } }`;
const LISTS = `{
  viewer { tenant identity roles }
  apiKeys { nodes { name owner last4 } }
  threads { nodes { metadata values } }
  runs { nodes { output config metadata error { message } } }
}`;

/** A text that appears nowhere else. */
const mark = (name: string) => `${name}${randomId().replaceAll('-', '')}`;
/** A key in the right form, which the server does not know. */
const unknownKey = () => `tql_${mark('unknownKey00')}`.slice(0, 47).padEnd(47, '0');

type Headers = Record<string, string>;

const endpointOf = (url: string, query = '') => `${url}/graphql${query}`;

/** A run on a new thread. */
const runOf = (assistantId: string, input: object = {}) => ({
  threadId: randomId(),
  ifThreadMissing: 'CREATE',
  idempotencyKey: randomId(),
  assistantId,
  input,
});
const whoami = () => ({ input: runOf('whoami') });

/** Sends a document over HTTP, and returns status and text of the answer. */
async function post(url: string, headers: Headers, body: object | string): Promise<string> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return `${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}`;
}

async function get(url: string, headers: Headers): Promise<string> {
  const query = new URLSearchParams({ query: '{ viewer { identity } }' });
  const response = await fetch(endpointOf(url, `?${query}`), {
    headers: { 'content-type': 'application/json', ...headers },
  });
  return `${response.status} ${await response.text()}`;
}

/** All answers of a subscription, or the reason of its end. */
async function collect(answers: AsyncIterable<unknown>): Promise<string> {
  const texts = [];
  try {
    for await (const answer of answers) texts.push(JSON.stringify(answer));
  } catch (error) {
    const { message, code, reason } = error as { message?: string; code?: number; reason?: string };
    texts.push(`${message} ${code} ${reason}`, JSON.stringify(error));
  }
  return texts.join('\n');
}

async function overSse(url: string, headers: Headers): Promise<string> {
  const client = createSseClient({ url: endpointOf(url), retryAttempts: 0, headers });
  try {
    return await collect(client.iterate({ query: FOLLOW, variables: whoami() }));
  } finally {
    client.dispose();
  }
}

/** Credentials are in the first message, or in the headers of the upgrade. */
async function overSocket(
  url: string,
  { params, headers }: { params?: Headers; headers?: Headers },
): Promise<string> {
  class WithHeaders extends WebSocket {
    constructor(address: string, protocols?: string[]) {
      super(address, protocols, { headers });
    }
  }
  const client = createWsClient({
    url: endpointOf(url).replace('http', 'ws'),
    webSocketImpl: WithHeaders,
    retryAttempts: 0,
    ...(params && { connectionParams: params }),
  });
  try {
    return await collect(client.iterate({ query: FOLLOW, variables: whoami() }));
  } finally {
    await client.dispose();
  }
}

/** Sends credentials through every door, and returns all answers. */
async function knock(url: string, headers: Headers): Promise<string[]> {
  const run = (assistantId: string, input: object) => ({
    query: RUN,
    variables: { input: runOf(assistantId, input) },
  });
  return [
    await post(endpointOf(url), headers, { query: LISTS }),
    await post(endpointOf(url), headers, run('whoami', {})),
    await post(endpointOf(url), headers, run('fail', { fail: true })),
    await post(endpointOf(url), headers, run('unknown', {})),
    await post(endpointOf(url), headers, { query: '{ noField }' }),
    await post(endpointOf(url), headers, '{'),
    await get(url, headers),
    await overSse(url, headers),
    await post(
      endpointOf(url),
      { accept: 'text/event-stream', ...headers },
      { query: FOLLOW, variables: whoami() },
    ),
    await overSocket(url, { params: headers }),
    await overSocket(url, { headers }),
  ];
}

/** The parts of a token with claims or a signature, and the token. */
const partsOf = (token: string) => [token, ...token.split('.').slice(1)];

/** The forms of a secret in an answer, in the log or in a row. */
function formsOf(secret: string): string[] {
  const bytes = [Buffer.from(secret)];
  if (secret.startsWith('tql_')) bytes.push(Buffer.from(secret.slice(4), 'base64url'));
  const coded = bytes.flatMap((each) => [each.toString('hex'), each.toString('base64')]);
  return [secret, ...(secret.startsWith('tql_') ? [secret.slice(4)] : []), ...coded];
}

function found(text: string, secrets: Iterable<string>): string[] {
  return Array.from(secrets).filter((secret) =>
    formsOf(secret).some((form) => text.includes(form)),
  );
}

/** All rows of all tables as text; bytes are in hexadecimal form. */
async function dump(database: TestDatabase): Promise<string> {
  const tables = await queryDirectly<{ name: string }>(
    database,
    sql`SELECT format('%I.%I', table_schema, table_name) AS "name" FROM information_schema.tables
      WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'`,
  );
  expect(tables.length).toBeGreaterThanOrEqual(12);
  const opened = await openTestDatabase(database);
  const texts: string[] = [];
  try {
    for (const { name } of tables) {
      const rows = await opened.sql.query<{ row: string }>(
        sql`SELECT t::text AS "row" FROM ${raw(name)} AS t`,
      );
      texts.push(name, ...rows.map(({ row }) => row));
    }
  } finally {
    await opened.close();
  }
  return texts.join('\n');
}

async function makeKey(database: TestDatabase): Promise<string> {
  const opened = await openTestDatabase(database);
  try {
    const input = { name: 'Operator', owner: 'alice', roles: ['admin'] };
    return (await createApiKey(opened, { ...SYSTEM, tenant: 'default' }, input)).key;
  } finally {
    await opened.close();
  }
}

/** Tokens by the way the server answers them. The claims of the valid one hold further secrets. */
async function createTokens(issuer: IssuerKey, claims: Headers) {
  const stranger = await createIssuerKey(issuer.kid);
  return {
    valid: await signToken(issuer, { ...claims, roles: 'admin' }),
    expired: await signToken(issuer, { ...claims, exp: epoch() - 3600 }),
    forged: await signToken(stranger, claims),
    otherAudience: await signToken(issuer, { ...claims, aud: mark('audience') }),
  };
}

describe('A secret of a client', { timeout: SEVERAL_STARTS_MS }, () => {
  it('is in no row, in no line of the log, and in no answer except that of createApiKey', async ({
    startProcess,
    ownDatabase,
  }) => {
    const key = await makeKey(ownDatabase);
    const issuer = await createIssuerKey('first');
    await using jwks = await startJwksServer([issuer]);
    const claims = { access_token: mark('claim'), password: mark('claim') };
    const tokens = await createTokens(issuer, claims);
    const server = await startProcess(ownDatabase, {
      AUTH: 'keys',
      AUTH_JWKS_URL: jwks.url,
      AUTH_AUDIENCE: AUDIENCE,
      LOG_LEVEL: 'debug',
    });
    const { url } = server.client;
    const admin = { 'x-api-key': key };
    const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

    const created = await post(endpointOf(url), admin, { query: CREATE_KEY });
    const [made = ''] = /tql_[\w-]{43}/.exec(created) ?? [];
    const secrets = new Set([key, made, ...Object.values(claims)]);
    const accepted = [admin, bearer(made), { 'X-API-KEY': made }, bearer(tokens.valid)];
    const wrong = {
      key: unknownKey(),
      text: mark('text'),
      basic: mark('basic'),
      second: unknownKey(),
    };
    const refused = [
      { 'x-api-key': wrong.key },
      { 'x-api-key': wrong.text },
      bearer(wrong.key),
      bearer(wrong.text),
      bearer(`${wrong.text} ${wrong.second}`),
      { authorization: `Basic ${wrong.basic}` },
      { ...admin, ...bearer(wrong.second) },
      bearer(tokens.expired),
      bearer(tokens.forged),
      bearer(tokens.otherAudience),
    ];
    for (const secret of [...Object.values(wrong), ...Object.values(tokens).flatMap(partsOf)]) {
      secrets.add(secret);
    }

    const answers: string[] = [];
    for (const headers of accepted) answers.push(...(await knock(url, headers)));
    expect(
      answers.filter((answer) => /"status":"?SUCCESS|viewer/.test(answer)).length,
    ).toBeGreaterThan(accepted.length * 4);
    const refusals = [];
    for (const headers of refused) refusals.push(...(await knock(url, headers)));
    // The server checks a document before it logs in the client.
    const isRefused = /^40|with 401|4403|UNAUTHENTICATED|Cannot query field/;
    for (const answer of refusals) expect(answer).toMatch(isRefused);

    // A URL has no credentials.
    for (const name of [
      'x-api-key',
      'apiKey',
      'api_key',
      'token',
      'access_token',
      'authorization',
    ]) {
      for (const value of [made, `Bearer ${made}`, tokens.valid, wrong.key]) {
        const query = `?${new URLSearchParams({ [name]: value })}`;
        const answer = await post(endpointOf(url, query), {}, { query: '{ viewer { identity } }' });
        expect(answer).toMatch(/^401 /);
        refusals.push(answer);
      }
    }
    answers.push(await post(endpointOf(url), admin, { query: REVOKE, variables: { id: made } }));

    // A row of an executing run has its viewer. The end of the run would remove it.
    const gate = createGate();
    const open = mark('open');
    for (const headers of accepted) {
      const input = {
        ...runOf('gate', { log: [open], file: gate.file }),
        metadata: { note: open },
      };
      answers.push(
        await post(endpointOf(url), headers, { query: RUN, variables: { input, wait: false } }),
      );
    }
    await server.end('SIGKILL');

    const rows = await dump(ownDatabase);
    expect(found(rows, [open])).toEqual([open]);
    expect(rows).toContain(Buffer.from(open).toString('hex'));
    expect(server.output()).toContain('run ended');
    expect(found(created, secrets)).toEqual([made]);
    expect(found(answers.join('\n'), secrets)).toEqual([]);
    expect(found(refusals.join('\n'), secrets)).toEqual([]);
    expect(found(server.output(), secrets)).toEqual([]);
    expect(found(rows, secrets)).toEqual([]);
  });
});
