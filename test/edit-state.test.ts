import { describe, expect } from 'vitest';
import { human, until } from './support/app.ts';
import { it } from './support/fixture.ts';
import { contentsOf, operation } from './support/graphql.ts';
import { onlyInterrupt, resume } from './support/interrupts.ts';
import { makeDue } from './support/run-times.ts';
import { selectThread } from './support/select-thread.ts';
import {
  childrenOf,
  getHistory,
  getState,
  getStateOfStep,
  refuseUpdate,
  threadAfter,
  updateState,
} from './support/thread-states.ts';

describe('updateThreadState', () => {
  it('makes a checkpoint on top of the newest, as if the node had run', async ({ client }) => {
    const id = await threadAfter(client, 'steps', {});
    const before = await getState(client, id);
    const made = await updateState(client, id, { values: { log: ['by hand'] }, asNode: 'step8' });
    expect(made).toMatchObject({
      threadId: id,
      namespace: '',
      parentCheckpointId: before.checkpointId,
      source: 'UPDATE',
      step: before.step + 1,
      runId: null,
      run: null,
      values: { log: [...before.values.log, 'by hand'] },
      next: ['step9'],
      writes: { step8: { log: ['by hand'] } },
      metadata: { source: 'update', step: before.step + 1, graph_id: 'steps', thread_id: id },
      children: [],
    });
    expect(made.metadata).not.toHaveProperty('run_id');
    const { run: _, children: __, ...shown } = made;
    expect(await getState(client, id)).toEqual(shown);
    const thread = await selectThread(client, id, 'status values interrupts { id } error { name }');
    expect(thread).toEqual({ status: 'IDLE', values: made.values, interrupts: [], error: null });
  });

  it('is what the next run goes on from', async ({ client }) => {
    const id = await threadAfter(client, 'steps', {});
    const { values } = await updateState(client, id, {
      values: { log: ['by hand'] },
      asNode: 'step8',
    });
    const run = await client.runToEnd({ threadId: id, assistantId: 'steps' });
    expect(run.output.log).toEqual([...values.log, 'step9', 'step10']);
  });

  it('lets the next run see what a person wrote into a conversation', async ({ client }) => {
    const id = await threadAfter(client, 'echo', human('one'));
    await updateState(client, id, { values: human('two'), asNode: '__start__' });
    const { output } = await client.runToEnd({ threadId: id, assistantId: 'echo' });
    expect(contentsOf(output)).toEqual(['one', 'echo: one', 'two', 'echo: two']);
  });

  it('replaces and removes messages by their ids, as the reducer does', async ({ client }) => {
    const id = await threadAfter(client, 'echo', human('one'));
    const [asked, answered] = (await client.getThread(id)).values.messages;
    const message = { type: 'ai', id: answered?.id, content: 'better' };
    const replaced = await updateState(client, id, { values: { messages: [message] } });
    expect(contentsOf(replaced.values)).toEqual(['one', 'better']);
    const remove = { type: 'remove', id: asked?.id, content: '' };
    const removed = await updateState(client, id, { values: { messages: [remove] } });
    expect(contentsOf(removed.values)).toEqual(['better']);
    const [, , ended] = await getHistory(client, id);
    expect(contentsOf(ended?.values)).toEqual(['one', 'echo: one']);
  });

  it('makes the first state of a thread that has a graph', async ({ client }) => {
    const id = await client.createThread({ graphId: 'echo' });
    expect(await updateState(client, id, { values: human('first') })).toMatchObject({
      parentCheckpointId: null,
      step: 0,
      next: ['echo'],
      writes: { __start__: human('first') },
    });
    const { output } = await client.runToEnd({ threadId: id, assistantId: 'echo' });
    expect(contentsOf(output)).toEqual(['first', 'echo: first']);
  });

  it('goes where the edges of the node lead', async ({ client }) => {
    const id = await threadAfter(client, 'route', { total: 1 });
    const low = await updateState(client, id, { values: { total: 2 }, asNode: 'pick' });
    expect(low).toMatchObject({ next: ['low'], values: { total: 3 } });
    const high = await updateState(client, id, { values: { total: 20 }, asNode: 'pick' });
    expect(high).toMatchObject({ next: ['high'], values: { total: 23 } });
    const { output } = await client.runToEnd({ threadId: id, assistantId: 'route' });
    expect(output).toEqual({ total: 23, log: ['pick', 'low', 'high'] });
  });

  it('takes a node to have run where its values are null', async ({ client }) => {
    const id = await threadAfter(client, 'steps', {}, { interruptBefore: ['step2'] });
    const { values } = await getState(client, id);
    const made = await updateState(client, id, { asNode: 'step9' });
    expect(made).toMatchObject({ values, next: ['step10'], writes: { step9: null } });
    const { output } = await client.runToEnd({ threadId: id, assistantId: 'steps' });
    expect(output.log).toEqual(['step1', 'step10']);
  });

  it('takes a state up again as it is, with neither values nor a node', async ({ client }) => {
    const id = await threadAfter(client, 'steps', {});
    const old = await getStateOfStep(client, id, 4);
    const made = await updateState(client, id, { checkpointId: old.checkpointId });
    expect(made).toMatchObject({
      parentCheckpointId: old.checkpointId,
      values: old.values,
      next: old.next,
      writes: null,
    });
    const { output } = await client.runToEnd({ threadId: id, assistantId: 'steps' });
    expect(output.log).toEqual(Array.from({ length: 10 }, (_, i) => `step${i + 1}`));
  });

  it('is made as the input, as the end, and as a fork', async ({ client }) => {
    const id = await threadAfter(client, 'steps', {}, { interruptAfter: ['step1'] });
    const head = await getState(client, id);
    const end = await updateState(client, id, { asNode: '__end__' });
    expect(end).toMatchObject({ source: 'UPDATE', next: [], values: head.values });
    expect(end.metadata).not.toHaveProperty('run_id');
    const input = await updateState(client, id, {
      asNode: '__input__',
      values: { log: ['again'] },
    });
    expect(input).toMatchObject({ source: 'INPUT', next: ['__start__'] });
    const { output } = await client.runToEnd({ threadId: id, assistantId: 'steps' });
    expect(output.log.slice(0, 3)).toEqual(['step1', 'again', 'step1']);
    const fork = await updateState(client, id, {
      asNode: '__copy__',
      checkpointId: head.checkpointId,
    });
    expect(fork).toMatchObject({ source: 'FORK', next: ['step2'], values: head.values });
  });
});

