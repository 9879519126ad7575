import type { RunnableConfig } from '@langchain/core/runnables';
import { toJsonSchema } from '@langchain/core/utils/json_schema';
import type { InteropZodObject } from '@langchain/core/utils/types';
import type { LangGraphRunnableConfig } from '@langchain/langgraph';
import type { SchemaMetaRegistry } from '@langchain/langgraph/zod';
import { schemaMetaRegistry } from '@langchain/langgraph/zod';
import {
  getConfigTypeSchema,
  getInputTypeSchema,
  getOutputTypeSchema,
  getStateTypeSchema,
} from '@langchain/langgraph/zod/schema';
import { isRecord } from '../json.ts';
import type { Logger } from '../log.ts';
import { schemaOfChannels, type Channels, type Use } from './channel-schemas.ts';
import type { CompiledGraph, Graphs } from './load.ts';

type JsonObject = Record<string, unknown>;

/** The schemas of a graph as JSON Schemas. Undefined if the graph declares no such schema. */
export interface GraphSchemas {
  inputSchema: JsonObject | undefined;
  outputSchema: JsonObject | undefined;
  stateSchema: JsonObject | undefined;
  contextSchema: JsonObject | undefined;
}

/** The schemas of a graph, with its nodes and edges. */
export interface GraphDescription extends GraphSchemas {
  /** With `__start__` and `__end__`. `runnable`: the code of the node, undefined for the ends. */
  nodes: {
    name: string;
    metadata: JsonObject | undefined;
    runnable: { id: string[]; name: string } | undefined;
  }[];
  edges: { source: string; target: string; conditional: boolean; label: string | undefined }[];
  mermaid: string;
}

/** A graph at a node of a graph, with the namespace of its states without the ids of tasks, such as `parent|child`. */
export interface Subgraph extends GraphSchemas {
  namespace: string;
}

const EMPTY: GraphDescription = {
  inputSchema: undefined,
  outputSchema: undefined,
  stateSchema: undefined,
  contextSchema: undefined,
  nodes: [],
  edges: [],
  mermaid: '',
};

/** The most levels of subgraphs in one drawing. */
export const DEEPEST_DRAWING = 10;

/** How to describe a graph. */
export interface Describing {
  /** The levels of subgraphs that are drawn in place of their nodes, at most DEEPEST_DRAWING. Default: 0. */
  depth?: number | undefined;
  /** The argument of a graph function. Default: an empty configuration. */
  config?: LangGraphRunnableConfig | undefined;
}

/**
 * Describes the graph with this id. The description is empty, without schemas, nodes and edges, if the graph is not deployed
 * or its function throws.
 */
export function describeGraphById(
  app: Describer,
  id: string,
  { depth = 0, config }: Describing = {},
): Promise<GraphDescription> {
  const describe = (graph: CompiledGraph) => describeGraph(graph, depth);
  const what = { name: `graph ${depth}`, describe, otherwise: EMPTY };
  return describeById(app, id, { what, config });
}

/** Describes the subgraphs of the graph with this id, at all levels. Empty where the description of the graph is. */
export function describeSubgraphsById(
  app: Describer,
  id: string,
  { config }: Describing = {},
): Promise<Subgraph[]> {
  const what = { name: 'subgraphs', describe: describeSubgraphs, otherwise: [] };
  return describeById(app, id, { what, config });
}

interface Describer {
  graphs: Graphs;
  log: Logger;
}

interface What<Result> {
  name: string;
  describe: (graph: CompiledGraph) => Promise<Result>;
  otherwise: Result;
}

/** A graph does not change while it is served, so it is described once; a graph made for a configuration, each time. */
async function describeById<Result>(
  { graphs, log }: Describer,
  id: string,
  { what, config }: { what: What<Result>; config: LangGraphRunnableConfig | undefined },
): Promise<Result> {
  if (!graphs.has(id)) return what.otherwise;
  const isShared = config === undefined || !graphs.isMade(id);
  const known: Map<string, Promise<unknown>> = isShared ? descriptionsOf(graphs) : new Map();
  const key = JSON.stringify([what.name, id]);
  const description =
    (known.get(key) as Promise<Result> | undefined) ??
    graphs
      .resolve(id, isShared ? undefined : config)
      .then(what.describe)
      .catch((error: unknown) => {
        known.delete(key); // the next request tries again
        log.warn({ graphId: id, err: error }, 'a graph could not be described');
        return what.otherwise;
      });
  known.set(key, description);
  return description;
}

const descriptions = new WeakMap<Graphs, Map<string, Promise<unknown>>>();

function descriptionsOf(graphs: Graphs): Map<string, Promise<unknown>> {
  const known = descriptions.get(graphs) ?? new Map<string, Promise<unknown>>();
  descriptions.set(graphs, known);
  return known;
}

