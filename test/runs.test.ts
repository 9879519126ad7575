import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  human,
  randomId,
  until,
  type TestApp,
} from './support/app.ts';
import { intercept } from './support/queries.ts';

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

async function createThread(): Promise<string> {
  return (await server.gql(CREATE_THREAD)).createThread.id;
}

async function start(input: Record<string, unknown>): Promise<any> {
  return (await server.gql(CREATE_RUN, { input })).createRun;
}

async function runToEnd(input: Record<string, unknown>): Promise<any> {
  return (await server.gql(CREATE_RUN, { input, wait: true })).createRun;
}

async function refusal(input: Record<string, unknown>): Promise<any> {
  const [error] = await server.errors(CREATE_RUN, { input });
  return error?.extensions;
}

const RUN_FIELDS = `id status threadId thread { id } assistantId input config context metadata multitaskStrategy
  attempt output interrupts { id } error { name message } createdAt startedAt finishedAt`;
const RUN = `query ($id: ID!) { run(id: $id) { ${RUN_FIELDS} } }`;

async function findRun(id: string): Promise<any> {
  return (await server.gql(RUN, { id })).run;
}

async function ended(id: string): Promise<any> {
  await server.follow(id, { modes: [] });
  return findRun(id);
}

const THREAD = `query ($id: ID!, $first: Int, $after: String, $status: [RunStatus!]) {
  thread(id: $id) {
    status values error { name message }
    runs(first: $first, after: $after, status: $status) {
      totalCount pageInfo { hasNextPage endCursor } nodes { id status startedAt finishedAt }
    }
  }
}`;

async function findThread(id: string, page: Record<string, unknown> = {}): Promise<any> {
  return (await server.gql(THREAD, { id, ...page })).thread;
}

/** What the runs of graph `gate` wait for. */
function closedGate() {
  const file = path.join(folder, randomId());
  return { file, open: () => writeFile(file, '') };
}

const contents = (output: any) => output.messages.map((message: any) => message.content);