describe('updateThreadState without asNode', () => {
  it('is made as the node that ran last', async ({ client }) => {
    const id = await threadAfter(client, 'steps', {}, { interruptBefore: ['step4'] });
    expect(await updateState(client, id, { values: { log: ['by hand'] } })).toMatchObject({
      next: ['step4'],
      writes: { step3: { log: ['by hand'] } },
    });
  });

  it('is made as the node that had run last at the checkpoint', async ({ client }) => {
    const id = await threadAfter(client, 'steps', {});
    const old = await getStateOfStep(client, id, 4);
    const made = await updateState(client, id, {
      values: { log: ['!'] },
      checkpointId: old.checkpointId,
    });
    expect(made).toMatchObject({ next: ['step5'], writes: { step4: { log: ['!'] } } });
  });

  it('is refused where several ran side by side, which are named', async ({ client }) => {
    const id = await threadAfter(client, 'parallel', {}, { interruptBefore: ['join'] });
    const before = await getHistory(client, id);
    const error = await refuseUpdate(client, id, { values: { log: ['by hand'] } });
    expect(error).toMatchObject({ code: 'BAD_USER_INPUT', argument: 'input.asNode' });
    expect(error.message).toMatch(/left, right/);
    expect(await getHistory(client, id)).toEqual(before);
    const made = await updateState(client, id, { values: { log: ['by hand'] }, asNode: 'right' });
    expect(made.values.log).toEqual(['left', 'right', 'by hand']);
  });

  it('is made as the one that ended, where another one failed beside it', async ({ client }) => {
    const id = await threadAfter(client, 'halfFail', {});
    const made = await updateState(client, id, { values: { log: ['by hand'] } });
    expect(made).toMatchObject({
      values: { log: ['good', 'by hand'] },
      writes: { good: { log: ['by hand'] } },
    });
  });
});

