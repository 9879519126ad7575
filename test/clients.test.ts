import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net, { type AddressInfo, type Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream';
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import {
  cacheExchange,
  Client as UrqlClient,
  fetchExchange,
  subscriptionExchange,
} from '@urql/core';
import { OperationTypeNode } from 'graphql';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, expectTypeOf, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { RunStatus } from '../src/generated/prisma/enums.ts';
import { ask, RefusedError, type Question, type RunEvent } from './front-end/chat.ts';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  human,
  randomId,
  until,
  type TestApp,
} from './support/app.ts';

const GUIDE = ['README.md', 'docs/api.md', 'docs/front-ends.md']
  .map((page) => readFileSync(path.join(import.meta.dirname, '..', page), 'utf8'))
  .join('\n');

let server: TestApp;
let folder: string;
let possibleTypes: Record<string, string[]>;
beforeAll(async () => {
  // As browsers have it, and Node from 22 on.
  vi.stubGlobal('WebSocket', WebSocket);
  server = await createTestApp();
  possibleTypes = await findPossibleTypes();
  folder = await mkdtemp(path.join(os.tmpdir(), 'threadql-clients-'));
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
  vi.unstubAllGlobals();
});

/** A library that people use, set up as its manual says, but for its own retries: they know of no cursor. */
interface Client extends AsyncDisposable {
  query(document: string, variables?: Variables): Promise<any>;
  mutate(document: string, variables?: Variables): Promise<any>;
  /** Ends with the subscription, or throws what broke it. */
  subscribe(document: string, variables?: Variables): AsyncIterable<any>;
}

type Variables = Record<string, unknown>;

const URQL_OVER_SSE = 'urql over HTTP and SSE';
const CLIENTS: [string, (url: string) => Client][] = [
  ['Apollo Client over HTTP and WebSocket', (url) => createApollo(url).client],
  ['urql over HTTP and WebSocket', (url) => createUrql(url, { overSse: false })],
  [URQL_OVER_SSE, (url) => createUrql(url, { overSse: true })],
  ['graphql-ws', (url) => createPlain(createWsClient({ url: socketUrl(url), retryAttempts: 0 }))],
  ['graphql-sse', (url) => createPlain(createSseClient({ url, retryAttempts: 0 }))],
];

const socketUrl = (url: string) => url.replace('http', 'ws');

/** What Apollo Client wants to know of interfaces, asked for as its manual says. */
async function findPossibleTypes() {
  const { __schema } = await server.gql('{ __schema { types { name possibleTypes { name } } } }');
  const types: { name: string; possibleTypes: { name: string }[] | null }[] = __schema.types;
  const interfaces = types.filter(({ possibleTypes }) => possibleTypes !== null);
  return Object.fromEntries(
    interfaces.map((type) => [type.name, (type.possibleTypes ?? []).map(({ name }) => name)]),
  );
}

function createApollo(url: string) {
  const socket = createWsClient({ url: socketUrl(url), retryAttempts: 0 });
  const apollo = new ApolloClient({
    cache: new InMemoryCache({ possibleTypes }),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(socket),
      new HttpLink({ uri: url }),
    ),
  });
  const client: Client = {
    query: async (document, variables) =>
      (await apollo.query({ query: gql(document), variables })).data,
    mutate: async (document, variables) =>
      (await apollo.mutate({ mutation: gql(document), variables })).data,
    subscribe: (document, variables) =>
      streamOf(({ next, error, complete }) => {
        const results = apollo.subscribe({ query: gql(document), variables });
        const subscription = results.subscribe({
          next: (result) => (result.error ? error(result.error) : next(result.data)),
          error,
          complete,
        });
        return () => subscription.unsubscribe();
      }),
    async [Symbol.asyncDispose]() {
      apollo.stop();
      await socket.dispose();
    },
  };
  return { apollo, client };
}