describe('createRun', () => {
  it('runs a graph on a thread, waits for it, and leaves its state', async () => {
    const threadId = await createThread();
    const run = await runToEnd({ threadId, assistantId: 'echo', input: human('hello') });
    expect(run).toMatchObject({ status: 'SUCCESS', threadId, error: null });
    expect(contents(run.output)).toEqual(['hello', 'echo: hello']);
    const thread = await findThread(threadId);
    expect(thread).toMatchObject({ status: 'IDLE', error: null });
    expect(thread.values).toEqual(run.output);
  });

  it.each([
    ['on a thread', () => createThread()],
    ['without one', () => Promise.resolve(null)],
  ])('shows whoever waited the run as it is from then on: %s', async (_place, findThreadId) => {
    const { createRun: waited } = await server.gql(
      `mutation ($input: CreateRunInput!) { createRun(input: $input, wait: true) { ${RUN_FIELDS} } }`,
      {
        input: {
          threadId: await findThreadId(),
          assistantId: 'echo',
          input: human('Hello'),
          metadata: { at: 'once' },
        },
      },
    );
    expect(waited).toMatchObject({ status: 'SUCCESS', attempt: 1, metadata: { at: 'once' } });
    expect(await findRun(waited.id)).toEqual(waited);
  });

  it.each([
    ['on a thread', () => createThread()],
    ['without one', () => Promise.resolve(null)],
  ])('shows whoever waited the output as it was stored: %s', async (_place, findThreadId) => {
    const threadId = await findThreadId();
    const waited = await runToEnd({ threadId, assistantId: 'renamed', input: { value: null } });
    expect(waited.output).toEqual({ value: { name: 'Ghost', message: 'Boo!' } });
    expect((await findRun(waited.id)).output).toEqual(waited.output);
  });

  it.each([
    ['on a thread', () => createThread()],
    ['without one', () => Promise.resolve(null)],
  ])('shows whoever waited that there is no output, too: %s', async (_place, findThreadId) => {
    const threadId = await findThreadId();
    const waited = await runToEnd({ threadId, assistantId: 'nothing', input: {} });
    expect(waited).toMatchObject({ status: 'SUCCESS' });
    expect((await findRun(waited.id)).output).toEqual(waited.output);
  });

  it('takes two statements where nothing is in its way: one accepts and claims it, one stores all that it did', async () => {
    await using own = await createTestApp();
    const { sql } = own.app;
    const { query } = sql;
    let texts: string[] = [];
    sql.query = intercept(query, ({ text }, send) => {
      texts.push(text);
      return send();
    });
    const isOfRun = (text: string) => text.includes('"Run"') && text.includes('"claimToken"');
    // A look for other runs may be in its way: the worker has one every second.
    const taken = await until(async () => {
      texts = [];
      const input = { assistantId: 'echo', input: human('x'), onCompletion: 'KEEP' };
      await own.gql(CREATE_RUN, { input, wait: true });
      const [accepted = '', ended = '', more] = texts.filter(isOfRun);
      return more === undefined ? { accepted, ended } : undefined;
    });
    expect(taken.accepted).toMatch(/INSERT INTO "Run"/);
    expect(taken.ended).toMatch(/INSERT INTO "Checkpoint"/);
  });

  it('returns at once without wait: the run goes on by itself', async () => {
    const gate = closedGate();
    const threadId = await createThread();
    const { id, status, output } = await start({
      threadId,
      assistantId: 'gate',
      input: { file: gate.file },
    });
    expect(['PENDING', 'RUNNING']).toContain(status);
    expect(output).toBeNull();
    await until(async () => (await findRun(id)).status === 'RUNNING');
    expect(await findThread(threadId)).toMatchObject({ status: 'BUSY' });
    expect(await findRun(id)).toMatchObject({ output: null, finishedAt: null, attempt: 1 });

    await gate.open();
    const run = await ended(id);
    expect(run).toMatchObject({ status: 'SUCCESS', output: { log: ['before', 'hold', 'after'] } });
    expect(run.createdAt <= run.startedAt && run.startedAt <= run.finishedAt).toBe(true);
  });

  it('goes on from the state as it is when there is no input', async () => {
    const threadId = await createThread();
    await runToEnd({ threadId, assistantId: 'fail', input: { fail: true } });
    const run = await runToEnd({ threadId, assistantId: 'fail' });
    const updates = (await server.follow(run.id)).filter(
      ({ __typename }) => __typename === 'UpdatesEvent',
    );
    expect(run).toMatchObject({
      status: 'ERROR',
      error: { message: 'Boo!' },
      output: { log: ['a'] },
    });
    expect(updates).toEqual([]);
  });

  it.each(['SYNC', 'ASYNC', 'EXIT'])(
    'gives the same output under durability %s',
    async (durability) => {
      const threadId = await createThread();
      const run = await runToEnd({
        threadId,
        assistantId: 'steps',
        input: { log: ['in'] },
        durability,
      });
      const log = ['in', ...Array.from({ length: 10 }, (_, n) => `step${n + 1}`)];
      expect(run).toMatchObject({ status: 'SUCCESS', output: { log } });
      expect((await findThread(threadId)).values).toEqual({ log });
      const again = await runToEnd({
        threadId,
        assistantId: 'steps',
        input: { log: [] },
        durability,
      });
      expect(again.output.log).toHaveLength(21);
    },
  );

  it('gives an unfinished run as it is when WAIT_SECONDS are over', async () => {
    await using patient = await createTestApp({ waitSeconds: 1 });
    const gate = closedGate();
    const { createRun } = await patient.gql(CREATE_RUN, {
      input: { assistantId: 'gate', input: { file: gate.file } },
      wait: true,
    });
    expect(createRun.status).toBe('RUNNING');
    await gate.open();
    const events = await patient.follow(createRun.id);
    expect(events.at(-1)).toMatchObject({ status: 'SUCCESS' });
  });

  it('needs no poll: with every timer stopped, runs start, follow each other and end', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval'] });
    try {
      const threadId = await createThread();
      for (let n = 0; n < 5; n++)
        await runToEnd({ threadId, assistantId: 'echo', input: human(`${n}`) });
      const runs = await Promise.all(
        Array.from({ length: 5 }, () =>
          runToEnd({ threadId, assistantId: 'echo', input: human('queued') }),
        ),
      );
      expect(runs.map(({ status }) => status)).toEqual(Array(5).fill('SUCCESS'));
    } finally {
      vi.useRealTimers();
    }
  });

  it('refuses what cannot run, and leaves nothing', async () => {
    const threadId = await createThread();
    const [echo, unknown] = [{ threadId, assistantId: 'echo', input: human('x') }, randomId()];
    expect(await refusal({ ...echo, threadId: unknown })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await refusal({ ...echo, assistantId: unknown })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await refusal({ ...echo, threadId: 'no uuid' })).toEqual({
      code: 'BAD_USER_INPUT',
      argument: 'input.threadId',
    });
    expect(await refusal({ ...echo, assistantId: 'no such graph' })).toMatchObject({
      code: expect.stringMatching(/NOT_FOUND|BAD_USER_INPUT/),
    });
    expect(await refusal({ threadId, assistantId: 'strict', input: { count: 'one' } })).toEqual({
      code: 'BAD_USER_INPUT',
      argument: 'input.input',
    });
    const { runs, ...thread } = await findThread(threadId);
    expect(thread).toEqual({ status: 'IDLE', values: {}, error: null });
    expect(runs.totalCount).toBe(0);
  });

  it('takes an input that the schema of the graph takes', async () => {
    const run = await runToEnd({ assistantId: 'strict', input: { count: 41 } });
    expect(run).toMatchObject({ status: 'SUCCESS', output: { count: 42 } });
  });
});

