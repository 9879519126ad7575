import { rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { MemorySaver, type StateSnapshot } from '@langchain/langgraph';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  human,
  randomId,
  until,
  type TestApp,
} from './support/app.ts';
import * as graphs from './support/graphs.ts';

let server: TestApp;
beforeAll(async () => {
  server = await createTestApp();
});
afterAll(() => server.stop());

const STATE = `
  checkpointId threadId namespace parentCheckpointId source step runId values next writes metadata
  tasks { name path error result interrupts { value } state { namespace } }`;

const UPDATE = `mutation ($id: ID!, $input: UpdateThreadStateInput!) {
  updateThreadState(id: $id, input: $input) { ${STATE} run { id } children { checkpointId } }
}`;

async function createThread(input?: Record<string, unknown>): Promise<string> {
  return (await server.gql(CREATE_THREAD, { input })).createThread.id;
}

async function createRun(input: Record<string, unknown>): Promise<any> {
  return (await server.gql(CREATE_RUN, { input, wait: true })).createRun;
}

/** A thread on which the graph has run once. */
async function threadAfter(assistantId: string, input: unknown, more = {}): Promise<string> {
  const threadId = await createThread();
  await createRun({ threadId, assistantId, input, ...more });
  return threadId;
}

async function update(id: string, input: Record<string, unknown>): Promise<any> {
  return (await server.gql(UPDATE, { id, input })).updateThreadState;
}

async function refusal(id: string, input: Record<string, unknown>): Promise<any> {
  const [error] = await server.errors(UPDATE, { id, input });
  return { ...error?.extensions, message: error?.message };
}

async function getThread(id: string, fields: string): Promise<any> {
  return (await server.gql(`query ($id: ID!) { thread(id: $id) { ${fields} } }`, { id })).thread;
}

const stateOf = async (id: string, args = '', fields = STATE): Promise<any> =>
  (await getThread(id, `state${args} { ${fields} }`)).state;

const historyOf = async (id: string, fields = 'checkpointId parentCheckpointId step source next') =>
  (await getThread(id, `history(first: 100) { nodes { ${fields} } }`)).history.nodes as any[];

const texts = (messages: any[]) => messages.map(({ content }) => content);

