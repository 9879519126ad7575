import { connect } from 'node:net';
import { createClient as createWsClient } from 'graphql-ws';
import { describe, expect } from 'vitest';
import { WebSocket } from 'ws';
import { raw, sql } from '../src/db/sql.ts';
import { human, randomId, until } from './support/app.ts';
import { createWorld, missingWorld, type World } from './support/foreign-world.ts';
import { rootFields } from './support/schema-paths.ts';
import { collect } from './support/streams.ts';
import { createViewer, it as base, type ViewerClient } from './support/viewers.ts';

// Each class of holes in the access control of similar servers, by name.

const it = base.extend('world', { scope: 'file' }, ({ viewers }) => createWorld(viewers.alice));

const CREATE_RUN = `mutation ($input: CreateRunInput!) {
  createRun(input: $input, wait: true) { id status output config assistant { id } threadId }
}`;

const codesOf = async (client: ViewerClient, document: string, variables = {}) =>
  (await client.request(document, variables)).errors?.map(({ extensions }) => extensions['code']);

describe('Indirect reference', () => {
  it('refuses a run that names an assistant or a thread of others', async ({ viewers, world }) => {
    const input = { assistantId: 'echo', input: human('hi') };
    for (const foreign of [{ assistantId: world.assistant }, { threadId: world.chat }]) {
      expect(await codesOf(viewers.carol, CREATE_RUN, { input: { ...input, ...foreign } })).toEqual(
        ['NOT_FOUND'],
      );
    }
  });

  it('hides the run of a checkpoint, if its copy has another owner', async ({
    viewers,
    server,
    world,
  }) => {
    const copy = await viewers.admin.copyThread(world.chat);
    const { client: ada } = await createViewer(server, {
      tenant: 'acme',
      owner: 'ada',
      role: 'member',
    });
    const read = `{ thread(id: "${copy}") { history { nodes { runId run { id } } } } }`;
    const runsFor = async (client: ViewerClient) => {
      const { nodes } = (await client.gql(read)).thread.history;
      return nodes.map(({ run }: { run: { id: string } | null }) => run?.id ?? null);
    };
    expect(await runsFor(viewers.admin)).toContain(world.chatRun);
    expect(new Set(await runsFor(ada))).toEqual(new Set([null]));
  });

  it('does not tell that a thread belongs to a stateless run of others', async ({ viewers }) => {
    const later = { assistantId: 'echo', input: human('hi'), afterSeconds: 3600 };
    const { threadId } = await viewers.alice.startRun(later);
    const refused = async (client: ViewerClient, ifThreadMissing: string) => {
      const input = { ...later, threadId, ifThreadMissing };
      const [error] = await client.errors(CREATE_RUN, { input });
      return [error?.extensions['code'], error?.message.includes('stateless')];
    };
    for (const ifThreadMissing of ['REJECT', 'CREATE'])
      expect(await refused(viewers.alice, ifThreadMissing)).toEqual(['CONFLICT', true]);
    for (const name of ['bob', 'carol'] as const) {
      expect(await refused(viewers[name], 'REJECT'), name).toEqual(['NOT_FOUND', false]);
      expect(await refused(viewers[name], 'CREATE'), name).toEqual(['CONFLICT', false]);
    }
  });

  it('shows the deleted assistant of a run to those who may read the run only', async ({
    viewers,
  }) => {
    const { createAssistant } = await viewers.alice.gql(
      `mutation { createAssistant(input: { graphId: "echo", name: "secret plan" }) { id } }`,
    );
    const input = { assistantId: createAssistant.id, input: human('hi') };
    const { createRun } = await viewers.alice.gql(CREATE_RUN, { input });
    await viewers.alice.gql(`mutation { deleteAssistant(id: "${createAssistant.id}") }`);
    const read = `{ run(id: "${createRun.id}") { assistant { name } } assistant(id: "${createAssistant.id}") { name } }`;
    const deleted = { run: { assistant: { name: 'secret plan' } }, assistant: null };
    expect(await viewers.alice.gql(read)).toEqual(deleted);
    for (const name of ['bob', 'carol'] as const)
      expect(await viewers[name].gql(read)).toEqual({ run: null, assistant: null });
  });
});

