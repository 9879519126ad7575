import { describe, expect, inject } from 'vitest';
import { raw, sql } from '../src/db/sql.ts';
import { human, randomId, until } from './support/app.ts';
import { CREATE_RUN, type RunInput } from './support/client.ts';
import { isWaitedFor } from './support/databases.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import {
  findInterruptId,
  interruptsOf,
  onlyInterrupt,
  resume,
  waitingThread,
} from './support/interrupts.ts';
import { loseAttempt, makeDue } from './support/run-times.ts';

describe('an answer', () => {
  it.for([[false], [0], [''], [null], [[]], [{}], [[1, [2]]], [{ a: null }], ['yes'], [1.5]])(
    'may be %j',
    async ([value], { client }) => {
      const threadId = await waitingThread(client, 'ask');
      const { id } = await onlyInterrupt(client, threadId);
      const run = await client.runToEnd(resume(threadId, 'ask', [{ interruptId: id, value }]));
      expect(run).toMatchObject({ status: 'SUCCESS', output: { answer: value } });
      expect(await client.getThread(threadId)).toMatchObject({ status: 'IDLE', interrupts: [] });
    },
  );

  it('needs no id where one question is open, and several do', async ({ client }) => {
    const threadId = await waitingThread(client, 'panel');
    expect(await client.refusal(resume(threadId, 'panel', [{ value: 1 }]))).toEqual({
      code: 'BAD_USER_INPUT',
      argument: 'input.command.resume[0].interruptId',
    });
    const answers = ['one', 'two'].map(async (name) => ({
      interruptId: await findInterruptId(client, threadId, name),
      value: name,
    }));
    const some = await client.runToEnd(resume(threadId, 'panel', await Promise.all(answers)));
    expect(some.status).toBe('INTERRUPTED');
    expect(await interruptsOf(client, threadId)).toMatchObject([{ value: 'three' }]);

    const last = await client.runToEnd(resume(threadId, 'panel', [{ value: 3 }]));
    expect(last).toMatchObject({
      status: 'SUCCESS',
      output: { log: ['one: "one"', 'three: 3', 'two: "two"', 'done'] },
    });
  });

  it('is not overtaken by a run that was delayed when it was given', async ({ startServer }) => {
    const { server, client } = await startServer({ workerConcurrency: 1 });
    const threadId = await waitingThread(client, 'ask');
    const gate = createGate();
    const busy = await client.startRun({ assistantId: 'gate', input: { file: gate.file } });
    await client.untilRunning(busy.id);
    const delayed = await client.startRun({
      threadId,
      assistantId: 'ask',
      input: {},
      afterSeconds: 3600,
    });
    const answering = await client.startRun(resume(threadId, 'ask', [{ value: 'yes' }]));
    await makeDue(server.app.sql, [delayed.id]);
    await gate.open();
    expect(await client.untilEnded(answering.id)).toMatchObject({
      status: 'SUCCESS',
      output: { answer: 'yes', log: ['before', 'ask'] },
    });
    expect(await client.untilEnded(delayed.id)).toMatchObject({ status: 'INTERRUPTED' });
  });

  it('is not overtaken by a delayed run whose own answer has come too late', async ({
    startServer,
  }) => {
    const { server, client } = await startServer({ workerConcurrency: 1 });
    const threadId = await waitingThread(client, 'ask');
    const delayed = await client.startRun({
      threadId,
      assistantId: 'ask',
      command: { resume: [{ value: 'late' }], goto: [{ node: 'before' }] },
      afterSeconds: 3600,
    });
    // This run asks a new question.
    await client.runToEnd({ threadId, assistantId: 'ask', input: {} });
    const gate = createGate();
    const busy = await client.startRun({ assistantId: 'gate', input: { file: gate.file } });
    await client.untilRunning(busy.id);
    const answering = await client.startRun(resume(threadId, 'ask', [{ value: 'yes' }]));
    await makeDue(server.app.sql, [delayed.id]);
    await gate.open();
    expect(await client.untilEnded(answering.id)).toMatchObject({
      status: 'SUCCESS',
      output: { answer: 'yes' },
    });
  });

  // This test takes two database sessions.
  it.skipIf(inject('database') === 'embedded')(
    'is not overtaken by a run that becomes due, and is being claimed, while it is given',
    async ({ startServer }) => {
      const { server, client } = await startServer({ workerConcurrency: 3 });
      const { sql: database } = server.app;
      const threadId = await waitingThread(client, 'ask');
      const first = await client.createThread();
      await client.runToEnd({ threadId: first, assistantId: 'echo', input: human('x') });
      const delayed = [
        await client.startRun({
          threadId: first,
          assistantId: 'echo',
          input: {},
          afterSeconds: 3600,
        }),
        await client.startRun({ threadId, assistantId: 'ask', input: {}, afterSeconds: 3600 }),
      ].map(({ id }) => id);
      // A claim reads the events of the first thread and waits there, before it reaches the second thread.
      await database.query(sql`CREATE FUNCTION stop(thread uuid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
        IF thread = '${raw(first)}' THEN PERFORM pg_advisory_xact_lock_shared(1); END IF; RETURN true; END $$`);
      await database.query(sql`ALTER TABLE "RunEvent" RENAME TO "Event"`);
      await database.query(
        sql`CREATE VIEW "RunEvent" AS SELECT * FROM "Event" WHERE stop("threadId")`,
      );
      let answered = '';
      await database.transaction(async (query) => {
        await query(sql`SELECT pg_advisory_xact_lock(1)`);
        const { answering } = await database.transaction(async (queryToo) => {
          await queryToo(sql`SELECT 1 FROM "Interrupt" WHERE "threadId" = ${threadId} FOR UPDATE`);
          const given = client.startRun(resume(threadId, 'ask', [{ value: 'yes' }]));
          await until(() => isWaitedFor(queryToo));
          await makeDue(database, delayed);
          await until(() => isWaitedFor(query));
          return { answering: given };
        });
        answered = (await answering).id;
      });
      expect(await client.untilEnded(answered)).toMatchObject({
        status: 'SUCCESS',
        output: { answer: 'yes' },
      });
    },
  );

  it('goes to the question that it names, and to no other', async ({ client }) => {
    const threadId = await waitingThread(client, 'panel');
    const interruptId = await findInterruptId(client, threadId, 'two');
    await client.runToEnd(resume(threadId, 'panel', [{ interruptId, value: 2 }]));
    expect((await interruptsOf(client, threadId)).map(({ value }) => value)).toEqual([
      'one',
      'three',
    ]);
    expect((await client.getThread(threadId)).values.log).toEqual(['two: 2']);
  });

  it('does not answer the next question of the same node, nor of the next one', async ({
    client,
  }) => {
    const threadId = await waitingThread(client, 'questions');
    const ids = new Set<string>();
    for (const name of ['first', 'second', 'third']) {
      const question = await onlyInterrupt(client, threadId);
      expect(question.value).toBe(name);
      expect((await client.getThread(threadId)).state?.next).toEqual([
        name === 'third' ? 'third' : 'both',
      ]);
      ids.add(question.id);
      const run = await client.runToEnd(
        resume(threadId, 'questions', [{ interruptId: question.id, value: name.length }]),
      );
      expect(run.status).toBe(name === 'third' ? 'SUCCESS' : 'INTERRUPTED');
    }
    expect(ids.size).toBe(3);
    expect((await client.getThread(threadId)).values.log).toEqual([
      'first: 5',
      'second: 6',
      'third: 5',
    ]);
  });

  it('goes to a subgraph, and to one of two that ask at once', async ({ client }) => {
    const threadId = await waitingThread(client, 'twins');
    const questions = await interruptsOf<{ from: string }>(client, threadId);
    expect(questions.map(({ value, node }) => [value.from, node])).toEqual([
      ['left', 'ask'],
      ['right', 'ask'],
    ]);
    const half = await client.runToEnd(
      resume(threadId, 'twins', [{ interruptId: questions[1]?.id, value: 'R' }]),
    );
    expect(half.status).toBe('INTERRUPTED');
    expect(await interruptsOf(client, threadId)).toMatchObject([{ id: questions[0]?.id }]);
    const whole = await client.runToEnd(resume(threadId, 'twins', [{ value: 'L' }]));
    expect(whole).toMatchObject({
      status: 'SUCCESS',
      output: { log: ['left: L', 'right: R'] },
    });
  });

  it('is a CONFLICT where the question is not open, for the whole list, and nothing is changed', async ({
    client,
  }) => {
    const threadId = await waitingThread(client, 'panel');
    const one = await findInterruptId(client, threadId, 'one');
    const before = await client.getThread(threadId);
    const { id: foreign } = await onlyInterrupt(client, await waitingThread(client, 'ask'));
    for (const other of [randomId(), foreign]) {
      const answers = [
        { interruptId: one, value: 1 },
        { interruptId: other, value: 2 },
      ];
      expect(await client.refusal(resume(threadId, 'panel', answers))).toEqual({
        code: 'CONFLICT',
      });
    }
    expect(await client.getThread(threadId)).toEqual(before);

    await client.runToEnd(resume(threadId, 'panel', [{ interruptId: one, value: 1 }]));
    const late = resume(threadId, 'panel', [{ interruptId: one, value: 'late' }]);
    expect(await client.refusal(late)).toEqual({ code: 'CONFLICT' });
  });

  it('is a CONFLICT where nothing is asked', async ({ client }) => {
    const threadId = await client.createThread();
    expect(await client.refusal(resume(threadId, 'ask', [{ value: 1 }]))).toEqual({
      code: 'CONFLICT',
    });
  });

  it('is given once to each question: two are bad input', async ({ client }) => {
    const threadId = await waitingThread(client, 'ask');
    const { id } = await onlyInterrupt(client, threadId);
    const twice = [
      { interruptId: id, value: 1 },
      { interruptId: id, value: 2 },
    ];
    expect(await client.refusal(resume(threadId, 'ask', twice))).toMatchObject({
      code: 'BAD_USER_INPUT',
    });
    expect(await interruptsOf(client, threadId)).toMatchObject([{ id }]);
  });

  it('is THREAD_BUSY while a run is due or running, whatever the strategy', async ({ client }) => {
    const threadId = await waitingThread(client, 'ask');
    const { id } = await onlyInterrupt(client, threadId);
    const gate = createGate();
    const busy = await client.startRun({
      threadId,
      assistantId: 'gate',
      input: { file: gate.file },
    });
    for (const multitaskStrategy of ['REJECT', 'ENQUEUE', 'INTERRUPT', 'ROLLBACK'] as const) {
      const input = resume(threadId, 'ask', [{ interruptId: id, value: 1 }], { multitaskStrategy });
      expect(await client.refusal(input)).toEqual({ code: 'THREAD_BUSY' });
    }
    await gate.open();
    await client.untilEnded(busy.id);
  });

  it('of 20 that come at once wins once, and its effect happens once', async ({ client }) => {
    const threadId = await waitingThread(client, 'ask');
    const { id } = await onlyInterrupt(client, threadId);
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        client.request(CREATE_RUN, {
          input: resume(threadId, 'ask', [{ interruptId: id, value: n }]),
        }),
      ),
    );
    const won = results.flatMap(({ data }) => data?.createRun ?? []);
    const codes = results.flatMap(
      ({ errors }) => errors?.map((error) => error.extensions['code']) ?? [],
    );
    expect(won).toHaveLength(1);
    for (const code of codes) expect(['THREAD_BUSY', 'CONFLICT']).toContain(code);
    expect(codes).toHaveLength(19);
    const wonId = won[0]?.id ?? '';
    const { output } = await client.untilEnded(wonId);
    expect(output.log).toEqual(['before', 'ask']);
    expect(results[Number(output['answer'])]?.data.createRun?.id).toBe(wonId);
  });
});