describe('updateThreadState', () => {
  it('makes a checkpoint on top of the newest, as if the node had run', async () => {
    const id = await threadAfter('steps', {});
    const before = await stateOf(id);
    const made = await update(id, { values: { log: ['by hand'] }, asNode: 'step8' });
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
    expect(await stateOf(id)).toEqual(shown);
    const thread = await getThread(id, 'status values interrupts { id } error { name }');
    expect(thread).toEqual({ status: 'IDLE', values: made.values, interrupts: [], error: null });
  });

  it('is what the next run goes on from', async () => {
    const id = await threadAfter('steps', {});
    const { values } = await update(id, { values: { log: ['by hand'] }, asNode: 'step8' });
    const run = await createRun({ threadId: id, assistantId: 'steps' });
    expect(run.output.log).toEqual([...values.log, 'step9', 'step10']);
  });

  it('lets the next run see what a person wrote into a conversation', async () => {
    const id = await threadAfter('echo', human('one'));
    await update(id, { values: human('two'), asNode: '__start__' });
    const { output } = await createRun({ threadId: id, assistantId: 'echo' });
    expect(texts(output.messages)).toEqual(['one', 'echo: one', 'two', 'echo: two']);
  });

  it('replaces and removes messages by their ids, as the reducer does', async () => {
    const id = await threadAfter('echo', human('one'));
    const [asked, answered] = (await getThread(id, 'values')).values.messages;
    const message = { type: 'ai', id: answered.id, content: 'better' };
    const replaced = await update(id, { values: { messages: [message] } });
    expect(texts(replaced.values.messages)).toEqual(['one', 'better']);
    const remove = { type: 'remove', id: asked.id, content: '' };
    const removed = await update(id, { values: { messages: [remove] } });
    expect(texts(removed.values.messages)).toEqual(['better']);
    expect(texts((await historyOf(id, 'values'))[2].values.messages)).toEqual(['one', 'echo: one']);
  });

  it('makes the first state of a thread that has a graph', async () => {
    const id = await createThread({ graphId: 'echo' });
    expect(await update(id, { values: human('first') })).toMatchObject({
      parentCheckpointId: null,
      step: 0,
      next: ['echo'],
      writes: { __start__: human('first') },
    });
    const { output } = await createRun({ threadId: id, assistantId: 'echo' });
    expect(texts(output.messages)).toEqual(['first', 'echo: first']);
  });

  it('goes where the edges of the node lead', async () => {
    const id = await threadAfter('route', { total: 1 });
    const low = await update(id, { values: { total: 2 }, asNode: 'pick' });
    expect(low).toMatchObject({ next: ['low'], values: { total: 3 } });
    const high = await update(id, { values: { total: 20 }, asNode: 'pick' });
    expect(high).toMatchObject({ next: ['high'], values: { total: 23 } });
    const { output } = await createRun({ threadId: id, assistantId: 'route' });
    expect(output).toEqual({ total: 23, log: ['pick', 'low', 'high'] });
  });

  it('takes a node to have run where its values are null', async () => {
    const id = await threadAfter('steps', {}, { interruptBefore: ['step2'] });
    const { values } = await stateOf(id);
    const made = await update(id, { asNode: 'step9' });
    expect(made).toMatchObject({ values, next: ['step10'], writes: { step9: null } });
    const { output } = await createRun({ threadId: id, assistantId: 'steps' });
    expect(output.log).toEqual(['step1', 'step10']);
  });

  it('takes a state up again as it is, with neither values nor a node', async () => {
    const id = await threadAfter('steps', {});
    const old = (await historyOf(id, STATE)).find(({ step }) => step === 4);
    const made = await update(id, { checkpointId: old.checkpointId });
    expect(made).toMatchObject({
      parentCheckpointId: old.checkpointId,
      values: old.values,
      next: old.next,
      writes: null,
    });
    const { output } = await createRun({ threadId: id, assistantId: 'steps' });
    expect(output.log).toEqual(Array.from({ length: 10 }, (_, i) => `step${i + 1}`));
  });

  it('is made as the input, as the end, and as a fork', async () => {
    const id = await threadAfter('steps', {}, { interruptAfter: ['step1'] });
    const head = await stateOf(id);
    const end = await update(id, { asNode: '__end__' });
    expect(end).toMatchObject({ source: 'UPDATE', next: [], values: head.values });
    expect(end.metadata).not.toHaveProperty('run_id');
    const input = await update(id, { asNode: '__input__', values: { log: ['again'] } });
    expect(input).toMatchObject({ source: 'INPUT', next: ['__start__'] });
    const { output } = await createRun({ threadId: id, assistantId: 'steps' });
    expect(output.log.slice(0, 3)).toEqual(['step1', 'again', 'step1']);
    const fork = await update(id, { asNode: '__copy__', checkpointId: head.checkpointId });
    expect(fork).toMatchObject({ source: 'FORK', next: ['step2'], values: head.values });
  });
});

describe('updateThreadState without asNode', () => {
  it('is made as the node that ran last', async () => {
    const id = await threadAfter('steps', {}, { interruptBefore: ['step4'] });
    expect(await update(id, { values: { log: ['by hand'] } })).toMatchObject({
      next: ['step4'],
      writes: { step3: { log: ['by hand'] } },
    });
  });

  it('is made as the node that had run last at the checkpoint', async () => {
    const id = await threadAfter('steps', {});
    const old = (await historyOf(id)).find(({ step }) => step === 4);
    const made = await update(id, { values: { log: ['!'] }, checkpointId: old.checkpointId });
    expect(made).toMatchObject({ next: ['step5'], writes: { step4: { log: ['!'] } } });
  });

  it('is refused where several ran side by side, which are named', async () => {
    const id = await threadAfter('parallel', {}, { interruptBefore: ['join'] });
    const before = await historyOf(id);
    const error = await refusal(id, { values: { log: ['by hand'] } });
    expect(error).toMatchObject({ code: 'BAD_USER_INPUT', argument: 'input.asNode' });
    expect(error.message).toMatch(/left, right/);
    expect(await historyOf(id)).toEqual(before);
    const made = await update(id, { values: { log: ['by hand'] }, asNode: 'right' });
    expect(made.values.log).toEqual(['left', 'right', 'by hand']);
  });

  it('is made as the one that ended, where another one failed beside it', async () => {
    const id = await threadAfter('halfFail', {});
    const made = await update(id, { values: { log: ['by hand'] } });
    expect(made).toMatchObject({
      values: { log: ['good', 'by hand'] },
      writes: { good: { log: ['by hand'] } },
    });
  });
});

