import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { human, until } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation, type Values } from './support/graphql.ts';
import { interruptsOf, onlyInterrupt, resume, waitingThread } from './support/interrupts.ts';
import { selectThread } from './support/select-thread.ts';

describe('what several Sends ask at once', () => {
  const JOBS = ['a', 'b', 'c', 'd'];
  const interruptsOfJobs = (client: Client, threadId: string) =>
    interruptsOf<{ job: string }>(client, threadId);

  const idOfJob = (interrupts: Awaited<ReturnType<typeof interruptsOfJobs>>, job: string) =>
    interrupts.find(({ value }) => value.job === job)?.id;

  it.for<[order: string, rounds: string[][]]>([
    ['one by one, in their order', [['a'], ['b'], ['c'], ['d']]],
    ['one by one, in another order', [['c'], ['a'], ['d'], ['b']]],
    [
      'two by two',
      [
        ['d', 'a'],
        ['b', 'c'],
      ],
    ],
    ['all at once', [['b', 'd', 'c', 'a']]],
  ])('is answered by id: %s', async ([, rounds], { client }) => {
    const threadId = await waitingThread(client, 'sendAsk', { jobs: JOBS });
    const questions = await interruptsOfJobs(client, threadId);
    expect(new Set(questions.map(({ id }) => id)).size).toBe(4);
    expect(questions.map(({ value, node }) => [value.job, node])).toEqual(
      JOBS.map((job) => [job, 'ask']),
    );
    const left = new Set(JOBS);
    for (const jobs of rounds) {
      const answers = jobs.map((job) => ({
        interruptId: idOfJob(questions, job),
        value: `for ${job}`,
      }));
      const run = await client.runToEnd(resume(threadId, 'sendAsk', answers));
      for (const job of jobs) left.delete(job);
      expect(run).toMatchObject({ status: left.size > 0 ? 'INTERRUPTED' : 'SUCCESS', error: null });
      expect(await interruptsOf(client, threadId)).toEqual(
        questions.filter(({ value }) => left.has(value.job)),
      );
    }
    expect((await client.getThread(threadId)).values.log).toEqual([
      'plan',
      ...JOBS.map((job) => `${job}: "for ${job}"`),
      'done',
    ]);
  });

  it('needs an id each, and none where one is left', async ({ client }) => {
    const threadId = await waitingThread(client, 'sendAsk', { jobs: ['a', 'b'] });
    expect(await client.refusal(resume(threadId, 'sendAsk', [{ value: 1 }]))).toMatchObject({
      code: 'BAD_USER_INPUT',
    });
    const interruptId = idOfJob(await interruptsOfJobs(client, threadId), 'b');
    await client.runToEnd(resume(threadId, 'sendAsk', [{ interruptId, value: 2 }]));
    const last = await client.runToEnd(resume(threadId, 'sendAsk', [{ value: 1 }]));
    expect(last.output.log).toEqual(['plan', 'a: 1', 'b: 2', 'done']);
  });
});

describe('what a tool asks', () => {
  const toolContents = (values: Values) =>
    values.messages.filter(({ type }) => type === 'tool').map(({ content }) => content);

  it.for([[false], [null], [{ approved: [] }], ['yes']])(
    'goes on with the answer %j, as what the tool says',
    async ([value], { client }) => {
      const threadId = await waitingThread(client, 'toolAsk', human('ada'));
      const question = await onlyInterrupt(client, threadId);
      expect(question).toMatchObject({ value: { question: 'Send?', to: 'ada' }, node: 'tools' });
      const run = await client.runToEnd(
        resume(threadId, 'toolAsk', [{ interruptId: question.id, value }]),
      );
      expect(run.status).toBe('SUCCESS');
      expect(toolContents(run.output)).toEqual([`Mail to ada: ${JSON.stringify(value)}`]);
    },
  );

  it('comes one call after the other, each with an id of its own', async ({ client }) => {
    const threadId = await waitingThread(client, 'toolAsk', human('ada bob eve'));
    const ids = new Set<string>();
    for (const to of ['ada', 'bob', 'eve']) {
      const question = await onlyInterrupt<{ to: string }>(client, threadId);
      expect(question.value.to).toBe(to);
      ids.add(question.id);
      await client.runToEnd(
        resume(threadId, 'toolAsk', [{ interruptId: question.id, value: `yes, ${to}` }]),
      );
    }
    expect(ids.size).toBe(3);
    const thread = await client.getThread(threadId);
    expect(thread).toMatchObject({ status: 'IDLE', interrupts: [] });
    expect(toolContents(thread.values)).toEqual(
      ['ada', 'bob', 'eve'].map((to) => `Mail to ${to}: "yes, ${to}"`),
    );
  });
});

