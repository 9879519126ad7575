import { Client } from '@langchain/langgraph-sdk';
import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { randomId, type TestApp } from './support/app.ts';
import { it as base } from './support/fixture.ts';

const it = base.extend('sdk', { scope: 'file' }, ({ server }) => sdkOf(server));

function sdkOf({ url }: Pick<TestApp, 'url'>): Client {
  return new Client({ apiUrl: url, callerOptions: { maxRetries: 0 } });
}

/** Sends a request and returns the status, the headers and the JSON of the answer. */
async function send({ url }: Pick<TestApp, 'url'>, request: string, body?: unknown) {
  const [method = '', path = ''] = request.split(' ');
  const response = await fetch(url + path, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const { status, headers } = response;
  return { status, headers, json: text === '' ? undefined : JSON.parse(text) };
}

const AGENT = 'fe096781-5601-53d2-b2f6-0d3403f7e9ca';

describe('An assistant', () => {
  it('is created with its values, read, changed and deleted', async ({ sdk }) => {
    const values = {
      config: { configurable: { model_name: 'gpt' }, tags: ['a'], recursion_limit: 9 },
      context: { user: 'ann' },
      metadata: { team: 'red' },
      name: 'Mine',
      description: 'foo',
    };
    const created = await sdk.assistants.create({ graphId: 'echo', ...values });
    expect(created).toEqual({
      ...values,
      assistant_id: expect.any(String),
      graph_id: 'echo',
      version: 1,
      created_at: expect.stringMatching(/^\d{4}-.*Z$/),
      updated_at: created.created_at,
    });
    const id = created.assistant_id;
    const change = { graphId: 'gate', metadata: { name: 'woof' }, description: 'bar' };
    const changed = await sdk.assistants.update(id, change);
    expect(changed).toMatchObject({
      graph_id: 'gate',
      config: values.config,
      metadata: { team: 'red', name: 'woof' },
      description: 'bar',
      version: 2,
    });
    expect(await sdk.assistants.get(id)).toEqual(changed);
    expect(await sdk.assistants.delete(id)).toBeUndefined();
    await expect(sdk.assistants.get(id)).rejects.toThrow(/404.*Assistant not found/);
  });

  it('has an empty configuration, an empty context and the name "Untitled" unless the client gives them', async ({
    sdk,
  }) => {
    expect(await sdk.assistants.create({ graphId: 'echo' })).toMatchObject({
      config: {},
      context: {},
      metadata: {},
      name: 'Untitled',
      description: null,
    });
  });

  it('keeps the id of the client, which a second creation refuses or returns', async ({ sdk }) => {
    const assistantId = randomId();
    const created = await sdk.assistants.create({ graphId: 'echo', assistantId });
    expect(created.assistant_id).toBe(assistantId);
    const again = { graphId: 'gate', assistantId };
    await expect(sdk.assistants.create(again)).rejects.toThrow('HTTP 409');
    expect(await sdk.assistants.create({ ...again, ifExists: 'do_nothing' })).toEqual(created);
  });

  it('is the default assistant of a graph by the name of the graph, in paths as well', async ({
    sdk,
    server,
  }) => {
    const byName = await sdk.assistants.get('agent');
    expect(byName).toMatchObject({
      assistant_id: AGENT,
      name: 'agent',
      graph_id: 'agent',
      metadata: { created_by: 'system' },
    });
    expect(await sdk.assistants.get(AGENT)).toEqual(byName);
    expect(await sdk.assistants.getVersions('agent')).toMatchObject([{ version: 1 }]);
    const { status, json } = await send(server, 'DELETE /assistants/agent');
    expect([status, json.code]).toEqual([409, 'CONFLICT']);
  });

  it('is unknown by an id of no assistant, and no text but an id or a name of a graph names one', async ({
    server,
  }) => {
    const id = randomId();
    for (const request of [
      `GET /assistants/${id}`,
      `PATCH /assistants/${id}`,
      `DELETE /assistants/${id}`,
      `POST /assistants/${id}/versions`,
      `GET /assistants/${id}/graph`,
      `GET /assistants/${id}/schemas`,
      `GET /assistants/${id}/subgraphs`,
      `GET /assistants/${id}/subgraphs/inner`,
    ]) {
      const { status, json } = await send(server, request);
      expect([request, status, json.code]).toEqual([request, 404, 'NOT_FOUND']);
      expect(json.detail).toContain('Assistant not found');
      expect(json.message).toBe(json.detail);
    }
    const refused = await send(server, 'GET /assistants/nobody');
    expect(refused.status).toBe(422);
    expect(refused.json.detail).toContain('neither a UUID nor the name of a graph');
  });

  it('needs a graph of the server and values of the right types', async ({ server }) => {
    const refused = async (body: unknown) => send(server, 'POST /assistants', body);
    expect(await refused({ graph_id: 'nope' })).toMatchObject({
      status: 422,
      json: { detail: expect.stringContaining('There is no graph "nope"') },
    });
    expect(await refused({})).toMatchObject({
      status: 422,
      json: { detail: expect.stringContaining('graph_id') },
    });
    for (const wrong of [{ config: 'x' }, { metadata: [] }, { if_exists: 'maybe' }, { name: 7 }]) {
      const { status, json } = await refused({ graph_id: 'echo', ...wrong });
      const [field] = Object.keys(wrong);
      expect([status, json.detail]).toEqual([422, expect.stringContaining(String(field))]);
    }
  });

  it('takes fields that the server does not know, and any content type', async ({ server }) => {
    const body = JSON.stringify({ graph_id: 'echo', graphId: 'other', future: [1] });
    const response = await fetch(`${server.url}/assistants`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
      body,
    });
    expect(await response.json()).toMatchObject({ graph_id: 'echo', metadata: {} });
  });
});

