import { graphql } from '../../../data/graphql.ts';

export const READ_STEP = graphql(`
  query ReadStep($id: ID!, $checkpointId: ID, $namespace: String!) {
    thread(id: $id) {
      id
      graphId
      eventCursor
      state(checkpointId: $checkpointId, checkpointNamespace: $namespace) {
        threadId
        checkpointId
        namespace
        ran
        next
      }
    }
  }
`);

export const FOLLOW_TASKS = graphql(`
  subscription FollowTasks($id: ID!, $after: ID) {
    threadEvents(threadId: $id, after: $after, modes: [TASKS, MESSAGES, UPDATES]) {
      __typename
      id
      namespace
      ... on TasksEvent {
        task: data
      }
      ... on MessagesEvent {
        metadata
      }
      ... on UpdatesEvent {
        node
      }
    }
  }
`);
