import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestApp, human, until, type TestApp } from './support/app.ts';
import { openRunDoor, type RunDoor } from './support/run-door.ts';

// What people do with an agent server, from the first request to the last: double texting, a person in the loop, time travel,
// subgraphs. Each test is one story; what every single operation does and refuses is told in the tests of their own.

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

const MESSAGES = `messages(last: 50) { messageId type text toolCalls { toolCallId name args } }`;

async function thread(id: string, fields: string): Promise<any> {
  return (await server.gql(`query ($id: ID!) { thread(id: $id) { ${fields} } }`, { id })).thread;
}

/** A conversation as one reads it: a tool call as its question in brackets. */
async function conversation(id: string): Promise<string[]> {
  return read((await thread(id, `state { ${MESSAGES} }`)).state.messages);
}

function read(messages: any[]): string[] {
  return messages.map(
    ({ type, text, toolCalls }) =>
      `${type}: ${toolCalls.length > 0 ? `[${toolCalls.map((call: any) => call.args.query)}]` : text}`,
  );
}

const exchange = (question: string) => [
  `HUMAN: ${question}`,
  `AI: [${question}]`,
  `TOOL: all about ${question}`,
  `AI: I found: all about ${question}`,
];

const UPDATE = `mutation ($id: ID!, $input: UpdateThreadStateInput!) {
  updateThreadState(id: $id, input: $input) { checkpointId parentCheckpointId next tasks { name error } ${MESSAGES} }
}`;

async function update(id: string, input: Record<string, unknown>): Promise<any> {
  return (await server.gql(UPDATE, { id, input })).updateThreadState;
}

describe('Two messages, the second before the answer to the first', () => {
  /** A run that looks something up until its gate is opened. */
  async function asking(question: string) {
    const threadId = await door.createThread();
    const gate = door.closedGate();
    const input = { ...human(question), file: gate.file };
    const { id } = await door.start({ threadId, assistantId: 'lookUp', input });
    await until(async () => (await door.thread(threadId)).state?.next.includes('tools'));
    const second = (multitaskStrategy: string) => ({
      threadId,
      assistantId: 'lookUp',
      // Its tools wait for nothing.
      input: { ...human('New York'), file: '' },
      multitaskStrategy,
    });
    return { threadId, gate, id, second };
  }

  it('REJECT: the second is refused, the first gets its answer, and then there is room', async () => {
    const { threadId, gate, id, second } = await asking('Paris');
    expect(await door.refusal(second('REJECT'))).toMatchObject({ code: 'THREAD_BUSY' });
    await gate.open();
    expect(await door.ended(id)).toMatchObject({ status: 'SUCCESS' });
    expect(await conversation(threadId)).toEqual(exchange('Paris'));
    expect(await door.runToEnd(second('REJECT'))).toMatchObject({ status: 'SUCCESS' });
    expect(await conversation(threadId)).toEqual([...exchange('Paris'), ...exchange('New York')]);
  });

  it('ENQUEUE: both get their answers, one after the other', async () => {
    const { threadId, gate, id, second } = await asking('Paris');
    const next = await door.start(second('ENQUEUE'));
    expect(next).toMatchObject({ status: 'PENDING' });
    expect((await thread(threadId, 'status')).status).toBe('BUSY');
    await gate.open();
    expect(await door.ended(next.id)).toMatchObject({ status: 'SUCCESS' });
    expect(await door.run(id)).toMatchObject({ status: 'SUCCESS' });
    expect(await conversation(threadId)).toEqual([...exchange('Paris'), ...exchange('New York')]);
    expect((await thread(threadId, 'status')).status).toBe('IDLE');
  });

  it('INTERRUPT: the first stops with a call that nothing has answered, and the second is answered', async () => {
    const { threadId, id, second } = await asking('Paris');
    const next = await door.runToEnd(second('INTERRUPT'));
    expect(next).toMatchObject({ status: 'SUCCESS' });
    expect(await door.run(id)).toMatchObject({ status: 'CANCELLED' });
    expect(await conversation(threadId)).toEqual([
      'HUMAN: Paris',
      'AI: [Paris]',
      ...exchange('New York'),
    ]);
    // It can be asked what the first one left.
    expect((await door.run(id)).output.messages).toHaveLength(2);
  });

  it('ROLLBACK: nobody can tell that the first was ever asked', async () => {
    const { threadId, id, second } = await asking('Paris');
    const next = await door.runToEnd(second('ROLLBACK'));
    expect(next).toMatchObject({ status: 'SUCCESS' });
    expect(await conversation(threadId)).toEqual(exchange('New York'));
    expect(await door.run(id)).toBeNull();
    const { runs, history } = await door.thread(threadId);
    expect(runs).toEqual({ totalCount: 1, nodes: [{ id: next.id, status: 'SUCCESS' }] });
    expect(new Set(history.nodes.map(({ runId }: any) => runId))).toEqual(new Set([next.id]));
  });
});

