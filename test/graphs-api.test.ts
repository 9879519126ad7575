import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { randomId } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';

const FIELDS = `
  id inputSchema outputSchema stateSchema contextSchema mermaid
  nodes { name metadata }
  edges { source target conditional label }
`;
const GRAPH = `query ($id: ID!) { graph(id: $id) { ${FIELDS} } }`;

const NO_SCHEMAS = {
  inputSchema: null,
  outputSchema: null,
  stateSchema: null,
  contextSchema: null,
};
const NOTHING_KNOWN = { ...NO_SCHEMAS, nodes: [], edges: [], mermaid: '' };

async function getGraph(client: Client, id: string) {
  const { graph } = await client.gql(GRAPH, { id });
  return graph ?? expect.fail(`No graph ${id}`);
}

interface Edge {
  source: string;
  target: string;
}

function edge(source: string, target: string, conditional = false) {
  return { source, target, conditional, label: null };
}

const namesOf = (nodes: { name: string }[]) => nodes.map(({ name }) => name);

describe('graphs', () => {
  it('are those of langgraph.json, in its order', async ({ client, server }) => {
    const { graphs } = await client.gql('{ graphs { id } }');
    expect(graphs.slice(0, 3)).toEqual([{ id: 'agent' }, { id: 'echo' }, { id: 'steps' }]);
    expect(graphs.map(({ id }: { id: string }) => id)).toEqual(server.app.graphs.ids);
  });

  it('can all be described at once', async ({ client }) => {
    const { graphs } = await client.gql(`{ graphs { ${FIELDS} } }`);
    for (const { id, nodes, edges, mermaid } of graphs) {
      if (id === 'broken' || id === 'endless') continue; // the function of `broken` throws, and `endless` has no end
      const names = namesOf(nodes);
      // A graph of the functional API is a single node between input and output.
      const ends = ['taskAsk', 'nothing'].includes(id)
        ? [`${id}Input`, `${id}Output`]
        : ['__start__', '__end__'];
      expect([id, names]).toEqual([id, expect.arrayContaining(ends)]);
      const endpoints = edges.flatMap(({ source, target }: Edge) => [source, target]);
      expect(names).toEqual(expect.arrayContaining(endpoints));
      expect(mermaid).toMatch(/^(%%.*\n)?graph TD;/);
    }
  });
});

