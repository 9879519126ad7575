import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { request } from 'node:http';
import type { Socket } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isLarger } from '../src/graphql/answer-size.ts';
import { CREATE_RUN, CREATE_THREAD, createTestApp, until, type TestApp } from './support/app.ts';
import { openSocket } from './support/refusals.ts';
import { watchStateLoads, type StateLoads } from './support/state-loads.ts';
import { intercept } from './support/queries.ts';

const MINUTE = 60_000;

/** Makes a thread with several states. Each adds a number of bytes to the state before it. */
async function createThread(app: TestApp, states: number, bytes: number): Promise<string> {
  const log = ['x'.repeat(bytes)];
  const supersteps = Array.from({ length: states }, () => ({
    updates: [{ values: { log }, asNode: 'step1' }],
  }));
  const made = await app.gql(CREATE_THREAD, { input: { graphId: 'steps', supersteps } });
  return made.createThread.id;
}

/** A history in a history: a statement loads states for each node of the outer history. */
const nested = (size: number) =>
  `history(first: ${size}) { nodes { thread { history(first: ${size}) { nodes { values } } } } }`;

/** Watches the next connection to a server. Resolves when the server has closed it. */
function whenClosed(): { closed(): Promise<unknown> } {
  const first = new Promise<Socket>((resolve) => {
    const onSocket = (message: unknown): void => {
      unsubscribe('net.server.socket', onSocket);
      resolve((message as { socket: Socket }).socket);
    };
    subscribe('net.server.socket', onSocket);
  });
  return { closed: async () => until(async () => (await first).closed) };
}

/** Sends a document. Returns a function with which the client leaves; it resolves when the server knows it. */
type Transport = (app: TestApp, query: string) => Promise<() => Promise<void>>;

const overHttp =
  (accept: string): Transport =>
  async (app, query) => {
    const { closed } = whenClosed();
    const headers = { 'content-type': 'application/json', accept };
    const asked = request(`${app.url}/graphql`, { method: 'POST', headers, agent: false });
    asked.on('error', () => {});
    asked.end(JSON.stringify({ query }));
    return async () => {
      asked.destroy();
      await closed();
    };
  };

const LEAVE: [string, Transport][] = [
  ['closes its HTTP connection', overHttp('application/json')],
  ['closes its event stream', overHttp('text/event-stream')],
  [
    'closes its WebSocket',
    async (app, query) => {
      const { closed } = whenClosed();
      const { socket, send } = await openSocket(app);
      send({ id: '1', type: 'subscribe', payload: { query } });
      return async () => {
        socket.close();
        await closed();
      };
    },
  ],
  [
    'completes its operation on a WebSocket',
    async (app, query) => {
      const { socket, send } = await openSocket(app);
      send({ id: '1', type: 'subscribe', payload: { query } });
      return async () => {
        send({ id: '1', type: 'complete' });
        // The server answers after it has read all earlier messages.
        socket.ping();
        await once(socket, 'pong');
        socket.terminate();
      };
    },
  ],
];

