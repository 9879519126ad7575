import { describe, expect, vi } from 'vitest';
import { raw, sql } from '../src/db/sql.ts';
import { human, randomId, until } from './support/app.ts';
import { CREATE_RUN, type Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { contentsOf, operation } from './support/graphql.ts';
import { intercept } from './support/queries.ts';

const PLACES = ['on a thread', 'without one'] as const;

const threadAt = (client: Client, place: (typeof PLACES)[number]) =>
  place === 'on a thread' ? client.createThread() : null;

describe('createRun', () => {
  const RUN_FIELDS = operation(`
    fragment Run on Run @_unmask {
      id
      status
      threadId
      thread { id }
      assistantId
      input
      config
      context
      metadata
      multitaskStrategy
      attempt
      output
      interrupts { id }
      error { name message }
      createdAt
      startedAt
      finishedAt
    }
  `);

  it('runs a graph on a thread, waits for it, and leaves its state', async ({ client }) => {
    const threadId = await client.createThread();
    const run = await client.runToEnd({ threadId, assistantId: 'echo', input: human('hello') });
    expect(run).toMatchObject({ status: 'SUCCESS', threadId, error: null });
    expect(contentsOf(run.output)).toEqual(['hello', 'echo: hello']);
    const thread = await client.getThread(threadId);
    expect(thread).toMatchObject({ status: 'IDLE', error: null });
    expect(thread.values).toEqual(run.output);
  });

  it.for(PLACES)(
    'shows whoever waited the run as it is from then on: %s',
    async (place, { client }) => {
      const { createRun: waited } = await client.gql(
        operation(
          `mutation ($input: CreateRunInput!) { createRun(input: $input, wait: true) { ...Run } }`,
          [RUN_FIELDS],
        ),
        {
          input: {
            threadId: await threadAt(client, place),
            assistantId: 'echo',
            input: human('Hello'),
            metadata: { at: 'once' },
          },
        },
      );
      expect(waited).toMatchObject({ status: 'SUCCESS', attempt: 1, metadata: { at: 'once' } });
      const { run } = await client.gql(
        operation(`query ($id: ID!) { run(id: $id) { ...Run } }`, [RUN_FIELDS]),
        { id: waited.id },
      );
      expect(run).toEqual(waited);
    },
  );

  it.for(PLACES)(
    'shows whoever waited the output as it was stored: %s',
    async (place, { client }) => {
      const threadId = await threadAt(client, place);
      const waited = await client.runToEnd({
        threadId,
        assistantId: 'renamed',
        input: { value: null },
      });
      expect(waited.output).toEqual({ value: { name: 'Ghost', message: 'Boo!' } });
      expect((await client.getRun(waited.id)).output).toEqual(waited.output);
    },
  );

  it.for(PLACES)(
    'shows whoever waited that there is no output, too: %s',
    async (place, { client }) => {
      const threadId = await threadAt(client, place);
      const waited = await client.runToEnd({ threadId, assistantId: 'nothing', input: {} });
      expect(waited).toMatchObject({ status: 'SUCCESS' });
      expect((await client.getRun(waited.id)).output).toEqual(waited.output);
    },
  );

  it('takes three statements where nothing is in its way: one accepts it, one claims it, one stores all that it did', async ({
    startServer,
  }) => {
    const { server, client } = await startServer();
    const { sql: database } = server.app;
    const { query } = database;
    let texts: string[] = [];
    database.query = intercept(query, ({ text }, send) => {
      texts.push(text);
      return send();
    });
    const isOfRun = (text: string) =>
      text.includes('INSERT INTO "Run"') || text.includes('"claimToken"');
    // A regular poll of the worker may run in between: try again.
    const taken = await until(async () => {
      texts = [];
      const input = { assistantId: 'echo', input: human('x'), onCompletion: 'KEEP' as const };
      await client.runToEnd(input);
      const taken = texts.filter(isOfRun);
      return taken.length === 3 ? taken : undefined;
    });
    expect(taken).toEqual([
      expect.stringContaining('INSERT INTO "Run"'),
      expect.stringContaining('SKIP LOCKED'),
      expect.stringContaining('INSERT INTO "Checkpoint"'),
    ]);
  });

  it('returns at once without wait: the run goes on by itself', async ({ client }) => {
    const gate = createGate();
    const threadId = await client.createThread();
    const { id, status, output } = await client.startRun({
      threadId,
      assistantId: 'gate',
      input: { file: gate.file },
    });
    expect(['PENDING', 'RUNNING']).toContain(status);
    expect(output).toBeNull();
    await client.untilRunning(id);
    expect(await client.getThread(threadId)).toMatchObject({ status: 'BUSY' });
    expect(await client.getRun(id)).toMatchObject({ output: null, finishedAt: null, attempt: 1 });

    await gate.open();
    const run = await client.untilEnded(id);
    expect(run).toMatchObject({ status: 'SUCCESS', output: { log: ['before', 'hold', 'after'] } });
    const shown = await client.gql(
      operation(`query ($id: ID!) { run(id: $id) { createdAt startedAt finishedAt } }`),
      { id },
    );
    const { createdAt = '', startedAt, finishedAt } = shown.run ?? {};
    if (!startedAt || !finishedAt) expect.fail('The run has no times.');
    expect(createdAt <= startedAt && startedAt <= finishedAt).toBe(true);
  });

  it('goes on from the state as it is when there is no input', async ({ client }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'fail', input: { fail: true } });
    const run = await client.runToEnd({ threadId, assistantId: 'fail' });
    const updates = (await client.follow(run.id)).filter(
      ({ __typename }) => __typename === 'UpdatesEvent',
    );
    expect(run).toMatchObject({
      status: 'ERROR',
      error: { message: 'Boo!' },
      output: { log: ['a'] },
    });
    expect(updates).toEqual([]);
  });

  it.for(['SYNC', 'ASYNC', 'EXIT'] as const)(
    'gives the same output under durability %s',
    async (durability, { client }) => {
      const threadId = await client.createThread();
      const run = await client.runToEnd({
        threadId,
        assistantId: 'steps',
        input: { log: ['in'] },
        durability,
      });
      const log = ['in', ...Array.from({ length: 10 }, (_, n) => `step${n + 1}`)];
      expect(run).toMatchObject({ status: 'SUCCESS', output: { log } });
      expect((await client.getThread(threadId)).values).toEqual({ log });
      const again = await client.runToEnd({
        threadId,
        assistantId: 'steps',
        input: { log: [] },
        durability,
      });
      expect(again.output.log).toHaveLength(21);
    },
  );

  it('gives an unfinished run as it is when WAIT_SECONDS are over', async ({ startServer }) => {
    const { client } = await startServer({ waitSeconds: 1 });
    const gate = createGate();
    const input = { assistantId: 'gate', input: { file: gate.file } };
    const { id, status } = await client.runToEnd(input);
    expect(status).toBe('RUNNING');
    await gate.open();
    const events = await client.follow(id);
    expect(events.at(-1)).toMatchObject({ status: 'SUCCESS' });
  });

  it('needs no poll: with every timer stopped, runs start, follow each other and end', async ({
    client,
  }) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval'] });
    try {
      const threadId = await client.createThread();
      for (let n = 0; n < 5; n++)
        await client.runToEnd({ threadId, assistantId: 'echo', input: human(`${n}`) });
      const runs = await Promise.all(
        Array.from({ length: 5 }, () =>
          client.runToEnd({ threadId, assistantId: 'echo', input: human('queued') }),
        ),
      );
      expect(runs.map(({ status }) => status)).toEqual(Array(5).fill('SUCCESS'));
    } finally {
      vi.useRealTimers();
    }
  });

  it('refuses what cannot run, and leaves nothing', async ({ client }) => {
    const threadId = await client.createThread();
    const [echo, unknown] = [{ threadId, assistantId: 'echo', input: human('x') }, randomId()];
    expect(await client.refusal({ ...echo, threadId: unknown })).toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(await client.refusal({ ...echo, assistantId: unknown })).toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(await client.refusal({ ...echo, threadId: 'no uuid' })).toEqual({
      code: 'BAD_USER_INPUT',
      argument: 'input.threadId',
    });
    expect(await client.refusal({ ...echo, assistantId: 'no such graph' })).toMatchObject({
      code: expect.stringMatching(/NOT_FOUND|BAD_USER_INPUT/),
    });
    expect(
      await client.refusal({ threadId, assistantId: 'strict', input: { count: 'one' } }),
    ).toEqual({
      code: 'BAD_USER_INPUT',
      argument: 'input.input',
    });
    const { runs, status, values, error } = await client.getThread(threadId);
    expect({ status, values, error }).toEqual({ status: 'IDLE', values: {}, error: null });
    expect(runs.totalCount).toBe(0);
  });

  it('takes an input that the schema of the graph takes', async ({ client }) => {
    const run = await client.runToEnd({ assistantId: 'strict', input: { count: 41 } });
    expect(run).toMatchObject({ status: 'SUCCESS', output: { count: 42 } });
  });
});

