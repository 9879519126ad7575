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
import type { App } from '../app.ts';
import type { CompiledGraph, Graphs } from './load.ts';

type JsonObject = Record<string, unknown>;

/** What a graph takes and gives, as JSON Schemas, and how it is built. */
export interface GraphDescription {
  /** Undefined, as the other schemas are, where the graph declares none. */
  inputSchema: JsonObject | undefined;
  outputSchema: JsonObject | undefined;
  stateSchema: JsonObject | undefined;
  contextSchema: JsonObject | undefined;
  /** With `__start__` and `__end__`. */
  nodes: { name: string; metadata: JsonObject | undefined }[];
  edges: { source: string; target: string; conditional: boolean; label: string | undefined }[];
  mermaid: string;
}

const NOTHING_KNOWN: GraphDescription = {
  inputSchema: undefined,
  outputSchema: undefined,
  stateSchema: undefined,
  contextSchema: undefined,
  nodes: [],
  edges: [],
  mermaid: '',
};

/**
 * Describes the graph of that id: where a function makes it, what the function makes of an empty config. Of a graph that
 * is not deployed, or whose function throws, nothing is known: no schemas, no nodes, no edges and an empty picture.
 */
export async function describeGraphById(
  { graphs, log }: Pick<App, 'graphs' | 'log'>,
  id: string,
): Promise<GraphDescription> {
  if (!graphs.has(id)) return NOTHING_KNOWN;
  const known = descriptionsOf(graphs);
  const description =
    known.get(id) ??
    graphs
      .resolve(id)
      .then(describeGraph)
      .catch((error: unknown) => {
        known.delete(id); // the next one who asks tries again
        log.warn({ graphId: id, err: error }, 'a graph could not be described');
        return NOTHING_KNOWN;
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

/** Describes a compiled graph. All of it can be sent as JSON. */
export async function describeGraph(graph: CompiledGraph): Promise<GraphDescription> {
  const registry = jsonSchemasOf(graph);
  // reid: a graph that is not made of a StateGraph draws its nodes with random ids.
  const drawing = (await graph.getGraphAsync({})).reid();
  return {
    inputSchema: toPlain(() => getInputTypeSchema(graph, registry)),
    outputSchema: toPlain(() => getOutputTypeSchema(graph, registry)),
    stateSchema: toPlain(() => getStateTypeSchema(graph, registry)),
    contextSchema: toPlain(() => getConfigTypeSchema(graph, registry)),
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

/**
 * The graph's registry of zod schemas, except that it gives JSON Schemas. LangGraph takes them as they are, where its own
 * conversion throws on what JSON has no type for, such as dates and z.custom; here that is `{}`.
 */
function jsonSchemasOf(graph: CompiledGraph): SchemaMetaRegistry {
  const { _metaRegistry: own = schemaMetaRegistry } = graph as {
    _metaRegistry?: SchemaMetaRegistry;
  };
  const registry: Pick<SchemaMetaRegistry, 'getExtendedChannelSchemas'> = {
    getExtendedChannelSchemas(...args) {
      const schema = own.getExtendedChannelSchemas(...args);
      // Without its `~standard`, which is not enumerable, and would have LangGraph convert it again.
      return { ...toJsonSchema(schema, { unrepresentable: 'any' }) } as InteropZodObject;
    },
  };
  return registry as SchemaMetaRegistry;
}

/** Undefined where there is nothing, or nothing that JSON can hold. */
function toPlain(read: () => object | undefined): JsonObject | undefined {
  try {
    const value = read();
    return value && JSON.parse(JSON.stringify(value));
  } catch {
    return undefined; // a description with a gap is better than none
  }
}
