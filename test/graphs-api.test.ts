import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestApp, randomId, type TestApp } from './support/app.ts';

let server: TestApp;
beforeAll(async () => {
  server = await createTestApp();
});
afterAll(() => server.stop());

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

async function getGraph(id: string): Promise<any> {
  return (await server.gql(GRAPH, { id })).graph;
}

function edge(source: string, target: string, conditional = false) {
  return { source, target, conditional, label: null };
}

const namesOf = (nodes: { name: string }[]) => nodes.map(({ name }) => name);

describe('graphs', () => {
  it('are those of langgraph.json, in its order', async () => {
    const { graphs } = await server.gql('{ graphs { id } }');
    expect(graphs.slice(0, 3)).toEqual([{ id: 'agent' }, { id: 'echo' }, { id: 'steps' }]);
    expect(graphs.map(({ id }: { id: string }) => id)).toEqual(server.app.graphs.ids);
  });

  it('can all be described at once', async () => {
    const { graphs } = await server.gql(`{ graphs { ${FIELDS} } }`);
    for (const { id, nodes, edges, mermaid } of graphs) {
      if (id === 'broken' || id === 'endless') continue; // its function throws; it has no end
      const names = namesOf(nodes);
      // One of the functional API is one node, between what it takes and what it gives.
      const ends = ['taskAsk', 'nothing'].includes(id)
        ? [`${id}Input`, `${id}Output`]
        : ['__start__', '__end__'];
      expect([id, names]).toEqual([id, expect.arrayContaining(ends)]);
      expect(names).toEqual(
        expect.arrayContaining(edges.flatMap(({ source, target }: any) => [source, target])),
      );
      expect(mermaid).toMatch(/^(%%.*\n)?graph TD;/);
    }
  });
});

describe('graph', () => {
  it('shows JSON Schemas of what a graph takes, gives, holds and is configured with', async () => {
    const { inputSchema, outputSchema, stateSchema, contextSchema } = await getGraph('agent');
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

  it('shows which types an input must have', async () => {
    expect((await getGraph('strict')).inputSchema).toMatchObject({
      type: 'object',
      properties: { count: { type: 'number' } },
    });
  });

  it('has no schemas where its state is made of annotations', async () => {
    expect(await getGraph('steps')).toMatchObject(NO_SCHEMAS);
  });

  it('shows its nodes and the ways between them, from the start to the end', async () => {
    const { nodes, edges } = await getGraph('parallel');
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

  it('says which way the graph decides as it runs', async () => {
    const { edges } = await getGraph('fanOut');
    expect(edges).toContainEqual(edge('plan', 'work', true));
    expect(edges).toContainEqual(edge('work', 'done'));
  });

  it('is drawn as Mermaid source', async () => {
    const { mermaid } = await getGraph('fanOut');
    for (const line of [
      '__start__ --> plan;',
      'plan -.-> work;',
      'work --> done;',
      'done --> __end__;',
    ]) {
      expect(mermaid).toContain(line);
    }
  });

  it('is, where a function makes it, what the function makes of an empty configuration', async () => {
    expect(namesOf((await getGraph('factory')).nodes)).toContain('made');
  });

  it('is known by its name alone where the function that makes it throws', async () => {
    expect(await getGraph('broken')).toEqual({ id: 'broken', ...NOTHING_KNOWN });
  });

  it('is null where there is none of that name', async () => {
    for (const id of ['nope', '', 'AGENT', 'toString', '__proto__']) {
      expect(await getGraph(id)).toBeNull();
    }
  });
});

describe('Assistant.graph', () => {
  it('is the graph of the assistant', async () => {
    const { assistant } = await server.gql(
      '{ assistant(id: "echo") { graph { id nodes { name } } } }',
    );
    expect(assistant.graph.id).toBe('echo');
    expect(namesOf(assistant.graph.nodes)).toContain('echo');
  });

  it('is known by its name alone where it is not served any more', async () => {
    const id = randomId();
    await server.gql(
      'mutation ($id: ID!) { createAssistant(input: { id: $id, graphId: "echo" }) { id } }',
      { id },
    );
    // What a server finds that was started without the graph.
    await server.app.sql.query(`UPDATE "Assistant" SET "graphId" = 'gone' WHERE "id" = $1`, [id]);
    const { assistant } = await server.gql(
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