describe('An operation', () => {
  let app: TestApp;
  let loads: StateLoads;
  let id: string;
  beforeAll(async () => {
    app = await createTestApp();
    loads = watchStateLoads(app);
    id = await createThread(app, 20, 100);
  });
  afterAll(() => app.stop());
  beforeEach(() => {
    loads.count = 0;
  });

  const QUERY = () => `{ thread(id: "${id}") { ${nested(20)} } }`;
  const EVENT = () => `subscription { threadChanged(ids: ["${id}"]) { ${nested(20)} } }`;

  it.each([
    ...LEAVE.map(([how, send]) => [`${how} in a query`, send, QUERY] as const),
    ...LEAVE.slice(1).map(([how, send]) => [`${how} in an event`, send, EVENT] as const),
  ])(
    'loads no more states after its client %s',
    { timeout: 2 * MINUTE },
    async (_how, send, document) => {
      const held = loads.hold();
      const leave = await send(app, document());
      const { release } = await held;
      await leave();
      release();
      // This query takes as long as the remaining work of the first.
      await app.gql(QUERY());
      expect(loads.count).toBe(1 + 20);
    },
  );

  it('goes on for those who wait for the same event when one of them leaves', async () => {
    const query = `subscription { threadChanged(ids: ["${id}"]) { metadata ${nested(3)} } }`;
    using leaving = await openSocket(app);
    using staying = await openSocket(app);
    for (const { send, receive } of [leaving, staying]) {
      send({ id: '1', type: 'subscribe', payload: { query } });
      await receive();
    }
    loads.count = 0;
    const held = loads.hold();
    const update = `mutation { updateThread(id: "${id}", input: { metadata: { by: "all" } }) { id } }`;
    await app.gql(update);
    const { release } = await held;
    leaving.send({ id: '1', type: 'complete' });
    leaving.socket.ping();
    await once(leaving.socket, 'pong');
    release();
    const { payload } = await staying.receive();
    expect(payload.errors).toBeUndefined();
    expect(payload.data.threadChanged.metadata).toMatchObject({ by: 'all' });
    expect(payload.data.threadChanged.history.nodes).toHaveLength(3);
    expect(loads.count).toBe(3);
  });

  it('carries out no further mutation after its client has left, and ends the one that it has begun', async () => {
    const wait = `createRun(wait: true, input: { assistantId: "gate", threadId: "${id}", input: { file: "/nonexistent" } }) { id }`;
    const update = `updateThread(id: "${id}", input: { metadata: { changed: true } }) { id }`;
    const [, send] = LEAVE[0] ?? [];
    const leave = await send?.(app, `mutation { ${wait} ${update} }`);
    const READ = `{ thread(id: "${id}") { metadata runs { nodes { id status } } } }`;
    const [run] = await until(async () => {
      const { nodes } = (await app.gql(READ)).thread.runs;
      return nodes.length > 0 && nodes;
    });
    await leave?.();
    await app.gql(`mutation { cancelRun(id: "${run.id}", wait: true) { id } }`);
    const { thread } = await app.gql(READ);
    expect(thread.runs.nodes).toEqual([{ id: run.id, status: 'CANCELLED' }]);
    expect(thread.metadata).not.toHaveProperty('changed');
  });
});

describe('OPERATION_SECONDS', () => {
  let app: TestApp;
  let loads: StateLoads;
  let id: string;
  beforeAll(async () => {
    app = await createTestApp({ operationSeconds: 3 });
    loads = watchStateLoads(app);
    id = await createThread(app, 3, 10);
  });
  afterAll(() => app.stop());
  beforeEach(() => {
    loads.count = 0;
  });

  const TOO_LONG = {
    message: 'The operation took longer than 3 s. OPERATION_SECONDS sets the limit.',
    extensions: { code: 'OPERATION_TIMEOUT' },
  };
  const SHORT = () => app.gql(`{ thread(id: "${id}") { values } }`);

  it('ends a query that takes longer, and its work', async () => {
    const held = loads.hold();
    const query = `{ thread(id: "${id}") { ${nested(3)} } }`;
    const { data, errors } = await app.request(query);
    expect(data).toBeNull();
    expect(errors).toMatchObject([TOO_LONG]);
    (await held).release();
    await SHORT();
    expect(loads.count).toBe(2);
  });

  it('is for each event of a subscription', async () => {
    using socket = await openSocket(app);
    const query = `subscription { threadChanged(ids: ["${id}"]) { values } }`;
    const held = loads.hold();
    socket.send({ id: '1', type: 'subscribe', payload: { query } });
    expect((await socket.receive()).payload).toMatchObject({ data: null, errors: [TOO_LONG] });
    (await held).release();
    await app.gql(`mutation { updateThread(id: "${id}", input: { metadata: { a: 1 } }) { id } }`);
    const { payload } = await socket.receive();
    expect(payload.errors).toBeUndefined();
    expect(payload.data.threadChanged.values.log).toHaveLength(3);
  });

  it('does not count the time in which it waits for a run', async () => {
    const input = { assistantId: 'slow', input: { ms: 4000 } };
    const { createRun: run } = await app.gql(CREATE_RUN, { input, wait: true });
    expect(run).toMatchObject({ status: 'SUCCESS', output: { log: ['waited 4000'] } });
  });
});