describe('graph', () => {
  it('shows JSON Schemas of what a graph takes, gives, holds and is configured with', async ({
    client,
  }) => {
    const { inputSchema, outputSchema, stateSchema, contextSchema } = await getGraph(
      client,
      'agent',
    );
    for (const schema of [inputSchema, outputSchema, stateSchema]) {
      expect(schema).toMatchObject({ type: 'object', properties: { messages: {} } });
    }
    expect(contextSchema).toMatchObject({
      type: 'object',
      properties: {
        model_name: { type: 'string', description: expect.stringContaining('openai') as string },
        system_prompt: { type: 'string' },
      },
    });
  });

  it('shows which types an input must have', async ({ client }) => {
    expect((await getGraph(client, 'strict')).inputSchema).toMatchObject({
      type: 'object',
      properties: { count: { type: 'number' } },
    });
  });

  it('has the channels of its annotations in its schemas', async ({ client }) => {
    const { inputSchema, outputSchema, stateSchema, contextSchema } = await getGraph(
      client,
      'chat',
    );
    const messages = { langgraph_type: 'messages', default: [] };
    expect(inputSchema).toMatchObject({ type: 'object', properties: { messages } });
    const list = { ...messages, type: 'array', items: { type: 'object' } };
    expect(stateSchema).toMatchObject({ type: 'object', properties: { messages: list } });
    expect(outputSchema).toEqual(stateSchema);
    expect(contextSchema).toBeNull();
  });

  it('has no schemas where it declares no channels', async ({ client }) => {
    expect(await getGraph(client, 'taskAsk')).toMatchObject(NO_SCHEMAS);
  });

  it('shows its nodes and the ways between them, from the start to the end', async ({ client }) => {
    const { nodes, edges } = await getGraph(client, 'parallel');
    expect(namesOf(nodes).toSorted()).toEqual(['__end__', '__start__', 'join', 'left', 'right']);
    expect(edges).toHaveLength(5);
    expect(edges).toEqual(
      expect.arrayContaining([
        edge('__start__', 'left'),
        edge('__start__', 'right'),
        edge('left', 'join'),
        edge('right', 'join'),
        edge('join', '__end__'),
      ]),
    );
  });

  it('says which way the graph decides as it runs', async ({ client }) => {
    const { edges } = await getGraph(client, 'fanOut');
    expect(edges).toContainEqual(edge('plan', 'work', true));
    expect(edges).toContainEqual(edge('work', 'done'));
  });

  it('is drawn as Mermaid source', async ({ client }) => {
    const { mermaid } = await getGraph(client, 'fanOut');
    for (const line of [
      '__start__ --> plan;',
      'plan -.-> work;',
      'work --> done;',
      'done --> __end__;',
    ]) {
      expect(mermaid).toContain(line);
    }
  });

  it('shows subgraphs in place of their nodes, as many levels as the client asks for', async ({
    client,
  }) => {
    const document = `query ($depth: Int!) {
      graph(id: "deep") { nodes(depth: $depth) { name } edges(depth: $depth) { source target } mermaid(depth: $depth) }
    }`;
    const one = (await client.gql(document, { depth: 1 })).graph;
    expect(namesOf(one.nodes)).toContain('middle:deepest');
    expect(one.edges).toContainEqual({ source: 'middle:note', target: 'middle:deepest' });
    expect(one.mermaid).toContain('subgraph middle');
    const all = (await client.gql(document, { depth: 10 })).graph;
    expect(namesOf(all.nodes)).toContain('middle:deepest:talk');
    expect(namesOf((await client.gql(document, { depth: 0 })).graph.nodes)).toContain('middle');
    for (const depth of [-1, 11]) {
      const [error] = await client.errors(document, { depth });
      expect(error).toMatchObject({ message: `depth is ${depth}; it must be from 0 to 10.` });
    }
  });

  it('has the schemas of its subgraphs, on the first level or on all', async ({ client }) => {
    const document = `query ($recurse: Boolean!) {
      graph(id: "deep") { subgraphs(recurse: $recurse) { namespace inputSchema outputSchema stateSchema contextSchema } }
    }`;
    const find = async (recurse: boolean) =>
      (await client.gql(document, { recurse })).graph.subgraphs;
    const schema = { type: 'object', properties: { log: {}, messages: {} } };
    const middle = {
      namespace: 'middle',
      inputSchema: schema,
      outputSchema: schema,
      stateSchema: schema,
      contextSchema: null,
    };
    expect(await find(false)).toMatchObject([middle]);
    expect(await find(true)).toMatchObject([middle, { namespace: 'middle|deepest' }]);
    const broken = `{ graph(id: "broken") { subgraphs { namespace } } }`;
    expect((await client.gql(broken)).graph.subgraphs).toEqual([]);
  });

  it('is, where a function makes it, what the function makes of an empty configuration', async ({
    client,
  }) => {
    expect(namesOf((await getGraph(client, 'factory')).nodes)).toContain('made');
  });

  it('is known by its name alone where the function that makes it throws', async ({ client }) => {
    expect(await getGraph(client, 'broken')).toEqual({ id: 'broken', ...NOTHING_KNOWN });
  });

  it('is null where there is none of that name', async ({ client }) => {
    for (const id of ['nope', '', 'AGENT', 'toString', '__proto__']) {
      expect((await client.gql(GRAPH, { id })).graph).toBeNull();
    }
  });
});

describe('Assistant.graph', () => {
  it('is the graph of the assistant', async ({ client }) => {
    const { assistant } = await client.gql(
      '{ assistant(id: "echo") { graph { id nodes { name } } } }',
    );
    expect(assistant.graph.id).toBe('echo');
    expect(namesOf(assistant.graph.nodes)).toContain('echo');
  });

  it('is known by its name alone where it is not served any more', async ({ client, server }) => {
    const id = randomId();
    await client.gql(
      'mutation ($id: ID!) { createAssistant(input: { id: $id, graphId: "echo" }) { id } }',
      { id },
    );
    // Simulates a server started without the graph.
    await server.app.sql.query(sql`UPDATE "Assistant" SET "graphId" = 'gone' WHERE "id" = ${id}`);
    const { assistant } = await client.gql(
      `query ($id: ID!) {
        assistant(id: $id) { graphId graph { ${FIELDS} } }
      }`,
      { id },
    );
    expect(assistant).toEqual({
      graphId: 'gone',
      graph: { id: 'gone', ...NOTHING_KNOWN },
    });
  });
});
