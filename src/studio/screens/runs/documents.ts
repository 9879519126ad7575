import { graphql, type ResultOf } from '../../data/graphql.ts';

export const LIST_RUNS = graphql(`
  query ListRuns(
    $filter: RunFilter
    $orderBy: RunOrder
    $first: Int
    $after: String
    $last: Int
    $before: String
    $withAssistants: Boolean!
  ) {
    runs(
      filter: $filter
      orderBy: $orderBy
      first: $first
      after: $after
      last: $last
      before: $before
    ) {
      totalCount
      nodes {
        id
        status
        attempt
        createdAt
        startedAt
        finishedAt
        durationMs
        cancelReason
        assistantId
        threadId
        error {
          name
          message
        }
        assistant @include(if: $withAssistants) {
          id
          name
          graphId
        }
        thread {
          id
          metadata
          preview {
            title
            lastText
            lastType
          }
        }
      }
      pageInfo {
        startCursor
        endCursor
        hasNextPage
        hasPreviousPage
      }
    }
  }
`);

export type ListedRun = NonNullable<ResultOf<typeof LIST_RUNS>['runs']>['nodes'][number];

export const COUNT_RUNS = graphql(`
  query CountRuns($filter: RunFilter) {
    runCounts(filter: $filter) {
      status
      count
    }
  }
`);

export const CANCEL_RUN = graphql(`
  mutation CancelRun($id: ID!, $action: CancelAction!) {
    cancelRun(id: $id, action: $action) {
      id
      status
    }
  }
`);

export const DELETE_RUN = graphql(`
  mutation DeleteRun($id: ID!) {
    deleteRun(id: $id)
  }
`);

/** What a run was asked to do. */
export const READ_REQUEST = graphql(`
  query ReadRunRequest($id: ID!) {
    run(id: $id) {
      id
      input
      config
      context
      threadId
      assistantId
    }
  }
`);

export type RunRequest = NonNullable<ResultOf<typeof READ_REQUEST>['run']>;