describe('updateThreadState on an older checkpoint', () => {
  it('makes a branch, and the thread goes on from it', async ({ client }) => {
    const id = await threadAfter(client, 'echo', human('one'));
    await client.runToEnd({ threadId: id, assistantId: 'echo', input: human('two') });
    const before = await getHistory(client, id);
    const old = await getStateOfStep(client, id, 1);
    const made = await updateState(client, id, {
      values: human('instead'),
      asNode: '__start__',
      checkpointId: old.checkpointId,
    });
    expect(contentsOf(made.values)).toEqual(['one', 'echo: one', 'instead']);
    expect(made).toMatchObject({ parentCheckpointId: old.checkpointId, step: 2, next: ['echo'] });

    const { output } = await client.runToEnd({ threadId: id, assistantId: 'echo' });
    const now = ['one', 'echo: one', 'instead', 'echo: instead'];
    expect(contentsOf(output)).toEqual(now);
    expect(contentsOf((await client.getThread(id)).values)).toEqual(now);

    // The run leaves the first branch unchanged.
    expect((await getHistory(client, id)).slice(2)).toEqual(before);
    const children = await childrenOf(client, id, old.checkpointId);
    expect(children.map(({ source }) => source)).toEqual(['INPUT', 'UPDATE']);
  });

  it('shows on each branch what was written there', async ({ client }) => {
    const id = await threadAfter(client, 'steps', {}, { interruptAfter: ['step1'] });
    const { checkpointId } = await getState(client, id);
    const made: { name: string; checkpointId: string }[] = [];
    for (const name of ['a', 'b', 'c']) {
      const edit = { values: { log: [name] }, asNode: 'step2', checkpointId };
      made.push({ name, checkpointId: (await updateState(client, id, edit)).checkpointId });
    }
    for (const { name, checkpointId: at } of made) {
      const { values, writes } = await getState(client, id, { checkpointId: at });
      expect(values).toEqual({ log: ['step1', name] });
      expect(writes).toEqual({ step2: { log: [name] } });
    }
  });

  it('does not show what a run wrote there as its own', async ({ client }) => {
    const id = await threadAfter(client, 'steps', {}, { interruptAfter: ['step2'] });
    const old = await getStateOfStep(client, id, 1);
    const made = await updateState(client, id, { checkpointId: old.checkpointId });
    expect(made).toMatchObject({ next: ['step2'], writes: null });
  });
});