describe('a stateless run', () => {
  it.for(['a graph id', 'a UUID'])(
    'finds its assistant by %s, and leaves no thread',
    async (by, { client }) => {
      const { assistant } = await client.gql(operation(`{ assistant(id: "echo") { id } }`));
      const uuid = assistant?.id ?? expect.fail('Graph echo has no default assistant.');
      const assistantId = by === 'a UUID' ? uuid : 'echo';
      const run = await client.runToEnd({ assistantId, input: human('hello') });
      expect(run).toMatchObject({ status: 'SUCCESS', threadId: null });
      expect(contentsOf(run.output)).toEqual(['hello', 'echo: hello']);
      const shown = await client.gql(
        operation(`query ($id: ID!) { run(id: $id) { thread { id } assistantId output } }`),
        { id: run.id },
      );
      expect(shown.run).toEqual({ thread: null, assistantId: uuid, output: run.output });
    },
  );

  it('leaves no thread when it fails, and its output is what it got to', async ({ client }) => {
    const run = await client.runToEnd({ assistantId: 'fail', input: { fail: true } });
    expect(run).toMatchObject({
      status: 'ERROR',
      threadId: null,
      output: { log: ['a'], fail: true },
    });
  });

  it('leaves nothing in the database but the run and its events', async ({ client, server }) => {
    const { id } = await client.startRun({ assistantId: 'echo', input: human('hello') });
    await client.untilEnded(id);
    const [event] = await server.app.sql.query<{ threadId: string }>(
      sql`SELECT "threadId" FROM "RunEvent" WHERE "runId" = ${id}`,
    );
    const threadId = event?.threadId ?? '';
    for (const table of [
      'Checkpoint',
      'CheckpointHead',
      'CheckpointWrite',
      'ChannelValue',
      'ChannelItem',
      'Interrupt',
    ]) {
      expect(
        await server.app.sql.query(
          sql`SELECT 1 FROM ${raw(`"${table}"`)} WHERE "threadId" = ${threadId}`,
        ),
      ).toEqual([]);
    }
    expect(await client.findThread(threadId)).toBeNull();
  });

  it('keeps its thread with onCompletion KEEP: another run can go on there', async ({ client }) => {
    const first = await client.runToEnd({
      assistantId: 'echo',
      input: human('one'),
      onCompletion: 'KEEP',
    });
    const threadId = first.threadId ?? expect.fail('The thread is gone.');
    expect((await client.getThread(threadId)).values).toEqual(first.output);
    const second = await client.runToEnd({
      threadId,
      assistantId: 'echo',
      input: human('two'),
    });
    expect(contentsOf(second.output)).toEqual(['one', 'echo: one', 'two', 'echo: two']);
  });
});