describe('A tool call that a person looks at before it is made', () => {
  /** A thread that has stopped before its tools. */
  async function proposed(question: string) {
    const threadId = await door.createThread();
    const stopped = await door.runToEnd({
      threadId,
      assistantId: 'lookUp',
      input: human(question),
      interruptBefore: ['tools'],
    });
    expect(stopped.status).toBe('INTERRUPTED');
    const shown = await thread(threadId, `status state { checkpointId next ${MESSAGES} }`);
    expect(shown).toMatchObject({ status: 'INTERRUPTED', state: { next: ['tools'] } });
    expect(read(shown.state.messages)).toEqual([`HUMAN: ${question}`, `AI: [${question}]`]);
    return { threadId, checkpointId: shown.state.checkpointId, call: shown.state.messages[1] };
  }

  const goOn = (threadId: string, more = {}) =>
    door.runToEnd({ threadId, assistantId: 'lookUp', ...more });

  it('is approved: a run without input goes on', async () => {
    const { threadId } = await proposed('Paris');
    expect(await goOn(threadId)).toMatchObject({ status: 'SUCCESS' });
    expect(await conversation(threadId)).toEqual(exchange('Paris'));
    expect(await door.thread(threadId)).toMatchObject({ status: 'IDLE', state: { next: [] } });
  });

  it('is changed: the tool gets what the person wrote', async () => {
    const { threadId, checkpointId, call } = await proposed('Paris');
    const [{ toolCallId, name }] = call.toolCalls;
    const edited = await update(threadId, {
      values: {
        messages: [
          {
            id: call.messageId,
            type: 'ai',
            content: '',
            tool_calls: [{ id: toolCallId, name, args: { query: 'Rome' } }],
          },
        ],
      },
    });
    expect(edited).toMatchObject({
      parentCheckpointId: checkpointId,
      next: ['tools'],
      tasks: [{ name: 'tools', error: null }],
    });
    await goOn(threadId);
    expect(await conversation(threadId)).toEqual(['HUMAN: Paris', ...exchange('Rome').slice(1)]);
    // Input, question, call, edit, tool, answer.
    expect((await door.thread(threadId)).history.totalCount).toBe(6);
  });

  it('is refused: the person answers in place of the tool', async () => {
    const { threadId, call } = await proposed('Paris');
    const message = {
      type: 'tool',
      tool_call_id: call.toolCalls[0].toolCallId,
      content: 'not allowed',
    };
    const edited = await update(threadId, { values: { messages: [message] }, asNode: 'tools' });
    expect(edited.next).toEqual(['agent']);
    await goOn(threadId);
    expect(await conversation(threadId)).toEqual([
      'HUMAN: Paris',
      'AI: [Paris]',
      'TOOL: not allowed',
      'AI: I found: not allowed',
    ]);
  });

  it('is forgotten: a new message goes on from there, and nothing is left to approve', async () => {
    const { threadId } = await proposed('Paris');
    await goOn(threadId, { input: human('Rome') });
    expect(await conversation(threadId)).toEqual([
      'HUMAN: Paris',
      'AI: [Paris]',
      ...exchange('Rome'),
    ]);
    expect(await door.thread(threadId)).toMatchObject({ status: 'IDLE', state: { next: [] } });
  });

  it('is looked at every time, where a run stops before every node', async () => {
    const threadId = await door.createThread();
    const stops = [];
    let input: unknown = human('Paris');
    for (;;) {
      const { status } = await goOn(threadId, { input, interruptBefore: ['*'] });
      if (status !== 'INTERRUPTED') break;
      stops.push((await door.thread(threadId)).state.next);
      input = null;
    }
    expect(stops).toEqual([['agent'], ['tools'], ['agent']]);
    expect(await conversation(threadId)).toEqual(exchange('Paris'));
  });

  it('goes on from the checkpoint that it names, and tells of each state once', async () => {
    const { threadId, checkpointId } = await proposed('Paris');
    const before = (await door.thread(threadId)).history.nodes;
    const { id } = await door.start({
      threadId,
      assistantId: 'lookUp',
      checkpointId,
      streamModes: ['CHECKPOINTS'],
    });
    await door.ended(id);
    const told = (
      await server.gql(
        `query ($id: ID!) { run(id: $id) { status events(modes: [CHECKPOINTS]) { nodes {
          ... on CheckpointsEvent { checkpointId checkpoint { checkpointId } } } } } }`,
        { id },
      )
    ).run;
    expect(told.status).toBe('SUCCESS');
    const states = (await door.thread(threadId)).history.nodes.map(
      (state: any) => state.checkpointId,
    );
    const seen = told.events.nodes.flatMap((event: any) => event.checkpointId ?? []);
    const made = states.slice(0, states.length - before.length).toReversed();
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.slice(-made.length)).toEqual(made);
    expect(await conversation(threadId)).toEqual(exchange('Paris'));
  });
});

