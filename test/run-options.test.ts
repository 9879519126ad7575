import { describe, expect } from 'vitest';
import { human, randomId } from './support/app.ts';
import {
  CREATE_RUN,
  nodesOf,
  type Client,
  type CreatedRun,
  type RunInput,
} from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { contentsOf, operation, valuesOf } from './support/graphql.ts';
import { ALL_MODES } from './support/stream-events.ts';

/** Counts all threads and runs. */
async function count(client: Client) {
  const { threads, runs } = await client.gql(
    operation(`{ threads { totalCount } runs { totalCount } }`),
  );
  return { threads: threads.totalCount, runs: runs.totalCount };
}

/** Reads the thread left by a stateless run. */
const threadOf = (client: Client, { threadId }: CreatedRun) =>
  client.getThread(threadId ?? expect.fail('The run has left no thread.'));

const names = (length: number) => Array.from({ length }, (_, n) => `step${n + 1}`);

describe('a stateless run with onCompletion KEEP', () => {
  const keep = { onCompletion: 'KEEP' as const };

  it('leaves its thread as any other, with its state, its run and its history', async ({
    client,
  }) => {
    const run = await client.runToEnd({ assistantId: 'echo', input: human('hello'), ...keep });
    const thread = await threadOf(client, run);
    expect(thread).toMatchObject({
      status: 'IDLE',
      metadata: { graph_id: 'echo' },
      runs: { nodes: [{ id: run.id, status: 'SUCCESS' }] },
    });
    expect(thread.values).toEqual(run.output);
    const steps = thread.history.nodes.map(({ step }) => step);
    expect(steps).toEqual([1, 0, -1]);
  });

  it('leaves it also when it fails', async ({ client }) => {
    const run = await client.runToEnd({ assistantId: 'fail', input: { fail: true }, ...keep });
    expect(await threadOf(client, run)).toMatchObject({
      status: 'ERROR',
      error: { name: 'CustomError' },
      values: { log: ['a'] },
    });
  });

  it('leaves it also when it asks a person; with DELETE there is nobody left to ask', async ({
    client,
  }) => {
    const kept = await client.runToEnd({ assistantId: 'ask', input: {}, ...keep });
    expect(kept.status).toBe('INTERRUPTED');
    expect(await threadOf(client, kept)).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [{ value: { question: 'Go on?' } }],
    });
    const gone = await client.runToEnd({ assistantId: 'ask', input: {}, onCompletion: 'DELETE' });
    expect(gone).toMatchObject({
      status: 'INTERRUPTED',
      threadId: null,
      output: { log: ['before'] },
    });
  });

  it('says nothing of a thread that was there before: that stays with DELETE', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const run = await client.runToEnd({
      threadId,
      assistantId: 'echo',
      input: human('hello'),
      onCompletion: 'DELETE',
    });
    expect((await client.getThread(threadId)).values).toEqual(run.output);
  });
});

