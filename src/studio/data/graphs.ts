import { useQuery } from 'urql';
import { graphql } from './graphql.ts';

const LIST_GRAPHS = graphql(`
  query ListGraphs {
    graphs {
      id
    }
  }
`);

/** The names of the graphs, which stay until the server starts again, and why they could not be read. */
export function useGraphs() {
  const [{ data, error }] = useQuery({ query: LIST_GRAPHS });
  return { graphs: data?.graphs.map(({ id }) => id), error };
}

/** The names of the graphs. Empty until the server has answered. */
export function useGraphIds(): readonly string[] {
  return useGraphs().graphs ?? [];
}
