import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  human,
  randomId,
  type TestApp,
} from './support/app.ts';

let server: TestApp;
beforeAll(async () => {
  server = await createTestApp();
});
afterAll(() => server.stop());

const FIELDS = 'id graphId name description config context metadata version createdAt updatedAt';
const CREATE = `mutation ($input: CreateAssistantInput!) { createAssistant(input: $input) { ${FIELDS} } }`;
const UPDATE = `mutation ($id: ID!, $input: UpdateAssistantInput!) {
  updateAssistant(id: $id, input: $input) { ${FIELDS} }
}`;
const SET_VERSION = `mutation ($id: ID!, $version: Int!) {
  setAssistantVersion(id: $id, version: $version) { ${FIELDS} }
}`;
const DELETE = 'mutation ($id: ID!) { deleteAssistant(id: $id) }';
const GET = `query ($id: ID!) { assistant(id: $id) { ${FIELDS} } }`;
const VERSIONS = `query ($id: ID!, $first: Int, $after: String) {
  assistant(id: $id) {
    versions(first: $first, after: $after) {
      nodes { version graphId name description config context metadata createdAt }
      pageInfo { hasNextPage endCursor }
    }
  }
}`;
const SEARCH = `query (
  $filter: AssistantFilter, $orderBy: AssistantOrder, $first: Int, $after: String, $last: Int, $before: String
) {
  assistants(
    filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before
  ) {
    totalCount
    nodes { ${FIELDS} }
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}`;

/** The default assistant of the graph "agent", on every LangGraph server. */
const AGENT_ID = 'fe096781-5601-53d2-b2f6-0d3403f7e9ca';

async function create(input: Record<string, unknown> = {}): Promise<any> {
  return (await server.gql(CREATE, { input: { graphId: 'echo', ...input } })).createAssistant;
}

async function update(id: string, input: Record<string, unknown> = {}): Promise<any> {
  return (await server.gql(UPDATE, { id, input })).updateAssistant;
}

async function setVersion(id: string, version: number): Promise<any> {
  return (await server.gql(SET_VERSION, { id, version })).setAssistantVersion;
}

async function get(id: string): Promise<any> {
  return (await server.gql(GET, { id })).assistant;
}

async function versionsOf(id: string, page: { first?: number; after?: string } = {}): Promise<any> {
  return (await server.gql(VERSIONS, { id, ...page })).assistant.versions;
}

async function search(variables: Record<string, unknown> = {}): Promise<any> {
  return (await server.gql(SEARCH, variables)).assistants;
}

async function namesOf(filter: Record<string, unknown>): Promise<string[]> {
  const { nodes } = await search({ filter, orderBy: { field: 'NAME', direction: 'ASC' } });
  return nodes.map(({ name }: { name: string }) => name);
}

async function codeOf(document: string, variables: Record<string, unknown>): Promise<unknown> {
  const [error] = await server.errors(document, variables);
  return error?.extensions['code'];
}

async function createRun(assistantId: string): Promise<any> {
  const input = { assistantId, input: human('hello'), onCompletion: 'KEEP' };
  return (await server.gql(CREATE_RUN, { input, wait: true })).createRun;
}

describe('A default assistant', () => {
  it('is there for each graph, with the name of the graph and an empty configuration', async () => {
    const { graphs } = await server.gql('{ graphs { id } }');
    const { nodes, totalCount } = await search({
      filter: { metadata: { created_by: 'system' } },
      first: 100,
    });
    expect(totalCount).toBe(graphs.length);
    expect(nodes.map(({ graphId }: any) => graphId).toSorted()).toEqual(
      graphs.map(({ id }: any) => id).toSorted(),
    );
    for (const assistant of nodes) {
      expect(assistant).toMatchObject({
        name: assistant.graphId,
        description: null,
        config: {},
        context: {},
        metadata: { created_by: 'system' },
        version: 1,
      });
    }
  });

  it.each([
    ['agent', AGENT_ID],
    ['nested', '0813419b-f0e6-579e-bdee-18d9fdf48632'],
  ])('has the id that it has on every LangGraph server: %s', async (graphId, id) => {
    expect(await get(id)).toMatchObject({ id, graphId, name: graphId });
  });

  it('is found by its UUID, in any case, and by the name of its graph', async () => {
    const assistant = await get(AGENT_ID);
    expect(await get('agent')).toEqual(assistant);
    expect(await get(AGENT_ID.toUpperCase())).toEqual(assistant);
  });

  it('can be changed and set back like any other, by the name of its graph', async () => {
    const before = await get('custom');
    expect(await update('custom', { config: { tags: ['mine'] } })).toMatchObject({
      id: before.id,
      version: 2,
      name: 'custom',
      config: { tags: ['mine'] },
      metadata: { created_by: 'system' },
    });
    expect(await setVersion('custom', 1)).toEqual({
      ...before,
      updatedAt: expect.any(String) as string,
    });
  });
});

