import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CREATE_RUN, CREATE_THREAD, createTestApp, human, type TestApp } from './support/app.ts';

// What the documents that the project started from do, step by step. The agent answers offline: it says which
// configuration it runs as and how many messages it sees.

const DEFAULT_ASSISTANT = 'fe096781-5601-53d2-b2f6-0d3403f7e9ca';

const FOLLOW = `subscription ($runId: ID!) {
  runEvents(runId: $runId, modes: [UPDATES]) {
    __typename id runId
    ... on UpdatesEvent { node update }
    ... on RunFinishedEvent { status }
  }
}`;

const STATE_FIELDS = `
  checkpointId threadId namespace parentCheckpointId source step runId values next tasks { name } metadata writes
  messages { type text messageId } createdAt`;

let server: TestApp;
beforeAll(async () => {
  server = await createTestApp();
});
afterAll(() => server.stop());

async function createThread(input?: Record<string, unknown>): Promise<any> {
  return (await server.gql(CREATE_THREAD, { input })).createThread;
}

async function createRun(input: Record<string, unknown>, wait = false): Promise<any> {
  return (await server.gql(CREATE_RUN, { input, wait })).createRun;
}

/** Starts a run and follows it over a WebSocket to its end. */
async function stream(input: Record<string, unknown>): Promise<{ runId: string; events: any[] }> {
  const { id: runId } = await createRun(input);
  const events = [];
  for await (const { runEvents } of server.subscribe(FOLLOW, { runId })) events.push(runEvents);
  return { runId, events };
}

async function getThread(id: string, fields: string): Promise<any> {
  return (await server.gql(`query ($id: ID!) { thread(id: $id) { ${fields} } }`, { id })).thread;
}

async function history(id: string, args = ''): Promise<any[]> {
  return (await getThread(id, `history${args} { nodes { ${STATE_FIELDS} } }`)).history.nodes;
}

const text = ({ content }: { content: string }) => content;

describe('Two agents on one thread', () => {
  const AI_KEYS = [
    'content',
    'additional_kwargs',
    'response_metadata',
    'type',
    'name',
    'id',
    'example',
    'tool_calls',
    'invalid_tool_calls',
    'usage_metadata',
  ];

  async function findDefaultAssistant(): Promise<any> {
    const { assistants } = await server.gql(
      `{ assistants(filter: {graphId: "agent"}) { nodes { id graphId config metadata } } }`,
    );
    return assistants.nodes.find(({ config }: any) => Object.keys(config).length === 0);
  }

  it('finds the default assistant by its empty configuration', async () => {
    expect(await findDefaultAssistant()).toEqual({
      id: DEFAULT_ASSISTANT,
      graphId: 'agent',
      config: {},
      metadata: { created_by: 'system' },
    });
  });

  it('lets the second see what the first said, and run with its own configuration', async () => {
    const { createAssistant: openai } = await server.gql(
      `mutation { createAssistant(input: {graphId: "agent", config: {configurable: {model_name: "openai"}}}) { id graphId config metadata } }`,
    );
    expect(openai).toMatchObject({
      graphId: 'agent',
      config: { configurable: { model_name: 'openai' } },
      metadata: {},
    });
    const byDefault = await findDefaultAssistant();
    const { id: threadId } = await createThread();

    const first = await stream({ threadId, assistantId: openai.id, input: human('who made you?') });
    const second = await stream({ threadId, assistantId: byDefault.id, input: human('and you?') });

    for (const { runId, events } of [first, second]) {
      expect(events).toMatchObject([
        { __typename: 'RunStartedEvent', runId },
        { __typename: 'UpdatesEvent', runId, node: 'agent' },
        { __typename: 'RunFinishedEvent', runId, status: 'SUCCESS' },
      ]);
      const [message, ...more] = events[1].update.messages;
      expect(more).toEqual([]);
      expect(Object.keys(message).toSorted()).toEqual(AI_KEYS.toSorted());
      expect(message).toMatchObject({
        additional_kwargs: {},
        type: 'ai',
        id: expect.any(String),
        example: false,
        tool_calls: [],
        invalid_tool_calls: [],
      });
    }
    expect(first.events[1].update.messages[0].content).toContain('I run as "openai"');
    expect(first.events[1].update.messages[0].content).toContain('I see 1 message.');
    const answer = second.events[1].update.messages[0].content;
    expect(answer).toContain('I run as "default"');
    expect(answer).toContain('I see 3 messages.');
    expect(answer).toContain('You first asked "who made you?", and now "and you?".');

    const { values } = await getThread(threadId, 'values');
    expect(values.messages.map(({ type }: any) => type)).toEqual(['human', 'ai', 'human', 'ai']);
  });
});

