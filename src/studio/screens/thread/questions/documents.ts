import { graphql, type ResultOf, type VariablesOf } from '../../../data/graphql.ts';

export const ANSWER = graphql(`
  mutation Answer($input: CreateRunInput!) {
    createRun(input: $input) {
      id
      status
      thread {
        id
        status
        updatedAt
      }
    }
  }
`);

export type AnswerInput = VariablesOf<typeof ANSWER>['input'];

/** Where a question stood, and the runs after it. */
export const READ_QUESTION = graphql(`
  query ReadQuestion($id: ID!) {
    interrupt(id: $id) {
      id
      isPending
      node
      threadId
      checkpointId
      checkpointNamespace
      createdAt
      thread {
        id
        runs(first: 20) {
          nodes {
            id
            createdAt
            status
            assistant {
              id
              name
            }
          }
        }
      }
    }
  }
`);

export const READ_RESULT = graphql(`
  query ReadResultOfNode($threadId: ID!, $checkpointId: ID!, $namespace: String!) {
    thread(id: $threadId) {
      id
      state(checkpointId: $checkpointId, checkpointNamespace: $namespace) {
        threadId
        checkpointId
        namespace
        tasks {
          name
          result
        }
      }
    }
  }
`);

export type AskedQuestion = NonNullable<ResultOf<typeof READ_QUESTION>['interrupt']>;