describe('createAssistant', () => {
  it('makes an assistant of a graph and a configuration', async () => {
    const input = {
      graphId: 'agent',
      name: 'Ada',
      description: 'Knows engines.',
      config: { configurable: { model_name: 'openai' }, tags: ['x'], recursion_limit: 7 },
      context: { user: { name: 'Ada', languages: ['en', null] } },
      metadata: { owner: 'ada', nested: { deep: [1, 2.5, false] } },
    };
    const created = await create(input);
    expect(created).toEqual({
      ...input,
      id: expect.stringMatching(/^[\da-f]{8}-[\da-f]{4}-7/) as string,
      version: 1,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
      updatedAt: created.createdAt,
    });
    expect(await get(created.id)).toEqual(created);
  });

  it('needs a graph alone', async () => {
    expect(await create({ graphId: 'echo' })).toMatchObject({
      graphId: 'echo',
      name: 'Untitled',
      description: null,
      config: {},
      context: {},
      metadata: {},
      version: 1,
    });
  });

  it('takes an id of the client, and writes it as it writes its own', async () => {
    const id = randomId();
    expect(await create({ id: id.toUpperCase() })).toMatchObject({ id });
    expect(await get(id)).toMatchObject({ id });
  });

  it('refuses an id that is there, or gives what is there as it is', async () => {
    const first = await create({ id: randomId(), name: 'first' });
    const again = { id: first.id, graphId: 'steps', name: 'second' };
    const [error] = await server.errors(CREATE, { input: again });
    expect(error).toMatchObject({
      message: `The id ${first.id} is taken.`,
      extensions: { code: 'CONFLICT' },
    });
    expect(await create({ ...again, ifExists: 'DO_NOTHING' })).toEqual(first);
    expect(await get(first.id)).toEqual(first);
    expect((await versionsOf(first.id)).nodes).toHaveLength(1);
  });

  it('refuses the id of a thread or a run, whatever ifExists says', async () => {
    const thread = (await server.gql(CREATE_THREAD)).createThread;
    const run = await createRun('echo');
    for (const id of [thread.id, run.id]) {
      for (const ifExists of ['RAISE', 'DO_NOTHING']) {
        const input = { id, graphId: 'echo', ifExists };
        expect(await codeOf(CREATE, { input })).toBe('CONFLICT');
      }
      expect(await get(id)).toBeNull();
    }
  });

  it('keeps its id from threads', async () => {
    const { id } = await create();
    for (const ifExists of ['RAISE', 'DO_NOTHING']) {
      expect(await codeOf(CREATE_THREAD, { input: { id, ifExists } })).toBe('CONFLICT');
    }
  });

  it('makes one assistant of many calls at once with one id', async () => {
    const raise = { id: randomId(), graphId: 'echo' };
    const raised = await Promise.all(
      Array.from({ length: 8 }, () => server.request(CREATE, { input: raise })),
    );
    expect(raised.filter(({ errors }) => errors === undefined)).toHaveLength(1);

    const calm = { id: randomId(), ifExists: 'DO_NOTHING' };
    const given = await Promise.all(
      Array.from({ length: 8 }, (_, n) => create({ ...calm, name: `call ${n}` })),
    );
    expect(new Set(given.map(({ name }) => name)).size).toBe(1);
  });

  it('names the graphs there are where the graph is unknown', async () => {
    const [error] = await server.errors(CREATE, { input: { graphId: 'nope' } });
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'input.graphId' });
    expect(error?.message).toMatch(/no graph "nope".*agent, echo, steps/);
  });
});