describe('a run that fails', () => {
  it('tells the class and the message, keeps the earlier state, and the next run works', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'fail', input: { fail: false } });
    const failed = await client.runToEnd({ threadId, assistantId: 'fail', input: { fail: true } });
    const error = { name: 'CustomError', message: 'Boo!' };
    expect(failed).toMatchObject({ status: 'ERROR', error, output: { log: ['a', 'b', 'a'] } });
    expect(await client.getThread(threadId)).toMatchObject({
      status: 'ERROR',
      error,
      values: { log: ['a', 'b', 'a'] },
    });

    const next = await client.runToEnd({ threadId, assistantId: 'fail', input: { fail: false } });
    expect(next).toMatchObject({
      status: 'SUCCESS',
      error: null,
      output: { log: ['a', 'b', 'a', 'a', 'b'] },
    });
    expect(await client.getThread(threadId)).toMatchObject({ status: 'IDLE', error: null });
  });

  it.for<[string, string, string]>([
    // LangGraph sets a property on each caught error. A text or undefined takes none: TypeError.
    ['text', 'TypeError', 'Just text.'],
    ['nothing', 'TypeError', 'undefined'],
    ['object', 'Error', 'code: 7'],
    ['bare', 'Error', 'null prototype'],
  ])('also where it throws no Error: %s', async ([what, name, part], { client }) => {
    expect(await client.runToEnd({ assistantId: 'boom', input: { what } })).toMatchObject({
      status: 'ERROR',
      error: { name, message: expect.stringContaining(part) },
    });
  });

  it('tells the first 2,000 characters of a long message', async ({ client }) => {
    const { error } = await client.runToEnd({ assistantId: 'boom', input: { what: 'long' } });
    expect(error).toEqual({ name: 'RangeError', message: `${'x'.repeat(1999)}…` });
  });

  it('tells why the function that langgraph.json names made no graph', async ({ client }) => {
    const threadId = await client.createThread();
    const run = await client.runToEnd({ threadId, assistantId: 'broken', input: { any: 'thing' } });
    expect(run).toMatchObject({
      status: 'ERROR',
      error: { name: 'CustomError', message: 'No graph today.' },
    });
    expect(await client.getThread(threadId)).toMatchObject({ status: 'ERROR' });
  });

  it('lets the runs that wait behind it go on', async ({ client }) => {
    const threadId = await client.createThread();
    const gate = createGate();
    await client.startRun({ threadId, assistantId: 'gate', input: { file: gate.file } });
    const failing = await client.startRun({ threadId, assistantId: 'fail', input: { fail: true } });
    const next = await client.startRun({ threadId, assistantId: 'fail', input: { fail: false } });
    await gate.open();
    expect(await client.untilEnded(failing.id)).toMatchObject({ status: 'ERROR' });
    expect(await client.untilEnded(next.id)).toMatchObject({ status: 'SUCCESS' });
    expect(await client.getThread(threadId)).toMatchObject({ status: 'IDLE', error: null });
  });
});

