import path from 'node:path';
import { describe, expect } from 'vitest';
import { it as base } from './support/fixture.ts';
import { gather, sdkClient } from './support/sdk.ts';

// The code of the documents at the start of the project: the calls of LangGraph's SDK, and the requests of curl.

/** The graph of the documents about agents is the agent of the project: it answers with the name of its model. */
const it = base.extend(
  'settings',
  { scope: 'file' },
  { graphsFile: path.join(import.meta.dirname, '../langgraph.json') },
);

/** The graph of the documents about threads has a node `call_model`. */
const threads = base.extend(
  'settings',
  { scope: 'file' },
  { graphsFile: path.join(import.meta.dirname, 'support/seed-graphs.json') },
);

/** Sends a request as curl does, with JSON in its body. */
async function curl(method: string, url: string, data?: object): Promise<any> {
  const response = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(data && { body: JSON.stringify(data) }),
  });
  const text = await response.text();
  expect(response.ok, text).toBe(true);
  return response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : text;
}

const HELLO = 'Hello! How can I assist you today?';

describe('The document about two agents on one thread', () => {
  it('works with the SDK', async ({ server }) => {
    const client = sdkClient(server);
    const openAIAssistant = await client.assistants.create({
      graphId: 'agent',
      config: { configurable: { model_name: 'openai' } },
    });
    const assistants = await client.assistants.search();
    const defaultAssistant = assistants.find(
      ({ graph_id, config }) => graph_id === 'agent' && Object.keys(config).length === 0,
    );
    expect(defaultAssistant).toMatchObject({
      assistant_id: 'fe096781-5601-53d2-b2f6-0d3403f7e9ca',
      metadata: { created_by: 'system' },
    });

    const thread = await client.threads.create();
    const run = (assistantId: string, content: string) =>
      gather(
        client.runs.stream(thread.thread_id, assistantId, {
          input: { messages: [{ role: 'user', content }] },
          streamMode: 'updates',
        }),
      );
    const first = await run(openAIAssistant.assistant_id, 'who made you?');
    const second = await run(String(defaultAssistant?.assistant_id), 'and you?');
    for (const events of [first, second]) {
      expect(events).toEqual([
        { id: '0', event: 'metadata', data: expect.objectContaining({ attempt: 1 }) },
        { id: '1', event: 'updates', data: { agent: { messages: [expect.anything()] } } },
      ]);
    }
    const { values } = await client.threads.getState<any>(thread.thread_id);
    expect(values.messages.map(({ type }: any) => type)).toEqual(['human', 'ai', 'human', 'ai']);
    expect(values.messages[1].content).toContain('openai');
    expect(values.messages[3].content).not.toContain('openai');
  });

  it('works with curl', async ({ server: { url } }) => {
    const created = await curl('POST', `${url}/assistants`, {
      graph_id: 'agent',
      config: { configurable: { model_name: 'openai' } },
    });
    expect(await curl('GET', `${url}/assistants/${created.assistant_id}`)).toMatchObject({
      graph_id: 'agent',
      config: { configurable: { model_name: 'openai' } },
    });
    const { thread_id: id } = await curl('POST', `${url}/threads`, {});
    const text: string = await curl('POST', `${url}/threads/${id}/runs/stream`, {
      assistant_id: created.assistant_id,
      input: { messages: [{ role: 'user', content: 'who made you?' }] },
      stream_mode: ['updates'],
    });
    // The lines that the document's awk program reads.
    const lines = text.split('\n').filter((line) => /^(event|data):/.test(line));
    expect(lines.map((line) => line.split(' ', 2).join(' '))).toEqual([
      'event: metadata',
      expect.stringMatching(/^data: \{"run_id"/),
      'event: updates',
      expect.stringMatching(/^data: \{"agent"/),
    ]);
  });
});

describe('The document about threads', () => {
  const supersteps = [
    { updates: [{ values: {}, asNode: '__input__' }] },
    {
      updates: [
        { values: { messages: [{ type: 'human', content: 'hello' }] }, asNode: '__start__' },
      ],
    },
    { updates: [{ values: { messages: [{ content: HELLO, type: 'ai' }] }, asNode: 'call_model' }] },
  ];
  const inSnakeCase = supersteps.map(({ updates }) => ({
    updates: updates.map(({ values, asNode }) => ({ values, as_node: asNode })),
  }));

  threads('creates, copies, finds and shows threads with the SDK', async ({ server }) => {
    const client = sdkClient(server);
    expect(await client.threads.create()).toMatchObject({
      thread_id: expect.any(String),
      created_at: expect.any(String),
      updated_at: expect.any(String),
      metadata: {},
      status: 'idle',
      values: {},
    });

    const thread = await client.threads.create({ graphId: 'agent', supersteps });
    expect(thread).toMatchObject({
      metadata: { graph_id: 'agent' },
      status: 'idle',
      config: {},
      values: {
        messages: [
          { type: 'human', content: 'hello' },
          { type: 'ai', content: HELLO },
        ],
      },
    });
    const copiedThread = await client.threads.copy(thread.thread_id);
    const { values } = await client.threads.getState(thread.thread_id);
    expect((await client.threads.getState(copiedThread.thread_id)).values).toEqual(values);

    expect(await client.threads.search({ status: 'idle', limit: 1 })).toHaveLength(1);
    expect(
      await client.threads.search({ metadata: { graph_id: 'agent' }, limit: 1 }),
    ).toMatchObject([{ metadata: { graph_id: 'agent' } }]);
    for (const sortBy of ['thread_id', 'status', 'created_at', 'updated_at'] as const) {
      const sorted = await client.threads.search({ sortBy, sortOrder: 'asc' });
      expect(sorted).toHaveLength(3);
    }
    expect(await client.threads.get(thread.thread_id)).toMatchObject({ status: 'idle' });

    const history = await client.threads.getHistory(thread.thread_id, { limit: 10 });
    expect(history.map(({ metadata }) => (metadata as any).step)).toEqual([1, 0, -1]);
    const checkpointId = String((history[0] as any).checkpoint_id);
    const state = await client.threads.getState(thread.thread_id, checkpointId);
    expect(state).toMatchObject({
      values,
      next: [],
      tasks: [],
      metadata: { source: 'update', step: 1, parents: {}, graph_id: 'agent' },
      checkpoint: { checkpoint_id: checkpointId, thread_id: thread.thread_id, checkpoint_ns: '' },
      parent_checkpoint: { checkpoint_ns: '' },
      checkpoint_id: checkpointId,
    });
  });

  threads('works with curl', async ({ server: { url } }) => {
    const { thread_id: id } = await curl('POST', `${url}/threads`, {
      metadata: { graph_id: 'agent' },
      supersteps: inSnakeCase,
    });
    const copy = await curl('POST', `${url}/threads/${id}/copy`);
    expect(copy.thread_id).not.toBe(id);
    const body = { metadata: { graph_id: 'agent' }, limit: 1 };
    expect(await curl('POST', `${url}/threads/search`, body)).toHaveLength(1);
    const idle = { status: 'idle', limit: 1 };
    expect(await curl('POST', `${url}/threads/search`, idle)).toHaveLength(1);
    expect(await curl('GET', `${url}/threads/${id}`)).toMatchObject({ thread_id: id });
    const state = await curl('GET', `${url}/threads/${id}/state`);
    const [newest] = await curl('POST', `${url}/threads/${id}/history`, { limit: 1 });
    expect(newest.checkpoint_id).toBe(state.checkpoint_id);
    expect(await curl('GET', `${url}/threads/${id}/state/${newest.checkpoint_id}`)).toMatchObject({
      values: state.values,
    });
  });
});

describe('The document about stateless runs', () => {
  const content = 'Hello! My name is Bagatur and I am 26 years old.';

  it('works with the SDK', async ({ server }) => {
    const client = sdkClient(server);
    const input = { messages: [{ role: 'user', content }] };
    const chunks = await gather(
      client.runs.stream(null, 'agent', { input, streamMode: 'updates' }),
    );
    const shown = chunks.filter(({ data }) => data && !('run_id' in data));
    expect(shown.map(({ data }) => data)).toMatchObject([
      { agent: { messages: [{ type: 'ai' }] } },
    ]);
    expect(await client.runs.wait(null, 'agent', { input })).toMatchObject({
      messages: [
        { type: 'human', content },
        { type: 'ai', content: expect.any(String) },
      ],
    });
  });

  it('works with curl', async ({ server: { url } }) => {
    const input = { messages: [{ role: 'human', content }] };
    const body = { assistant_id: 'agent', input, stream_mode: ['updates'] };
    expect(await curl('POST', `${url}/runs/stream`, body)).toContain('event: updates');
    expect(await curl('POST', `${url}/runs/wait`, { assistant_id: 'agent', input })).toMatchObject({
      messages: [{ type: 'human' }, { type: 'ai' }],
    });
  });
});