describe('A question that a graph asks', () => {
  const PENDING = `query ($metadata: JSONObject) {
    pendingInterrupts(metadata: $metadata) { totalCount nodes { id value responseSchema node threadId } }
  }`;

  it.each([
    [{ approved: true }, 'The tool says: E-mail sent to ada@example.com.'],
    [{ approved: false, reason: 'not today' }, 'The tool says: Not sent: not today.'],
  ])('waits in the list of questions until somebody answers it with %j', async (answer, said) => {
    const threadId = await door.createThread();
    const metadata = { inbox: threadId };
    await server.gql(
      `mutation ($id: ID!, $metadata: JSONObject!) { updateThread(id: $id, input: { metadata: $metadata }) { id } }`,
      { id: threadId, metadata },
    );
    const input = human('write to ada@example.com');
    await door.runToEnd({ threadId, assistantId: 'approval', input });

    // Another person, later, elsewhere.
    const { pendingInterrupts } = await server.gql(PENDING, { metadata });
    expect(pendingInterrupts).toMatchObject({
      totalCount: 1,
      nodes: [{ node: 'tools', threadId, value: { toolCall: { name: 'send_email' } } }],
    });
    const [question] = pendingInterrupts.nodes;
    expect(question.responseSchema).toMatchObject({ required: ['approved'] });
    const run = await door.runToEnd({
      threadId,
      assistantId: 'approval',
      command: { resume: [{ interruptId: question.id, value: answer }] },
    });
    expect(run).toMatchObject({ status: 'SUCCESS' });
    expect((await conversation(threadId)).at(-1)).toBe(`AI: ${said}`);
    expect((await server.gql(PENDING, { metadata })).pendingInterrupts.totalCount).toBe(0);
  });

  it('is told to whoever watches the thread, and so is what comes of the answer', async () => {
    const threadId = await door.createThread();
    const before = await door.runToEnd({ threadId, assistantId: 'steps', input: {} });
    const watching = server.subscribe(
      `subscription ($id: ID!, $after: ID) { threadEvents(threadId: $id, after: $after) {
        __typename
        ... on InterruptEvent { interrupts { id value } }
        ... on RunFinishedEvent { status }
      } }`,
      { id: threadId, after: (await server.follow(before.id)).at(-1).id },
    );
    const seen: any[] = [];
    const seeEnd = async () => {
      do seen.push((await watching.next()).value.threadEvents);
      while (seen.at(-1).__typename !== 'RunFinishedEvent');
    };

    await door.start({ threadId, assistantId: 'ask', input: {} });
    await seeEnd();
    const question = seen.find(({ __typename }) => __typename === 'InterruptEvent').interrupts[0];
    expect(question.value).toEqual({ question: 'Go on?' });
    expect(seen.at(-1)).toMatchObject({ status: 'INTERRUPTED' });
    await door.start({
      threadId,
      assistantId: 'ask',
      command: { resume: [{ interruptId: question.id, value: 'yes' }] },
    });
    await seeEnd();
    expect(seen.at(-1)).toMatchObject({ status: 'SUCCESS' });
    expect((await door.thread(threadId)).values.answer).toBe('yes');
    await watching.return?.();
  });
});