/** Describes a compiled graph. The description is a JSON value. */
export async function describeGraph(graph: CompiledGraph, depth = 0): Promise<GraphDescription> {
  // reid: without a StateGraph, the nodes of the drawing have random ids.
  const drawing = (await graph.getGraphAsync({ xray: depth } as RunnableConfig)).reid();
  return {
    ...schemasOf(graph),
    nodes: Object.values(drawing.nodes).map(({ id, metadata, data }) => ({
      name: id,
      metadata: toPlain(() => metadata),
      runnable: 'lc_id' in data ? { id: data.lc_id, name: data.getName() } : undefined,
    })),
    edges: drawing.edges.map(({ source, target, conditional = false, data }) => ({
      source,
      target,
      conditional,
      label: data,
    })),
    mermaid: drawing.drawMermaid(),
  };
}

/** Describes the subgraphs of a graph at all levels. */
async function describeSubgraphs(graph: CompiledGraph): Promise<Subgraph[]> {
  const found: Subgraph[] = [];
  for await (const [namespace, subgraph] of graph.getSubgraphsAsync(undefined, true)) {
    found.push({ namespace, ...schemasOf(subgraph as CompiledGraph) });
  }
  return found;
}

function schemasOf(graph: CompiledGraph): GraphSchemas {
  const registry = jsonSchemasOf(graph);
  const channels = channelsOf(graph);
  return {
    inputSchema:
      toPlain(() => getInputTypeSchema(graph, registry)) ??
      channelSchema(channels.input, 'updates'),
    outputSchema:
      toPlain(() => getOutputTypeSchema(graph, registry)) ??
      channelSchema(channels.output, 'values'),
    stateSchema:
      toPlain(() => getStateTypeSchema(graph, registry)) ?? channelSchema(channels.state, 'values'),
    contextSchema:
      toPlain(() => getConfigTypeSchema(graph, registry)) ??
      channelSchema(channels.context, 'values'),
  };
}

interface GraphChannels {
  input: Channels | undefined;
  output: Channels | undefined;
  state: Channels | undefined;
  context: Channels | undefined;
}

/** The channels in the definitions of a StateGraph, or those of any other graph. */
function channelsOf(graph: CompiledGraph): GraphChannels {
  const { builder = {} } = graph as { builder?: Record<string, unknown> };
  const pick = (definition: unknown, names: unknown) =>
    pickChannels(graph.channels, isRecord(definition) ? Object.keys(definition) : names);
  const configSchema = builder['_configSchema'];
  return {
    input: pick(builder['_inputDefinition'], graph.inputChannels),
    output: pick(builder['_outputDefinition'], graph.outputChannels),
    state: pick(builder['_schemaDefinition'], graph.streamChannels),
    // Only LangGraph before 1.0 keeps the annotation of the configuration.
    context: isRecord(configSchema) ? configSchema : undefined,
  };
}

/** Undefined for a graph with a single channel: its input or output is the value itself. */
function pickChannels(channels: Channels, names: unknown): Channels | undefined {
  if (!Array.isArray(names)) return undefined;
  const found = names.map((name: string) => [name, channels[name]] as const);
  return Object.fromEntries(found.filter(([, channel]) => !isManaged(channel)));
}

/** Such as RemainingSteps: LangGraph computes the value at each step. */
function isManaged(channel: unknown): boolean {
  return isRecord(channel) && channel['lg_is_channel'] !== true;
}

function channelSchema(channels: Channels | undefined, use: Use): JsonObject | undefined {
  return toPlain(() => channels && schemaOfChannels(channels, use));
}

/**
 * The graph's registry of zod schemas, with JSON Schemas as its results: LangGraph uses them unchanged. LangGraph's own
 * conversion throws for types without an equivalent in JSON, such as dates and z.custom. Here their schema is `{}`.
 */
function jsonSchemasOf(graph: CompiledGraph): SchemaMetaRegistry {
  const { _metaRegistry: own = schemaMetaRegistry } = graph as {
    _metaRegistry?: SchemaMetaRegistry;
  };
  const registry: Pick<SchemaMetaRegistry, 'getExtendedChannelSchemas'> = {
    getExtendedChannelSchemas(...args) {
      const schema = own.getExtendedChannelSchemas(...args);
      // The copy lacks `~standard`, which is not enumerable: with it, LangGraph would convert the schema again.
      return { ...toJsonSchema(schema, { unrepresentable: 'any' }) } as InteropZodObject;
    },
  };
  return registry as SchemaMetaRegistry;
}

/** The value as JSON. Undefined without a value, or if JSON cannot hold it. */
function toPlain(read: () => object | undefined): JsonObject | undefined {
  try {
    const value = read();
    return value && JSON.parse(JSON.stringify(value));
  } catch {
    return undefined; // a description with a gap is better than none
  }
}
