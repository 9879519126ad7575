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

async function createThread(input?: Record<string, unknown>): Promise<string> {
  return (await server.gql(CREATE_THREAD, { input })).createThread.id;
}

async function createRun(input: Record<string, unknown>): Promise<any> {
  return (await server.gql(CREATE_RUN, { input, wait: true })).createRun;
}

async function copyThread(id: string): Promise<any> {
  const document = `mutation ($id: ID!) { copyThread(id: $id) { id status metadata values error { name message } } }`;
  return (await server.gql(document, { id })).copyThread;
}

async function getThread(
  id: string,
  fields: string,
  variables: Record<string, unknown> = {},
): Promise<any> {
  const declared = Object.keys(variables).map((name) => `, $${name}: ${TYPES[name]}`);
  return (
    await server.gql(`query ($id: ID!${declared.join('')}) { thread(id: $id) { ${fields} } }`, {
      id,
      ...variables,
    })
  ).thread;
}

const TYPES: Record<string, string> = {
  first: 'Int',
  after: 'String',
  olderThan: 'ID',
  filter: 'CheckpointFilter',
};

/** A page of the history. */
async function history(
  id: string,
  fields: string,
  variables: Record<string, unknown> = {},
): Promise<any> {
  const args = Object.keys(variables).map((name) => `${name}: $${name}`);
  const list = `history${args.length > 0 ? `(${args.join(', ')})` : ''}`;
  const page = `nodes { ${fields} } pageInfo { hasNextPage hasPreviousPage endCursor } totalCount`;
  return (await getThread(id, `${list} { ${page} }`, variables)).history;
}

const INTERRUPT =
  'id value node threadId checkpointId checkpointNamespace run { id } thread { id }';

/** Every field of the contract, but for what leads to other checkpoints. */
const STATE = `
  checkpointId threadId thread { id } namespace parentCheckpointId source step runId run { id status }
  values messages { messageId type text } writes next
  tasks { taskId name path error result interrupts { ${INTERRUPT} } state { namespace } }
  interrupts { ${INTERRUPT} } metadata createdAt`;

const RELATED = `${STATE} parent { checkpointId step } children { checkpointId step }`;

const texts = (messages: any[]) => messages.map(({ text }) => text);

describe('Thread.values and Thread.messages', () => {
  it('are empty before the first checkpoint', async () => {
    const id = await createThread();
    expect(await getThread(id, 'values messages { text } state { step }')).toEqual({
      values: {},
      messages: [],
      state: null,
    });
  });

  it('show the state of now, the newest messages at the end', async () => {
    const threadId = await createThread();
    for (const said of ['one', 'two', 'three']) {
      await createRun({ threadId, assistantId: 'echo', input: human(said) });
    }
    const all = ['one', 'echo: one', 'two', 'echo: two', 'three', 'echo: three'];
    const thread = await getThread(
      threadId,
      'values messages { text type messageId } newest: messages(last: 2) { text } state { messages(last: 1) { text } }',
    );
    expect(thread.values.messages.map(({ content }: any) => content)).toEqual(all);
    expect(texts(thread.messages)).toEqual(all);
    expect(thread.messages.map(({ messageId }: any) => messageId)).toEqual(
      thread.values.messages.map(({ id }: any) => id),
    );
    expect(texts(thread.newest)).toEqual(all.slice(-2));
    expect(texts(thread.state.messages)).toEqual(all.slice(-1));
  });

  it.each([0, -1, 1001])('refuse last: %i', async (last) => {
    const id = await createThread();
    const [error] = await server.errors(
      `query ($id: ID!) { thread(id: $id) { messages(last: ${last}) { text } } }`,
      { id },
    );
    expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument: 'last' });
  });
});

