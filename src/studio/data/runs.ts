import { graphql, type VariablesOf } from './graphql.ts';

export const START_RUN = graphql(`
  mutation StartRun($input: CreateRunInput!) {
    createRun(input: $input) {
      id
      status
      threadId
      thread {
        id
        status
        updatedAt
      }
    }
  }
`);

export type RunInput = VariablesOf<typeof START_RUN>['input'];

export const CANCEL_RUNS = graphql(`
  mutation CancelRuns($filter: RunFilter!, $action: CancelAction!) {
    cancelRuns(filter: $filter, action: $action) {
      id
      status
    }
  }
`);
