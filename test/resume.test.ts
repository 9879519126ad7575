import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import {
  CREATE_RUN,
  createTestApp,
  human,
  randomId,
  startTestServer,
  until,
  type TestApp,
} from './support/app.ts';
import type { Sql } from '../src/db/query.ts';
import { createTestDatabase, isWaitedFor } from './support/databases.ts';
import { openRunDoor, type RunDoor } from './support/run-door.ts';
import { createTwoServers, SEVERAL_STARTS_MS } from './support/servers.ts';

let server: TestApp;
let door: RunDoor;
beforeAll(async () => {
  server = await createTestApp();
  door = await openRunDoor(server);
});
afterAll(async () => {
  await server.stop();
  await door[Symbol.asyncDispose]();
});

/** A thread whose graph waits for a person. */
async function waitingThread(assistantId: string, input: unknown = {}): Promise<string> {
  const threadId = await door.createThread();
  const run = await door.runToEnd({ threadId, assistantId, input });
  expect(run).toMatchObject({ status: 'INTERRUPTED', error: null });
  return threadId;
}

const open = async (threadId: string) => (await door.thread(threadId)).interrupts;

async function idOf(threadId: string, value: unknown): Promise<string> {
  return (await open(threadId)).find((each: any) => each.value === value)?.id;
}

const resume = (threadId: string, assistantId: string, answers: unknown[], more = {}) => ({
  threadId,
  assistantId,
  command: { resume: answers },
  ...more,
});

/** Lets another attempt have the run, as after a crash. */
async function lose(runId: string): Promise<void> {
  const { attempt } = await door.run(runId);
  await until(async () => {
    // Each time: its worker may just have renewed it.
    await server.app.sql.query(
      `UPDATE "Run" SET "leaseExpiresAt" = now() - interval '1 second' WHERE "id" = $1 AND "attempt" = $2`,
      [runId, attempt],
    );
    return (await door.run(runId)).attempt > attempt;
  });
}

/** What was delayed is due now. */
async function makeDue({ query }: Sql, runIds: string[]): Promise<void> {
  await query(`UPDATE "Run" SET "dueAt" = now() WHERE "id" = ANY($1::uuid[])`, [runIds]);
}

