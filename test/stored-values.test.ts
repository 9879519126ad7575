import path from 'node:path';
import { describe, expect } from 'vitest';
import { randomId, type Transport } from './support/app.ts';
import type { Client, RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation, valuesOf } from './support/graphql.ts';

const graphsFile = path.join(import.meta.dirname, 'support/value-graphs.json');
it.override('settings', { graphsFile });

const RUN = operation(`mutation ($input: CreateRunInput!) {
  createRun(input: $input, wait: true) {
    threadId status error { name message } interrupts { value } thread { values }
  }
}`);

async function run(client: Client, input: RunInput) {
  const onNewThread = { threadId: randomId(), ifThreadMissing: 'CREATE' as const };
  const { createRun } = await client.gql(RUN, { input: { ...onNewThread, ...input } });
  return {
    ...createRun,
    threadId: createRun.threadId ?? '',
    thread: { values: valuesOf(createRun.thread?.values) },
  };
}

/** Stores the value of a recipe. Returns 'same' or the reason of a failure, and the value in the view of clients. */
async function store(client: Client, recipe: string): Promise<{ is: unknown; shown: unknown }> {
  const made = await run(client, { assistantId: 'keep', input: { recipe } });
  if (made.status === 'ERROR') return { is: made.error?.message, shown: undefined };
  expect(made.status).toBe('INTERRUPTED');
  const { threadId } = made;
  const { status, thread } = await run(client, {
    assistantId: 'keep',
    threadId,
    command: { resume: [{ value: 1 }] },
  });
  expect(status).toBe('SUCCESS');
  return { is: thread.values.isSame ? 'same' : 'another', shown: thread.values.value };
}

const REFUSED = /^The value of channel "value" cannot be stored: it holds [^.]+\.$/;

describe('Equal elements of lists', () => {
  it('are objects of their own: a change of one leaves the others, in its channel and in others', async ({
    client,
  }) => {
    const { threadId } = await run(client, { assistantId: 'board', input: {} });
    const { thread } = await run(client, { assistantId: 'board', input: {}, threadId });
    const [empty, played] = [[{ cell: '' }], [{ cell: 'X' }]];
    expect(thread.values).toEqual({
      board: [played, empty, empty],
      copy: [empty, empty],
      seen: [empty, empty],
    });
    const { thread: shown } = await client.gql(
      operation(
        `query ($id: ID!) { thread(id: $id) { values history(first: 20) { nodes { values } } } }`,
      ),
      { id: threadId },
    );
    expect(shown?.values).toEqual(thread.values);
    const boards = (shown?.history.nodes ?? []).map(({ values }) => valuesOf(values)['board']);
    expect(boards.slice(0, 2)).toEqual([thread.values['board'], thread.values['board']]);
    expect(boards.slice(2, 6)).toEqual(Array.from({ length: 4 }, () => [empty, empty, empty]));
  });
});

describe('A value that a node returns', () => {
  it.for<[string, unknown]>([
    ['buffer', 'AQID'],
    ['bytes', 'YWJj'],
    ['view', 'AQI='],
    ['floats', [0.5, -1.5, null]],
    ['integers', [String(2n ** 60n), '-1']],
    ['url', 'https://example.org/a?b=c'],
    ['search', 'a=1&a=2'],
    ['typeError', { name: 'TypeError', message: 'no' }],
    ['aggregate', { name: 'AggregateError', message: 'many' }],
    ['aborted', { name: 'AbortError', message: 'stopped' }],
  ])('comes back as it was, and is shown as JSON: %s', async ([recipe, shown], { client }) => {
    expect(await store(client, recipe)).toEqual({ is: 'same', shown });
  });

  it('comes back as its nearest where LangGraph has no other: a hole as undefined, an error of an own class', async ({
    client,
  }) => {
    expect(await store(client, 'sparse')).toMatchObject({ shown: [1, null, 3] });
    expect(await store(client, 'named')).toMatchObject({
      shown: { name: 'OwnError', message: 'own' },
    });
  });

  it.for<[string, string]>([
    ['blob', 'Blob'],
    ['file', 'File'],
    ['headers', 'Headers'],
    ['form', 'FormData'],
    ['response', 'Response'],
    ['weak', 'WeakRef'],
    ['shared', 'SharedArrayBuffer'],
    ['stream', 'ReadableStream'],
    ['generator', 'Generator'],
    ['iterator', 'Map Iterator'],
    ['format', 'NumberFormat'],
    ['boxed', 'Number'],
    ['math', 'Math'],
    ['event', 'Event'],
    ['secret', 'Secret'],
    ['within', 'Blob'],
  ])(
    'fails its run where its properties do not hold its content: %s',
    async ([recipe, name], { client }) => {
      const { is } = await store(client, recipe);
      expect(is).toMatch(REFUSED);
      expect(is).toMatch(new RegExp(`an? ${name}, with content outside of its properties`));
    },
  );

  it(
    'comes back as it was, or fails its run: whatever JavaScript and Node.js have a class for',
    { timeout: 120_000 },
    async ({ client }) => {
      const names = Object.getOwnPropertyNames(globalThis);
      const recipes = names.filter((name) => /^[A-Z]/.test(name)).map((name) => `global ${name}`);
      expect(recipes.length).toBeGreaterThan(60);
      const lost: unknown[] = [];
      for (const recipe of recipes) {
        const { is } = await store(client, recipe);
        if (is !== 'same' && !REFUSED.test(String(is))) lost.push({ recipe, is });
      }
      expect(lost).toEqual([]);
    },
  );

  it(
    'comes back as it was, whatever it is made of that can be stored',
    { timeout: 120_000 },
    async ({ client }) => {
      for (let seed = 1; seed <= 12; seed++) {
        expect({ seed, ...(await store(client, `seed ${seed}`)) }).toMatchObject({
          seed,
          is: 'same',
        });
      }
    },
  );
});