describe('updateThreadState on an older checkpoint', () => {
  it('makes a branch, and the thread goes on from it', async () => {
    const id = await threadAfter('echo', human('one'));
    await createRun({ threadId: id, assistantId: 'echo', input: human('two') });
    const before = await historyOf(id, 'checkpointId values step');
    const old = before.find(({ step }) => step === 1);
    const made = await update(id, {
      values: human('instead'),
      asNode: '__start__',
      checkpointId: old.checkpointId,
    });
    expect(texts(made.values.messages)).toEqual(['one', 'echo: one', 'instead']);
    expect(made).toMatchObject({ parentCheckpointId: old.checkpointId, step: 2, next: ['echo'] });

    const { output } = await createRun({ threadId: id, assistantId: 'echo' });
    const now = ['one', 'echo: one', 'instead', 'echo: instead'];
    expect(texts(output.messages)).toEqual(now);
    expect(texts((await getThread(id, 'values')).values.messages)).toEqual(now);

    // The other branch stays, whole.
    const after = await historyOf(id, 'checkpointId values step');
    expect(after.slice(2)).toEqual(before);
    const forked = await stateOf(
      id,
      `(checkpointId: "${old.checkpointId}")`,
      'children { source }',
    );
    expect(forked.children).toEqual([{ source: 'INPUT' }, { source: 'UPDATE' }]);
  });

  it('shows on each branch what was written there', async () => {
    const id = await threadAfter('steps', {}, { interruptAfter: ['step1'] });
    const { checkpointId } = await stateOf(id);
    const branches = ['a', 'b', 'c'].map((name) => ({ name, log: ['step1', name] }));
    const made: any[] = [];
    for (const { name } of branches) {
      made.push(await update(id, { values: { log: [name] }, asNode: 'step2', checkpointId }));
    }
    for (const [i, { log, name }] of branches.entries()) {
      const at = `(checkpointId: "${made[i].checkpointId}")`;
      expect(await stateOf(id, at, 'values writes')).toEqual({
        values: { log },
        writes: { step2: { log: [name] } },
      });
    }
  });

  it('does not show what a run wrote there as its own', async () => {
    const id = await threadAfter('steps', {}, { interruptAfter: ['step2'] });
    const old = (await historyOf(id)).find(({ step }) => step === 1);
    const made = await update(id, { checkpointId: old.checkpointId });
    expect(made).toMatchObject({ next: ['step2'], writes: null });
  });
});

