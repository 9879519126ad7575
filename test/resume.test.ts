import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CREATE_RUN, createTestApp, randomId, until, type TestApp } from './support/app.ts';
import { openRunDoor, type RunDoor } from './support/run-door.ts';

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

describe('an answer', () => {
  it.each([false, 0, '', null, [], {}, [1, [2]], { a: null }, 'yes', 1.5])(
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