describe('The deletion of an assistant', () => {
  it('with delete_threads deletes the threads of its metadata, and without it none', async ({
    sdk,
    client,
  }) => {
    const { assistant_id } = await sdk.assistants.create({ graphId: 'echo' });
    const create = `mutation ($metadata: JSONObject!) { createThread(input: { metadata: $metadata }) { id } }`;
    const threadWith = async (metadata: object): Promise<string> =>
      (await client.gql(create, { metadata })).createThread.id;
    const own = await threadWith({ assistant_id, more: 1 });
    const other = await threadWith({ assistant_id: randomId() });
    const find = async (id: string) =>
      (await client.gql(`query ($id: ID!) { thread(id: $id) { id } }`, { id })).thread;
    await sdk.assistants.delete(assistant_id, { deleteThreads: true });
    expect([await find(own), await find(other)]).toEqual([null, { id: other }]);

    const kept = await sdk.assistants.create({ graphId: 'echo' });
    const thread = await threadWith({ assistant_id: kept.assistant_id });
    await sdk.assistants.delete(kept.assistant_id);
    expect(await find(thread)).toEqual({ id: thread });
  });
});

describe('The search of assistants', () => {
  const names = (found: { name: string }[]) => found.map(({ name }) => name);

  /** Creates assistants with these names, with metadata of their own. */
  async function createNamed(sdk: Client, given: string[]): Promise<Record<string, string>> {
    const metadata = { group: randomId() };
    for (const name of given) {
      await sdk.assistants.create({ graphId: name === 'c' ? 'gate' : 'echo', name, metadata });
    }
    return metadata;
  }

  it('finds by metadata, graph and part of the name, newest first', async ({ sdk }) => {
    const metadata = await createNamed(sdk, ['Alpha', 'beta', 'c']);
    expect(names(await sdk.assistants.search({ metadata }))).toEqual(['c', 'beta', 'Alpha']);
    expect(names(await sdk.assistants.search({ metadata, graphId: 'gate' }))).toEqual(['c']);
    expect(names(await sdk.assistants.search({ metadata, name: 'LPH' }))).toEqual(['Alpha']);
    expect(await sdk.assistants.search({ metadata: { group: randomId() } })).toEqual([]);
    expect(
      await sdk.assistants.search({ graphId: 'agent', metadata: { created_by: 'system' } }),
    ).toMatchObject([{ assistant_id: AGENT }]);
  });

  it('sorts by each field in both directions', async ({ sdk }) => {
    const metadata = await createNamed(sdk, ['b', 'a', 'c']);
    const sorted = async (sortBy: any, sortOrder: 'asc' | 'desc') =>
      names(await sdk.assistants.search({ metadata, sortBy, sortOrder }));
    expect(await sorted('name', 'asc')).toEqual(['a', 'b', 'c']);
    expect(await sorted('name', 'desc')).toEqual(['c', 'b', 'a']);
    expect(await sorted('created_at', 'asc')).toEqual(['b', 'a', 'c']);
    expect(await sorted('updated_at', 'asc')).toEqual(['b', 'a', 'c']);
    expect((await sorted('graph_id', 'desc'))[0]).toBe('c');
    const ids = await sdk.assistants.search({ metadata, sortBy: 'assistant_id', sortOrder: 'asc' });
    const found = ids.map(({ assistant_id }) => assistant_id);
    expect(found).toEqual(found.toSorted());
  });

  it('answers in parts, and names the next part and the number of all', async ({ sdk, server }) => {
    const metadata = await createNamed(sdk, ['1', '2', '3', '4', '5']);
    const part = async (limit: number, offset: number) => {
      const body = { metadata, limit, offset, sort_by: 'name', sort_order: 'asc' };
      const { json, headers } = await send(server, 'POST /assistants/search', body);
      return [
        names(json).join(''),
        headers.get('x-pagination-next'),
        headers.get('x-pagination-total'),
      ];
    };
    expect(await part(2, 0)).toEqual(['12', '2', '5']);
    expect(await part(2, 2)).toEqual(['34', '4', '5']);
    expect(await part(2, 4)).toEqual(['5', null, '5']);
    expect(await part(5, 0)).toEqual(['12345', null, '5']);
    expect(await part(2, 7)).toEqual(['', null, '5']);
    const { assistants, next } = await sdk.assistants.search({
      metadata,
      limit: 3,
      offset: 1,
      includePagination: true,
    });
    expect([assistants.length, next]).toEqual([3, '4']);
  });

  it('finds parts of a long list with few matches', async ({ sdk, server }) => {
    const group = randomId();
    await server.app.sql
      .query(sql`INSERT INTO "Assistant" ("id", "tenant", "owner", "graphId", "name", "metadata", "createdAt")
      SELECT gen_random_uuid(), 'default', '', 'echo', lpad(n::text, 5, '0'),
        CASE WHEN n <= 3 THEN jsonb_build_object('group', ${group}::text) ELSE '{}' END, now() - interval '1 year' + n * interval '1 second'
      FROM generate_series(1, 6000) n`);
    const part = async (offset: number) =>
      names(await sdk.assistants.search({ metadata: { group }, limit: 2, offset }));
    expect(await part(0)).toEqual(['00003', '00002']);
    expect(await part(2)).toEqual(['00001']);
    expect(await part(3)).toEqual([]);
    const all = { sortBy: 'created_at', sortOrder: 'asc', offset: 5990, limit: 3 } as const;
    expect(names(await sdk.assistants.search(all))).toEqual(['05991', '05992', '05993']);
    await server.app.sql.query(
      sql`DELETE FROM "Assistant" WHERE "createdAt" < now() - interval '1 day'`,
    );
  });

  it('answers only the selected fields', async ({ sdk }) => {
    const metadata = await createNamed(sdk, ['x']);
    const found = await sdk.assistants.search({ metadata, select: ['assistant_id', 'name'] });
    expect(found).toEqual([{ assistant_id: expect.any(String), name: 'x' }]);
  });

  it('is counted with the same filters', async ({ sdk }) => {
    const metadata = await createNamed(sdk, ['a', 'b', 'c']);
    expect(await sdk.assistants.count({ metadata })).toBe(3);
    expect(await sdk.assistants.count({ metadata, graphId: 'echo' })).toBe(2);
    expect(await sdk.assistants.count({ metadata, name: 'B' })).toBe(1);
    expect(await sdk.assistants.count()).toBeGreaterThan(50);
  });

  it('takes a limit from 1 to 1,000 and an offset from 0', async ({ server }) => {
    for (const wrong of [{ limit: 0 }, { limit: 1001 }, { offset: -1 }, { select: ['secret'] }]) {
      const { status, json } = await send(server, 'POST /assistants/search', wrong);
      const [field] = Object.keys(wrong);
      expect([status, json.detail]).toEqual([422, expect.stringContaining(String(field))]);
    }
    const { json } = await send(server, 'POST /assistants/search', { limit: 1000 });
    expect(json.length).toBeGreaterThan(50);
  });
});

