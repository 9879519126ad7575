import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { human, randomId, type Document } from './support/app.ts';
import {
  CREATE_ASSISTANT,
  createAssistant,
  DELETE_ASSISTANT,
  deleteAssistant,
  findAssistant,
  getAssistant,
  searchAssistants,
  SET_VERSION,
  setVersion,
  UPDATE_ASSISTANT,
  updateAssistant,
  versionsOf,
} from './support/assistants.ts';
import { CREATE_RUN, CREATE_THREAD, type Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation } from './support/graphql.ts';

/** The default assistant of the graph "agent", on every LangGraph server. */
const AGENT_ID = 'fe096781-5601-53d2-b2f6-0d3403f7e9ca';

const NODE = operation(`query ($id: ID!) {
  node(id: $id) {
    __typename id
    ... on Assistant { name }
    ... on Thread { metadata }
    ... on Run { status }
  }
}`);

async function codeOf(client: Client, document: Document, variables: Record<string, unknown>) {
  const [error] = await client.errors(document, variables);
  return error?.extensions['code'];
}

/** Runs an assistant on a thread of its own. */
const runOf = (client: Client, assistantId: string) =>
  client.runToEnd({ assistantId, input: human('hello'), onCompletion: 'KEEP' });

describe('A default assistant', () => {
  it('is there for each graph, with the name of the graph and an empty configuration', async ({
    client,
  }) => {
    const { graphs } = await client.gql(operation(`{ graphs { id } }`));
    const { nodes, totalCount } = await searchAssistants(client, {
      filter: { metadata: { created_by: 'system' } },
      first: 100,
    });
    expect(totalCount).toBe(graphs.length);
    expect(nodes.map(({ graphId }) => graphId).toSorted()).toEqual(
      graphs.map(({ id }) => id).toSorted(),
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

  it.for<[string, string]>([
    ['agent', AGENT_ID],
    ['nested', '0813419b-f0e6-579e-bdee-18d9fdf48632'],
  ])('has the id that it has on every LangGraph server: %s', async ([graphId, id], { client }) => {
    expect(await getAssistant(client, id)).toMatchObject({ id, graphId, name: graphId });
  });

  it('is found by its UUID, in any case, and by the name of its graph', async ({ client }) => {
    const assistant = await getAssistant(client, AGENT_ID);
    expect(await getAssistant(client, 'agent')).toEqual(assistant);
    expect(await getAssistant(client, AGENT_ID.toUpperCase())).toEqual(assistant);
  });

  it('can be changed and set back like any other, by the name of its graph', async ({ client }) => {
    const before = await getAssistant(client, 'custom');
    expect(await updateAssistant(client, 'custom', { config: { tags: ['mine'] } })).toMatchObject({
      id: before.id,
      version: 2,
      name: 'custom',
      config: { tags: ['mine'] },
      metadata: { created_by: 'system' },
    });
    expect(await setVersion(client, 'custom', 1)).toEqual({
      ...before,
      updatedAt: expect.any(String) as string,
    });
  });
});

describe('createAssistant', () => {
  it('makes an assistant of a graph and a configuration', async ({ client }) => {
    const input = {
      graphId: 'agent',
      name: 'Ada',
      description: 'Knows engines.',
      config: { configurable: { model_name: 'openai' }, tags: ['x'], recursion_limit: 7 },
      context: { user: { name: 'Ada', languages: ['en', null] } },
      metadata: { owner: 'ada', nested: { deep: [1, 2.5, false] } },
    };
    const created = await createAssistant(client, input);
    expect(created).toEqual({
      ...input,
      id: expect.stringMatching(/^[\da-f]{8}-[\da-f]{4}-7/) as string,
      version: 1,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
      updatedAt: created.createdAt,
    });
    expect(await getAssistant(client, created.id)).toEqual(created);
  });

  it('needs a graph alone', async ({ client }) => {
    expect(await createAssistant(client, { graphId: 'echo' })).toMatchObject({
      graphId: 'echo',
      name: 'Untitled',
      description: null,
      config: {},
      context: {},
      metadata: {},
      version: 1,
    });
  });

  it('takes an id of the client, and writes it as it writes its own', async ({ client }) => {
    const id = randomId();
    expect(await createAssistant(client, { id: id.toUpperCase() })).toMatchObject({ id });
    expect(await getAssistant(client, id)).toMatchObject({ id });
  });

  it('refuses an id that is there, or gives what is there as it is', async ({ client }) => {
    const first = await createAssistant(client, { id: randomId(), name: 'first' });
    const again = { id: first.id, graphId: 'steps', name: 'second' };
    const [error] = await client.errors(CREATE_ASSISTANT, { input: again });
    expect(error).toMatchObject({
      message: `The id ${first.id} is taken.`,
      extensions: { code: 'CONFLICT' },
    });
    expect(await createAssistant(client, { ...again, ifExists: 'DO_NOTHING' })).toEqual(first);
    expect(await getAssistant(client, first.id)).toEqual(first);
    expect((await versionsOf(client, first.id)).nodes).toHaveLength(1);
  });

  it('refuses the id of a thread or a run, whatever ifExists says', async ({ client }) => {
    const threadId = await client.createThread();
    const run = await runOf(client, 'echo');
    for (const id of [threadId, run.id]) {
      for (const ifExists of ['RAISE', 'DO_NOTHING']) {
        const input = { id, graphId: 'echo', ifExists };
        expect(await codeOf(client, CREATE_ASSISTANT, { input })).toBe('CONFLICT');
      }
      expect(await findAssistant(client, id)).toBeNull();
    }
  });

  it('keeps its id from threads', async ({ client }) => {
    const { id } = await createAssistant(client);
    for (const ifExists of ['RAISE', 'DO_NOTHING']) {
      expect(await codeOf(client, CREATE_THREAD, { input: { id, ifExists } })).toBe('CONFLICT');
    }
  });

  it('makes one assistant of many calls at once with one id', async ({ client }) => {
    const raise = { id: randomId(), graphId: 'echo' };
    const raised = await Promise.all(
      Array.from({ length: 8 }, () => client.request(CREATE_ASSISTANT, { input: raise })),
    );
    expect(raised.filter(({ errors }) => errors === undefined)).toHaveLength(1);

    const calm = { id: randomId(), ifExists: 'DO_NOTHING' as const };
    const given = await Promise.all(
      Array.from({ length: 8 }, (_, n) => createAssistant(client, { ...calm, name: `call ${n}` })),
    );
    expect(new Set(given.map(({ name }) => name)).size).toBe(1);
  });

  it('names the graphs there are where the graph is unknown', async ({ client }) => {
    const [error] = await client.errors(CREATE_ASSISTANT, { input: { graphId: 'nope' } });
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

  it('replaces what is given, and merges metadata key by key', async ({ client }) => {
    const created = await createAssistant(client, before);
    const updated = await updateAssistant(client, created.id, {
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
    expect(await getAssistant(client, created.id)).toEqual(updated);
  });

  it('clears the description with null, and leaves alone whatever else is null', async ({
    client,
  }) => {
    const { id } = await createAssistant(client, before);
    expect(await updateAssistant(client, id, { description: null })).toMatchObject({
      ...before,
      description: null,
    });
    const nothing = { graphId: null, name: null, config: null, context: null, metadata: null };
    expect(await updateAssistant(client, id, nothing)).toMatchObject({
      ...before,
      description: null,
      version: 3,
    });
    expect(
      await updateAssistant(client, id, { config: {}, context: {}, metadata: {} }),
    ).toMatchObject({
      config: {},
      context: {},
      metadata: before.metadata,
    });
  });

  it('makes a version each time, also when nothing changes', async ({ client }) => {
    const created = await createAssistant(client, before);
    expect(await updateAssistant(client, created.id)).toEqual({
      ...created,
      version: 2,
      updatedAt: expect.any(String) as string,
    });
    expect(await updateAssistant(client, created.id)).toMatchObject({ ...before, version: 3 });
    const { nodes } = await versionsOf(client, created.id);
    expect(nodes).toEqual(
      [3, 2, 1].map((version) => expect.objectContaining({ ...before, version })),
    );
  });

  it('numbers changes at once one by one, and loses none of them', async ({ client }) => {
    const { id } = await createAssistant(client);
    const numbers = Array.from({ length: 10 }, (_, n) => n);
    const updated = await Promise.all(
      numbers.map((n) => updateAssistant(client, id, { metadata: { [`k${n}`]: n } })),
    );
    const versions = updated.map(({ version }) => version).toSorted((a, b) => a - b);
    expect(versions).toEqual(numbers.map((n) => n + 2));
    expect(await getAssistant(client, id)).toMatchObject({
      version: 11,
      metadata: Object.fromEntries(numbers.map((n) => [`k${n}`, n])),
    });
  });

  it('leaves the default assistant of a graph with its graph', async ({ client }) => {
    const before = await getAssistant(client, AGENT_ID);
    const [error] = await client.errors(UPDATE_ASSISTANT, {
      id: 'agent',
      input: { graphId: 'steps' },
    });
    expect(error).toMatchObject({
      message: expect.stringContaining('default assistant') as string,
      extensions: { code: 'CONFLICT' },
    });
    expect(await getAssistant(client, AGENT_ID)).toEqual(before);
    expect(await updateAssistant(client, 'agent', { graphId: 'agent' })).toMatchObject({
      graphId: 'agent',
    });
  });

  it('makes no version where it is refused', async ({ client }) => {
    const created = await createAssistant(client, before);
    const refused = { graphId: 'nope', metadata: { a: 1 } };
    expect(await codeOf(client, UPDATE_ASSISTANT, { id: created.id, input: refused })).toBe(
      'BAD_USER_INPUT',
    );
    const limit = { name: 'after', config: { recursion_limit: 0 } };
    expect(await codeOf(client, UPDATE_ASSISTANT, { id: created.id, input: limit })).toBe(
      'BAD_USER_INPUT',
    );
    expect(await getAssistant(client, created.id)).toEqual(created);
    expect((await versionsOf(client, created.id)).nodes).toHaveLength(1);
  });

  it('is seen by the runs that come after it', async ({ client }) => {
    const { id } = await createAssistant(client, { graphId: 'whoami', context: { user: 'ada' } });
    const seen = async () =>
      (await runOf(client, id)).output['seen'] as { context: unknown; configurable: object };
    expect(await seen()).toMatchObject({ context: { user: 'ada' } });
    await updateAssistant(client, id, {
      context: { user: 'bob' },
      config: { configurable: { a: 1 } },
    });
    expect(await seen()).toMatchObject({
      context: { user: 'bob' },
      configurable: { a: 1, assistant_id: id },
    });
    await setVersion(client, id, 1);
    const again = await seen();
    expect(again).toMatchObject({ context: { user: 'ada' } });
    expect(again.configurable).not.toHaveProperty('a');
  });
});

describe('setAssistantVersion', () => {
  it('restores all of a version, and the next update takes the number after the newest', async ({
    client,
  }) => {
    const first = await createAssistant(client, {
      name: 'one',
      description: 'The first one.',
      config: { configurable: { n: 1 } },
      context: { n: 1 },
      metadata: { n: 1 },
    });
    const second = await updateAssistant(client, first.id, {
      graphId: 'steps',
      name: 'two',
      description: null,
      config: {},
      context: {},
      metadata: { n: null, other: 2 },
    });

    const restored = await setVersion(client, first.id, 1);
    expect(restored).toEqual({ ...first, updatedAt: restored.updatedAt });
    expect(await getAssistant(client, first.id)).toEqual(restored);
    expect((await versionsOf(client, first.id)).nodes).toHaveLength(2);

    expect(await updateAssistant(client, first.id)).toMatchObject({
      version: 3,
      name: 'one',
      context: { n: 1 },
    });
    const back = await setVersion(client, first.id, 2);
    expect(back).toEqual({ ...second, updatedAt: back.updatedAt });
  });

  it.for([4, 0, -1])('does not find version %i of three', async (version, { client }) => {
    const { id } = await createAssistant(client);
    await updateAssistant(client, id);
    const active = await updateAssistant(client, id);
    const [error] = await client.errors(SET_VERSION, { id, version });
    expect(error).toMatchObject({
      message: `Version ${version} of assistant ${id} does not exist.`,
      extensions: { code: 'NOT_FOUND' },
    });
    expect(await getAssistant(client, id)).toEqual(active);
  });
});

describe('Assistant.versions', () => {
  it('are the newest first, page by page, whichever is active', async ({ client }) => {
    const { id } = await createAssistant(client, { name: 'version 1' });
    for (const n of [2, 3, 4, 5]) await updateAssistant(client, id, { name: `version ${n}` });
    await setVersion(client, id, 2);

    const seen: string[] = [];
    let after: string | null | undefined;
    do {
      const { nodes, pageInfo } = await versionsOf(client, id, { first: 2, after });
      expect(nodes.length).toBeLessThanOrEqual(2);
      seen.push(...nodes.map(({ name }) => name));
      after = pageInfo.hasNextPage ? pageInfo.endCursor : undefined;
    } while (after);
    expect(seen).toEqual([5, 4, 3, 2, 1].map((n) => `version ${n}`));

    const last = await versionsOf(client, id, { last: 2 });
    const before = last.pageInfo.startCursor;
    const middle = await versionsOf(client, id, { last: 2, before });
    expect([...middle.nodes, ...last.nodes].map(({ name }) => name)).toEqual(seen.slice(1));
  });

  it('stay what they were', async ({ client }) => {
    const created = await createAssistant(client, { name: 'before', context: { a: 1 } });
    const [first] = (await versionsOf(client, created.id)).nodes;
    const { id: _id, updatedAt: _updatedAt, ...shown } = created;
    expect(first).toEqual(shown);
    await updateAssistant(client, created.id, { graphId: 'steps', name: 'after', context: {} });
    await setVersion(client, created.id, 1);
    expect((await versionsOf(client, created.id)).nodes[1]).toEqual(first);
  });
});

describe('deleteAssistant', () => {
  it('gives the id, and hides the assistant everywhere', async ({ client, server }) => {
    const name = randomId();
    const { id } = await createAssistant(client, { name });
    await updateAssistant(client, id);
    expect(await deleteAssistant(client, id.toUpperCase())).toBe(id);

    expect(await findAssistant(client, id)).toBeNull();
    expect(await client.gql(NODE, { id })).toEqual({
      node: null,
    });
    for (const filter of [{ name }, { ids: [id] }]) {
      expect(await searchAssistants(client, { filter })).toMatchObject({
        totalCount: 0,
        nodes: [],
      });
    }
    const versions = await server.app.sql.query(
      sql`SELECT 1 FROM "AssistantVersion" WHERE "assistantId" = ${id}`,
    );
    expect(versions).toEqual([]);
  });

  it('leaves nothing to change, to delete or to run', async ({ client }) => {
    const { id } = await createAssistant(client);
    await deleteAssistant(client, id);
    expect(await codeOf(client, DELETE_ASSISTANT, { id })).toBe('NOT_FOUND');
    expect(await codeOf(client, UPDATE_ASSISTANT, { id, input: {} })).toBe('NOT_FOUND');
    expect(await codeOf(client, SET_VERSION, { id, version: 1 })).toBe('NOT_FOUND');
    const input = { assistantId: id, input: human('hello') };
    expect(await codeOf(client, CREATE_RUN, { input })).toBe('NOT_FOUND');
  });

  it('leaves the runs that it made, and they go on showing it', async ({ client }) => {
    const { id } = await createAssistant(client, { name: 'gone' });
    const run = await runOf(client, id);
    await deleteAssistant(client, id);
    const shown = await client.gql(
      operation(`query ($id: ID!, $assistantId: ID!) {
        run(id: $id) {
          status assistantId assistant { id name graphId versions { nodes { version } } }
        }
        runs(filter: { assistantId: $assistantId }) { nodes { id } }
      }`),
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

  it('frees the id for another assistant, which begins anew, and for nothing else', async ({
    client,
  }) => {
    const { id } = await createAssistant(client, {
      name: 'old',
      description: 'Old.',
      metadata: { old: true },
    });
    await updateAssistant(client, id);
    await deleteAssistant(client, id);
    expect(await codeOf(client, CREATE_THREAD, { input: { id } })).toBe('CONFLICT');

    const again = await createAssistant(client, { id, graphId: 'steps', name: 'new' });
    expect(again).toMatchObject({
      graphId: 'steps',
      name: 'new',
      description: null,
      metadata: {},
      version: 1,
    });
    expect(await getAssistant(client, id)).toEqual(again);
    expect((await versionsOf(client, id)).nodes).toHaveLength(1);
    expect(await updateAssistant(client, id)).toMatchObject({ version: 2 });
  });

  it.for(['agent', AGENT_ID])(
    'refuses the default assistant of a graph: %s',
    async (id, { client }) => {
      const before = await getAssistant(client, AGENT_ID);
      const [error] = await client.errors(DELETE_ASSISTANT, { id });
      expect(error).toMatchObject({
        message: expect.stringContaining('default assistant') as string,
        extensions: { code: 'CONFLICT' },
      });
      expect(await getAssistant(client, AGENT_ID)).toEqual(before);
    },
  );

  it('deletes one that only says that the system made it', async ({ client }) => {
    const { id } = await createAssistant(client, { metadata: { created_by: 'system' } });
    expect(await deleteAssistant(client, id)).toBe(id);
  });
});

describe('node', () => {
  it('finds an assistant, a thread and a run by one UUID, in any case', async ({ client }) => {
    const assistant = await createAssistant(client, { name: 'Ada' });
    const threadId = await client.createThread({ metadata: { a: 1 } });
    const run = await runOf(client, assistant.id);
    for (const expected of [
      { __typename: 'Assistant', id: assistant.id, name: 'Ada' },
      { __typename: 'Thread', id: threadId, metadata: { a: 1 } },
      { __typename: 'Run', id: run.id, status: 'SUCCESS' },
    ]) {
      expect(await client.gql(NODE, { id: expected.id })).toEqual({ node: expected });
      expect(await client.gql(NODE, { id: expected.id.toUpperCase() })).toEqual({ node: expected });
    }
  });

  it('is null where there is nothing, and no name of a graph', async ({ client }) => {
    expect(await client.gql(NODE, { id: randomId() })).toEqual({ node: null });
    const [error] = await client.errors(NODE, { id: 'agent' });
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'id' });
  });
});