describe('a stateless run', () => {
  it.each(['a graph id', 'a UUID'])(
    'finds its assistant by %s, and leaves no thread',
    async (by) => {
      const { assistant } = await server.gql(`{ assistant(id: "echo") { id } }`);
      const assistantId = by === 'a UUID' ? assistant.id : 'echo';
      const run = await runToEnd({ assistantId, input: human('hello') });
      expect(run).toMatchObject({ status: 'SUCCESS', threadId: null });
      expect(contents(run.output)).toEqual(['hello', 'echo: hello']);
      expect(await findRun(run.id)).toMatchObject({
        thread: null,
        assistantId: assistant.id,
        output: run.output,
      });
    },
  );

  it('leaves no thread when it fails, and its output is what it got to', async () => {
    const run = await runToEnd({ assistantId: 'fail', input: { fail: true } });
    expect(run).toMatchObject({
      status: 'ERROR',
      threadId: null,
      output: { log: ['a'], fail: true },
    });
  });

  it('leaves nothing in the database but the run and its events', async () => {
    const { id } = await start({ assistantId: 'echo', input: human('hello') });
    const [{ threadId }] = await server.app.sql.query<any>(
      `SELECT "threadId" FROM "RunEvent" WHERE "runId" = $1`,
      [(await ended(id)).id],
    );
    for (const table of [
      'Checkpoint',
      'CheckpointHead',
      'CheckpointWrite',
      'ChannelValue',
      'ChannelItem',
      'Interrupt',
    ]) {
      expect(
        await server.app.sql.query(`SELECT 1 FROM "${table}" WHERE "threadId" = $1`, [threadId]),
      ).toEqual([]);
    }
    expect(
      (await server.gql(`query ($id: ID!) { thread(id: $id) { id } }`, { id: threadId })).thread,
    ).toBeNull();
  });

  it('keeps its thread with onCompletion KEEP: another run can go on there', async () => {
    const first = await runToEnd({
      assistantId: 'echo',
      input: human('one'),
      onCompletion: 'KEEP',
    });
    expect((await findThread(first.threadId)).values).toEqual(first.output);
    const second = await runToEnd({
      threadId: first.threadId,
      assistantId: 'echo',
      input: human('two'),
    });
    expect(contents(second.output)).toEqual(['one', 'echo: one', 'two', 'echo: two']);
  });
});

