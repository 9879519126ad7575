import { describe, expect } from 'vitest';
import { human, randomId, until } from './support/app.ts';
import type { Client, RunInput } from './support/client.ts';
import { conversation, exchange, linesOf, MESSAGES, update } from './support/conversations.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation } from './support/graphql.ts';
import { resume } from './support/interrupts.ts';
import { selectThread } from './support/select-thread.ts';

// The work of clients with an agent server: double texting, a person in the loop, time travel, subgraphs. Each test is one
// story. The tests of each operation have files of their own.

describe('Two messages, the second before the answer to the first', () => {
  /** Starts a run. Its tools wait at a gate. */
  async function askAtGate(client: Client, question: string) {
    const threadId = await client.createThread();
    const gate = createGate();
    const input = { ...human(question), file: gate.file };
    const { id } = await client.startRun({ threadId, assistantId: 'lookUp', input });
    await until(async () => (await client.getThread(threadId)).state?.next.includes('tools'));
    const second = (multitaskStrategy: RunInput['multitaskStrategy']) => ({
      threadId,
      assistantId: 'lookUp',
      // Without a file, the tools do not wait.
      input: { ...human('New York'), file: '' },
      multitaskStrategy,
    });
    return { threadId, gate, id, second };
  }

  it('REJECT: the second is refused, the first gets its answer, and then there is room', async ({
    client,
  }) => {
    const { threadId, gate, id, second } = await askAtGate(client, 'Paris');
    expect(await client.refusal(second('REJECT'))).toMatchObject({ code: 'THREAD_BUSY' });
    await gate.open();
    expect(await client.untilEnded(id)).toMatchObject({ status: 'SUCCESS' });
    expect(await conversation(client, threadId)).toEqual(exchange('Paris'));
    expect(await client.runToEnd(second('REJECT'))).toMatchObject({ status: 'SUCCESS' });
    expect(await conversation(client, threadId)).toEqual([
      ...exchange('Paris'),
      ...exchange('New York'),
    ]);
  });

  it('ENQUEUE: both get their answers, one after the other', async ({ client }) => {
    const { threadId, gate, id, second } = await askAtGate(client, 'Paris');
    const next = await client.startRun(second('ENQUEUE'));
    expect(next).toMatchObject({ status: 'PENDING' });
    expect((await selectThread(client, threadId, 'status')).status).toBe('BUSY');
    await gate.open();
    expect(await client.untilEnded(next.id)).toMatchObject({ status: 'SUCCESS' });
    expect(await client.getRun(id)).toMatchObject({ status: 'SUCCESS' });
    expect(await conversation(client, threadId)).toEqual([
      ...exchange('Paris'),
      ...exchange('New York'),
    ]);
    expect((await selectThread(client, threadId, 'status')).status).toBe('IDLE');
  });

  it('INTERRUPT: the first stops with a call that nothing has answered, and the second is answered', async ({
    client,
  }) => {
    const { threadId, id, second } = await askAtGate(client, 'Paris');
    const next = await client.runToEnd(second('INTERRUPT'));
    expect(next).toMatchObject({ status: 'SUCCESS' });
    expect(await client.getRun(id)).toMatchObject({ status: 'CANCELLED' });
    expect(await conversation(client, threadId)).toEqual([
      'HUMAN: Paris',
      'AI: [Paris]',
      ...exchange('New York'),
    ]);
    // The output of the first run stays readable.
    expect((await client.getRun(id)).output.messages).toHaveLength(2);
  });

  it('ROLLBACK: nobody can tell that the first was ever asked', async ({ client }) => {
    const { threadId, id, second } = await askAtGate(client, 'Paris');
    const next = await client.runToEnd(second('ROLLBACK'));
    expect(next).toMatchObject({ status: 'SUCCESS' });
    expect(await conversation(client, threadId)).toEqual(exchange('New York'));
    expect(await client.findRun(id)).toBeNull();
    const { runs, history } = await client.getThread(threadId);
    expect(runs).toEqual({ totalCount: 1, nodes: [{ id: next.id, status: 'SUCCESS' }] });
    expect(new Set(history.nodes.map(({ runId }) => runId))).toEqual(new Set([next.id]));
  });
});

