import { randomUUID } from 'node:crypto';
import { Client } from '@langchain/langgraph-sdk';
import { describe, expect } from 'vitest';
import { it } from './support/fixture.ts';
import { sendTo } from './support/rest.ts';

const sdk = (server: { url: string }) =>
  new Client({ apiUrl: server.url, apiKey: null, callerOptions: { maxRetries: 0 } });

/** Creates threads with a mark of their own, one after another. */
async function markedThreads(server: { url: string }, count: number) {
  const mark = randomUUID();
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    const thread = await sdk(server).threads.create({ metadata: { mark, n } });
    ids.push(thread.thread_id);
  }
  return { mark, ids };
}

describe('searching threads', () => {
  it('finds by metadata, newest first, in parts with headers', async ({ server }) => {
    const { mark, ids } = await markedThreads(server, 5);
    const find = (part: object) =>
      sendTo(server, 'POST', '/threads/search', { metadata: { mark }, ...part });
    const first = await find({ limit: 2 });
    expect(first.body.map(threadIdOf)).toEqual([ids[4], ids[3]]);
    expect(first.headers.get('x-pagination-total')).toBe('5');
    expect(first.headers.get('x-pagination-next')).toBe('2');
    const last = await find({ limit: 3, offset: 2 });
    expect(last.body.map(threadIdOf)).toEqual([ids[2], ids[1], ids[0]]);
    expect(last.headers.get('x-pagination-next')).toBeNull();
    expect((await find({ offset: 5 })).body).toEqual([]);
  });

  it('sorts by each field, in both directions', async ({ server }) => {
    const { threads } = sdk(server);
    const { mark, ids } = await markedThreads(server, 3);
    await threads.update(String(ids[0]), { metadata: { changed: true } });
    const find = async (sortBy: string, sortOrder: 'asc' | 'desc') =>
      (await threads.search({ metadata: { mark }, sortBy: sortBy as never, sortOrder })).map(
        threadIdOf,
      );
    expect(await find('created_at', 'asc')).toEqual(ids);
    expect(await find('thread_id', 'desc')).toEqual(ids.toSorted().toReversed());
    expect(await find('updated_at', 'desc')).toEqual([ids[0], ids[2], ids[1]]);
    // A change of metadata is no change of the state.
    expect(await find('state_updated_at', 'desc')).toEqual([ids[2], ids[1], ids[0]]);
    expect(await find('status', 'asc')).toHaveLength(3);
  });

  it('sorts by the last change of the state', async ({ server, client }) => {
    const { threads } = sdk(server);
    const { mark, ids } = await markedThreads(server, 2);
    await client.runToEnd({ threadId: ids[0] ?? null, assistantId: 'steps', input: { log: [] } });
    const found = await threads.search({
      metadata: { mark },
      sortBy: 'state_updated_at' as never,
    });
    expect(found.map(threadIdOf)).toEqual(ids);
  });

  it('finds by ids and by status', async ({ server, client }) => {
    const { threads } = sdk(server);
    const { mark, ids } = await markedThreads(server, 3);
    const threadId = String(ids[1]);
    await client.runToEnd({ threadId, assistantId: 'ask', input: {} });
    const interrupted = await threads.search({ metadata: { mark }, status: 'interrupted' });
    expect(interrupted.map(threadIdOf)).toEqual([threadId]);
    const some = await threads.search({ ids: [String(ids[0]), threadId] });
    expect(new Set(some.map(threadIdOf))).toEqual(new Set([ids[0], threadId]));
    expect(await threads.count({ metadata: { mark } })).toBe(3);
    expect(await threads.count({ metadata: { mark }, status: 'idle' })).toBe(2);
  });

  it('finds by the graph and the assistant of the last run', async ({ server, client }) => {
    const { threads } = sdk(server);
    const { mark, ids } = await markedThreads(server, 2);
    const threadId = String(ids[0]);
    await client.runToEnd({ threadId, assistantId: 'steps', input: { log: [] } });
    const thread = await threads.get(threadId);
    for (const key of ['graph_id', 'assistant_id']) {
      const metadata = { mark, [key]: thread.metadata?.[key] };
      expect((await threads.search({ metadata })).map(threadIdOf)).toEqual([threadId]);
    }
  });

  it('has the values and interrupts of each thread', async ({ server, client }) => {
    const { threads } = sdk(server);
    const { mark, ids } = await markedThreads(server, 3);
    await client.runToEnd({
      threadId: ids[0] ?? null,
      assistantId: 'steps',
      input: { log: ['a'] },
    });
    await client.runToEnd({ threadId: ids[1] ?? null, assistantId: 'ask', input: {} });
    const found = await threads.search({ metadata: { mark }, sortOrder: 'asc' });
    const alone = await Promise.all(ids.map((id) => threads.get(id)));
    expect(found).toEqual(alone);
    expect(found[0]?.values).toMatchObject({ log: expect.arrayContaining(['a', 'step10']) });
    expect(Object.values(found[1]?.interrupts ?? {})).toHaveLength(1);
    expect(found[2]?.values).toEqual({});
  });

  it('has only the selected fields', async ({ server }) => {
    const { mark, ids } = await markedThreads(server, 1);
    const found = await sdk(server).threads.search({
      metadata: { mark },
      select: ['thread_id', 'status'],
    });
    expect(found).toEqual([{ thread_id: ids[0], status: 'idle' }]);
  });

  it('extracts values at paths', async ({ server, client }) => {
    const { mark, ids } = await markedThreads(server, 1);
    await client.runToEnd({
      threadId: ids[0] ?? null,
      assistantId: 'steps',
      input: { log: ['a'] },
    });
    const [found] = await sdk(server).threads.search({
      metadata: { mark },
      select: ['thread_id'],
      extract: {
        first: 'values.log[0]',
        last: 'values.log[-1]',
        mark: 'metadata.mark',
        none: 'values.log[99].x',
      },
    });
    expect(found).toEqual({
      thread_id: ids[0],
      extracted: { first: 'a', last: 'step10', mark, none: null },
    });
  });
});

describe('bad input', () => {
  const eleven = Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`p${i}`, 'values.a']));
  it.for<[string, object]>([
    ['a limit of zero', { limit: 0 }],
    ['a negative limit', { limit: -5 }],
    ['a limit above 1,000', { limit: 1001 }],
    ['a negative offset', { offset: -1 }],
    ['an unknown status', { status: 'asleep' }],
    ['an unknown sort_by', { sort_by: 'color' }],
    ['an unknown sort_order', { sort_order: 'sideways' }],
    ['metadata that are no object', { metadata: [] }],
    ['a malformed id', { ids: ['no-uuid'] }],
    ['a path elsewhere', { extract: { x: 'status' } }],
    ['a malformed path', { extract: { x: 'values.log[first]' } }],
    ['more than 10 paths', { extract: eleven }],
  ])('%s is refused', async ([, request], { server }) => {
    const { status, body } = await sendTo(server, 'POST', '/threads/search', request);
    expect(status).toBe(422);
    expect(body).toMatchObject({ detail: expect.any(String), code: 'BAD_USER_INPUT' });
  });
});

function threadIdOf({ thread_id }: { thread_id: string }): string {
  return thread_id;
}
