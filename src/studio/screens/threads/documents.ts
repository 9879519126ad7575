import { graphql, type ResultOf } from '../../data/graphql.ts';

export const LIST_THREADS = graphql(`
  query ListThreads(
    $filter: ThreadFilter
    $orderBy: ThreadOrder
    $first: Int
    $after: String
    $last: Int
    $before: String
  ) {
    threads(
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
        metadata
        graphId
        createdAt
        updatedAt
        interrupts {
          id
        }
        preview {
          title
          lastText
          lastType
        }
        error {
          name
          message
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

export type ListedThread = NonNullable<ResultOf<typeof LIST_THREADS>['threads']>['nodes'][number];

export const COUNT_THREADS = graphql(`
  query CountThreads($filter: ThreadFilter) {
    threadCounts(filter: $filter) {
      status
      count
    }
  }
`);

export const CREATE_THREAD = graphql(`
  mutation CreateThread($input: CreateThreadInput) {
    createThread(input: $input) {
      id
    }
  }
`);

export const COPY_THREAD = graphql(`
  mutation CopyThread($id: ID!) {
    copyThread(id: $id) {
      id
    }
  }
`);

export const DELETE_THREAD = graphql(`
  mutation DeleteThread($id: ID!) {
    deleteThread(id: $id)
  }
`);

export const UPDATE_THREAD = graphql(`
  mutation UpdateThread($id: ID!, $input: UpdateThreadInput!) {
    updateThread(id: $id, input: $input) {
      id
      metadata
      updatedAt
    }
  }
`);