describe('an answer', () => {
  it.each([[false], [0], [''], [null], [[]], [{}], [[1, [2]]], [{ a: null }], ['yes'], [1.5]])(
    'may be %j',
    async (value) => {
      const threadId = await waitingThread('ask');
      const [{ id }] = await open(threadId);
      const run = await door.runToEnd(resume(threadId, 'ask', [{ interruptId: id, value }]));
      expect(run).toMatchObject({ status: 'SUCCESS', output: { answer: value } });
      expect(await door.thread(threadId)).toMatchObject({ status: 'IDLE', interrupts: [] });
    },
  );

  it('needs no id where one question is open, and several do', async () => {
    const threadId = await waitingThread('panel');
    expect(await door.refusal(resume(threadId, 'panel', [{ value: 1 }]))).toEqual({
      code: 'BAD_USER_INPUT',
      argument: 'input.command.resume[0].interruptId',
    });
    const answers = ['one', 'two'].map(async (name) => ({
      interruptId: await idOf(threadId, name),
      value: name,
    }));
    const some = await door.runToEnd(resume(threadId, 'panel', await Promise.all(answers)));
    expect(some.status).toBe('INTERRUPTED');
    expect(await open(threadId)).toMatchObject([{ value: 'three' }]);

    const last = await door.runToEnd(resume(threadId, 'panel', [{ value: 3 }]));
    expect(last).toMatchObject({
      status: 'SUCCESS',
      output: { log: ['one: "one"', 'three: 3', 'two: "two"', 'done'] },
    });
  });

  it('is not overtaken by a run that was delayed when it was given', async () => {
    await using small = await createTestApp({ workerConcurrency: 1 });
    await using own = await openRunDoor(small);
    const threadId = await own.createThread();
    await own.runToEnd({ threadId, assistantId: 'ask', input: {} });
    const { file, open: openGate } = own.closedGate();
    const busy = await own.start({ assistantId: 'gate', input: { file } });
    await own.running(busy.id);
    const delayed = await own.start({
      threadId,
      assistantId: 'ask',
      input: {},
      afterSeconds: 3600,
    });
    const answering = await own.start(resume(threadId, 'ask', [{ value: 'yes' }]));
    await makeDue(small.app.sql, [delayed.id]);
    await openGate();
    expect(await own.ended(answering.id)).toMatchObject({
      status: 'SUCCESS',
      output: { answer: 'yes', log: ['before', 'ask'] },
    });
    expect(await own.ended(delayed.id)).toMatchObject({ status: 'INTERRUPTED' });
  });

  it('is not overtaken by a delayed run whose own answer has come too late', async () => {
    await using small = await createTestApp({ workerConcurrency: 1 });
    await using own = await openRunDoor(small);
    const threadId = await own.createThread();
    await own.runToEnd({ threadId, assistantId: 'ask', input: {} });
    const delayed = await own.start({
      threadId,
      assistantId: 'ask',
      command: { resume: [{ value: 'late' }], goto: [{ node: 'before' }] },
      afterSeconds: 3600,
    });
    // Which asks anew.
    await own.runToEnd({ threadId, assistantId: 'ask', input: {} });
    const { file, open: openGate } = own.closedGate();
    const busy = await own.start({ assistantId: 'gate', input: { file } });
    await own.running(busy.id);
    const answering = await own.start(resume(threadId, 'ask', [{ value: 'yes' }]));
    await makeDue(small.app.sql, [delayed.id]);
    await openGate();
    expect(await own.ended(answering.id)).toMatchObject({
      status: 'SUCCESS',
      output: { answer: 'yes' },
    });
  });

  // It takes two sessions.
  it.skipIf(inject('database') === 'embedded')(
    'is not overtaken by a run that becomes due, and is being claimed, while it is given',
    async () => {
      await using small = await createTestApp({ workerConcurrency: 3 });
      await using own = await openRunDoor(small);
      const { sql } = small.app;
      const threadId = await own.createThread();
      await own.runToEnd({ threadId, assistantId: 'ask', input: {} });
      const first = await own.createThread();
      await own.runToEnd({ threadId: first, assistantId: 'echo', input: human('x') });
      const delayed = [
        await own.start({ threadId: first, assistantId: 'echo', input: {}, afterSeconds: 3600 }),
        await own.start({ threadId, assistantId: 'ask', input: {}, afterSeconds: 3600 }),
      ].map(({ id }) => id);
      // Whoever reads the events of the first thread waits: a claim, before it has come to the second.
      await sql.query(`CREATE FUNCTION stop(thread uuid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
        IF thread = '${first}' THEN PERFORM pg_advisory_xact_lock_shared(1); END IF; RETURN true; END $$`);
      await sql.query(`ALTER TABLE "RunEvent" RENAME TO "Event"`);
      await sql.query(`CREATE VIEW "RunEvent" AS SELECT * FROM "Event" WHERE stop("threadId")`);
      let answered = '';
      await sql.transaction(async (query) => {
        await query(`SELECT pg_advisory_xact_lock(1)`);
        const { answering } = await sql.transaction(async (queryToo) => {
          await queryToo(`SELECT 1 FROM "Interrupt" WHERE "threadId" = $1 FOR UPDATE`, [threadId]);
          const given = own.start(resume(threadId, 'ask', [{ value: 'yes' }]));
          await until(() => isWaitedFor(queryToo));
          await makeDue(sql, delayed);
          await until(() => isWaitedFor(query));
          return { answering: given };
        });
        answered = (await answering).id;
      });
      expect(await own.ended(answered)).toMatchObject({
        status: 'SUCCESS',
        output: { answer: 'yes' },
      });
    },
  );

  it('goes to the question that it names, and to no other', async () => {
    const threadId = await waitingThread('panel');
    const interruptId = await idOf(threadId, 'two');
    await door.runToEnd(resume(threadId, 'panel', [{ interruptId, value: 2 }]));
    expect((await open(threadId)).map(({ value }: any) => value)).toEqual(['one', 'three']);
    expect((await door.thread(threadId)).values.log).toEqual(['two: 2']);
  });

  it('does not answer the next question of the same node, nor of the next one', async () => {
    const threadId = await waitingThread('questions');
    const ids = new Set<string>();
    for (const name of ['first', 'second', 'third']) {
      const [question, ...others] = await open(threadId);
      expect([question.value, others]).toEqual([name, []]);
      expect((await door.thread(threadId)).state.next).toEqual([
        name === 'third' ? 'third' : 'both',
      ]);
      ids.add(question.id);
      const run = await door.runToEnd(
        resume(threadId, 'questions', [{ interruptId: question.id, value: name.length }]),
      );
      expect(run.status).toBe(name === 'third' ? 'SUCCESS' : 'INTERRUPTED');
    }
    expect(ids.size).toBe(3);
    expect((await door.thread(threadId)).values.log).toEqual(['first: 5', 'second: 6', 'third: 5']);
  });

  it('goes to a subgraph, and to one of two that ask at once', async () => {
    const threadId = await waitingThread('twins');
    const questions = await open(threadId);
    expect(questions.map(({ value, node }: any) => [value.from, node])).toEqual([
      ['left', 'ask'],
      ['right', 'ask'],
    ]);
    const right = questions[1].id;
    const half = await door.runToEnd(
      resume(threadId, 'twins', [{ interruptId: right, value: 'R' }]),
    );
    expect(half.status).toBe('INTERRUPTED');
    expect(await open(threadId)).toMatchObject([{ id: questions[0].id }]);
    const whole = await door.runToEnd(resume(threadId, 'twins', [{ value: 'L' }]));
    expect(whole).toMatchObject({
      status: 'SUCCESS',
      output: { log: ['left: L', 'right: R'] },
    });
  });

  it('is a CONFLICT where the question is not open, for the whole list, and nothing is changed', async () => {
    const threadId = await waitingThread('panel');
    const one = await idOf(threadId, 'one');
    const before = await door.thread(threadId);
    for (const other of [randomId(), await foreignQuestion()]) {
      const answers = [
        { interruptId: one, value: 1 },
        { interruptId: other, value: 2 },
      ];
      expect(await door.refusal(resume(threadId, 'panel', answers))).toEqual({ code: 'CONFLICT' });
    }
    expect(await door.thread(threadId)).toEqual(before);

    await door.runToEnd(resume(threadId, 'panel', [{ interruptId: one, value: 1 }]));
    const late = resume(threadId, 'panel', [{ interruptId: one, value: 'late' }]);
    expect(await door.refusal(late)).toEqual({ code: 'CONFLICT' });
  });

  async function foreignQuestion(): Promise<string> {
    return (await open(await waitingThread('ask')))[0].id;
  }

  it('is a CONFLICT where nothing is asked', async () => {
    const threadId = await door.createThread();
    expect(await door.refusal(resume(threadId, 'ask', [{ value: 1 }]))).toEqual({
      code: 'CONFLICT',
    });
  });

  it('is given once to each question: two are bad input', async () => {
    const threadId = await waitingThread('ask');
    const [{ id }] = await open(threadId);
    const twice = [
      { interruptId: id, value: 1 },
      { interruptId: id, value: 2 },
    ];
    expect(await door.refusal(resume(threadId, 'ask', twice))).toMatchObject({
      code: 'BAD_USER_INPUT',
    });
    expect(await open(threadId)).toMatchObject([{ id }]);
  });

  it('is THREAD_BUSY while a run is due or running, whatever the strategy', async () => {
    const threadId = await waitingThread('ask');
    const [{ id }] = await open(threadId);
    const gate = door.closedGate();
    const busy = await door.start({ threadId, assistantId: 'gate', input: { file: gate.file } });
    for (const multitaskStrategy of ['REJECT', 'ENQUEUE', 'INTERRUPT', 'ROLLBACK']) {
      const input = resume(threadId, 'ask', [{ interruptId: id, value: 1 }], { multitaskStrategy });
      expect(await door.refusal(input)).toEqual({ code: 'THREAD_BUSY' });
    }
    await gate.open();
    await door.ended(busy.id);
  });

  it('of 20 that come at once wins once, and its effect happens once', async () => {
    const threadId = await waitingThread('ask');
    const [{ id }] = await open(threadId);
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        server.request(CREATE_RUN, {
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
    const run = await door.ended(won[0].id);
    expect(run.output.log).toEqual(['before', 'ask']);
    expect(results[run.output.answer]?.data?.createRun.id).toBe(won[0].id);
  });
});

/** The questions that are open, as text, and as they were asked. */
const asked = async (threadId: string) =>
  (await open(threadId)).map(({ value }: any) => value) as string[];

describe('what several Sends ask at once', () => {
  const JOBS = ['a', 'b', 'c', 'd'];
  const ofJob = (questions: any[], job: string) =>
    questions.find(({ value }) => value.job === job).id as string;

  it.each([
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
  ])('is answered by id: %s', async (_how, rounds) => {
    const threadId = await waitingThread('sendAsk', { jobs: JOBS });
    const questions = await open(threadId);
    expect(new Set(questions.map(({ id }: any) => id)).size).toBe(4);
    expect(questions.map(({ value, node }: any) => [value.job, node])).toEqual(
      JOBS.map((job) => [job, 'ask']),
    );
    const left = new Set(JOBS);
    for (const jobs of rounds) {
      const answers = jobs.map((job) => ({
        interruptId: ofJob(questions, job),
        value: `for ${job}`,
      }));
      const run = await door.runToEnd(resume(threadId, 'sendAsk', answers));
      for (const job of jobs) left.delete(job);
      expect(run).toMatchObject({ status: left.size > 0 ? 'INTERRUPTED' : 'SUCCESS', error: null });
      expect(await open(threadId)).toEqual(
        questions.filter(({ value }: any) => left.has(value.job)),
      );
    }
    expect((await door.thread(threadId)).values.log).toEqual([
      'plan',
      ...JOBS.map((job) => `${job}: "for ${job}"`),
      'done',
    ]);
  });

  it('needs an id each, and none where one is left', async () => {
    const threadId = await waitingThread('sendAsk', { jobs: ['a', 'b'] });
    expect(await door.refusal(resume(threadId, 'sendAsk', [{ value: 1 }]))).toMatchObject({
      code: 'BAD_USER_INPUT',
    });
    const interruptId = ofJob(await open(threadId), 'b');
    await door.runToEnd(resume(threadId, 'sendAsk', [{ interruptId, value: 2 }]));
    const last = await door.runToEnd(resume(threadId, 'sendAsk', [{ value: 1 }]));
    expect(last.output.log).toEqual(['plan', 'a: 1', 'b: 2', 'done']);
  });
});

describe('what a tool asks', () => {
  const contents = (values: any) =>
    values.messages.filter(({ type }: any) => type === 'tool').map(({ content }: any) => content);

  it.each([false, null, { approved: [] }, 'yes'])(
    'goes on with the answer %j, as what the tool says',
    async (value) => {
      const threadId = await waitingThread('toolAsk', human('ada'));
      const [question, ...others] = await open(threadId);
      expect(others).toEqual([]);
      expect(question).toMatchObject({ value: { question: 'Send?', to: 'ada' }, node: 'tools' });
      const run = await door.runToEnd(
        resume(threadId, 'toolAsk', [{ interruptId: question.id, value }]),
      );
      expect(run.status).toBe('SUCCESS');
      expect(contents(run.output)).toEqual([`Mail to ada: ${JSON.stringify(value)}`]);
    },
  );

  it('comes one call after the other, each with an id of its own', async () => {
    const threadId = await waitingThread('toolAsk', human('ada bob eve'));
    const ids = new Set<string>();
    for (const to of ['ada', 'bob', 'eve']) {
      const [question, ...others] = await open(threadId);
      expect([question.value.to, others]).toEqual([to, []]);
      ids.add(question.id);
      await door.runToEnd(
        resume(threadId, 'toolAsk', [{ interruptId: question.id, value: `yes, ${to}` }]),
      );
    }
    expect(ids.size).toBe(3);
    const thread = await door.thread(threadId);
    expect(thread).toMatchObject({ status: 'IDLE', interrupts: [] });
    expect(contents(thread.values)).toEqual(
      ['ada', 'bob', 'eve'].map((to) => `Mail to ${to}: "yes, ${to}"`),
    );
  });
});

describe('what a task of the functional API asks', () => {
  it('has an id for each question, and an answer goes to one of them', async () => {
    const threadId = await waitingThread('taskAsk');
    const ids = new Set<string>();
    for (const question of ['a 1', 'a 2', 'b 1', 'b 2']) {
      const [{ id, value }, ...others] = await open(threadId);
      expect([value, others]).toEqual([question, []]);
      ids.add(id);
      const input = resume(threadId, 'taskAsk', [{ interruptId: id, value: question }]);
      expect(await door.runToEnd(input)).toMatchObject({ error: null });
      expect(await door.refusal(input)).toEqual({ code: 'CONFLICT' });
    }
    expect(ids.size).toBe(4);
    expect(await door.thread(threadId)).toMatchObject({
      status: 'IDLE',
      interrupts: [],
      values: ['a 1: "a 1"', 'a 2: "a 2"', 'b 1: "b 1"', 'b 2: "b 2"'],
    });
  });
});

describe('interrupt(null)', () => {
  it.each(['by its id', 'as the only one'])(
    'is a question like any other, whose value is null: answered %s',
    async (how) => {
      const threadId = await waitingThread('askNull');
      const [question, ...others] = await open(threadId);
      expect([question.value, question.node, others]).toEqual([null, 'ask', []]);
      const { thread, pendingInterrupts } = await server.gql(
        `query ($id: ID!) {
          thread(id: $id) { status state { interrupts { id value } tasks { interrupts { id value } } } }
          pendingInterrupts(graphId: "askNull", first: 100) { nodes { id value } }
        }`,
        { id: threadId },
      );
      const shown = { id: question.id, value: null };
      expect(thread).toEqual({
        status: 'INTERRUPTED',
        state: { interrupts: [shown], tasks: [{ interrupts: [shown] }] },
      });
      expect(pendingInterrupts.nodes).toContainEqual(shown);
      const answer = { value: null, ...(how === 'by its id' && { interruptId: question.id }) };
      const run = await door.runToEnd(resume(threadId, 'askNull', [answer]));
      expect(run).toMatchObject({ status: 'SUCCESS', output: { log: ['ask'], answer: null } });
    },
  );
});

describe('what two nodes of one graph within another ask', () => {
  /** A subgraph; one that keeps its own state; and the same, called by a node's code, where LangGraph's state shows neither. */
  const WITHIN = ['pair', 'rememberingPair', 'callerPair', 'rememberingCallerPair'];
  const ROUND = ['left 1: "A"', 'left 2: "B"', 'right 1: "C"', 'right 2: "D"'];
  const logged = (log: string[]) => log.filter((entry) => entry.includes(':'));

  const answer = async (threadId: string, graph: string, answers: Record<string, string>) =>
    door.runToEnd(
      resume(
        threadId,
        graph,
        await Promise.all(
          Object.entries(answers).map(async ([question, value]) => ({
            interruptId: await idOf(threadId, question),
            value,
          })),
        ),
      ),
    );

  describe.each(WITHIN)('in %s', (graph) => {
    const rounds = graph.toLowerCase().includes('caller') ? 2 : 1;

    it.each(['ASYNC', 'SYNC', 'EXIT'])(
      'is open side by side, and each answer goes to its own question alone, under %s',
      async (durability) => {
        const threadId = await door.createThread();
        await door.runToEnd({ threadId, assistantId: graph, input: {}, durability });
        const ids = new Set<string>();
        // Under EXIT, LangGraph keeps nothing of what a graph did that has ended within a node that has not.
        const last = durability === 'EXIT' ? 1 : rounds;
        for (let round = 1; round <= last; round++) {
          for (const [question, value, others] of [
            ['left 1', 'A', ['right 1']],
            ['right 1', 'C', ['left 2']],
            ['right 2', 'D', ['left 2']],
            ['left 2', 'B', []],
          ] as const) {
            expect((await asked(threadId)).toSorted()).toEqual([...others, question].toSorted());
            for (const { id } of await open(threadId)) ids.add(id);
            const interruptId = await idOf(threadId, question);
            const input = resume(threadId, graph, [{ interruptId, value }], { durability });
            const run = await door.runToEnd(input);
            expect(run.error).toBeNull();
            const late = await door.refusal(resume(threadId, graph, [{ interruptId, value: '!' }]));
            expect(late).toEqual({ code: 'CONFLICT' });
          }
        }
        expect(ids.size).toBe(4 * last);
        if (last < rounds) return;
        const thread = await door.thread(threadId);
        expect(thread).toMatchObject({ status: 'IDLE', interrupts: [] });
        const log = logged(thread.values.log);
        expect(log.slice(0, 4)).toEqual(ROUND);
        expect(log.slice(-4)).toEqual(ROUND);
      },
    );

    it('is shown on the task and on the checkpoint, and on those of the graph within', async () => {
      const threadId = await waitingThread(graph);
      const shown = (await open(threadId)).map(({ id, value }: any) => ({ id, value }));
      const { thread } = await server.gql(
        `query ($id: ID!) { thread(id: $id) { state {
          interrupts { id value }
          tasks { interrupts { id value } state { next interrupts { id value } tasks { name interrupts { value } } } }
        } } }`,
        { id: threadId },
      );
      const [task, ...others] = thread.state.tasks;
      expect([thread.state.interrupts, task.interrupts, others]).toEqual([shown, shown, []]);
      if (rounds === 2) return; // no node is the graph
      expect(task.state).toEqual({
        next: ['left', 'right'],
        interrupts: shown,
        tasks: [
          { name: 'left', interrupts: [{ value: 'left 1' }] },
          { name: 'right', interrupts: [{ value: 'right 1' }] },
        ],
      });
    });

    it('is answered at once', async () => {
      const threadId = await waitingThread(graph);
      for (let round = 1; round <= rounds; round++) {
        await answer(threadId, graph, { 'left 1': 'A', 'right 1': 'C' });
        expect((await asked(threadId)).toSorted()).toEqual(['left 2', 'right 2']);
        await answer(threadId, graph, { 'right 2': 'D', 'left 2': 'B' });
      }
      const thread = await door.thread(threadId);
      expect(thread.status).toBe('IDLE');
      expect(logged(thread.values.log).slice(-4)).toEqual(ROUND);
    });

    it('is refused an answer without an id', async () => {
      const threadId = await waitingThread(graph);
      const refused = await door.refusal(resume(threadId, graph, [{ value: 1 }]));
      expect(refused).toMatchObject({ code: 'BAD_USER_INPUT' });
    });

    it('is asked with the same ids at every look, and on a copy with its own', async () => {
      const threadId = await waitingThread(graph);
      const [first, second] = [await open(threadId), await open(threadId)];
      expect(second).toEqual(first);
      const COPY = `mutation ($id: ID!) { copyThread(id: $id) { id interrupts { id value } } }`;
      const { copyThread: copy } = await server.gql(COPY, { id: threadId });
      const values = first.map(({ value }: any) => value);
      expect(copy.interrupts.map(({ value }: any) => value)).toEqual(values);
      const own = copy.interrupts.map(({ id }: any) => id);
      expect(new Set([...own, ...first.map(({ id }: any) => id)]).size).toBe(4);
      for (const interruptId of own) {
        const foreign = resume(threadId, graph, [{ interruptId, value: 1 }]);
        expect(await door.refusal(foreign)).toEqual({ code: 'CONFLICT' });
      }
      // A run that goes on without an answer asks the same, and not anew.
      await door.runToEnd({ threadId, assistantId: graph });
      expect(sorted(await open(threadId))).toEqual(sorted(first));

      await answer(copy.id, graph, { 'left 1': 'copy' });
      expect((await asked(copy.id)).toSorted()).toEqual(['left 2', 'right 1']);
      expect(sorted(await open(threadId))).toEqual(sorted(first));
    });

    const sorted = (questions: any[]) =>
      questions.toSorted((a, b) => a.value.localeCompare(b.value));

    it('gets no answer that was for the question before, after a lost worker', async () => {
      const gate = door.closedGate();
      const threadId = await waitingThread(graph, { hold: 'left 1', file: gate.file });
      const interruptId = await idOf(threadId, 'left 1');
      const { id } = await door.start(resume(threadId, graph, [{ interruptId, value: 'A' }]));
      await door.running(id);
      await lose(id);
      await gate.open();
      expect(await door.ended(id)).toMatchObject({ status: 'INTERRUPTED', attempt: 2 });
      expect((await asked(threadId)).toSorted()).toEqual(['left 2', 'right 1']);
      await answer(threadId, graph, { 'left 2': 'B', 'right 1': 'C' });
      expect(await asked(threadId)).toEqual(['right 2']);
      await answer(threadId, graph, { 'right 2': 'D' });
      expect(logged((await door.thread(threadId)).values.log).slice(0, 4)).toEqual(
        rounds === 1 ? ROUND : [],
      );
    });

    it('is open again where the run of an answer was cancelled', async () => {
      const gate = door.closedGate();
      const threadId = await waitingThread(graph, { hold: 'left 1', file: gate.file });
      const before = await open(threadId);
      const interruptId = await idOf(threadId, 'left 1');
      const { id } = await door.start(resume(threadId, graph, [{ interruptId, value: 'A' }]));
      await door.running(id);
      await server.gql(`mutation ($id: ID!) { cancelRun(id: $id, wait: true) { status } }`, { id });
      expect(sorted(await open(threadId))).toEqual(sorted(before));
      await gate.open();
      await answer(threadId, graph, { 'left 1': 'again' });
      expect((await asked(threadId)).toSorted()).toEqual(['left 2', 'right 1']);
    });

    it('is not open where it was answered and its node ended, and the run was then cancelled', async () => {
      const gate = door.closedGate();
      const threadId = await waitingThread(graph, { hold: 'left 2', file: gate.file });
      await answer(threadId, graph, { 'left 1': 'A' });
      await answer(threadId, graph, { 'right 1': 'C' });
      const answers = [
        { interruptId: await idOf(threadId, 'left 2'), value: 'B' },
        { interruptId: await idOf(threadId, 'right 2'), value: 'D' },
      ];
      const { id } = await door.start(resume(threadId, graph, answers, { durability: 'SYNC' }));
      // The node `right` has ended.
      await until(async () => {
        const [{ n }] = await server.app.sql.query<any>(
          `SELECT count(*)::int AS n FROM "CheckpointWrite" WHERE "runId" = $1 AND "channel" = 'log'`,
          [id],
        );
        return n > 0;
      });
      await server.gql(`mutation ($id: ID!) { cancelRun(id: $id, wait: true) { status } }`, { id });
      expect(await asked(threadId)).toEqual(['left 2']);
      await gate.open();
      await answer(threadId, graph, { 'left 2': 'B' });
      const thread = await door.thread(threadId);
      expect(logged(thread.values.log)).toEqual(rounds === 1 ? ROUND : []);
      const next = rounds === 1 ? [] : ['left 1', 'right 1'];
      expect((await asked(threadId)).toSorted()).toEqual(next);
    });

    it('goes with plain input, and is asked anew', async () => {
      const threadId = await waitingThread(graph);
      const before = await open(threadId);
      await door.runToEnd({ threadId, assistantId: graph, input: { log: ['again'] } });
      const after = await open(threadId);
      expect(after.map(({ value }: any) => value).toSorted()).toEqual(['left 1', 'right 1']);
      for (const { id } of before) expect(after.map((each: any) => each.id)).not.toContain(id);
      await answer(threadId, graph, { 'left 1': 'A', 'right 1': 'C' });
      expect((await asked(threadId)).toSorted()).toEqual(['left 2', 'right 2']);
    });
  });

  it('is open again under EXIT where LangGraph asks it again, having kept nothing of what the answer did', async () => {
    const threadId = await door.createThread();
    const more = { assistantId: 'callerPair', durability: 'EXIT' };
    await door.runToEnd({ threadId, ...more, input: {} });
    for (const question of ['left 1', 'right 1', 'right 2', 'left 2', 'left 1']) {
      const interruptId = await idOf(threadId, question);
      await door.runToEnd(resume(threadId, 'callerPair', [{ interruptId, value: 'A' }], more));
    }
    expect(await door.thread(threadId)).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [{ value: 'left 2' }],
    });
  });

  it.each(['rememberingPair', 'rememberingCallerPair'])(
    'in %s is not what it asked in an earlier turn, and nobody answered',
    async (graph) => {
      const threadId = await waitingThread(graph);
      const node = graph === 'rememberingPair' ? 'inner' : 'call';
      const stopped = await door.runToEnd({
        threadId,
        assistantId: graph,
        input: {},
        interruptBefore: [node],
      });
      expect(stopped.status).toBe('INTERRUPTED');
      expect(await door.thread(threadId)).toMatchObject({
        interrupts: [],
        state: { next: [node] },
      });
    },
  );
});