describe('what a run is given', () => {
  const CREATE_ASSISTANT = `mutation ($input: CreateAssistantInput!) { createAssistant(input: $input) { id } }`;

  async function createAssistant(input: Record<string, unknown>): Promise<string> {
    return (await server.gql(CREATE_ASSISTANT, { input: { graphId: 'whoami', ...input } }))
      .createAssistant.id;
  }

  async function look(input: Record<string, unknown>) {
    const run = await runToEnd({ assistantId: 'whoami', input: {}, ...input });
    expect(run).toMatchObject({ status: 'SUCCESS' });
    return { run, seen: run.output.seen };
  }

  it("is the assistant's, with the request's on top, and the ids of the run", async () => {
    const assistantId = await createAssistant({
      config: { configurable: { model: 'a', tone: 'dry' }, tags: ['assistant'] },
      context: { user: 'a', place: 'here' },
      metadata: { team: 'x', kind: 'assistant' },
    });
    const threadId = await createThread();
    const { run, seen } = await look({
      threadId,
      assistantId,
      config: { configurable: { model: 'b', depth: 2 }, tags: ['request'] },
      context: { user: 'b' },
      metadata: { kind: 'request' },
    });

    const ids = {
      run_id: run.id,
      thread_id: threadId,
      graph_id: 'whoami',
      assistant_id: assistantId,
    };
    expect(seen.configurable).toEqual({ model: 'b', tone: 'dry', depth: 2, ...ids });
    expect(seen.context).toEqual({ user: 'b', place: 'here' });
    expect(seen.metadata).toMatchObject({ team: 'x', kind: 'request', ...ids });
    expect(seen.tags).toEqual(expect.arrayContaining(['request']));
    expect(seen.tags).not.toContain('assistant');
    expect(await findRun(run.id)).toMatchObject({
      config: { configurable: { model: 'b', tone: 'dry', depth: 2 }, tags: ['request'] },
      context: { user: 'b', place: 'here' },
      metadata: { team: 'x', kind: 'request' },
    });
  });

  it('holds nothing of an earlier run on the thread', async () => {
    const threadId = await createThread();
    const assistantId = await createAssistant({
      config: { configurable: { model: 'a' }, tags: ['a'], metadata: { from: 'config' } },
      context: { user: 'a' },
      metadata: { kind: 'a' },
    });
    await look({ threadId, assistantId });
    const { run, seen } = await look({ threadId });
    expect(seen.configurable).toEqual({
      run_id: run.id,
      thread_id: threadId,
      graph_id: 'whoami',
      assistant_id: seen.configurable.assistant_id,
    });
    expect(seen.configurable.assistant_id).not.toBe(assistantId);
    expect(seen.context ?? {}).toEqual({});
    expect(seen.metadata).not.toMatchObject({ kind: 'a' });
    expect(seen.metadata).not.toMatchObject({ from: 'config' });
    expect(seen.tags).not.toContain('a');
    expect(await findRun(run.id)).toMatchObject({ config: {}, context: {}, metadata: {} });
  });

  it('has the ids that the server gave it, whatever the client says', async () => {
    const forged = {
      thread_id: randomId(),
      run_id: randomId(),
      graph_id: 'echo',
      assistant_id: 'x',
    };
    const threadId = await createThread();
    const { run, seen } = await look({ threadId, config: { configurable: { ...forged, own: 1 } } });
    expect(seen.configurable).toMatchObject({
      thread_id: threadId,
      run_id: run.id,
      graph_id: 'whoami',
      own: 1,
    });
    expect((await findThread(threadId)).values.seen).toEqual(seen);
    expect((await findRun(run.id)).config).toEqual({ configurable: { own: 1 } });
  });

  it.each(['checkpoint_id', 'checkpoint_ns', 'checkpoint_map', '__pregel_checkpointer'])(
    'is refused with configurable.%s',
    async (key) => {
      expect(
        await refusal({ assistantId: 'whoami', config: { configurable: { [key]: 'x' } } }),
      ).toEqual({
        code: 'BAD_USER_INPUT',
        argument: `input.config.configurable.${key}`,
      });
    },
  );

  it('fails with a clear error when it takes more steps than recursion_limit', async () => {
    const run = await runToEnd({ assistantId: 'steps', input: {}, config: { recursion_limit: 3 } });
    expect(run).toMatchObject({ status: 'ERROR', error: { name: 'GraphRecursionError' } });
    expect(run.error.message).toMatch(/Recursion limit of 3/);
    expect(await refusal({ assistantId: 'steps', config: { recursion_limit: 0 } })).toMatchObject({
      code: 'BAD_USER_INPUT',
    });
  });
});