describe('The versions of an assistant', () => {
  it('are listed newest first, in parts, and by metadata', async ({ sdk }) => {
    const { assistant_id: id } = await sdk.assistants.create({ graphId: 'echo' });
    await sdk.assistants.update(id, { config: { configurable: { foo: 'bar' } } });
    await sdk.assistants.update(id, { metadata: { foo: 'baz' } });
    const versions = await sdk.assistants.getVersions(id);
    expect(versions).toMatchObject([
      { version: 3, metadata: { foo: 'baz' }, config: { configurable: { foo: 'bar' } } },
      { version: 2, metadata: {} },
      { version: 1, config: {} },
    ]);
    expect(versions[0]).not.toHaveProperty('updated_at');
    const numbers = async (options: object) =>
      (await sdk.assistants.getVersions(id, options)).map(({ version }) => version);
    expect(await numbers({ limit: 1 })).toEqual([3]);
    expect(await numbers({ limit: 1, offset: 1 })).toEqual([2]);
    expect(await numbers({ offset: 3 })).toEqual([]);
    expect(await numbers({ metadata: { foo: 'baz' } })).toEqual([3]);
  });

  it('become active by their number, in the body or in the query', async ({ sdk, server }) => {
    const { assistant_id: id } = await sdk.assistants.create({ graphId: 'echo', name: 'first' });
    await sdk.assistants.update(id, { name: 'second' });
    expect(await sdk.assistants.setLatest(id, 1)).toMatchObject({ version: 1, name: 'first' });
    const { json } = await send(server, `POST /assistants/${id}/latest?version=2`);
    expect(json).toMatchObject({ version: 2, name: 'second' });
    await sdk.assistants.setLatest(id, 1);
    expect((await sdk.assistants.update(id, {})).version).toBe(3);
    await expect(sdk.assistants.setLatest(id, 9)).rejects.toThrow('HTTP 404');
    const missing = await send(server, `POST /assistants/${id}/latest`, {});
    expect([missing.status, missing.json.detail]).toEqual([422, '"version" must be an integer.']);
  });
});

