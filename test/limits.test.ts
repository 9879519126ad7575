import { once } from 'node:events';
import {
  buildClientSchema,
  getIntrospectionQuery,
  lexicographicSortSchema,
  printSchema,
} from 'graphql';
import { describe, expect } from 'vitest';
import { WebSocket } from 'ws';
import { readConfig } from '../src/config.ts';
import { schema } from '../src/graphql/index.ts';
import { human, until, type TestApp } from './support/app.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';
import { GRAPHQL_WS, NOBODY, openSocket, refusals, repeat, socketUrl } from './support/refusals.ts';
import { intercept } from './support/queries.ts';

// Documents of this depth, or with so many of these parts.
const levels = (depth: number) =>
  `{ thread(id: "${NOBODY}") { state { ${'parent { '.repeat(depth - 3)}step${' }'.repeat(depth - 3)} } } }`;
const aliases = (count: number) => `{ ${repeat(count, (n) => `a${n}: graphs { id }`)} }`;
const directives = (count: number) =>
  `{ ${repeat(count, () => '... @include(if: true) { graphs { id } }')} }`;
const tokens = (count: number) =>
  `{ threads(filter: { status: [${repeat(count - 19, () => 'IDLE')}] }) { nodes { id } } }`;
/** Costs 1 + first × (1 + 2 × first + …). */
const PAGES = `query ($first: Int) { threads(first: $first) { nodes { history(first: $first) { nodes { step } } } } }`;

