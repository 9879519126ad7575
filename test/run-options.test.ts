import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  human,
  randomId,
  until,
  type TestApp,
} from './support/app.ts';

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

const ALL_MODES = ['VALUES', 'UPDATES', 'MESSAGES', 'CUSTOM', 'TASKS', 'CHECKPOINTS'];

async function createThread(): Promise<string> {
  return (await server.gql(CREATE_THREAD)).createThread.id;
}

async function runToEnd(input: Record<string, unknown>): Promise<any> {
  return (await server.gql(CREATE_RUN, { input, wait: true })).createRun;
}

async function refusal(input: Record<string, unknown>): Promise<any> {
  const [error] = await server.errors(CREATE_RUN, { input });
  return error?.extensions;
}

const FIND_THREAD = `query ($id: ID!) { thread(id: $id) {
  id status values metadata error { name } interrupts { value } state { next }
  runs { totalCount nodes { id status } }
} }`;

async function findThread(id: string): Promise<any> {
  return (await server.gql(FIND_THREAD, { id })).thread;
}

/** How many threads and runs there are. */
async function count(): Promise<unknown> {
  const { threads, runs } = await server.gql(`{ threads { totalCount } runs { totalCount } }`);
  return { threads: threads.totalCount, runs: runs.totalCount };
}

const CREATE_ASSISTANT = `mutation ($input: CreateAssistantInput!) { createAssistant(input: $input) { id } }`;

/** What the runs of graph `gate` wait for. */
function closedGate() {
  const file = path.join(folder, randomId());
  return { file, open: () => writeFile(file, '') };
}

const nodesOf = (events: any[]): string[] => events.flatMap(({ node }) => node ?? []);
const names = (count_: number) => Array.from({ length: count_ }, (_, n) => `step${n + 1}`);

describe('a stateless run with onCompletion KEEP', () => {
  const keep = { onCompletion: 'KEEP' };

  it('leaves its thread as any other, with its state, its run and its history', async () => {
    const run = await runToEnd({ assistantId: 'echo', input: human('hello'), ...keep });
    const thread = await findThread(run.threadId);
    expect(thread).toMatchObject({
      status: 'IDLE',
      metadata: { graph_id: 'echo' },
      runs: { nodes: [{ id: run.id, status: 'SUCCESS' }] },
    });
    expect(thread.values).toEqual(run.output);
    const { threads } = await server.gql(
      `query ($ids: [ID!]) { threads(filter: { ids: $ids }) {
      nodes { history { nodes { step } } }
    } }`,
      { ids: [run.threadId] },
    );
    const steps = threads.nodes[0].history.nodes.map(({ step }: any) => step);
    expect(steps).toEqual([1, 0, -1]);
  });

  it('leaves it also when it fails', async () => {
    const run = await runToEnd({ assistantId: 'fail', input: { fail: true }, ...keep });
    expect(await findThread(run.threadId)).toMatchObject({
      status: 'ERROR',
      error: { name: 'CustomError' },
      values: { log: ['a'] },
    });
  });

  it('leaves it also when it asks a person; with DELETE there is nobody left to ask', async () => {
    const kept = await runToEnd({ assistantId: 'ask', input: {}, ...keep });
    expect(kept.status).toBe('INTERRUPTED');
    expect(await findThread(kept.threadId)).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [{ value: { question: 'Go on?' } }],
    });
    const gone = await runToEnd({ assistantId: 'ask', input: {}, onCompletion: 'DELETE' });
    expect(gone).toMatchObject({
      status: 'INTERRUPTED',
      threadId: null,
      output: { log: ['before'] },
    });
  });

  it('says nothing of a thread that was there before: that stays with DELETE', async () => {
    const threadId = await createThread();
    const run = await runToEnd({
      threadId,
      assistantId: 'echo',
      input: human('hello'),
      onCompletion: 'DELETE',
    });
    expect((await findThread(threadId)).values).toEqual(run.output);
  });
});

