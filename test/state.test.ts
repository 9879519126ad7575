import type { VariablesOf } from 'gql.tada';
import { describe, expect } from 'vitest';
import { human } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { contentsOf, operation, valuesOf } from './support/graphql.ts';
import { selectThread } from './support/select-thread.ts';
import { INTERRUPT, STATE } from './support/state-fields.ts';

const RELATED = `${STATE} parent { checkpointId step } children { checkpointId step }` as const;

const READ = operation(`query ($id: ID!, $checkpointId: ID, $checkpointNamespace: String) {
  thread(id: $id) {
    state(checkpointId: $checkpointId, checkpointNamespace: $checkpointNamespace) { ${RELATED} }
  }
}`);

/** Reads the state of a thread at a checkpoint, or in a namespace. */
async function findState(
  client: Client,
  id: string,
  place: Omit<VariablesOf<typeof READ>, 'id'> = {},
) {
  return (await client.gql(READ, { id, ...place })).thread?.state;
}

async function getStates(client: Client, id: string) {
  return (await selectThread(client, id, `history { nodes { ${RELATED} } }`)).history.nodes;
}

const texts = (messages: { text: string }[]) => messages.map(({ text }) => text);

describe('Thread.values and Thread.messages', () => {
  it('are empty before the first checkpoint', async ({ client }) => {
    const id = await client.createThread();
    expect(await selectThread(client, id, 'values messages { text } state { step }')).toEqual({
      values: {},
      messages: [],
      state: null,
    });
  });

  it('show the state of now, the newest messages at the end', async ({ client }) => {
    const threadId = await client.createThread();
    for (const said of ['one', 'two', 'three']) {
      await client.runToEnd({ threadId, assistantId: 'echo', input: human(said) });
    }
    const all = ['one', 'echo: one', 'two', 'echo: two', 'three', 'echo: three'];
    const thread = await selectThread(
      client,
      threadId,
      'values messages { text type messageId } newest: messages(last: 2) { text } state { messages(last: 1) { text } }',
    );
    expect(contentsOf(thread.values)).toEqual(all);
    expect(texts(thread.messages)).toEqual(all);
    expect(thread.messages.map(({ messageId }) => messageId)).toEqual(
      valuesOf(thread.values).messages.map(({ id }) => id),
    );
    expect(texts(thread.newest)).toEqual(all.slice(-2));
    expect(texts(thread.state?.messages ?? [])).toEqual(all.slice(-1));
  });

  it.for([0, -1, 1001])('refuse last: %i', async (last, { client }) => {
    const id = await client.createThread();
    const [error] = await client.errors(
      operation(
        `query ($id: ID!, $last: Int!) { thread(id: $id) { messages(last: $last) { text } } }`,
      ),
      { id, last },
    );
    expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument: 'last' });
  });
});