describe(
  'an answer that comes after the server was restarted',
  { timeout: SEVERAL_STARTS_MS },
  () => {
    const QUESTIONS = `query ($id: ID!) { thread(id: $id) { status values interrupts { id value } } }`;

    it('may be any of the falsy ones, and goes to the question with the id from before', async () => {
      const database = await createTestDatabase();
      const input = { jobs: ['false', '0', '""', 'null', '[]', '{}'] };
      const first = await startTestServer(database);
      const CREATE = `mutation { createThread { id } }`;
      const threadId = (await first.gql(CREATE)).createThread.id;
      await first.gql(CREATE_RUN, {
        input: { threadId, assistantId: 'sendAsk', input },
        wait: true,
      });
      const { interrupts } = (await first.gql(QUESTIONS, { id: threadId })).thread;
      await first.stop();

      for (const { id: interruptId, value } of interrupts.toReversed()) {
        const server = await startTestServer(database);
        const left = (await server.gql(QUESTIONS, { id: threadId })).thread.interrupts;
        expect(left).toEqual(interrupts.slice(0, left.length));
        const answers = [{ interruptId, value: JSON.parse(value.job) }];
        const { createRun } = await server.gql(CREATE_RUN, {
          input: resume(threadId, 'sendAsk', answers),
          wait: true,
        });
        expect(createRun.error).toBeNull();
        await server.stop();
      }
      const last = await startTestServer(database);
      expect((await last.gql(QUESTIONS, { id: threadId })).thread).toMatchObject({
        status: 'IDLE',
        values: { log: ['plan', ...input.jobs.map((job) => `${job}: ${job}`), 'done'] },
        interrupts: [],
      });
      await last.stop();
      await database.dispose();
    });

    it('reaches a graph within another', async () => {
      const database = await createTestDatabase();
      let current = await startTestServer(database);
      const threadId = (await current.gql(`mutation { createThread { id } }`)).createThread.id;
      let input: Record<string, unknown> = { threadId, assistantId: 'rememberingPair', input: {} };
      for (const question of ['right 1', 'left 1', 'left 2', 'right 2', undefined]) {
        await current.gql(CREATE_RUN, { input, wait: true });
        await current.stop();
        current = await startTestServer(database);
        const { interrupts } = (await current.gql(QUESTIONS, { id: threadId })).thread;
        const found = interrupts.find(({ value }: any) => value === question);
        expect(found?.value).toBe(question);
        input = resume(threadId, 'rememberingPair', [{ interruptId: found?.id, value: question }]);
      }
      expect((await current.gql(QUESTIONS, { id: threadId })).thread).toMatchObject({
        status: 'IDLE',
        values: {
          log: ['left 1', 'left 2', 'right 1', 'right 2']
            .map((question) => `${question}: "${question}"`)
            .concat('after'),
        },
      });
      await current.stop();
      await database.dispose();
    });

    it('may be given to another server than the one that was asked', async () => {
      await using two = await createTwoServers();
      const [asking, answering] = two.servers;
      const threadId = (await asking.gql(`mutation { createThread { id } }`)).createThread.id;
      const input = { threadId, assistantId: 'panel', input: {} };
      await asking.gql(CREATE_RUN, { input, wait: true });
      const { interrupts } = (await answering.gql(QUESTIONS, { id: threadId })).thread;
      const answers = interrupts.map(({ id, value }: any) => ({ interruptId: id, value }));
      // Both are told the same: one of them answers.
      const results = await Promise.all(
        two.servers.map((server) =>
          server.request(CREATE_RUN, { input: resume(threadId, 'panel', answers), wait: true }),
        ),
      );
      const won = results.flatMap(({ data }) => data?.createRun ?? []);
      expect(won).toMatchObject([{ status: 'SUCCESS' }]);
      const [error] = results.flatMap(({ errors }) => errors ?? []);
      expect(['CONFLICT', 'THREAD_BUSY']).toContain(error?.extensions['code']);
      for (const server of two.servers) {
        expect((await server.gql(QUESTIONS, { id: threadId })).thread).toMatchObject({
          status: 'IDLE',
          values: { log: ['one: "one"', 'three: "three"', 'two: "two"', 'done'] },
          interrupts: [],
        });
      }
    });
  },
);

