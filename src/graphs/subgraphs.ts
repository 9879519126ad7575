import type { CompiledGraph } from './load.ts';

/** The graph whose state a namespace holds; undefined where the graph does not know it: a node's code calls it. */
export function findSubgraph(graph: CompiledGraph, namespace: string): CompiledGraph | undefined {
  if (namespace === '') return graph;
  const names = namespace
    .split('|')
    .filter((part) => !/^\d+$/.test(part)) // the second call of a node, and those after it
    .map((part) => part.split(':')[0]);
  const path = names.join('|');
  // LangGraph finds those too whose names only begin alike.
  for (const [name, subgraph] of graph.getSubgraphs(path, true)) {
    if (name === path) return subgraph as CompiledGraph;
  }
  return undefined;
}

/** Whether the graph knows which of its subgraphs a namespace belongs to: one that a node's code calls is not known. */
export function knowsSubgraph(graph: CompiledGraph, namespace: string): boolean {
  return findSubgraph(graph, namespace) !== undefined;
}