describe('After updateThreadState', () => {
  it('a question is closed that was asked in the state before', async () => {
    const id = await threadAfter('ask', {});
    const { interrupts } = await getThread(id, 'interrupts { id }');
    expect(interrupts).toHaveLength(1);
    const made = await update(id, { values: { log: ['by hand'] } });
    expect(made.next).toEqual(['ask']);
    expect(await getThread(id, 'status values interrupts { id } state { next }')).toEqual({
      status: 'IDLE',
      values: { log: ['before', 'by hand'] },
      interrupts: [],
      state: { next: ['ask'] },
    });
    // The node asks again, in the new state.
    const run = await createRun({ threadId: id, assistantId: 'ask' });
    expect(run.status).toBe('INTERRUPTED');
    const again = await getThread(id, 'status interrupts { id value }');
    expect(again).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [{ value: expect.anything() }],
    });
    expect(again.interrupts[0].id).not.toBe(interrupts[0].id);
  });

  it('a question stays closed that a delayed run was to answer', async () => {
    const id = await threadAfter('ask', {});
    const [{ id: interruptId }] = (await getThread(id, 'interrupts { id }')).interrupts;
    const command = { resume: [{ interruptId, value: 'yes' }] };
    const input = { threadId: id, assistantId: 'ask', command, afterSeconds: 3600 };
    const { createRun: delayed } = await server.gql(CREATE_RUN, { input });
    await update(id, { values: { log: ['by hand'] } });
    await server.gql(`mutation ($id: ID!) { cancelRun(id: $id, wait: true) { status } }`, {
      id: delayed.id,
    });
    expect(await getThread(id, 'status interrupts { id } values')).toEqual({
      status: 'IDLE',
      interrupts: [],
      values: { log: ['before', 'by hand'] },
    });
  });

  it('a delayed run goes on from the state that was made', async () => {
    const id = await threadAfter('steps', {}, { interruptAfter: ['step1'] });
    const input = { threadId: id, assistantId: 'steps', afterSeconds: 3600 };
    const { createRun: delayed } = await server.gql(CREATE_RUN, { input });
    await update(id, { values: { log: ['by hand'] }, asNode: 'step9' });
    expect(await getThread(id, 'status')).toEqual({ status: 'IDLE' });
    await server.app.sql.query(`UPDATE "Run" SET "dueAt" = now() WHERE "id" = $1`, [delayed.id]);
    await server.follow(delayed.id);
    expect((await getThread(id, 'values')).values.log).toEqual(['step1', 'by hand', 'step10']);
  });

  it('a question of the new state can be answered', async () => {
    const id = await threadAfter('ask', {});
    const asked = (await getThread(id, 'interrupts { id }')).interrupts;
    await update(id, { values: { log: ['by hand'] } });
    const answer = (interruptId: string) => ({
      input: {
        threadId: id,
        assistantId: 'ask',
        command: { resume: [{ interruptId, value: 'yes' }] },
      },
      wait: true,
    });
    const [error] = await server.errors(CREATE_RUN, answer(asked[0].id));
    expect(error?.extensions).toMatchObject({ code: 'CONFLICT' });
    await createRun({ threadId: id, assistantId: 'ask' });
    const [{ id: interruptId }] = (await getThread(id, 'interrupts { id }')).interrupts;
    const { createRun: run } = await server.gql(CREATE_RUN, answer(interruptId));
    expect(run).toMatchObject({
      status: 'SUCCESS',
      output: { answer: 'yes', log: ['before', 'by hand', 'ask'] },
    });
  });

  it('a thread that failed is idle', async () => {
    const id = await threadAfter('fail', { fail: true });
    expect(await getThread(id, 'status error { message }')).toMatchObject({ status: 'ERROR' });
    await update(id, { values: { fail: false }, asNode: 'a' });
    expect(await getThread(id, 'status error { message }')).toEqual({
      status: 'IDLE',
      error: null,
    });
    const run = await createRun({ threadId: id, assistantId: 'fail' });
    expect(run).toMatchObject({ status: 'SUCCESS', output: { log: ['a', 'b'], fail: false } });
  });

  it('the thread has changed', async () => {
    const id = await threadAfter('echo', human('one'));
    const { updatedAt } = await getThread(id, 'updatedAt');
    await until(() => Date.now() > Date.parse(updatedAt));
    await update(id, { values: human('two') });
    expect((await getThread(id, 'updatedAt')).updatedAt > updatedAt).toBe(true);
  });

  it('a copy of the thread has the same state', async () => {
    const id = await threadAfter('steps', {}, { interruptAfter: ['step1'] });
    await update(id, { values: { log: ['by hand'] }, asNode: 'step9' });
    const { copyThread: copy } = await server.gql(
      `mutation ($id: ID!) { copyThread(id: $id) { id status values state { next writes } } }`,
      { id },
    );
    expect(copy).toMatchObject({
      status: 'IDLE',
      values: { log: ['step1', 'by hand'] },
      state: { next: ['step10'], writes: { step9: { log: ['by hand'] } } },
    });
  });
});