describe('an answer that no node has consumed', () => {
  it.each([
    ['whose node failed', 'bad', 'ERROR', {}],
    ['whose run timed out', 'wait', 'TIMEOUT', { timeoutSeconds: 0.5 }],
  ])('is open again: one %s', async (_what, value, status, more) => {
    const threadId = await waitingThread('fragile');
    const before = await open(threadId);
    const run = await door.runToEnd(resume(threadId, 'fragile', [{ value }], more));
    expect(run.status).toBe(status);
    expect(await door.thread(threadId)).toMatchObject({ status: 'ERROR', interrupts: before });

    const again = await door.runToEnd(
      resume(threadId, 'fragile', [{ interruptId: before[0].id, value: 'good' }]),
    );
    expect(again).toMatchObject({ status: 'SUCCESS', output: { log: ['went "good"'] } });
    expect(await door.thread(threadId)).toMatchObject({
      status: 'IDLE',
      interrupts: [],
      error: null,
    });
  });

  it('is open again: one whose run was cancelled', async () => {
    const threadId = await waitingThread('fragile');
    const before = await open(threadId);
    const { id } = await door.start(resume(threadId, 'fragile', [{ value: 'wait' }]));
    await door.running(id);
    expect(await open(threadId)).toEqual([]);
    await server.gql(`mutation ($id: ID!) { cancelRun(id: $id, wait: true) { status } }`, { id });
    expect(await door.thread(threadId)).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: before,
    });
    const again = await door.runToEnd(resume(threadId, 'fragile', [{ value: 'good' }]));
    expect(again).toMatchObject({ status: 'SUCCESS', output: { log: ['went "good"'] } });
  });

  it('is open again: one whose delayed run was cancelled before its time', async () => {
    const threadId = await waitingThread('ask');
    const before = await open(threadId);
    const { id } = await door.start(
      resume(threadId, 'ask', [{ value: 1 }], { afterSeconds: 3600 }),
    );
    expect(await open(threadId)).toEqual([]);
    await server.gql(`mutation ($id: ID!) { cancelRun(id: $id) { status } }`, { id });
    expect(await door.thread(threadId)).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: before,
    });
  });
});

