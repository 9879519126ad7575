import { useQuery } from 'urql';
import { graphql } from '../../../data/graphql.ts';
import { useReadAgain } from '../../../data/read-again.ts';

const READ_AUTHORS = graphql(`
  query ReadAuthors($id: ID!) {
    thread(id: $id) {
      id
      messages(last: 200) {
        messageId
        runId
        usage {
          inputTokens
          outputTokens
        }
      }
      runs(first: 100) {
        nodes {
          id
          assistant {
            id
            name
          }
        }
      }
    }
  }
`);

export interface Author {
  runId: string;
  assistant: string;
  tokens: { input: number; output: number } | undefined;
}

/** Who made the newest messages: the run and its assistant, by the ids of the messages. Read again when the state is newer. */
export function useAuthors(id: string, stateUpdatedAt: string): ReadonlyMap<string, Author> {
  const [{ data }, read] = useQuery({ query: READ_AUTHORS, variables: { id } });
  useReadAgain(read, stateUpdatedAt);
  const names = new Map(data?.thread?.runs.nodes.map((run) => [run.id, run.assistant.name]));
  return new Map(
    data?.thread?.messages.flatMap(({ messageId, runId, usage }) => {
      if (messageId === null || runId === null) return [];
      const tokens = usage ? { input: usage.inputTokens, output: usage.outputTokens } : undefined;
      return [[messageId, { runId, assistant: names.get(runId) ?? '', tokens }] as const];
    }),
  );
}
