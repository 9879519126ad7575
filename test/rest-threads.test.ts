import { randomUUID } from 'node:crypto';
import { Client } from '@langchain/langgraph-sdk';
import { describe, expect } from 'vitest';
import type { Client as Fixture, RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { sendTo } from './support/rest.ts';

const sdk = (server: { url: string }) =>
  new Client({ apiUrl: server.url, apiKey: null, callerOptions: { maxRetries: 0 } });

describe('creating a thread', () => {
  it('gives an idle thread with every field', async ({ server }) => {
    const thread = await sdk(server).threads.create({ metadata: { topic: 'tea' } });
    expect(thread).toEqual({
      thread_id: expect.any(String),
      created_at: expect.stringMatching(/Z$/),
      updated_at: thread.updated_at,
      state_updated_at: expect.stringMatching(/Z$/),
      metadata: { topic: 'tea' },
      status: 'idle',
      error: null,
      config: {},
      values: {},
      interrupts: {},
    });
    expect(await sdk(server).threads.get(thread.thread_id)).toEqual(thread);
  });

  it('refuses a taken id, or returns its thread with if_exists do_nothing', async ({ server }) => {
    const { threads } = sdk(server);
    const threadId = randomUUID();
    const first = await threads.create({ threadId, metadata: { n: 1 } });
    await expect(threads.create({ threadId })).rejects.toMatchObject({ status: 409 });
    const again = await threads.create({ threadId, ifExists: 'do_nothing', metadata: { n: 2 } });
    expect(again).toEqual(first);
  });

  it('builds the state from supersteps, with a checkpoint each', async ({ server }) => {
    const { threads } = sdk(server);
    const thread = await threads.create({
      graphId: 'steps',
      supersteps: [
        { updates: [{ values: {}, asNode: '__input__' }] },
        { updates: [{ values: { log: ['in'] }, asNode: '__start__' }] },
        {
          updates: [
            {
              values: null,
              command: { update: { log: ['mine'] }, goto: 'step5', resume: null },
              asNode: 'step1',
            },
          ],
        },
      ],
    });
    expect(thread.values).toEqual({ log: ['in', 'mine'] });
    expect(thread.metadata).toEqual({ graph_id: 'steps' });
    const history = await threads.getHistory(thread.thread_id);
    expect(history.map(({ next }) => next)).toEqual([
      expect.arrayContaining(['step5']),
      ['step1'],
      ['__start__'],
    ]);
  });

  it('stores nothing if a superstep is refused', async ({ server }) => {
    const { threads } = sdk(server);
    const threadId = randomUUID();
    await expect(
      threads.create({
        threadId,
        graphId: 'steps',
        supersteps: [{ updates: [{ values: { log: ['x'] }, asNode: 'nowhere' }] }],
      }),
    ).rejects.toMatchObject({ status: 422 });
    await expect(threads.get(threadId)).rejects.toMatchObject({ status: 404 });
  });

  it('answers 422 for a ttl, naming it', async ({ server }) => {
    const { status, body } = await sendTo(server, 'POST', '/threads', { ttl: { ttl: 5 } });
    expect(status).toBe(422);
    expect(body.detail).toContain('ttl');
    expect(body.message).toBe(body.detail);
  });
});

describe('changing a thread', () => {
  it('merges metadata, and answers nothing with returnMinimal', async ({ server }) => {
    const { threads } = sdk(server);
    const { thread_id: id } = await threads.create({ metadata: { a: 1, b: 2 } });
    const changed = await threads.update(id, { metadata: { b: 3 } });
    expect(changed.metadata).toEqual({ a: 1, b: 3 });
    expect(await threads.update(id, { metadata: { c: 4 }, returnMinimal: true })).toBeUndefined();
    expect((await threads.get(id)).metadata).toEqual({ a: 1, b: 3, c: 4 });
  });

  it('deletes a thread, which then does not exist', async ({ server }) => {
    const { threads } = sdk(server);
    const { thread_id: id } = await threads.create();
    await threads.delete(id);
    await expect(threads.get(id)).rejects.toMatchObject({ status: 404 });
    await expect(threads.delete(id)).rejects.toMatchObject({ status: 404 });
  });

  it('prunes the threads of a list, without those that do not exist', async ({ server }) => {
    const { threads } = sdk(server);
    const one = await threads.create();
    const two = await threads.create();
    const pruned = await threads.prune([one.thread_id, two.thread_id, randomUUID()]);
    expect(pruned).toEqual({ pruned_count: 2 });
    await expect(threads.get(one.thread_id)).rejects.toMatchObject({ status: 404 });
    const rest = threads.prune([one.thread_id, randomUUID()], { strategy: 'keep_latest' });
    expect(await rest).toEqual({ pruned_count: 0 });
    const unknown = { strategy: 'archive' as 'delete' };
    await expect(threads.prune([two.thread_id], unknown)).rejects.toMatchObject({ status: 422 });
  });
});

describe('copying a thread', () => {
  it('gives a thread with the same history and a life of its own', async ({ server, client }) => {
    const { threads } = sdk(server);
    const threadId = await ranThread(client, { assistantId: 'echo', input: say('hi') });
    const copy = await threads.copy(threadId);
    expect(copy.thread_id).not.toBe(threadId);
    const [own, copied] = await Promise.all(
      [threadId, copy.thread_id].map((id) => threads.getHistory(id)),
    );
    expect(copied).toEqual(JSON.parse(JSON.stringify(own).replaceAll(threadId, copy.thread_id)));
    await threads.updateState(copy.thread_id, { values: say('more') });
    expect((await threads.getState(threadId)).values).toEqual(own?.[0]?.values);
  });
});

describe('a thread of a run', () => {
  it('names the graph and the assistant of its last run', async ({ server, client }) => {
    const threadId = await ranThread(client, {
      assistantId: 'whoami',
      config: { configurable: { lang: 'de' }, tags: ['x'] },
    });
    const thread = await sdk(server).threads.get(threadId);
    expect(thread.metadata).toEqual({ graph_id: 'whoami', assistant_id: expect.any(String) });
    expect(thread.config).toEqual({ configurable: { lang: 'de' }, tags: ['x'] });
  });

  it('shows its open interrupts by task, with ids of LangGraph', async ({ server, client }) => {
    const threadId = await ranThread(client, { assistantId: 'ask', input: {} });
    const thread = await sdk(server).threads.get(threadId);
    const state = await sdk(server).threads.getState(threadId);
    const task = state.tasks.find(({ interrupts }) => interrupts.length > 0);
    expect(thread.status).toBe('interrupted');
    expect(task?.interrupts).toEqual([
      { id: expect.stringMatching(/^[0-9a-f]{32}$/), value: expect.anything() },
    ]);
    expect(thread.interrupts).toEqual({ [String(task?.id)]: task?.interrupts });
  });

  it('puts the interrupt of a subgraph under the task of the root graph', async ({
    server,
    client,
  }) => {
    const threadId = await ranThread(client, { assistantId: 'nestedAsk', input: {} });
    const thread = await sdk(server).threads.get(threadId);
    const state = await sdk(server).threads.getState(threadId);
    expect(Object.keys(thread.interrupts)).toEqual(state.tasks.map(({ id }) => id));
  });

  it('shows the error of a failed run', async ({ server, client }) => {
    const threadId = await ranThread(client, { assistantId: 'fail', input: { fail: true } });
    const thread = await sdk(server).threads.get(threadId);
    expect(thread.status).toBe('error');
    expect(thread.error).toEqual({ error: 'CustomError', message: 'Boo!' });
  });
});

describe('bad input', () => {
  it.for<[string, string, string, unknown, number]>([
    ['a malformed id', 'GET', '/threads/no-uuid', undefined, 422],
    ['an unknown thread', 'GET', `/threads/${randomUUID()}`, undefined, 404],
    ['a copy of an unknown thread', 'POST', `/threads/${randomUUID()}/copy`, undefined, 404],
    ['an unknown thread to change', 'PATCH', `/threads/${randomUUID()}`, { metadata: {} }, 404],
    ['metadata that are no object', 'POST', '/threads', { metadata: 'x' }, 422],
    ['an unknown if_exists', 'POST', '/threads', { if_exists: 'maybe' }, 422],
    ['a body that is a list', 'POST', '/threads', [], 422],
    ['a body that is not JSON', 'POST', '/threads', '{"metadata":', 400],
    ['supersteps without a graph', 'POST', '/threads', { supersteps: [{ updates: [{}] }] }, 422],
    [
      'supersteps with an unknown graph',
      'POST',
      '/threads',
      { metadata: { graph_id: 'nowhere' }, supersteps: [{ updates: [{}] }] },
      422,
    ],
  ])('%s gets a status and a reason', async ([, method, path, body, status], { server }) => {
    const answer = await sendTo(server, method, path, body);
    expect(answer.status).toBe(status);
    expect(answer.body).toEqual({
      detail: expect.any(String),
      message: answer.body.detail,
      code: expect.any(String),
    });
  });
});

/** The thread of an ended run. */
async function ranThread(client: Fixture, input: RunInput): Promise<string> {
  const threadId = await client.createThread();
  await client.runToEnd({ threadId, ...input });
  return threadId;
}

function say(content: string) {
  return { messages: [{ type: 'human', content }] };
}
