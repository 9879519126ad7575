import type { VariablesOf } from 'gql.tada';
import { describe, expect } from 'vitest';
import { human } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';

const HISTORY = operation(`query (
  $id: ID!, $first: Int, $after: String, $olderThan: ID, $filter: CheckpointFilter
) {
  thread(id: $id) {
    history(first: $first, after: $after, olderThan: $olderThan, filter: $filter) {
      nodes { checkpointId step source }
      pageInfo { hasNextPage hasPreviousPage endCursor }
      totalCount
    }
  }
}`);

type Page = Omit<VariablesOf<typeof HISTORY>, 'id'>;

/** Reads a page of the history. */
async function history(client: Client, id: string, page: Page) {
  const { thread } = await client.gql(HISTORY, { id, ...page });
  return thread?.history ?? expect.fail(`No thread ${id}`);
}

describe('Thread.history', () => {
  async function createConversation(client: Client) {
    const threadId = await client.createThread();
    const first = await client.runToEnd({
      threadId,
      assistantId: 'steps',
      input: {},
      metadata: { turn: 1 },
    });
    const second = await client.runToEnd({
      threadId,
      assistantId: 'echo',
      input: human('hi'),
      metadata: { turn: 2 },
    });
    const { nodes } = await history(client, threadId, { first: 100 });
    return {
      threadId,
      first,
      second,
      ids: nodes.map(({ checkpointId }) => checkpointId),
      nodes,
    };
  }

  it('comes page by page, the newest first', async ({ client }) => {
    const { threadId, ids } = await createConversation(client);
    expect(ids).toHaveLength(15);
    expect(ids).toEqual(ids.toSorted().toReversed());
    const seen: string[] = [];
    let after: string | null | undefined;
    do {
      const page: Awaited<ReturnType<typeof history>> = await history(client, threadId, {
        first: 4,
        after,
      });
      expect(page.totalCount).toBe(15);
      expect(page.pageInfo.hasPreviousPage).toBe(seen.length > 0);
      seen.push(...page.nodes.map(({ checkpointId }) => checkpointId));
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
    } while (after);
    expect(seen).toEqual(ids);
  });

  it('holds only what is older than a checkpoint, where one is named', async ({ client }) => {
    const { threadId, ids } = await createConversation(client);
    const page = await history(client, threadId, { olderThan: ids[9], first: 3 });
    expect(page).toMatchObject({ totalCount: 5, pageInfo: { hasNextPage: true } });
    expect(page.nodes.map(({ checkpointId }) => checkpointId)).toEqual(ids.slice(10, 13));
    expect((await history(client, threadId, { olderThan: ids[14] })).nodes).toEqual([]);
  });

  it('is filtered by source, step, run and metadata', async ({ client }) => {
    const { threadId, first, second, nodes } = await createConversation(client);
    const matching = async (filter: Page['filter']) =>
      (await history(client, threadId, { filter, first: 100 })).nodes;
    const inputs = nodes.filter(({ source }) => source === 'INPUT');
    expect(await matching({ source: ['INPUT'] })).toEqual(inputs);
    expect(await matching({ source: ['INPUT', 'LOOP'] })).toEqual(nodes);
    expect(await matching({ source: ['FORK'] })).toEqual([]);
    expect(await matching({ step: 3 })).toEqual(nodes.filter(({ step }) => step === 3));
    expect(await matching({ runId: second.id })).toEqual(nodes.slice(0, 3));
    expect(await matching({ runId: first.id })).toEqual(nodes.slice(3));
    expect(await matching({ metadata: { turn: 1, source: 'input' } })).toEqual([nodes.at(-1)]);
    expect(await matching({ metadata: { turn: 3 } })).toEqual([]);
    expect(await matching({ step: -1, runId: second.id })).toEqual([]);
  });

  it.for<[page: Record<string, unknown>, argument: string]>([
    [{ first: 0 }, 'first'],
    [{ first: 101 }, 'first'],
    [{ after: 'nonsense' }, 'after'],
    [{ olderThan: '1f02f46f-7308-616c-8000-1b158a9a6955' }, 'olderThan'],
  ])('refuses %j', async ([page, argument], { client }) => {
    const id = await client.createThread();
    const [error] = await client.errors(HISTORY, { id, ...page });
    expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument });
  });
});