describe('Thread.state', () => {
  it('shows every field of every state of a conversation', async ({ client }) => {
    const threadId = await client.createThread();
    const say = (said: string) =>
      client.runToEnd({ threadId, assistantId: 'echo', input: human(said), metadata: { said } });
    const [first, second] = [await say('one'), await say('two')];
    const { assistant } = await client.gql(operation(`{ assistant(id: "echo") { id } }`));
    const states = await getStates(client, threadId);

    expect(states.map(({ source, step, next }) => [source, step, next])).toEqual([
      ['LOOP', 4, []],
      ['LOOP', 3, ['echo']],
      ['INPUT', 2, ['__start__']],
      ['LOOP', 1, []],
      ['LOOP', 0, ['echo']],
      ['INPUT', -1, ['__start__']],
    ]);
    expect(states.map(({ messages }) => texts(messages))).toEqual([
      ['one', 'echo: one', 'two', 'echo: two'],
      ['one', 'echo: one', 'two'],
      ['one', 'echo: one'],
      ['one', 'echo: one'],
      ['one'],
      [],
    ]);
    for (const [i, state] of states.entries()) {
      const run = i < 3 ? second : first;
      const younger = states[i - 1];
      const older = states[i + 1];
      expect(state).toMatchObject({
        threadId,
        thread: { id: threadId },
        namespace: '',
        parentCheckpointId: older?.checkpointId ?? null,
        parent: older ? { checkpointId: older.checkpointId, step: older.step } : null,
        children: younger ? [{ checkpointId: younger.checkpointId, step: younger.step }] : [],
        runId: run.id,
        run: { id: run.id, status: 'SUCCESS' },
        interrupts: [],
        metadata: {
          source: state.source.toLowerCase(),
          step: state.step,
          parents: {},
          thread_id: threadId,
          run_id: run.id,
          graph_id: 'echo',
          assistant_id: assistant?.id,
          said: i < 3 ? 'two' : 'one',
        },
      });
      expect((valuesOf(state.values).messages ?? []).map(({ id }) => id)).toEqual(
        state.messages.map(({ messageId }) => messageId),
      );
      expect(Math.abs(Date.parse(state.createdAt) - Date.now())).toBeLessThan(60_000);
      expect(state.tasks.map(({ name }) => name)).toEqual(state.next);
    }
    const [last, before] = states;
    expect(last?.writes).toEqual({
      echo: { messages: [expect.objectContaining({ content: 'echo: two' })] },
    });
    expect(states[2]?.writes).toBeNull();
    expect(before?.tasks).toEqual([
      {
        taskId: expect.any(String),
        name: 'echo',
        path: ['__pregel_pull', 'echo'],
        error: null,
        result: { messages: [expect.objectContaining({ content: 'echo: two', type: 'ai' })] },
        interrupts: [],
        state: null,
      },
    ]);

    for (const state of states) {
      const { checkpointId } = state;
      expect(await findState(client, threadId, { checkpointId })).toEqual(state);
    }
    expect(await findState(client, threadId)).toEqual(last);
  });

  it('shows all that a node wrote that ran several times in a step', async ({ client }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'fanOut', input: { jobs: ['a', 'b'] } });
    const { history } = await selectThread(client, threadId, 'history { nodes { step writes } }');
    expect(history.nodes.slice(0, 3)).toEqual([
      { step: 3, writes: { done: { log: ['done'] } } },
      { step: 2, writes: { work: [{ log: ['work a'] }, { log: ['work b'] }] } },
      { step: 1, writes: { plan: { log: ['plan'] } } },
    ]);
  });

  it('does not take what the run calls its writes for what its nodes wrote', async ({ client }) => {
    const threadId = await client.createThread();
    const metadata = { writes: 'mine', step: 'mine', source: 'mine', thread_id: 'mine' };
    await client.runToEnd({ threadId, assistantId: 'parallel', input: {}, metadata });
    expect(
      await selectThread(client, threadId, 'state { step source writes metadata }'),
    ).toMatchObject({
      state: {
        step: 2,
        source: 'LOOP',
        writes: { join: { log: ['join'] } },
        metadata: { writes: 'mine', step: 2, source: 'loop', thread_id: threadId },
      },
    });
  });

  it('is null where there is none', async ({ client }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'echo', input: human('hello') });
    const other = '1f02f46f-7308-616c-8000-1b158a9a6955';
    expect(await findState(client, threadId, { checkpointId: other })).toBeNull();
    expect(await findState(client, threadId, { checkpointNamespace: 'nowhere' })).toBeNull();
  });

  it('does not show a checkpoint of another thread', async ({ client }) => {
    const [mine, yours] = [await client.createThread(), await client.createThread()];
    await client.runToEnd({ threadId: mine, assistantId: 'echo', input: human('mine') });
    const checkpointId = (await findState(client, mine))?.checkpointId;
    expect(checkpointId).toEqual(expect.any(String));
    expect(await findState(client, yours, { checkpointId })).toBeNull();
  });

  it('keeps what was before a run that failed, and says what failed', async ({ client }) => {
    const threadId = await client.createThread();
    const input = { threadId, assistantId: 'fail' };
    const states = async () =>
      (await selectThread(client, threadId, `history { nodes { ${STATE} } }`)).history.nodes;
    await client.runToEnd({ ...input, input: { fail: false } });
    const before = await states();
    const run = await client.runToEnd({ ...input, input: { fail: true } });
    expect(run).toMatchObject({ status: 'ERROR', error: { name: 'CustomError', message: 'Boo!' } });

    const thread = await selectThread(
      client,
      threadId,
      `status values error { name message } state { ${STATE} }`,
    );
    expect(thread).toMatchObject({
      status: 'ERROR',
      error: { name: 'CustomError', message: 'Boo!' },
      values: { log: ['a', 'b', 'a'], fail: true },
      state: {
        runId: run.id,
        next: ['b'],
        tasks: [{ name: 'b', error: 'Boo!', result: null, interrupts: [] }],
      },
    });
    const after = await states();
    expect(after.slice(-before.length)).toEqual(before);

    expect(await client.runToEnd({ ...input, input: { fail: false } })).toMatchObject({
      status: 'SUCCESS',
      output: { log: ['a', 'b', 'a', 'a', 'b'] },
    });
    expect(await selectThread(client, threadId, 'status error { name }')).toEqual({
      status: 'IDLE',
      error: null,
    });
  });

  it('shows what finished beside a task that failed', async ({ client }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'halfFail', input: {} });
    const state = await findState(client, threadId);
    expect(state?.tasks).toMatchObject([
      { name: 'good', error: null, result: { log: ['good'] } },
      { name: 'bad', error: 'Boo!', result: null },
    ]);
    const at = await findState(client, threadId, { checkpointId: state?.checkpointId });
    expect(at?.values).toEqual({ log: [] });
  });

  it('shows what waits for a person', async ({ client }) => {
    const threadId = await client.createThread();
    const run = await client.runToEnd({ threadId, assistantId: 'ask', input: {} });
    const { status, state, interrupts } = await selectThread(
      client,
      threadId,
      `status state { ${STATE} } interrupts { ${INTERRUPT} }`,
    );
    expect(status).toBe('INTERRUPTED');
    const question = {
      id: expect.any(String),
      value: { question: 'Go on?' },
      node: 'ask',
      threadId,
      thread: { id: threadId },
      run: { id: run.id },
      checkpointId: state?.checkpointId,
      checkpointNamespace: '',
    };
    expect(interrupts).toEqual([question]);
    expect(state).toMatchObject({
      next: ['ask'],
      interrupts,
      tasks: [{ name: 'ask', interrupts, result: null }],
    });
  });

  it('leads into the state of a subgraph', async ({ client }) => {
    const threadId = await client.createThread();
    const run = await client.runToEnd({ threadId, assistantId: 'nestedAsk', input: {} });
    const { state, interrupts } = await selectThread(
      client,
      threadId,
      `interrupts { ${INTERRUPT} }
       state { next interrupts { id } tasks { name interrupts { id } state { ${STATE} } } }`,
    );
    const [task] = state?.tasks ?? [];
    const below = task?.state ?? expect.fail('The subgraph has no state.');
    expect(task).toMatchObject({
      name: 'inner',
      state: {
        threadId,
        runId: run.id,
        next: ['ask'],
        values: { log: [] },
        tasks: [{ name: 'ask' }],
      },
    });
    expect(below.namespace).toMatch(/^inner:/);
    expect(interrupts).toMatchObject([
      { value: { question: 'Really?' }, checkpointNamespace: below.namespace },
    ]);
    const ids = interrupts.map(({ id }) => ({ id }));
    expect(state?.interrupts).toEqual(ids);
    expect(task?.interrupts).toEqual(ids);
    expect(below.tasks[0]?.interrupts).toEqual(interrupts);

    const { namespace } = below;
    const found = await findState(client, threadId, { checkpointNamespace: namespace });
    const { parent: _, children: __, ...shown } = found ?? expect.fail(`No state ${namespace}`);
    expect(shown).toEqual(below);
    const { thread } = await client.gql(
      operation(`query ($id: ID!, $namespace: String!) {
        thread(id: $id) { history(filter: { namespace: $namespace }) { nodes { step namespace } } }
      }`),
      { id: threadId, namespace },
    );
    expect(thread?.history.nodes).toEqual([
      { step: 0, namespace },
      { step: -1, namespace },
    ]);
  });

  it('is read by the graph that wrote it, where a thread has had several', async ({ client }) => {
    const threadId = await client.createThread();
    await client.runToEnd({ threadId, assistantId: 'parallel', input: { log: ['first'] } });
    await client.runToEnd({ threadId, assistantId: 'shrink', input: { list: [1, 2] } });
    const states = await getStates(client, threadId);
    const seen = states.map(({ metadata, next, values }) => [
      metadata['graph_id'],
      next,
      Object.keys(valuesOf(values)),
    ]);
    expect(seen).toEqual([
      ['shrink', [], ['list']],
      ['shrink', ['drop'], ['list']],
      ['shrink', ['__start__'], []],
      ['parallel', [], ['log']],
      ['parallel', ['join'], ['log']],
      ['parallel', ['left', 'right'], ['log']],
      ['parallel', ['__start__'], ['log']],
    ]);
    const again = await client.runToEnd({
      threadId,
      assistantId: 'parallel',
      input: { log: ['again'] },
    });
    expect(again.output.log.slice(-4)).toEqual(['again', 'left', 'right', 'join']);
  });
});

describe('Thread.storageBytes', () => {
  it('grows with what was said, not with its square', async ({ client }) => {
    const threadId = await client.createThread();
    const stored = async () => (await selectThread(client, threadId, 'storageBytes')).storageBytes;
    const sizes = [await stored()];
    expect(sizes).toEqual([0]);
    for (let turn = 0; turn < 20; turn++) {
      const said = `turn ${turn}: ${'abcdefghij'.repeat(100)}`;
      await client.runToEnd({ threadId, assistantId: 'echo', input: human(said) });
      sizes.push(await stored());
    }
    const grown = sizes.slice(1).map((size, i) => size - (sizes[i] ?? 0));
    expect(Math.min(...grown)).toBeGreaterThan(0);
    const firstFive = grown.slice(0, 5).reduce((sum, each) => sum + each);
    const lastFive = grown.slice(-5).reduce((sum, each) => sum + each);
    expect(lastFive).toBeLessThan(firstFive * 1.2);
  });
});