describe('an answer that no node has consumed', () => {
  it.for<[what: string, value: string, status: string, more: Partial<RunInput>]>([
    ['whose node failed', 'bad', 'ERROR', {}],
    ['whose run timed out', 'wait', 'TIMEOUT', { timeoutSeconds: 0.5 }],
  ])('is open again: one %s', async ([, value, status, more], { client }) => {
    const threadId = await waitingThread(client, 'fragile');
    const before = await interruptsOf(client, threadId);
    const run = await client.runToEnd(resume(threadId, 'fragile', [{ value }], more));
    expect(run.status).toBe(status);
    expect(await client.getThread(threadId)).toMatchObject({ status: 'ERROR', interrupts: before });

    const again = await client.runToEnd(
      resume(threadId, 'fragile', [{ interruptId: before[0]?.id, value: 'good' }]),
    );
    expect(again).toMatchObject({ status: 'SUCCESS', output: { log: ['went "good"'] } });
    expect(await client.getThread(threadId)).toMatchObject({
      status: 'IDLE',
      interrupts: [],
      error: null,
    });
  });

  it('is open again: one whose run was cancelled', async ({ client }) => {
    const threadId = await waitingThread(client, 'fragile');
    const before = await interruptsOf(client, threadId);
    const { id } = await client.startRun(resume(threadId, 'fragile', [{ value: 'wait' }]));
    await client.untilRunning(id);
    expect(await interruptsOf(client, threadId)).toEqual([]);
    await client.cancelRun(id);
    expect(await client.getThread(threadId)).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: before,
    });
    const again = await client.runToEnd(resume(threadId, 'fragile', [{ value: 'good' }]));
    expect(again).toMatchObject({ status: 'SUCCESS', output: { log: ['went "good"'] } });
  });

  it('is open again: one whose delayed run was cancelled before its time', async ({ client }) => {
    const threadId = await waitingThread(client, 'ask');
    const before = await interruptsOf(client, threadId);
    const { id } = await client.startRun(
      resume(threadId, 'ask', [{ value: 1 }], { afterSeconds: 3600 }),
    );
    expect(await interruptsOf(client, threadId)).toEqual([]);
    await client.cancelRun(id);
    expect(await client.getThread(threadId)).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: before,
    });
  });
});

