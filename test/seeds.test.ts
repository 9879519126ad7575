import { describe, expect } from 'vitest';
import { raw, sql } from '../src/db/sql.ts';
import { human, type TestApp } from './support/app.ts';
import { CREATE_THREAD, type Client, type RunInput, type ThreadInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { contentsOf, operation, valuesOf, type AnswerTo } from './support/graphql.ts';
import { selectThread } from './support/select-thread.ts';

// The steps of the documents at the start of the project. The agent answers offline, with its configuration and the number
// of messages in its state.

const DEFAULT_ASSISTANT = 'fe096781-5601-53d2-b2f6-0d3403f7e9ca';

const FOLLOW = operation(`subscription ($runId: ID!) {
  runEvents(runId: $runId, modes: [UPDATES]) {
    __typename id runId
    ... on UpdatesEvent { node update }
    ... on RunFinishedEvent { status }
  }
}`);

type Event = AnswerTo<typeof FOLLOW>['runEvents'];

const STATE_FIELDS = `
  checkpointId threadId namespace parentCheckpointId source step runId values next tasks { name } metadata writes
  messages { type text messageId } createdAt`;

async function createThread(client: Client, input?: ThreadInput) {
  const { createThread: thread } = await client.gql(CREATE_THREAD, { input });
  return { ...thread, values: valuesOf(thread.values) };
}

/** Starts a run and follows it over a WebSocket to its end. */
async function stream(
  client: Client,
  input: RunInput,
): Promise<{ runId: string; events: Event[] }> {
  const { id: runId } = await client.startRun(input);
  const events: Event[] = [];
  for await (const { runEvents } of client.subscribe(FOLLOW, { runId })) events.push(runEvents);
  return { runId, events };
}

async function history(client: Client, id: string, first?: number) {
  const { thread } = await client.gql(
    operation(`query ($id: ID!, $first: Int) {
      thread(id: $id) { history(first: $first) { nodes { ${STATE_FIELDS} } } }
    }`),
    { id, first },
  );
  return thread?.history.nodes ?? [];
}

/** Returns the first message of an update event. */
const messageOf = (event: Event | undefined) =>
  event?.__typename === 'UpdatesEvent' ? valuesOf(event.update).messages[0] : undefined;

const typesOf = (values: unknown) => valuesOf(values).messages.map(({ type }) => type);

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

  async function findDefaultAssistant(client: Client) {
    const { assistants } = await client.gql(
      operation(
        `{ assistants(filter: { graphId: "agent" }) { nodes { id graphId config metadata } } }`,
      ),
    );
    return assistants.nodes.find(({ config }) => Object.keys(config).length === 0);
  }

  it('finds the default assistant by its empty configuration', async ({ client }) => {
    expect(await findDefaultAssistant(client)).toEqual({
      id: DEFAULT_ASSISTANT,
      graphId: 'agent',
      config: {},
      metadata: { created_by: 'system' },
    });
  });

  it('lets the second see what the first said, and run with its own configuration', async ({
    client,
  }) => {
    const { createAssistant: openai } = await client.gql(
      operation(`mutation {
        createAssistant(input: { graphId: "agent", config: { configurable: { model_name: "openai" } } }) {
          id graphId config metadata
        }
      }`),
    );
    expect(openai).toMatchObject({
      graphId: 'agent',
      config: { configurable: { model_name: 'openai' } },
      metadata: {},
    });
    const byDefault = await findDefaultAssistant(client);
    const threadId = await client.createThread();

    const first = await stream(client, {
      threadId,
      assistantId: openai.id,
      input: human('who made you?'),
    });
    const second = await stream(client, {
      threadId,
      assistantId: byDefault?.id ?? '',
      input: human('and you?'),
    });

    for (const { runId, events } of [first, second]) {
      expect(events).toMatchObject([
        { __typename: 'RunStartedEvent', runId },
        { __typename: 'UpdatesEvent', runId, node: 'agent' },
        { __typename: 'RunFinishedEvent', runId, status: 'SUCCESS' },
      ]);
      const message = messageOf(events[1]);
      expect(events[1]).toMatchObject({ update: { messages: [expect.anything()] } });
      expect(Object.keys(message ?? {}).toSorted()).toEqual(AI_KEYS.toSorted());
      expect(message).toMatchObject({
        additional_kwargs: {},
        type: 'ai',
        id: expect.any(String),
        example: false,
        tool_calls: [],
        invalid_tool_calls: [],
      });
    }
    const firstAnswer = messageOf(first.events[1])?.content;
    expect(firstAnswer).toContain('I run as "openai"');
    expect(firstAnswer).toContain('I see 1 message.');
    const answer = messageOf(second.events[1])?.content;
    expect(answer).toContain('I run as "default"');
    expect(answer).toContain('I see 3 messages.');
    expect(answer).toContain('You first asked "who made you?", and now "and you?".');

    const { values } = await client.getThread(threadId);
    expect(typesOf(values)).toEqual(['human', 'ai', 'human', 'ai']);
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

  const createConversation = (client: Client) =>
    createThread(client, { graphId: 'chat', supersteps: SUPERSTEPS });

  it('creates an empty thread', async ({ client }) => {
    const thread = await createThread(client);
    expect(thread).toMatchObject({ status: 'IDLE', metadata: {}, values: {} });
    expect(thread.createdAt).toBe(thread.updatedAt);
    expect(
      await selectThread(
        client,
        thread.id,
        'messages { text } state { step } history { nodes { step } totalCount }',
      ),
    ).toEqual({
      messages: [],
      state: null,
      history: { nodes: [], totalCount: 0 },
    });
  });

  it('creates a thread from three supersteps', async ({ client }) => {
    const thread = await createConversation(client);
    expect(thread).toMatchObject({
      status: 'IDLE',
      metadata: { graph_id: 'chat' },
      values: { messages: MESSAGES },
    });
    expect(Object.keys(thread.values)).toEqual(['messages']);
    expect(thread.values.messages).toEqual(MESSAGES);
  });

  it('gives its state as the document prints it', async ({ client }) => {
    const { id, values } = await createConversation(client);
    const { state } = await selectThread(client, id, `state { ${STATE_FIELDS} }`);
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
        { type: 'HUMAN', text: 'hello', messageId: values.messages[0]?.id },
        {
          type: 'AI',
          text: 'Hello! How can I assist you today?',
          messageId: values.messages[1]?.id,
        },
      ],
      createdAt: expect.any(String),
    });
  });

  it('gives every state it has been in, newest first, and each of them again by its checkpoint', async ({
    client,
  }) => {
    const { id } = await createConversation(client);
    const states = await history(client, id);
    expect(states).toMatchObject([
      { source: 'UPDATE', step: 1, next: [], messages: [{ text: 'hello' }, { type: 'AI' }] },
      { source: 'UPDATE', step: 0, next: ['call_model'], messages: [{ text: 'hello' }] },
      { source: 'INPUT', step: -1, next: ['__start__'], messages: [] },
    ]);
    expect(states.map(({ parentCheckpointId }) => parentCheckpointId)).toEqual([
      states[1]?.checkpointId,
      states[2]?.checkpointId,
      null,
    ]);
    expect(states[1]?.writes).toEqual({
      __start__: { messages: [{ type: 'human', content: 'hello' }] },
    });

    for (const state of states) {
      const { thread } = await client.gql(
        operation(`query ($id: ID!, $checkpointId: ID!) {
          thread(id: $id) { state(checkpointId: $checkpointId) { ${STATE_FIELDS} } }
        }`),
        { id, checkpointId: state.checkpointId },
      );
      expect(thread?.state).toEqual(state);
    }
    expect(await history(client, id, 2)).toEqual(states.slice(0, 2));
    expect(await history(client, id, 1)).toEqual([
      (await selectThread(client, id, `state { ${STATE_FIELDS} }`)).state,
    ]);
  });

  it('copies it, and lets both go on', async ({ client }) => {
    const { id, values } = await createConversation(client);
    const { copyThread } = await client.gql(
      operation(`mutation ($id: ID!) { copyThread(id: $id) { id status metadata values } }`),
      { id },
    );
    expect(copyThread).toEqual({
      id: expect.not.stringMatching(id),
      status: 'IDLE',
      metadata: { graph_id: 'chat' },
      values,
    });
    const before = await history(client, id);
    const elsewhere = (states: typeof before, threadId: string) =>
      states.map((state) => ({
        ...state,
        threadId,
        metadata: { ...state.metadata, thread_id: threadId },
      }));
    expect(await history(client, copyThread.id)).toEqual(elsewhere(before, copyThread.id));

    const say = (threadId: string, text: string) =>
      client.runToEnd({ threadId, assistantId: 'chat', input: human(text) });
    const [original, copy] = await Promise.all([
      say(id, 'on the original'),
      say(copyThread.id, 'on the copy'),
    ]);
    const known = ['hello', 'Hello! How can I assist you today?'];
    expect(contentsOf(original.output)).toEqual([
      ...known,
      'on the original',
      'You said: on the original',
    ]);
    expect(contentsOf(copy.output)).toEqual([...known, 'on the copy', 'You said: on the copy']);
    expect((await history(client, id)).slice(-3)).toEqual(before);
    expect((await history(client, copyThread.id)).slice(-3)).toEqual(
      elsewhere(before, copyThread.id),
    );
  });

  it('lists threads by status and by metadata, one at a time', async ({ client }) => {
    const { id } = await createConversation(client);
    const LIST = operation(`query ($filter: ThreadFilter) {
      threads(filter: $filter, first: 1) { nodes { id status metadata } pageInfo { hasNextPage } }
    }`);
    const expected = { nodes: [{ id, status: 'IDLE', metadata: { graph_id: 'chat' } }] };
    const byStatus = await client.gql(LIST, { filter: { status: ['IDLE'] } });
    const byMetadata = await client.gql(LIST, { filter: { metadata: { graph_id: 'chat' } } });
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
  const READ = operation(`query ($id: ID!) {
    run(id: $id) { status threadId thread { id } output events(modes: [UPDATES]) { nodes { __typename id } } }
  }`);

  async function countRows(server: TestApp): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const table of OF_A_THREAD) {
      const [row] = await server.app.sql.query<{ count: number }>(
        sql`SELECT count(*)::int AS "count" FROM ${raw(`"${table}"`)}`,
      );
      counts[table] = row?.count ?? -1;
    }
    return counts;
  }

  it('streams a run that leaves nothing of its thread', async ({ client, server }) => {
    const before = await countRows(server);
    const { runId, events } = await stream(client, { assistantId: 'agent', input });
    expect(events).toMatchObject([
      { __typename: 'RunStartedEvent', runId },
      {
        __typename: 'UpdatesEvent',
        node: 'agent',
        update: { messages: [{ type: 'ai', content: expect.stringContaining('Bagatur') }] },
      },
      { __typename: 'RunFinishedEvent', status: 'SUCCESS' },
    ]);
    expect(await countRows(server)).toEqual(before);

    const { run } = await client.gql(READ, { id: runId });
    expect(run).toMatchObject({ status: 'SUCCESS', threadId: null, thread: null });
    expect(valuesOf(run?.output).messages).toMatchObject([
      { type: 'human' },
      { type: 'ai', content: expect.stringContaining('Bagatur') },
    ]);
    expect(run?.events.nodes).toEqual(events.map(({ __typename, id }) => ({ __typename, id })));
  });

  it('waits for a run that leaves nothing of its thread', async ({ client, server }) => {
    const before = await countRows(server);
    const run = await client.runToEnd({ assistantId: 'agent', input });
    expect(run).toMatchObject({ status: 'SUCCESS', threadId: null, error: null });
    expect(typesOf(run.output)).toEqual(['human', 'ai']);
    expect(run.output.messages[0]?.content).toBe(input.messages[0]?.content);
    expect(await countRows(server)).toEqual(before);
  });
});

describe('A conversation', () => {
  it('answers a second question that needs the first', async ({ client }) => {
    const threadId = await client.createThread();
    const ask = (question: string) =>
      client.runToEnd({ threadId, assistantId: 'agent', input: human(question) });
    await ask("What's the weather?");
    const { output } = await ask('What about tomorrow?');
    expect(typesOf(output)).toEqual(['human', 'ai', 'human', 'ai']);
    expect(output.messages.at(-1)?.content).toContain(
      'You first asked "What\'s the weather?", and now "What about tomorrow?".',
    );
  });
});
