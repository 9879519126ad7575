import { print } from 'graphql';
import { createClient as createWsClient } from 'graphql-ws';
import { describe, expect } from 'vitest';
import { WebSocket } from 'ws';
import { sql } from '../src/db/sql.ts';
import { human, randomId, until, type FollowedEvent, type Transport } from './support/app.ts';
import { CREATE_RUN, nodesOf, ofType, type Client, type RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation, valuesOf } from './support/graphql.ts';
import { parallel, steps } from './support/graphs.ts';
import { openSocket, socketUrl } from './support/refusals.ts';
import { ALL_MODES } from './support/stream-events.ts';

const TRANSPORTS: Transport[] = ['websocket', 'sse'];

const start = async (client: Client, input: RunInput) => (await client.startRun(input)).id;
const runToEnd = async (client: Client, input: RunInput) => (await client.runToEnd(input)).id;

/** Starts a run and follows it to its end. */
const record = async (client: Client, input: RunInput) => client.follow(await start(client, input));

const idsOf = (events: { id: string }[]) => events.map(({ id }) => id);
const typesOf = (events: FollowedEvent[]): string[] => events.map(({ __typename }) => __typename);
const lastId = (events: FollowedEvent[]) => events.at(-1)?.id ?? expect.fail('No event came.');

const FOLLOW = operation(`subscription ($runId: ID!, $after: ID, $modes: [StreamMode!]) {
  runEvents(runId: $runId, after: $after, modes: $modes) { __typename id ... on CustomEvent { data } }
}`);