function createUrql(url: string, { overSse }: { overSse: boolean }): Client {
  const socket = createWsClient({ url: socketUrl(url), retryAttempts: 0 });
  const overSocket = subscriptionExchange({
    forwardSubscription: ({ query = '', variables }) => ({
      subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
    }),
  });
  const urql = new UrqlClient({
    url,
    fetchSubscriptions: overSse,
    exchanges: [cacheExchange, fetchExchange, ...(overSse ? [] : [overSocket])],
  });
  return {
    query: async (document, variables = {}) => dataOf(await urql.query(document, variables)),
    mutate: async (document, variables = {}) => dataOf(await urql.mutation(document, variables)),
    subscribe: (document, variables = {}) =>
      streamOf(({ next, error, complete }) => {
        const results = urql.subscription(document, variables);
        const { unsubscribe } = results.subscribe((result) => {
          if (result.error) error(result.error);
          // The end shows the last result again.
          else if (result.hasNext) next(result.data);
          else complete();
        });
        return unsubscribe;
      }),
    [Symbol.asyncDispose]: async () => socket.dispose(),
  };
}

function dataOf({ data, error }: { data?: any; error?: Error | undefined }): any {
  if (error) throw error;
  return data;
}

type Results = AsyncIterable<{ data?: any; errors?: readonly { message: string }[] }>;

function createPlain(plain: {
  iterate(payload: { query: string; variables?: Variables }): Results;
  dispose(): void | Promise<void>;
}): Client {
  async function* subscribe(query: string, variables?: Variables) {
    for await (const { data, errors } of plain.iterate({ query, variables })) {
      if (errors) throw Object.assign(new Error(errors[0]?.message), { errors });
      yield data;
    }
  }
  async function request(query: string, variables?: Variables) {
    const answer = collect(subscribe(query, variables));
    await answer.ended;
    expect(answer.seen).toHaveLength(1);
    return answer.seen[0];
  }
  return {
    query: request,
    mutate: request,
    subscribe,
    [Symbol.asyncDispose]: async () => plain.dispose(),
  };
}

interface Sink {
  next(value: unknown): void;
  error(error: unknown): void;
  complete(): void;
}

function streamOf(subscribe: (sink: Sink) => () => void): AsyncIterable<any> {
  let unsubscribe: () => void;
  let over = false;
  return new ReadableStream({
    start: (controller) => {
      const end = (how: () => void) => {
        if (!over) how();
        over = true;
      };
      unsubscribe = subscribe({
        next: (value) => over || controller.enqueue(value),
        error: (error) => end(() => controller.error(error)),
        complete: () => end(() => controller.close()),
      });
    },
    cancel: () => {
      over = true;
      unsubscribe();
    },
  });
}

/** The code of what a client threw, wherever its library puts what the server said. */
async function codeOf(request: Promise<unknown>): Promise<string> {
  const error: any = await request.then(
    () => expect.fail('Nothing was refused.'),
    (thrown: unknown) => thrown,
  );
  return (error.errors ?? error.graphQLErrors ?? error)[0]?.extensions?.code;
}

/** Reads on by itself; gives what has come so far, and how it ended. */
function collect<T>(events: AsyncIterable<T>) {
  const seen: T[] = [];
  const ended = (async () => {
    for await (const event of events) seen.push(event);
  })();
  // It may break before anybody looks.
  ended.catch(() => {});
  return { seen, ended };
}

