import { graphql, type ResultOf } from '../../data/graphql.ts';

export const READ_GRAPH = graphql(`
  query ReadGraph($id: ID!, $depth: Int!) {
    graph(id: $id) {
      id
      nodes(depth: $depth) {
        name
        metadata
      }
      edges(depth: $depth) {
        source
        target
        conditional
        label
      }
      mermaid(depth: $depth)
      subgraphs(recurse: true) {
        namespace
      }
    }
  }
`);

type Graph = NonNullable<ResultOf<typeof READ_GRAPH>['graph']>;
export type GraphNode = Graph['nodes'][number];
export type GraphEdge = Graph['edges'][number];

export const READ_SCHEMAS = graphql(`
  query ReadGraphSchemas($id: ID!) {
    graph(id: $id) {
      id
      inputSchema
      outputSchema
      stateSchema
      contextSchema
    }
    assistants(first: 1, filter: { graphId: $id }) {
      totalCount
    }
  }
`);

export const CREATE_GRAPH_THREAD = graphql(`
  mutation CreateGraphThread($graphId: ID!) {
    createThread(input: { graphId: $graphId }) {
      id
    }
  }
`);