describe('A tool call that a person looks at before it is made', () => {
  /** Runs the graph until the run stops before the tools. */
  async function proposed(client: Client, question: string) {
    const threadId = await client.createThread();
    const stopped = await client.runToEnd({
      threadId,
      assistantId: 'lookUp',
      input: human(question),
      interruptBefore: ['tools'],
    });
    expect(stopped.status).toBe('INTERRUPTED');
    const shown = await selectThread(
      client,
      threadId,
      `status state { checkpointId next ${MESSAGES} }`,
    );
    expect(shown).toMatchObject({ status: 'INTERRUPTED', state: { next: ['tools'] } });
    const [, message] = shown.state?.messages ?? [];
    const [call] = message?.toolCalls ?? [];
    expect(linesOf(shown.state?.messages)).toEqual([`HUMAN: ${question}`, `AI: [${question}]`]);
    return { threadId, checkpointId: shown.state?.checkpointId, message, call };
  }

  const goOn = (client: Client, threadId: string, more: Partial<RunInput> = {}) =>
    client.runToEnd({ threadId, assistantId: 'lookUp', ...more });

  it('is approved: a run without input goes on', async ({ client }) => {
    const { threadId } = await proposed(client, 'Paris');
    expect(await goOn(client, threadId)).toMatchObject({ status: 'SUCCESS' });
    expect(await conversation(client, threadId)).toEqual(exchange('Paris'));
    expect(await client.getThread(threadId)).toMatchObject({ status: 'IDLE', state: { next: [] } });
  });

  it('is changed: the tool gets what the person wrote', async ({ client }) => {
    const { threadId, checkpointId, message, call } = await proposed(client, 'Paris');
    const edited = await update(client, threadId, {
      values: {
        messages: [
          {
            id: message?.messageId,
            type: 'ai',
            content: '',
            tool_calls: [{ id: call?.toolCallId, name: call?.name, args: { query: 'Rome' } }],
          },
        ],
      },
    });
    expect(edited).toMatchObject({
      parentCheckpointId: checkpointId,
      next: ['tools'],
      tasks: [{ name: 'tools', error: null }],
    });
    await goOn(client, threadId);
    expect(await conversation(client, threadId)).toEqual([
      'HUMAN: Paris',
      ...exchange('Rome').slice(1),
    ]);
    // Input, question, call, edit, tool, answer.
    expect((await client.getThread(threadId)).history.totalCount).toBe(6);
  });

  it('is refused: the person answers in place of the tool', async ({ client }) => {
    const { threadId, call } = await proposed(client, 'Paris');
    const message = {
      type: 'tool',
      tool_call_id: call?.toolCallId,
      content: 'not allowed',
    };
    const edited = await update(client, threadId, {
      values: { messages: [message] },
      asNode: 'tools',
    });
    expect(edited.next).toEqual(['agent']);
    await goOn(client, threadId);
    expect(await conversation(client, threadId)).toEqual([
      'HUMAN: Paris',
      'AI: [Paris]',
      'TOOL: not allowed',
      'AI: I found: not allowed',
    ]);
  });

  it('is forgotten: a new message goes on from there, and nothing is left to approve', async ({
    client,
  }) => {
    const { threadId } = await proposed(client, 'Paris');
    await goOn(client, threadId, { input: human('Rome') });
    expect(await conversation(client, threadId)).toEqual([
      'HUMAN: Paris',
      'AI: [Paris]',
      ...exchange('Rome'),
    ]);
    expect(await client.getThread(threadId)).toMatchObject({ status: 'IDLE', state: { next: [] } });
  });

  it('is looked at every time, where a run stops before every node', async ({ client }) => {
    const threadId = await client.createThread();
    const stops = [];
    let input: RunInput['input'] = human('Paris');
    for (;;) {
      const { status } = await goOn(client, threadId, { input, interruptBefore: ['*'] });
      if (status !== 'INTERRUPTED') break;
      stops.push((await client.getThread(threadId)).state?.next);
      input = null;
    }
    expect(stops).toEqual([['agent'], ['tools'], ['agent']]);
    expect(await conversation(client, threadId)).toEqual(exchange('Paris'));
  });

  it('goes on from the checkpoint that it names, and tells of each state once', async ({
    client,
  }) => {
    const { threadId, checkpointId } = await proposed(client, 'Paris');
    const before = (await client.getThread(threadId)).history.nodes;
    const { id } = await client.startRun({
      threadId,
      assistantId: 'lookUp',
      checkpointId,
      streamModes: ['CHECKPOINTS'],
    });
    await client.untilEnded(id);
    const { run } = await client.gql(
      operation(`query ($id: ID!) { run(id: $id) { status events(modes: [CHECKPOINTS]) { nodes {
        __typename ... on CheckpointsEvent { checkpointId checkpoint { checkpointId } } } } } }`),
      { id },
    );
    expect(run?.status).toBe('SUCCESS');
    const { nodes } = (await client.getThread(threadId)).history;
    const states = nodes.map((state) => state.checkpointId);
    const seen = (run?.events.nodes ?? []).flatMap((event) =>
      event.__typename === 'CheckpointsEvent' ? event.checkpointId : [],
    );
    const made = states.slice(0, states.length - before.length).toReversed();
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.slice(-made.length)).toEqual(made);
    expect(await conversation(client, threadId)).toEqual(exchange('Paris'));
  });
});

