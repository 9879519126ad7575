import { graphql, type ResultOf, type VariablesOf } from '../../../data/graphql.ts';

/** A page of checkpoints. These fields need no state. */
export const READ_HISTORY = graphql(`
  query ReadHistory(
    $id: ID!
    $namespace: String!
    $filter: CheckpointFilter
    $first: Int!
    $after: String
  ) {
    thread(id: $id) {
      id
      status
      state(checkpointNamespace: $namespace) {
        threadId
        namespace
        checkpointId
      }
      history(first: $first, after: $after, filter: $filter) {
        totalCount
        pageInfo {
          endCursor
          hasNextPage
        }
        nodes {
          threadId
          namespace
          checkpointId
          parentCheckpointId
          step
          source
          ran
          next
          createdAt
          runId
          run {
            id
            status
            attempt
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

export type HistoryPage = NonNullable<ResultOf<typeof READ_HISTORY>['thread']>;
export type HistoryRow = HistoryPage['history']['nodes'][number];
export type HistoryFilter = NonNullable<VariablesOf<typeof READ_HISTORY>['filter']>;