describe('a run that fails', () => {
  it('tells the class and the message, keeps the earlier state, and the next run works', async () => {
    const threadId = await createThread();
    await runToEnd({ threadId, assistantId: 'fail', input: { fail: false } });
    const failed = await runToEnd({ threadId, assistantId: 'fail', input: { fail: true } });
    const error = { name: 'CustomError', message: 'Boo!' };
    expect(failed).toMatchObject({ status: 'ERROR', error, output: { log: ['a', 'b', 'a'] } });
    expect(await findThread(threadId)).toMatchObject({
      status: 'ERROR',
      error,
      values: { log: ['a', 'b', 'a'] },
    });

    const next = await runToEnd({ threadId, assistantId: 'fail', input: { fail: false } });
    expect(next).toMatchObject({
      status: 'SUCCESS',
      error: null,
      output: { log: ['a', 'b', 'a', 'a', 'b'] },
    });
    expect(await findThread(threadId)).toMatchObject({ status: 'IDLE', error: null });
  });

  it.each([
    // LangGraph writes on what it catches: of text and of nothing only the failure of that is left.
    ['text', 'TypeError', 'Just text.'],
    ['nothing', 'TypeError', 'undefined'],
    ['object', 'Error', 'code: 7'],
    ['bare', 'Error', 'null prototype'],
  ])('also where it throws no Error: %s', async (what, name, part) => {
    expect(await runToEnd({ assistantId: 'boom', input: { what } })).toMatchObject({
      status: 'ERROR',
      error: { name, message: expect.stringContaining(part) },
    });
  });

  it('tells the first 2,000 characters of a long message', async () => {
    const { error } = await runToEnd({ assistantId: 'boom', input: { what: 'long' } });
    expect(error).toEqual({ name: 'RangeError', message: `${'x'.repeat(1999)}…` });
  });

  it('tells why the function that langgraph.json names made no graph', async () => {
    const threadId = await createThread();
    const run = await runToEnd({ threadId, assistantId: 'broken', input: { any: 'thing' } });
    expect(run).toMatchObject({
      status: 'ERROR',
      error: { name: 'CustomError', message: 'No graph today.' },
    });
    expect(await findThread(threadId)).toMatchObject({ status: 'ERROR' });
  });

  it('lets the runs that wait behind it go on', async () => {
    const threadId = await createThread();
    const gate = closedGate();
    await start({ threadId, assistantId: 'gate', input: { file: gate.file } });
    const failing = await start({ threadId, assistantId: 'fail', input: { fail: true } });
    const next = await start({ threadId, assistantId: 'fail', input: { fail: false } });
    await gate.open();
    expect(await ended(failing.id)).toMatchObject({ status: 'ERROR' });
    expect(await ended(next.id)).toMatchObject({ status: 'SUCCESS' });
    expect(await findThread(threadId)).toMatchObject({ status: 'IDLE', error: null });
  });
});