describe('updateAssistant', () => {
  const before = {
    name: 'before',
    description: 'The first one.',
    config: { configurable: { a: 1 }, tags: ['x'] },
    context: { a: 1 },
    metadata: { kept: 1, changed: { a: 1 }, removed: true },
  };

  it('replaces what is given, and merges metadata key by key', async () => {
    const created = await create(before);
    const updated = await update(created.id, {
      graphId: 'steps',
      name: 'after',
      config: { configurable: { b: 2 } },
      context: { b: 2 },
      metadata: { changed: { b: 2 }, removed: null, added: [] },
    });
    expect(updated).toEqual({
      ...created,
      graphId: 'steps',
      name: 'after',
      config: { configurable: { b: 2 } },
      context: { b: 2 },
      metadata: { kept: 1, changed: { b: 2 }, added: [] },
      version: 2,
      updatedAt: expect.any(String) as string,
    });
    expect(updated.updatedAt > created.updatedAt).toBe(true);
    expect(await get(created.id)).toEqual(updated);
  });

  it('clears the description with null, and leaves alone whatever else is null', async () => {
    const { id } = await create(before);
    expect(await update(id, { description: null })).toMatchObject({
      ...before,
      description: null,
    });
    const nothing = { graphId: null, name: null, config: null, context: null, metadata: null };
    expect(await update(id, nothing)).toMatchObject({ ...before, description: null, version: 3 });
    expect(await update(id, { config: {}, context: {}, metadata: {} })).toMatchObject({
      config: {},
      context: {},
      metadata: before.metadata,
    });
  });

  it('makes a version each time, also when nothing changes', async () => {
    const created = await create(before);
    expect(await update(created.id)).toEqual({
      ...created,
      version: 2,
      updatedAt: expect.any(String) as string,
    });
    expect(await update(created.id)).toMatchObject({ ...before, version: 3 });
    const { nodes } = await versionsOf(created.id);
    expect(nodes).toEqual(
      [3, 2, 1].map((version) => expect.objectContaining({ ...before, version })),
    );
  });

  it('numbers changes at once one by one, and loses none of them', async () => {
    const { id } = await create();
    const numbers = Array.from({ length: 10 }, (_, n) => n);
    const updated = await Promise.all(
      numbers.map((n) => update(id, { metadata: { [`k${n}`]: n } })),
    );
    const versions = updated.map(({ version }) => version).toSorted((a, b) => a - b);
    expect(versions).toEqual(numbers.map((n) => n + 2));
    expect(await get(id)).toMatchObject({
      version: 11,
      metadata: Object.fromEntries(numbers.map((n) => [`k${n}`, n])),
    });
  });

  it('leaves the default assistant of a graph with its graph', async () => {
    const before = await get(AGENT_ID);
    const [error] = await server.errors(UPDATE, { id: 'agent', input: { graphId: 'steps' } });
    expect(error).toMatchObject({
      message: expect.stringContaining('default assistant') as string,
      extensions: { code: 'CONFLICT' },
    });
    expect(await get(AGENT_ID)).toEqual(before);
    expect(await update('agent', { graphId: 'agent' })).toMatchObject({ graphId: 'agent' });
  });

  it('makes no version where it is refused', async () => {
    const created = await create(before);
    const refused = { graphId: 'nope', metadata: { a: 1 } };
    expect(await codeOf(UPDATE, { id: created.id, input: refused })).toBe('BAD_USER_INPUT');
    const limit = { name: 'after', config: { recursion_limit: 0 } };
    expect(await codeOf(UPDATE, { id: created.id, input: limit })).toBe('BAD_USER_INPUT');
    expect(await get(created.id)).toEqual(created);
    expect((await versionsOf(created.id)).nodes).toHaveLength(1);
  });

  it('is seen by the runs that come after it', async () => {
    const { id } = await create({ graphId: 'whoami', context: { user: 'ada' } });
    const seen = async () => (await createRun(id)).output.seen;
    expect(await seen()).toMatchObject({ context: { user: 'ada' } });
    await update(id, { context: { user: 'bob' }, config: { configurable: { a: 1 } } });
    expect(await seen()).toMatchObject({
      context: { user: 'bob' },
      configurable: { a: 1, assistant_id: id },
    });
    await setVersion(id, 1);
    const again = await seen();
    expect(again).toMatchObject({ context: { user: 'ada' } });
    expect(again.configurable).not.toHaveProperty('a');
  });
});