describe('a run that lost its worker after an answer', () => {
  it('gives the same answer to the same question, and none to the next of the node', async ({
    client,
    server,
  }) => {
    const gate = createGate();
    const threadId = await waitingThread(client, 'questions', { hold: 'first', file: gate.file });
    const { id } = await client.startRun(resume(threadId, 'questions', [{ value: 'one' }]));
    await client.untilRunning(id);
    await loseAttempt(server, client, id);
    await gate.open();
    expect(await client.untilEnded(id)).toMatchObject({ status: 'INTERRUPTED', attempt: 2 });
    expect(await interruptsOf(client, threadId)).toMatchObject([{ value: 'second' }]);
    const next = await client.runToEnd(resume(threadId, 'questions', [{ value: 'two' }]));
    expect(next).toMatchObject({ output: { log: ['first: "one"', 'second: "two"'] } });
    expect(await interruptsOf(client, threadId)).toMatchObject([{ value: 'third' }]);
  });

  it('gives none to the question of the next node', async ({ client, server }) => {
    const gate = createGate();
    const threadId = await waitingThread(client, 'questions', { hold: 'second', file: gate.file });
    await client.runToEnd(resume(threadId, 'questions', [{ value: 1 }]));
    const { id } = await client.startRun(resume(threadId, 'questions', [{ value: 2 }]));
    await client.untilRunning(id);
    await loseAttempt(server, client, id);
    await gate.open();
    expect(await client.untilEnded(id)).toMatchObject({ status: 'INTERRUPTED' });
    expect((await client.getThread(threadId)).values.log).toEqual(['first: 1', 'second: 2']);
    expect(await interruptsOf(client, threadId)).toMatchObject([{ value: 'third' }]);
  });
});
