import type { App } from '../app.ts';
import { builder } from '../graphql/builder.ts';
import { BadInputError } from '../errors.ts';
import type { GraphDescription, GraphSchemas, Subgraph } from './describe.ts';
import { DEEPEST_DRAWING, describeGraphById, describeSubgraphsById } from './describe.ts';

/** Needs only the id, also for a graph no longer deployed. Resolvers load the description. */
export const GraphRef = builder.objectRef<{ id: string }>('Graph');

const GraphNode = builder.objectRef<GraphDescription['nodes'][number]>('GraphNode').implement({
  description: 'A node of a graph.',
  fields: (t) => ({
    name: t.exposeString('name', {
      description: 'Entry and exit of the graph are named `__start__` and `__end__`.',
    }),
    metadata: t.expose('metadata', {
      type: 'JSONObject',
      nullable: true,
      description: 'Metadata from the author of the graph.',
    }),
  }),
});

const GraphEdge = builder.objectRef<GraphDescription['edges'][number]>('GraphEdge').implement({
  description: 'A connection between two nodes.',
  fields: (t) => ({
    source: t.exposeString('source', { description: 'Name of a node.' }),
    target: t.exposeString('target', { description: 'Name of a node.' }),
    conditional: t.exposeBoolean('conditional', {
      description: 'True if the graph decides at run time about this edge.',
    }),
    label: t.exposeString('label', {
      nullable: true,
      description: "The author's name for the decision, if it differs from the target.",
    }),
  }),
});

const DEPTH = `Levels of subgraphs to draw in place of their nodes, from 0 to ${DEEPEST_DRAWING}. Names are then \`node:name\`.`;

/** A field of the description. With `depth`, of a drawing with subgraphs. */
function described<Key extends keyof GraphDescription>(key: Key) {
  return async ({ id }: { id: string }, { depth = 0 }: { depth?: number }, app: App) => {
    if (depth < 0 || depth > DEEPEST_DRAWING) {
      throw new BadInputError(
        'depth',
        `depth is ${depth}; it must be from 0 to ${DEEPEST_DRAWING}.`,
      );
    }
    return (await describeGraphById(app, id, { depth }))[key];
  };
}

const INPUT_SCHEMA =
  'JSON Schema of the input of a run. A graph with a zod or StateSchema state has the schemas of its author. The schema ' +
  'of a graph with annotations lists the channels by name: default values with their types, lists of messages ' +
  '(`langgraph_type: "messages"`), and descriptions of the reducers. All remaining channels accept any type, because ' +
  'annotations keep no TypeScript types. Every schema is null for a graph without declared channels, such as a graph of ' +
  'the functional API.';
const CONTEXT_SCHEMA =
  'JSON Schema of the `context` of assistants and runs. For an annotation in LangGraph before 1.0: JSON Schema of ' +
  '`config.configurable`. LangGraph 1.0 and later drop such an annotation; the schema is then null.';

const SubgraphRef = builder.objectRef<Subgraph>('Subgraph').implement({
  description: 'A graph that is a node of a graph.',
  fields: (t) => {
    const schema = (key: keyof GraphSchemas, description: string) =>
      t.field({
        type: 'JSONObject',
        nullable: true,
        description,
        resolve: (subgraph) => subgraph[key],
      });
    return {
      namespace: t.exposeString('namespace', {
        description:
          'The names of the nodes on the path to it, separated by `|`. Namespaces of checkpoints also have ids of tasks.',
      }),
      inputSchema: schema('inputSchema', 'JSON Schema of its input, as `Graph.inputSchema`.'),
      outputSchema: schema('outputSchema', 'JSON Schema of its output.'),
      stateSchema: schema('stateSchema', 'JSON Schema of its values.'),
      contextSchema: schema('contextSchema', 'JSON Schema of its `context`.'),
    };
  },
});

GraphRef.implement({
  description: `A LangGraph graph of langgraph.json. A graph made by a function is described as made for an empty configuration. \
If the function fails, or if the graph is no longer deployed, all schemas are null, and nodes, edges and Mermaid source are empty.`,
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Name in langgraph.json.' }),
    inputSchema: t.field({
      type: 'JSONObject',
      nullable: true,
      description: INPUT_SCHEMA,
      resolve: described('inputSchema'),
    }),
    outputSchema: t.field({
      type: 'JSONObject',
      nullable: true,
      description: 'JSON Schema of the output of a run.',
      resolve: described('outputSchema'),
    }),
    stateSchema: t.field({
      type: 'JSONObject',
      nullable: true,
      description: "JSON Schema of a thread's values.",
      resolve: described('stateSchema'),
    }),
    contextSchema: t.field({
      type: 'JSONObject',
      nullable: true,
      description: CONTEXT_SCHEMA,
      resolve: described('contextSchema'),
    }),
    nodes: t.field({
      type: [GraphNode],
      args: { depth: t.arg.int({ required: true, defaultValue: 0, description: DEPTH }) },
      resolve: described('nodes'),
    }),
    edges: t.field({
      type: [GraphEdge],
      args: { depth: t.arg.int({ required: true, defaultValue: 0, description: DEPTH }) },
      resolve: described('edges'),
    }),
    mermaid: t.string({
      description: 'Nodes and edges as Mermaid source.',
      args: { depth: t.arg.int({ required: true, defaultValue: 0, description: DEPTH }) },
      resolve: described('mermaid'),
    }),
    subgraphs: t.field({
      type: [SubgraphRef],
      description:
        'The graphs that are nodes of this graph. A graph that the code of a node calls is not among them.',
      args: {
        recurse: t.arg.boolean({
          required: true,
          defaultValue: false,
          description: 'True: also the subgraphs of subgraphs.',
        }),
      },
      resolve: async ({ id }, { recurse }, app) =>
        (await describeSubgraphsById(app, id)).filter(
          ({ namespace }) => recurse || !namespace.includes('|'),
        ),
    }),
  }),
});

builder.queryField('graph', (t) =>
  t.field({
    type: GraphRef,
    nullable: true,
    description: 'By name in langgraph.json. Null if none exists.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, { graphs }) => (graphs.has(id) ? { id } : null),
  }),
);

builder.queryField('graphs', (t) =>
  t.field({
    type: [GraphRef],
    description: 'All graphs of this server, in the order of langgraph.json.',
    resolve: (_root, _args, { graphs }) => graphs.ids.map((id) => ({ id })),
  }),
);