describe('A question that a graph asks', () => {
  const PENDING = operation(`query ($metadata: JSONObject) {
    pendingInterrupts(metadata: $metadata) { totalCount nodes { id value responseSchema node threadId } }
  }`);

  it.for<[answer: object, said: string]>([
    [{ approved: true }, 'The tool says: E-mail sent to ada@example.com.'],
    [{ approved: false, reason: 'not today' }, 'The tool says: Not sent: not today.'],
  ])(
    'waits in the list of questions until somebody answers it with %j',
    async ([answer, said], { client }) => {
      const metadata = { inbox: randomId() };
      const threadId = await client.createThread({ metadata });
      const input = human('write to ada@example.com');
      await client.runToEnd({ threadId, assistantId: 'approval', input });

      // Another client reads the list.
      const { pendingInterrupts } = await client.gql(PENDING, { metadata });
      expect(pendingInterrupts).toMatchObject({
        totalCount: 1,
        nodes: [{ node: 'tools', threadId, value: { toolCall: { name: 'send_email' } } }],
      });
      const [question] = pendingInterrupts.nodes;
      expect(question?.responseSchema).toMatchObject({ required: ['approved'] });
      const run = await client.runToEnd(
        resume(threadId, 'approval', [{ interruptId: question?.id, value: answer }]),
      );
      expect(run).toMatchObject({ status: 'SUCCESS' });
      expect((await conversation(client, threadId)).at(-1)).toBe(`AI: ${said}`);
      expect((await client.gql(PENDING, { metadata })).pendingInterrupts.totalCount).toBe(0);
    },
  );

  const WATCH = operation(`subscription ($id: ID!, $after: ID) {
    threadEvents(threadId: $id, after: $after) {
      __typename
      ... on InterruptEvent { interrupts { id value } }
      ... on RunFinishedEvent { status }
    }
  }`);

  it('is told to whoever watches the thread, and so is what comes of the answer', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const before = await client.runToEnd({ threadId, assistantId: 'steps', input: {} });
    const watching = client.subscribe(WATCH, {
      id: threadId,
      after: (await client.follow(before.id)).at(-1)?.id,
    });
    const untilFinished = async () => {
      const seen = [];
      for (;;) {
        const { threadEvents: event } = (await watching.next()).value;
        seen.push(event);
        if (event.__typename === 'RunFinishedEvent') return { seen, status: event.status };
      }
    };

    await client.startRun({ threadId, assistantId: 'ask', input: {} });
    const { seen, status } = await untilFinished();
    const asked = seen.find((event) => event.__typename === 'InterruptEvent');
    const question = asked?.interrupts[0];
    expect(question?.value).toEqual({ question: 'Go on?' });
    expect(status).toBe('INTERRUPTED');
    await client.startRun(resume(threadId, 'ask', [{ interruptId: question?.id, value: 'yes' }]));
    expect((await untilFinished()).status).toBe('SUCCESS');
    expect((await client.getThread(threadId)).values['answer']).toBe('yes');
    await watching.return?.();
  });
});

