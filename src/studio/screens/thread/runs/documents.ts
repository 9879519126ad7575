import { graphql, type ResultOf } from '../../../data/graphql.ts';

export const LIST_THREAD_RUNS = graphql(`
  query ListThreadRuns($id: ID!, $first: Int!) {
    thread(id: $id) {
      id
      runs(first: $first) {
        totalCount
        nodes {
          id
          status
          attempt
          createdAt
          startedAt
          finishedAt
          durationMs
          error {
            name
            message
          }
        }
      }
    }
  }
`);

export type ThreadRun = NonNullable<
  ResultOf<typeof LIST_THREAD_RUNS>['thread']
>['runs']['nodes'][number];

export const READ_RUN = graphql(`
  query ReadRun($id: ID!) {
    run(id: $id) {
      id
      status
      attempt
      createdAt
      startedAt
      finishedAt
      durationMs
      cancelReason
      multitaskStrategy
      assistantId
      config
      context
      metadata
      error {
        name
        message
      }
      usage {
        inputTokens
        outputTokens
        totalTokens
      }
    }
  }
`);

export type RunFacts = NonNullable<ResultOf<typeof READ_RUN>['run']>;

/** Read when a person opens them: they may be large. */
export const READ_RUN_VALUES = graphql(`
  query ReadRunValues($id: ID!, $input: Boolean!, $output: Boolean!) {
    run(id: $id) {
      id
      input @include(if: $input)
      output @include(if: $output)
    }
  }
`);

const LISTED_EVENT = graphql(`
  fragment ListedEvent on RunEvent {
    __typename
    id
    namespace
    createdAt
    ... on RunStartedEvent {
      attempt
      startsFrom: checkpointId
    }
    ... on RunFinishedEvent {
      status
      error {
        name
        message
      }
    }
    ... on InterruptEvent {
      interrupts {
        id
        node
      }
    }
    ... on TasksEvent {
      task: data
    }
    ... on UpdatesEvent {
      node
    }
    ... on MessagesEvent {
      metadata
      message {
        messageId
        type
        text
      }
    }
    ... on CustomEvent {
      custom: data
    }
    ... on ToolsEvent {
      tool: data
    }
    ... on CheckpointsEvent {
      checkpointId
    }
  }
`);

/** A page of events, without values that may be large. */
export const READ_EVENTS = graphql(
  `
    query ReadRunEvents($id: ID!, $after: String, $modes: [StreamMode!]) {
      run(id: $id) {
        id
        events(first: 100, after: $after, modes: $modes) {
          nodes {
            ...ListedEvent
          }
          pageInfo {
            hasNextPage
            endCursor
          }
        }
      }
    }
  `,
  [LISTED_EVENT],
);

export type ListedEvent = NonNullable<
  ResultOf<typeof READ_EVENTS>['run']
>['events']['nodes'][number];

export const FOLLOW_EVENTS = graphql(
  `
    subscription FollowRunEvents($id: ID!, $after: ID, $modes: [StreamMode!]) {
      runEvents(runId: $id, after: $after, modes: $modes) {
        ...ListedEvent
      }
    }
  `,
  [LISTED_EVENT],
);

/** The whole event after another one. */
export const READ_EVENT = graphql(`
  query ReadRunEvent($id: ID!, $after: String, $modes: [StreamMode!]) {
    run(id: $id) {
      id
      events(first: 1, after: $after, modes: $modes) {
        nodes {
          __typename
          id
          ... on UpdatesEvent {
            update
          }
          ... on ValuesEvent {
            values
          }
          ... on CheckpointsEvent {
            checkpoint: data
          }
          ... on DebugEvent {
            debug: data
          }
          ... on LangChainEvent {
            trace: data
          }
        }
      }
    }
  }
`);