describe('The graph of an assistant', () => {
  const idsOf = ({ nodes }: { nodes: { id: unknown }[] }) => nodes.map(({ id }) => id);

  it('has its nodes and edges', async ({ sdk }) => {
    const { nodes, edges } = await sdk.assistants.getGraph('fanOut');
    expect(nodes).toContainEqual({
      id: '__start__',
      type: 'schema',
      data: { title: '__start__' },
    });
    expect(nodes).toContainEqual(
      expect.objectContaining({
        id: 'plan',
        type: 'runnable',
        data: { id: expect.any(Array), name: 'plan' },
      }),
    );
    expect(edges).toContainEqual({ source: 'plan', target: 'work', conditional: true });
    expect(edges).toContainEqual({ source: 'work', target: 'done', conditional: false });
  });

  it('is drawn with as many levels of subgraphs as xray says', async ({ sdk }) => {
    const levels = async (xray?: boolean | number) =>
      idsOf(await sdk.assistants.getGraph('deep', { ...(xray !== undefined && { xray }) }));
    expect(await levels()).toContain('middle');
    expect(await levels(false)).toContain('middle');
    expect(await levels(1)).toContain('middle:deepest');
    expect(await levels(true)).toContain('middle:deepest:talk');
    expect(await levels(7)).toEqual(await levels(true));
  });

  it('has schemas, with null for those that it does not declare', async ({ sdk }) => {
    expect(await sdk.assistants.getSchemas('contextual')).toMatchObject({
      graph_id: 'contextual',
      input_schema: { type: 'object', properties: { seen: {} } },
      output_schema: { type: 'object' },
      state_schema: { type: 'object' },
      config_schema: { properties: { user: { type: 'string' } } },
      context_schema: { properties: { user: { type: 'string' } } },
    });
    expect(await sdk.assistants.getSchemas('taskAsk')).toEqual({
      graph_id: 'taskAsk',
      input_schema: null,
      output_schema: null,
      state_schema: null,
      config_schema: null,
      context_schema: null,
    });
  });

  it('has subgraphs by namespace, on the first level or on all', async ({ sdk }) => {
    const namespaces = async (options?: object) =>
      Object.keys(await sdk.assistants.getSubgraphs('deep', options));
    expect(await namespaces()).toEqual(['middle']);
    expect(await namespaces({ recurse: true })).toEqual(['middle', 'middle|deepest']);
    expect(await namespaces({ namespace: 'middle|deepest' })).toEqual(['middle|deepest']);
    expect(await namespaces({ namespace: 'middle' })).toEqual(['middle']);
    expect(await namespaces({ namespace: 'mid' })).toEqual([]);
    expect(await sdk.assistants.getSubgraphs('deep')).toMatchObject({
      middle: { graph_id: 'deep', state_schema: { properties: { log: {} } } },
    });
  });

  it('is, where a function makes it, made with the configuration of the assistant', async ({
    sdk,
  }) => {
    const config = { configurable: { node: 'mine' } };
    const { assistant_id: id } = await sdk.assistants.create({ graphId: 'factory', config });
    expect(idsOf(await sdk.assistants.getGraph(id))).toEqual(['__start__', 'mine', '__end__']);
    expect(idsOf(await sdk.assistants.getGraph('factory'))).toContain('made');
  });

  it('is not found where it is not served any more', async ({ sdk, server }) => {
    const { assistant_id: id } = await sdk.assistants.create({ graphId: 'echo' });
    // Simulates a server started without the graph.
    await server.app.sql.query(sql`UPDATE "Assistant" SET "graphId" = 'gone' WHERE "id" = ${id}`);
    await expect(sdk.assistants.getGraph(id)).rejects.toThrow(/404.*Graph gone does not exist/);
  });
});