describe('ANSWER_LIMIT_BYTES', () => {
  const LIMIT = 100_000;
  let app: TestApp;
  let loads: StateLoads;
  let id: string;
  beforeAll(async () => {
    app = await createTestApp({ answerLimitBytes: LIMIT });
    loads = watchStateLoads(app);
    // The last state has 30,000 bytes; all states have 165,000. Tasks wrote 27,000, and metadata has the 30,000 of the edits.
    id = await createThread(app, 10, 3000);
  });
  afterAll(() => app.stop());
  beforeEach(() => {
    loads.count = 0;
  });

  const ofThread = (fields: string) => `{ thread(id: "${id}") { ${fields} } }`;
  const TOO_LARGE = {
    message: expect.stringMatching(/ANSWER_LIMIT_BYTES sets the limit\.$/),
    extensions: { code: 'ANSWER_TOO_LARGE' },
  };

  it('refuses a page of states by their stored sizes, before their values are read', async () => {
    const { data, errors } = await app.request(ofThread('history { nodes { values } }'));
    expect(data).toBeNull();
    expect(errors).toMatchObject([TOO_LARGE]);
    const bytes = Number(/reads (\d+) stored bytes/.exec(String(errors?.[0]?.message))?.[1]);
    expect(bytes).toBeGreaterThan(192_000);
    expect(bytes).toBeLessThan(230_000);
    expect(loads).toMatchObject({ count: 1, kinds: ['size'] });
  });

  it('adds the states of one operation up, whatever reads them', async () => {
    const { history } = (await app.gql(ofThread('history(first: 4) { nodes { checkpointId } }')))
      .thread;
    const states = history.nodes.map(
      ({ checkpointId }: { checkpointId: string }, n: number) =>
        `s${n}: state(checkpointId: "${checkpointId}") { values }`,
    );
    const { thread } = await app.gql(ofThread(states.slice(0, 3).join(' ')));
    expect(thread.s2.values.log).toHaveLength(8);
    expect(await app.errors(ofThread(states.join(' ')))).toMatchObject([TOO_LARGE]);
    const { copyThread: copy } = await app.gql(`mutation { copyThread(id: "${id}") { id } }`);
    const runs = Array.from(
      { length: 4 },
      (_, n) => `r${n}: createRun(wait: true,
      input: { assistantId: "steps", threadId: "${copy.id}", input: {} }) { output }`,
    );
    expect(await app.errors(`mutation { ${runs.join(' ')} }`)).toMatchObject([TOO_LARGE]);
  });

  it('counts what is shown by several aliases for each of them, and loads it once', async () => {
    const aliases = (count: number) => Array.from({ length: count }, (_, n) => `v${n}: values`);
    const { thread } = await app.gql(ofThread(aliases(3).join(' ')));
    expect(thread.v2.log).toHaveLength(10);
    expect(loads.count).toBe(1);
    expect(await app.errors(ofThread(aliases(4).join(' ')))).toMatchObject([TOO_LARGE]);
    expect(loads.count).toBe(2);
  });

  it('loads the states of a list once for all aliases with the same arguments', async () => {
    const small = await createThread(app, 2, 100);
    const pages = Array.from(
      { length: 3 },
      (_, n) => `h${n}: history(first: 1) { nodes { a: values values b: next } }`,
    );
    loads.count = 0;
    const fields = `${pages.join(' ')} state { values }`;
    const { thread } = await app.gql(`{ thread(id: "${small}") { ${fields} } }`);
    expect(thread.h2).toEqual(thread.h0);
    expect(thread.h0.nodes[0].values).toEqual(thread.state.values);
    expect(loads.count).toBe(2);
  });

  it('counts what is no state', async () => {
    const input = { log: ['y'.repeat(30_000)] };
    const create = () => app.gql(CREATE_RUN, { input: { assistantId: 'steps', input } });
    const made = await create();
    const read = (fields: string) => `{ run(id: "${made.createRun.id}") { ${fields} } }`;
    expect((await app.gql(read('input'))).run.input).toEqual(input);
    const aliases = Array.from({ length: 4 }, (_, n) => `i${n}: input`).join(' ');
    expect(await app.errors(read(aliases))).toMatchObject([TOO_LARGE]);
  });

  it('counts the rows of a list, without what is not selected', async () => {
    const input = { log: ['y'.repeat(30_000)] };
    for (let made = 0; made < 4; made++)
      await app.gql(CREATE_RUN, { input: { assistantId: 'steps', input }, wait: true });
    const list = (fields: string) => `{ runs(first: 4) { nodes { ${fields} } } }`;
    expect(await app.errors(list('input'))).toMatchObject([TOO_LARGE]);
    const pages = `a: runs(first: 3) { nodes { id } } b: runs(first: 2) { nodes { input } }`;
    expect(await app.errors(`{ ${pages} }`)).toMatchObject([TOO_LARGE]);
    expect((await app.gql(list('id status'))).runs.nodes).toHaveLength(4);
    const two = await app.gql(
      '{ runs(first: 2) { nodes { ...Large } } } fragment Large on Run { input }',
    );
    expect(two.runs.nodes).toEqual([{ input }, { input }]);
  });

  it.each(['websocket', 'sse'] as const)('is for each event of a subscription: %s', async (by) => {
    const aliases = Array.from({ length: 4 }, (_, n) => `v${n}: values`).join(' ');
    const follow = (fields: string) =>
      app.subscribe(
        `subscription ($id: ID!) { threadChanged(ids: [$id]) { ${fields} } }`,
        { id },
        by,
      );
    const first = await follow('values').next();
    expect(first.value.threadChanged.values.log.length).toBeGreaterThanOrEqual(10);
    const failed = await follow(aliases)
      .next()
      .catch((error: { errors: unknown }) => error.errors);
    expect(failed).toMatchObject([TOO_LARGE]);
  });

  it('measures JSON as it will be written', async () => {
    await fc.assert(
      fc.asyncProperty(fc.json({ stringUnit: 'binary' }), fc.jsonValue(), async (text, value) => {
        const long = `${'x'.repeat(16_000)}${'😀"\ud800'.repeat(1000)}${text}`;
        for (const json of [JSON.parse(text), value, { [long]: [long, long] }]) {
          const bytes = Buffer.byteLength(JSON.stringify(json));
          expect(await isLarger(json, bytes)).toBe(false);
          expect(await isLarger(json, bytes - 1)).toBe(true);
        }
      }),
    );
  });
});

