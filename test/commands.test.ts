import { describe, expect } from 'vitest';
import type { FollowedEvent } from './support/app.ts';
import { it } from './support/fixture.ts';
import { findInterruptId, waitingThread } from './support/interrupts.ts';

const valuesIn = (events: FollowedEvent[]) =>
  events.flatMap((event) => (event.__typename === 'ValuesEvent' ? [event.values] : []));

describe('a command', () => {
  it('updates the state and jumps, in one superstep with the answer', async ({ client }) => {
    const threadId = await waitingThread(client, 'ask');
    const run = await client.runToEnd({
      threadId,
      assistantId: 'ask',
      command: { resume: [{ value: 'yes' }], update: { log: ['noted'] } },
    });
    expect(run).toMatchObject({
      status: 'SUCCESS',
      output: { answer: 'yes', log: ['before', 'noted', 'ask'] },
    });
  });

  it.for([['VALUES'], ['VALUES', 'UPDATES', 'CHECKPOINTS']] as const)(
    'shows what it updates in the values that its run tells, in %s %s %s',
    async (streamModes, { client }) => {
      const threadId = await waitingThread(client, 'ask');
      const run = await client.runToEnd({
        threadId,
        assistantId: 'ask',
        command: { resume: [{ value: 'yes' }], update: { log: ['noted'] } },
        streamModes: [...streamModes],
      });
      const shown = valuesIn(await client.follow(run.id, { modes: ['VALUES'] }));
      expect(shown).toEqual([
        { log: ['before', 'noted'] },
        { log: ['before', 'noted', 'ask'], answer: 'yes' },
      ]);
    },
  );

  it('shows what it updates where it answers one of several questions', async ({ client }) => {
    const threadId = await waitingThread(client, 'panel');
    const run = await client.runToEnd({
      threadId,
      assistantId: 'panel',
      command: {
        resume: [{ interruptId: await findInterruptId(client, threadId, 'two'), value: 2 }],
        update: { log: ['noted'] },
      },
      streamModes: ['VALUES'],
    });
    const shown = valuesIn(await client.follow(run.id));
    expect(shown).toEqual([{ log: ['noted'] }, { log: ['noted', 'two: 2'] }]);
    expect((await client.getThread(threadId)).values).toEqual(shown[1]);
  });

  it('updates alone: the thread goes on from the new state', async ({ client }) => {
    const threadId = await waitingThread(client, 'ask');
    const run = await client.runToEnd({
      threadId,
      assistantId: 'ask',
      command: { update: { log: ['noted'] } },
    });
    expect(run).toMatchObject({ output: { log: ['before', 'noted'] } });
  });

  it('jumps to a node, with the state or with an input of its own', async ({ client }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'steps', input: {} });
    const jumped = await client.runToEnd({
      threadId,
      assistantId: 'steps',
      command: { goto: [{ node: 'step9' }] },
    });
    expect(jumped.output.log.slice(10)).toEqual(['step9', 'step10']);

    const jobs = await client.createThread();
    await client.runToEnd({ threadId: jobs, assistantId: 'fanOut', input: { jobs: ['a'] } });
    const sent = await client.runToEnd({
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

  it.for<[string, Record<string, unknown>, string]>([
    ['with input', { input: {}, command: { update: {} } }, 'input.command'],
    ['that says nothing', { command: {} }, 'input.command'],
    ['with no answers', { command: { resume: [] } }, 'input.command.resume'],
    [
      'to an unknown node',
      { command: { goto: [{ node: 'nowhere' }] } },
      'input.command.goto[0].node',
    ],
    ['whose update is no object', { command: { update: 3 } }, 'input.command.update'],
  ])('is refused: one %s', async ([, input, argument], { client }) => {
    const threadId = await client.createThread();
    expect(await client.refusal({ threadId, assistantId: 'ask', ...input })).toEqual({
      code: 'BAD_USER_INPUT',
      argument,
    });
    expect((await client.getThread(threadId)).runs.totalCount).toBe(0);
  });

  it('is refused: an answer without a thread', async ({ client }) => {
    const input = { assistantId: 'ask', command: { resume: [{ value: 1 }] } };
    expect(await client.refusal(input)).toMatchObject({ argument: 'input.command.resume' });
  });
});
