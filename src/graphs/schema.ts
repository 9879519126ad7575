import type { App } from '../app.ts';
import { builder } from '../graphql/builder.ts';
import type { GraphDescription } from './describe.ts';
import { describeGraphById } from './describe.ts';

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

function described<Key extends keyof GraphDescription>(key: Key) {
  return async ({ id }: { id: string }, _args: object, app: App) =>
    (await describeGraphById(app, id))[key];
}

GraphRef.implement({
  description: `A LangGraph graph of langgraph.json. A graph made by a function is described as made for an empty configuration. \
If the function fails, or if the graph is no longer deployed, all schemas are null, and nodes, edges and Mermaid source are empty.`,
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Name in langgraph.json.' }),
    inputSchema: t.field({
      type: 'JSONObject',
      nullable: true,
      description:
        'JSON Schema of the input of a run. A graph with a zod or StateSchema state has the schemas of its author. The schema ' +
        'of a graph with annotations lists the channels by name: default values with their types, lists of messages ' +
        '(`langgraph_type: "messages"`), and descriptions of the reducers. All remaining channels accept any type, because ' +
        'annotations keep no TypeScript types. Every schema is null for a graph without declared channels, such as a graph of ' +
        'the functional API.',
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
      description:
        'JSON Schema of the `context` of assistants and runs. For an annotation in LangGraph before 1.0: JSON Schema of ' +
        '`config.configurable`. LangGraph 1.0 and later drop such an annotation; the schema is then null.',
      resolve: described('contextSchema'),
    }),
    nodes: t.field({
      type: [GraphNode],
      resolve: described('nodes'),
    }),
    edges: t.field({
      type: [GraphEdge],
      resolve: described('edges'),
    }),
    mermaid: t.string({
      description: 'Nodes and edges as Mermaid source.',
      resolve: described('mermaid'),
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