describe('An earlier message', () => {
  const STEPS = `history(first: 20) { nodes { checkpointId next source ${MESSAGES} } }`;

  /** Runs the graph for two messages. `unanswered` is the state before the first answer. */
  async function talked(client: Client) {
    const threadId = await client.createThread();
    for (const text of ['Paris', 'Rome']) {
      await client.runToEnd({ threadId, assistantId: 'lookUp', input: human(text) });
    }
    const { nodes } = (await selectThread(client, threadId, STEPS)).history;
    const unanswered = nodes.findLast(({ messages }) => messages.length === 1);
    expect(unanswered).toMatchObject({ next: ['agent'], messages: [{ text: 'Paris' }] });
    return {
      threadId,
      newest: nodes[0]?.checkpointId,
      unanswered: unanswered?.checkpointId,
      messageId: unanswered?.messages[0]?.messageId,
    };
  }

  it('is edited, and its answer made anew, in two calls', async ({ client }) => {
    const { threadId, newest, unanswered, messageId } = await talked(client);
    const edited = await update(client, threadId, {
      checkpointId: unanswered,
      asNode: '__start__',
      values: { messages: [{ id: messageId, type: 'human', content: 'Oslo' }] },
    });
    expect(edited).toMatchObject({ next: ['agent'] });
    const run = await client.runToEnd({ threadId, assistantId: 'lookUp' });
    expect(run).toMatchObject({ status: 'SUCCESS' });
    expect(await conversation(client, threadId)).toEqual(exchange('Oslo'));

    // The other branch is unchanged, and a run can start from it.
    const { thread } = await client.gql(
      operation(`query ($id: ID!, $checkpointId: ID) {
        thread(id: $id) { state(checkpointId: $checkpointId) { ${MESSAGES} } }
      }`),
      { id: threadId, checkpointId: newest },
    );
    expect(linesOf(thread?.state?.messages)).toEqual([...exchange('Paris'), ...exchange('Rome')]);
    await client.runToEnd({
      threadId,
      assistantId: 'lookUp',
      checkpointId: newest,
      input: human('Bern'),
    });
    expect(await conversation(client, threadId)).toEqual(
      ['Paris', 'Rome', 'Bern'].flatMap(exchange),
    );
  });

  it('is answered anew, as it is, in one call', async ({ client }) => {
    const { threadId, unanswered } = await talked(client);
    const answerId = async () =>
      (await selectThread(client, threadId, `state { ${MESSAGES} }`)).state?.messages[1]?.messageId;
    const before = await answerId();
    await client.runToEnd({ threadId, assistantId: 'lookUp', checkpointId: unanswered });
    expect(await conversation(client, threadId)).toEqual(exchange('Paris'));
    expect(await answerId()).not.toBe(before);
  });

  it('is edited on a copy of the thread, and the thread itself goes on as it was', async ({
    client,
  }) => {
    const { threadId, unanswered, messageId } = await talked(client);
    const { copyThread } = await client.gql(
      operation(`mutation ($id: ID!) { copyThread(id: $id) { id state { ${MESSAGES} } } }`),
      { id: threadId },
    );
    expect(linesOf(copyThread.state?.messages)).toEqual(await conversation(client, threadId));
    await update(client, copyThread.id, {
      checkpointId: unanswered,
      asNode: '__start__',
      values: { messages: [{ id: messageId, type: 'human', content: 'Oslo' }] },
    });
    await client.runToEnd({ threadId: copyThread.id, assistantId: 'lookUp' });
    await client.runToEnd({ threadId, assistantId: 'lookUp', input: human('Bern') });
    expect(await conversation(client, copyThread.id)).toEqual(exchange('Oslo'));
    expect(await conversation(client, threadId)).toEqual(
      ['Paris', 'Rome', 'Bern'].flatMap(exchange),
    );
  });
});

