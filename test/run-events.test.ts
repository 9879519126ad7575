import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  human,
  randomId,
  until,
  type TestApp,
  type Transport,
} from './support/app.ts';
import { parallel, steps } from './support/graphs.ts';

let server: TestApp;
let folder: string;
beforeAll(async () => {
  server = await createTestApp();
  folder = await mkdtemp(path.join(os.tmpdir(), 'threadql-gate-'));
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

const TRANSPORTS: Transport[] = ['websocket', 'sse'];
const ALL_MODES = ['VALUES', 'UPDATES', 'MESSAGES', 'CUSTOM', 'TASKS', 'CHECKPOINTS'];

async function createThread(): Promise<string> {
  return (await server.gql(CREATE_THREAD)).createThread.id;
}

async function start(input: Record<string, unknown>): Promise<string> {
  return (await server.gql(CREATE_RUN, { input })).createRun.id;
}

async function runToEnd(input: Record<string, unknown>): Promise<string> {
  return (await server.gql(CREATE_RUN, { input, wait: true })).createRun.id;
}

async function isRunning(id: string): Promise<boolean> {
  const { run } = await server.gql(`query ($id: ID!) { run(id: $id) { status } }`, { id });
  return run.status === 'RUNNING';
}

/** What the runs of graph `gate` wait for. */
function closedGate() {
  const file = path.join(folder, randomId());
  return { file, open: () => writeFile(file, '') };
}

const idsOf = (events: any[]): string[] => events.map(({ id }) => id);
const typesOf = (events: any[]): string[] => events.map(({ __typename }) => __typename);
const ofType = (events: any[], type: string) =>
  events.filter(({ __typename }) => __typename === type);

const FOLLOW = `subscription ($runId: ID!, $after: ID, $modes: [StreamMode!]) {
  runEvents(runId: $runId, after: $after, modes: $modes) { __typename id ... on CustomEvent { data } }
}`;

describe.each(TRANSPORTS)('runEvents over %s', (transport) => {
  it('sends the same, complete sequence before, during and after the run, and twice at once', async () => {
    const [first, second] = [closedGate(), closedGate()];
    const threadId = await createThread();
    await start({ threadId, assistantId: 'gate', input: { file: first.file } });
    const id = await start({
      threadId,
      assistantId: 'gate',
      input: { file: second.file },
      streamModes: ALL_MODES,
    });
    const follow = () => server.follow(id, { transport });

    const before = [follow(), follow()];
    await until(() => server.app.tail.readers === 2);
    await first.open();
    await until(() => isRunning(id));
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
    expect(ofType(complete, 'UpdatesEvent').map(({ node }) => node)).toEqual([
      'before',
      'hold',
      'after',
    ]);
    expect(server.app.tail.readers).toBe(0);
  });

  it('goes on after any cursor with exactly the rest', async () => {
    const threadId = await createThread();
    await runToEnd({ threadId, assistantId: 'custom', input: {} });
    const id = await runToEnd({
      threadId,
      assistantId: 'custom',
      input: {},
      streamModes: ALL_MODES,
    });
    const events = await server.follow(id, { transport });
    expect(events.length).toBeGreaterThan(10);
    for (const [n, { id: after }] of events.entries()) {
      expect(await server.follow(id, { transport, after })).toEqual(events.slice(n + 1));
    }
  });

  it('goes on after a cursor while the run runs', async () => {
    const gate = closedGate();
    const id = await start({ assistantId: 'gate', input: { file: gate.file } });
    const seen: any[] = [];
    for await (const { runEvents } of server.subscribe(FOLLOW, { runId: id }, transport)) {
      seen.push(runEvents);
      if (runEvents.__typename === 'UpdatesEvent') break;
    }
    const rest = server.follow(id, { transport, after: seen.at(-1).id });
    await until(() => server.app.tail.readers > 0);
    await gate.open();
    expect([...idsOf(seen), ...idsOf(await rest)]).toEqual(idsOf(await server.follow(id)));
  });

  it('sends only the modes that are asked for, live and replayed alike', async () => {
    const gate = closedGate();
    const id = await start({
      assistantId: 'gate',
      input: { file: gate.file },
      streamModes: ALL_MODES,
    });
    const live = server.follow(id, { transport, modes: ['VALUES'] });
    const bare = server.follow(id, { transport, modes: [] });
    await until(() => server.app.tail.readers === 2);
    await gate.open();
    const events = await live;
    expect(new Set(typesOf(events))).toEqual(
      new Set(['RunStartedEvent', 'ValuesEvent', 'RunFinishedEvent']),
    );
    expect(typesOf(await bare)).toEqual(['RunStartedEvent', 'RunFinishedEvent']);
    expect(await server.follow(id, { transport, modes: ['VALUES'] })).toEqual(events);
    const complete = await server.follow(id, { transport });
    expect(events).toEqual(
      complete.filter(({ __typename }) => typesOf(events).includes(__typename)),
    );
  });

  it('replays a stateless run after its thread is gone', async () => {
    const id = await start({
      assistantId: 'parallel',
      input: {},
      streamModes: ['VALUES', 'UPDATES'],
    });
    const live = await server.follow(id, { transport });
    expect(
      (await server.gql(`query ($id: ID!) { run(id: $id) { threadId } }`, { id })).run.threadId,
    ).toBeNull();
    expect(await server.follow(id, { transport })).toEqual(live);
    expect(ofType(live, 'ValuesEvent').at(-1).values.log).toHaveLength(3);
    const after = live[2].id;
    expect(await server.follow(id, { transport, after })).toEqual(live.slice(3));
  });

  it('sends the question of a graph that asks, then INTERRUPTED', async () => {
    const threadId = await createThread();
    const id = await start({
      threadId,
      assistantId: 'ask',
      input: {},
      streamModes: ['UPDATES', 'VALUES'],
    });
    const events = await server.follow(id, { transport });
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
    expect(ofType(events, 'UpdatesEvent').map(({ node }) => node)).toEqual(['before']);
    const { thread } = await server.gql(
      `query ($id: ID!) { thread(id: $id) { status interrupts { id value } } }`,
      { id: threadId },
    );
    expect(thread).toEqual({
      status: 'INTERRUPTED',
      interrupts: [{ id: asked.interrupts[0].id, value: { question: 'Go on?' } }],
    });
  });

  it('tells a failure in the last event', async () => {
    const id = await start({ assistantId: 'fail', input: { fail: true } });
    expect((await server.follow(id, { transport })).at(-1)).toMatchObject({
      __typename: 'RunFinishedEvent',
      status: 'ERROR',
      error: { name: 'CustomError', message: 'Boo!' },
    });
  });

  it.each([
    ['a run that is not there', () => ({ runId: randomId() }), { code: 'NOT_FOUND' }],
    [
      'a run id that is no UUID',
      () => ({ runId: 'x' }),
      { code: 'BAD_USER_INPUT', argument: 'runId' },
    ],
    [
      'a cursor that is none',
      (runId: string) => ({ runId, after: 'x' }),
      { code: 'BAD_USER_INPUT', argument: 'after' },
    ],
    [
      'a cursor of another thread',
      (runId: string, other: string) => ({ runId, after: other }),
      { code: 'BAD_USER_INPUT', argument: 'after' },
    ],
  ])('refuses %s', async (_what, variables, expected) => {
    const id = await runToEnd({ assistantId: 'echo', input: human('x') });
    const other = await server.follow(await runToEnd({ assistantId: 'echo', input: human('y') }));
    expect(await refusalOf(server, variables(id, other[0].id), transport)).toMatchObject(expected);
  });

  it('refuses a mode that there is not', async () => {
    const variables = { runId: randomId(), modes: ['NONE'] };
    // Over SSE, what does not fit the schema is refused before there is a stream.
    const [error] =
      transport === 'sse'
        ? await server.errors(FOLLOW, variables)
        : [{ extensions: await refusalOf(server, variables, transport) }];
    expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' });
  });

  it('does not tell a client what went wrong inside', async () => {
    await using own = await createTestApp();
    const { createRun } = await own.gql(CREATE_RUN, {
      input: { assistantId: 'echo', input: human('x') },
      wait: true,
    });
    await own.app.sql.query('ALTER TABLE "RunEvent" RENAME TO "Elsewhere"');
    expect(await refusalOf(own, { runId: createRun.id }, transport)).toEqual({
      message: 'Unexpected error.',
      code: 'INTERNAL_SERVER_ERROR',
    });
    expect(own.app.tail.readers).toBe(0);
  });
});

/** The one error that a subscription is answered with. */
async function refusalOf(
  app: TestApp,
  variables: Record<string, unknown>,
  transport: Transport,
): Promise<any> {
  try {
    for await (const event of app.subscribe(FOLLOW, variables, transport)) {
      expect.fail(`An event came: ${JSON.stringify(event)}`);
    }
  } catch (error) {
    const [first] = Array.isArray(error) ? error : ((error as any).errors ?? [error]);
    if (!first.extensions) throw error;
    return { message: first.message, ...first.extensions };
  }
  return expect.fail('No error came.');
}

describe('the events of a run', () => {
  it('show with VALUES what LangGraph streams in process', async () => {
    for (const [assistantId, graph] of Object.entries({ steps, parallel })) {
      const streamed = [];
      for await (const values of await graph.stream({ log: ['in'] }, { streamMode: 'values' }))
        streamed.push(values);
      for (const onCompletion of ['KEEP', 'DELETE']) {
        for (const durability of ['SYNC', 'ASYNC', 'EXIT']) {
          const input = {
            assistantId,
            input: { log: ['in'] },
            streamModes: ['VALUES'],
            durability,
            onCompletion,
          };
          const events = ofType(await server.follow(await start(input)), 'ValuesEvent');
          expect(events.map(({ values }) => values)).toEqual(streamed);
        }
      }
    }
  });

  it('show the last state also of a graph that ran out of steps', async () => {
    const config = { recursion_limit: 3 };
    const input = { assistantId: 'steps', input: { log: ['in'] }, config, streamModes: ['VALUES'] };
    const events = ofType(await server.follow(await start(input)), 'ValuesEvent');
    const streamed: unknown[] = [];
    await expect(async () => {
      for await (const values of await steps.stream(
        { log: ['in'] },
        { streamMode: 'values', recursionLimit: 3 },
      )) {
        streamed.push(values);
      }
    }).rejects.toThrow('Recursion limit');
    expect(events.map(({ values }) => values)).toEqual(streamed);
  });

  it('name each of the nodes that ran at once', async () => {
    const events = await server.follow(await start({ assistantId: 'parallel', input: {} }));
    const updates = ofType(events, 'UpdatesEvent').map(({ node, update }) => ({ node, update }));
    expect(updates).toHaveLength(3);
    expect(updates.slice(0, 2)).toEqual(
      expect.arrayContaining(['left', 'right'].map((node) => ({ node, update: { log: [node] } }))),
    );
    expect(updates[2]).toEqual({ node: 'join', update: { log: ['join'] } });
  });

  it('show what a node writes to the stream itself, in order', async () => {
    const events = await server.follow(await start({ assistantId: 'custom', input: {} }));
    expect(ofType(events, 'CustomEvent').map(({ data }) => data)).toEqual([
      { n: 1 },
      { n: 2 },
      { n: 3 },
    ]);
  });

  it('hold only what the run was asked to record', async () => {
    const input = { assistantId: 'custom', input: {}, streamModes: ['CUSTOM'] };
    const types = typesOf(await server.follow(await start(input)));
    expect(types).toEqual(['RunStartedEvent', ...Array(3).fill('CustomEvent'), 'RunFinishedEvent']);
  });

  it('are token by token with MESSAGES: 16 runs of 200 tokens at once lose none', async () => {
    const ids = await Promise.all(
      Array.from({ length: 16 }, () =>
        start({ assistantId: 'tokens', input: human('go'), streamModes: ['MESSAGES'] }),
      ),
    );
    const text = Array.from({ length: 200 }, (_, n) => String.fromCodePoint(97 + (n % 26))).join(
      '',
    );
    const messageIds = new Set();
    for (const events of await Promise.all(ids.map((id) => server.follow(id)))) {
      const tokens = ofType(events, 'MessagesEvent');
      expect(tokens).toHaveLength(200);
      expect(tokens.map(({ message }) => message.text).join('')).toBe(text);
      expect(tokens.every(({ isChunk, message }) => isChunk && message.type === 'AI')).toBe(true);
      expect(tokens[0].metadata).toMatchObject({ langgraph_node: 'llm' });
      const [messageId, ...others] = new Set(tokens.map(({ message }) => message.messageId));
      expect(others).toEqual([]);
      messageIds.add(messageId);
    }
    expect(messageIds.size).toBe(16);
  });

  it('are numbered on over the runs of a thread: a cursor of the first run skips nothing of the second', async () => {
    const threadId = await createThread();
    const first = await server.follow(
      await runToEnd({ threadId, assistantId: 'custom', input: {} }),
    );
    const id = await runToEnd({ threadId, assistantId: 'custom', input: {} });
    const second = await server.follow(id);
    expect(await server.follow(id, { after: first.at(-1).id })).toEqual(second);
    expect(await server.follow(id, { after: second.at(-1).id })).toEqual([]);
  });

  it('all reach a reader that falls far behind', async () => {
    const id = await start({ assistantId: 'flood', input: {} });
    const numbers: number[] = [];
    const socket = new WebSocket(
      `${server.url.replace('http', 'ws')}/graphql`,
      'graphql-transport-ws',
    );
    const completed = new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('close', (code, reason) =>
        reject(new Error(`closed: ${code} ${reason.toString()}`)),
      );
      socket.on('open', () => socket.send(JSON.stringify({ type: 'connection_init' })));
      socket.on('message', (text: Buffer) => {
        const { type, payload } = JSON.parse(text.toString());
        if (type === 'connection_ack') {
          const query = { query: FOLLOW, variables: { runId: id, modes: ['CUSTOM'] } };
          socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: query }));
        } else if (type === 'complete') resolve();
        else if (type === 'next') {
          if (payload.data.runEvents.__typename === 'RunStartedEvent') socket.pause();
          else if (payload.data.runEvents.data) numbers.push(payload.data.runEvents.data.n);
        }
      });
    });
    await until(() => socket.isPaused);
    await server.follow(id, { modes: [] });
    expect(server.app.tail.readers).toBe(1);
    expect(numbers.length).toBeLessThan(150);
    socket.resume();
    await completed;
    expect(numbers).toEqual(Array.from({ length: 150 }, (_, n) => n + 1));
    socket.terminate();
  });
});