describe('updateThreadState of a subgraph', () => {
  /** The namespace of the subgraph that the node runs now. */
  async function namespaceOf(id: string, node: string): Promise<string> {
    const { tasks } = await stateOf(id, '', 'tasks { name state { namespace } }');
    return tasks.find(({ name }: any) => name === node).state.namespace;
  }

  it('changes its state, closes its question, and a run goes on with it', async () => {
    const id = await threadAfter('nestedAsk', {});
    const namespace = await namespaceOf(id, 'inner');
    const above = await stateOf(id, '', 'checkpointId');
    const before = await stateOf(id, `(checkpointNamespace: "${namespace}")`);
    const made = await update(id, {
      values: { log: ['by hand'] },
      asNode: 'ask',
      checkpointNamespace: namespace,
    });
    expect(made).toMatchObject({
      namespace,
      parentCheckpointId: before.checkpointId,
      source: 'UPDATE',
      step: before.step + 1,
      values: { log: ['by hand'] },
      next: [],
      writes: { ask: { log: ['by hand'] } },
    });
    expect(await getThread(id, 'status interrupts { id } state { checkpointId next }')).toEqual({
      status: 'IDLE',
      interrupts: [],
      state: { ...above, next: ['inner'] },
    });
    const run = await createRun({ threadId: id, assistantId: 'nestedAsk' });
    expect(run).toMatchObject({ status: 'SUCCESS', output: { log: ['by hand'] } });
  });

  it('on an older checkpoint of the subgraph makes a branch there', async () => {
    const id = await threadAfter('deepAsk', {});
    const namespace = await namespaceOf(id, 'middle');
    const filter = `history(filter: { namespace: "${namespace}" }) { nodes { checkpointId step next } }`;
    const { nodes } = (await getThread(id, filter)).history;
    expect(nodes.map(({ next }: any) => next)).toEqual([['deepest'], ['note'], ['__start__']]);
    const made = await update(id, {
      values: { log: ['instead of note'] },
      asNode: 'note',
      checkpointId: nodes[1].checkpointId,
      checkpointNamespace: namespace,
    });
    expect(made).toMatchObject({
      values: { log: ['top', 'instead of note'] },
      next: ['deepest'],
      parentCheckpointId: nodes[1].checkpointId,
    });
    expect(await getThread(id, 'status interrupts { id }')).toEqual({
      status: 'IDLE',
      interrupts: [],
    });
    const run = await createRun({ threadId: id, assistantId: 'deepAsk' });
    expect(run.status).toBe('INTERRUPTED');
    expect((await stateOf(id, '', 'tasks { state { values } }')).tasks).toEqual([
      { state: { values: { log: ['top', 'instead of note'] } } },
    ]);
  });

  it('leaves the question open that another subgraph asks', async () => {
    const id = await threadAfter('twins', {});
    const asked = (await getThread(id, 'interrupts { id value }')).interrupts;
    expect(asked).toHaveLength(2);
    await update(id, {
      values: { answer: 'by hand' },
      asNode: 'ask',
      checkpointNamespace: await namespaceOf(id, 'left'),
    });
    expect(await getThread(id, 'status interrupts { id value }')).toEqual({
      status: 'INTERRUPTED',
      interrupts: asked.filter(({ value }: any) => value.from === 'right'),
    });
  });

  it.each(['pair', 'rememberingPair'])(
    'closes what its nodes asked side by side, and a run goes on without them: %s',
    async (assistantId) => {
      const id = await threadAfter(assistantId, {});
      const { interrupts } = await getThread(id, 'interrupts { id value checkpointNamespace }');
      expect(interrupts).toMatchObject([{ value: 'left 1' }, { value: 'right 1' }]);
      const namespace = interrupts[0].checkpointNamespace;
      expect(interrupts[1].checkpointNamespace).toBe(namespace);
      for (const asNode of ['left', 'right']) {
        const values = { log: [`${asNode} by hand`] };
        await update(id, { checkpointNamespace: namespace, values, asNode });
        const now = await getThread(id, 'status interrupts { id }');
        expect(now).toEqual({ status: 'IDLE', interrupts: [] });
      }
      const run = await createRun({ threadId: id, assistantId });
      expect(run).toMatchObject({
        status: 'SUCCESS',
        output: { log: ['left by hand', 'right by hand', 'after'] },
      });
    },
  );

  it('reaches a subgraph of a subgraph', async () => {
    const id = await threadAfter('deepAsk', {});
    const { tasks } = await stateOf(
      id,
      '',
      'tasks { state { tasks { state { namespace next tasks { name } values } } } }',
    );
    const deepest = tasks[0].state.tasks[0].state;
    expect(deepest).toMatchObject({ next: ['ask'], values: { log: ['top', 'note'] } });
    const made = await update(id, {
      values: { answer: 'nobody asked' },
      asNode: 'ask',
      checkpointNamespace: deepest.namespace,
    });
    expect(made).toMatchObject({ namespace: deepest.namespace, next: ['note'] });
    const { output } = await createRun({ threadId: id, assistantId: 'deepAsk' });
    expect(output.log.at(-1)).toBe('below: nobody asked');
  });
});

describe('The state of a subgraph', () => {
  it('is nested in its task to any depth, and is found by its namespace', async () => {
    const id = await threadAfter('deepAsk', {});
    const own = 'checkpointId namespace values next';
    const { tasks } = await stateOf(
      id,
      '',
      `tasks { name state { ${own} tasks { name state { ${own} interrupts { value } tasks { name state { step } } } } } }`,
    );
    expect(tasks).toMatchObject([
      {
        name: 'middle',
        state: {
          namespace: expect.stringMatching(/^middle:[^|]+$/),
          next: ['deepest'],
          values: { log: ['top', 'note'] },
          tasks: [
            {
              name: 'deepest',
              state: {
                namespace: expect.stringMatching(/^middle:[^|]+\|deepest:[^|]+$/),
                next: ['ask'],
                values: { log: ['top', 'note'] },
                interrupts: [{ value: { from: 'below' } }],
                tasks: [{ name: 'ask', state: null }],
              },
            },
          ],
        },
      },
    ]);
    const middle = tasks[0].state;
    const deepest = middle.tasks[0].state;
    for (const { namespace, checkpointId, next, values } of [middle, deepest]) {
      const place = `checkpointNamespace: "${namespace}"`;
      const shown = { checkpointId, namespace, next, values };
      expect(await stateOf(id, `(${place})`, own)).toEqual(shown);
      expect(await stateOf(id, `(checkpointId: "${checkpointId}", ${place})`, own)).toEqual(shown);
      const list = `history(filter: { namespace: "${namespace}" }) { nodes { ${own} } totalCount }`;
      const { history } = await getThread(id, list);
      expect(history.nodes[0]).toEqual(shown);
      expect(history.totalCount).toBe(history.nodes.length);
      expect(history.nodes.every((node: any) => node.namespace === namespace)).toBe(true);
    }
  });
});

