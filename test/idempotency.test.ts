import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CREATE_RUN, createTestApp, human, randomId, type TestApp } from './support/app.ts';
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

const CREATE_RUNS = `mutation ($inputs: [CreateRunInput!]!) { createRuns(inputs: $inputs) { id } }`;

describe('an idempotencyKey', () => {
  it('gives the same run again, also when that has ended', async () => {
    const threadId = await door.createThread();
    const input = {
      threadId,
      assistantId: 'echo',
      input: human('once'),
      idempotencyKey: randomId(),
    };
    const first = await door.runToEnd(input);
    expect((await door.start(input)).id).toBe(first.id);
    expect(await door.runToEnd(input)).toEqual(first);
    const { runs, values } = await door.thread(threadId);
    expect(runs.totalCount).toBe(1);
    expect(values.messages).toHaveLength(2);
  });

  it('gives one run to 20 requests that come at once, busy thread or not', async () => {
    const threadId = await door.createThread();
    const input = {
      threadId,
      assistantId: 'echo',
      input: human('once'),
      idempotencyKey: randomId(),
      multitaskStrategy: 'REJECT',
    };
    const runs = await Promise.all(Array.from({ length: 20 }, () => door.start(input)));
    expect(new Set(runs.map(({ id }) => id)).size).toBe(1);
    expect((await door.thread(threadId)).runs.totalCount).toBe(1);
  });

  it('is a CONFLICT with another input', async () => {
    const idempotencyKey = randomId();
    const { id } = await door.start({ assistantId: 'echo', input: human('a'), idempotencyKey });
    const [error] = await server.errors(CREATE_RUN, {
      input: { assistantId: 'echo', input: human('b'), idempotencyKey },
    });
    expect(error).toMatchObject({
      message: expect.stringContaining(id),
      extensions: { code: 'CONFLICT' },
    });
  });

  it('knows an input by what it says, not by the order of its keys', async () => {
    const idempotencyKey = randomId();
    const ask = (input: Record<string, unknown>) =>
      door.start({ assistantId: 'steps', idempotencyKey, input });
    const { id } = await ask({ log: [], a: { x: 1, y: [1, 2] } });
    expect((await ask({ a: { y: [1, 2], x: 1 }, log: [] })).id).toBe(id);
  });

  it('is looked up before anything else is checked: what was right once is not refused now', async () => {
    const threadId = await door.createThread();
    const asked = await door.runToEnd({ threadId, assistantId: 'ask', input: {} });
    expect(asked.status).toBe('INTERRUPTED');
    const answer = {
      threadId,
      assistantId: 'ask',
      command: { resume: [{ value: 'yes' }] },
      idempotencyKey: randomId(),
    };
    const first = await door.runToEnd(answer);
    expect((await door.start(answer)).id).toBe(first.id);
    await server.gql(`mutation ($id: ID!) { deleteThread(id: $id) }`, { id: threadId });
    expect((await door.start(answer)).id).toBe(first.id);
  });

  it('outlives its run', async () => {
    const input = { assistantId: 'echo', input: human('a'), idempotencyKey: randomId() };
    const { id } = await door.runToEnd(input);
    await server.gql(`mutation ($id: ID!) { deleteRun(id: $id) }`, { id });
    expect(await door.run(id)).toBeNull();
    expect((await door.start(input)).id).toBe(id);
  });

  it('counts in createRuns, too', async () => {
    const one = { assistantId: 'echo', input: human('1'), idempotencyKey: randomId() };
    const two = { assistantId: 'echo', input: human('2'), idempotencyKey: randomId() };
    const first = await door.start(one);
    const { createRuns } = await server.gql(CREATE_RUNS, { inputs: [two, one, two] });
    expect(createRuns[1].id).toBe(first.id);
    expect(createRuns[2].id).toBe(createRuns[0].id);
  });

  it.each(['', 'x'.repeat(256)])('has 1 to 255 characters, not %j', async (idempotencyKey) => {
    const input = { assistantId: 'echo', input: human('a'), idempotencyKey };
    expect(await door.refusal(input)).toEqual({
      code: 'BAD_USER_INPUT',
      argument: 'input.idempotencyKey',
    });
  });
});

describe('timeoutSeconds', () => {
  it('ends a run in TIMEOUT; what it had finished stays', async () => {
    const threadId = await door.createThread();
    const run = await door.runToEnd({
      threadId,
      assistantId: 'gate',
      input: { file: door.closedGate().file },
      timeoutSeconds: 1,
    });
    expect(run).toMatchObject({
      status: 'TIMEOUT',
      error: { name: 'TimeoutError', message: expect.stringContaining('1 s') },
      output: { log: ['before'] },
    });
    expect(await door.thread(threadId)).toMatchObject({
      status: 'ERROR',
      error: { name: 'TimeoutError' },
    });
  });

  it('does nothing to a run that is quicker', async () => {
    const run = await door.runToEnd({
      assistantId: 'echo',
      input: human('x'),
      timeoutSeconds: 100,
    });
    expect(run.status).toBe('SUCCESS');
  });
});

describe('afterSeconds', () => {
  it('delays a run; until then the thread is free, and others go first', async () => {
    const threadId = await door.createThread();
    const delayed = await door.start({
      threadId,
      assistantId: 'echo',
      input: human('late'),
      afterSeconds: 2,
    });
    const first = await door.runToEnd({
      threadId,
      assistantId: 'echo',
      input: human('early'),
      multitaskStrategy: 'REJECT',
    });
    expect(first.status).toBe('SUCCESS');
    const { output, startedAt } = await door.ended(delayed.id);
    expect(output.messages.map((message: any) => message.content)).toEqual([
      'early',
      'echo: early',
      'late',
      'echo: late',
    ]);
    const { run } = await server.gql(`query ($id: ID!) { run(id: $id) { createdAt } }`, {
      id: delayed.id,
    });
    expect(Date.parse(startedAt) - Date.parse(run.createdAt)).toBeGreaterThanOrEqual(1990);
  });

  it.each([
    ['afterSeconds', -1],
    ['afterSeconds', 1e12],
    ['timeoutSeconds', 0],
    ['timeoutSeconds', 1e9],
  ])('and timeoutSeconds are checked: %s %d', async (name, value) => {
    const input = { assistantId: 'echo', input: human('x'), [name]: value };
    expect(await door.refusal(input)).toEqual({
      code: 'BAD_USER_INPUT',
      argument: `input.${name}`,
    });
  });
});