describe('Thread.state', () => {
  it('shows every field of every state of a conversation', async () => {
    const threadId = await createThread();
    const runs: any[] = [];
    for (const said of ['one', 'two']) {
      runs.push(
        await createRun({ threadId, assistantId: 'echo', input: human(said), metadata: { said } }),
      );
    }
    const { assistant } = await server.gql(`{ assistant(id: "echo") { id } }`);
    const { nodes: states } = await history(threadId, RELATED);

    expect(states.map(({ source, step, next }: any) => [source, step, next])).toEqual([
      ['LOOP', 4, []],
      ['LOOP', 3, ['echo']],
      ['INPUT', 2, ['__start__']],
      ['LOOP', 1, []],
      ['LOOP', 0, ['echo']],
      ['INPUT', -1, ['__start__']],
    ]);
    expect(states.map(({ messages }: any) => texts(messages))).toEqual([
      ['one', 'echo: one', 'two', 'echo: two'],
      ['one', 'echo: one', 'two'],
      ['one', 'echo: one'],
      ['one', 'echo: one'],
      ['one'],
      [],
    ]);
    for (const [i, state] of states.entries()) {
      const run = runs[i < 3 ? 1 : 0];
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
          assistant_id: assistant.id,
          said: i < 3 ? 'two' : 'one',
        },
      });
      expect(state.values.messages?.map(({ id }: any) => id) ?? []).toEqual(
        state.messages.map(({ messageId }: any) => messageId),
      );
      expect(Math.abs(Date.parse(state.createdAt) - Date.now())).toBeLessThan(60_000);
      expect(state.tasks.map(({ name }: any) => name)).toEqual(state.next);
    }
    const [last, before] = states;
    expect(last.writes).toEqual({
      echo: { messages: [expect.objectContaining({ content: 'echo: two' })] },
    });
    expect(states[2].writes).toBeNull();
    expect(before.tasks).toEqual([
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
      const at = await getThread(
        threadId,
        `state(checkpointId: "${state.checkpointId}") { ${RELATED} }`,
      );
      expect(at.state).toEqual(state);
    }
    expect((await getThread(threadId, `state { ${RELATED} }`)).state).toEqual(last);
  });

  it('shows all that a node wrote that ran several times in a step', async () => {
    const threadId = await createThread();
    await createRun({ threadId, assistantId: 'fanOut', input: { jobs: ['a', 'b'] } });
    const { nodes } = await history(threadId, 'step writes');
    expect(nodes.slice(0, 3)).toEqual([
      { step: 3, writes: { done: { log: ['done'] } } },
      { step: 2, writes: { work: [{ log: ['work a'] }, { log: ['work b'] }] } },
      { step: 1, writes: { plan: { log: ['plan'] } } },
    ]);
  });

  it('does not take what the run calls its writes for what its nodes wrote', async () => {
    const threadId = await createThread();
    const metadata = { writes: 'mine', step: 'mine', source: 'mine', thread_id: 'mine' };
    await createRun({ threadId, assistantId: 'parallel', input: {}, metadata });
    expect(await getThread(threadId, 'state { step source writes metadata }')).toMatchObject({
      state: {
        step: 2,
        source: 'LOOP',
        writes: { join: { log: ['join'] } },
        metadata: { writes: 'mine', step: 2, source: 'loop', thread_id: threadId },
      },
    });
  });

  it('is null where there is none', async () => {
    const threadId = await createThread();
    await createRun({ threadId, assistantId: 'echo', input: human('hello') });
    const other = '1f02f46f-7308-616c-8000-1b158a9a6955';
    const fields = `at: state(checkpointId: "${other}") { step } below: state(checkpointNamespace: "nowhere") { step }`;
    expect(await getThread(threadId, fields)).toEqual({ at: null, below: null });
  });

  it('does not show a checkpoint of another thread', async () => {
    const [mine, yours] = [await createThread(), await createThread()];
    await createRun({ threadId: mine, assistantId: 'echo', input: human('mine') });
    const { state } = await getThread(mine, 'state { checkpointId }');
    expect(await getThread(yours, `state(checkpointId: "${state.checkpointId}") { step }`)).toEqual(
      { state: null },
    );
  });

  it('keeps what was before a run that failed, and says what failed', async () => {
    const threadId = await createThread();
    const input = { threadId, assistantId: 'fail' };
    await createRun({ ...input, input: { fail: false } });
    const { nodes: before } = await history(threadId, STATE);
    const run = await createRun({ ...input, input: { fail: true } });
    expect(run).toMatchObject({ status: 'ERROR', error: { name: 'CustomError', message: 'Boo!' } });

    const thread = await getThread(
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
    const { nodes: after } = await history(threadId, STATE);
    expect(after.slice(-before.length)).toEqual(before);

    expect(await createRun({ ...input, input: { fail: false } })).toMatchObject({
      status: 'SUCCESS',
      output: { log: ['a', 'b', 'a', 'a', 'b'] },
    });
    expect(await getThread(threadId, 'status error { name }')).toEqual({
      status: 'IDLE',
      error: null,
    });
  });

  it('shows what finished beside a task that failed', async () => {
    const threadId = await createThread();
    await createRun({ threadId, assistantId: 'halfFail', input: {} });
    const { state } = await getThread(threadId, `state { ${STATE} }`);
    expect(state.tasks).toMatchObject([
      { name: 'good', error: null, result: { log: ['good'] } },
      { name: 'bad', error: 'Boo!', result: null },
    ]);
    const { state: at } = await getThread(
      threadId,
      `state(checkpointId: "${state.checkpointId}") { values }`,
    );
    expect(at.values).toEqual({ log: [] });
  });

  it('shows what waits for a person', async () => {
    const threadId = await createThread();
    const run = await createRun({ threadId, assistantId: 'ask', input: {} });
    const { status, state, interrupts } = await getThread(
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
      checkpointId: state.checkpointId,
      checkpointNamespace: '',
    };
    expect(interrupts).toEqual([question]);
    expect(state).toMatchObject({
      next: ['ask'],
      interrupts,
      tasks: [{ name: 'ask', interrupts, result: null }],
    });
  });

  it('leads into the state of a subgraph', async () => {
    const threadId = await createThread();
    const run = await createRun({ threadId, assistantId: 'nestedAsk', input: {} });
    const { state, interrupts } = await getThread(
      threadId,
      `interrupts { ${INTERRUPT} }
       state { next interrupts { id } tasks { name interrupts { id } state { ${STATE} } } }`,
    );
    const [task] = state.tasks;
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
    expect(task.state.namespace).toMatch(/^inner:/);
    expect(interrupts).toMatchObject([
      { value: { question: 'Really?' }, checkpointNamespace: task.state.namespace },
    ]);
    const [{ id }] = interrupts;
    expect(state.interrupts).toEqual([{ id }]);
    expect(task.interrupts).toEqual([{ id }]);
    expect(task.state.tasks[0].interrupts).toEqual(interrupts);

    const { state: below } = await getThread(
      threadId,
      `state(checkpointNamespace: "${task.state.namespace}") { ${STATE} }`,
    );
    expect(below).toEqual(task.state);
    const { nodes } = await history(threadId, 'step namespace', {
      filter: { namespace: task.state.namespace },
    });
    expect(nodes).toMatchObject([
      { step: 0, namespace: task.state.namespace },
      { step: -1, namespace: task.state.namespace },
    ]);
  });

  it('is read by the graph that wrote it, where a thread has had several', async () => {
    const threadId = await createThread();
    await createRun({ threadId, assistantId: 'parallel', input: { log: ['first'] } });
    await createRun({ threadId, assistantId: 'shrink', input: { list: [1, 2] } });
    const { nodes } = await history(threadId, 'values next metadata');
    const seen = nodes.map(({ metadata, next, values }: any) => [
      metadata.graph_id,
      next,
      Object.keys(values),
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
    const again = await createRun({ threadId, assistantId: 'parallel', input: { log: ['again'] } });
    expect(again.output.log.slice(-4)).toEqual(['again', 'left', 'right', 'join']);
  });
});

describe('Thread.history', () => {
  async function createConversation() {
    const threadId = await createThread();
    const first = await createRun({
      threadId,
      assistantId: 'steps',
      input: {},
      metadata: { turn: 1 },
    });
    const second = await createRun({
      threadId,
      assistantId: 'echo',
      input: human('hi'),
      metadata: { turn: 2 },
    });
    const { nodes } = await history(threadId, 'checkpointId step source', { first: 100 });
    return {
      threadId,
      first,
      second,
      ids: nodes.map(({ checkpointId }: any) => checkpointId) as string[],
      nodes,
    };
  }

  it('comes page by page, the newest first', async () => {
    const { threadId, ids } = await createConversation();
    expect(ids).toHaveLength(15);
    expect(ids).toEqual(ids.toSorted().toReversed());
    const seen: string[] = [];
    let after: string | null = null;
    do {
      const page: any = await history(threadId, 'checkpointId', { first: 4, after });
      expect(page.totalCount).toBe(15);
      expect(page.pageInfo.hasPreviousPage).toBe(seen.length > 0);
      seen.push(...page.nodes.map(({ checkpointId }: any) => checkpointId));
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
    } while (after);
    expect(seen).toEqual(ids);
  });

  it('holds only what is older than a checkpoint, where one is named', async () => {
    const { threadId, ids } = await createConversation();
    const page = await history(threadId, 'checkpointId', { olderThan: ids[9], first: 3 });
    expect(page).toMatchObject({ totalCount: 5, pageInfo: { hasNextPage: true } });
    expect(page.nodes.map(({ checkpointId }: any) => checkpointId)).toEqual(ids.slice(10, 13));
    expect((await history(threadId, 'step', { olderThan: ids[14] })).nodes).toEqual([]);
  });

  it('is filtered by source, step, run and metadata', async () => {
    const { threadId, first, second, nodes } = await createConversation();
    const matching = async (filter: object) =>
      (await history(threadId, 'checkpointId step source', { filter, first: 100 })).nodes;
    const inputs = nodes.filter(({ source }: any) => source === 'INPUT');
    expect(await matching({ source: ['INPUT'] })).toEqual(inputs);
    expect(await matching({ source: ['INPUT', 'LOOP'] })).toEqual(nodes);
    expect(await matching({ source: ['FORK'] })).toEqual([]);
    expect(await matching({ step: 3 })).toEqual(nodes.filter(({ step }: any) => step === 3));
    expect(await matching({ runId: second.id })).toEqual(nodes.slice(0, 3));
    expect(await matching({ runId: first.id })).toEqual(nodes.slice(3));
    expect(await matching({ metadata: { turn: 1, source: 'input' } })).toEqual([nodes.at(-1)]);
    expect(await matching({ metadata: { turn: 3 } })).toEqual([]);
    expect(await matching({ step: -1, runId: second.id })).toEqual([]);
  });

  it.each([
    [{ first: 0 }, 'first'],
    [{ first: 101 }, 'first'],
    [{ after: 'nonsense' }, 'after'],
    [{ olderThan: '1f02f46f-7308-616c-8000-1b158a9a6955' }, 'olderThan'],
  ])('refuses %j', async (variables, argument) => {
    const id = await createThread();
    const [error] = await server.errors(
      `query ($id: ID!, $first: Int, $after: String, $olderThan: ID) {
        thread(id: $id) { history(first: $first, after: $after, olderThan: $olderThan) { totalCount } }
      }`,
      { id, ...variables },
    );
    expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument });
  });
});