describe('a document', () => {
  it.for<[string, string, string, RegExp]>([
    [
      'depth',
      levels(15),
      levels(16),
      /^Query depth limit of 15 exceeded, found 16\. DEPTH_LIMIT sets/,
    ],
    [
      'aliases',
      aliases(50),
      aliases(51),
      /^Aliases limit of 50 exceeded, found 51\. ALIAS_LIMIT sets/,
    ],
    [
      'directives',
      directives(50),
      directives(51),
      /^Directives limit of 50 exceeded, found 51\. DIRECTIVE_LIMIT sets/,
    ],
    ['tokens', tokens(5000), tokens(5001), /^Token limit of 5000 exceeded\. TOKEN_LIMIT sets/],
  ])(
    'is refused above its limit of %s, over HTTP, SSE and WebSocket',
    async ([, allowed, refused, message], { server }) => {
      await server.gql(allowed);
      const error = {
        message: expect.stringMatching(message),
        extensions: { code: 'BAD_USER_INPUT' },
      };
      expect(await refusals(server, refused)).toEqual([[error], [error], [error]]);
    },
  );

  it('costs what its pages multiply to, by arguments and variables alike', async ({ server }) => {
    await server.gql(PAGES, { first: 100 });
    await server.gql(PAGES);
    const three = PAGES.replace('step', 'thread { runs(first: $first) { nodes { id } } }');
    const cost = 1 + 100 * (1 + 1 + 100 * (1 + 1 + 1 + 100 * (1 + 1)));
    const error = {
      message: `Cost limit of 50000 exceeded, found ${cost}. COST_LIMIT sets the limit.`,
      extensions: { code: 'BAD_USER_INPUT' },
    };
    expect(await refusals(server, three, { first: 100 })).toEqual([[error], [error], [error]]);
    await server.gql(three, { first: 5 });
  });

  it.for(['first', 'constructor'])(
    'costs what its variables make of it, whatever it cost before: $%s',
    async (name, { client }) => {
      const document = `query ($${name}: Int = 100, $more: Boolean = false, $ids: [ID!]) {
        threads(first: $${name}, filter: { ids: $ids }) { nodes {
          history(first: $${name}) { nodes { step thread @include(if: $more) { runs(first: 10) { nodes { id } } } } }
        } }
      }`;
      const isRefused = async (variables: Record<string, unknown>) => {
        const { errors } = await client.request(document, { ids: [NOBODY], ...variables });
        return errors?.some(({ message }) => message.includes('COST_LIMIT')) ?? false;
      };
      const asked: [Record<string, unknown>, boolean][] = [
        [{}, false],
        [{ more: true }, true],
        [{ more: true, [name]: 5 }, false],
        [{ more: true, [name]: 100, ids: {} }, false], // A wrong type: the cost is not computed.
        [{ more: true, [name]: 100 }, true],
        [{ more: true, [name]: null }, false],
        [{ more: true }, true],
        [{ more: false }, false],
        [{ more: true, [name]: 5 }, false],
      ];
      for (const [variables, refused] of asked) {
        expect([variables, await isRefused(variables)]).toEqual([variables, refused]);
      }
    },
  );

  it('cannot hide its cost in fragments, nor behind an argument that fails', async ({ server }) => {
    const fragments = Array.from(
      { length: 40 },
      (_, n) => `fragment f${n} on Query { ...f${n + 1} ...f${n + 1} }`,
    );
    const [bomb] = await server.errors(
      `{ ...f0 } ${fragments.join(' ')} fragment f40 on Query { graphs { id } }`,
    );
    expect(bomb?.message).toMatch(/COST_LIMIT/);

    const failing = `query ($last: Int) { thread(id: "${NOBODY}") { messages(last: $last) { text } } ${PAGES.slice(
      PAGES.indexOf('{') + 1,
    ).replaceAll('$first', '100')}`;
    const [refused] = await server.errors(failing, { last: null });
    expect(refused).toMatchObject({ extensions: { code: 'BAD_USER_INPUT' } });
    expect((await server.request(failing, { last: null })).data ?? null).toBeNull();
  });

  it('is a client error where its values nest deeper than the stack', async ({ server }) => {
    const list = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
    for (const levels of [101, 1000, 1500, 2000, 2400]) {
      const document = `mutation { createThread(input: { metadata: { a: ${list(levels)} } }) { id } }`;
      for (const errors of await refusals(server, document)) {
        expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
      }
    }
  });

  it('has the limits that the environment sets', async ({ startServer }) => {
    const env = {
      DEPTH_LIMIT: '2',
      ALIAS_LIMIT: '0',
      DIRECTIVE_LIMIT: '0',
      TOKEN_LIMIT: '30',
      COST_LIMIT: '1',
    };
    const { depthLimit, aliasLimit, directiveLimit, tokenLimit, costLimit } = readConfig(env);
    const { client: strict } = await startServer({
      depthLimit,
      aliasLimit,
      directiveLimit,
      tokenLimit,
      costLimit,
    });
    await strict.gql('{ __typename }');
    for (const [document, variable] of [
      [levels(3), 'DEPTH_LIMIT'],
      [aliases(1), 'ALIAS_LIMIT'],
      [directives(1), 'DIRECTIVE_LIMIT'],
      [tokens(31), 'TOKEN_LIMIT'],
      ['{ graphs { id } }', 'COST_LIMIT'],
    ] as const) {
      const [error] = await strict.errors(document);
      expect(error?.message).toContain(`${variable} sets the limit.`);
    }
  });
});