describe('updateThreadState is refused', () => {
  const NOWHERE = '1f02f46f-7308-616c-8000-1b158a9a6955';

  it.each<[string, any, string, RegExp]>([
    ['an unknown node', { asNode: 'nobody' }, 'input.asNode', /"nobody".*step1/],
    ['an unknown checkpoint', { checkpointId: NOWHERE }, 'input.checkpointId', /not a checkpoint/],
    ['no id', { checkpointId: 'x' }, 'input.checkpointId', /UUID/],
    [
      'an unknown namespace',
      { checkpointNamespace: 'nowhere:1' },
      'input.checkpointNamespace',
      /nowhere/,
    ],
    ['values that are no object', { values: 7, asNode: 'step1' }, 'input.values', /object/],
    ['no input', { values: null, asNode: '__input__' }, 'input.values', /input/],
  ])('for %s', async (_what, input, argument, message) => {
    const id = await threadAfter('steps', {}, { interruptAfter: ['step1'] });
    const before = await getThread(id, 'status values updatedAt history { totalCount }');
    const error = await refusal(id, { values: { log: ['x'] }, ...input });
    expect(error).toMatchObject({ code: 'BAD_USER_INPUT', argument });
    expect(error.message).toMatch(message);
    expect(await getThread(id, 'status values updatedAt history { totalCount }')).toEqual(before);
  });

  it('where a reducer throws', async () => {
    const id = await threadAfter('route', { total: 1 });
    const error = await refusal(id, { values: { total: 'much' }, asNode: 'pick' });
    expect(error).toMatchObject({
      code: 'BAD_USER_INPUT',
      argument: 'input.values',
      message: expect.stringContaining('Only numbers add up.'),
    });
  });

  it('for a checkpoint of another thread, and one of another namespace', async () => {
    const [mine, yours] = [await threadAfter('nestedAsk', {}), await threadAfter('nestedAsk', {})];
    const { checkpointId } = await stateOf(yours);
    const { tasks } = await stateOf(mine, '', 'tasks { state { checkpointId namespace } }');
    const [{ state: below }] = tasks;
    for (const input of [
      { checkpointId },
      { checkpointId: below.checkpointId },
      { checkpointId, checkpointNamespace: below.namespace },
    ]) {
      expect(await refusal(mine, { ...input, asNode: '__copy__' })).toMatchObject({
        code: 'BAD_USER_INPUT',
        argument: 'input.checkpointId',
      });
    }
  });

  it('for the namespace of a graph that no node is', async () => {
    const id = await threadAfter('caller', {});
    const [row] = await server.app.sql.query<{ namespace: string }>(
      `SELECT "namespace" FROM "CheckpointHead" WHERE "threadId" = $1 AND "namespace" <> ''`,
      [id],
    );
    const error = await refusal(id, { values: {}, checkpointNamespace: row?.namespace });
    expect(error).toMatchObject({
      code: 'BAD_USER_INPUT',
      argument: 'input.checkpointNamespace',
    });
  });

  it('on a thread that has no graph, and on one that does not exist', async () => {
    const error = await refusal(await createThread(), { values: {} });
    expect(error).toMatchObject({ code: 'BAD_USER_INPUT', argument: 'id' });
    expect(error.message).toMatch(/no graph/);
    expect(await refusal(randomId(), { values: {} })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await refusal('x', { values: {} })).toMatchObject({
      code: 'BAD_USER_INPUT',
      argument: 'id',
    });
  });

  it('while a run is running or waits its turn, and not once they have ended', async () => {
    const id = await createThread();
    const file = path.join(os.tmpdir(), randomId());
    const input = { threadId: id, assistantId: 'gate', input: { file } };
    const { createRun: first } = await server.gql(CREATE_RUN, { input });
    const { createRun: second } = await server.gql(CREATE_RUN, { input });
    await until(async () => (await stateOf(id))?.next[0] === 'hold');
    const edit = { values: { log: ['by hand'] }, asNode: 'before' };
    expect(await refusal(id, edit)).toMatchObject({ code: 'THREAD_BUSY' });
    await writeFile(file, '');
    try {
      await Promise.all([server.follow(first.id), server.follow(second.id)]);
      expect((await update(id, edit)).values.log.at(-1)).toBe('by hand');
    } finally {
      await rm(file);
    }
  });
});