it("a stateless run's thread takes no other run, which would go with it", async ({ client }) => {
  const gate = createGate();
  const { id, threadId } = await client.startRun({
    assistantId: 'gate',
    input: { file: gate.file },
  });
  for (const options of [
    {},
    { ifThreadMissing: 'CREATE' },
    { afterSeconds: 60 },
    { multitaskStrategy: 'INTERRUPT' },
  ]) {
    const other = { threadId, assistantId: 'echo', input: human('x'), ...options };
    expect(await client.refusal(other)).toMatchObject({ code: 'CONFLICT' });
  }
  await gate.open();
  expect((await client.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
});

describe('ifThreadMissing', () => {
  const run = (threadId: string, ifThreadMissing?: 'REJECT' | 'CREATE') => ({
    threadId,
    assistantId: 'echo',
    input: human('hello'),
    ...(ifThreadMissing && { ifThreadMissing }),
  });

  it.for([undefined, 'REJECT'] as const)(
    '%s refuses a thread that is not there',
    async (policy, { client }) => {
      const [threadId, before] = [randomId(), await count(client)];
      expect(await client.refusal(run(threadId, policy))).toMatchObject({ code: 'NOT_FOUND' });
      expect(await client.findThread(threadId)).toBeNull();
      expect(await count(client)).toEqual(before);
    },
  );

  it('CREATE makes the thread with its id, once, and it stays', async ({ client }) => {
    const threadId = randomId();
    const first = await client.runToEnd(run(threadId, 'CREATE'));
    expect(first).toMatchObject({ status: 'SUCCESS', threadId });
    const second = await client.runToEnd(run(threadId.toUpperCase(), 'CREATE'));
    expect(second).toMatchObject({ status: 'SUCCESS', threadId });
    expect(await client.getThread(threadId)).toMatchObject({
      status: 'IDLE',
      runs: { nodes: [{ id: second.id }, { id: first.id }] },
    });
    expect(second.output.messages).toHaveLength(4);
  });

  it('CREATE makes one thread for 20 runs that ask for it at once', async ({ client }) => {
    const threadId = randomId();
    const runs = await Promise.all(
      Array.from({ length: 20 }, () => client.runToEnd(run(threadId, 'CREATE'))),
    );
    expect(runs.map(({ status }) => status)).toEqual(Array(20).fill('SUCCESS'));
    const thread = await client.getThread(threadId);
    expect(thread.runs.totalCount).toBe(20);
    expect(thread.values.messages).toHaveLength(40);
  });

  it('CREATE takes no id that something else has, and none that is no UUID', async ({ client }) => {
    const other = await client.runToEnd({ assistantId: 'echo', input: human('x') });
    const { assistant } = await client.gql(operation(`{ assistant(id: "echo") { id } }`));
    const before = await count(client);
    for (const taken of [other.id, assistant?.id ?? '']) {
      expect(await client.refusal(run(taken, 'CREATE'))).toMatchObject({ code: 'CONFLICT' });
    }
    expect(await client.refusal(run('new', 'CREATE'))).toEqual({
      code: 'BAD_USER_INPUT',
      argument: 'input.threadId',
    });
    expect(await count(client)).toEqual(before);
  });

  it('CREATE makes it anew while it is being deleted, or finds it before', async ({ client }) => {
    for (let round = 0; round < 12; round++) {
      const threadId = randomId();
      const slow = { threadId, assistantId: 'slow', input: { ms: 20_000 } };
      const first = await client.startRun({ ...slow, ifThreadMissing: 'CREATE' });
      await client.untilRunning(first.id);
      expect(first.threadId).toBe(threadId);
      const [deleted, ...created] = await Promise.all([
        client.request(operation(`mutation ($id: ID!) { deleteThread(id: $id) }`), {
          id: threadId,
        }),
        ...(['ENQUEUE', 'INTERRUPT', 'ROLLBACK'] as const).map((multitaskStrategy) =>
          client.request(CREATE_RUN, { input: { ...run(threadId, 'CREATE'), multitaskStrategy } }),
        ),
      ]);
      expect([deleted, ...created].flatMap(({ errors }) => errors ?? [])).toEqual([]);
    }
  });

  it('CREATE makes no thread for a run that is refused', async ({ client }) => {
    const threadId = randomId();
    const bad = { ...run(threadId, 'CREATE'), assistantId: 'strict', input: { count: 'one' } };
    expect(await client.refusal(bad)).toMatchObject({ code: 'BAD_USER_INPUT' });
    expect(await client.findThread(threadId)).toBeNull();
  });
});

describe('interruptBefore and interruptAfter', () => {
  const steps = { assistantId: 'steps', input: { log: [] } };

  it.for<[string, Partial<RunInput>]>([
    ['before', { interruptBefore: ['step3'] }],
    ['after', { interruptAfter: ['step2'] }],
    ['both', { interruptBefore: ['step3'], interruptAfter: ['step2'] }],
    ['of several', { interruptBefore: ['step3', 'step7'] }],
    ['every durability', { interruptBefore: ['step3'], durability: 'EXIT' }],
  ])(
    'stop the run there, asking nothing; a run without input goes on: %s',
    async ([_what, stop], { client }) => {
      const threadId = await client.createThread();
      const run = await client.runToEnd({ ...steps, threadId, ...stop });
      expect(run).toMatchObject({ status: 'INTERRUPTED', error: null, output: { log: names(2) } });
      expect(await client.getThread(threadId)).toMatchObject({
        status: 'INTERRUPTED',
        interrupts: [],
        state: { next: ['step3'] },
        values: { log: names(2) },
      });
      const events = await client.follow(run.id);
      expect(nodesOf(events)).toEqual(names(2));
      expect(events.map(({ __typename }) => __typename)).not.toContain('InterruptEvent');
      expect(events.at(-1)).toMatchObject({ status: 'INTERRUPTED' });

      const next = await client.runToEnd({ threadId, assistantId: 'steps' });
      expect(next).toMatchObject({ status: 'SUCCESS', output: { log: names(10) } });
      expect(nodesOf(await client.follow(next.id))).toEqual(names(10).slice(2));
      expect(await client.getThread(threadId)).toMatchObject({
        status: 'IDLE',
        state: { next: [] },
      });
    },
  );

  it.for(['interruptBefore', 'interruptAfter'] as const)(
    '%s ["*"] stops at every node, run by run',
    async (option, { client }) => {
      const threadId = await client.createThread();
      const stop = { [option]: ['*'] };
      const seen: unknown[] = [];
      let run = await client.runToEnd({ threadId, assistantId: 'nested', input: {}, ...stop });
      while (run.status === 'INTERRUPTED') {
        const { status, state } = await client.getThread(threadId);
        expect(status).toBe('INTERRUPTED');
        seen.push([nodesOf(await client.follow(run.id)), state?.next]);
        run = await client.runToEnd({ threadId, assistantId: 'nested', ...stop });
      }
      expect(run.status).toBe('SUCCESS');
      const stopsBefore = [
        [[], ['outer']],
        [['outer'], ['inner']],
        [['inner'], ['last']],
      ];
      expect(seen).toEqual(option === 'interruptBefore' ? stopsBefore : stopsBefore.slice(1));
      expect(nodesOf(await client.follow(run.id))).toEqual(['last']);
    },
  );

  it('stop before a node that runs beside another, and then run both', async ({ client }) => {
    const threadId = await client.createThread();
    const run = await client.runToEnd({
      threadId,
      assistantId: 'parallel',
      input: {},
      interruptBefore: ['left'],
    });
    expect(run).toMatchObject({ status: 'INTERRUPTED', output: { log: [] } });
    expect((await client.getThread(threadId)).state?.next.toSorted()).toEqual(['left', 'right']);
    const next = await client.runToEnd({ threadId, assistantId: 'parallel' });
    expect(next).toMatchObject({ status: 'SUCCESS', output: { log: ['left', 'right', 'join'] } });
  });

  it('let a run end that nothing comes after', async ({ client }) => {
    const run = await client.runToEnd({
      assistantId: 'echo',
      input: human('x'),
      interruptAfter: ['echo'],
    });
    expect(run.status).toBe('SUCCESS');
  });

  it('are of their run alone: the next one does not stop there', async ({ client }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ ...steps, threadId, interruptBefore: ['*'] });
    const next = await client.runToEnd({ ...steps, threadId });
    expect(next).toMatchObject({ status: 'SUCCESS', output: { log: names(10) } });
  });

  it.for(['SYNC', 'ASYNC', 'EXIT'] as const)(
    'let the run that goes on show its states as well, under %s',
    async (durability, { client }) => {
      const threadId = await client.createThread();
      const options = { threadId, assistantId: 'steps', streamModes: ALL_MODES, durability };
      await client.runToEnd({ ...options, input: { log: [] }, interruptBefore: ['step9'] });
      const { id } = await client.runToEnd(options);
      const events = await client.follow(id);
      const states = events.filter((event) => event.__typename === 'ValuesEvent');
      expect(states.map(({ values }) => valuesOf(values).log.length)).toEqual([8, 9, 10]);
      expect(events.at(-1)).toMatchObject({ status: 'SUCCESS' });
    },
  );

  it('know the nodes of a graph that its function makes of the configuration', async ({
    client,
  }) => {
    const made = { assistantId: 'factory', input: {}, config: { configurable: { node: 'own' } } };
    const run = await client.runToEnd({ ...made, interruptBefore: ['own'] });
    expect(run.status).toBe('INTERRUPTED');
    expect(await client.refusal({ ...made, interruptBefore: ['made'] })).toMatchObject({
      argument: 'input.interruptBefore',
    });
  });

  it.for<[string, string[]]>([
    ['interruptBefore', ['step1', 'nowhere']],
    ['interruptAfter', ['nowhere']],
    ['interruptAfter', ['__start__']],
    ['interruptBefore', ['*', 'nowhere']],
  ])('refuse a node that there is not: %s %j', async ([option, nodes], { client }) => {
    const before = await count(client);
    expect(await client.refusal({ ...steps, [option]: nodes })).toEqual({
      code: 'BAD_USER_INPUT',
      argument: `input.${option}`,
    });
    expect(await count(client)).toEqual(before);
  });
});