describe('Operations that read more than a megabyte', () => {
  let app: TestApp;
  let large: string;
  let small: string;
  beforeAll(async () => {
    app = await createTestApp({ bodyLimitBytes: 4_194_304 });
    large = await createThread(app, 1, 1_500_000);
    small = await createThread(app, 1, 100);
  });
  afterAll(() => app.stop());

  const VALUES = 'query ($id: ID!) { thread(id: $id) { values } }';

  it('are three at a time, and others are answered meanwhile', { timeout: 120_000 }, async () => {
    const { query } = app.app.sql;
    const held: (() => void)[] = [];
    app.app.sql.query = intercept(query, async ({ text, values: params }, send) => {
      const isLarge = text.includes('FROM "ChannelValue"') && Number(params.at(-1)) > 1_048_576;
      if (isLarge) await new Promise<void>((release) => held.push(release));
      return send();
    });
    const leaving = new AbortController();
    const ask = (signal?: AbortSignal) =>
      fetch(`${app.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query: VALUES, variables: { id: large } }),
        ...(signal && { signal }),
      }).then((response): Promise<any> => response.json());
    const answers = Array.from({ length: 5 }, () => ask());
    await until(() => held.length === 3);
    const left = ask(leaving.signal).catch(({ name }: Error) => name);
    expect((await app.gql(VALUES, { id: small })).thread.values.log).toHaveLength(1);
    leaving.abort();
    expect(await left).toBe('AbortError');
    expect(held).toHaveLength(3);
    held.splice(0).forEach((release) => release());
    await until(() => held.length === 2);
    held.splice(0).forEach((release) => release());
    for (const { data } of await Promise.all(answers))
      expect(data.thread.values.log[0]).toHaveLength(1_500_000);
    expect(held).toEqual([]);
    app.app.sql.query = query;
    expect((await app.gql(VALUES, { id: large })).thread.values.log).toHaveLength(1);
  });
});
