import { Graph, layout } from '@dagrejs/dagre';
import type { GraphEdge, GraphNode } from './documents.ts';

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

const HEIGHT = 34;

/** Places the nodes of a graph from top to bottom. Each box begins at its left upper corner. */
export function layoutGraph(
  nodes: readonly Pick<GraphNode, 'name'>[],
  edges: readonly Pick<GraphEdge, 'source' | 'target'>[],
): Map<string, Box> {
  const graph = new Graph();
  graph.setGraph({ rankdir: 'TB', nodesep: 36, ranksep: 48, marginx: 8, marginy: 8 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { name } of nodes) graph.setNode(name, { width: widthOf(name), height: HEIGHT });
  for (const { source, target } of edges) graph.setEdge(source, target);
  layout(graph);
  return new Map(
    nodes.map(({ name }) => {
      const { x, y, width, height } = graph.node(name);
      return [name, { x: x - width / 2, y: y - height / 2, width, height }];
    }),
  );
}

function widthOf(name: string): number {
  return Math.max(92, Math.min(260, labelOf(name).length * 7.5 + 48));
}

/** The name of a node without the path of its subgraph; words for the entry and the exit. */
export function labelOf(name: string): string {
  const own = name.split(':').at(-1) ?? name;
  return { __start__: 'start', __end__: 'end' }[own] ?? own;
}
