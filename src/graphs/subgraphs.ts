import type { CompiledGraph } from './load.ts';

/** The subgraph of a namespace. Undefined if the code of a node calls the subgraph: the graph then has no list of it. */
export function findSubgraph(graph: CompiledGraph, namespace: string): CompiledGraph | undefined {
  if (namespace === '') return graph;
  const names = namespace
    .split('|')
    .filter((part) => !/^\d+$/.test(part)) // a call of the same subgraph after the first
    .map((part) => part.split(':')[0]);
  const path = names.join('|');
  // LangGraph before 1.7.3 also returns a subgraph if only the beginning of its name matches.
  for (const [name, subgraph] of graph.getSubgraphs(path, true)) {
    if (name === path) return subgraph as CompiledGraph;
  }
  return undefined;
}

/** Whether the graph lacks `node`, or a node on the path of its namespace. Subgraphs in the code of a node do not count. */
export function isNodeGone(
  graph: CompiledGraph,
  { namespace, node }: { namespace: string; node: string },
): boolean {
  const path = namespace.split('|').filter((part) => part !== '' && !/^\d+$/.test(part));
  const names = path.map((part) => part.split(':')[0] ?? '');
  for (const [i, name] of names.entries()) {
    const within = findSubgraph(graph, names.slice(0, i).join('|'));
    if (!within) return false;
    if (!(name in within.nodes)) return true;
  }
  const own = findSubgraph(graph, names.join('|'));
  return own !== undefined && !(node in own.nodes);
}

/** Whether the graph contains the subgraph of a namespace. False if the code of a node calls the subgraph. */
export function knowsSubgraph(graph: CompiledGraph, namespace: string): boolean {
  return findSubgraph(graph, namespace) !== undefined;
}