describe('what a task of the functional API asks', () => {
  it('has an id for each question, and an answer goes to one of them', async ({ client }) => {
    const threadId = await waitingThread(client, 'taskAsk');
    const ids = new Set<string>();
    for (const question of ['a 1', 'a 2', 'b 1', 'b 2']) {
      const { id, value } = await onlyInterrupt(client, threadId);
      expect(value).toBe(question);
      ids.add(id);
      const input = resume(threadId, 'taskAsk', [{ interruptId: id, value: question }]);
      expect(await client.runToEnd(input)).toMatchObject({ error: null });
      expect(await client.refusal(input)).toEqual({ code: 'CONFLICT' });
    }
    expect(ids.size).toBe(4);
    expect(await client.getThread(threadId)).toMatchObject({
      status: 'IDLE',
      interrupts: [],
      values: ['a 1: "a 1"', 'a 2: "a 2"', 'b 1: "b 1"', 'b 2: "b 2"'],
    });
  });
});

describe('interrupt(null)', () => {
  it.for(['by its id', 'as the only one'])(
    'is a question like any other, whose value is null: answered %s',
    async (how, { client }) => {
      const threadId = await waitingThread(client, 'askNull');
      const question = await onlyInterrupt(client, threadId);
      expect(question).toMatchObject({ value: null, node: 'ask' });
      const { thread, pendingInterrupts } = await client.gql(
        operation(`query ($id: ID!) {
          thread(id: $id) { status state { interrupts { id value } tasks { interrupts { id value } } } }
          pendingInterrupts(graphId: "askNull", first: 100) { nodes { id value } }
        }`),
        { id: threadId },
      );
      const shown = { id: question.id, value: null };
      expect(thread).toEqual({
        status: 'INTERRUPTED',
        state: { interrupts: [shown], tasks: [{ interrupts: [shown] }] },
      });
      expect(pendingInterrupts.nodes).toContainEqual(shown);
      const answer = { value: null, ...(how === 'by its id' && { interruptId: question.id }) };
      const run = await client.runToEnd(resume(threadId, 'askNull', [answer]));
      expect(run).toMatchObject({ status: 'SUCCESS', output: { log: ['ask'], answer: null } });
    },
  );
});

