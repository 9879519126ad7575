import { toJsonSchema } from '@langchain/core/utils/json_schema';
import type { InteropZodObject } from '@langchain/core/utils/types';
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

/** The schemas of a graph as JSON Schemas, with its nodes and edges. */
export interface GraphDescription {
  /** Undefined, like the other schemas, if the graph declares no such schema. */
  inputSchema: JsonObject | undefined;
  outputSchema: JsonObject | undefined;
  stateSchema: JsonObject | undefined;
  contextSchema: JsonObject | undefined;
  /** With `__start__` and `__end__`. */
  nodes: { name: string; metadata: JsonObject | undefined }[];
  edges: { source: string; target: string; conditional: boolean; label: string | undefined }[];
  mermaid: string;
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

/**
 * Describes the graph with this id. A graph function is called with an empty config. The description is empty, without
 * schemas, nodes and edges, if the graph is not deployed or its function throws.
 */
export async function describeGraphById(
  { graphs, log }: { graphs: Graphs; log: Logger },
  id: string,
): Promise<GraphDescription> {
  if (!graphs.has(id)) return EMPTY;
  const known = descriptionsOf(graphs);
  const description =
    known.get(id) ??
    graphs
      .resolve(id)
      .then(describeGraph)
      .catch((error: unknown) => {
        known.delete(id); // the next request tries again
        log.warn({ graphId: id, err: error }, 'a graph could not be described');
        return EMPTY;
      });
  known.set(id, description);
  return description;
}

/** A graph does not change while it is served, so it is described once. */
const descriptions = new WeakMap<Graphs, Map<string, Promise<GraphDescription>>>();

function descriptionsOf(graphs: Graphs): Map<string, Promise<GraphDescription>> {
  const known = descriptions.get(graphs) ?? new Map<string, Promise<GraphDescription>>();
  descriptions.set(graphs, known);
  return known;
}

/** Describes a compiled graph. The description is a JSON value. */
export async function describeGraph(graph: CompiledGraph): Promise<GraphDescription> {
  const registry = jsonSchemasOf(graph);
  // reid: without a StateGraph, the nodes of the drawing have random ids.
  const drawing = (await graph.getGraphAsync({})).reid();
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
    nodes: Object.values(drawing.nodes).map(({ id, metadata }) => ({
      name: id,
      metadata: toPlain(() => metadata),
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
