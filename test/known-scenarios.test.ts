import { describe, expect } from 'vitest';
import { human, until } from './support/app.ts';
import type { CreatedRun } from './support/client.ts';
import { conversation, exchange, UPDATE, update } from './support/conversations.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation } from './support/graphql.ts';
import { resume, waitingThread } from './support/interrupts.ts';
import { selectThread } from './support/select-thread.ts';

describe('The catalogue of the existing servers', () => {
  it('update state while a run is in flight: refused, and done once the run is cancelled', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'lookUp', input: human('Paris') });
    const before = await conversation(client, threadId);
    const input = { ...human('Rome'), file: createGate().file };
    const { id } = await client.startRun({ threadId, assistantId: 'lookUp', input });
    await until(async () => (await client.getThread(threadId)).state?.next.includes('tools'));
    const edit = { values: { messages: [{ type: 'human', content: 'edit' }] }, asNode: 'agent' };
    const [refused] = await client.errors(UPDATE, { id: threadId, input: edit });
    expect(refused?.extensions).toMatchObject({ code: 'THREAD_BUSY' });
    expect(await conversation(client, threadId)).toEqual([...before, 'HUMAN: Rome', 'AI: [Rome]']);

    const CANCEL = operation(
      `mutation ($id: ID!) { cancelRun(id: $id, wait: true) { status thread { status } } }`,
    );
    expect((await client.gql(CANCEL, { id })).cancelRun).toEqual({
      status: 'CANCELLED',
      thread: { status: 'IDLE' },
    });
    await update(client, threadId, edit);
    expect((await conversation(client, threadId)).at(-1)).toBe('HUMAN: edit');
  });

  const LIST = operation(`query ($filter: RunFilter) { runs(filter: $filter) { nodes { id } } }`);
  type RunStatus = CreatedRun['status'];

  it('list runs: by status, a delayed one before and after it is cancelled', async ({ client }) => {
    const threadId = await client.createThread();
    const run = { threadId, assistantId: 'lookUp', input: human('Paris') };
    const done = await client.runToEnd(run);
    const delayed = await client.startRun({ ...run, afterSeconds: 3600 });
    const list = async (status?: RunStatus[]) => {
      const { runs } = await client.gql(LIST, { filter: { threadId, status } });
      return runs.nodes.map(({ id }) => id);
    };
    expect(await list()).toEqual([delayed.id, done.id]);
    expect(await list(['PENDING'])).toEqual([delayed.id]);
    await client.cancelRun(delayed.id);
    expect(await list(['PENDING'])).toEqual([]);
    expect(await list(['CANCELLED'])).toEqual([delayed.id]);
  });

  it('interrupt inside a node: the question is on the task and on the thread; the answer finishes', async ({
    client,
  }) => {
    const threadId = await waitingThread(client, 'ask');
    const shown = await selectThread(
      client,
      threadId,
      `status interrupts { id value } state { next tasks { name interrupts { id value } } }`,
    );
    expect(shown).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [{ value: { question: 'Go on?' } }],
      state: { next: ['ask'], tasks: [{ name: 'ask', interrupts: shown.interrupts }] },
    });
    // A falsy answer counts, too.
    const run = await client.runToEnd(resume(threadId, 'ask', [{ value: false }]));
    expect(run).toMatchObject({ status: 'SUCCESS', output: { answer: false } });
    expect(await client.getThread(threadId)).toMatchObject({ status: 'IDLE', interrupts: [] });
  });

  it('two nodes write what takes one value a step: the run fails, and the thread shows the state before them', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const failed = await client.runToEnd({ threadId, assistantId: 'clash', input: {} });
    expect(failed).toMatchObject({ status: 'ERROR', error: { name: 'InvalidUpdateError' } });
    const shown = await selectThread(
      client,
      threadId,
      `status values messages { text } error { name }
       state { checkpointId values next writes interrupts { id } tasks { name result error } }`,
    );
    const before = { log: ['before'], one: 'before' };
    expect(shown).toMatchObject({
      status: 'ERROR',
      values: before,
      messages: [],
      error: { name: 'InvalidUpdateError' },
      state: { values: before, next: ['left', 'right'], interrupts: [], writes: { before } },
    });
    expect(shown.state?.tasks).toMatchObject([
      { name: 'left', result: { log: ['left'], one: 'left' } },
      { name: 'right', result: { log: ['right'], one: 'right' } },
    ]);

    // The thread can be copied, and edited from there.
    const { copyThread } = await client.gql(
      operation(`mutation ($id: ID!) { copyThread(id: $id) { values state { next } } }`),
      { id: threadId },
    );
    expect(copyThread).toEqual({ values: before, state: { next: ['left', 'right'] } });
    await update(client, threadId, {
      checkpointId: shown.state?.checkpointId,
      asNode: 'left',
      values: { one: 'by hand' },
    });
    expect(await client.getThread(threadId)).toMatchObject({
      status: 'IDLE',
      values: { log: ['before'], one: 'by hand' },
    });
    expect(
      await client.runToEnd({ threadId, assistantId: 'echo', input: human('on') }),
    ).toMatchObject({ status: 'SUCCESS' });
  });

  it('a thread that was forked goes on from its newest state, not from the fork for ever', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const say = (text: string, more = {}) =>
      client.runToEnd({ threadId, assistantId: 'lookUp', input: human(text), ...more });
    await say('1');
    const checkpointId = (await client.getThread(threadId)).state?.checkpointId;
    await say('2');
    await say('3', { checkpointId });
    await say('4');
    await say('5');
    expect(await conversation(client, threadId)).toEqual(['1', '3', '4', '5'].flatMap(exchange));
  });

  it('one run of several that wait is cancelled: the thread stays busy, and the others have their turn', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const gate = createGate();
    const run = (text: string) => ({ threadId, assistantId: 'lookUp', input: human(text) });
    const first = await client.startRun({
      ...run('1'),
      input: { ...human('1'), file: gate.file },
    });
    const [second, third] = [await client.startRun(run('2')), await client.startRun(run('3'))];
    await client.cancelRun(second.id);
    expect((await selectThread(client, threadId, 'status')).status).toBe('BUSY');
    await gate.open();
    expect(await client.untilEnded(third.id)).toMatchObject({ status: 'SUCCESS' });
    expect(await client.getRun(first.id)).toMatchObject({ status: 'SUCCESS' });
    expect(await conversation(client, threadId)).toEqual(['1', '3'].flatMap(exchange));
  });
});