describe('a run on a busy thread', () => {
  const gates: ReturnType<typeof closedGate>[] = [];
  afterEach(async () => {
    for (const gate of gates.splice(0)) await gate.open();
  });

  async function busyThread() {
    const gate = closedGate();
    gates.push(gate);
    const threadId = await createThread();
    const { id } = await start({ threadId, assistantId: 'gate', input: { file: gate.file } });
    await until(async () => (await findRun(id)).status === 'RUNNING');
    return { gate, threadId, id };
  }

  it('is refused with REJECT, and leaves nothing', async () => {
    const { gate, threadId, id } = await busyThread();
    const rejected = {
      threadId,
      assistantId: 'echo',
      input: human('x'),
      multitaskStrategy: 'REJECT',
    };
    expect(await refusal(rejected)).toEqual({ code: 'THREAD_BUSY' });
    const { runs } = await findThread(threadId);
    expect(runs.nodes).toMatchObject([{ id, status: 'RUNNING' }]);

    await gate.open();
    expect(await ended(id)).toMatchObject({ status: 'SUCCESS' });
    expect(await runToEnd(rejected)).toMatchObject({ status: 'SUCCESS' });
  });

  it('waits its turn with ENQUEUE, and sees what the one before left', async () => {
    const { gate, threadId, id } = await busyThread();
    const one = await start({ threadId, assistantId: 'echo', input: human('one') });
    const two = await start({ threadId, assistantId: 'echo', input: human('two') });
    expect(await findRun(one.id)).toMatchObject({ status: 'PENDING', startedAt: null, attempt: 0 });
    await gate.open();
    expect(contents((await ended(two.id)).output)).toEqual([
      'one',
      'echo: one',
      'two',
      'echo: two',
    ]);
    expect(contents((await findRun(one.id)).output)).toEqual(['one', 'echo: one']);
    const { runs, status } = await findThread(threadId);
    expect(status).toBe('IDLE');
    expect(runs.nodes.map((run: any) => run.id)).toEqual([two.id, one.id, id]);
  });

  it('is accepted once when 50 ask at once with REJECT', async () => {
    const gate = closedGate();
    gates.push(gate);
    const threadId = await createThread();
    const input = {
      threadId,
      assistantId: 'gate',
      input: { file: gate.file },
      multitaskStrategy: 'REJECT',
    };
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => server.request(CREATE_RUN, { input })),
    );
    const accepted = answers.flatMap(({ data }) => data?.createRun?.id ?? []);
    const codes = answers.flatMap(
      ({ errors }) => errors?.map(({ extensions }) => extensions['code']) ?? [],
    );
    expect(accepted).toHaveLength(1);
    expect(codes).toEqual(Array(49).fill('THREAD_BUSY'));
    expect((await findThread(threadId)).runs).toMatchObject({ totalCount: 1 });
    await gate.open();
    expect(await ended(accepted[0])).toMatchObject({ status: 'SUCCESS' });
  });

  it('has its turn when 50 ask at once with ENQUEUE: all run, in the order of acceptance, one at a time', async () => {
    const { gate, threadId } = await busyThread();
    const accepted = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        start({ threadId, assistantId: 'echo', input: human(`${n}`) }),
      ),
    );
    await gate.open();
    await Promise.all(accepted.map(({ id }) => ended(id)));

    const { runs, values, status } = await findThread(threadId, { first: 100 });
    expect(status).toBe('IDLE');
    expect(runs.totalCount).toBe(51);
    const inOrder = runs.nodes.toReversed();
    expect(inOrder.map((run: any) => run.status)).toEqual(Array(51).fill('SUCCESS'));
    for (const [n, run] of inOrder.slice(1).entries()) {
      expect(Date.parse(run.startedAt)).toBeGreaterThanOrEqual(Date.parse(inOrder[n].finishedAt));
    }
    const askedBy = new Map(accepted.map(({ id }, n) => [id, `${n}`]));
    const asked = inOrder.slice(1).map(({ id }: any) => askedBy.get(id));
    expect(contents(values)).toEqual(asked.flatMap((text: any) => [text, `echo: ${text}`]));
  });

  it('does not wait for other threads: as many run at once as WORKER_CONCURRENCY says', async () => {
    await using small = await createTestApp({ workerConcurrency: 3 });
    const gate = closedGate();
    gates.push(gate);
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) {
      const input = { assistantId: 'gate', input: { file: gate.file } };
      ids.push((await small.gql(CREATE_RUN, { input })).createRun.id);
    }
    const statuses = async () =>
      (
        await small.gql(
          `query ($ids: [ID!]) { runs(filter: { ids: $ids }) { nodes { status } } }`,
          { ids },
        )
      ).runs.nodes
        .map(({ status }: any) => status)
        .toReversed();
    const full = ['RUNNING', 'RUNNING', 'RUNNING', 'PENDING', 'PENDING'];
    await until(async () => (await statuses()).join() === full.join());
    await gate.open();
    for (const id of ids)
      expect((await small.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
  });

  it('stays PENDING where WORKER_CONCURRENCY is 0', async () => {
    await using front = await createTestApp({ workerConcurrency: 0 });
    const { createRun } = await front.gql(CREATE_RUN, {
      input: { assistantId: 'echo', input: human('x') },
    });
    expect((await front.gql(RUN, { id: createRun.id })).run).toMatchObject({
      status: 'PENDING',
      attempt: 0,
    });
  });
});