describe('a run on a busy thread', () => {
  const RUNS_OF_THREAD = operation(`query ($id: ID!) {
    thread(id: $id) { runs(first: 100) { totalCount nodes { id status startedAt finishedAt } } }
  }`);

  const timeOf = (time: string | null | undefined) => Date.parse(time ?? '');

  async function busyThread(client: Client) {
    const gate = createGate();
    const threadId = await client.createThread();
    const { id } = await client.startRun({
      threadId,
      assistantId: 'gate',
      input: { file: gate.file },
    });
    await client.untilRunning(id);
    return { gate, threadId, id };
  }

  it('is refused with REJECT, and leaves nothing', async ({ client }) => {
    const { gate, threadId, id } = await busyThread(client);
    const rejected = {
      threadId,
      assistantId: 'echo',
      input: human('x'),
      multitaskStrategy: 'REJECT' as const,
    };
    expect(await client.refusal(rejected)).toEqual({ code: 'THREAD_BUSY' });
    const { runs } = await client.getThread(threadId);
    expect(runs.nodes).toMatchObject([{ id, status: 'RUNNING' }]);

    await gate.open();
    expect(await client.untilEnded(id)).toMatchObject({ status: 'SUCCESS' });
    expect(await client.runToEnd(rejected)).toMatchObject({ status: 'SUCCESS' });
  });

  it('waits its turn with ENQUEUE, and sees what the one before left', async ({ client }) => {
    const { gate, threadId, id } = await busyThread(client);
    const one = await client.startRun({ threadId, assistantId: 'echo', input: human('one') });
    const two = await client.startRun({ threadId, assistantId: 'echo', input: human('two') });
    expect(await client.getRun(one.id)).toMatchObject({
      status: 'PENDING',
      startedAt: null,
      attempt: 0,
    });
    await gate.open();
    expect(contentsOf((await client.untilEnded(two.id)).output)).toEqual([
      'one',
      'echo: one',
      'two',
      'echo: two',
    ]);
    expect(contentsOf((await client.getRun(one.id)).output)).toEqual(['one', 'echo: one']);
    const { runs, status } = await client.getThread(threadId);
    expect(status).toBe('IDLE');
    expect(runs.nodes.map((run) => run.id)).toEqual([two.id, one.id, id]);
  });

  it('is accepted once when 50 ask at once with REJECT', async ({ client }) => {
    const gate = createGate();
    const threadId = await client.createThread();
    const input = {
      threadId,
      assistantId: 'gate',
      input: { file: gate.file },
      multitaskStrategy: 'REJECT' as const,
    };
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => client.request(CREATE_RUN, { input })),
    );
    const accepted = answers.flatMap(({ data }) => data?.createRun?.id ?? []);
    const codes = answers.flatMap(
      ({ errors }) => errors?.map(({ extensions }) => extensions['code']) ?? [],
    );
    expect(accepted).toHaveLength(1);
    expect(codes).toEqual(Array(49).fill('THREAD_BUSY'));
    expect((await client.getThread(threadId)).runs).toMatchObject({ totalCount: 1 });
    await gate.open();
    expect(await client.untilEnded(String(accepted[0]))).toMatchObject({ status: 'SUCCESS' });
  });

  it('has its turn when 50 ask at once with ENQUEUE: all run, in the order of acceptance, one at a time', async ({
    client,
  }) => {
    const { gate, threadId } = await busyThread(client);
    const accepted = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        client.startRun({ threadId, assistantId: 'echo', input: human(`${n}`) }),
      ),
    );
    await gate.open();
    await Promise.all(accepted.map(({ id }) => client.untilEnded(id)));

    const { thread } = await client.gql(RUNS_OF_THREAD, { id: threadId });
    const { values, status } = await client.getThread(threadId);
    expect(status).toBe('IDLE');
    expect(thread?.runs.totalCount).toBe(51);
    const inOrder = (thread?.runs.nodes ?? []).toReversed();
    expect(inOrder.map((run) => run.status)).toEqual(Array(51).fill('SUCCESS'));
    for (const [n, run] of inOrder.slice(1).entries()) {
      expect(timeOf(run.startedAt)).toBeGreaterThanOrEqual(timeOf(inOrder[n]?.finishedAt));
    }
    const askedBy = new Map(accepted.map(({ id }, n) => [id, `${n}`]));
    const asked = inOrder.slice(1).map(({ id }) => askedBy.get(id));
    expect(contentsOf(values)).toEqual(asked.flatMap((text) => [text, `echo: ${text}`]));
  });

  it('does not wait for other threads: as many run at once as WORKER_CONCURRENCY says', async ({
    startServer,
  }) => {
    const { client } = await startServer({ workerConcurrency: 3 });
    const gate = createGate();
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) {
      const input = { assistantId: 'gate', input: { file: gate.file } };
      ids.push((await client.startRun(input)).id);
    }
    const statuses = async () => {
      const { runs } = await client.gql(
        operation(`query ($ids: [ID!]) { runs(filter: { ids: $ids }) { nodes { status } } }`),
        { ids },
      );
      return runs.nodes.map(({ status }) => status).toReversed();
    };
    const full = ['RUNNING', 'RUNNING', 'RUNNING', 'PENDING', 'PENDING'];
    await until(async () => (await statuses()).join() === full.join());
    await gate.open();
    for (const id of ids)
      expect((await client.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
  });

  it('stays PENDING where WORKER_CONCURRENCY is 0', async ({ startServer }) => {
    const { client } = await startServer({ workerConcurrency: 0 });
    const { id } = await client.startRun({ assistantId: 'echo', input: human('x') });
    expect(await client.getRun(id)).toMatchObject({ status: 'PENDING', attempt: 0 });
  });
});