describe('A value that nests deep', () => {
  it('is stored and shown up to 1,000 levels', async ({ client }) => {
    const { is, shown } = await store(client, 'deep 1000');
    expect(is).toBe('same');
    expect(JSON.stringify(shown)).toContain('innermost');
  });

  it.for([1001, 5000])(
    'fails its run beyond that, with a sentence: %i levels',
    async (levels, { client }) => {
      const { is } = await store(client, `deep ${levels}`);
      expect(is).toBe(
        'The value of channel "value" cannot be stored: it holds values that nest deeper than 1,000 levels.',
      );
    },
  );

  const EVENTS = operation(`subscription ($id: ID!) { runEvents(runId: $id) {
    __typename
    ... on CustomEvent { data }
    ... on MessagesEvent { message { content } }
    ... on UpdatesEvent { update }
    ... on TasksEvent { data }
  } }`);
  const STREAM_MODES = ['VALUES', 'UPDATES', 'MESSAGES', 'CUSTOM', 'TASKS', 'CHECKPOINTS'] as const;

  /** Returns the events of a run with a value, and whether each event shows a deeper level. */
  async function tell(client: Client, way: string, recipe: string, transport: Transport) {
    const { createRun } = await client.gql(
      operation(
        `mutation ($input: CreateRunInput!) { createRun(input: $input, wait: true) { id status error { message } } }`,
      ),
      { input: { assistantId: 'tell', input: { way, recipe }, streamModes: [...STREAM_MODES] } },
    );
    const cut: string[] = [];
    for await (const { runEvents: event } of client.subscribe(
      EVENTS,
      { id: createRun.id },
      transport,
    )) {
      if (JSON.stringify(event).includes('"[Nested deeper than 1,100 levels]"'))
        cut.push(event.__typename);
    }
    return { ...createRun, cut };
  }

  it.for<[string, string, Transport]>([
    ['writer', 'CustomEvent', 'websocket'],
    ['writer', 'CustomEvent', 'sse'],
    ['message', 'MessagesEvent', 'websocket'],
    ['message', 'MessagesEvent', 'sse'],
  ])(
    'is told to 1,100 levels, and the run goes on: by a %s, as a %s, over %s',
    async ([way, event, transport], { client }) => {
      for (const levels of [1000, 1101, 5000, 100_000]) {
        const told = await tell(client, way, `deep ${levels}`, transport);
        const cut = levels > 1000 ? [event] : [];
        expect({ levels, ...told }).toMatchObject({ status: 'SUCCESS', error: null, cut });
      }
    },
  );

  it.for<Transport>(['websocket', 'sse'])(
    'is told to 1,100 levels before its run fails, as what a node wrote: over %s',
    async (transport, { client }) => {
      for (const levels of [1101, 5000, 100_000]) {
        const { status, cut } = await tell(client, 'update', `deep ${levels}`, transport);
        expect({ levels, status, cut }).toEqual({
          levels,
          status: 'ERROR',
          cut: ['UpdatesEvent', 'TasksEvent'],
        });
      }
    },
  );
});
