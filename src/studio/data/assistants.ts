import { useQuery } from 'urql';
import { graphql } from './graphql.ts';

const LIST_NAMES = graphql(`
  query ListAssistantNames {
    assistants(first: 100, orderBy: { field: NAME, direction: ASC }) {
      nodes {
        id
        name
      }
    }
  }
`);

/** The first 100 assistants by name, for a choice. Undefined until the server has answered. */
export function useAssistants(): readonly { id: string; name: string }[] | undefined {
  const [{ data }] = useQuery({ query: LIST_NAMES, requestPolicy: 'cache-and-network' });
  return data?.assistants?.nodes;
}