describe('A subgraph that stops before it tells the weather', () => {
  const INNER = `status state {
    next
    tasks { name state { checkpointId namespace values next history: parent { checkpointId } } }
  }`;

  async function stopped(client: Client) {
    const threadId = await client.createThread();
    const input = human('weather in Lisbon');
    const { status } = await client.runToEnd({ threadId, assistantId: 'weather', input });
    expect(status).toBe('INTERRUPTED');
    const shown = await selectThread(client, threadId, INNER);
    expect(shown).toMatchObject({ status: 'INTERRUPTED', state: { next: ['weather'] } });
    const [task] = shown.state?.tasks ?? [];
    expect(task).toMatchObject({ name: 'weather', state: { next: ['tell'] } });
    expect(task?.state?.values).toMatchObject({ city: 'Lisbon' });
    return { threadId, namespace: task?.state?.namespace ?? '' };
  }

  const goOn = (client: Client, threadId: string) =>
    client.runToEnd({ threadId, assistantId: 'weather', streamSubgraphs: true });

  const answers = async (client: Client, threadId: string) =>
    (await conversation(client, threadId)).slice(1);

  it('goes on as it is; its steps are told with where they came from', async ({ client }) => {
    const { threadId, namespace } = await stopped(client);
    const { id } = await goOn(client, threadId);
    expect(await answers(client, threadId)).toEqual(['AI: It is sunny in Lisbon.']);
    const updates = (await client.follow(id, { modes: ['UPDATES'] })).filter(
      (event) => event.__typename === 'UpdatesEvent',
    );
    expect(updates.map((event) => [event.namespace, event.node])).toEqual([
      [[namespace], 'tell'],
      [[], 'weather'],
    ]);
    expect(await client.getThread(threadId)).toMatchObject({ status: 'IDLE', state: { next: [] } });
  });

  it('goes on with the state that a person gave it', async ({ client }) => {
    const { threadId, namespace } = await stopped(client);
    const edited = await update(client, threadId, {
      checkpointNamespace: namespace,
      values: { city: 'Madrid' },
    });
    expect(edited.next).toEqual(['tell']);
    await goOn(client, threadId);
    expect(await answers(client, threadId)).toEqual(['AI: It is sunny in Madrid.']);
    const { thread } = await client.gql(
      operation(`query ($id: ID!, $namespace: String!) {
        thread(id: $id) { history(first: 100, filter: { namespace: $namespace }) { nodes { source } } }
      }`),
      { id: threadId, namespace },
    );
    // Input, question, city, edit, answer.
    expect(thread?.history.nodes).toHaveLength(5);
    expect((await client.getThread(threadId)).history.totalCount).toBe(4);
  });

  it('goes on as if the person had been one of its nodes', async ({ client }) => {
    const { threadId, namespace } = await stopped(client);
    const message = { type: 'ai', content: 'It snows.' };
    const edited = await update(client, threadId, {
      checkpointNamespace: namespace,
      asNode: 'tell',
      values: { messages: [message] },
    });
    expect(edited.next).toEqual([]);
    await goOn(client, threadId);
    expect(await answers(client, threadId)).toEqual(['AI: It snows.']);
  });

  it('does not go on where the person has been the whole subgraph', async ({ client }) => {
    const { threadId } = await stopped(client);
    const message = { type: 'ai', content: 'Look outside.' };
    const edited = await update(client, threadId, {
      asNode: 'weather',
      values: { messages: [message] },
    });
    expect(edited.next).toEqual([]);
    await goOn(client, threadId);
    expect(await answers(client, threadId)).toEqual(['AI: Look outside.']);
  });
});