describe('runs', () => {
  const RUNS = `query ($filter: RunFilter, $first: Int, $after: String) {
    runs(filter: $filter, first: $first, after: $after) {
      totalCount pageInfo { hasNextPage endCursor } nodes { id status }
    }
  }`;

  async function list(
    filter: Record<string, unknown>,
    page: Record<string, unknown> = {},
  ): Promise<any> {
    return (await server.gql(RUNS, { filter, ...page })).runs;
  }

  const idsOf = ({ nodes }: any): string[] => nodes.map(({ id }: any) => id);

  it('are listed newest first, page by page', async () => {
    const threadId = await createThread();
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) {
      ids.unshift((await runToEnd({ threadId, assistantId: 'echo', input: human('x') })).id);
    }
    const first = await list({ threadId }, { first: 3 });
    expect(idsOf(first)).toEqual(ids.slice(0, 3));
    expect(first).toMatchObject({ totalCount: 5, pageInfo: { hasNextPage: true } });
    const rest = await list({ threadId }, { first: 3, after: first.pageInfo.endCursor });
    expect(idsOf(rest)).toEqual(ids.slice(3));
    expect(rest.pageInfo.hasNextPage).toBe(false);

    const { runs } = await findThread(threadId, { first: 2 });
    expect(idsOf(runs)).toEqual(ids.slice(0, 2));
    const next = await findThread(threadId, { first: 100, after: runs.pageInfo.endCursor });
    expect(idsOf(next.runs)).toEqual(ids.slice(2));
  });

  it('are found by thread, assistant, status, metadata and ids', async () => {
    const mark = randomId();
    const threadId = await createThread();
    const good = await runToEnd({
      threadId,
      assistantId: 'echo',
      input: human('x'),
      metadata: { mark, n: { a: 1 } },
    });
    const bad = await runToEnd({
      threadId,
      assistantId: 'fail',
      input: { fail: true },
      metadata: { mark },
    });
    const gone = await runToEnd({ assistantId: 'echo', input: human('x'), metadata: { mark } });
    const { assistantId } = await findRun(bad.id);

    const marked = { metadata: { mark } };
    expect(idsOf(await list(marked))).toEqual([gone.id, bad.id, good.id]);
    expect(idsOf(await list({ ...marked, threadId }))).toEqual([bad.id, good.id]);
    expect(idsOf(await list({ ...marked, assistantId }))).toEqual([bad.id]);
    expect(idsOf(await list({ ...marked, status: ['ERROR'] }))).toEqual([bad.id]);
    expect(idsOf(await list({ ...marked, status: ['ERROR', 'SUCCESS'] }))).toEqual([
      gone.id,
      bad.id,
      good.id,
    ]);
    expect(idsOf(await list({ metadata: { mark, n: { a: 1 } } }))).toEqual([good.id]);
    expect(idsOf(await list({ ids: [good.id, gone.id] }))).toEqual([gone.id, good.id]);
    expect(idsOf(await list({ threadId, status: ['PENDING'] }))).toEqual([]);
    const { runs } = await findThread(threadId, { status: ['SUCCESS'] });
    expect(idsOf(runs)).toEqual([good.id]);
  });

  it.each([
    [{ filter: { ids: [] } }, 'filter.ids'],
    [{ filter: { ids: ['x'] } }, 'filter.ids[0]'],
    [{ filter: { threadId: 'x' } }, 'filter.threadId'],
    [{ filter: { assistantId: 'x' } }, 'filter.assistantId'],
    [{ first: 0 }, 'first'],
    [{ first: 101 }, 'first'],
    [{ after: 'x' }, 'after'],
  ])('are not searched with %j', async (variables, argument) => {
    const [error] = await server.errors(RUNS, variables);
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument });
  });
});

