import { describe, expect } from 'vitest';
import { randomId } from './support/app.ts';
import {
  createAssistant,
  deleteAssistant,
  searchAssistants,
  updateAssistant,
  type AssistantSearch,
} from './support/assistants.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';

type Order = NonNullable<AssistantSearch['orderBy']>;

async function namesOf(client: Client, filter: AssistantSearch['filter']): Promise<string[]> {
  const { nodes } = await searchAssistants(client, {
    filter,
    orderBy: { field: 'NAME', direction: 'ASC' },
  });
  return nodes.map(({ name }) => name);
}

describe('A search for assistants', () => {
  const set = randomId();
  it.beforeAll(async ({ client }) => {
    for (const [n, [name, graphId]] of [
      ['Simple_Runtime', 'steps'],
      ['simple runtime', 'echo'],
      ['100% sure', 'steps'],
      ['100 sure', 'fail'],
      ['back\\slash', 'echo'],
      ['Ünïcode', 'echo'],
    ].entries()) {
      await createAssistant(client, {
        name,
        graphId,
        metadata: { set, n, even: n % 2 === 0, tags: ['t', n] },
      });
    }
  });

  it.for<[string, string[]]>([
    ['SIMPLE_runtime', ['Simple_Runtime']],
    ['PLE_run', ['Simple_Runtime']],
    ['_', ['Simple_Runtime']],
    ['simple', ['Simple_Runtime', 'simple runtime']],
    ['0%', ['100% sure']],
    ['%', ['100% sure']],
    ['\\', ['back\\slash']],
    ['ünï', ['Ünïcode']],
    ['nobody', []],
  ])(
    'takes %j for a part of the name, in any case, and literally',
    async ([name, expected], { client }) => {
      expect((await namesOf(client, { name, metadata: { set } })).toSorted()).toEqual(
        expected.toSorted(),
      );
    },
  );

  it('finds those of a graph', async ({ client }) => {
    expect((await namesOf(client, { graphId: 'steps', metadata: { set } })).toSorted()).toEqual([
      '100% sure',
      'Simple_Runtime',
    ]);
    expect(await namesOf(client, { graphId: 'nope' })).toEqual([]);
  });

  it('finds those whose metadata contain what is asked for', async ({ client }) => {
    expect(await namesOf(client, { metadata: { set, n: 3 } })).toEqual(['100 sure']);
    expect(await namesOf(client, { metadata: { set, even: true } })).toHaveLength(3);
    expect(await namesOf(client, { metadata: { set, tags: [4] } })).toEqual(['back\\slash']);
    expect(await namesOf(client, { metadata: { set, n: '3' } })).toEqual([]);
    const user = await searchAssistants(client, {
      filter: { metadata: { created_by: 'system', set } },
    });
    expect(user).toMatchObject({ totalCount: 0, nodes: [] });
  });

  it('finds those with one of the ids, as far as they are there', async ({ client }) => {
    const { nodes } = await searchAssistants(client, { filter: { metadata: { set } } });
    const ids = [String(nodes[4]?.id), String(nodes[1]?.id).toUpperCase(), randomId()];
    const found = await searchAssistants(client, { filter: { ids } });
    expect(found.totalCount).toBe(2);
    expect(found.nodes).toEqual([nodes[1], nodes[4]]);
  });

  it('finds what fits all that is asked for', async ({ client }) => {
    const filter = { graphId: 'echo', name: 'S', metadata: { set, even: true } };
    expect(await namesOf(client, filter)).toEqual(['back\\slash']);
  });

  it('shows the newest first', async ({ client }) => {
    const { nodes, totalCount } = await searchAssistants(client, { filter: { metadata: { set } } });
    expect(nodes.map(({ metadata }) => metadata['n'])).toEqual([5, 4, 3, 2, 1, 0]);
    expect(totalCount).toBe(6);
  });

  const FIELD_NAMES = {
    ID: 'id',
    GRAPH_ID: 'graphId',
    CREATED_AT: 'createdAt',
    UPDATED_AT: 'updatedAt',
  } as const;

  it.for(Object.keys(FIELD_NAMES) as (keyof typeof FIELD_NAMES)[])(
    'orders by %s in both directions, and by id what is equal',
    async (field, { client }) => {
      const filter = { metadata: { set } };
      const [oldest] = (await searchAssistants(client, { filter, last: 1 })).nodes;
      // Order of changes and order of creation differ now.
      await updateAssistant(client, oldest?.id ?? '');
      const key = FIELD_NAMES[field];
      const ordered = async (direction: Order['direction']) =>
        (await searchAssistants(client, { filter, orderBy: { field, direction } })).nodes.map(
          (node) => `${node[key]} ${node.id}`,
        );
      const ascending = await ordered('ASC');
      expect(ascending).toHaveLength(6);
      expect(ascending).toEqual(ascending.toSorted());
      expect(await ordered('DESC')).toEqual(ascending.toReversed());
    },
  );

  it('orders by name in both directions', async ({ client }) => {
    const mine = randomId();
    for (const name of ['beta', 'alpha', 'gamma'])
      await createAssistant(client, { name, metadata: { set: mine } });
    const ordered = async (direction: Order['direction']) => {
      const orderBy = { field: 'NAME' as const, direction };
      const { nodes } = await searchAssistants(client, {
        filter: { metadata: { set: mine } },
        orderBy,
      });
      return nodes.map(({ name }) => name);
    };
    expect(await ordered('ASC')).toEqual(['alpha', 'beta', 'gamma']);
    expect(await ordered('DESC')).toEqual(['gamma', 'beta', 'alpha']);
  });

  it.for(['ID', 'NAME', 'GRAPH_ID', 'CREATED_AT', 'UPDATED_AT'] as const)(
    'comes page by page in the order of %s, forwards and backwards',
    async (field, { client }) => {
      const orderBy = { field, direction: 'ASC' as const };
      const about = { filter: { metadata: { set } }, orderBy };
      const all = (await searchAssistants(client, about)).edges.map((edge) => edge.node.id);

      const forwards: string[] = [];
      let page = await searchAssistants(client, { ...about, first: 4 });
      expect(page.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
      forwards.push(...page.nodes.map(({ id }) => id));
      page = await searchAssistants(client, { ...about, first: 4, after: page.pageInfo.endCursor });
      expect(page.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
      forwards.push(...page.nodes.map(({ id }) => id));
      expect(forwards).toEqual(all);

      const backwards: string[] = [];
      page = await searchAssistants(client, { ...about, last: 4 });
      expect(page.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
      backwards.unshift(...page.nodes.map(({ id }) => id));
      page = await searchAssistants(client, {
        ...about,
        last: 4,
        before: page.pageInfo.startCursor,
      });
      expect(page.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
      backwards.unshift(...page.nodes.map(({ id }) => id));
      expect(backwards).toEqual(all);
    },
  );

  it('neither repeats nor skips any where others are made and deleted meanwhile', async ({
    client,
  }) => {
    const mine = randomId();
    const make = (n: number) => createAssistant(client, { name: `${n}`, metadata: { set: mine } });
    const made = [await make(1), await make(2), await make(3), await make(4)];
    const about = { filter: { metadata: { set: mine } }, first: 2 };
    const { pageInfo, nodes } = await searchAssistants(client, about);
    await make(5);
    await deleteAssistant(client, made[2]?.id ?? ''); // the row of the cursor
    const rest = await searchAssistants(client, { ...about, after: pageInfo.endCursor });
    const names = [...nodes, ...rest.nodes].map(({ name }) => name);
    expect(names).toEqual(['4', '3', '2', '1']);
  });
});