it("a stateless run's thread takes no other run, which would go with it", async () => {
  const file = path.join(folder, randomId());
  const { createRun } = await server.gql(CREATE_RUN, {
    input: { assistantId: 'gate', input: { file } },
  });
  const { id, threadId } = createRun;
  for (const options of [
    {},
    { ifThreadMissing: 'CREATE' },
    { afterSeconds: 60 },
    { multitaskStrategy: 'INTERRUPT' },
  ]) {
    const other = { threadId, assistantId: 'echo', input: human('x'), ...options };
    expect(await refusal(other)).toMatchObject({ code: 'CONFLICT' });
  }
  await writeFile(file, '');
  expect((await server.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
});

describe('ifThreadMissing', () => {
  const run = (threadId: string, ifThreadMissing?: string) => ({
    threadId,
    assistantId: 'echo',
    input: human('hello'),
    ...(ifThreadMissing && { ifThreadMissing }),
  });

  it.each([undefined, 'REJECT'])('%s refuses a thread that is not there', async (policy) => {
    const [threadId, before] = [randomId(), await count()];
    expect(await refusal(run(threadId, policy))).toMatchObject({ code: 'NOT_FOUND' });
    expect(await findThread(threadId)).toBeNull();
    expect(await count()).toEqual(before);
  });

  it('CREATE makes the thread with its id, once, and it stays', async () => {
    const threadId = randomId();
    const first = await runToEnd(run(threadId, 'CREATE'));
    expect(first).toMatchObject({ status: 'SUCCESS', threadId });
    const second = await runToEnd(run(threadId.toUpperCase(), 'CREATE'));
    expect(second).toMatchObject({ status: 'SUCCESS', threadId });
    expect(await findThread(threadId)).toMatchObject({
      status: 'IDLE',
      runs: { nodes: [{ id: second.id }, { id: first.id }] },
    });
    expect(second.output.messages).toHaveLength(4);
  });

  it('CREATE makes one thread for 20 runs that ask for it at once', async () => {
    const threadId = randomId();
    const runs = await Promise.all(
      Array.from({ length: 20 }, () => runToEnd(run(threadId, 'CREATE'))),
    );
    expect(runs.map(({ status }) => status)).toEqual(Array(20).fill('SUCCESS'));
    const thread = await findThread(threadId);
    expect(thread.runs.totalCount).toBe(20);
    expect(thread.values.messages).toHaveLength(40);
  });

  it('CREATE takes no id that something else has, and none that is no UUID', async () => {
    const other = await runToEnd({ assistantId: 'echo', input: human('x') });
    const { assistant } = await server.gql(`{ assistant(id: "echo") { id } }`);
    const before = await count();
    for (const taken of [other.id, assistant.id]) {
      expect(await refusal(run(taken, 'CREATE'))).toMatchObject({ code: 'CONFLICT' });
    }
    expect(await refusal(run('new', 'CREATE'))).toEqual({
      code: 'BAD_USER_INPUT',
      argument: 'input.threadId',
    });
    expect(await count()).toEqual(before);
  });

  it('CREATE makes it anew while it is being deleted, or finds it before', async () => {
    for (let round = 0; round < 12; round++) {
      const threadId = randomId();
      const slow = { threadId, assistantId: 'slow', input: { ms: 20_000 } };
      const { createRun } = await server.gql(CREATE_RUN, {
        input: { ...slow, ifThreadMissing: 'CREATE' },
      });
      await until(async () => (await findThread(threadId)).runs.nodes[0].status === 'RUNNING');
      expect(createRun.threadId).toBe(threadId);
      const [deleted, ...created] = await Promise.all([
        server.request(`mutation ($id: ID!) { deleteThread(id: $id) }`, { id: threadId }),
        ...(['ENQUEUE', 'INTERRUPT', 'ROLLBACK'] as const).map((multitaskStrategy) =>
          server.request(CREATE_RUN, { input: { ...run(threadId, 'CREATE'), multitaskStrategy } }),
        ),
      ]);
      expect([deleted, ...created].flatMap(({ errors }) => errors ?? [])).toEqual([]);
    }
  });

  it('CREATE makes no thread for a run that is refused', async () => {
    const threadId = randomId();
    const bad = { ...run(threadId, 'CREATE'), assistantId: 'strict', input: { count: 'one' } };
    expect(await refusal(bad)).toMatchObject({ code: 'BAD_USER_INPUT' });
    expect(await findThread(threadId)).toBeNull();
  });
});

describe('interruptBefore and interruptAfter', () => {
  const steps = { assistantId: 'steps', input: { log: [] } };

  it.each([
    ['before', { interruptBefore: ['step3'] }],
    ['after', { interruptAfter: ['step2'] }],
    ['both', { interruptBefore: ['step3'], interruptAfter: ['step2'] }],
    ['of several', { interruptBefore: ['step3', 'step7'] }],
    ['every durability', { interruptBefore: ['step3'], durability: 'EXIT' }],
  ])('stop the run there, asking nothing; a run without input goes on: %s', async (_what, stop) => {
    const threadId = await createThread();
    const run = await runToEnd({ ...steps, threadId, ...stop });
    expect(run).toMatchObject({ status: 'INTERRUPTED', error: null, output: { log: names(2) } });
    expect(await findThread(threadId)).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [],
      state: { next: ['step3'] },
      values: { log: names(2) },
    });
    const events = await server.follow(run.id);
    expect(nodesOf(events)).toEqual(names(2));
    expect(events.map(({ __typename }) => __typename)).not.toContain('InterruptEvent');
    expect(events.at(-1)).toMatchObject({ status: 'INTERRUPTED' });

    const next = await runToEnd({ threadId, assistantId: 'steps' });
    expect(next).toMatchObject({ status: 'SUCCESS', output: { log: names(10) } });
    expect(nodesOf(await server.follow(next.id))).toEqual(names(10).slice(2));
    expect(await findThread(threadId)).toMatchObject({ status: 'IDLE', state: { next: [] } });
  });

  it.each(['interruptBefore', 'interruptAfter'])(
    '%s ["*"] stops at every node, run by run',
    async (option) => {
      const threadId = await createThread();
      const stop = { [option]: ['*'] };
      const seen: unknown[] = [];
      let run = await runToEnd({ threadId, assistantId: 'nested', input: {}, ...stop });
      while (run.status === 'INTERRUPTED') {
        const { status, state } = await findThread(threadId);
        expect(status).toBe('INTERRUPTED');
        seen.push([nodesOf(await server.follow(run.id)), state.next]);
        run = await runToEnd({ threadId, assistantId: 'nested', ...stop });
      }
      expect(run.status).toBe('SUCCESS');
      const stopsBefore = [
        [[], ['outer']],
        [['outer'], ['inner']],
        [['inner'], ['last']],
      ];
      expect(seen).toEqual(option === 'interruptBefore' ? stopsBefore : stopsBefore.slice(1));
      expect(nodesOf(await server.follow(run.id))).toEqual(['last']);
    },
  );

  it('stop before a node that runs beside another, and then run both', async () => {
    const threadId = await createThread();
    const run = await runToEnd({
      threadId,
      assistantId: 'parallel',
      input: {},
      interruptBefore: ['left'],
    });
    expect(run).toMatchObject({ status: 'INTERRUPTED', output: { log: [] } });
    expect((await findThread(threadId)).state.next.toSorted()).toEqual(['left', 'right']);
    const next = await runToEnd({ threadId, assistantId: 'parallel' });
    expect(next).toMatchObject({ status: 'SUCCESS', output: { log: ['left', 'right', 'join'] } });
  });

  it('let a run end that nothing comes after', async () => {
    const run = await runToEnd({
      assistantId: 'echo',
      input: human('x'),
      interruptAfter: ['echo'],
    });
    expect(run.status).toBe('SUCCESS');
  });

  it('are of their run alone: the next one does not stop there', async () => {
    const threadId = await createThread();
    await runToEnd({ ...steps, threadId, interruptBefore: ['*'] });
    const next = await runToEnd({ ...steps, threadId });
    expect(next).toMatchObject({ status: 'SUCCESS', output: { log: names(10) } });
  });

  it.each(['SYNC', 'ASYNC', 'EXIT'])(
    'let the run that goes on show its states as well, under %s',
    async (durability) => {
      const threadId = await createThread();
      const options = { threadId, assistantId: 'steps', streamModes: ALL_MODES, durability };
      await runToEnd({ ...options, input: { log: [] }, interruptBefore: ['step9'] });
      const { id } = await runToEnd(options);
      const events = await server.follow(id);
      const states = events.filter(({ __typename }) => __typename === 'ValuesEvent');
      expect(states.map(({ values }) => values.log.length)).toEqual([8, 9, 10]);
      expect(events.at(-1)).toMatchObject({ status: 'SUCCESS' });
    },
  );

  it('know the nodes of a graph that its function makes of the configuration', async () => {
    const made = { assistantId: 'factory', input: {}, config: { configurable: { node: 'own' } } };
    const run = await runToEnd({ ...made, interruptBefore: ['own'] });
    expect(run.status).toBe('INTERRUPTED');
    expect(await refusal({ ...made, interruptBefore: ['made'] })).toMatchObject({
      argument: 'input.interruptBefore',
    });
  });

  it.each([
    ['interruptBefore', ['step1', 'nowhere']],
    ['interruptAfter', ['nowhere']],
    ['interruptAfter', ['__start__']],
    ['interruptBefore', ['*', 'nowhere']],
  ])('refuse a node that there is not: %s %j', async (option, nodes) => {
    const before = await count();
    expect(await refusal({ ...steps, [option]: nodes })).toEqual({
      code: 'BAD_USER_INPUT',
      argument: `input.${option}`,
    });
    expect(await count()).toEqual(before);
  });
});

