import { parse } from 'graphql';
import { afterAll, beforeAll, describe, expect, vi } from 'vitest';
import { WebSocket } from 'ws';
import { human, randomId, until } from './support/app.ts';
import {
  createApollo,
  LEAVING_LIBRARIES,
  LIBRARIES,
  type Library,
} from './support/client-libraries.ts';
import { CREATE_RUN, CREATE_THREAD, type RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { openFragileProxy } from './support/fragile-proxy.ts';
import { createGate } from './support/gates.ts';
import { idsOf, operation } from './support/graphql.ts';
import { codeBlocks } from './support/guide.ts';
import { collect, FIRST_HALF, textOf, untilReaders, WHOLE } from './support/streams.ts';

// Browsers have this global, and Node from version 22.
beforeAll(() => void vi.stubGlobal('WebSocket', WebSocket));
afterAll(() => void vi.unstubAllGlobals());

const FOLLOW = operation(`subscription Follow($runId: ID!, $after: ID) {
  runEvents(runId: $runId, after: $after) {
    __typename
    id
    ... on MessagesEvent { isChunk message { messageId text toolCalls { name } } }
    ... on UpdatesEvent { node update }
    ... on RunFinishedEvent { status error { message } run { id status output } }
  }
}`);
const SHOW_THREAD = operation(`query Show($id: ID!) {
  thread(id: $id) { id status metadata messages { messageId type text } }
}`);

const endpointOf = ({ url }: { url: string }) => `${url}/graphql`;

async function createThread(library: Library, metadata: Record<string, unknown> = {}) {
  return (await library.mutate(CREATE_THREAD, { input: { metadata } })).createThread;
}

async function createRun(library: Library, input: RunInput, wait = false) {
  return (await library.mutate(CREATE_RUN, { input, wait })).createRun;
}

/** Starts a run of graph `halves`. It streams its second half after its gate opens. */
async function startHalves(library: Library) {
  const gate = createGate();
  const input = { assistantId: 'halves', input: { file: gate.file } };
  return { gate, runId: (await createRun(library, input)).id };
}

/** Follows a run in the background. */
function follow(library: Library, variables: { runId: string; after?: string | undefined }) {
  const { seen, ended } = collect(library.subscribe(FOLLOW, variables));
  return { events: () => seen.map(({ runEvents }) => runEvents), ended };
}

/** Returns the code of a refusal. Each library has another place for the errors of the server. */
async function codeOf(request: Promise<unknown>): Promise<unknown> {
  type Errors = { extensions?: { code?: string } }[];
  const error = await request.then(
    () => expect.fail('Nothing was refused.'),
    (thrown: Errors & { errors?: Errors; graphQLErrors?: Errors }) => thrown,
  );
  return (error.errors ?? error.graphQLErrors ?? error)[0]?.extensions?.code;
}

describe.each(LIBRARIES)('%s', (_name, connect) => {
  it('writes, and reads what was written', async ({ client }) => {
    await using library = await connect(endpointOf(client));
    const metadata = { who: 'Ada 🙂', nested: { list: [1, null, 'two'] } };
    const thread = await createThread(library, metadata);
    const input = { threadId: thread.id, assistantId: 'echo', input: human('hello') };
    const run = await createRun(library, input, true);
    expect(run).toMatchObject({ status: 'SUCCESS', threadId: thread.id });
    expect(await library.query(SHOW_THREAD, { id: thread.id })).toMatchObject({
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

  it('learns why it is refused', async ({ client }) => {
    await using library = await connect(endpointOf(client));
    const id = randomId();
    const input = { threadId: id, assistantId: 'echo' };
    expect(await codeOf(library.mutate(CREATE_RUN, { input }))).toBe('NOT_FOUND');
    expect(await codeOf(library.query(parse('query None { nothing }')))).toBe('BAD_USER_INPUT');
    expect(await codeOf(follow(library, { runId: id }).ended)).toBe('NOT_FOUND');
    const unknown = library.subscribe(parse('subscription None { nothing }'));
    expect(await codeOf(collect(unknown).ended)).toBe('BAD_USER_INPUT');
  });

  it('follows a run as it is written, until the subscription completes', async ({ client }) => {
    await using library = await connect(endpointOf(client));
    const { gate, runId } = await startHalves(library);
    const { events, ended } = follow(library, { runId });

    await until(() => textOf(events()) === FIRST_HALF);
    await gate.open();
    await ended;

    expect(textOf(events())).toBe(WHOLE);
    expect(idsOf(events())).toEqual(idsOf(await client.follow(runId)));
    expect(events().at(-1)).toMatchObject({ status: 'SUCCESS', error: null, run: { id: runId } });
  });

  it('comes back with its cursor after its connection broke, and has each event once', async ({
    client,
    server,
  }) => {
    await using proxy = await openFragileProxy(client.url);
    await using library = await connect(proxy.url);
    const { gate, runId } = await startHalves(library);

    const first = follow(library, { runId });
    await until(() => textOf(first.events()) === FIRST_HALF);
    proxy.cut();
    expect(await codeOf(first.ended)).toBeUndefined();
    await untilReaders(server, 0);
    proxy.mend();

    const rest = follow(library, { runId, after: first.events().at(-1)?.id });
    await untilReaders(server, 1);
    await gate.open();
    await rest.ended;

    const events = [...first.events(), ...rest.events()];
    expect(textOf(events)).toBe(WHOLE);
    expect(idsOf(events)).toEqual(idsOf(await client.follow(runId)));
  });
});

it.for(LEAVING_LIBRARIES)(
  '%s leaves a run, which goes on',
  async ([_name, connect], { client, server }) => {
    await using library = await connect(endpointOf(client));
    const { gate, runId } = await startHalves(library);
    for await (const { runEvents } of library.subscribe(FOLLOW, { runId })) {
      if (runEvents.__typename === 'MessagesEvent') break;
    }
    await untilReaders(server, 0);
    await gate.open();
    expect((await client.follow(runId)).at(-1)).toMatchObject({ status: 'SUCCESS' });
  },
);

describe('Apollo Client', () => {
  const queries = codeBlocks('graphql').filter((block) => block.startsWith('query {'));

  it.for(queries)(
    'asks what the guide asks, with __typename everywhere: %s',
    async (query, { client }) => {
      const { library } = await createApollo(endpointOf(client));
      await using _ = library;
      await expect(library.query(parse(query))).resolves.toBeDefined();
    },
  );

  it('may ask for __typename where the answer is as large as it may be', async ({ client }) => {
    const { library } = await createApollo(endpointOf(client));
    await using _ = library;
    // 1 + 99 × (2 + 100 × 5) fields, of 50,000.
    const { threads } = await library.query(
      operation(`query {
        threads(first: 99) {
          nodes { history(first: 100) { nodes { checkpointId step source createdAt } } }
        }
      }`),
    );
    const [checkpoint] = threads.nodes[0]?.history.nodes ?? [];
    expect(checkpoint).toMatchObject({ __typename: 'Checkpoint' });
  });

  it('sees the thread that a mutation changed in its cache', async ({ client }) => {
    const { apollo, library } = await createApollo(endpointOf(client));
    await using _ = library;
    const { id } = await createThread(library);
    const show = { query: SHOW_THREAD, variables: { id } };
    await apollo.query(show);

    const input = { metadata: { topic: 'caches' } };
    await library.mutate(
      operation(`mutation ($id: ID!, $input: UpdateThreadInput!) {
        updateThread(id: $id, input: $input) { id metadata }
      }`),
      { id, input },
    );

    expect(apollo.readQuery(show)?.thread?.metadata).toEqual({ topic: 'caches' });
  });

  it('sees the end of a run that it follows in its cache', async ({ client }) => {
    const { apollo, library } = await createApollo(endpointOf(client));
    await using _ = library;
    const { gate, runId } = await startHalves(library);
    const query = operation(`query ($id: ID!) { run(id: $id) { id status } }`);
    const show = { query, variables: { id: runId } };
    await apollo.query(show);
    const cachedStatus = () => apollo.readQuery(show)?.run?.status;
    expect(cachedStatus()).not.toBe('SUCCESS');

    await gate.open();
    await follow(library, { runId }).ended;

    expect(cachedStatus()).toBe('SUCCESS');
  });

  it('does not take a copy for the thread that it is a copy of', async ({ client }) => {
    const { apollo, library } = await createApollo(endpointOf(client));
    await using _ = library;
    const thread = await createThread(library);
    const input = { threadId: thread.id, assistantId: 'echo', input: human('hello') };
    await createRun(library, input, true);
    const { copyThread: copy } = await library.mutate(
      operation(`mutation ($id: ID!) { copyThread(id: $id) { id } }`),
      { id: thread.id },
    );
    const HISTORY = operation(`query ($id: ID!) {
      thread(id: $id) { id history { nodes { checkpointId threadId } } }
    }`);
    for (const { id } of [thread, copy]) await apollo.query({ query: HISTORY, variables: { id } });

    const cached = (id: string) =>
      apollo.readQuery({ query: HISTORY, variables: { id } })?.thread?.history.nodes ?? [];
    const [original, copied] = [cached(thread.id), cached(copy.id)];
    expect(original.length).toBeGreaterThan(0);
    expect(copied.map(({ checkpointId }) => checkpointId)).toEqual(
      original.map(({ checkpointId }) => checkpointId),
    );
    expect(new Set(original.map(({ threadId }) => threadId))).toEqual(new Set([thread.id]));
    expect(new Set(copied.map(({ threadId }) => threadId))).toEqual(new Set([copy.id]));
  });
});