describe('setAssistantVersion', () => {
  it('restores all of a version, and the next update takes the number after the newest', async () => {
    const first = await create({
      name: 'one',
      description: 'The first one.',
      config: { configurable: { n: 1 } },
      context: { n: 1 },
      metadata: { n: 1 },
    });
    const second = await update(first.id, {
      graphId: 'steps',
      name: 'two',
      description: null,
      config: {},
      context: {},
      metadata: { n: null, other: 2 },
    });

    const restored = await setVersion(first.id, 1);
    expect(restored).toEqual({ ...first, updatedAt: restored.updatedAt });
    expect(await get(first.id)).toEqual(restored);
    expect((await versionsOf(first.id)).nodes).toHaveLength(2);

    expect(await update(first.id)).toMatchObject({ version: 3, name: 'one', context: { n: 1 } });
    const back = await setVersion(first.id, 2);
    expect(back).toEqual({ ...second, updatedAt: back.updatedAt });
  });

  it.each([4, 0, -1])('does not find version %i of three', async (version) => {
    const { id } = await create();
    await update(id);
    const active = await update(id);
    const [error] = await server.errors(SET_VERSION, { id, version });
    expect(error).toMatchObject({
      message: `Version ${version} of assistant ${id} does not exist.`,
      extensions: { code: 'NOT_FOUND' },
    });
    expect(await get(id)).toEqual(active);
  });
});

describe('Assistant.versions', () => {
  it('are the newest first, page by page, whichever is active', async () => {
    const { id } = await create({ name: 'version 1' });
    for (const n of [2, 3, 4, 5]) await update(id, { name: `version ${n}` });
    await setVersion(id, 2);

    const seen: string[] = [];
    let after: string | undefined;
    do {
      const { nodes, pageInfo } = await versionsOf(id, { first: 2, ...(after && { after }) });
      expect(nodes.length).toBeLessThanOrEqual(2);
      seen.push(...nodes.map(({ name }: { name: string }) => name));
      after = pageInfo.hasNextPage ? pageInfo.endCursor : undefined;
    } while (after);
    expect(seen).toEqual([5, 4, 3, 2, 1].map((n) => `version ${n}`));
  });

  it('stay what they were', async () => {
    const created = await create({ name: 'before', context: { a: 1 } });
    const [first] = (await versionsOf(created.id)).nodes;
    const { id: _id, updatedAt: _updatedAt, ...shown } = created;
    expect(first).toEqual(shown);
    await update(created.id, { graphId: 'steps', name: 'after', context: {} });
    await setVersion(created.id, 1);
    expect((await versionsOf(created.id)).nodes[1]).toEqual(first);
  });
});