describe('a client that leaves while the server waits', () => {
  async function waitingRun() {
    const gate = closedGate();
    const runId = await start({ assistantId: 'gate', input: { file: gate.file } });
    await until(() => isRunning(runId));
    return { gate, runId };
  }

  it('leaves nothing behind when it unsubscribes over its WebSocket, which goes on', async () => {
    const { gate, runId } = await waitingRun();
    const client = createClient({
      url: `${server.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      lazy: false,
    });
    const events = client.iterate({ query: FOLLOW, variables: { runId } });
    await events.next();
    expect(server.app.tail.readers).toBe(1);
    await events.return?.();
    await until(() => server.app.tail.readers === 0);

    const answers = client.iterate({ query: '{ graphs { id } }' });
    expect((await answers.next()).value?.data?.['graphs']).toBeDefined();
    await client.dispose();
    await gate.open();
  });

  it('leaves nothing behind when its WebSocket breaks', async () => {
    const { gate, runId } = await waitingRun();
    const client = createClient({
      url: `${server.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
    });
    const subscriptions = [1, 2, 3].map(() =>
      client.iterate({ query: FOLLOW, variables: { runId } }),
    );
    for (const events of subscriptions) await events.next();
    expect(server.app.tail.readers).toBe(3);
    client.terminate();
    await until(() => server.app.tail.readers === 0);
    await gate.open();
  });

  it('leaves nothing behind when its SSE request breaks', async () => {
    const { gate, runId } = await waitingRun();
    const leaving = new AbortController();
    const response = await fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query: FOLLOW, variables: { runId } }),
      signal: leaving.signal,
    });
    await response.body?.getReader().read();
    await until(() => server.app.tail.readers === 1);
    leaving.abort();
    await until(() => server.app.tail.readers === 0);
    await gate.open();
  });

  it('leaves nothing behind when it waits for the end of a run, and the run goes on', async () => {
    const gate = closedGate();
    const leaving = new AbortController();
    const input = { assistantId: 'gate', input: { file: gate.file }, onCompletion: 'KEEP' };
    const answer = fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: CREATE_RUN, variables: { input, wait: true } }),
      signal: leaving.signal,
    });
    await until(() => server.app.tail.readers === 1);
    leaving.abort();
    await expect(answer).rejects.toThrow('aborted');
    await until(() => server.app.tail.readers === 0);
    await gate.open();
    await until(async () => {
      const { runs } = await server.gql('{ runs(first: 1) { nodes { status } } }');
      return runs.nodes[0].status === 'SUCCESS';
    });
  });

  it('leaves nothing behind when it has read all', async () => {
    const runId = await runToEnd({ assistantId: 'echo', input: human('x') });
    for (const transport of TRANSPORTS) await server.follow(runId, { transport });
    expect(server.app.tail.readers).toBe(0);
  });
});