describe('Edits of one thread at the same time', () => {
  it('all stand, one on top of the other', async () => {
    const id = await threadAfter('steps', {}, { interruptAfter: ['step1'] });
    const head = await stateOf(id);
    const names = Array.from({ length: 20 }, (_, i) => `edit ${i}`);
    const made = await Promise.all(
      names.map((name) => update(id, { values: { log: [name] }, asNode: 'step2' })),
    );
    const { log } = (await stateOf(id)).values;
    expect(log[0]).toBe('step1');
    expect(log.slice(1).toSorted()).toEqual(names.toSorted());
    const chain = (await historyOf(id)).slice(0, 20).toReversed();
    expect(chain.map(({ parentCheckpointId }) => parentCheckpointId)).toEqual([
      head.checkpointId,
      ...chain.slice(0, -1).map(({ checkpointId }) => checkpointId),
    ]);
    expect(chain.map(({ step }) => step)).toEqual(names.map((_, i) => head.step + 1 + i));
    expect(new Set(made.map(({ checkpointId }) => checkpointId))).toEqual(
      new Set(chain.map(({ checkpointId }) => checkpointId)),
    );
  });

  it('all stand beside each other where they name the checkpoint', async () => {
    const id = await threadAfter('steps', {}, { interruptAfter: ['step1'] });
    const { checkpointId } = await stateOf(id);
    const names = Array.from({ length: 10 }, (_, i) => `edit ${i}`);
    const made = await Promise.all(
      names.map((name) => update(id, { values: { log: [name] }, asNode: 'step2', checkpointId })),
    );
    expect(made.map(({ values }) => values.log)).toEqual(names.map((name) => ['step1', name]));
    const { children } = await stateOf(
      id,
      `(checkpointId: "${checkpointId}")`,
      'children { checkpointId }',
    );
    expect(children).toHaveLength(10);
    expect(made).toContainEqual(expect.objectContaining({ values: (await stateOf(id)).values }));
  });

  it('and a run come one after the other', async () => {
    const id = await threadAfter('parallel', { log: ['first'] });
    const kept: string[] = [];
    for (let turn = 0; turn < 10; turn++) {
      const name = `edit ${turn}`;
      const input = { threadId: id, assistantId: 'parallel', input: { log: [`run ${turn}`] } };
      const [edit, run] = await Promise.all([
        server.request(UPDATE, { id, input: { values: { log: [name] }, asNode: 'join' } }),
        createRun(input),
      ]);
      expect(run.status).toBe('SUCCESS');
      expect(['THREAD_BUSY', undefined]).toContain(edit.errors?.[0]?.extensions['code']);
      if (!edit.errors) kept.push(name);
    }
    const { log } = (await stateOf(id)).values;
    expect(log.filter((entry: string) => entry.startsWith('edit'))).toEqual(kept);
    expect(log.filter((entry: string) => entry.startsWith('run'))).toHaveLength(10);
    expect(await getThread(id, 'status')).toEqual({ status: 'IDLE' });
  });
});