describe('A search for assistants', () => {
  const set = randomId();
  beforeAll(async () => {
    for (const [n, [name, graphId]] of [
      ['Simple_Runtime', 'steps'],
      ['simple runtime', 'echo'],
      ['100% sure', 'steps'],
      ['100 sure', 'fail'],
      ['back\\slash', 'echo'],
      ['Ünïcode', 'echo'],
    ].entries()) {
      await create({ name, graphId, metadata: { set, n, even: n % 2 === 0, tags: ['t', n] } });
    }
  });

  it.each([
    ['SIMPLE_runtime', ['Simple_Runtime']],
    ['PLE_run', ['Simple_Runtime']],
    ['_', ['Simple_Runtime']],
    ['simple', ['Simple_Runtime', 'simple runtime']],
    ['0%', ['100% sure']],
    ['%', ['100% sure']],
    ['\\', ['back\\slash']],
    ['ünï', ['Ünïcode']],
    ['nobody', []],
  ])('takes %j for a part of the name, in any case, and literally', async (name, expected) => {
    expect((await namesOf({ name, metadata: { set } })).toSorted()).toEqual(expected.toSorted());
  });

  it('finds those of a graph', async () => {
    expect((await namesOf({ graphId: 'steps', metadata: { set } })).toSorted()).toEqual([
      '100% sure',
      'Simple_Runtime',
    ]);
    expect(await namesOf({ graphId: 'nope' })).toEqual([]);
  });

  it('finds those whose metadata contain what is asked for', async () => {
    expect(await namesOf({ metadata: { set, n: 3 } })).toEqual(['100 sure']);
    expect(await namesOf({ metadata: { set, even: true } })).toHaveLength(3);
    expect(await namesOf({ metadata: { set, tags: [4] } })).toEqual(['back\\slash']);
    expect(await namesOf({ metadata: { set, n: '3' } })).toEqual([]);
    const user = await search({ filter: { metadata: { created_by: 'system', set } } });
    expect(user).toMatchObject({ totalCount: 0, nodes: [] });
  });

  it('finds those with one of the ids, as far as they are there', async () => {
    const { nodes } = await search({ filter: { metadata: { set } } });
    const ids = [nodes[4].id, nodes[1].id.toUpperCase(), randomId()];
    const found = await search({ filter: { ids } });
    expect(found.totalCount).toBe(2);
    expect(found.nodes).toEqual([nodes[1], nodes[4]]);
  });

  it('finds what fits all that is asked for', async () => {
    const filter = { graphId: 'echo', name: 'S', metadata: { set, even: true } };
    expect(await namesOf(filter)).toEqual(['back\\slash']);
  });

  it('shows the newest first', async () => {
    const { nodes, totalCount } = await search({ filter: { metadata: { set } } });
    expect(nodes.map(({ metadata }: any) => metadata.n)).toEqual([5, 4, 3, 2, 1, 0]);
    expect(totalCount).toBe(6);
  });

  const FIELD_NAMES = {
    ID: 'id',
    GRAPH_ID: 'graphId',
    CREATED_AT: 'createdAt',
    UPDATED_AT: 'updatedAt',
  };

  it.each(Object.keys(FIELD_NAMES) as (keyof typeof FIELD_NAMES)[])(
    'orders by %s in both directions, and by id what is equal',
    async (field) => {
      const filter = { metadata: { set } };
      const [oldest] = (await search({ filter, last: 1 })).nodes;
      await update(oldest.id); // so that the last change is not the last creation
      const key = FIELD_NAMES[field];
      const ordered = async (direction: string) =>
        (await search({ filter, orderBy: { field, direction } })).nodes.map(
          (node: Record<string, string>) => `${node[key]} ${node['id']}`,
        );
      const ascending = await ordered('ASC');
      expect(ascending).toHaveLength(6);
      expect(ascending).toEqual(ascending.toSorted());
      expect(await ordered('DESC')).toEqual(ascending.toReversed());
    },
  );

  it('orders by name in both directions', async () => {
    const mine = randomId();
    for (const name of ['beta', 'alpha', 'gamma']) await create({ name, metadata: { set: mine } });
    const ordered = async (direction: string) => {
      const orderBy = { field: 'NAME', direction };
      const { nodes } = await search({ filter: { metadata: { set: mine } }, orderBy });
      return nodes.map(({ name }: { name: string }) => name);
    };
    expect(await ordered('ASC')).toEqual(['alpha', 'beta', 'gamma']);
    expect(await ordered('DESC')).toEqual(['gamma', 'beta', 'alpha']);
  });

  it.each(['ID', 'NAME', 'GRAPH_ID', 'CREATED_AT', 'UPDATED_AT'])(
    'comes page by page in the order of %s, forwards and backwards',
    async (field) => {
      const about = { filter: { metadata: { set } }, orderBy: { field, direction: 'ASC' } };
      const all = (await search(about)).edges.map((edge: any) => edge.node.id);

      const forwards: string[] = [];
      let page = await search({ ...about, first: 4 });
      expect(page.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
      forwards.push(...page.nodes.map(({ id }: { id: string }) => id));
      page = await search({ ...about, first: 4, after: page.pageInfo.endCursor });
      expect(page.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
      forwards.push(...page.nodes.map(({ id }: { id: string }) => id));
      expect(forwards).toEqual(all);

      const backwards: string[] = [];
      page = await search({ ...about, last: 4 });
      expect(page.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
      backwards.unshift(...page.nodes.map(({ id }: { id: string }) => id));
      page = await search({ ...about, last: 4, before: page.pageInfo.startCursor });
      expect(page.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
      backwards.unshift(...page.nodes.map(({ id }: { id: string }) => id));
      expect(backwards).toEqual(all);
    },
  );

  it('neither repeats nor skips any where others are made and deleted meanwhile', async () => {
    const mine = randomId();
    const make = (n: number) => create({ name: `${n}`, metadata: { set: mine } });
    const made = [await make(1), await make(2), await make(3), await make(4)];
    const about = { filter: { metadata: { set: mine } }, first: 2 };
    const { pageInfo, nodes } = await search(about);
    await make(5);
    await server.gql(DELETE, { id: made[2].id }); // where the cursor points
    const rest = await search({ ...about, after: pageInfo.endCursor });
    const names = [...nodes, ...rest.nodes].map(({ name }: { name: string }) => name);
    expect(names).toEqual(['4', '3', '2', '1']);
  });
});

describe('deleteAssistant', () => {
  it('gives the id, and hides the assistant everywhere', async () => {
    const name = randomId();
    const { id } = await create({ name });
    await update(id);
    expect(await server.gql(DELETE, { id: id.toUpperCase() })).toEqual({ deleteAssistant: id });

    expect(await get(id)).toBeNull();
    expect(await server.gql('query ($id: ID!) { node(id: $id) { id } }', { id })).toEqual({
      node: null,
    });
    for (const filter of [{ name }, { ids: [id] }]) {
      expect(await search({ filter })).toMatchObject({ totalCount: 0, nodes: [] });
    }
    const versions = await server.app.sql.query(
      'SELECT 1 FROM "AssistantVersion" WHERE "assistantId" = $1',
      [id],
    );
    expect(versions).toEqual([]);
  });

  it('leaves nothing to change, to delete or to run', async () => {
    const { id } = await create();
    await server.gql(DELETE, { id });
    expect(await codeOf(DELETE, { id })).toBe('NOT_FOUND');
    expect(await codeOf(UPDATE, { id, input: {} })).toBe('NOT_FOUND');
    expect(await codeOf(SET_VERSION, { id, version: 1 })).toBe('NOT_FOUND');
    const input = { assistantId: id, input: human('hello') };
    expect(await codeOf(CREATE_RUN, { input })).toBe('NOT_FOUND');
  });

  it('leaves the runs that it made, and they go on showing it', async () => {
    const { id } = await create({ name: 'gone' });
    const run = await createRun(id);
    await server.gql(DELETE, { id });
    const shown = await server.gql(
      `query ($id: ID!, $assistantId: ID!) {
        run(id: $id) { status assistantId assistant { id name graphId versions { nodes { version } } } }
        runs(filter: { assistantId: $assistantId }) { nodes { id } }
      }`,
      { id: run.id, assistantId: id },
    );
    expect(shown).toEqual({
      run: {
        status: 'SUCCESS',
        assistantId: id,
        assistant: { id, name: 'gone', graphId: 'echo', versions: { nodes: [] } },
      },
      runs: { nodes: [{ id: run.id }] },
    });
  });

  it('frees the id for another assistant, which begins anew, and for nothing else', async () => {
    const { id } = await create({ name: 'old', description: 'Old.', metadata: { old: true } });
    await update(id);
    await server.gql(DELETE, { id });
    expect(await codeOf(CREATE_THREAD, { input: { id } })).toBe('CONFLICT');

    const again = await create({ id, graphId: 'steps', name: 'new' });
    expect(again).toMatchObject({
      graphId: 'steps',
      name: 'new',
      description: null,
      metadata: {},
      version: 1,
    });
    expect(await get(id)).toEqual(again);
    expect((await versionsOf(id)).nodes).toHaveLength(1);
    expect(await update(id)).toMatchObject({ version: 2 });
  });

  it.each(['agent', AGENT_ID])('refuses the default assistant of a graph: %s', async (id) => {
    const before = await get(AGENT_ID);
    const [error] = await server.errors(DELETE, { id });
    expect(error).toMatchObject({
      message: expect.stringContaining('default assistant') as string,
      extensions: { code: 'CONFLICT' },
    });
    expect(await get(AGENT_ID)).toEqual(before);
  });

  it('deletes one that only says that the system made it', async () => {
    const { id } = await create({ metadata: { created_by: 'system' } });
    expect(await server.gql(DELETE, { id })).toEqual({ deleteAssistant: id });
  });
});

describe('node', () => {
  const NODE = `query ($id: ID!) {
    node(id: $id) {
      __typename id
      ... on Assistant { name }
      ... on Thread { metadata }
      ... on Run { status }
    }
  }`;

  it('finds an assistant, a thread and a run by one UUID, in any case', async () => {
    const assistant = await create({ name: 'Ada' });
    const thread = (await server.gql(CREATE_THREAD, { input: { metadata: { a: 1 } } }))
      .createThread;
    const run = await createRun(assistant.id);
    for (const expected of [
      { __typename: 'Assistant', id: assistant.id, name: 'Ada' },
      { __typename: 'Thread', id: thread.id, metadata: { a: 1 } },
      { __typename: 'Run', id: run.id, status: 'SUCCESS' },
    ]) {
      expect(await server.gql(NODE, { id: expected.id })).toEqual({ node: expected });
      expect(await server.gql(NODE, { id: expected.id.toUpperCase() })).toEqual({ node: expected });
    }
  });

  it('is null where there is nothing, and no name of a graph', async () => {
    expect(await server.gql(NODE, { id: randomId() })).toEqual({ node: null });
    const [error] = await server.errors(NODE, { id: 'agent' });
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'id' });
  });
});
