import { randomUUID } from 'node:crypto';
import { Client } from '@langchain/langgraph-sdk';
import { describe, expect } from 'vitest';
import type { Client as Fixture, RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { sendTo } from './support/rest.ts';

const sdk = (server: { url: string }) =>
  new Client({ apiUrl: server.url, apiKey: null, callerOptions: { maxRetries: 0 } });

describe('the state of a thread', () => {
  it('is empty before the first checkpoint', async ({ server, client }) => {
    const threadId = await client.createThread();
    expect(await sdk(server).threads.getState(threadId)).toEqual({
      values: {},
      next: [],
      tasks: [],
      metadata: {},
      created_at: null,
      checkpoint: null,
      parent_checkpoint: null,
      checkpoint_id: null,
      parent_checkpoint_id: null,
      interrupts: [],
    });
    expect(await sdk(server).threads.getHistory(threadId)).toEqual([]);
  });

  it('has the values, the checkpoint and its parent', async ({ server, client }) => {
    const threadId = await ranThread(client, { assistantId: 'steps', input: { log: ['in'] } });
    const state = await sdk(server).threads.getState<{ log: string[] }>(threadId);
    const [head, parent] = await sdk(server).threads.getHistory(threadId);
    expect(state.values.log).toHaveLength(11);
    expect(state.next).toEqual([]);
    expect(state.checkpoint).toEqual({
      thread_id: threadId,
      checkpoint_ns: '',
      checkpoint_id: expect.any(String),
      checkpoint_map: null,
    });
    expect(state.parent_checkpoint).toEqual(parent?.checkpoint);
    expect(state.metadata).toMatchObject({ source: 'loop', step: 10, thread_id: threadId });
    expect(head).toEqual(state);
  });

  it('shows messages without empty fields', async ({ server, client }) => {
    const input = { messages: [{ type: 'human', content: 'hi', id: 'one' }] };
    const threadId = await ranThread(client, { assistantId: 'echo', input });
    const state = await sdk(server).threads.getState<{ messages: object[] }>(threadId);
    expect(state.values.messages[0]).toEqual({
      type: 'human',
      content: 'hi',
      id: 'one',
      additional_kwargs: {},
      response_metadata: {},
    });
    const { values } = await sdk(server).threads.get(threadId);
    expect(values).toEqual(state.values);
  });

  it('has only the selected fields and values', async ({ server, client }) => {
    const threadId = await ranThread(client, { assistantId: 'steps', input: { log: ['in'] } });
    const { threads } = sdk(server);
    const whole = await threads.getState(threadId);
    expect(await threads.getState(threadId, undefined, { select: ['next', 'created_at'] })).toEqual(
      { next: [], created_at: whole.created_at },
    );
    expect(await threads.getState(threadId, undefined, { select: ['values.log'] })).toEqual({
      values: whole.values,
    });
    expect(await threads.getState(threadId, undefined, { select: ['values.no'] })).toEqual({
      values: {},
    });
  });

  it('is read at a checkpoint, by its id or as an object', async ({ server, client }) => {
    const threadId = await ranThread(client, { assistantId: 'steps', input: { log: ['in'] } });
    const { threads } = sdk(server);
    const [, , third] = await threads.getHistory(threadId);
    const id = String(third?.checkpoint?.checkpoint_id);
    expect(await threads.getState(threadId, id)).toEqual(third);
    expect(await threads.getState(threadId, third?.checkpoint ?? undefined)).toEqual(third);
  });

  it('has the states of subgraphs if asked for', async ({ server, client }) => {
    const threadId = await ranThread(client, { assistantId: 'nestedAsk', input: {} });
    const { threads } = sdk(server);
    const [task] = (await threads.getState(threadId)).tasks;
    const [deep] = (await threads.getState(threadId, undefined, { subgraphs: true })).tasks;
    expect(task).toMatchObject({
      state: null,
      checkpoint: { thread_id: threadId, checkpoint_ns: `${task?.name}:${task?.id}` },
      error: null,
      result: null,
    });
    expect(deep?.checkpoint).toBeNull();
    expect(deep?.state).toMatchObject({
      checkpoint: { checkpoint_ns: `${task?.name}:${task?.id}` },
      tasks: [{ interrupts: task?.interrupts }],
    });
    const read = await threads.getState(threadId, { ...task?.checkpoint } as never);
    expect(read).toMatchObject({ next: deep?.state?.next, values: deep?.state?.values });
  });
});

describe('editing the state', () => {
  it('creates a checkpoint from which the thread continues', async ({ server, client }) => {
    const threadId = await ranThread(client, { assistantId: 'steps', input: { log: ['in'] } });
    const { threads } = sdk(server);
    const before = await threads.getState(threadId);
    const edited = await threads.updateState(threadId, {
      values: { log: ['mine'] },
      asNode: 'step3',
    });
    const after = await threads.getState<{ log: string[] }>(threadId);
    expect(edited).toEqual({ checkpoint: after.checkpoint, configurable: after.checkpoint });
    expect(after.parent_checkpoint).toEqual(before.checkpoint);
    expect(after.values.log.at(-1)).toBe('mine');
    expect(after.next).toEqual(['step4']);
  });

  it('forks at an older checkpoint', async ({ server, client }) => {
    const threadId = await ranThread(client, { assistantId: 'steps', input: { log: ['in'] } });
    const { threads } = sdk(server);
    const [, , older] = await threads.getHistory(threadId);
    const checkpoint = older?.checkpoint ?? undefined;
    await threads.updateState(threadId, { values: null, asNode: '__copy__', checkpoint });
    const state = await threads.getState(threadId);
    expect(state.values).toEqual(older?.values);
    expect(state.next).toEqual(older?.next);
  });

  it('ends the thread as __end__', async ({ server, client }) => {
    const threadId = await ranThread(client, { assistantId: 'ask', input: {} });
    const { threads } = sdk(server);
    await threads.updateState(threadId, { values: null, asNode: '__end__' });
    expect((await threads.getState(threadId)).next).toEqual([]);
    expect(await threads.get(threadId)).toMatchObject({ status: 'idle', interrupts: {} });
  });

  it('is refused while a run is delayed', async ({ server, client }) => {
    const threadId = await client.createThread();
    const run = await client.startRun({
      threadId,
      assistantId: 'echo',
      afterSeconds: 1000,
      input: {},
    });
    await expect(
      sdk(server).threads.updateState(threadId, { values: { log: ['x'] } }),
    ).rejects.toMatchObject({ status: 409 });
    await client.cancelRun(run.id);
  });
});

describe('the history of a thread', () => {
  it('is limited, and continues before a checkpoint in each form', async ({ server, client }) => {
    const threadId = await ranThread(client, { assistantId: 'steps', input: { log: ['in'] } });
    const { threads } = sdk(server);
    const all = await threads.getHistory(threadId, { limit: 1000 });
    expect(all).toHaveLength(12);
    expect(await threads.getHistory(threadId, { limit: 3 })).toEqual(all.slice(0, 3));
    expect(await threads.getHistory(threadId)).toHaveLength(10);
    const id = all[4]?.checkpoint?.checkpoint_id;
    const path = `/threads/${threadId}/history`;
    for (const before of [id, { checkpoint_id: id }, { configurable: { checkpoint_id: id } }]) {
      const { body } = await sendTo(server, 'POST', path, { limit: 2, before });
      expect(body).toEqual(all.slice(5, 7));
    }
    const { body } = await sendTo(server, 'GET', `${path}?limit=2&before=${id}`);
    expect(body).toEqual(all.slice(5, 7));
  });

  it('is filtered by metadata, by checkpoint and by subgraph', async ({ server, client }) => {
    const threadId = await ranThread(client, { assistantId: 'nested', input: {} });
    const { threads } = sdk(server);
    const [head] = await threads.getHistory(threadId, { metadata: { source: 'input' } });
    expect(head?.metadata).toMatchObject({ source: 'input', step: -1 });
    const checkpoint = { checkpoint_id: head?.checkpoint?.checkpoint_id } as never;
    expect(await threads.getHistory(threadId, { checkpoint })).toEqual([head]);
    const selected = await threads.getHistory(threadId, { limit: 1, select: ['next'] });
    expect(selected).toEqual([{ next: [] }]);
  });
});

describe('bad input', () => {
  it.for<[string, string, string, unknown, number]>([
    ['a state of an unknown thread', 'GET', `/threads/${randomUUID()}/state`, undefined, 404],
    ['an unknown checkpoint', 'GET', `/threads/:id/state/${randomUUID()}`, undefined, 404],
    ['a malformed checkpoint', 'GET', '/threads/:id/state/no-uuid', undefined, 422],
    ['a checkpoint of no object', 'POST', '/threads/:id/state/checkpoint', {}, 422],
    [
      'a checkpoint of another thread',
      'POST',
      '/threads/:id/state/checkpoint',
      { checkpoint: { thread_id: randomUUID() } },
      422,
    ],
    ['a limit of zero', 'POST', '/threads/:id/history', { limit: 0 }, 422],
    ['a negative limit', 'POST', '/threads/:id/history', { limit: -1 }, 422],
    ['a limit above 1,000', 'POST', '/threads/:id/history', { limit: 1001 }, 422],
    ['an unknown checkpoint before', 'POST', '/threads/:id/history', { before: randomUUID() }, 422],
    ['an edit of a thread without a graph', 'POST', '/threads/:id/state', { values: {} }, 422],
    ['a flag of another type', 'GET', '/threads/:id/state?subgraphs=perhaps', undefined, 422],
  ])(
    '%s gets a status and a reason',
    async ([, method, path, body, status], { server, client }) => {
      const threadId = await client.createThread();
      const answer = await sendTo(server, method, path.replace(':id', threadId), body);
      expect(answer.status).toBe(status);
      expect(answer.body).toMatchObject({
        detail: expect.any(String),
        message: answer.body.detail,
      });
    },
  );

  it('an unknown node to edit as is refused', async ({ server, client }) => {
    const threadId = await ranThread(client, { assistantId: 'steps', input: { log: [] } });
    const { status, body } = await sendTo(server, 'POST', `/threads/${threadId}/state`, {
      values: { log: ['x'] },
      as_node: 'nowhere',
    });
    expect(status).toBe(422);
    expect(body.detail).toContain('as_node');
  });
});

/** The thread of an ended run. */
async function ranThread(client: Fixture, input: RunInput): Promise<string> {
  const threadId = await client.createThread();
  await client.runToEnd({ threadId, ...input });
  return threadId;
}