describe('introspection', () => {
  const FULL = getIntrospectionQuery({
    descriptions: true,
    specifiedByUrl: true,
    directiveIsRepeatable: true,
    schemaDescription: true,
    inputValueDeprecation: true,
    oneOf: true,
  });

  it("passes the limits, whole and as clients' tools ask", async ({ server }) => {
    const shown = buildClientSchema(await server.gql(FULL));
    expect(printSchema(lexicographicSortSchema(shown))).toBe(
      printSchema(lexicographicSortSchema(schema)),
    );
    await server.gql(getIntrospectionQuery());
    await server.gql(getIntrospectionQuery({ descriptions: false }));
    await server.gql(
      '{ __type(name: "Thread") { fields { name type { name ofType { name } } } } }',
    );
  });

  it('is refused with INTROSPECTION=off, and nothing suggests names', async ({
    server,
    startServer,
  }) => {
    const { introspection } = readConfig({ INTROSPECTION: 'off' });
    const { server: closed } = await startServer({ introspection });
    const refused = {
      message: expect.stringContaining('introspection has been disabled'),
      extensions: { code: 'BAD_USER_INPUT' },
    };
    for (const document of [FULL, '{ __type(name: "Thread") { name } }']) {
      for (const [error] of await refusals(closed, document)) expect(error).toMatchObject(refused);
    }
    expect(await closed.gql('{ __typename graphs { __typename } }')).toMatchObject({
      __typename: 'Query',
    });

    const guesses: [string, Record<string, unknown>?][] = [
      [`{ thread(id: "${NOBODY}") { stats } }`],
      ['{ threads(frist: 1) { nodes { id } } }'],
      ['{ threads(orderBy: { field: STATS }) { nodes { id } } }'],
      [
        'query ($status: [ThreadStatus!]) { threads(filter: { status: $status }) { nodes { id } } }',
        { status: ['IDEL'] },
      ],
      [
        'query ($filter: ThreadFilter) { threads(filter: $filter) { nodes { id } } }',
        { filter: { stats: 1 } },
      ],
    ];
    for (const [document, variables] of guesses) {
      const open = await server.errors(document, variables);
      expect(open[0]?.message).toContain('Did you mean');
      for (const errors of await refusals(closed, document, variables)) {
        expect(JSON.stringify(errors)).toMatch(/BAD_USER_INPUT/);
        expect(JSON.stringify(errors)).not.toContain('Did you mean');
      }
    }
  });
});

describe('GraphiQL', () => {
  it('is no more with GRAPHIQL=off', async ({ server, startServer }) => {
    const { graphiql, studio } = readConfig({ GRAPHIQL: 'off', STUDIO: 'off' });
    const { server: bare } = await startServer({ graphiql, studio });
    const ask = (app: TestApp) => fetch(`${app.url}/graphql`, { headers: { accept: 'text/html' } });
    expect((await ask(server)).headers.get('content-type')).toMatch('text/html');
    const refused = await ask(bare);
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect(refused.headers.get('content-type') ?? '').not.toContain('text/html');
    const root = await fetch(bare.url, { headers: { accept: 'text/html' } });
    expect(await root.json()).toMatchObject({ graphql: '/graphql' });
  });
});

describe('what clients send by default', () => {
  it('passes: a page of Relay with its fragments, refetched by node', async ({ client }) => {
    const id = await client.createThread();
    const RELAY = `
      query ThreadListRefetchQuery($count: Int = 50, $cursor: String, $id: ID!) {
        ...ThreadList_query_1G22uz
        node(id: $id) { __typename ...ThreadDetail_thread id }
      }
      fragment ThreadList_query_1G22uz on Query {
        threads(first: $count, after: $cursor, orderBy: { field: UPDATED_AT }) {
          edges { node { id ...ThreadRow_thread __typename } cursor }
          pageInfo { endCursor hasNextPage }
        }
      }
      fragment ThreadRow_thread on Thread {
        id status metadata updatedAt
        lastMessage: messages(last: 1) { __typename type text }
        latest: runs(first: 1) { edges { node { id status error { name message } } } }
      }
      fragment ThreadDetail_thread on Thread {
        ...ThreadRow_thread
        messages(last: 100) { __typename messageId type text toolCalls { name args } usage { totalTokens } }
        history(first: 20) { edges { node { checkpointId step next tasks { name error interrupts { id value } } } cursor } pageInfo { endCursor hasNextPage } }
        runs(first: 20) { edges { node { id status interrupts { id value } } cursor } pageInfo { endCursor hasNextPage } }
      }`;
    expect(await client.gql(RELAY, { id })).toMatchObject({ node: { id } });
  });
});