describe('copyThread', () => {
  /** What both threads show, but for the thread's own id. */
  async function everything(id: string): Promise<any> {
    const fields = STATE.replaceAll('threadId', '')
      .replaceAll('thread { id }', '')
      .replaceAll(INTERRUPT, 'value');
    const thread = await getThread(
      id,
      `status metadata values error { name message } history(first: 100) { totalCount nodes { ${fields} } }`,
    );
    for (const { metadata } of thread.history.nodes) delete metadata.thread_id;
    return thread;
  }

  it('makes a thread with the same history, values and status', async () => {
    const id = await createThread({ metadata: { user: 'ada' } });
    await createRun({ threadId: id, assistantId: 'echo', input: human('one') });
    await createRun({ threadId: id, assistantId: 'nested', input: {} });
    const copy = await copyThread(id);
    expect(await everything(copy.id)).toEqual(await everything(id));
    expect(copy).toMatchObject({ status: 'IDLE', metadata: { user: 'ada', graph_id: 'nested' } });
    expect(await getThread(copy.id, 'runs { totalCount }')).toEqual({ runs: { totalCount: 0 } });
  });

  it('copies a thread as it is while a run goes on, and the copy can go on alone', async () => {
    const id = await createThread();
    const file = path.join(os.tmpdir(), randomId());
    const { createRun: run } = await server.gql(CREATE_RUN, {
      input: { threadId: id, assistantId: 'gate', input: { file } },
    });
    await until(async () => (await getThread(id, 'state { next }')).state?.next[0] === 'hold');
    const copy = await copyThread(id);
    expect(copy).toMatchObject({ status: 'IDLE', values: { file, log: ['before'] } });
    await writeFile(file, '');
    try {
      const onCopy = await createRun({ threadId: copy.id, assistantId: 'gate' });
      expect(onCopy.output.log).toEqual(['before', 'hold', 'after']);
      expect((await server.follow(run.id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
      expect((await getThread(id, 'values')).values.log).toEqual(['before', 'hold', 'after']);
    } finally {
      await rm(file);
    }
  });

  it('copies an empty thread, and one that failed', async () => {
    const [empty, failed] = [await createThread(), await createThread()];
    await createRun({ threadId: failed, assistantId: 'fail', input: { fail: true } });
    for (const id of [empty, failed]) {
      const copy = await copyThread(id);
      expect(await everything(copy.id)).toEqual(await everything(id));
    }
  });

  it('gives the open questions of the copy ids of their own', async () => {
    for (const assistantId of ['ask', 'nestedAsk']) {
      const id = await createThread();
      await createRun({ threadId: id, assistantId, input: {} });
      const copy = await copyThread(id);
      expect(copy.status).toBe('INTERRUPTED');
      const fields = `interrupts { ${INTERRUPT} } state { interrupts { id } }`;
      const [theirs, ours] = [await getThread(id, fields), await getThread(copy.id, fields)];
      expect(ours.interrupts).toHaveLength(1);
      expect(ours.interrupts[0].id).not.toBe(theirs.interrupts[0].id);
      expect(ours.state.interrupts).toEqual([{ id: ours.interrupts[0].id }]);
      expect(ours.interrupts).toEqual([
        {
          ...theirs.interrupts[0],
          id: ours.interrupts[0].id,
          threadId: copy.id,
          thread: { id: copy.id },
        },
      ]);
    }
  });

  it('is not affected by what happens to the other', async () => {
    const id = await createThread();
    await createRun({ threadId: id, assistantId: 'echo', input: human('shared') });
    const copy = await copyThread(id);
    const before = await everything(copy.id);
    await createRun({ threadId: id, assistantId: 'echo', input: human('only here') });
    expect(await everything(copy.id)).toEqual(before);
    await server.gql(`mutation ($id: ID!) { deleteThread(id: $id) }`, { id });
    const after = await everything(copy.id);
    // The run is gone with its thread; what it wrote is not.
    expect(after.history.nodes.every(({ run }: any) => run === null)).toBe(true);
    const withoutRun = ({ run: _, ...state }: any) => state;
    expect(after.history.nodes.map(withoutRun)).toEqual(before.history.nodes.map(withoutRun));
    const { output } = await createRun({
      threadId: copy.id,
      assistantId: 'echo',
      input: human('there'),
    });
    expect(output.messages.map(({ content }: any) => content)).toEqual([
      'shared',
      'echo: shared',
      'there',
      'echo: there',
    ]);
  });
});

describe('A history', () => {
  const COMPARED: [string, any, Record<string, unknown>[]][] = [
    ['steps', graphs.steps, [{}, { log: ['more'] }]],
    ['parallel', graphs.parallel, [{ log: ['first'] }, {}, { log: ['second'] }]],
    ['nested', graphs.nested, [{}, { log: ['again'] }]],
    ['fanOut', graphs.fanOut, [{ jobs: ['a', 'b', 'c'] }, { jobs: [] }, { jobs: ['d', 'd'] }]],
    ['ask', graphs.ask, [{}, {}]],
    ['nestedAsk', graphs.nestedAsk, [{}]],
    ['fail', graphs.fail, [{ fail: false }, { fail: true }, { fail: true }]],
    ['halfFail', graphs.halfFail, [{}, {}]],
    [
      'shrink',
      graphs.shrink,
      [{ list: [1, 2, 3] }, { list: ['x'] }, { list: [] }, { list: [3, 3, 3] }],
    ],
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

  it.each(COMPARED)(
    'of %s is the one that LangGraph keeps in memory',
    async (assistantId, graph, inputs) => {
      const inMemory = graph.builder.compile({ checkpointer: new MemorySaver() });
      const config = { configurable: { thread_id: 'thread' } };
      const threadId = await createThread();
      for (const input of inputs) {
        await inMemory.invoke(input, config).catch(() => {});
        await createRun({ threadId, assistantId, input });
      }
      const expected: StateSnapshot[] = [];
      for await (const state of inMemory.getStateHistory(config)) expected.push(state);

      const fields = `values next source step metadata tasks { name path error interrupts { value } result }`;
      const { nodes } = await history(threadId, fields, { first: 100 });
      const flat = ({ metadata, tasks, ...state }: any) => ({
        ...state,
        parents: metadata.parents,
        tasks: tasks.map(({ error, interrupts, ...task }: any) => ({
          ...task,
          failed: error !== null,
          asks: interrupts.map(({ value }: any) => value),
        })),
      });
      expect(nodes.map(flat)).toEqual(JSON.parse(JSON.stringify(expected.map(shown))));
      const { state } = await getThread(threadId, `state { ${fields} }`);
      expect(flat(state)).toEqual(
        JSON.parse(JSON.stringify(shown(await inMemory.getState(config)))),
      );
    },
  );
});

describe('Values', () => {
  it('that JSON does not have are shown as what is nearest', async () => {
    const threadId = await createThread();
    const { id } = await createRun({ threadId, assistantId: 'exotic', input: { value: null } });
    const value = {
      text: 'snow ☃, 🙂 and a null\0byte',
      map: { key: [1, 2] },
      set: ['a', 'b'],
      date: '1970-01-01T00:00:00.000Z',
      list: [null, null, { 1: 'one' }],
      bytes: 'aGk=',
    };
    const { values, state } = await getThread(threadId, 'values state { values writes }');
    expect(values).toEqual({ value });
    expect(state).toEqual({ values: { value }, writes: { make: { value } } });
    const { run } = await server.gql(`query ($id: ID!) { run(id: $id) { status output } }`, { id });
    expect(run).toEqual({ status: 'SUCCESS', output: { value } });
    const events = await server.follow(id);
    expect(events.find(({ node }) => node === 'make')?.update).toEqual({ value });
  });

  it('that JSON does not have are the output of a stateless run, too', async () => {
    const run = await createRun({ assistantId: 'exotic', input: { value: null } });
    expect(run).toMatchObject({
      status: 'SUCCESS',
      output: {
        value: { text: 'snow ☃, 🙂 and a null\0byte', map: { key: [1, 2] }, bytes: 'aGk=' },
      },
    });
  });

  it('may be text of any script and any kind of JSON', async () => {
    const list = [
      'žluťoučký',
      '日本語',
      '👩‍👩‍👧',
      '\u2028',
      '',
      null,
      true,
      1.5e300,
      { a: [] },
      [[]],
      '\\u0000',
      '__proto__',
    ];
    const threadId = await createThread();
    await createRun({ threadId, assistantId: 'shrink', input: { list: ['first', ...list] } });
    expect(await getThread(threadId, 'values')).toEqual({ values: { list } });
  });

  it('of lists hold the same element any number of times', async () => {
    const threadId = await createThread();
    const log = ['same', 'same', 'other', 'same'];
    await createRun({ threadId, assistantId: 'parallel', input: { log } });
    await createRun({ threadId, assistantId: 'parallel', input: { log } });
    const nodes = ['left', 'right', 'join'];
    expect(await getThread(threadId, 'values')).toEqual({
      values: { log: [...log, ...nodes, ...log, ...nodes] },
    });
    const [items] = await server.app.sql.query<{ count: number }>(
      `SELECT count(*)::int AS "count" FROM "ChannelItem" WHERE "threadId" = $1`,
      [threadId],
    );
    // Once as the channel has it, and once as the nodes wrote it.
    expect(items?.count).toBe(2 * new Set([...log, ...nodes]).size);
  });

  it('of lists may shrink, be replaced and be empty, and every state keeps its own', async () => {
    const threadId = await createThread();
    for (const list of [[1, 2, 3, 4], [4, 3], ['x'], [], [1, 2, 3, 4]]) {
      const run = await createRun({ threadId, assistantId: 'shrink', input: { list } });
      expect(run.output).toEqual({ list: list.slice(1) });
    }
    const { nodes } = await history(threadId, 'values source');
    const lists = nodes
      .filter(({ source }: any) => source === 'LOOP')
      .map(({ values }: any) => values.list);
    expect(lists).toEqual([
      [2, 3, 4],
      [1, 2, 3, 4],
      [],
      [],
      [],
      ['x'],
      [3],
      [4, 3],
      [2, 3, 4],
      [1, 2, 3, 4],
    ]);
  });

  it('that claim to be of a class nobody knows stay what they are, and do no harm', async () => {
    const list = [{ lc: 1, type: 'constructor', id: ['nope', 'Nope'], kwargs: {} }, 'last'];
    const threadId = await createThread();
    for (let turn = 0; turn < 2; turn++) {
      const run = await createRun({
        threadId,
        assistantId: 'shrink',
        input: { list: ['first', ...list] },
      });
      expect(run).toMatchObject({ status: 'SUCCESS', output: { list } });
    }
    expect(await getThread(threadId, 'values')).toEqual({ values: { list } });
  });

  it('of two copies that go on differently stay apart', async () => {
    const id = await createThread();
    await createRun({ threadId: id, assistantId: 'echo', input: human('same') });
    const copy = await copyThread(id);
    const turns = ['same', 'one', 'same'];
    for (const said of turns)
      await createRun({ threadId: id, assistantId: 'echo', input: human(said) });
    for (const said of turns.toReversed()) {
      await createRun({ threadId: copy.id, assistantId: 'echo', input: human(`${said}!`) });
    }
    const told = async (threadId: string) =>
      texts((await getThread(threadId, 'messages { text }')).messages);
    const echoed = (said: string[]) => said.flatMap((each) => [each, `echo: ${each}`]);
    expect(await told(id)).toEqual(echoed(['same', ...turns]));
    expect(await told(copy.id)).toEqual(echoed(['same', 'same!', 'one!', 'same!']));
  });
});

describe('Thread.storageBytes', () => {
  it('grows with what was said, not with its square', async () => {
    const threadId = await createThread();
    const stored = async () => (await getThread(threadId, 'storageBytes')).storageBytes as number;
    const sizes = [await stored()];
    expect(sizes).toEqual([0]);
    for (let turn = 0; turn < 20; turn++) {
      const said = `turn ${turn}: ${'abcdefghij'.repeat(100)}`;
      await createRun({ threadId, assistantId: 'echo', input: human(said) });
      sizes.push(await stored());
    }
    const grown = sizes.slice(1).map((size, i) => size - (sizes[i] ?? 0));
    expect(Math.min(...grown)).toBeGreaterThan(0);
    const firstFive = grown.slice(0, 5).reduce((sum, each) => sum + each);
    const lastFive = grown.slice(-5).reduce((sum, each) => sum + each);
    expect(lastFive).toBeLessThan(firstFive * 1.2);
  });
});