/** A way to the server that breaks on demand; while it is broken, nobody gets through. */
async function openWay() {
  const near = new Set<Socket>();
  const way = { url: '', turnedAway: 0, cut, cutBefore, mend, [Symbol.asyncDispose]: close };
  let broken = false;
  let fateful: string | undefined;
  const proxy = net.createServer((socket) => {
    if (broken) {
      way.turnedAway += 1;
      socket.destroy();
      return;
    }
    near.add(socket);
    const far = net.connect(Number(new URL(server.url).port), '127.0.0.1');
    pipeline(socket, far, heed, socket, () => near.delete(socket));
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  way.url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/graphql`;

  /** Passes on what the server says, up to the answer that is never to arrive. */
  async function* heed(chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      if (fateful !== undefined && chunk.includes(fateful)) cut();
      if (!broken) yield chunk;
    }
  }
  function cutBefore(text: string) {
    fateful = text;
  }
  function cut() {
    broken = true;
    fateful = undefined;
    for (const socket of near) socket.destroy();
  }
  function mend() {
    broken = false;
  }
  async function close() {
    cut();
    proxy.close();
    await once(proxy, 'close');
  }
  return way;
}

/** What the runs of graph `halves` wait for. */
function closedGate() {
  const file = path.join(folder, randomId());
  return { file, open: () => writeFile(file, '') };
}

const readers = (count: number) => until(() => server.app.tail.readers === count);

const idsOf = (events: { id: string }[]): string[] => events.map(({ id }) => id);

/** What an answer shows that is written piece by piece. */
const textOf = (events: any[]): string =>
  events.map(({ isChunk, message }) => (isChunk ? message.text : '')).join('');

const FIRST_HALF = 'one two three ';
const WHOLE = `${FIRST_HALF}four five six `;

const FOLLOW = `subscription Follow($runId: ID!, $after: ID) {
  runEvents(runId: $runId, after: $after) {
    __typename
    id
    ... on MessagesEvent { isChunk message { messageId text toolCalls { name } } }
    ... on UpdatesEvent { node update }
    ... on RunFinishedEvent { status error { message } run { id status output } }
  }
}`;

const SHOW_THREAD = `query Show($id: ID!) {
  thread(id: $id) { id status metadata messages { messageId type text } }
}`;

describe.each(CLIENTS)('%s', (_name, connect) => {
  it('writes, and reads what was written', async () => {
    await using client = connect(`${server.url}/graphql`);
    const metadata = { who: 'Ada 🙂', nested: { list: [1, null, 'two'] } };
    const { createThread: thread } = await client.mutate(CREATE_THREAD, { input: { metadata } });
    const { createRun: run } = await client.mutate(CREATE_RUN, {
      input: { threadId: thread.id, assistantId: 'echo', input: human('hello') },
      wait: true,
    });
    expect(run).toMatchObject({ status: 'SUCCESS', threadId: thread.id });
    expect(await client.query(SHOW_THREAD, { id: thread.id })).toMatchObject({
      thread: {
        status: 'IDLE',
        metadata,
        messages: [
          { type: 'HUMAN', text: 'hello' },
          { type: 'AI', text: 'echo: hello' },
        ],
      },
    });
  });

  it('learns why it is refused', async () => {
    await using client = connect(`${server.url}/graphql`);
    const id = randomId();
    const follow = (document: string, variables?: Variables) =>
      collect(client.subscribe(document, variables)).ended;

    const input = { threadId: id, assistantId: 'echo' };
    expect(await codeOf(client.mutate(CREATE_RUN, { input }))).toBe('NOT_FOUND');
    expect(await codeOf(client.query('query None { nothing }'))).toBe('BAD_USER_INPUT');
    expect(await codeOf(follow(FOLLOW, { runId: id }))).toBe('NOT_FOUND');
    expect(await codeOf(follow('subscription None { nothing }'))).toBe('BAD_USER_INPUT');
  });

  it('follows a run as it is written, until the subscription completes', async () => {
    await using client = connect(`${server.url}/graphql`);
    const gate = closedGate();
    const input = { assistantId: 'halves', input: { file: gate.file } };
    const { createRun: run } = await client.mutate(CREATE_RUN, { input });
    const follow = collect(client.subscribe(FOLLOW, { runId: run.id }));
    const events = () => follow.seen.map(({ runEvents }) => runEvents);

    await until(() => textOf(events()) === FIRST_HALF);
    await gate.open();
    await follow.ended;

    expect(textOf(events())).toBe(WHOLE);
    expect(idsOf(events())).toEqual(idsOf(await server.follow(run.id)));
    expect(events().at(-1)).toMatchObject({ status: 'SUCCESS', error: null, run: { id: run.id } });
  });

  it('comes back with its cursor after its connection broke, and has each event once', async () => {
    await using way = await openWay();
    await using client = connect(way.url);
    const gate = closedGate();
    const input = { assistantId: 'halves', input: { file: gate.file } };
    const { createRun: run } = await client.mutate(CREATE_RUN, { input });

    const first = collect(client.subscribe(FOLLOW, { runId: run.id }));
    const before = () => first.seen.map(({ runEvents }) => runEvents);
    await until(() => textOf(before()) === FIRST_HALF);
    way.cut();
    expect(await codeOf(first.ended)).toBeUndefined();
    await readers(0);
    way.mend();

    const rest = collect(client.subscribe(FOLLOW, { runId: run.id, after: before().at(-1).id }));
    await readers(1);
    await gate.open();
    await rest.ended;

    const events = [...before(), ...rest.seen.map(({ runEvents }) => runEvents)];
    expect(textOf(events)).toBe(WHOLE);
    expect(idsOf(events)).toEqual(idsOf(await server.follow(run.id)));
  });
});

// urql's own way out of a stream is a rejection that nobody handles, in Node.
const LEAVING = CLIENTS.filter(([name]) => name !== URQL_OVER_SSE);

it.each(LEAVING)('%s leaves a run, which goes on', async (_name, connect) => {
  await using client = connect(`${server.url}/graphql`);
  const gate = closedGate();
  const input = { assistantId: 'halves', input: { file: gate.file } };
  const { createRun: run } = await client.mutate(CREATE_RUN, { input });
  for await (const { runEvents } of client.subscribe(FOLLOW, { runId: run.id })) {
    if (runEvents.__typename === 'MessagesEvent') break;
  }
  await readers(0);
  await gate.open();
  expect((await server.follow(run.id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
});

describe('Apollo Client', () => {
  const queries = blocks('graphql').filter((block) => block.startsWith('query {'));

  it.each(queries)('asks what the guide asks, with __typename everywhere: %s', async (query) => {
    await using client = createApollo(`${server.url}/graphql`).client;
    await expect(client.query(query)).resolves.toBeDefined();
  });

  it('may ask for __typename where the answer is as large as it may be', async () => {
    await using client = createApollo(`${server.url}/graphql`).client;
    // 1 + 99 × (2 + 100 × 5) fields, of 50,000.
    const answer = await client.query(`query {
      threads(first: 99) {
        nodes { history(first: 100) { nodes { checkpointId step source createdAt } } }
      }
    }`);
    expect(answer.threads.nodes[0].history.nodes[0].__typename).toBe('Checkpoint');
  });

  it('sees the thread that a mutation changed in its cache', async () => {
    const { apollo, client } = createApollo(`${server.url}/graphql`);
    await using _ = client;
    const { createThread: thread } = await client.mutate(CREATE_THREAD, {});
    const show = { query: gql(SHOW_THREAD), variables: { id: thread.id } };
    await apollo.query(show);

    const input = { metadata: { topic: 'caches' } };
    await client.mutate(
      `mutation ($id: ID!, $input: UpdateThreadInput!) {
        updateThread(id: $id, input: $input) { id metadata }
      }`,
      { id: thread.id, input },
    );

    expect(apollo.readQuery<any>(show).thread.metadata).toEqual({ topic: 'caches' });
  });

  it('sees the end of a run that it follows in its cache', async () => {
    const { apollo, client } = createApollo(`${server.url}/graphql`);
    await using _ = client;
    const gate = closedGate();
    const input = { assistantId: 'halves', input: { file: gate.file } };
    const { createRun: run } = await client.mutate(CREATE_RUN, { input });
    const show = {
      query: gql('query ($id: ID!) { run(id: $id) { id status } }'),
      variables: { id: run.id },
    };
    await apollo.query(show);
    expect(apollo.readQuery<any>(show).run.status).not.toBe('SUCCESS');

    await gate.open();
    await collect(client.subscribe(FOLLOW, { runId: run.id })).ended;

    expect(apollo.readQuery<any>(show).run.status).toBe('SUCCESS');
  });

  it('does not take a copy for the thread that it is a copy of', async () => {
    const { apollo, client } = createApollo(`${server.url}/graphql`);
    await using _ = client;
    const { createThread: thread } = await client.mutate(CREATE_THREAD, {});
    const input = { threadId: thread.id, assistantId: 'echo', input: human('hello') };
    await client.mutate(CREATE_RUN, { input, wait: true });
    const { copyThread: copy } = await client.mutate(
      'mutation ($id: ID!) { copyThread(id: $id) { id } }',
      { id: thread.id },
    );
    const show = (id: string) => ({
      query: gql(`query ($id: ID!) {
        thread(id: $id) { id history { nodes { checkpointId threadId } } }
      }`),
      variables: { id },
    });
    for (const { id } of [thread, copy]) await apollo.query(show(id));

    const [original, copied] = [thread, copy].map(
      ({ id }) => apollo.readQuery<any>(show(id)).thread.history.nodes,
    );
    expect(checkpointsOf(copied)).toEqual(checkpointsOf(original));
    expect(threadsOf(original)).toEqual(new Set([thread.id]));
    expect(threadsOf(copied)).toEqual(new Set([copy.id]));
  });
});

const checkpointsOf = (states: any[]): string[] => states.map(({ checkpointId }) => checkpointId);
const threadsOf = (states: any[]): Set<string> => new Set(states.map(({ threadId }) => threadId));

/** The code blocks of a language in the README and in docs/. */
function blocks(language: string): string[] {
  const found = GUIDE.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'));
  return Array.from(found, ([, code]) => code ?? '');
}

// `npm run check` fails where these are not the schema's.
expectTypeOf<Question>().toEqualTypeOf<{
  threadId: string;
  assistantId: string;
  input: unknown;
}>();
expectTypeOf<
  Extract<RunEvent, { __typename: 'RunFinishedEvent' }>['status']
>().toEqualTypeOf<RunStatus>();
expectTypeOf<
  Extract<RunEvent, { __typename: 'MessagesEvent' }>['message']['text']
>().toEqualTypeOf<string>();

describe("The guide's chat", () => {
  it('is the one that is tested here', () => {
    const file = path.join(import.meta.dirname, 'front-end/chat.ts');
    expect(blocks('ts')).toEqual([readFileSync(file, 'utf8')]);
  });

  it('shows an answer as it is written, on a thread that goes on', async () => {
    const threadId = randomId();
    const url = socketUrl(`${server.url}/graphql`);
    for (const text of ['Hello!', 'And again.']) {
      const question = { threadId, assistantId: 'agent', input: human(text) };
      const { seen, ended } = collect(ask(url, question));
      await ended;

      expect(seen[0]).toMatchObject({ __typename: 'RunStartedEvent' });
      expect(seen.at(-1)).toMatchObject({ __typename: 'RunFinishedEvent', status: 'SUCCESS' });
      const { thread } = await server.gql(SHOW_THREAD, { id: threadId });
      expect(thread.messages.at(-2).text).toBe(text);
      expect(textOf(seen)).toBe(thread.messages.at(-1).text);
    }
    const { thread } = await server.gql(SHOW_THREAD, { id: threadId });
    expect(thread.messages).toHaveLength(4);
  });

  it('goes on where it was when its connection breaks, again and again, while the run runs', async () => {
    await using way = await openWay();
    const { answer, gate, find } = askHalves(way.url);
    await until(() => textOf(answer.seen) === FIRST_HALF);

    for (let broken = 0; broken < 2; broken++) {
      way.cut();
      await readers(0);
      way.mend();
      await readers(1);
    }
    await gate.open();
    await answer.ended;

    expect(textOf(answer.seen)).toBe(WHOLE);
    expect(idsOf(answer.seen)).toEqual(idsOf(await eventsOf(await find())));
  });

  it('gets what it missed when it could not come back before the run had ended', async () => {
    await using way = await openWay();
    const { answer, gate, find, findEnded } = askHalves(way.url);
    await until(() => textOf(answer.seen) === FIRST_HALF);

    way.cut();
    await gate.open();
    await findEnded();
    await until(() => way.turnedAway > 0);
    expect(textOf(answer.seen)).toBe(FIRST_HALF);
    way.mend();
    await answer.ended;

    expect(textOf(answer.seen)).toBe(WHOLE);
    expect(idsOf(answer.seen)).toEqual(idsOf(await eventsOf(await find())));
  });

  it('asks once, though it never heard that its question had arrived', async () => {
    await using way = await openWay();
    way.cutBefore('"createRun"');
    const { answer, gate, find } = askHalves(way.url);
    await until(() => way.turnedAway > 0);
    const run = await find();
    way.mend();
    await gate.open();
    await answer.ended;

    expect(textOf(answer.seen)).toBe(WHOLE);
    expect(idsOf(answer.seen)).toEqual(idsOf(await eventsOf(run)));
    expect(await find()).toMatchObject({ id: run.id });
  });

  it.each([
    [
      'is told of the gap when its run was deleted before it came back',
      'mutation ($id: ID!) { deleteRun(id: $id) }',
    ],
    [
      'is told of the gap when its thread was deleted before it came back',
      'mutation ($threadId: ID!) { deleteThread(id: $threadId) }',
    ],
  ])('%s', async (_what, remove) => {
    await using way = await openWay();
    const { answer, gate, threadId, findEnded } = askHalves(way.url);
    await until(() => textOf(answer.seen) === FIRST_HALF);
    const before = answer.seen.length;

    way.cut();
    await gate.open();
    const { id } = await findEnded();
    await server.gql(remove, { id, threadId });
    way.mend();
    await answer.ended;

    expect(answer.seen.slice(before)).toMatchObject([
      { __typename: 'StreamGapEvent' },
      { __typename: 'RunFinishedEvent', status: 'SUCCESS' },
    ]);
  });

  it('gives up, and says why, when nothing is left of its run', async () => {
    await using way = await openWay();
    const { answer, gate, findEnded } = askHalves(way.url);
    await until(() => textOf(answer.seen) === FIRST_HALF);

    way.cut();
    await gate.open();
    const { id } = await findEnded();
    await server.app.db.run.delete({ where: { id } });
    way.mend();

    await expect(answer.ended).rejects.toThrow(new RefusedError(`Run ${id} does not exist.`));
  });

  it.each([
    ['an assistant that is not there', { assistantId: randomId() }, /does not exist/],
    ['a thread id that is no UUID', { threadId: 'x' }, /UUID/],
  ])('is told why it may not ask %s', async (_what, wrong, reason) => {
    const question = { threadId: randomId(), assistantId: 'echo', input: human('hello'), ...wrong };
    const { seen, ended } = collect(ask(socketUrl(`${server.url}/graphql`), question));
    await expect(ended).rejects.toThrow(reason);
    await expect(ended).rejects.toBeInstanceOf(RefusedError);
    expect(seen).toEqual([]);
  });
});

/** Asks graph `halves`, which says the second half when its gate is open. */
function askHalves(url: string) {
  const gate = closedGate();
  const threadId = randomId();
  const question = { threadId, assistantId: 'halves', input: { file: gate.file } };
  const find = async () => {
    const { runs } = await server.gql(
      'query ($threadId: ID!) { runs(filter: { threadId: $threadId }) { nodes { id status } } }',
      { threadId },
    );
    expect(runs.nodes).toHaveLength(1);
    return runs.nodes[0];
  };
  const findEnded = () =>
    until(async () => {
      const run = await find();
      return run.status === 'SUCCESS' && run;
    });
  const answer = collect(ask(socketUrl(url), question));
  return { answer, gate, threadId, find, findEnded };
}

function eventsOf({ id }: { id: string }): Promise<any[]> {
  return server.follow(id, { modes: ['MESSAGES'] });
}
