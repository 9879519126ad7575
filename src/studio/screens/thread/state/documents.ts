import { graphql, type ResultOf } from '../../../data/graphql.ts';

/** A checkpoint without its values: those may be large. */
export const READ_CHECKPOINT = graphql(`
  query ReadCheckpoint($id: ID!, $checkpointId: ID, $namespace: String!) {
    thread(id: $id) {
      id
      status
      state(checkpointId: $checkpointId, checkpointNamespace: $namespace) {
        threadId
        namespace
        checkpointId
        parentCheckpointId
        step
        source
        createdAt
        runId
        ran
        next
        metadata
        channels {
          name
          bytes
        }
        tasks {
          taskId
          name
          error
          interrupts {
            id
            value
            isPending
          }
          state {
            threadId
            namespace
            checkpointId
          }
        }
      }
    }
  }
`);

export type ShownCheckpoint = NonNullable<
  NonNullable<ResultOf<typeof READ_CHECKPOINT>['thread']>['state']
>;
export type Channel = ShownCheckpoint['channels'][number];

/** The values of some channels. */
export const READ_CHANNELS = graphql(`
  query ReadChannels($id: ID!, $checkpointId: ID!, $namespace: String!, $channels: [String!]!) {
    thread(id: $id) {
      id
      state(checkpointId: $checkpointId, checkpointNamespace: $namespace) {
        threadId
        namespace
        checkpointId
        values(channels: $channels)
      }
    }
  }
`);

/** The sizes of the channels. */
export const READ_SIZES = graphql(`
  query ReadSizes($id: ID!, $checkpointId: ID!, $namespace: String!) {
    thread(id: $id) {
      id
      state(checkpointId: $checkpointId, checkpointNamespace: $namespace) {
        threadId
        namespace
        checkpointId
        step
        source
        ran
        createdAt
        channels {
          name
          bytes
        }
      }
    }
  }
`);

/** The writes of the step before a checkpoint. */
export const READ_WRITES = graphql(`
  query ReadWrites($id: ID!, $checkpointId: ID!, $namespace: String!) {
    thread(id: $id) {
      id
      state(checkpointId: $checkpointId, checkpointNamespace: $namespace) {
        threadId
        namespace
        checkpointId
        writes
      }
    }
  }
`);

/** Edits a state by hand. */
export const UPDATE_STATE = graphql(`
  mutation UpdateState($id: ID!, $input: UpdateThreadStateInput!) {
    updateThreadState(id: $id, input: $input) {
      threadId
      namespace
      checkpointId
      channels {
        name
        bytes
      }
    }
  }
`);

export type EditedState = NonNullable<ResultOf<typeof UPDATE_STATE>['updateThreadState']>;