describe('createRuns', () => {
  const CREATE_RUNS = operation(`mutation ($inputs: [CreateRunInput!]!) {
    createRuns(inputs: $inputs) { id status threadId assistant { graphId } input }
  }`);

  const createRuns = async (client: Client, inputs: RunInput[]) =>
    (await client.gql(CREATE_RUNS, { inputs })).createRuns;

  async function refusalOf(client: Client, inputs: unknown[]) {
    const [error] = await client.errors(CREATE_RUNS, { inputs });
    return error?.extensions;
  }

  it('starts several runs, and gives them in their order', async ({ client }) => {
    const threadIds = [await client.createThread(), await client.createThread()]
      .toSorted()
      .toReversed();
    const inputs = [
      { threadId: threadIds[0], assistantId: 'echo', input: human('one') },
      { threadId: threadIds[1], assistantId: 'chat', input: human('two') },
      { assistantId: 'steps', input: { log: [] } },
      { threadId: threadIds[0], assistantId: 'echo', input: human('three') },
    ];
    const runs = await createRuns(client, inputs);
    expect(runs.map(({ assistant, input }) => [assistant.graphId, input])).toEqual(
      inputs.map(({ assistantId, input }) => [assistantId, input]),
    );
    for (const { id } of runs) {
      expect((await client.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
    }
    const { values, runs: own } = await client.getThread(String(threadIds[0]));
    expect(contentsOf(values)).toEqual(['one', 'echo: one', 'three', 'echo: three']);
    expect(own.nodes.map(({ id }) => id)).toEqual([runs[3]?.id, runs[0]?.id]);
  });

  it('takes up to 100, and not none', async ({ client }) => {
    const many = (length: number) =>
      Array.from({ length }, () => ({ assistantId: 'echo', input: human('x') }));
    const runs = await createRuns(client, many(100));
    expect(new Set(runs.map(({ id }) => id)).size).toBe(100);
    for (const { id } of runs) {
      expect((await client.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
    }
    const before = await count(client);
    for (const length of [0, 101]) {
      expect(await refusalOf(client, many(length))).toEqual({
        code: 'BAD_USER_INPUT',
        argument: 'inputs',
      });
    }
    expect(await count(client)).toEqual(before);
  });

  const missing = randomId();
  it.for<[object, object]>([
    [{ threadId: missing }, { code: 'NOT_FOUND' }],
    [{ threadId: 'x' }, { code: 'BAD_USER_INPUT', argument: 'inputs[1].threadId' }],
    [{ assistantId: missing }, { code: 'NOT_FOUND' }],
    [
      { assistantId: 'strict', input: { count: 'one' } },
      { code: 'BAD_USER_INPUT', argument: 'inputs[1].input' },
    ],
    [
      { config: { recursion_limit: 0 } },
      { code: 'BAD_USER_INPUT', argument: 'inputs[1].config.recursion_limit' },
    ],
    [
      { interruptAfter: ['nowhere'] },
      { code: 'BAD_USER_INPUT', argument: 'inputs[1].interruptAfter' },
    ],
  ])('starts none where one is refused: %j', async ([wrong, expected], { client }) => {
    const threadId = await client.createThread();
    const [created, before] = [randomId(), await count(client)];
    const good = { threadId, assistantId: 'echo', input: human('x') };
    const inputs = [
      { ...good, threadId: created, ifThreadMissing: 'CREATE' },
      { ...good, ...wrong },
      good,
    ];
    expect(await refusalOf(client, inputs)).toMatchObject(expected);
    expect(await client.findThread(created)).toBeNull();
    expect(await client.getThread(threadId)).toMatchObject({
      status: 'IDLE',
      runs: { totalCount: 0 },
    });
    expect(await count(client)).toEqual(before);
  });

  it('counts the runs before it in the list: the second REJECT on a thread makes it busy', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const run = {
      threadId,
      assistantId: 'echo',
      input: human('x'),
      multitaskStrategy: 'REJECT' as const,
    };
    expect(await refusalOf(client, [run, run])).toEqual({ code: 'THREAD_BUSY' });
    expect(await client.getThread(threadId)).toMatchObject({
      status: 'IDLE',
      runs: { totalCount: 0 },
    });
    const [created] = await createRuns(client, [run]);
    expect((await client.follow(created?.id ?? '')).at(-1)).toMatchObject({ status: 'SUCCESS' });
  });

  it('does not lock itself out with single runs that make the same threads', async ({ client }) => {
    const threadIds = [await client.createThread(), await client.createThread()];
    const [one, two] = threadIds.map((threadId) => ({
      threadId,
      ifThreadMissing: 'CREATE',
      assistantId: 'echo',
      input: human('x'),
      afterSeconds: 3600,
    }));
    const requests = Array.from({ length: 10 }, () => [
      client.request(CREATE_RUNS, { inputs: [one, two] }),
      client.request(CREATE_RUN, { input: one }),
      client.request(CREATE_RUN, { input: two }),
    ]);
    const answers = await Promise.all(requests.flat());
    expect(answers.flatMap(({ errors }) => errors ?? [])).toEqual([]);
  });

  it('does not lock itself out with others that name the same threads in another order', async ({
    client,
  }) => {
    const threadIds = await Promise.all(Array.from({ length: 4 }, () => client.createThread()));
    const listOf = (ids: string[]) =>
      ids.map((threadId) => ({ threadId, assistantId: 'echo', input: human('x') }));
    const lists = await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        createRuns(client, listOf(n % 2 ? threadIds : threadIds.toReversed())),
      ),
    );
    for (const { id } of lists.flat()) {
      expect((await client.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
    }
  });
});
