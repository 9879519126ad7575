import { useQuery } from 'urql';
import { graphql } from '../../../data/graphql.ts';
import { Field } from '../../../ui/Field.tsx';

const LIST_NODES = graphql(`
  query ListNodes($id: ID!) {
    graph(id: $id) {
      id
      nodes {
        name
      }
    }
  }
`);

const ENDS: Record<string, string> = {
  __start__: 'the input (the first nodes run next)',
  __end__: 'the end (nothing runs next)',
};

interface NodeFieldProps {
  graphId: string | null;
  namespace: string;
  /** Empty: the node that ran last. */
  node: string;
  onNode: (node: string) => void;
}

/** The node in whose name a state is edited: its edges decide what runs next. */
export function NodeField({ graphId, namespace, node, onNode }: NodeFieldProps) {
  const isRoot = namespace === '';
  const [{ data }] = useQuery({
    query: LIST_NODES,
    variables: { id: graphId ?? '' },
    pause: graphId === null || !isRoot,
  });
  const hint = 'The edges of this node decide what runs next. Empty: the node that ran last.';
  const nodes = data?.graph?.nodes ?? [];
  return (
    <Field label="As node" hint={hint}>
      {(ids) =>
        isRoot && nodes.length > 0 ? (
          <select {...ids} value={node} onChange={(event) => onNode(event.target.value)}>
            <option value="">The node that ran last</option>
            {nodes.map(({ name }) => (
              <option key={name} value={name}>
                {ENDS[name] ?? name}
              </option>
            ))}
          </select>
        ) : (
          <input {...ids} value={node} onChange={(event) => onNode(event.target.value)} />
        )
      }
    </Field>
  );
}