describe('After updateThreadState', () => {
  it('a question is closed that was asked in the state before', async ({ client }) => {
    const id = await threadAfter(client, 'ask', {});
    const asked = await onlyInterrupt(client, id);
    const made = await updateState(client, id, { values: { log: ['by hand'] } });
    expect(made.next).toEqual(['ask']);
    expect(
      await selectThread(client, id, 'status values interrupts { id } state { next }'),
    ).toEqual({
      status: 'IDLE',
      values: { log: ['before', 'by hand'] },
      interrupts: [],
      state: { next: ['ask'] },
    });
    // The next run asks a new question.
    const run = await client.runToEnd({ threadId: id, assistantId: 'ask' });
    expect(run.status).toBe('INTERRUPTED');
    expect(await client.getThread(id)).toMatchObject({ status: 'INTERRUPTED' });
    const again = await onlyInterrupt(client, id);
    expect(again.value).toEqual(expect.anything());
    expect(again.id).not.toBe(asked.id);
  });

  it('a question stays closed that a delayed run was to answer', async ({ client }) => {
    const id = await threadAfter(client, 'ask', {});
    const delayed = await client.startRun(
      resume(id, 'ask', [{ value: 'yes' }], { afterSeconds: 3600 }),
    );
    await updateState(client, id, { values: { log: ['by hand'] } });
    await client.cancelRun(delayed.id);
    expect(await selectThread(client, id, 'status interrupts { id } values')).toEqual({
      status: 'IDLE',
      interrupts: [],
      values: { log: ['before', 'by hand'] },
    });
  });

  it('a delayed run goes on from the state that was made', async ({ client, server }) => {
    const id = await threadAfter(client, 'steps', {}, { interruptAfter: ['step1'] });
    const delayed = await client.startRun({
      threadId: id,
      assistantId: 'steps',
      afterSeconds: 3600,
    });
    await updateState(client, id, { values: { log: ['by hand'] }, asNode: 'step9' });
    expect(await selectThread(client, id, 'status')).toEqual({ status: 'IDLE' });
    await makeDue(server.app.sql, [delayed.id]);
    await server.tick();
    await client.untilEnded(delayed.id);
    expect((await client.getThread(id)).values.log).toEqual(['step1', 'by hand', 'step10']);
  });

  it('a question of the new state can be answered', async ({ client }) => {
    const id = await threadAfter(client, 'ask', {});
    const asked = await onlyInterrupt(client, id);
    await updateState(client, id, { values: { log: ['by hand'] } });
    const answer = (interruptId: string) => resume(id, 'ask', [{ interruptId, value: 'yes' }]);
    expect(await client.refusal(answer(asked.id))).toMatchObject({ code: 'CONFLICT' });
    await client.runToEnd({ threadId: id, assistantId: 'ask' });
    const again = await onlyInterrupt(client, id);
    const run = await client.runToEnd(answer(again.id));
    expect(run).toMatchObject({
      status: 'SUCCESS',
      output: { answer: 'yes', log: ['before', 'by hand', 'ask'] },
    });
  });

  it('a thread that failed is idle', async ({ client }) => {
    const id = await threadAfter(client, 'fail', { fail: true });
    expect(await selectThread(client, id, 'status error { message }')).toMatchObject({
      status: 'ERROR',
    });
    await updateState(client, id, { values: { fail: false }, asNode: 'a' });
    expect(await selectThread(client, id, 'status error { message }')).toEqual({
      status: 'IDLE',
      error: null,
    });
    const run = await client.runToEnd({ threadId: id, assistantId: 'fail' });
    expect(run).toMatchObject({ status: 'SUCCESS', output: { log: ['a', 'b'], fail: false } });
  });

  it('the thread has changed', async ({ client }) => {
    const id = await threadAfter(client, 'echo', human('one'));
    const { updatedAt } = await selectThread(client, id, 'updatedAt');
    await until(() => Date.now() > Date.parse(updatedAt));
    await updateState(client, id, { values: human('two') });
    expect((await selectThread(client, id, 'updatedAt')).updatedAt > updatedAt).toBe(true);
  });

  it('a copy of the thread has the same state', async ({ client }) => {
    const id = await threadAfter(client, 'steps', {}, { interruptAfter: ['step1'] });
    await updateState(client, id, { values: { log: ['by hand'] }, asNode: 'step9' });
    const { copyThread: copy } = await client.gql(
      operation(
        `mutation ($id: ID!) { copyThread(id: $id) { id status values state { next writes } } }`,
      ),
      { id },
    );
    expect(copy).toMatchObject({
      status: 'IDLE',
      values: { log: ['step1', 'by hand'] },
      state: { next: ['step10'], writes: { step9: { log: ['by hand'] } } },
    });
  });
});