describe('Conditional create', () => {
  it('returns no object of others for DO_NOTHING and CREATE', async ({ viewers, world }) => {
    const thread = `mutation ($id: ID!) { createThread(input: { id: $id, ifExists: DO_NOTHING }) { id values } }`;
    const assistant = `mutation ($id: ID!) { createAssistant(input: { id: $id, graphId: "echo", ifExists: DO_NOTHING }) { id name } }`;
    const run = `mutation ($id: ID!) {
      createRun(input: { threadId: $id, assistantId: "echo", input: {}, ifThreadMissing: CREATE }) { thread { values } }
    }`;
    expect(await codesOf(viewers.carol, thread, { id: world.chat })).toEqual(['CONFLICT']);
    expect(await codesOf(viewers.carol, assistant, { id: world.assistant })).toEqual(['CONFLICT']);
    expect(await codesOf(viewers.carol, run, { id: world.chat })).toEqual(['CONFLICT']);
  });

  it('does not apply supersteps to a state of others', async ({ viewers, world }) => {
    const supersteps = [{ updates: [{ asNode: 'nowhere', values: human('hi') }] }];
    const document = `mutation ($input: CreateThreadInput!) { createThread(input: $input) { id } }`;
    const input = { id: world.chat, graphId: 'tokens', ifExists: 'DO_NOTHING', supersteps };
    expect(await codesOf(viewers.bob, document, { input })).toEqual(['CONFLICT']);
  });
});

describe('Ids smuggled in config/checkpoint', () => {
  it('reads and writes the own thread, whatever the config of a run names', async ({
    viewers,
    world,
  }) => {
    const before = await viewers.alice.getThread(world.chat);
    const configurable = {
      thread_id: world.chat,
      checkpoint_id: world.oldCheckpoint,
      checkpoint_ns: '',
      run_id: world.chatRun,
      assistant_id: world.assistant,
      graph_id: 'tokens',
    };
    const threadId = await viewers.carol.createThread();
    const input = { threadId, assistantId: 'echo', input: human('mine'), config: { configurable } };
    const { data, errors } = await viewers.carol.request(CREATE_RUN, { input });
    if (!errors) {
      expect(data.createRun).toMatchObject({ status: 'SUCCESS', threadId });
      expect(JSON.stringify(data.createRun.output)).not.toContain(world.mark);
    }
    expect(await viewers.alice.getThread(world.chat)).toEqual(before);
  });

  it('finds no checkpoint of others on an own thread', async ({ viewers, world }) => {
    const threadId = await viewers.carol.createThread();
    const input = {
      threadId,
      assistantId: 'tokens',
      input: human('hi'),
      checkpointId: world.oldCheckpoint,
    };
    const errors = async (checkpointId: string) =>
      JSON.stringify(
        await viewers.carol.errors(CREATE_RUN, { input: { ...input, checkpointId } }),
      ).replaceAll(checkpointId, '');
    expect(await errors(world.oldCheckpoint)).toBe(await errors(randomId()));
  });
});

