import { useQuery } from 'urql';
import { graphql } from '../../../data/graphql.ts';
import type { JsonSchema } from '../../../ui/forms/shape.ts';

const READ_INPUT_SCHEMA = graphql(`
  query ReadInputSchema($id: ID!) {
    graph(id: $id) {
      id
      inputSchema
    }
  }
`);

interface InputSchema {
  /** Null: the graph declares no channels. */
  schema: JsonSchema | null;
  /** The graph takes messages, so a person can talk to it. */
  takesMessages: boolean;
}

/** What a graph takes as its input. Undefined until the server has answered. */
export function useInputSchema(graphId: string | undefined): InputSchema | undefined {
  const [{ data }] = useQuery({
    query: READ_INPUT_SCHEMA,
    variables: { id: graphId ?? '' },
    pause: graphId === undefined,
  });
  if (!data) return undefined;
  const schema = data.graph?.inputSchema ?? null;
  const properties = (schema as { properties?: Record<string, unknown> } | null)?.properties;
  return { schema, takesMessages: properties !== undefined && 'messages' in properties };
}