describe.for(TRANSPORTS)('runEvents over %s', (transport) => {
  it('sends the same, complete sequence before, during and after the run, and twice at once', async ({
    client,
    server,
  }) => {
    const [first, second] = [createGate(), createGate()];
    const threadId = await client.createThread();
    await start(client, { threadId, assistantId: 'gate', input: { file: first.file } });
    const id = await start(client, {
      threadId,
      assistantId: 'gate',
      input: { file: second.file },
      streamModes: ALL_MODES,
    });
    const follow = () => client.follow(id, { transport });

    const before = [follow(), follow()];
    await until(() => server.app.tail.readers === 2);
    await first.open();
    await client.untilRunning(id);
    const during = [follow(), follow()];
    await until(() => server.app.tail.readers === 4);
    await second.open();
    const [complete = [], ...others] = await Promise.all([...before, ...during]);
    const after = await follow();

    for (const events of [...others, after]) expect(events).toEqual(complete);
    expect(complete[0]).toMatchObject({
      __typename: 'RunStartedEvent',
      runId: id,
      attempt: 1,
      checkpointId: null,
    });
    expect(complete.at(-1)).toMatchObject({
      __typename: 'RunFinishedEvent',
      status: 'SUCCESS',
      error: null,
    });
    expect(new Set(idsOf(complete)).size).toBe(complete.length);
    expect(nodesOf(complete)).toEqual(['before', 'hold', 'after']);
    expect(server.app.tail.readers).toBe(0);
  });

  it('goes on after any cursor with exactly the rest', async ({ client }) => {
    const threadId = await client.createThread();
    const input: RunInput = { threadId, assistantId: 'custom', input: {} };
    await client.runToEnd(input);
    const id = await runToEnd(client, { ...input, streamModes: ALL_MODES });
    const events = await client.follow(id, { transport });
    expect(events.length).toBeGreaterThan(10);
    for (const [n, { id: after }] of events.entries()) {
      expect(await client.follow(id, { transport, after })).toEqual(events.slice(n + 1));
    }
  });

  it('goes on after a cursor while the run runs', async ({ client, server }) => {
    const gate = createGate();
    const id = await start(client, { assistantId: 'gate', input: { file: gate.file } });
    const seen: string[] = [];
    for await (const { runEvents } of client.subscribe(FOLLOW, { runId: id }, transport)) {
      seen.push(runEvents.id);
      if (runEvents.__typename === 'UpdatesEvent') break;
    }
    await until(() => server.app.tail.readers === 0);
    const rest = client.follow(id, { transport, after: seen.at(-1) ?? '' });
    await until(() => server.app.tail.readers > 0);
    await gate.open();
    expect([...seen, ...idsOf(await rest)]).toEqual(idsOf(await client.follow(id)));
  });

  it('sends only the modes that are asked for, live and replayed alike', async ({
    client,
    server,
  }) => {
    const gate = createGate();
    const id = await start(client, {
      assistantId: 'gate',
      input: { file: gate.file },
      streamModes: ALL_MODES,
    });
    const live = client.follow(id, { transport, modes: ['VALUES'] });
    const bare = client.follow(id, { transport, modes: [] });
    await until(() => server.app.tail.readers === 2);
    await gate.open();
    const events = await live;
    expect(new Set(typesOf(events))).toEqual(
      new Set(['RunStartedEvent', 'ValuesEvent', 'RunFinishedEvent']),
    );
    expect(typesOf(await bare)).toEqual(['RunStartedEvent', 'RunFinishedEvent']);
    expect(await client.follow(id, { transport, modes: ['VALUES'] })).toEqual(events);
    const complete = await client.follow(id, { transport });
    expect(events).toEqual(
      complete.filter(({ __typename }) => typesOf(events).includes(__typename)),
    );
  });

  it('replays a stateless run after its thread is gone', async ({ client }) => {
    const id = await start(client, {
      assistantId: 'parallel',
      input: {},
      streamModes: ['VALUES', 'UPDATES'],
    });
    const live = await client.follow(id, { transport });
    expect((await client.getRun(id)).threadId).toBeNull();
    expect(await client.follow(id, { transport })).toEqual(live);
    expect(valuesOf(ofType(live, 'ValuesEvent').at(-1)?.values).log).toHaveLength(3);
    const after = live[2]?.id ?? '';
    expect(await client.follow(id, { transport, after })).toEqual(live.slice(3));
  });

  it('sends the question of a graph that asks, then INTERRUPTED', async ({ client }) => {
    const threadId = await client.createThread();
    const id = await start(client, {
      threadId,
      assistantId: 'ask',
      input: {},
      streamModes: ['UPDATES', 'VALUES'],
    });
    const events = await client.follow(id, { transport });
    const [asked, finished] = events.slice(-2);
    expect(asked).toMatchObject({
      __typename: 'InterruptEvent',
      interrupts: [{ id: expect.any(String), value: { question: 'Go on?' }, node: 'ask' }],
    });
    expect(finished).toMatchObject({
      __typename: 'RunFinishedEvent',
      status: 'INTERRUPTED',
      error: null,
    });
    expect(nodesOf(events)).toEqual(['before']);
    const [question] = ofType(events, 'InterruptEvent').flatMap(({ interrupts }) => interrupts);
    const { status, interrupts } = await client.getThread(threadId);
    expect({ status, interrupts }).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [{ id: question?.id, value: { question: 'Go on?' } }],
    });
    expect(interrupts).toHaveLength(1);
  });

  it('tells a failure in the last event', async ({ client }) => {
    const id = await start(client, { assistantId: 'fail', input: { fail: true } });
    expect((await client.follow(id, { transport })).at(-1)).toMatchObject({
      __typename: 'RunFinishedEvent',
      status: 'ERROR',
      error: { name: 'CustomError', message: 'Boo!' },
    });
  });

  it.for<
    [string, (runId: string, otherEvent: string) => Record<string, unknown>, Record<string, string>]
  >([
    ['a run that is not there', () => ({ runId: randomId() }), { code: 'NOT_FOUND' }],
    [
      'a run id that is no UUID',
      () => ({ runId: 'x' }),
      { code: 'BAD_USER_INPUT', argument: 'runId' },
    ],
    [
      'a cursor that is none',
      (runId) => ({ runId, after: 'x' }),
      { code: 'BAD_USER_INPUT', argument: 'after' },
    ],
    [
      'a cursor of another thread',
      (runId, after) => ({ runId, after }),
      { code: 'BAD_USER_INPUT', argument: 'after' },
    ],
  ])('refuses %s', async ([, variables, expected], { client }) => {
    const id = await runToEnd(client, { assistantId: 'echo', input: human('x') });
    const other = await record(client, { assistantId: 'echo', input: human('y') });
    const refused = variables(id, other[0]?.id ?? '');
    expect(await refusalOf(client, refused, transport)).toMatchObject(expected);
  });

  it('refuses a mode that there is not', async ({ client }) => {
    const variables = { runId: randomId(), modes: ['NONE'] };
    // Over SSE, validation refuses the document before a stream starts.
    const [error] =
      transport === 'sse'
        ? await client.errors(FOLLOW, variables)
        : [{ extensions: await refusalOf(client, variables, transport) }];
    expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' });
  });

  it('does not tell a client what went wrong inside', async ({ startServer }) => {
    const { server, client } = await startServer();
    const runId = await runToEnd(client, { assistantId: 'echo', input: human('x') });
    await server.app.sql.query(sql`ALTER TABLE "RunEvent" RENAME TO "Elsewhere"`);
    expect(await refusalOf(client, { runId }, transport)).toEqual({
      message: 'Unexpected error.',
      code: 'INTERNAL_SERVER_ERROR',
    });
    expect(server.app.tail.readers).toBe(0);
  });
});

interface GraphqlFailure {
  message: string;
  extensions?: Record<string, unknown>;
}