describe('An earlier message', () => {
  const STEPS = `history(first: 20) { nodes { checkpointId next source ${MESSAGES} } }`;

  /** Two exchanges, and the state in which the first message stands unanswered. */
  async function talked() {
    const threadId = await door.createThread();
    for (const text of ['Paris', 'Rome']) {
      await door.runToEnd({ threadId, assistantId: 'lookUp', input: human(text) });
    }
    const { nodes } = (await thread(threadId, STEPS)).history;
    const unanswered = nodes.findLast(({ messages }: any) => messages.length === 1);
    expect(unanswered).toMatchObject({ next: ['agent'], messages: [{ text: 'Paris' }] });
    return { threadId, unanswered, message: unanswered.messages[0], nodes };
  }

  it('is edited, and its answer made anew, in two calls', async () => {
    const { threadId, unanswered, message, nodes } = await talked();
    const edited = await update(threadId, {
      checkpointId: unanswered.checkpointId,
      asNode: '__start__',
      values: { messages: [{ id: message.messageId, type: 'human', content: 'Oslo' }] },
    });
    expect(edited).toMatchObject({ next: ['agent'] });
    const run = await door.runToEnd({ threadId, assistantId: 'lookUp' });
    expect(run).toMatchObject({ status: 'SUCCESS' });
    expect(await conversation(threadId)).toEqual(exchange('Oslo'));

    // The other branch is where it was, and can be gone back to.
    const { state } = await thread(
      threadId,
      `state(checkpointId: "${nodes[0].checkpointId}") { ${MESSAGES} }`,
    );
    expect(read(state.messages)).toEqual([...exchange('Paris'), ...exchange('Rome')]);
    await door.runToEnd({
      threadId,
      assistantId: 'lookUp',
      checkpointId: nodes[0].checkpointId,
      input: human('Bern'),
    });
    expect(await conversation(threadId)).toEqual(['Paris', 'Rome', 'Bern'].flatMap(exchange));
  });

  it('is answered anew, as it is, in one call', async () => {
    const { threadId, unanswered } = await talked();
    const { checkpointId } = unanswered;
    const old = (await thread(threadId, `state { ${MESSAGES} }`)).state.messages[1];
    await door.runToEnd({ threadId, assistantId: 'lookUp', checkpointId });
    expect(await conversation(threadId)).toEqual(exchange('Paris'));
    const made = (await thread(threadId, `state { ${MESSAGES} }`)).state.messages[1];
    expect(made.messageId).not.toBe(old.messageId);
  });

  it('is edited on a copy of the thread, and the thread itself goes on as it was', async () => {
    const { threadId, unanswered, message } = await talked();
    const { copyThread } = await server.gql(
      `mutation ($id: ID!) { copyThread(id: $id) { id state { ${MESSAGES} } } }`,
      { id: threadId },
    );
    expect(read(copyThread.state.messages)).toEqual(await conversation(threadId));
    await update(copyThread.id, {
      checkpointId: unanswered.checkpointId,
      asNode: '__start__',
      values: { messages: [{ id: message.messageId, type: 'human', content: 'Oslo' }] },
    });
    await door.runToEnd({ threadId: copyThread.id, assistantId: 'lookUp' });
    await door.runToEnd({ threadId, assistantId: 'lookUp', input: human('Bern') });
    expect(await conversation(copyThread.id)).toEqual(exchange('Oslo'));
    expect(await conversation(threadId)).toEqual(['Paris', 'Rome', 'Bern'].flatMap(exchange));
  });
});