describe('a command', () => {
  it('updates the state and jumps, in one superstep with the answer', async () => {
    const threadId = await waitingThread('ask');
    const run = await door.runToEnd({
      threadId,
      assistantId: 'ask',
      command: { resume: [{ value: 'yes' }], update: { log: ['noted'] } },
    });
    expect(run).toMatchObject({
      status: 'SUCCESS',
      output: { answer: 'yes', log: ['before', 'noted', 'ask'] },
    });
  });

  it.each([['VALUES'], ['VALUES', 'UPDATES', 'CHECKPOINTS']])(
    'shows what it updates in the values that its run tells, in %s %s %s',
    async (...modes) => {
      const streamModes = modes.filter((mode) => mode !== undefined);
      const threadId = await waitingThread('ask');
      const run = await door.runToEnd({
        threadId,
        assistantId: 'ask',
        command: { resume: [{ value: 'yes' }], update: { log: ['noted'] } },
        streamModes,
      });
      const told = (await server.follow(run.id, { modes: ['VALUES'] })).flatMap(
        ({ values }) => values ?? [],
      );
      expect(told).toEqual([
        { log: ['before', 'noted'] },
        { log: ['before', 'noted', 'ask'], answer: 'yes' },
      ]);
    },
  );

  it('shows what it updates where it answers one of several questions', async () => {
    const threadId = await waitingThread('panel');
    const run = await door.runToEnd({
      threadId,
      assistantId: 'panel',
      command: {
        resume: [{ interruptId: await idOf(threadId, 'two'), value: 2 }],
        update: { log: ['noted'] },
      },
      streamModes: ['VALUES'],
    });
    const told = (await server.follow(run.id)).flatMap(({ values }) => values ?? []);
    expect(told).toEqual([{ log: ['noted'] }, { log: ['noted', 'two: 2'] }]);
    expect((await door.thread(threadId)).values).toEqual(told[1]);
  });

  it('updates alone: the thread goes on from the new state', async () => {
    const threadId = await waitingThread('ask');
    const run = await door.runToEnd({
      threadId,
      assistantId: 'ask',
      command: { update: { log: ['noted'] } },
    });
    expect(run).toMatchObject({ output: { log: ['before', 'noted'] } });
  });

  it('jumps to a node, with the state or with an input of its own', async () => {
    const threadId = await door.createThread();
    await door.runToEnd({ threadId, assistantId: 'steps', input: {} });
    const jumped = await door.runToEnd({
      threadId,
      assistantId: 'steps',
      command: { goto: [{ node: 'step9' }] },
    });
    expect(jumped.output.log.slice(10)).toEqual(['step9', 'step10']);

    const jobs = await door.createThread();
    await door.runToEnd({ threadId: jobs, assistantId: 'fanOut', input: { jobs: ['a'] } });
    const sent = await door.runToEnd({
      threadId: jobs,
      assistantId: 'fanOut',
      command: {
        goto: [
          { node: 'work', input: { job: 'b' } },
          { node: 'work', input: { job: 'c' } },
        ],
      },
    });
    expect(sent.output.log).toEqual(['plan', 'work a', 'done', 'work b', 'work c', 'done']);
  });

  it.each([
    ['with input', { input: {}, command: { update: {} } }, 'input.command'],
    ['that says nothing', { command: {} }, 'input.command'],
    ['with no answers', { command: { resume: [] } }, 'input.command.resume'],
    [
      'to an unknown node',
      { command: { goto: [{ node: 'nowhere' }] } },
      'input.command.goto[0].node',
    ],
    ['whose update is no object', { command: { update: 3 } }, 'input.command.update'],
  ])('is refused: one %s', async (_what, input, argument) => {
    const threadId = await door.createThread();
    expect(await door.refusal({ threadId, assistantId: 'ask', ...input })).toEqual({
      code: 'BAD_USER_INPUT',
      argument,
    });
    expect((await door.thread(threadId)).runs.totalCount).toBe(0);
  });

  it('is refused: an answer without a thread', async () => {
    const input = { assistantId: 'ask', command: { resume: [{ value: 1 }] } };
    expect(await door.refusal(input)).toMatchObject({ argument: 'input.command.resume' });
  });
});

