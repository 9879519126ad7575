import { z } from 'zod';
import { NotFoundError } from '../errors.ts';
import { configurationOf } from '../graphs/configuration.ts';
import {
  DEEPEST_DRAWING,
  describeGraphById,
  describeSubgraphsById,
  type GraphDescription,
  type GraphSchemas,
} from '../graphs/describe.ts';
import { flag, jsonObject } from '../rest/fields.ts';
import { json, route, type Call } from '../rest/route.ts';
import { getAssistant } from './search.ts';

const TAG = 'Assistants';
const MISSING = 'There is no such assistant, or its graph is not deployed.';

const GraphShape = z
  .object({
    nodes: z.array(
      z.object({
        id: z.string(),
        type: z.enum(['runnable', 'schema']),
        data: jsonObject,
        metadata: jsonObject.optional(),
      }),
    ),
    edges: z.array(
      z.object({
        source: z.string(),
        target: z.string(),
        data: z.string().optional(),
        conditional: z.boolean(),
      }),
    ),
  })
  .meta({ id: 'AssistantGraph' });

const schema = jsonObject.nullable();
const SchemasShape = z
  .object({
    graph_id: z.string(),
    input_schema: schema,
    output_schema: schema,
    state_schema: schema,
    config_schema: schema,
    context_schema: schema,
  })
  .meta({ id: 'GraphSchemas' });

/** `true` draws all levels. */
const depth = z.union([
  z.enum(['true', 'false']).transform((all) => (all === 'true' ? DEEPEST_DRAWING : 0)),
  z.coerce.number().int().min(0),
]);

export const graphRoutes = [
  route({
    method: 'GET',
    path: '/assistants/{assistant_id}/graph',
    tag: TAG,
    summary:
      'The nodes and edges of its graph. xray is the number of levels of subgraphs to draw in place of their nodes, or true for all.',
    access: ['assistants:read'],
    query: z.object({ xray: depth.optional() }),
    answers: { 200: GraphShape, 404: MISSING },
    async handle(call) {
      const { graphId, config } = await graphOf(call);
      const levels = Math.min(call.query.xray ?? 0, DEEPEST_DRAWING);
      return json(showGraph(await describeGraphById(call.app, graphId, { depth: levels, config })));
    },
  }),
  route({
    method: 'GET',
    path: '/assistants/{assistant_id}/schemas',
    tag: TAG,
    summary: 'The JSON Schemas of its graph; null where the graph declares none.',
    access: ['assistants:read'],
    answers: { 200: SchemasShape, 404: MISSING },
    async handle(call) {
      const { graphId, config } = await graphOf(call);
      return json(showSchemas(graphId, await describeGraphById(call.app, graphId, { config })));
    },
  }),
  route({
    method: 'GET',
    path: '/assistants/{assistant_id}/subgraphs',
    tag: TAG,
    summary:
      'The schemas of the subgraphs of its graph, by namespace. With recurse, also of subgraphs within subgraphs.',
    access: ['assistants:read'],
    query: z.object({ recurse: flag.optional() }),
    answers: { 200: z.record(z.string(), SchemasShape), 404: MISSING },
    handle: (call) =>
      answerSubgraphs(call, (namespace) => call.query.recurse || !namespace.includes('|')),
  }),
  route({
    method: 'GET',
    path: '/assistants/{assistant_id}/subgraphs/{namespace}',
    tag: TAG,
    summary:
      'The same for one namespace, such as `parent|child`. Empty if there is no such subgraph.',
    access: ['assistants:read'],
    answers: { 200: z.record(z.string(), SchemasShape), 404: MISSING },
    handle: (call) => answerSubgraphs(call, (namespace) => namespace === call.params.namespace),
  }),
];

type AssistantCall = Call<'/assistants/{assistant_id}'>;

/** The graph of the assistant, and the configuration for a graph function. */
async function graphOf({ app, params }: AssistantCall) {
  const assistant = await getAssistant(app, app.viewer, params.assistant_id);
  const { id: assistantId, graphId } = assistant;
  if (!app.graphs.has(graphId)) throw new NotFoundError('Graph', graphId);
  return { graphId, config: configurationOf({ ...assistant, assistantId }) };
}

async function answerSubgraphs(
  call: AssistantCall,
  isWanted: (namespace: string) => boolean,
): Promise<Response> {
  const { graphId, config } = await graphOf(call);
  const subgraphs = await describeSubgraphsById(call.app, graphId, { config });
  const wanted = subgraphs.filter(({ namespace }) => isWanted(namespace));
  return json(
    Object.fromEntries(wanted.map((each) => [each.namespace, showSchemas(graphId, each)])),
  );
}

function showGraph({ nodes, edges }: GraphDescription) {
  return {
    nodes: nodes.map(({ name, metadata, runnable }) => ({
      id: name,
      ...(runnable
        ? { type: 'runnable', data: runnable }
        : { type: 'schema', data: { title: name } }),
      ...(metadata && { metadata }),
    })),
    edges: edges.map(({ source, target, conditional, label }) => ({
      source,
      target,
      ...(label !== undefined && { data: label }),
      conditional,
    })),
  };
}

/** LangGraph.js has one schema for the configuration, under two names. */
function showSchemas(graphId: string, schemas: GraphSchemas) {
  const context = schemas.contextSchema ?? null;
  return {
    graph_id: graphId,
    input_schema: schemas.inputSchema ?? null,
    output_schema: schemas.outputSchema ?? null,
    state_schema: schemas.stateSchema ?? null,
    config_schema: context,
    context_schema: context,
  };
}