describe('run', () => {
  it('is null where there is none, and refuses what is no UUID', async () => {
    expect(await findRun(randomId())).toBeNull();
    const [error] = await server.errors(RUN, { id: 'no uuid' });
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'id' });
  });

  it('shows what it was asked to do', async () => {
    const threadId = await createThread();
    const { id } = await runToEnd({
      threadId,
      assistantId: 'echo',
      input: human('hello'),
      multitaskStrategy: 'REJECT',
    });
    expect(await findRun(id)).toMatchObject({
      id,
      threadId,
      thread: { id: threadId },
      input: human('hello'),
      multitaskStrategy: 'REJECT',
      attempt: 1,
    });
  });
});

describe('run.events', () => {
  const EVENTS = `query ($id: ID!, $first: Int, $after: String, $modes: [StreamMode!]) {
    run(id: $id) {
      events(first: $first, after: $after, modes: $modes) {
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        edges { cursor node { __typename id } } nodes { __typename id }
      }
    }
  }`;

  async function list(id: string, page: Record<string, unknown> = {}): Promise<any> {
    return (await server.gql(EVENTS, { id, ...page })).run.events;
  }

  it('are those that the subscription sends, page by page, and a cursor is the id of its event', async () => {
    const { id } = await runToEnd({ assistantId: 'custom', input: {} });
    const followed = (await server.follow(id)).map((event) => event.id);
    const whole = await list(id, { first: 100 });
    expect(whole.nodes.map((event: any) => event.id)).toEqual(followed);
    expect(whole.edges.map(({ cursor }: any) => cursor)).toEqual(followed);
    expect(whole.nodes.map((event: any) => event.__typename)).toEqual([
      'RunStartedEvent',
      ...Array(3).fill('CustomEvent'),
      'UpdatesEvent',
      'RunFinishedEvent',
    ]);

    const first = await list(id, { first: 2 });
    expect(first.pageInfo).toEqual({
      hasNextPage: true,
      hasPreviousPage: false,
      startCursor: followed[0],
      endCursor: followed[1],
    });
    const rest = await list(id, { after: followed[1] });
    expect(rest.nodes.map((event: any) => event.id)).toEqual(followed.slice(2));
    expect(rest.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
  });

  it('hold only the modes that are asked for, with the start and the end', async () => {
    const { id } = await runToEnd({ assistantId: 'custom', input: {} });
    const types = async (modes: string[]) =>
      (await list(id, { modes })).nodes.map((event: any) => event.__typename);
    expect(await types(['UPDATES'])).toEqual([
      'RunStartedEvent',
      'UpdatesEvent',
      'RunFinishedEvent',
    ]);
    expect(await types([])).toEqual(['RunStartedEvent', 'RunFinishedEvent']);
  });

  it('refuse a cursor that is none', async () => {
    const { id } = await runToEnd({ assistantId: 'echo', input: human('x') });
    const [error] = await server.errors(EVENTS, { id, after: 'x' });
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'after' });
  });
});