describe('A subgraph that stops before it tells the weather', () => {
  const INNER = `status state {
    next
    tasks { name state { checkpointId namespace values next history: parent { checkpointId } } }
  }`;

  async function stopped() {
    const threadId = await door.createThread();
    const input = human('weather in Lisbon');
    const { status } = await door.runToEnd({ threadId, assistantId: 'weather', input });
    expect(status).toBe('INTERRUPTED');
    const shown = await thread(threadId, INNER);
    expect(shown).toMatchObject({ status: 'INTERRUPTED', state: { next: ['weather'] } });
    const [task] = shown.state.tasks;
    expect(task).toMatchObject({ name: 'weather', state: { next: ['tell'] } });
    expect(task.state.values.city).toBe('Lisbon');
    return { threadId, namespace: task.state.namespace as string };
  }

  const goOn = (threadId: string) =>
    door.runToEnd({ threadId, assistantId: 'weather', streamSubgraphs: true });

  const answers = async (threadId: string) => (await conversation(threadId)).slice(1);

  it('goes on as it is; its steps are told with where they came from', async () => {
    const { threadId, namespace } = await stopped();
    const { id } = await goOn(threadId);
    expect(await answers(threadId)).toEqual(['AI: It is sunny in Lisbon.']);
    const updates = (await server.follow(id, { modes: ['UPDATES'] })).filter(
      ({ __typename }) => __typename === 'UpdatesEvent',
    );
    expect(updates.map(({ namespace: path, node }) => [path, node])).toEqual([
      [[namespace], 'tell'],
      [[], 'weather'],
    ]);
    expect(await door.thread(threadId)).toMatchObject({ status: 'IDLE', state: { next: [] } });
  });

  it('goes on with the state that a person gave it', async () => {
    const { threadId, namespace } = await stopped();
    const edited = await update(threadId, {
      checkpointNamespace: namespace,
      values: { city: 'Madrid' },
    });
    expect(edited.next).toEqual(['tell']);
    await goOn(threadId);
    expect(await answers(threadId)).toEqual(['AI: It is sunny in Madrid.']);
    const inner = await thread(
      threadId,
      `history(first: 100, filter: { namespace: "${namespace}" }) { nodes { source values } }`,
    );
    // Input, question, city, edit, answer.
    expect(inner.history.nodes).toHaveLength(5);
    expect((await door.thread(threadId)).history.totalCount).toBe(4);
  });

  it('goes on as if the person had been one of its nodes', async () => {
    const { threadId, namespace } = await stopped();
    const message = { type: 'ai', content: 'It snows.' };
    const edited = await update(threadId, {
      checkpointNamespace: namespace,
      asNode: 'tell',
      values: { messages: [message] },
    });
    expect(edited.next).toEqual([]);
    await goOn(threadId);
    expect(await answers(threadId)).toEqual(['AI: It snows.']);
  });

  it('does not go on where the person has been the whole subgraph', async () => {
    const { threadId } = await stopped();
    const message = { type: 'ai', content: 'Look outside.' };
    const edited = await update(threadId, { asNode: 'weather', values: { messages: [message] } });
    expect(edited.next).toEqual([]);
    await goOn(threadId);
    expect(await answers(threadId)).toEqual(['AI: Look outside.']);
  });
});