describe('a question', () => {
  it('is told in the events, on the run, the task, the checkpoint and the thread, with one id', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const run = await client.runToEnd({ threadId, assistantId: 'ask', input: {} });
    const { id } = await onlyInterrupt(client, threadId);
    const events = await client.follow(run.id);
    const asked = events.find((event) => event.__typename === 'InterruptEvent');
    expect(asked?.interrupts).toMatchObject([{ id, value: { question: 'Go on?' }, node: 'ask' }]);
    expect((await client.getRun(run.id)).interrupts).toMatchObject([{ id }]);
    const { state } = await selectThread(
      client,
      threadId,
      'state { interrupts { id } tasks { name interrupts { id } } }',
    );
    expect(state).toEqual({
      interrupts: [{ id }],
      tasks: [{ name: 'ask', interrupts: [{ id }] }],
    });
  });

  it('goes with plain input; the run that follows asks anew', async ({ client }) => {
    const threadId = await waitingThread(client, 'ask');
    const { id } = await onlyInterrupt(client, threadId);
    const run = await client.runToEnd({ threadId, assistantId: 'ask', input: { log: ['again'] } });
    expect(run.status).toBe('INTERRUPTED');
    const other = await onlyInterrupt(client, threadId);
    expect(other.id).not.toBe(id);
    expect(await client.refusal(resume(threadId, 'ask', [{ interruptId: id, value: 1 }]))).toEqual({
      code: 'CONFLICT',
    });
  });

  it('goes with the input of a run that fails since what its nodes wrote does not fit together', async ({
    client,
  }) => {
    const threadId = await waitingThread(client, 'ask');
    const { id } = await onlyInterrupt(client, threadId);
    const run = await client.runToEnd({ threadId, assistantId: 'clash', input: {} });
    expect(run).toMatchObject({ status: 'ERROR', error: { name: 'InvalidUpdateError' } });
    expect(await selectThread(client, threadId, 'status interrupts { id }')).toEqual({
      status: 'ERROR',
      interrupts: [],
    });
    expect(await client.refusal(resume(threadId, 'ask', [{ interruptId: id, value: 1 }]))).toEqual({
      code: 'CONFLICT',
    });
  });

  it('stays open, as the same, when a run goes on without an answer', async ({ client }) => {
    const threadId = await waitingThread(client, 'ask');
    const before = await interruptsOf(client, threadId);
    const run = await client.runToEnd({ threadId, assistantId: 'ask' });
    expect(run.status).toBe('INTERRUPTED');
    expect(await interruptsOf(client, threadId)).toEqual(before);
  });

  it("of a copied thread is the copy's own, and is answered once on each", async ({ client }) => {
    const threadId = await waitingThread(client, 'ask');
    const { id } = await onlyInterrupt(client, threadId);
    const { copyThread: copy } = await client.gql(
      operation(
        `mutation ($id: ID!) { copyThread(id: $id) { id status interrupts { id value } } }`,
      ),
      { id: threadId },
    );
    expect(copy).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [{ value: { question: 'Go on?' } }],
    });
    expect(copy.interrupts[0]?.id).not.toBe(id);
    expect(await client.refusal(resume(copy.id, 'ask', [{ interruptId: id, value: 1 }]))).toEqual({
      code: 'CONFLICT',
    });
    for (const [thread, value] of [
      [copy.id, 'copy'],
      [threadId, 'source'],
    ] as const) {
      const run = await client.runToEnd(resume(thread, 'ask', [{ value }]));
      expect(run).toMatchObject({ status: 'SUCCESS', output: { answer: value } });
    }
  });

  describe('that a run of a copied thread is to answer', () => {
    it("is open in the copy: the copy's answer is its own", async ({ client }) => {
      const threadId = await waitingThread(client, 'ask');
      const delayed = await client.startRun(
        resume(threadId, 'ask', [{ value: 'source' }], { afterSeconds: 3600 }),
      );
      const copy = await client.copyThread(threadId);
      expect(await client.getThread(copy)).toMatchObject({
        status: 'INTERRUPTED',
        interrupts: [{ value: { question: 'Go on?' } }],
      });
      expect(await client.runToEnd(resume(copy, 'ask', [{ value: 'copy' }]))).toMatchObject({
        status: 'SUCCESS',
        output: { answer: 'copy' },
      });
      await client.cancelRun(delayed.id);
      expect(await interruptsOf(client, copy)).toEqual([]);
      expect(await interruptsOf(client, threadId)).toHaveLength(1);
    });

    it('is open in the copy where a node is at work with the answer', async ({
      client,
      server,
    }) => {
      const gate = createGate();
      const threadId = await waitingThread(client, 'askAtGate', { file: gate.file });
      const answering = await client.startRun(resume(threadId, 'askAtGate', [{ value: 'source' }]));
      await until(async () => {
        const rows = await server.app.sql.query(
          sql`SELECT FROM "CheckpointWrite" WHERE "threadId" = ${threadId} AND "channel" = '__resume__'`,
        );
        return rows.length > 0;
      });
      const copy = await client.copyThread(threadId);
      expect(await interruptsOf(client, copy)).toHaveLength(1);
      await gate.open();
      for (const [run, answer] of [
        [await client.untilEnded(answering.id), 'source'],
        [await client.runToEnd(resume(copy, 'askAtGate', [{ value: 'copy' }])), 'copy'],
      ]) {
        expect(run).toMatchObject({ status: 'SUCCESS', output: { answer } });
      }
    });

    it('is not opened in a copy that has gone on', async ({ client }) => {
      const threadId = await waitingThread(client, 'ask');
      const delayed = await client.startRun(
        resume(threadId, 'ask', [{ value: 'source' }], { afterSeconds: 3600 }),
      );
      const copy = await client.copyThread(threadId);
      await client.gql(
        operation(`mutation ($id: ID!) {
          updateThreadState(id: $id, input: { values: { answer: "by hand" }, asNode: "ask" }) { next }
        }`),
        { id: copy },
      );
      await client.cancelRun(delayed.id);
      expect(await client.getThread(copy)).toMatchObject({ status: 'IDLE', interrupts: [] });
    });

    it('is not shown as asked by the run that asked in the other thread', async ({ client }) => {
      const threadId = await client.createThread();
      const run = await client.runToEnd({ threadId, assistantId: 'ask', input: {} });
      await client.copyThread(threadId);
      expect((await client.getRun(run.id)).interrupts).toEqual(
        (await interruptsOf(client, threadId)).map(({ id, value }) => ({ id, value })),
      );
    });
  });

  it('of interruptBefore is none: a run without input goes on', async ({ client }) => {
    const threadId = await client.createThread();
    const stopped = await client.runToEnd({
      threadId,
      assistantId: 'steps',
      input: {},
      interruptBefore: ['step3'],
    });
    expect(stopped).toMatchObject({ status: 'INTERRUPTED', output: { log: ['step1', 'step2'] } });
    expect(await client.getThread(threadId)).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [],
      state: { next: ['step3'] },
    });
    expect(await client.runToEnd({ threadId, assistantId: 'steps' })).toMatchObject({
      status: 'SUCCESS',
    });
  });
});