describe('a question', () => {
  it('is told in the events, on the run, the task, the checkpoint and the thread, with one id', async () => {
    const threadId = await door.createThread();
    const run = await door.runToEnd({ threadId, assistantId: 'ask', input: {} });
    const [{ id }] = await open(threadId);
    const events = await server.follow(run.id);
    const told = events.find(({ __typename }) => __typename === 'InterruptEvent');
    expect(told.interrupts).toMatchObject([{ id, value: { question: 'Go on?' }, node: 'ask' }]);
    expect((await door.run(run.id)).interrupts).toMatchObject([{ id }]);
    const { thread } = await server.gql(
      `query ($id: ID!) { thread(id: $id) { state { interrupts { id } tasks { name interrupts { id } } } } }`,
      { id: threadId },
    );
    expect(thread.state).toEqual({
      interrupts: [{ id }],
      tasks: [{ name: 'ask', interrupts: [{ id }] }],
    });
  });

  it('goes with plain input; the run that follows asks anew', async () => {
    const threadId = await waitingThread('ask');
    const [{ id }] = await open(threadId);
    const run = await door.runToEnd({ threadId, assistantId: 'ask', input: { log: ['again'] } });
    expect(run.status).toBe('INTERRUPTED');
    const [other, ...more] = await open(threadId);
    expect(more).toEqual([]);
    expect(other.id).not.toBe(id);
    expect(await door.refusal(resume(threadId, 'ask', [{ interruptId: id, value: 1 }]))).toEqual({
      code: 'CONFLICT',
    });
  });

  it('goes with the input of a run that fails since what its nodes wrote does not fit together', async () => {
    const threadId = await waitingThread('ask');
    const [{ id }] = await open(threadId);
    const run = await door.runToEnd({ threadId, assistantId: 'clash', input: {} });
    expect(run).toMatchObject({ status: 'ERROR', error: { name: 'InvalidUpdateError' } });
    const { thread } = await server.gql(
      `query ($id: ID!) { thread(id: $id) { status interrupts { id } } }`,
      { id: threadId },
    );
    expect(thread).toEqual({ status: 'ERROR', interrupts: [] });
    expect(await door.refusal(resume(threadId, 'ask', [{ interruptId: id, value: 1 }]))).toEqual({
      code: 'CONFLICT',
    });
  });

  it('stays open, as the same, when a run goes on without an answer', async () => {
    const threadId = await waitingThread('ask');
    const before = await open(threadId);
    const run = await door.runToEnd({ threadId, assistantId: 'ask' });
    expect(run.status).toBe('INTERRUPTED');
    expect(await open(threadId)).toEqual(before);
  });

  it("of a copied thread is the copy's own, and is answered once on each", async () => {
    const threadId = await waitingThread('ask');
    const [{ id }] = await open(threadId);
    const { copyThread: copy } = await server.gql(
      `mutation ($id: ID!) { copyThread(id: $id) { id status interrupts { id value } } }`,
      { id: threadId },
    );
    expect(copy).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [{ value: { question: 'Go on?' } }],
    });
    expect(copy.interrupts[0].id).not.toBe(id);
    expect(await door.refusal(resume(copy.id, 'ask', [{ interruptId: id, value: 1 }]))).toEqual({
      code: 'CONFLICT',
    });
    for (const [thread, value] of [
      [copy.id, 'copy'],
      [threadId, 'source'],
    ]) {
      const run = await door.runToEnd(resume(thread, 'ask', [{ value }]));
      expect(run).toMatchObject({ status: 'SUCCESS', output: { answer: value } });
    }
  });

  describe('that a run of a copied thread is to answer', () => {
    const COPY = `mutation ($id: ID!) { copyThread(id: $id) { id } }`;
    const copyOf = async (id: string): Promise<string> =>
      (await server.gql(COPY, { id })).copyThread.id;
    const cancel = (id: string) =>
      server.gql(`mutation ($id: ID!) { cancelRun(id: $id) { status } }`, { id });

    it("is open in the copy: the copy's answer is its own", async () => {
      const threadId = await waitingThread('ask');
      const delayed = await door.start(
        resume(threadId, 'ask', [{ value: 'source' }], { afterSeconds: 3600 }),
      );
      const copy = await copyOf(threadId);
      expect(await door.thread(copy)).toMatchObject({
        status: 'INTERRUPTED',
        interrupts: [{ value: { question: 'Go on?' } }],
      });
      expect(await door.runToEnd(resume(copy, 'ask', [{ value: 'copy' }]))).toMatchObject({
        status: 'SUCCESS',
        output: { answer: 'copy' },
      });
      await cancel(delayed.id);
      expect(await open(copy)).toEqual([]);
      expect(await open(threadId)).toHaveLength(1);
    });

    it('is open in the copy where a node is at work with the answer', async () => {
      const { file, open: openGate } = door.closedGate();
      const threadId = await waitingThread('askAtGate', { file });
      const answering = await door.start(resume(threadId, 'askAtGate', [{ value: 'source' }]));
      await until(async () => {
        const rows = await server.app.sql.query(
          `SELECT FROM "CheckpointWrite" WHERE "threadId" = $1 AND "channel" = '__resume__'`,
          [threadId],
        );
        return rows.length > 0;
      });
      const copy = await copyOf(threadId);
      expect(await open(copy)).toHaveLength(1);
      await openGate();
      for (const [run, answer] of [
        [await door.ended(answering.id), 'source'],
        [await door.runToEnd(resume(copy, 'askAtGate', [{ value: 'copy' }])), 'copy'],
      ]) {
        expect(run).toMatchObject({ status: 'SUCCESS', output: { answer } });
      }
    });

    it('is not opened in a copy that has gone on', async () => {
      const threadId = await waitingThread('ask');
      const delayed = await door.start(
        resume(threadId, 'ask', [{ value: 'source' }], { afterSeconds: 3600 }),
      );
      const copy = await copyOf(threadId);
      await server.gql(
        `mutation ($id: ID!) { updateThreadState(id: $id, input: { values: { answer: "by hand" }, asNode: "ask" }) { next } }`,
        { id: copy },
      );
      await cancel(delayed.id);
      expect(await door.thread(copy)).toMatchObject({ status: 'IDLE', interrupts: [] });
    });

    it('is not shown as asked by the run that asked in the other thread', async () => {
      const threadId = await door.createThread();
      const run = await door.runToEnd({ threadId, assistantId: 'ask', input: {} });
      await copyOf(threadId);
      expect((await door.run(run.id)).interrupts).toEqual(
        (await open(threadId)).map(({ id, value }: any) => ({ id, value })),
      );
    });
  });

  it('of interruptBefore is none: a run without input goes on', async () => {
    const threadId = await door.createThread();
    const stopped = await door.runToEnd({
      threadId,
      assistantId: 'steps',
      input: {},
      interruptBefore: ['step3'],
    });
    expect(stopped).toMatchObject({ status: 'INTERRUPTED', output: { log: ['step1', 'step2'] } });
    expect(await door.thread(threadId)).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [],
      state: { next: ['step3'] },
    });
    expect(await door.runToEnd({ threadId, assistantId: 'steps' })).toMatchObject({
      status: 'SUCCESS',
    });
  });
});