describe('Use threads', () => {
  const SUPERSTEPS = [
    { updates: [{ values: {}, asNode: '__input__' }] },
    {
      updates: [
        { values: { messages: [{ type: 'human', content: 'hello' }] }, asNode: '__start__' },
      ],
    },
    {
      updates: [
        {
          values: { messages: [{ content: 'Hello! How can I assist you today?', type: 'ai' }] },
          asNode: 'call_model',
        },
      ],
    },
  ];
  const MESSAGES = [
    {
      content: 'hello',
      additional_kwargs: {},
      response_metadata: {},
      type: 'human',
      name: null,
      id: expect.any(String),
      example: false,
    },
    {
      content: 'Hello! How can I assist you today?',
      additional_kwargs: {},
      response_metadata: {},
      type: 'ai',
      name: null,
      id: expect.any(String),
      example: false,
      tool_calls: [],
      invalid_tool_calls: [],
      usage_metadata: null,
    },
  ];

  const createConversation = () => createThread({ graphId: 'chat', supersteps: SUPERSTEPS });

  it('creates an empty thread', async () => {
    const thread = await createThread();
    expect(thread).toMatchObject({ status: 'IDLE', metadata: {}, values: {} });
    expect(thread.createdAt).toBe(thread.updatedAt);
    expect(
      await getThread(
        thread.id,
        'messages { text } state { step } history { nodes { step } totalCount }',
      ),
    ).toEqual({
      messages: [],
      state: null,
      history: { nodes: [], totalCount: 0 },
    });
  });

  it('creates a thread from three supersteps', async () => {
    const thread = await createConversation();
    expect(thread).toMatchObject({
      status: 'IDLE',
      metadata: { graph_id: 'chat' },
      values: { messages: MESSAGES },
    });
    expect(Object.keys(thread.values)).toEqual(['messages']);
    expect(thread.values.messages).toEqual(MESSAGES);
  });

  it('gives its state as the document prints it', async () => {
    const { id, values } = await createConversation();
    const { state } = await getThread(id, `state { ${STATE_FIELDS} }`);
    const writes = {
      call_model: { messages: [{ content: 'Hello! How can I assist you today?', type: 'ai' }] },
    };
    expect(state).toEqual({
      checkpointId: expect.any(String),
      threadId: id,
      namespace: '',
      parentCheckpointId: expect.any(String),
      source: 'UPDATE',
      step: 1,
      runId: null,
      values,
      next: [],
      tasks: [],
      metadata: {
        thread_id: id,
        graph_id: 'chat',
        source: 'update',
        step: 1,
        writes,
        parents: {},
      },
      writes,
      messages: [
        { type: 'HUMAN', text: 'hello', messageId: values.messages[0].id },
        {
          type: 'AI',
          text: 'Hello! How can I assist you today?',
          messageId: values.messages[1].id,
        },
      ],
      createdAt: expect.any(String),
    });
  });

  it('gives every state it has been in, newest first, and each of them again by its checkpoint', async () => {
    const { id } = await createConversation();
    const states = await history(id);
    expect(states).toMatchObject([
      { source: 'UPDATE', step: 1, next: [], messages: [{ text: 'hello' }, { type: 'AI' }] },
      { source: 'UPDATE', step: 0, next: ['call_model'], messages: [{ text: 'hello' }] },
      { source: 'INPUT', step: -1, next: ['__start__'], messages: [] },
    ]);
    expect(states.map(({ parentCheckpointId }) => parentCheckpointId)).toEqual([
      states[1].checkpointId,
      states[2].checkpointId,
      null,
    ]);
    expect(states[1].writes).toEqual({
      __start__: { messages: [{ type: 'human', content: 'hello' }] },
    });

    for (const state of states) {
      const found = await getThread(
        id,
        `state(checkpointId: "${state.checkpointId}") { ${STATE_FIELDS} }`,
      );
      expect(found.state).toEqual(state);
    }
    expect(await history(id, '(first: 2)')).toEqual(states.slice(0, 2));
    expect(await history(id, '(first: 1)')).toEqual([
      (await getThread(id, `state { ${STATE_FIELDS} }`)).state,
    ]);
  });

  it('copies it, and lets both go on', async () => {
    const { id, values } = await createConversation();
    const { copyThread } = await server.gql(
      `mutation ($id: ID!) { copyThread(id: $id) { id status metadata values } }`,
      { id },
    );
    expect(copyThread).toEqual({
      id: expect.not.stringMatching(id),
      status: 'IDLE',
      metadata: { graph_id: 'chat' },
      values,
    });
    const before = await history(id);
    const elsewhere = (states: any[], threadId: string) =>
      states.map((state) => ({
        ...state,
        threadId,
        metadata: { ...state.metadata, thread_id: threadId },
      }));
    expect(await history(copyThread.id)).toEqual(elsewhere(before, copyThread.id));

    const [original, copy] = await Promise.all([
      createRun({ threadId: id, assistantId: 'chat', input: human('on the original') }, true),
      createRun(
        { threadId: copyThread.id, assistantId: 'chat', input: human('on the copy') },
        true,
      ),
    ]);
    const known = ['hello', 'Hello! How can I assist you today?'];
    expect(original.output.messages.map(text)).toEqual([
      ...known,
      'on the original',
      'You said: on the original',
    ]);
    expect(copy.output.messages.map(text)).toEqual([
      ...known,
      'on the copy',
      'You said: on the copy',
    ]);
    expect((await history(id)).slice(-3)).toEqual(before);
    expect((await history(copyThread.id)).slice(-3)).toEqual(elsewhere(before, copyThread.id));
  });

  it('lists threads by status and by metadata, one at a time', async () => {
    const { id } = await createConversation();
    const LIST = `query ($filter: ThreadFilter) {
      threads(filter: $filter, first: 1) { nodes { id status metadata } pageInfo { hasNextPage } }
    }`;
    const expected = { nodes: [{ id, status: 'IDLE', metadata: { graph_id: 'chat' } }] };
    const byStatus = await server.gql(LIST, { filter: { status: ['IDLE'] } });
    const byMetadata = await server.gql(LIST, { filter: { metadata: { graph_id: 'chat' } } });
    expect(byStatus.threads).toMatchObject(expected);
    expect(byMetadata.threads).toMatchObject(expected);
  });
});

