import { describe, expect } from 'vitest';
import { human, randomId } from './support/app.ts';
import { CREATE_RUN } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation } from './support/graphql.ts';

const CREATE_RUNS = operation(
  `mutation ($inputs: [CreateRunInput!]!) { createRuns(inputs: $inputs) { id } }`,
);

describe('an idempotencyKey', () => {
  it('gives the same run again, also when that has ended', async ({ client }) => {
    const threadId = await client.createThread();
    const input = {
      threadId,
      assistantId: 'echo',
      input: human('once'),
      idempotencyKey: randomId(),
    };
    const first = await client.runToEnd(input);
    expect((await client.startRun(input)).id).toBe(first.id);
    expect(await client.runToEnd(input)).toEqual(first);
    const { runs, values } = await client.getThread(threadId);
    expect(runs.totalCount).toBe(1);
    expect(values.messages).toHaveLength(2);
  });

  it('gives one run to 20 requests that come at once, busy thread or not', async ({ client }) => {
    const threadId = await client.createThread();
    const input = {
      threadId,
      assistantId: 'echo',
      input: human('once'),
      idempotencyKey: randomId(),
      multitaskStrategy: 'REJECT' as const,
    };
    const runs = await Promise.all(Array.from({ length: 20 }, () => client.startRun(input)));
    expect(new Set(runs.map(({ id }) => id)).size).toBe(1);
    expect((await client.getThread(threadId)).runs.totalCount).toBe(1);
  });

  it('gives one run to requests that come at once, also if this run fills the queue', async ({
    startServer,
  }) => {
    const { client } = await startServer({ queuedRunLimit: 1 });
    const gate = createGate();
    const threadId = await client.createThread();
    const held = { threadId, assistantId: 'gate', input: { file: gate.file } };
    await client.untilRunning((await client.startRun(held)).id);
    const input = { threadId, assistantId: 'echo', input: human('x'), idempotencyKey: randomId() };
    const runs = await Promise.all(Array.from({ length: 10 }, () => client.startRun(input)));
    expect(new Set(runs.map(({ id }) => id)).size).toBe(1);
    await gate.open();
  });

  it('is a CONFLICT with another input', async ({ client }) => {
    const idempotencyKey = randomId();
    const { id } = await client.startRun({
      assistantId: 'echo',
      input: human('a'),
      idempotencyKey,
    });
    const [error] = await client.errors(CREATE_RUN, {
      input: { assistantId: 'echo', input: human('b'), idempotencyKey },
    });
    expect(error).toMatchObject({
      message: expect.stringContaining(id),
      extensions: { code: 'CONFLICT' },
    });
  });

  it('knows an input by what it says, not by the order of its keys', async ({ client }) => {
    const idempotencyKey = randomId();
    const ask = (input: Record<string, unknown>) =>
      client.startRun({ assistantId: 'steps', idempotencyKey, input });
    const { id } = await ask({ log: [], a: { x: 1, y: [1, 2] } });
    expect((await ask({ a: { y: [1, 2], x: 1 }, log: [] })).id).toBe(id);
  });

  it('comes before every check: a request that was accepted once is not refused now', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const asked = await client.runToEnd({ threadId, assistantId: 'ask', input: {} });
    expect(asked.status).toBe('INTERRUPTED');
    const answer = {
      threadId,
      assistantId: 'ask',
      command: { resume: [{ value: 'yes' }] },
      idempotencyKey: randomId(),
    };
    const first = await client.runToEnd(answer);
    expect((await client.startRun(answer)).id).toBe(first.id);
    await client.gql(operation(`mutation ($id: ID!) { deleteThread(id: $id) }`), { id: threadId });
    expect((await client.startRun(answer)).id).toBe(first.id);
  });

  it('outlives its run', async ({ client }) => {
    const input = { assistantId: 'echo', input: human('a'), idempotencyKey: randomId() };
    const { id } = await client.runToEnd(input);
    await client.gql(operation(`mutation ($id: ID!) { deleteRun(id: $id) }`), { id });
    expect(await client.findRun(id)).toBeNull();
    expect((await client.startRun(input)).id).toBe(id);
  });

  it('counts in createRuns, too', async ({ client }) => {
    const one = { assistantId: 'echo', input: human('1'), idempotencyKey: randomId() };
    const two = { assistantId: 'echo', input: human('2'), idempotencyKey: randomId() };
    const first = await client.startRun(one);
    const { createRuns } = await client.gql(CREATE_RUNS, { inputs: [two, one, two] });
    expect(createRuns[1]?.id).toBe(first.id);
    expect(createRuns[2]?.id).toBe(createRuns[0]?.id);
  });

  it.for(['', 'x'.repeat(256)])(
    'has 1 to 255 characters, not %j',
    async (idempotencyKey, { client }) => {
      const input = { assistantId: 'echo', input: human('a'), idempotencyKey };
      expect(await client.refusal(input)).toEqual({
        code: 'BAD_USER_INPUT',
        argument: 'input.idempotencyKey',
      });
    },
  );
});

describe('timeoutSeconds', () => {
  it('ends a run in TIMEOUT; what it had finished stays', async ({ client }) => {
    const threadId = await client.createThread();
    const run = await client.runToEnd({
      threadId,
      assistantId: 'gate',
      input: { file: createGate().file },
      timeoutSeconds: 1,
    });
    expect(run).toMatchObject({
      status: 'TIMEOUT',
      error: { name: 'TimeoutError', message: expect.stringContaining('1 s') },
      output: { log: ['before'] },
    });
    expect(await client.getThread(threadId)).toMatchObject({
      status: 'ERROR',
      error: { name: 'TimeoutError' },
    });
  });

  it('does nothing to a run that is quicker', async ({ client }) => {
    const run = await client.runToEnd({
      assistantId: 'echo',
      input: human('x'),
      timeoutSeconds: 100,
    });
    expect(run.status).toBe('SUCCESS');
  });
});

describe('afterSeconds', () => {
  it('delays a run; until then the thread is free, and others go first', async ({ client }) => {
    const threadId = await client.createThread();
    const delayed = await client.startRun({
      threadId,
      assistantId: 'echo',
      input: human('late'),
      afterSeconds: 2,
    });
    const first = await client.runToEnd({
      threadId,
      assistantId: 'echo',
      input: human('early'),
      multitaskStrategy: 'REJECT',
    });
    expect(first.status).toBe('SUCCESS');
    const { output, startedAt } = await client.untilEnded(delayed.id);
    expect(output.messages.map((message) => message.content)).toEqual([
      'early',
      'echo: early',
      'late',
      'echo: late',
    ]);
    const { run } = await client.gql(operation(`query ($id: ID!) { run(id: $id) { createdAt } }`), {
      id: delayed.id,
    });
    expect(Date.parse(startedAt ?? '') - Date.parse(run?.createdAt ?? '')).toBeGreaterThanOrEqual(
      1990,
    );
  });

  it.for([
    ['afterSeconds', -1],
    ['afterSeconds', 1e12],
    ['timeoutSeconds', 0],
    ['timeoutSeconds', 1e9],
  ] as const)('and timeoutSeconds are checked: %s %d', async ([name, value], { client }) => {
    const input = { assistantId: 'echo', input: human('x'), [name]: value };
    expect(await client.refusal(input)).toEqual({
      code: 'BAD_USER_INPUT',
      argument: `input.${name}`,
    });
  });
});