describe('a run that lost its worker after an answer', () => {
  it('gives the same answer to the same question, and none to the next of the node', async () => {
    const gate = door.closedGate();
    const threadId = await waitingThread('questions', { hold: 'first', file: gate.file });
    const { id } = await door.start(resume(threadId, 'questions', [{ value: 'one' }]));
    await door.running(id);
    await lose(id);
    await gate.open();
    expect(await door.ended(id)).toMatchObject({ status: 'INTERRUPTED', attempt: 2 });
    expect(await open(threadId)).toMatchObject([{ value: 'second' }]);
    const next = await door.runToEnd(resume(threadId, 'questions', [{ value: 'two' }]));
    expect(next).toMatchObject({ output: { log: ['first: "one"', 'second: "two"'] } });
    expect(await open(threadId)).toMatchObject([{ value: 'third' }]);
  });

  it('gives none to the question of the next node', async () => {
    const gate = door.closedGate();
    const threadId = await waitingThread('questions', { hold: 'second', file: gate.file });
    await door.runToEnd(resume(threadId, 'questions', [{ value: 1 }]));
    const { id } = await door.start(resume(threadId, 'questions', [{ value: 2 }]));
    await door.running(id);
    await lose(id);
    await gate.open();
    expect(await door.ended(id)).toMatchObject({ status: 'INTERRUPTED' });
    expect((await door.thread(threadId)).values.log).toEqual(['first: 1', 'second: 2']);
    expect(await open(threadId)).toMatchObject([{ value: 'third' }]);
  });
});