describe('A dispatch path forgotten', () => {
  /** The answers to a query on every way into the server. */
  async function answersOf({ url }: ViewerClient, headers: Record<string, string>, query: string) {
    const json = { 'content-type': 'application/json', ...headers };
    const post = { method: 'POST', headers: json, body: JSON.stringify({ query }) };
    const get = `${url}/graphql?query=${encodeURIComponent(query)}`;
    const accept = (type: string) => ({ ...post, headers: { ...json, accept: type } });
    const texts = [
      fetch(`${url}/graphql`, post),
      fetch(get, { headers }),
      fetch(`${url}/graphql`, accept('text/event-stream')),
      fetch(`${url}/graphql`, accept('multipart/mixed')),
      fetch(`${url}/graphql`, accept('application/graphql-response+json')),
    ].map(async (response) => (await response).text());
    return [...(await Promise.all(texts)), await overSocket(url, headers, query)];
  }

  async function overSocket(url: string, headers: Record<string, string>, query: string) {
    const client = createWsClient({
      url: `${url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      connectionParams: headers,
    });
    try {
      const { value } = await client.iterate({ query }).next();
      return JSON.stringify(value);
    } catch (error) {
      // A refused operation, or a closed connection.
      if (Array.isArray(error)) return JSON.stringify(error);
      return `closed ${(error as { code?: number }).code}`;
    } finally {
      await client.dispose();
    }
  }

  it('gives every way into the server the same viewer', async ({ viewers, server, world }) => {
    const query = `{ thread(id: "${world.chat}") { metadata } }`;
    const owner = await createViewer(server, { tenant: 'acme', owner: 'alice', role: 'member' });
    const bob = await createViewer(server, { tenant: 'acme', owner: 'bob', role: 'member' });
    for (const answer of await answersOf(viewers.alice, owner.headers, query))
      expect(answer).toContain(world.mark);
    for (const answer of await answersOf(viewers.alice, bob.headers, query)) {
      expect(answer).not.toContain(world.mark);
      expect(answer).toContain('"thread":null');
    }
    for (const answer of await answersOf(viewers.alice, {}, query))
      expect(answer).toMatch(/UNAUTHENTICATED|closed 4403/);
  });

  it('asks for credentials before every field, also without any object', async ({ viewers }) => {
    const simple = ['{ __typename }', '{ graphs { id } }', '{ __schema { queryType { name } } }'];
    const lists = rootFields('Query').filter((field) => field.endsWith('s') && field !== 'graphs');
    for (const query of [...simple, ...lists.map((field) => `{ ${field} { __typename } }`)]) {
      for (const name of ['anonymous', 'expired'] as const)
        expect(await codesOf(viewers[name], query), query).toEqual(['UNAUTHENTICATED']);
    }
  });

  it.for([
    '{ nothing }',
    '{ thread }',
    '{ broken',
    '{ __typename',
    'query One { a } query Two { b }',
  ])('logs in before it reads the document %s', async (document, { viewers, server }) => {
    const { headers } = await createViewer(server, {
      tenant: 'acme',
      owner: 'bob',
      role: 'member',
    });
    for (const answer of await answersOf(viewers.alice, headers, document))
      expect(answer).toContain('BAD_USER_INPUT');
    for (const answer of await answersOf(viewers.alice, {}, document)) {
      expect(answer).toMatch(/UNAUTHENTICATED|closed 4403/);
      expect(answer).not.toMatch(/BAD_USER_INPUT|Did you mean/);
    }
    const query = `?query=${encodeURIComponent(document)}`;
    expect((await fetch(`${server.url}/graphql${query}`)).status).toBe(401);
    const expired = await viewers.expired.request(document);
    expect(expired).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
  });

  it('hides a stateless run of others, its thread and its events', async ({ viewers }) => {
    const input = { assistantId: 'echo', input: human('alone'), onCompletion: 'KEEP' };
    const { createRun } = await viewers.alice.gql(CREATE_RUN, { input });
    const read = `{ run(id: "${createRun.id}") { id } thread(id: "${createRun.threadId}") { id } }`;
    expect(await viewers.bob.gql(read)).toEqual({ run: null, thread: null });
    const events = viewers.bob.subscribe(
      `subscription { runEvents(runId: "${createRun.id}") { id } }`,
    );
    await expect(events.next()).rejects.toThrow(`Run ${createRun.id} does not exist`);
  });
});

describe('Filter made, then dropped', () => {
  it('keeps the scope with each order, direction and filter', async ({ viewers, world }) => {
    const threads = ['CREATED_AT', 'UPDATED_AT', 'STATUS', 'ID'].map(
      (field) => `threads(orderBy: { field: ${field}`,
    );
    const runs = ['CREATED_AT', 'FINISHED_AT'].map((field) => `runs(orderBy: { field: ${field}`);
    for (const list of [...threads, ...runs]) {
      for (const direction of ['ASC', 'DESC']) {
        for (const page of ['first: 100', 'last: 100']) {
          const query = `{ list: ${list}, direction: ${direction} }, ${page}) { totalCount nodes { id } } }`;
          expect((await viewers.alice.gql(query)).list.totalCount).toBeGreaterThan(0);
          expect(await viewers.nobody.gql(query), query).toEqual({
            list: { totalCount: 0, nodes: [] },
          });
        }
      }
    }
    const narrow = `{ threads(filter: { ids: ["${world.chat}"], metadata: { mark: "${world.mark}" } }) { totalCount } }`;
    expect(await viewers.bob.gql(narrow)).toEqual({ threads: { totalCount: 0 } });
  });
});

describe('Namespace string prefix and LIKE wildcards', () => {
  const similar = [
    { tenant: 'acme', owner: 'alic' },
    { tenant: 'acme', owner: 'alice2' },
    { tenant: 'acme', owner: 'a%' },
    { tenant: 'acme', owner: 'alice ' },
    { tenant: 'acme', owner: 'Alice' },
    { tenant: 'acme2', owner: 'alice' },
    { tenant: 'acm_', owner: 'alice' },
    { tenant: '%', owner: '%' },
    { tenant: 'ACME', owner: 'alice' },
    { tenant: `acme' OR '1'='1`, owner: 'alice' },
  ];

  it.for(similar)(
    '$tenant / $owner does not read the rows of acme / alice',
    async (key, { server, world }) => {
      const { client } = await createViewer(server, { ...key, role: 'member' });
      const read = `{ thread(id: "${world.chat}") { id } threads { totalCount } runs { totalCount } threadCounts { count } }`;
      const { thread, threads, runs, threadCounts } = await client.gql(read);
      expect([thread, threads.totalCount, runs.totalCount]).toEqual([null, 0, 0]);
      expect(threadCounts.every(({ count }: { count: number }) => count === 0)).toBe(true);
    },
  );

  it('of a search match themselves only', async ({ viewers, world }) => {
    for (const name of ['%', '_', world.mark.replace('mark', 'm_rk')]) {
      const found = await viewers.admin.gql(
        `query ($name: String!) { assistants(filter: { name: $name }) { totalCount } }`,
        { name },
      );
      expect(found.assistants.totalCount, name).toBe(0);
    }
  });
});

describe('Open by default', () => {
  it('answers nothing but its health without a key', async ({ server }) => {
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    expect((await fetch(`${server.url}/ready`)).status).toBe(200);
    const query = encodeURIComponent('{ __typename }');
    const answer = await fetch(`${server.url}/graphql?query=${query}`);
    expect(answer.status).toBe(401);
    expect(await answer.json()).toMatchObject({
      errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
    });
  });
});

describe('Loopback calls trusted', () => {
  it('needs a key from this machine, whatever its headers claim', async ({ server }) => {
    const claims = [
      { 'x-forwarded-for': '127.0.0.1' },
      { 'x-auth-scheme': 'langsmith-studio' },
      { 'x-user-id': 'alice', 'x-tenant-id': 'acme' },
      { authorization: 'Bearer null' },
      { authorization: 'Basic YWxpY2U6YWxpY2U=' },
      { 'x-api-key': '' },
      { 'x-api-key': 'null' },
      { cookie: 'x-api-key=secret' },
    ];
    for (const headers of claims) {
      const body = JSON.stringify({ query: '{ threads { totalCount } }' });
      const json = { 'content-type': 'application/json', ...headers };
      const answer = await fetch(`${server.url}/graphql`, {
        method: 'POST',
        headers: json as never,
        body,
      });
      expect(await answer.json(), JSON.stringify(headers)).toMatchObject({
        errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
      });
    }
  });
});

describe('Secrets at rest', () => {
  it('stores no key, in no table', async ({ server }) => {
    const key = { tenant: 'acme', owner: 'sam', role: 'member' } as const;
    const { client, headers } = await createViewer(server, key);
    const threadId = await client.createThread();
    const mark = randomId();
    await client.runToEnd({ threadId, assistantId: 'whoami', input: {} });
    await client.runToEnd({ threadId, assistantId: 'echo', input: human(mark) });
    const { query } = server.app.sql;
    const tables = await query<{ name: string }>(
      sql`SELECT table_name AS "name" FROM information_schema.tables
        WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'`,
    );
    const tablesWith = async (text: string) => {
      const hex = Buffer.from(text).toString('hex');
      const found = tables.map(async ({ name }) => {
        const rows = await query(
          sql`SELECT 1 FROM ${raw(`"${name}"`)} row
            WHERE strpos(row::text, ${text}) > 0 OR strpos(row::text, ${hex}) > 0 LIMIT 1`,
        );
        return rows.length > 0 ? name : [];
      });
      return (await Promise.all(found)).flat();
    };
    expect(await tablesWith(mark)).toEqual(
      expect.arrayContaining(['Run', 'RunEvent', 'ChannelItem']),
    );
    expect(await tablesWith(headers['x-api-key'])).toEqual([]);
  });
});

describe('Existence oracle, error text leak', () => {
  it('names no object, owner or tenant in an error', async ({ viewers, world }) => {
    const secrets = [world.mark, 'alice', 'acme', world.assistant, world.laterRun, world.interrupt];
    const refused = async (document: string, target: World) => {
      const text = JSON.stringify((await viewers.carol.errors(document))[0]?.message);
      for (const secret of secrets) expect(text).not.toContain(secret);
      return text.replaceAll(target.chat, '').replaceAll(target.chatRun, '');
    };
    const documents = [
      ({ chat }: World) => `mutation { deleteThread(id: "${chat}") }`,
      ({ chat }: World) => `mutation { copyThread(id: "${chat}") { id } }`,
      ({ chat }: World) =>
        `mutation { copyThread(id: "${chat}", checkpointId: "${randomId()}") { id } }`,
      ({ chat }: World) =>
        `mutation { updateThreadState(id: "${chat}", input: { values: {} }) { step } }`,
      ({ chat }: World) =>
        `mutation { updateThreadState(id: "${chat}", input: { values: {}, asNode: "nowhere" }) { step } }`,
      ({ chatRun }: World) => `mutation { deleteRun(id: "${chatRun}") }`,
      ({ chatRun }: World) => `mutation { cancelRun(id: "${chatRun}") { id } }`,
    ];
    for (const documentOf of documents) {
      const missing = missingWorld();
      expect(await refused(documentOf(world), world)).toBe(
        await refused(documentOf(missing), missing),
      );
    }
  });
});

describe('Transport', () => {
  it('allows no credentials of other web pages', async ({ server }) => {
    const origin = 'https://evil.example';
    const answer = await fetch(`${server.url}/graphql`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST' },
    });
    expect(answer.headers.get('access-control-allow-credentials')).toBeNull();
    expect(answer.headers.get('access-control-allow-origin')).toBeNull();
  });

  it.for([
    '/graphql/',
    '//graphql',
    '/graphql/stream',
    '/GraphQL',
    '/graphql%2f',
    '/health/../graphql',
    '/ready/graphql',
    '/./graphql',
  ])('has no way around the login at %s', async (path, { server, world }) => {
    const query = encodeURIComponent(`{ thread(id: "${world.chat}") { metadata } }`);
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.write(
      `GET ${path}?query=${query} HTTP/1.1\r\nhost: ${hostname}:${port}\r\nconnection: close\r\n\r\n`,
    );
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    expect(text).not.toMatch(/"data"|mark/);
    expect(text).toMatch(/^HTTP\/1\.1 (30|40)\d /);
  });

  it('sends line breaks in data of SSE as a part of its event', async ({ viewers }) => {
    const evil = 'one\r\n\r\nevent: complete\r\ndata: {"data":{"evil":true}}\r\n\r\n\u2028';
    const threadId = await viewers.alice.createThread({ metadata: { evil } });
    const document = `subscription { threadChanged(ids: ["${threadId}"]) { metadata } }`;
    const events = viewers.alice.subscribe(document, {}, 'sse');
    expect((await events.next()).value).toEqual({ threadChanged: { metadata: { evil } } });
    await events.return?.();
  });
});

describe('Shared execution of subscriptions', () => {
  const document = `subscription {
    threadChanged { id metadata runs { nodes { id input } } lastRun { assistant { name } } messages { text } }
  }`;

  it('gives each viewer its own nested data for the same document at the same time', async ({
    viewers,
    server,
  }) => {
    const names = ['alice', 'bob', 'carol', 'admin', 'otherAdmin'] as const;
    // The subscriptions of earlier tests have ended.
    await until(() => server.app.changes.watchers === 0);
    const watchers = names.map((name) => collect(viewers[name].subscribe(document)));
    await until(() => server.app.changes.watchers === names.length);
    const owners = ['alice', 'bob', 'carol'] as const;
    const threads = await Promise.all(
      owners.map(async (name) => {
        const threadId = await viewers[name].createThread({ metadata: { of: name } });
        const input = human(`the secret of ${name}`);
        const { id } = await viewers[name].runToEnd({ threadId, assistantId: 'echo', input });
        return [threadId, id];
      }),
    );
    const sees = {
      alice: ['alice'],
      bob: ['bob'],
      carol: ['carol'],
      admin: ['alice', 'bob'],
      otherAdmin: ['carol'],
    };
    for (const [i, name] of names.entries()) {
      const text = () => JSON.stringify(watchers[i]?.seen);
      for (const [j, owner] of owners.entries()) {
        const [threadId = '', runId = ''] = threads[j] ?? [];
        const parts = [threadId, runId, `the secret of ${owner}`];
        if (sees[name].includes(owner)) {
          await until(() => parts.every((part) => text().includes(part)));
        } else {
          for (const part of parts) expect(text(), name).not.toContain(part);
        }
      }
    }
  });

  it('keeps the roles of viewers who read the same events apart', async ({ viewers, world }) => {
    const events = `subscription { runEvents(runId: "${world.chatRun}") { id ... on RunStartedEvent { run { id assistant { name } } } } }`;
    const follow = (client: ViewerClient) => collect(client.subscribe(events));
    const [alice, reader, bob] = [viewers.alice, viewers.reader, viewers.bob].map(follow);
    await Promise.all([alice?.ended, reader?.ended]);
    await expect(bob?.ended).rejects.toThrow('does not exist');
    expect(reader?.seen).toEqual(alice?.seen);
    expect(bob?.seen).toEqual([]);
  });
});
