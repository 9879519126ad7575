import type { App } from '../app.ts';
import { builder } from '../schema/builder.ts';
import type { GraphDescription } from './describe.ts';
import { describeGraphById } from './describe.ts';

/** An id is enough, also one of a graph that is no longer deployed: the rest is found when it is asked for. */
export const GraphRef = builder.objectRef<{ id: string }>('Graph');

const GraphNode = builder.objectRef<GraphDescription['nodes'][number]>('GraphNode').implement({
  description: 'A step of a graph.',
  fields: (t) => ({
    name: t.exposeString('name', {
      description: 'Where it begins and ends, the graph has `__start__` and `__end__`.',
    }),
    metadata: t.expose('metadata', {
      type: 'JSONObject',
      nullable: true,
      description: 'What the author of the graph attached to it.',
    }),
  }),
});

const GraphEdge = builder.objectRef<GraphDescription['edges'][number]>('GraphEdge').implement({
  description: 'A way from one node to another.',
  fields: (t) => ({
    source: t.exposeString('source', { description: "A node's name." }),
    target: t.exposeString('target', { description: "A node's name." }),
    conditional: t.exposeBoolean('conditional', {
      description: 'Whether the graph decides as it runs if it goes this way.',
    }),
    label: t.exposeString('label', {
      nullable: true,
      description: 'What the author called the decision, where that is not the name of the target.',
    }),
  }),
});

function described<Key extends keyof GraphDescription>(key: Key) {
  return async ({ id }: { id: string }, _args: object, app: App) =>
    (await describeGraphById(app, id))[key];
}

GraphRef.implement({
  description: `A LangGraph graph named in langgraph.json. One that a function makes is shown as the function makes it for an \
empty configuration. Where that fails, and for an assistant whose graph is not deployed any more, all schemas are null, \
and nodes, edges and Mermaid source empty.`,
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The name it has in langgraph.json.' }),
    inputSchema: t.field({
      type: 'JSONObject',
      nullable: true,
      description:
        'JSON Schema of what a run takes. Like the other schemas, null where the graph declares none.',
      resolve: described('inputSchema'),
    }),
    outputSchema: t.field({
      type: 'JSONObject',
      nullable: true,
      description: 'JSON Schema of what a run gives.',
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
      description: 'JSON Schema of the `context` of assistants and runs.',
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
    description: 'By the name it has in langgraph.json. Null where there is none.',
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