describe('createRuns', () => {
  const CREATE_RUNS = `mutation ($inputs: [CreateRunInput!]!) {
    createRuns(inputs: $inputs) { id status threadId assistant { graphId } input }
  }`;

  const createRuns = async (inputs: unknown[]): Promise<any[]> =>
    (await server.gql(CREATE_RUNS, { inputs })).createRuns;

  async function refusalOf(inputs: unknown[]) {
    const [error] = await server.errors(CREATE_RUNS, { inputs });
    return error?.extensions;
  }

  it('starts several runs, and gives them in their order', async () => {
    const threadIds = [await createThread(), await createThread()].toSorted().toReversed();
    const inputs = [
      { threadId: threadIds[0], assistantId: 'echo', input: human('one') },
      { threadId: threadIds[1], assistantId: 'chat', input: human('two') },
      { assistantId: 'steps', input: { log: [] } },
      { threadId: threadIds[0], assistantId: 'echo', input: human('three') },
    ];
    const runs = await createRuns(inputs);
    expect(runs.map(({ assistant, input }) => [assistant.graphId, input])).toEqual(
      inputs.map(({ assistantId, input }) => [assistantId, input]),
    );
    for (const { id } of runs) {
      expect((await server.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
    }
    const { values, runs: own } = await findThread(String(threadIds[0]));
    expect(values.messages.map(({ content }: any) => content)).toEqual([
      'one',
      'echo: one',
      'three',
      'echo: three',
    ]);
    expect(own.nodes.map(({ id }: any) => id)).toEqual([runs[3].id, runs[0].id]);
  });

  it('takes up to 100, and not none', async () => {
    const many = (length: number) =>
      Array.from({ length }, () => ({ assistantId: 'echo', input: human('x') }));
    const runs = await createRuns(many(100));
    expect(new Set(runs.map(({ id }) => id)).size).toBe(100);
    for (const { id } of runs) {
      expect((await server.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
    }
    const before = await count();
    for (const length of [0, 101]) {
      expect(await refusalOf(many(length))).toEqual({ code: 'BAD_USER_INPUT', argument: 'inputs' });
    }
    expect(await count()).toEqual(before);
  });

  const missing = randomId();
  it.each([
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
  ])('starts none where one is refused: %j', async (wrong, expected) => {
    const threadId = await createThread();
    const [created, before] = [randomId(), await count()];
    const good = { threadId, assistantId: 'echo', input: human('x') };
    const inputs = [
      { ...good, threadId: created, ifThreadMissing: 'CREATE' },
      { ...good, ...wrong },
      good,
    ];
    expect(await refusalOf(inputs)).toMatchObject(expected);
    expect(await findThread(created)).toBeNull();
    expect(await findThread(threadId)).toMatchObject({ status: 'IDLE', runs: { totalCount: 0 } });
    expect(await count()).toEqual(before);
  });

  it('counts the runs before it in the list: the second REJECT on a thread makes it busy', async () => {
    const threadId = await createThread();
    const run = { threadId, assistantId: 'echo', input: human('x'), multitaskStrategy: 'REJECT' };
    expect(await refusalOf([run, run])).toEqual({ code: 'THREAD_BUSY' });
    expect(await findThread(threadId)).toMatchObject({ status: 'IDLE', runs: { totalCount: 0 } });
    const [{ id }] = await createRuns([run]);
    expect((await server.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
  });

  it('does not lock itself out with single runs that make the same threads', async () => {
    const threadIds = [await createThread(), await createThread()];
    const [one, two] = threadIds.map((threadId) => ({
      threadId,
      ifThreadMissing: 'CREATE',
      assistantId: 'echo',
      input: human('x'),
      afterSeconds: 3600,
    }));
    const requests = Array.from({ length: 10 }, () => [
      server.request(CREATE_RUNS, { inputs: [one, two] }),
      server.request(CREATE_RUN, { input: one }),
      server.request(CREATE_RUN, { input: two }),
    ]);
    const answers = await Promise.all(requests.flat());
    expect(answers.flatMap(({ errors }) => errors ?? [])).toEqual([]);
  });

  it('does not lock itself out with others that name the same threads in another order', async () => {
    const threadIds = await Promise.all(Array.from({ length: 4 }, createThread));
    const listOf = (ids: string[]) =>
      ids.map((threadId) => ({ threadId, assistantId: 'echo', input: human('x') }));
    const lists = await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        createRuns(listOf(n % 2 ? threadIds : threadIds.toReversed())),
      ),
    );
    for (const { id } of lists.flat()) {
      expect((await server.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
    }
  });
});

describe('deleteRun', () => {
  const DELETE_RUN = `mutation ($id: ID!) { deleteRun(id: $id) }`;
  const FIND_RUN = `query ($id: ID!) { run(id: $id) { id } node(id: $id) { id } }`;

  const deleteRun = async (id: string) => (await server.gql(DELETE_RUN, { id })).deleteRun;

  async function refusalOf(id: string) {
    const [error] = await server.errors(DELETE_RUN, { id });
    return error?.extensions;
  }

  it('deletes a run that has ended, with its events; its checkpoints and its state stay', async () => {
    const threadId = await createThread();
    const echo = { threadId, assistantId: 'echo' };
    const [first, second] = [
      await runToEnd({ ...echo, input: human('one') }),
      await runToEnd({ ...echo, input: human('two') }),
    ];
    const HISTORY = `query ($id: ID!) { thread(id: $id) {
      values history { nodes { checkpointId parentCheckpointId values runId run { id } } }
    } }`;
    const before = (await server.gql(HISTORY, { id: threadId })).thread;
    expect(await deleteRun(first.id)).toBe(first.id);

    expect(await server.gql(FIND_RUN, { id: first.id })).toEqual({ run: null, node: null });
    expect((await findThread(threadId)).runs).toEqual({
      totalCount: 1,
      nodes: [{ id: second.id, status: 'SUCCESS' }],
    });
    const { runs } = await server.gql(
      `query ($ids: [ID!]) { runs(filter: { ids: $ids }) { nodes { id } } }`,
      { ids: [first.id, second.id] },
    );
    expect(runs.nodes).toEqual([{ id: second.id }]);
    const rows = await server.app.sql.query(`SELECT 1 FROM "RunEvent" WHERE "runId" = $1`, [
      first.id,
    ]);
    expect(rows).toEqual([]);

    const after = (await server.gql(HISTORY, { id: threadId })).thread;
    const withoutRun = (checkpoint: any) => ({ ...checkpoint, run: undefined, runId: undefined });
    expect(after.history.nodes.map(withoutRun)).toEqual(before.history.nodes.map(withoutRun));
    expect(after.values).toEqual(before.values);
    expect(after.history.nodes.map(({ run }: any) => run?.id ?? null)).toEqual([
      ...Array(3).fill(second.id),
      ...Array(3).fill(null),
    ]);
    const third = await runToEnd({ ...echo, input: human('three') });
    expect(third.output.messages).toHaveLength(6);
  });

  it('leaves what the others of its thread sent, and no number is used again', async () => {
    const threadId = await createThread();
    const custom = { threadId, assistantId: 'custom', input: {} };
    const [first, last] = [await runToEnd(custom), await runToEnd(custom)];
    const kept = await server.follow(first.id);
    const cursor = (await server.follow(last.id)).at(-1).id;
    await deleteRun(last.id);
    expect(await server.follow(first.id)).toEqual(kept);
    const next = await server.follow((await runToEnd(custom)).id);
    expect(next).toHaveLength(kept.length);
    expect(await server.follow(next[0].runId, { after: cursor })).toEqual(next);
  });

  it('refuses whoever wants to follow it later', async () => {
    const { id } = await runToEnd({ assistantId: 'echo', input: human('x') });
    await deleteRun(id);
    await expect(server.follow(id)).rejects.toMatchObject({
      errors: [{ extensions: { code: 'NOT_FOUND' } }],
    });
  });

  it('deletes a stateless run whose thread is gone', async () => {
    const { id } = await runToEnd({ assistantId: 'echo', input: human('x') });
    expect(await deleteRun(id)).toBe(id);
    expect(await server.gql(FIND_RUN, { id })).toEqual({ run: null, node: null });
  });

  it('leaves the questions of a run that asked', async () => {
    const threadId = await createThread();
    const { id } = await runToEnd({ threadId, assistantId: 'ask', input: {} });
    await deleteRun(id);
    expect(await findThread(threadId)).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [{ value: { question: 'Go on?' } }],
    });
    const { thread } = await server.gql(
      `query ($id: ID!) { thread(id: $id) { interrupts { run { id } } } }`,
      { id: threadId },
    );
    expect(thread.interrupts).toEqual([{ run: null }]);
  });

  it('refuses a run that has not ended, and one that is not there', async () => {
    const gate = closedGate();
    const threadId = await createThread();
    const input = { threadId, assistantId: 'gate', input: { file: gate.file } };
    const ids: string[] = [];
    for (let n = 0; n < 2; n++) ids.push((await server.gql(CREATE_RUN, { input })).createRun.id);
    const statuses = async () =>
      (await findThread(threadId)).runs.nodes.map(({ status }: any) => status).join();
    await until(async () => (await statuses()) === 'PENDING,RUNNING');
    for (const id of ids) expect(await refusalOf(id)).toEqual({ code: 'CONFLICT' });
    await gate.open();
    for (const id of ids) {
      expect((await server.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
      expect(await deleteRun(id)).toBe(id);
      expect(await refusalOf(id)).toMatchObject({ code: 'NOT_FOUND' });
    }
    expect(await refusalOf(randomId())).toMatchObject({ code: 'NOT_FOUND' });
    expect(await refusalOf(threadId)).toMatchObject({ code: 'NOT_FOUND' });
    expect(await refusalOf('x')).toEqual({ code: 'BAD_USER_INPUT', argument: 'id' });
    expect(await findThread(threadId)).toMatchObject({ values: { file: gate.file } });
  });
});

describe('the recursion limit', () => {
  const limited = (limit: number) => ({ recursion_limit: limit });

  async function createAssistant(config: unknown): Promise<string> {
    const input = { graphId: 'endless', config };
    return (await server.gql(CREATE_ASSISTANT, { input })).createAssistant.id;
  }

  it.each([
    ['the run', () => 'endless', { config: limited(3) }, 3],
    ['the run, as LangGraph spells it', () => 'endless', { config: { recursionLimit: 4 } }, 4],
    ['the assistant', () => createAssistant(limited(5)), {}, 5],
    ['the run before the assistant', () => createAssistant(limited(5)), { config: limited(2) }, 2],
  ])(
    'is that of %s: the run ends in an error that says so',
    async (_what, assistant, options, n) => {
      const threadId = await createThread();
      const run = await runToEnd({
        threadId,
        assistantId: await assistant(),
        input: {},
        ...options,
      });
      expect(run).toMatchObject({
        status: 'ERROR',
        error: {
          name: 'GraphRecursionError',
          message: expect.stringContaining(`Recursion limit of ${n} reached`),
        },
        output: { log: Array(n).fill('again') },
      });
      expect(await findThread(threadId)).toMatchObject({
        status: 'ERROR',
        error: { name: 'GraphRecursionError' },
      });
    },
  );

  it('is of its run alone, and enough where it is one more than the graph has steps', async () => {
    const threadId = await createThread();
    const steps = { threadId, assistantId: 'steps', input: { log: [] } };
    const enough = await runToEnd({ ...steps, config: limited(11) });
    expect(enough).toMatchObject({ status: 'SUCCESS', output: { log: names(10) } });
    expect((await runToEnd({ ...steps, config: limited(10) })).status).toBe('ERROR');
    expect((await runToEnd(steps)).status).toBe('SUCCESS');
  });

  it('is 25 where nobody says', async () => {
    const { error } = await runToEnd({ assistantId: 'endless', input: {} });
    expect(error.message).toContain('Recursion limit of 25 reached');
  });

  it.each([0, -1, 1.5, '3', null])('is a whole number from 1: %j is refused', async (limit) => {
    for (const key of ['recursion_limit', 'recursionLimit']) {
      expect(
        await refusal({ assistantId: 'endless', input: {}, config: { [key]: limit } }),
      ).toEqual({
        code: 'BAD_USER_INPUT',
        argument: `input.config.${key}`,
      });
    }
  });
});

describe('the context of a run', () => {
  const contextual = { assistantId: 'contextual', input: {} };

  /** The context as the run shows it, and as its node sees it. */
  async function contextOf(input: object): Promise<{ shown: unknown; seen?: unknown }> {
    const { createRun: run } = await server.gql(
      `mutation ($input: CreateRunInput!) { createRun(input: $input, wait: true) { context output } }`,
      { input: { input: {}, ...input } },
    );
    const { seen } = run.output;
    return { shown: run.context, ...('context' in seen && { seen: seen.context }) };
  }

  async function assistantWith(context: unknown): Promise<string> {
    const input = { graphId: 'whoami', context };
    return (await server.gql(CREATE_ASSISTANT, { input })).createAssistant.id;
  }

  it('is what its nodes get as runtime.context, in subgraphs too', async () => {
    const context = { user: 'ann', depth: 2 };
    const run = await runToEnd({ ...contextual, context });
    expect(run.output).toEqual({ seen: { outer: context, deep: context } });
  });

  it('is nothing of the run before it', async () => {
    const threadId = await createThread();
    await runToEnd({ ...contextual, threadId, context: { user: 'ann', depth: 2 } });
    const context = { user: 'bob' };
    const run = await runToEnd({ ...contextual, threadId, context });
    expect(run.output).toEqual({ seen: { outer: context, deep: context } });
  });

  it("is the assistant's where the run gives none", async () => {
    const input = { graphId: 'contextual', context: { user: 'ann' } };
    const { createAssistant } = await server.gql(CREATE_ASSISTANT, { input });
    const assistant = { ...contextual, assistantId: createAssistant.id };
    expect((await runToEnd(assistant)).output.seen.deep).toEqual({ user: 'ann' });
    const run = await runToEnd({ ...assistant, context: { depth: 2 } });
    expect(run.output.seen.deep).toEqual({ user: 'ann', depth: 2 });
  });

  it('is none where nobody gives one, as LangGraph has it', async () => {
    const { output } = await runToEnd({ assistantId: 'whoami', input: {} });
    expect(output.seen).not.toHaveProperty('context');
    expect(await contextOf({ assistantId: 'whoami', context: null })).toEqual({ shown: {} });
  });

  it('may be empty, also of an assistant', async () => {
    const empty = { shown: {}, seen: {} };
    expect(await contextOf({ assistantId: 'whoami', context: {} })).toEqual(empty);
    const assistantId = await assistantWith({});
    expect(await contextOf({ assistantId })).toEqual(empty);
    expect(await contextOf({ assistantId, context: {} })).toEqual(empty);
    expect(await contextOf({ assistantId, context: null })).toEqual(empty);
  });

  it("is laid over the assistant's, key by key", async () => {
    const assistantId = await assistantWith({ a: { b: 1 }, c: 1 });
    const merged = { a: {}, c: 1, d: null };
    expect(await contextOf({ assistantId, context: { a: {}, d: null } })).toEqual({
      shown: merged,
      seen: merged,
    });
    const own = { a: { b: 1 }, c: 1 };
    expect(await contextOf({ assistantId, context: {} })).toEqual({ shown: own, seen: own });
    const added = { e: [] };
    expect(await contextOf({ assistantId: await assistantWith(null), context: added })).toEqual({
      shown: added,
      seen: added,
    });
  });

  it('of an assistant may become empty, and stays what it is where an update has none', async () => {
    const id = await assistantWith({ a: 1 });
    const UPDATE = `mutation ($id: ID!, $input: UpdateAssistantInput!) {
      updateAssistant(id: $id, input: $input) { context }
    }`;
    await server.gql(UPDATE, { id, input: { context: null, name: 'same' } });
    expect(await contextOf({ assistantId: id })).toEqual({ shown: { a: 1 }, seen: { a: 1 } });
    await server.gql(UPDATE, { id, input: { context: {} } });
    expect(await contextOf({ assistantId: id })).toEqual({ shown: {}, seen: {} });
  });

  it('is checked by the schema of the graph, also where it is empty', async () => {
    const run = await runToEnd({ ...contextual, context: {} });
    expect(run).toMatchObject({ status: 'ERROR' });
    expect(run.error.message).toMatch(/user/);
  });

  it('fails the run where the schema of the graph does not take it', async () => {
    const threadId = await createThread();
    const run = await runToEnd({
      ...contextual,
      threadId,
      context: { user: 'ann', depth: 'deep' },
    });
    expect(run).toMatchObject({ status: 'ERROR' });
    expect(run.error.message).toMatch(/depth/);
    const next = await runToEnd({ ...contextual, threadId, context: { user: 'ann' } });
    expect(next).toMatchObject({ status: 'SUCCESS' });
  });
});