/** The first error of a refused subscription. */
async function refusalOf(
  client: Client,
  variables: Record<string, unknown>,
  transport: Transport,
): Promise<Record<string, unknown>> {
  try {
    for await (const event of client.subscribe(print(FOLLOW), variables, transport)) {
      expect.fail(`An event came: ${JSON.stringify(event)}`);
    }
  } catch (error) {
    const { errors } = error as { errors?: GraphqlFailure[] };
    const [first] = Array.isArray(error) ? (error as GraphqlFailure[]) : (errors ?? []);
    if (!first?.extensions) throw error;
    return { message: first.message, ...first.extensions };
  }
  return expect.fail('No error came.');
}

describe('the events of a run', () => {
  it('show with VALUES what LangGraph streams in process', async ({ client }) => {
    for (const [assistantId, graph] of Object.entries({ steps, parallel })) {
      const streamed: unknown[] = [];
      for await (const values of await graph.stream({ log: ['in'] }, { streamMode: 'values' })) {
        streamed.push(values);
      }
      for (const onCompletion of ['KEEP', 'DELETE'] as const) {
        for (const durability of ['SYNC', 'ASYNC', 'EXIT'] as const) {
          const events = await record(client, {
            assistantId,
            input: { log: ['in'] },
            streamModes: ['VALUES'],
            durability,
            onCompletion,
          });
          expect(ofType(events, 'ValuesEvent').map(({ values }) => values)).toEqual(streamed);
        }
      }
    }
  });

  it('show the last state also of a graph that ran out of steps', async ({ client }) => {
    const events = await record(client, {
      assistantId: 'steps',
      input: { log: ['in'] },
      config: { recursion_limit: 3 },
      streamModes: ['VALUES'],
    });
    const streamed: unknown[] = [];
    await expect(async () => {
      for await (const values of await steps.stream(
        { log: ['in'] },
        { streamMode: 'values', recursionLimit: 3 },
      )) {
        streamed.push(values);
      }
    }).rejects.toThrow('Recursion limit');
    expect(ofType(events, 'ValuesEvent').map(({ values }) => values)).toEqual(streamed);
  });

  it('name each of the nodes that ran at once', async ({ client }) => {
    const events = await record(client, { assistantId: 'parallel', input: {} });
    const updates = ofType(events, 'UpdatesEvent').map(({ node, update }) => ({ node, update }));
    expect(updates).toHaveLength(3);
    expect(updates.slice(0, 2)).toEqual(
      expect.arrayContaining(['left', 'right'].map((node) => ({ node, update: { log: [node] } }))),
    );
    expect(updates[2]).toEqual({ node: 'join', update: { log: ['join'] } });
  });

  it('show what a node writes to the stream itself, in order', async ({ client }) => {
    const events = await record(client, { assistantId: 'custom', input: {} });
    expect(ofType(events, 'CustomEvent').map(({ data }) => data)).toEqual([
      { n: 1 },
      { n: 2 },
      { n: 3 },
    ]);
  });

  it('hold only what the run was asked to record', async ({ client }) => {
    const types = typesOf(
      await record(client, { assistantId: 'custom', input: {}, streamModes: ['CUSTOM'] }),
    );
    expect(types).toEqual(['RunStartedEvent', ...Array(3).fill('CustomEvent'), 'RunFinishedEvent']);
  });

  it('are token by token with MESSAGES: 16 runs of 200 tokens at once lose none', async ({
    client,
  }) => {
    const runs = await Promise.all(
      Array.from({ length: 16 }, () =>
        record(client, { assistantId: 'tokens', input: human('go'), streamModes: ['MESSAGES'] }),
      ),
    );
    const text = Array.from({ length: 200 }, (_, n) => String.fromCodePoint(97 + (n % 26))).join(
      '',
    );
    const messageIds = new Set();
    for (const events of runs) {
      const tokens = ofType(events, 'MessagesEvent');
      expect(tokens).toHaveLength(200);
      expect(tokens.map(({ message }) => message.text).join('')).toBe(text);
      expect(tokens.every(({ isChunk, message }) => isChunk && message.type === 'AI')).toBe(true);
      expect(tokens[0]?.metadata).toMatchObject({ langgraph_node: 'llm' });
      const [messageId, ...others] = new Set(tokens.map(({ message }) => message.messageId));
      expect(others).toEqual([]);
      messageIds.add(messageId);
    }
    expect(messageIds.size).toBe(16);
  });

  it('are numbered on over the runs of a thread: a cursor of the first run skips nothing of the second', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const input: RunInput = { threadId, assistantId: 'custom', input: {} };
    const first = await client.follow(await runToEnd(client, input));
    const id = await runToEnd(client, input);
    const second = await client.follow(id);
    expect(await client.follow(id, { after: lastId(first) })).toEqual(second);
    expect(await client.follow(id, { after: lastId(second) })).toEqual([]);
  });

  it('all reach a reader that falls far behind', async ({ client, server }) => {
    const runId = await start(client, { assistantId: 'flood', input: {} });
    using slow = await openSocket(server);
    const { socket, send } = slow;
    const numbers: number[] = [];
    const completed = new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('close', (code, reason) =>
        reject(new Error(`closed: ${code} ${reason.toString()}`)),
      );
      socket.on('message', (text: Buffer) => {
        const { type, payload } = JSON.parse(text.toString());
        if (type === 'complete') resolve();
        if (type !== 'next') return;
        const { __typename, data } = payload.data.runEvents;
        if (__typename === 'RunStartedEvent') socket.pause();
        else if (data) numbers.push(data.n);
      });
    });
    const query = print(FOLLOW);
    send({
      id: '1',
      type: 'subscribe',
      payload: { query, variables: { runId, modes: ['CUSTOM'] } },
    });
    await until(() => socket.isPaused);
    await client.follow(runId, { modes: [] });
    expect(server.app.tail.readers).toBe(1);
    expect(numbers.length).toBeLessThan(150);
    socket.resume();
    await completed;
    expect(numbers).toEqual(Array.from({ length: 150 }, (_, n) => n + 1));
  });
});