describe('What updateThreadState makes', () => {
  const COMPARED: [string, any, Record<string, unknown>, Record<string, unknown>, string[]][] = [
    ['steps', graphs.steps, {}, { log: ['edit'] }, ['step1', 'step10', '__start__']],
    ['parallel', graphs.parallel, { log: ['in'] }, { log: ['edit'] }, ['left', 'join']],
    ['fanOut', graphs.fanOut, { jobs: ['a', 'b'] }, { jobs: ['c'] }, ['plan', 'work', 'done']],
    ['route', graphs.route, { total: 4 }, { total: 5 }, ['pick', 'low']],
    ['ask', graphs.ask, {}, { log: ['edit'], answer: 'yes' }, ['before', 'ask']],
    ['nested', graphs.nested, {}, { log: ['edit'] }, ['outer', 'inner', 'last']],
    ['nestedAsk', graphs.nestedAsk, {}, { log: ['edit'] }, ['inner']],
    ['halfFail', graphs.halfFail, {}, { log: ['edit'] }, ['good', 'bad']],
    ['fail', graphs.fail, { fail: true }, { fail: false }, ['a', 'b']],
    ['shrink', graphs.shrink, { list: [1, 2, 3] }, { list: [9, 9] }, ['drop']],
  ];

  function shown({ values, next, metadata, tasks }: StateSnapshot) {
    return {
      values: values ?? {},
      next,
      source: String(metadata?.source).toUpperCase(),
      step: metadata?.step,
      parents: metadata?.parents,
      tasks: tasks.map((task) => ({
        name: task.name,
        path: (task.path ?? []).map(String),
        failed: task.error !== undefined,
        asks: task.interrupts.map(({ value }) => value),
        result: ('result' in task ? task.result : undefined) ?? null,
      })),
    };
  }

  function flat({ values, next, source, step, metadata, tasks }: any) {
    return {
      values,
      next,
      source,
      step,
      parents: metadata.parents,
      tasks: tasks.map(({ name, path, error, interrupts, result }: any) => ({
        name,
        path,
        failed: error !== null,
        asks: interrupts.map(({ value }: any) => value),
        result,
      })),
    };
  }

  /** The graph after one run, in memory and here. */
  async function runTwice(assistantId: string, graph: any, input: Record<string, unknown>) {
    const inMemory = graph.builder.compile({ checkpointer: new MemorySaver() });
    const config = { configurable: { thread_id: 'thread' } };
    await inMemory.invoke(input, config).catch(() => {});
    return { inMemory, config, threadId: await threadAfter(assistantId, input) };
  }

  type Edit = [values: unknown, asNode: string | undefined];

  /** As the input, as the end, as each node, with values and without. */
  function editsOf(values: unknown, nodes: string[]): Edit[] {
    return [
      [values, undefined],
      [null, undefined],
      [null, '__end__'],
      [values, '__input__'],
      ...nodes.flatMap((node): Edit[] => [
        [values, node],
        [null, node],
      ]),
    ];
  }

  /** Makes the edit in both places; both refuse it, or make the same state. */
  async function compare(
    { inMemory, threadId }: { inMemory: any; threadId: string },
    place: { theirs: any; ours: string | undefined },
    [values, asNode]: Edit,
  ) {
    const expected = await inMemory
      .updateState(place.theirs, values, asNode)
      .then((made: any) => inMemory.getState(made))
      .catch((error: Error) => error);
    const input = { values, asNode, checkpointId: place.ours };
    const { data, errors } = await server.request(UPDATE, { id: threadId, input });
    const title = JSON.stringify(input);
    const code = expected instanceof Error ? 'BAD_USER_INPUT' : undefined;
    expect(errors?.[0]?.extensions['code'], title).toBe(code);
    if (expected instanceof Error) return;
    const made = JSON.parse(JSON.stringify(shown(expected)));
    expect(flat(data.updateThreadState), title).toEqual(made);
    expect(flat(await stateOf(threadId)), title).toEqual(made);
  }

  /** The next run goes on alike. */
  async function compareRun(
    { inMemory, config, threadId }: Awaited<ReturnType<typeof runTwice>>,
    assistantId: string,
  ) {
    await inMemory.invoke(null, config).catch(() => {});
    await createRun({ threadId, assistantId });
    const expected = JSON.parse(JSON.stringify(shown(await inMemory.getState(config))));
    expect(flat(await stateOf(threadId))).toEqual(expected);
  }

  it.each(COMPARED)(
    'of %s is what LangGraph makes in memory, after a run and as every node',
    async (assistantId, graph, input, values, nodes) => {
      for (const edit of editsOf(values, nodes)) {
        const both = await runTwice(assistantId, graph, input);
        await compare(both, { theirs: both.config, ours: undefined }, edit);
        await compareRun(both, assistantId);
      }
    },
  );

  it.each(COMPARED)(
    'of %s is what LangGraph makes in memory, at every checkpoint',
    async (assistantId, graph, input, values, nodes) => {
      const both = await runTwice(assistantId, graph, input);
      const theirs: StateSnapshot[] = [];
      for await (const state of both.inMemory.getStateHistory(both.config)) theirs.push(state);
      const ours = await historyOf(both.threadId);
      expect(ours).toHaveLength(theirs.length);
      for (const [i, { config }] of theirs.entries()) {
        for (const edit of editsOf(values, nodes.slice(0, 1))) {
          await compare(both, { theirs: config, ours: ours[i].checkpointId }, edit);
        }
      }
      await compareRun(both, assistantId);
    },
  );
});