describe('Stateless runs', () => {
  const OF_A_THREAD = [
    'Thread',
    'Checkpoint',
    'CheckpointHead',
    'CheckpointWrite',
    'ChannelValue',
    'ChannelItem',
    'Interrupt',
  ];
  const input = human('Hello! My name is Bagatur and I am 26 years old.');
  const READ = `query ($id: ID!) {
    run(id: $id) { status threadId thread { id } output events(modes: [UPDATES]) { nodes { __typename id } } }
  }`;

  async function countRows(): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const table of OF_A_THREAD) {
      const [row] = await server.app.sql.query<{ count: number }>(
        `SELECT count(*)::int AS "count" FROM "${table}"`,
      );
      counts[table] = row?.count ?? -1;
    }
    return counts;
  }

  it('streams a run that leaves nothing of its thread', async () => {
    const before = await countRows();
    const { runId, events } = await stream({ assistantId: 'agent', input });
    expect(events).toMatchObject([
      { __typename: 'RunStartedEvent', runId },
      {
        __typename: 'UpdatesEvent',
        node: 'agent',
        update: { messages: [{ type: 'ai', content: expect.stringContaining('Bagatur') }] },
      },
      { __typename: 'RunFinishedEvent', status: 'SUCCESS' },
    ]);
    expect(await countRows()).toEqual(before);

    const { run } = await server.gql(READ, { id: runId });
    expect(run).toMatchObject({ status: 'SUCCESS', threadId: null, thread: null });
    expect(run.output.messages).toMatchObject([
      { type: 'human' },
      { type: 'ai', content: expect.stringContaining('Bagatur') },
    ]);
    expect(run.events.nodes).toEqual(events.map(({ __typename, id }) => ({ __typename, id })));
  });

  it('waits for a run that leaves nothing of its thread', async () => {
    const before = await countRows();
    const run = await createRun({ assistantId: 'agent', input }, true);
    expect(run).toMatchObject({ status: 'SUCCESS', threadId: null, error: null });
    expect(run.output.messages.map(({ type }: any) => type)).toEqual(['human', 'ai']);
    expect(run.output.messages[0].content).toBe(input.messages[0]?.content);
    expect(await countRows()).toEqual(before);
  });
});

describe('A conversation', () => {
  it('answers a second question that needs the first', async () => {
    const { id: threadId } = await createThread();
    const ask = (question: string) =>
      createRun({ threadId, assistantId: 'agent', input: human(question) }, true);
    await ask("What's the weather?");
    const { output } = await ask('What about tomorrow?');
    expect(output.messages.map(({ type }: any) => type)).toEqual(['human', 'ai', 'human', 'ai']);
    expect(output.messages.at(-1).content).toContain(
      'You first asked "What\'s the weather?", and now "What about tomorrow?".',
    );
  });
});