describe('a client that leaves while the server waits', () => {
  async function waitingRun(client: Client) {
    const gate = createGate();
    const runId = await start(client, { assistantId: 'gate', input: { file: gate.file } });
    await client.untilRunning(runId);
    return { gate, runId };
  }

  it('leaves nothing behind when it unsubscribes over its WebSocket, which goes on', async ({
    client,
    server,
  }) => {
    const { gate, runId } = await waitingRun(client);
    const wsClient = createWsClient({
      url: socketUrl(server),
      webSocketImpl: WebSocket,
      lazy: false,
    });
    const events = wsClient.iterate({ query: print(FOLLOW), variables: { runId } });
    await events.next();
    expect(server.app.tail.readers).toBe(1);
    await events.return?.();
    await until(() => server.app.tail.readers === 0);

    const answers = wsClient.iterate({ query: '{ graphs { id } }' });
    expect((await answers.next()).value?.data?.['graphs']).toBeDefined();
    await wsClient.dispose();
    await gate.open();
  });

  it('leaves nothing behind when its WebSocket breaks', async ({ client, server }) => {
    const { gate, runId } = await waitingRun(client);
    const wsClient = createWsClient({
      url: socketUrl(server),
      webSocketImpl: WebSocket,
      retryAttempts: 0,
    });
    const subscriptions = [1, 2, 3].map(() =>
      wsClient.iterate({ query: print(FOLLOW), variables: { runId } }),
    );
    for (const events of subscriptions) await events.next();
    expect(server.app.tail.readers).toBe(3);
    wsClient.terminate();
    await until(() => server.app.tail.readers === 0);
    await gate.open();
  });

  it('leaves nothing behind when its SSE request breaks', async ({ client, server }) => {
    const { gate, runId } = await waitingRun(client);
    const leaving = new AbortController();
    const response = await post(client, {
      body: { query: print(FOLLOW), variables: { runId } },
      accept: 'text/event-stream',
      signal: leaving.signal,
    });
    await response.body?.getReader().read();
    await until(() => server.app.tail.readers === 1);
    leaving.abort();
    await until(() => server.app.tail.readers === 0);
    await gate.open();
  });

  it('leaves nothing behind when it waits for the end of a run, and the run goes on', async ({
    client,
    server,
  }) => {
    const gate = createGate();
    const leaving = new AbortController();
    const input = { assistantId: 'gate', input: { file: gate.file }, onCompletion: 'KEEP' };
    const answer = post(client, {
      body: { query: print(CREATE_RUN), variables: { input, wait: true } },
      accept: 'application/json',
      signal: leaving.signal,
    });
    await until(() => server.app.tail.readers === 1);
    leaving.abort();
    await expect(answer).rejects.toThrow('aborted');
    await until(() => server.app.tail.readers === 0);
    await gate.open();
    await until(async () => {
      const { runs } = await client.gql(operation(`query { runs(first: 1) { nodes { status } } }`));
      return runs.nodes[0]?.status === 'SUCCESS';
    });
  });

  it('leaves nothing behind when it has read all', async ({ client, server }) => {
    const runId = await runToEnd(client, { assistantId: 'echo', input: human('x') });
    for (const transport of TRANSPORTS) await client.follow(runId, { transport });
    expect(server.app.tail.readers).toBe(0);
  });
});

function post(
  { url }: Client,
  { body, accept, signal }: { body: unknown; accept: string; signal: AbortSignal },
): Promise<Response> {
  return fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept },
    body: JSON.stringify(body),
    signal,
  });
}