describe('The catalogue of the existing servers', () => {
  it('update state while a run is in flight: refused, and done once the run is cancelled', async () => {
    const threadId = await door.createThread();
    await door.runToEnd({ threadId, assistantId: 'lookUp', input: human('Paris') });
    const before = await conversation(threadId);
    const input = { ...human('Rome'), file: door.closedGate().file };
    const { id } = await door.start({ threadId, assistantId: 'lookUp', input });
    await until(async () => (await door.thread(threadId)).state.next.includes('tools'));
    const edit = { values: { messages: [{ type: 'human', content: 'edit' }] }, asNode: 'agent' };
    const [refused] = await server.errors(UPDATE, { id: threadId, input: edit });
    expect(refused?.extensions).toMatchObject({ code: 'THREAD_BUSY' });
    expect(await conversation(threadId)).toEqual([...before, 'HUMAN: Rome', 'AI: [Rome]']);

    const CANCEL = `mutation ($id: ID!) { cancelRun(id: $id, wait: true) { status thread { status } } }`;
    expect((await server.gql(CANCEL, { id })).cancelRun).toEqual({
      status: 'CANCELLED',
      thread: { status: 'IDLE' },
    });
    await update(threadId, edit);
    expect((await conversation(threadId)).at(-1)).toBe('HUMAN: edit');
  });

  it('list runs: by status, a delayed one before and after it is cancelled', async () => {
    const threadId = await door.createThread();
    const run = { threadId, assistantId: 'lookUp', input: human('Paris') };
    const done = await door.runToEnd(run);
    const delayed = await door.start({ ...run, afterSeconds: 3600 });
    const list = async (status?: string[]) =>
      (
        await server.gql(`query ($filter: RunFilter) { runs(filter: $filter) { nodes { id } } }`, {
          filter: { threadId, status },
        })
      ).runs.nodes.map(({ id }: any) => id);
    expect(await list()).toEqual([delayed.id, done.id]);
    expect(await list(['PENDING'])).toEqual([delayed.id]);
    await server.gql(`mutation ($id: ID!) { cancelRun(id: $id) { id } }`, { id: delayed.id });
    expect(await list(['PENDING'])).toEqual([]);
    expect(await list(['CANCELLED'])).toEqual([delayed.id]);
  });

  it('interrupt inside a node: the question is on the task and on the thread; the answer finishes', async () => {
    const threadId = await door.createThread();
    await door.runToEnd({ threadId, assistantId: 'ask', input: {} });
    const shown = await thread(
      threadId,
      `status interrupts { id value } state { next tasks { name interrupts { id value } } }`,
    );
    expect(shown).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [{ value: { question: 'Go on?' } }],
      state: { next: ['ask'], tasks: [{ name: 'ask', interrupts: shown.interrupts }] },
    });
    const run = await door.runToEnd({
      threadId,
      assistantId: 'ask',
      command: { resume: [{ value: false }] },
    });
    // An answer that is falsy is one, too.
    expect(run).toMatchObject({ status: 'SUCCESS', output: { answer: false } });
    expect(await door.thread(threadId)).toMatchObject({ status: 'IDLE', interrupts: [] });
  });

  it('two nodes write what takes one value a step: the run fails, and the thread shows the state before them', async () => {
    const threadId = await door.createThread();
    const failed = await door.runToEnd({ threadId, assistantId: 'clash', input: {} });
    expect(failed).toMatchObject({ status: 'ERROR', error: { name: 'InvalidUpdateError' } });
    const shown = await thread(
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
    expect(shown.state.tasks).toMatchObject([
      { name: 'left', result: { log: ['left'], one: 'left' } },
      { name: 'right', result: { log: ['right'], one: 'right' } },
    ]);

    // It can be gone on from there, and copied.
    const { copyThread } = await server.gql(
      `mutation ($id: ID!) { copyThread(id: $id) { values state { next } } }`,
      { id: threadId },
    );
    expect(copyThread).toEqual({ values: before, state: { next: ['left', 'right'] } });
    const { checkpointId } = shown.state;
    await update(threadId, { checkpointId, asNode: 'left', values: { one: 'by hand' } });
    expect(await door.thread(threadId)).toMatchObject({
      status: 'IDLE',
      values: { log: ['before'], one: 'by hand' },
    });
    expect(
      await door.runToEnd({ threadId, assistantId: 'echo', input: human('on') }),
    ).toMatchObject({ status: 'SUCCESS' });
  });

  it('a thread that was forked goes on from its newest state, not from the fork for ever', async () => {
    const threadId = await door.createThread();
    const say = (text: string, more = {}) =>
      door.runToEnd({ threadId, assistantId: 'lookUp', input: human(text), ...more });
    await say('1');
    const { checkpointId } = (await door.thread(threadId)).state;
    await say('2');
    await say('3', { checkpointId });
    await say('4');
    await say('5');
    expect(await conversation(threadId)).toEqual(['1', '3', '4', '5'].flatMap(exchange));
  });

  it('one run of several that wait is cancelled: the thread stays busy, and the others have their turn', async () => {
    const threadId = await door.createThread();
    const gate = door.closedGate();
    const run = (text: string) => ({ threadId, assistantId: 'lookUp', input: human(text) });
    const first = await door.start({
      ...run('1'),
      input: { ...human('1'), file: gate.file },
    });
    const [second, third] = [await door.start(run('2')), await door.start(run('3'))];
    await server.gql(`mutation ($id: ID!) { cancelRun(id: $id, wait: true) { id } }`, {
      id: second.id,
    });
    expect((await thread(threadId, 'status')).status).toBe('BUSY');
    await gate.open();
    expect(await door.ended(third.id)).toMatchObject({ status: 'SUCCESS' });
    expect(await door.run(first.id)).toMatchObject({ status: 'SUCCESS' });
    expect(await conversation(threadId)).toEqual(['1', '3'].flatMap(exchange));
  });
});
