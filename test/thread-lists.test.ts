import { describe, expect } from 'vitest';
import { human, randomId } from './support/app.ts';
import { CREATE_THREAD, type Client, type ThreadInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation } from './support/graphql.ts';

async function createThread(client: Client, input?: ThreadInput) {
  return (await client.gql(CREATE_THREAD, { input })).createThread;
}

describe('threads', () => {
  const LIST =
    operation(`query ($filter: ThreadFilter, $orderBy: ThreadOrder, $first: Int, $after: String, $last: Int, $before: String) {
    threads(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
      nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount
    }
  }`);

  interface Listed {
    ids: string[];
    hasNextPage: boolean;
    hasPreviousPage: boolean;
    startCursor: string | null;
    endCursor: string | null;
    totalCount: number;
  }

  async function list(client: Client, variables: Record<string, unknown>): Promise<Listed> {
    const { nodes, pageInfo, totalCount } = (await client.gql(LIST, variables)).threads;
    return { ids: nodes.map(({ id }) => id), ...pageInfo, totalCount };
  }

  /** Creates threads with the same mark. Returns their ids, the oldest first. */
  async function createMarked(client: Client, size: number) {
    const mark = randomId();
    const ids: string[] = [];
    for (let n = 0; n < size; n++)
      ids.push((await createThread(client, { metadata: { mark, n } })).id);
    return { mark, ids, filter: { metadata: { mark } } };
  }

  it('come newest first', async ({ client }) => {
    const { ids, filter } = await createMarked(client, 3);
    expect(await list(client, { filter })).toMatchObject({
      ids: ids.toReversed(),
      totalCount: 3,
      hasNextPage: false,
      hasPreviousPage: false,
    });
    expect((await list(client, { first: 3 })).ids).toEqual(ids.toReversed());
  });

  it.for(['ID', 'STATUS', 'CREATED_AT', 'UPDATED_AT'])(
    'come in the order of %s',
    async (field, { client }) => {
      const { ids, filter } = await createMarked(client, 4);
      const up = await list(client, { filter, orderBy: { field, direction: 'ASC' } });
      const down = await list(client, { filter, orderBy: { field } });
      expect(up.ids.toSorted()).toEqual(ids.toSorted());
      expect(down.ids).toEqual(up.ids.toReversed());
    },
  );

  it('are found by status', async ({ client }) => {
    const { ids, filter } = await createMarked(client, 4);
    const [idle, failed, waiting, busy] = ids as [string, string, string, string];
    await client.runToEnd({ threadId: failed, assistantId: 'fail', input: { fail: true } });
    await client.runToEnd({ threadId: waiting, assistantId: 'ask', input: {} });
    const gate = createGate();
    const input = { file: gate.file };
    const { id: runId } = await client.startRun({ threadId: busy, assistantId: 'gate', input });
    const found = async (...status: string[]) =>
      (await list(client, { filter: { ...filter, status } })).ids;
    expect(await found('IDLE')).toEqual([idle]);
    expect(await found('ERROR')).toEqual([failed]);
    expect(await found('INTERRUPTED')).toEqual([waiting]);
    expect(await found('BUSY')).toEqual([busy]);
    expect(await found('IDLE', 'ERROR')).toEqual([failed, idle]);
    await gate.open();
    await client.follow(runId);
    expect(await found('BUSY')).toEqual([]);
  });

  it('are found by what their metadata contains', async ({ client }) => {
    const mark = randomId();
    const metadata = { mark, tags: ['a', 'b'], user: { name: 'ada', age: 36 }, none: null };
    const { id } = await createThread(client, { metadata });
    const matches = async (part: object) =>
      (await list(client, { filter: { metadata: { mark, ...part } } })).ids.length === 1;
    expect((await list(client, { filter: { metadata: { mark } } })).ids).toEqual([id]);
    expect(await matches({ user: { name: 'ada' } })).toBe(true);
    expect(await matches({ tags: ['b'] })).toBe(true);
    expect(await matches({ none: null })).toBe(true);
    expect(await matches({ user: { name: 'bob' } })).toBe(false);
    expect(await matches({ user: 'ada' })).toBe(false);
    expect(await matches({ missing: null })).toBe(false);
  });

  it('are found by the graph of their last run, and by id', async ({ client }) => {
    const { ids, filter } = await createMarked(client, 3);
    const [first, second] = ids as [string, string];
    await client.runToEnd({ threadId: first, assistantId: 'echo', input: human('hello') });
    await client.runToEnd({ threadId: second, assistantId: 'steps', input: {} });
    expect((await list(client, { filter: { ...filter, graphId: 'echo' } })).ids).toEqual([first]);
    await client.runToEnd({ threadId: first, assistantId: 'steps', input: {} });
    expect((await list(client, { filter: { ...filter, graphId: 'echo' } })).ids).toEqual([]);
    expect((await list(client, { filter: { ids: [first, second, randomId()] } })).ids).toEqual([
      second,
      first,
    ]);
  });

  it.for(['ID', 'CREATED_AT'])(
    'come page by page, none twice and none left out, while others come and go (by %s)',
    async (field, { client }) => {
      const { ids, filter, mark } = await createMarked(client, 12);
      const orderBy = { field };
      const remove = (id: string) =>
        client.gql(operation(`mutation ($id: ID!) { deleteThread(id: $id) }`), { id });
      const all: string[] = (await list(client, { filter, orderBy })).ids;

      const seen: string[] = [];
      const gone = new Set<string>();
      let after: string | null = null;
      do {
        const page: Listed = await list(client, { filter, orderBy, first: 3, after });
        seen.push(...page.ids);
        after = page.hasNextPage ? page.endCursor : null;
        expect(page.hasPreviousPage).toBe(seen.length > 3);
        await createThread(client, { metadata: { mark, late: true } });
        // The thread under the cursor, and a thread of a later page.
        for (const id of [
          page.ids.at(-1),
          all.find((each) => !seen.includes(each) && !gone.has(each)),
        ]) {
          if (id === undefined) continue;
          gone.add(id);
          await remove(id);
        }
      } while (after);
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen.filter((id) => ids.includes(id))).toEqual(
        all.filter((id) => seen.includes(id) || !gone.has(id)),
      );
    },
  );

  it('come page by page backwards, too', async ({ client }) => {
    const { filter } = await createMarked(client, 7);
    const all = (await list(client, { filter })).ids;
    const seen: string[] = [];
    let before: string | null = null;
    do {
      const page: Listed = await list(client, { filter, last: 3, before });
      seen.unshift(...page.ids);
      expect(page.hasNextPage).toBe(before !== null);
      before = page.hasPreviousPage ? page.startCursor : null;
    } while (before);
    expect(seen).toEqual(all);
  });

  it('are counted on all pages', async ({ client }) => {
    const { filter } = await createMarked(client, 5);
    expect(await list(client, { filter, first: 2 })).toMatchObject({
      totalCount: 5,
      hasNextPage: true,
    });
    expect(await list(client, { filter: { metadata: { mark: randomId() } } })).toMatchObject({
      ids: [],
      totalCount: 0,
      startCursor: null,
      endCursor: null,
    });
  });

  it.for([
    [{ first: 0 }, 'first'],
    [{ first: -1 }, 'first'],
    [{ first: 101 }, 'first'],
    [{ last: 101 }, 'last'],
    [{ first: 1, last: 1 }, 'last'],
    [{ after: 'nonsense' }, 'after'],
    [{ last: 1, before: 'nonsense' }, 'before'],
    [{ filter: { ids: ['nonsense'] } }, 'filter.ids[0]'],
    [{ filter: { ids: [] } }, 'filter.ids'],
  ] as const)('refuse %j', async ([variables, argument], { client }) => {
    const [error] = await client.errors(LIST, variables);
    expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument });
  });
});