describe('a WebSocket', () => {
  it('may have so many operations under way, and goes on when there are more', async ({
    startServer,
  }) => {
    const { socketOperationLimit } = readConfig({ SOCKET_OPERATION_LIMIT: '3' });
    const { server, client } = await startServer({ socketOperationLimit });
    const FOLLOW = `subscription { threadEvents(threadId: "${await client.createThread()}") { id } }`;
    using socket = await openSocket(server);
    const subscribe = (id: string, query: string) =>
      socket.send({ id, type: 'subscribe', payload: { query } });
    for (const id of ['1', '2', '3']) subscribe(id, FOLLOW);

    subscribe('4', '{ __typename }');
    const error = {
      message:
        'Limit of 3 operations at a time on one WebSocket exceeded. SOCKET_OPERATION_LIMIT sets the limit.',
      extensions: { code: 'BAD_USER_INPUT' },
    };
    expect(await socket.receive()).toEqual({ id: '4', type: 'error', payload: [error] });

    socket.send({ id: '1', type: 'complete' });
    subscribe('4', '{ __typename }');
    expect(await socket.receive()).toMatchObject({
      id: '4',
      payload: { data: { __typename: 'Query' } },
    });
  });

  it('is closed when it does not introduce itself in time', async ({ startServer }) => {
    const { socketInitSeconds } = readConfig({ SOCKET_INIT_SECONDS: '1' });
    const { server: hasty } = await startServer({ socketInitSeconds });
    const socket = new WebSocket(socketUrl(hasty), GRAPHQL_WS);
    expect((await once(socket, 'close'))[0]).toBe(4408);
  });

  it('stays open for a client that reads what it is sent, however large', async ({ client }) => {
    const { id } = await client.runToEnd({
      assistantId: 'shout',
      input: { log: [] },
      streamModes: ['CUSTOM'],
      onCompletion: 'KEEP',
    });
    const FOLLOW = operation(`subscription ($id: ID!) {
      runEvents(runId: $id) { __typename ... on CustomEvent { data } }
    }`);
    const sizes: unknown[] = [];
    for await (const { runEvents } of client.subscribe(FOLLOW, { id })) {
      const { __typename } = runEvents;
      sizes.push(
        __typename === 'CustomEvent'
          ? (runEvents.data as { text: string }).text.length
          : __typename,
      );
    }
    expect(sizes).toEqual(['RunStartedEvent', 9_000_000, 0, 'RunFinishedEvent']);
  });

  it(
    'is closed when its client has left 8 MiB unread',
    { timeout: 120_000 },
    async ({ startServer }) => {
      const { server, client } = await startServer();
      const run = await client.runToEnd({
        assistantId: 'echo',
        input: human('x'.repeat(500_000)),
        onCompletion: 'KEEP',
      });
      const query = `{ run(id: "${run.id}") { output } }`;
      using slow = await openSocket(server);
      const { socket, send } = slow;
      socket.pause();
      let answered = 0;
      const { sql } = server.app;
      sql.query = intercept(sql.query, async ({ text }, ask) => {
        const rows = await ask();
        if (text.includes('"ChannelValue"')) answered += 1;
        return rows;
      });
      const closed = once(socket, 'close');
      let received = 0;
      socket.on('message', (data: Buffer) => (received += data.length));
      for (let id = 0; id < 60; id++) send({ id: `${id}`, type: 'subscribe', payload: { query } });
      let answeredToOthers = 0;
      // While the server answers another client, it answers no operation of the socket: all are answered, or it is closed.
      await until(async () => {
        const before = answered - answeredToOthers;
        for (let n = 0; n < 10; n++) await client.gql(query);
        answeredToOthers += 10;
        return before > 0 && answered - answeredToOthers === before;
      });
      socket.resume();
      expect((await closed)[0]).toBe(1013);
      expect(received).toBeLessThan(60 * 500_000);
    },
  );
});
