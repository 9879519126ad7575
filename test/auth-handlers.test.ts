import { once } from 'node:events';
import path from 'node:path';
import { createClient } from 'graphql-sse';
import { describe, expect, inject, vi } from 'vitest';
import { WebSocket } from 'ws';
import { sql } from '../src/db/sql.ts';
import { createTestApp, randomId, until, type GraphqlResult, type TestApp } from './support/app.ts';
import { it } from './support/fixture.ts';
import { createGate, type Gate } from './support/gates.ts';
import { createProject } from './support/projects.ts';
import { GRAPHQL_WS, openSocket, socketUrl } from './support/refusals.ts';

const graphsFile = path.join(import.meta.dirname, 'support/auth-graphs.json');
it.override('settings', { graphsFile });

/** Sends a document with a header `authorization`. An object is a user; a text is a case of the handlers. */
async function send(
  { url }: Pick<TestApp, 'url'>,
  user: object | string | undefined,
  query: string,
  variables: object = {},
): Promise<GraphqlResult & { status: number }> {
  const token = typeof user === 'object' ? JSON.stringify(user) : user;
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Test ${token}` }),
    },
    body: JSON.stringify({ query, variables }),
  });
  return { ...((await response.json()) as GraphqlResult), status: response.status };
}

const ANN = { identity: 'ann' };
const BOB = { identity: 'bob' };

const CREATE = `mutation ($input: CreateThreadInput) { createThread(input: $input) { id metadata } }`;
const READ = `query ($id: ID!) { thread(id: $id) { id metadata } }`;
const RUN = `mutation ($input: CreateRunInput!, $wait: Boolean! = true) {
  createRun(input: $input, wait: $wait) { id threadId status output metadata error { message } }
}`;

async function newThread(server: TestApp, user: object, input: object = {}): Promise<string> {
  const { data, errors } = await send(server, user, CREATE, { input });
  expect(errors).toBeUndefined();
  return data.createThread.id;
}

const codeOf = ({ errors }: GraphqlResult) => errors?.[0]?.extensions['code'];
const messageOf = ({ errors }: GraphqlResult) => errors?.[0]?.message;

describe('authenticate', () => {
  it('takes a text as the identity of the client', async ({ server }) => {
    const { data } = await send(server, 'text', CREATE);
    expect(data.createThread.metadata).toEqual({ owner: 'tess' });
  });

  it('shows the message of an HTTPException with its code', async ({ server }) => {
    const refused = await send(server, 'refused', '{ __typename }');
    expect(refused).toMatchObject({ status: 401 });
    expect(codeOf(refused)).toBe('UNAUTHENTICATED');
    expect(messageOf(refused)).toBe('This token is from yesterday.');
    const forbidden = await send(server, 'forbidden', '{ __typename }');
    expect(forbidden).toMatchObject({ status: 403 });
    expect(messageOf(forbidden)).toBe('Your account is closed.');
    expect(messageOf(await send(server, undefined, '{ __typename }'))).toBe('Who are you?');
  });

  it('is not to blame on the credentials where the handler fails', async ({ server }) => {
    const answer = await send(server, 'broken', CREATE);
    expect(codeOf(answer)).toBe('SERVICE_UNAVAILABLE');
    expect(messageOf(answer)).toBe('The server cannot check credentials at the moment.');
  });

  it.for([
    'nothing',
    'number',
    'nameless',
    'emptyName',
    'numberAsName',
    'emptyTenant',
    'nullCharacter',
    'permissionsAsText',
    'notAuthenticated',
    'circular',
  ])('tells the client nothing of an answer without a user: %s', async (token, { server }) => {
    const answer = await send(server, token, CREATE);
    expect(codeOf(answer)).toBe('UNAUTHENTICATED');
    expect(messageOf(answer)).toBe('The request has no valid credentials.');
    expect(answer.data).toBeUndefined();
  });

  it('gives up a handler without an answer after 10 s', { timeout: 30_000 }, async ({ server }) => {
    const answer = await send(server, 'hangs', CREATE);
    expect(codeOf(answer)).toBe('SERVICE_UNAVAILABLE');
  });

  it('separates the tenants of its users', async ({ server }) => {
    const open = { $or: [{ owner: 'ann' }, { owner: 'bob' }] };
    const id = await newThread(server, { ...ANN, tenant: 'one' });
    const other = await send(server, { ...ANN, tenant: 'two', filter: open }, READ, { id });
    expect(other).toMatchObject({ data: { thread: null } });
    const same = await send(server, { ...BOB, tenant: 'one', filter: open }, READ, { id });
    expect(same.data.thread.id).toBe(id);
  });

  it('gives a user the roles of this server', async ({ server }) => {
    const answer = await send(server, { ...ANN, roles: ['reader'] }, CREATE);
    expect(codeOf(answer)).toBe('FORBIDDEN');
  });

  it('also decides about a WebSocket', async ({ server }) => {
    const { data } = await send(server, ANN, RUN, {
      input: { assistantId: 'whoCalls', input: {} },
    });
    await expect(server.follow(data.createRun.id)).rejects.toMatchObject({ code: 4403 });
  });
});

describe('A WebSocket', () => {
  const VIEWER = { type: 'subscribe', id: '1', payload: { query: '{ viewer { identity } }' } };

  /** What the handler sees: the headers of the upgrade request, and the connection parameters. */
  async function seenHeaders(
    server: TestApp,
    headers: Record<string, string>,
    params: Record<string, string>,
  ): Promise<string> {
    using socket = await openSocket(server, params, headers);
    socket.send(VIEWER);
    return (await socket.receive()).payload.data.viewer.identity;
  }

  it('takes the credentials of its parameters before those of its headers', async ({ server }) => {
    const user = (identity: string) => ({ authorization: `Test {"identity":"${identity}"}` });
    expect(await seenHeaders(server, user('ann'), user('bob'))).toBe('bob');
    expect(await seenHeaders(server, user('ann'), {})).toBe('ann');
    expect(await seenHeaders(server, {}, user('bob'))).toBe('bob');
  });

  it('keeps the headers of a proxy: its parameters replace and add none of them', async ({
    server,
  }) => {
    const params = {
      authorization: 'Test headers',
      'x-forwarded-user': 'mallory',
      'X-Real-IP': 'mallory',
      'x-team': 'mallory',
      'x-device': 'phone',
    };
    const proxy = { 'x-forwarded-user': 'ann', 'x-real-ip': '10.0.0.1', 'x-team': 'red' };
    expect(await seenHeaders(server, proxy, params)).toBe('ann, 10.0.0.1, red, phone');
    // No proxy has set them: only the name of the application is taken.
    expect(await seenHeaders(server, {}, params)).toBe('none, none, mallory, phone');
  });

  describe('that closes during a slow login', () => {
    const CREATES = `mutation { createThread(input: { metadata: { owner: "sam" } }) { id } }`;

    /** A WebSocket whose login waits until the gate is open. */
    async function connectSlowly(server: TestApp) {
      const gate = createGate();
      const socket = new WebSocket(socketUrl(server), GRAPHQL_WS);
      await once(socket, 'open');
      const payload = { authorization: 'Test slow', 'x-gate': gate.file };
      socket.send(JSON.stringify({ type: 'connection_init', payload }));
      return { gate, socket };
    }

    /** Opens the gate. Another login then shows the end of the slow one. */
    async function endLogin(server: TestApp, gate: Gate): Promise<void> {
      await gate.open();
      const headers = { authorization: 'Test slow', 'x-gate': gate.file };
      expect(await server.as(headers).gql('{ viewer { identity } }')).toEqual({
        viewer: { identity: 'sam' },
      });
    }

    const threadsOfSam = async (server: TestApp) =>
      (await send(server, { identity: 'sam' }, '{ threads { totalCount } }')).data.threads
        .totalCount;

    it('is gone, and the server goes on', async ({ startServer }) => {
      const lines: string[] = [];
      const { server } = await startServer({ graphsFile });
      vi.spyOn(server.app.log, 'error').mockImplementation(
        (...line) => void lines.push(String(line)),
      );
      for (const leave of ['close', 'terminate'] as const) {
        const { gate, socket } = await connectSlowly(server);
        socket[leave]();
        await once(socket, 'close');
        await endLogin(server, gate);
      }
      expect(lines).toEqual([]);
    });

    it('executes nothing that the client sent before the answer', async ({ server }) => {
      const { gate, socket } = await connectSlowly(server);
      socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query: CREATES } }));
      const [code] = await once(socket, 'close');
      expect(code).toBe(4401);
      await endLogin(server, gate);
      expect(await threadsOfSam(server)).toBe(0);
    });
  });
});

describe('A filter of a handler', () => {
  it('hides the threads of other users in each read and each change', async ({ server }) => {
    const id = await newThread(server, ANN);
    const run = await send(server, ANN, RUN, {
      input: { assistantId: 'waits', threadId: id, input: {} },
    });
    const { id: runId } = run.data.createRun;
    const documents: [string, object][] = [
      [READ, { id }],
      [`query ($id: ID!) { node(id: $id) { id } }`, { id }],
      [`query ($id: ID!) { node(id: $id) { id } }`, { id: runId }],
      [`query ($id: ID!) { run(id: $id) { id } }`, { id: runId }],
      [
        `mutation ($id: ID!) { updateThread(id: $id, input: { metadata: { a: 1 } }) { id } }`,
        { id },
      ],
      [
        `mutation ($id: ID!) { updateThreadState(id: $id, input: { values: { answer: 1 } }) { threadId } }`,
        { id },
      ],
      [`mutation ($id: ID!) { copyThread(id: $id) { id } }`, { id }],
      [`mutation ($id: ID!) { cancelRun(id: $id) { id } }`, { id: runId }],
      [RUN, { input: { assistantId: 'waits', threadId: id, input: {} } }],
      [RUN, { input: { assistantId: 'waits', threadId: id, multitaskStrategy: 'REJECT' } }],
      [RUN, { input: { assistantId: 'waits', threadId: id, ifThreadMissing: 'CREATE' } }],
      [CREATE, { input: { id, ifExists: 'DO_NOTHING' } }],
    ];
    for (const [document, variables] of documents) {
      const answer = await send(server, BOB, document, variables);
      const shown = Object.values(answer.data ?? {});
      expect(shown, document).toEqual([null]);
      expect(codeOf(answer), document).toBeOneOf([undefined, 'NOT_FOUND', 'CONFLICT']);
    }
    expect((await send(server, ANN, READ, { id })).data.thread.metadata).toMatchObject({
      owner: 'ann',
    });
  });

  it('limits lists, counts and interrupts', async ({ server }) => {
    const eve = { identity: 'eve' };
    const id = await newThread(server, eve);
    await send(server, eve, RUN, { input: { assistantId: 'waits', threadId: id, input: {} } });
    await newThread(server, BOB);
    const LISTS = `{
      threads { totalCount nodes { id } } threadCounts { status count }
      runs { totalCount nodes { threadId } } runCounts { status count }
      pendingInterrupts { totalCount nodes { threadId } }
    }`;
    const { data } = await send(server, eve, LISTS);
    expect(data.threads).toEqual({ totalCount: 1, nodes: [{ id }] });
    expect(data.runs).toEqual({ totalCount: 1, nodes: [{ threadId: id }] });
    expect(data.pendingInterrupts).toEqual({ totalCount: 1, nodes: [{ threadId: id }] });
    expect(data.threadCounts).toContainEqual({ status: 'INTERRUPTED', count: 1 });
    expect(data.runCounts).toContainEqual({ status: 'INTERRUPTED', count: 1 });
    const none = (await send(server, { identity: 'nobody' }, LISTS)).data;
    expect(none.threads.totalCount + none.runs.totalCount).toBe(0);
    expect(none.pendingInterrupts.totalCount).toBe(0);
  });

  it.for([
    [{ owner: 'ann' }, true],
    [{ owner: { $eq: 'ann' } }, true],
    [{ owner: 'an' }, false],
    [{ owner: ['ann'] }, undefined],
    [{ owner: { $contains: 'ann' } }, false],
    [{ teams: 'red' }, false],
    [{ teams: { $eq: 'red' } }, false],
    [{ teams: { $contains: 'red' } }, true],
    [{ teams: { $contains: ['red', 'blue'] } }, true],
    [{ teams: { $contains: ['red', 'green'] } }, false],
    [{ owner: 'ann', level: 3 }, true],
    [{ owner: 'ann', level: '3' }, false],
    [{ owner: 'ann', level: 4 }, false],
    [{ $or: [{ owner: 'bob' }, { teams: { $contains: 'red' } }] }, true],
    [{ $or: [{ owner: 'bob' }, { owner: 'eve' }] }, false],
    [{ $and: [{ owner: 'ann' }, { $or: [{ level: 4 }, { level: 3 }] }] }, true],
    [{ $and: [{ owner: 'ann' }, { level: 4 }] }, false],
    [{ owner: 'bob', $or: [{ level: 4 }, { level: 3 }] }, false],
    [{}, true],
    [{ "o'; --": 'ann' }, false],
  ] as [object, boolean | undefined][])(
    '%j meets a thread: %s',
    async ([filter, met], { server }) => {
      const metadata = { teams: ['red', 'blue'], level: 3 };
      const id = await newThread(server, ANN, { metadata });
      const user = { ...BOB, filter };
      const answer = await send(server, user, READ, { id });
      if (met === undefined) return expect(codeOf(answer)).toBe('INTERNAL_SERVER_ERROR');
      expect(answer.data.thread?.id).toBe(met ? id : undefined);
      const list = await send(
        server,
        user,
        `query ($id: ID!) { threads(filter: { ids: [$id] }) { nodes { id } } }`,
        { id },
      );
      expect(list.data.threads.nodes).toEqual(met ? [{ id }] : []);
    },
  );

  it('limits the subscription to threads, with ids and without', async ({ server }) => {
    const own = await newThread(server, BOB);
    const foreign = await newThread(server, ANN);
    const client = createClient({
      url: `${server.url}/graphql`,
      headers: { authorization: `Test ${JSON.stringify(BOB)}` },
    });
    const UPDATE = `mutation ($id: ID!) { updateThread(id: $id, input: { metadata: { a: 1 } }) { id } }`;
    for (const args of [`(ids: ["${foreign}", "${own}"])`, '', '(filter: { status: [IDLE] })']) {
      const changes = client.iterate<any>({
        query: `subscription { threadChanged${args} { id } }`,
      });
      const next = changes.next();
      await until(() => server.app.changes.watchers > 0);
      await send(server, ANN, UPDATE, { id: foreign });
      await send(server, BOB, UPDATE, { id: own });
      expect((await next).value.data.threadChanged.id).toBe(own);
      await changes.return?.();
      await until(() => server.app.changes.watchers === 0);
    }
    client.dispose();
  });

  it.for([
    'text',
    'list',
    'unknownOperator',
    'unknownKey',
    'emptyOperator',
    'twoOperators',
    'missingValue',
    'nullValue',
    'listAsValue',
    'emptyContains',
    'emptyOr',
    'singleOr',
    'emptyBranch',
    'tooDeep',
    'throws',
    'breaks',
  ])('closes the door if the answer is wrong: %s', async (answer, { server }) => {
    const id = await newThread(server, ANN);
    const refused = await send(server, { ...ANN, answer }, READ, { id });
    expect(refused.data).toEqual({ thread: null });
    expect(codeOf(refused)).toBe('INTERNAL_SERVER_ERROR');
    expect(messageOf(refused)).toBe('Unexpected error.');
  });

  it.for([
    ['false', 'FORBIDDEN', 'You may not do this: threads:read.'],
    ['refuses', 'FORBIDDEN', 'Not on Sundays.'],
    ['true', undefined, undefined],
    ['nothing', undefined, undefined],
  ] as const)('obeys the answer %s', async ([answer, code, message], { server }) => {
    const id = await newThread(server, ANN);
    const read = await send(server, { ...BOB, answer }, READ, { id });
    expect([codeOf(read), messageOf(read)]).toEqual([code, message]);
    expect(read.data.thread?.id).toBe(code ? undefined : id);
  });
});

describe('The value of a handler', () => {
  it('is what createThread stores', async ({ server }) => {
    const { data } = await send(server, ANN, CREATE, {
      input: { metadata: { owner: 'bob', a: 1 } },
    });
    expect(data.createThread.metadata).toEqual({ owner: 'ann', a: 1 });
  });

  it('is what updateThread, copyThread and createRun store', async ({ server }) => {
    const shared = { ...BOB, filter: { $or: [{ owner: 'ann' }, { owner: 'bob' }] } };
    const id = await newThread(server, ANN, { metadata: { a: 1 } });
    const UPDATE = `mutation ($id: ID!) { updateThread(id: $id, input: { metadata: { b: 2, owner: "eve" } }) { metadata } }`;
    const updated = await send(server, ANN, UPDATE, { id });
    expect(updated.data.updateThread.metadata).toEqual({ owner: 'ann', a: 1, b: 2 });
    const copied = await send(
      server,
      shared,
      `mutation ($id: ID!) { copyThread(id: $id) { metadata } }`,
      { id },
    );
    expect(copied.data.copyThread.metadata).toEqual({ owner: 'bob', a: 1, b: 2 });
    const run = await send(server, ANN, RUN, {
      input: {
        assistantId: 'whoCalls',
        threadId: randomId(),
        ifThreadMissing: 'CREATE',
        metadata: { c: 3 },
      },
    });
    expect(run.data.createRun.metadata).toMatchObject({ owner: 'ann', c: 3 });
    // The thread is new, and its creator may read it.
    const thread = await send(server, ANN, READ, { id: run.data.createRun.threadId });
    expect(thread.data.thread.metadata).toMatchObject({ owner: 'ann', graph_id: 'whoCalls' });
  });

  it('is what an assistant stores, and other users do not see it', async ({ server }) => {
    const { data } = await send(
      server,
      ANN,
      `mutation { createAssistant(input: { graphId: "whoCalls", metadata: { owner: "bob" } }) { id metadata } }`,
    );
    const { id, metadata } = data.createAssistant;
    expect(metadata).toEqual({ owner: 'ann' });
    const FIND = `query ($id: ID!) { assistant(id: $id) { id } node(id: $id) { id } }`;
    expect((await send(server, BOB, FIND, { id })).data).toEqual({ assistant: null, node: null });
    const UPDATE = `mutation ($id: ID!) { updateAssistant(id: $id, input: { name: "x" }) { id } }`;
    expect(codeOf(await send(server, BOB, UPDATE, { id }))).toBe('NOT_FOUND');
    expect(codeOf(await send(server, BOB, RUN, { input: { assistantId: id } }))).toBe('NOT_FOUND');
    const LIST = `{ assistants { nodes { id } } }`;
    expect((await send(server, BOB, LIST)).data.assistants.nodes).not.toContainEqual({ id });
    expect((await send(server, ANN, LIST)).data.assistants.nodes).toContainEqual({ id });
  });
});

describe('The most specific handler', () => {
  it('decides alone', async ({ server }) => {
    const DELETE = `mutation ($id: ID!) { deleteThread(id: $id) }`;
    const id = await newThread(server, ANN);
    expect(codeOf(await send(server, ANN, DELETE, { id }))).toBe('FORBIDDEN');
    const deleted = await send(server, { ...ANN, permissions: ['delete'] }, DELETE, { id });
    expect(deleted.data.deleteThread).toBe(id);
  });
});

describe('A graph', () => {
  it('gets the user of its run, and nothing else keeps it', async ({ server }) => {
    const user = { ...ANN, permissions: ['a', 'b'], team: 'marked-team' };
    const input = {
      assistantId: 'whoCalls',
      input: {},
      onCompletion: 'KEEP',
      idempotencyKey: randomId(),
    };
    const { data } = await send(server, user, RUN, { input });
    const { output, threadId } = data.createRun;
    expect(output).toEqual({
      id: 'ann',
      permissions: ['a', 'b'],
      user: {
        identity: 'ann',
        display_name: 'ann',
        is_authenticated: true,
        permissions: ['a', 'b'],
        team: 'marked-team',
      },
    });
    const { query } = server.app.sql;
    const { sql } = await import('../src/db/sql.ts');
    const [row] = await query<{ run: string; checkpoints: string }>(
      sql`SELECT (SELECT string_agg(r::text, '') FROM "Run" r WHERE "threadId" = ${threadId}) AS "run",
        (SELECT string_agg(c::text, '') FROM "Checkpoint" c WHERE "threadId" = ${threadId}) AS "checkpoints"`,
    );
    expect(row?.run).not.toContain('marked-team');
    expect(row?.checkpoints).not.toContain('marked-team');
  });

  it('gets no user of a client', async ({ server }) => {
    for (const key of [
      'langgraph_auth_user',
      'langgraph_auth_user_id',
      'langgraph_auth_permissions',
    ]) {
      const config = { configurable: { [key]: 'root' } };
      const run = await send(server, ANN, RUN, { input: { assistantId: 'whoCalls', config } });
      expect(run.errors?.[0]?.extensions).toMatchObject({
        code: 'BAD_USER_INPUT',
        argument: `input.config.configurable.${key}`,
      });
    }
  });

  it('without access control gets no user', async ({ startServer }) => {
    await using project = await createProject({
      'langgraph.json': {
        graphs: { whoCalls: path.join(import.meta.dirname, 'support/auth-graphs.ts:whoCalls') },
      },
    });
    const { server } = await startServer({ graphsFile: project.file });
    const { data } = await send(server, undefined, RUN, {
      input: { assistantId: 'whoCalls', input: {} },
    });
    expect(data.createRun.output).toEqual({});
  });
});

const AUTH = `import { Auth } from '@langchain/langgraph-sdk/auth';`;
const TOKEN = `(request) => request.headers.get('authorization').slice(5)`;

/** A project with these handlers. */
const projectWith = (code: string, auth: unknown = { path: './auth.ts:auth' }) =>
  createProject({
    'auth.ts': code,
    'langgraph.json': {
      graphs: { whoCalls: path.join(import.meta.dirname, 'support/auth-graphs.ts:whoCalls') },
      auth,
    },
  });

describe('An action without a handler', () => {
  const CODE = `${AUTH} export const auth = new Auth().authenticate(${TOKEN}).on('threads:create', () => true);`;

  it('is refused', async ({ startServer }) => {
    await using project = await projectWith(CODE);
    const { server } = await startServer({ graphsFile: project.file });
    const id = await newThreadOf(server);
    const answer = await send(server, 'ann', READ, { id });
    expect(codeOf(answer)).toBe('FORBIDDEN');
    expect(messageOf(answer)).toBe('No handler allows threads:read.');
  });

  it('is allowed with AUTH_UNCOVERED=allow', async ({ startServer }) => {
    await using project = await projectWith(CODE);
    const { server } = await startServer({ graphsFile: project.file, authUncovered: 'allow' });
    const id = await newThreadOf(server);
    expect((await send(server, 'ann', READ, { id })).data.thread.id).toBe(id);
  });

  it('of a project with authenticate only belongs to the owner', async ({ startServer }) => {
    await using project = await projectWith(
      `${AUTH} export const auth = new Auth().authenticate(${TOKEN});`,
    );
    const { server } = await startServer({ graphsFile: project.file });
    const id = await newThreadOf(server);
    expect((await send(server, 'ann', READ, { id })).data.thread.id).toBe(id);
    expect((await send(server, 'bob', READ, { id })).data.thread).toBeNull();
  });

  async function newThreadOf(server: TestApp): Promise<string> {
    return (await send(server, 'ann', CREATE)).data.createThread.id;
  }
});

describe('A start', () => {
  it.for([
    ['without the file', '', { path: './none.ts:auth' }, /there is no file .*none\.ts/],
    ['without the export', AUTH, { path: './auth.ts:auth' }, /it has no export "auth"/],
    [
      'with another export',
      'export const auth = {};',
      { path: './auth.ts:auth' },
      /it must be an Auth/,
    ],
    [
      'without authenticate',
      `${AUTH} export const auth = new Auth();`,
      { path: './auth.ts:auth' },
      /it has no handler for authenticate/,
    ],
    ['with code that throws', `throw new Error('no key');`, { path: './auth.ts:auth' }, /no key/],
    ['without a path', '', {}, /"auth\.path" must be the path of an Auth/],
  ] as [string, string, unknown, RegExp][])('fails %s', async ([, code, auth, message]) => {
    await using project = await projectWith(code, auth);
    await expect(createTestApp({ graphsFile: project.file })).rejects.toThrow(message);
  });

  it('fails with handlers and AUTH=none', async () => {
    await expect(createTestApp({ graphsFile, auth: 'none' })).rejects.toThrow(
      /AUTH=none contradicts/,
    );
  });
});

describe('createRuns with a filter of handlers for each run', () => {
  const RUNS = `mutation ($inputs: [CreateRunInput!]!) { createRuns(inputs: $inputs) { id } }`;

  it.skipIf(inject('database') === 'embedded')(
    'counts the queue of each thread exactly',
    async ({ startServer }) => {
      const { server } = await startServer({ graphsFile, queuedRunLimit: 1 });
      const shared = `ffffffff-ffff-4fff-8fff-${randomId().slice(-12)}`;
      await newThread(server, ANN, { id: shared, metadata: { side: 'right' } });
      const requests: Promise<GraphqlResult>[] = [];
      await server.app.sql.transaction(async (query) => {
        await query(sql`SELECT 1 FROM "Thread" WHERE "id" = ${shared} FOR NO KEY UPDATE`);
        for (let n = 0; n < 3; n++) {
          const own = await newThread(server, ANN, { metadata: { side: 'left' } });
          const filters = { [own]: { side: 'left' }, [shared]: { side: 'right' } };
          const inputs = [own, shared].map((threadId) => ({
            threadId,
            assistantId: 'whoCalls',
            input: {},
            afterSeconds: 1000,
          }));
          requests.push(send(server, { ...ANN, filters }, RUNS, { inputs }));
        }
        await until(async () => {
          // Not in this transaction: it would see the same activity each time.
          const [waiting] = await server.app.sql.query<{ count: number }>(
            sql`SELECT count(*) AS "count" FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
          );
          return waiting?.count === 3;
        });
      });
      const answers = await Promise.all(requests);
      expect(answers.filter(({ errors }) => !errors)).toHaveLength(1);
      const refused = answers.filter(({ errors }) => errors).map(messageOf);
      const full = `Thread ${shared} has 1 queued runs; no more are accepted. QUEUED_RUN_LIMIT sets the limit.`;
      expect(refused).toEqual([full, full]);
    },
  );
});
