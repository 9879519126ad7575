import type { initGraphQLTada, ResultOf, TadaDocumentNode, VariablesOf } from 'gql.tada';
import type { introspection } from './generated/schema.d.ts';

/** The type of gql.tada's function: it types a document from schema.graphql. */
type Typed = ReturnType<
  typeof initGraphQLTada<{
    introspection: introspection;
    scalars: { DateTime: string; JSON: unknown; JSONObject: Record<string, unknown> };
  }>
>;

/** A document as text, with the types of its answer and variables. */
export type Document<Result, Variables> = TadaDocumentNode<Result, Variables>;

// At run time, a document stays a text: no parser is in the bundle.
const operation = ((text: string) => text) as unknown as Typed;

export const READ_THREAD = operation(`
  query ReadThread($id: ID!, $versions: Boolean!) {
    thread(id: $id) {
      eventCursor stateUpdatedAt
      messages(last: 1000) {
        messageId type text content name toolCallId
        toolCalls { toolCallId name args }
        versions @include(if: $versions) { isCurrent newest { checkpointId } }
      }
      interrupts { id value node responseSchema createdAt }
      runs(first: 100) {
        nodes { id status attempt error { name message } }
      }
      unfinished: runs(status: [PENDING, RUNNING], first: 100) {
        nodes { id input }
      }
    }
  }
`);

export const READ_OLDER_MESSAGES = operation(`
  query ReadOlderMessages($id: ID!, $before: ID!, $versions: Boolean!) {
    thread(id: $id) {
      messages(last: 1000, before: $before) {
        messageId type text content name toolCallId
        toolCalls { toolCallId name args }
        versions @include(if: $versions) { isCurrent newest { checkpointId } }
      }
    }
  }
`);

export const SHOW_VERSION = operation(`
  mutation ShowVersion($id: ID!, $checkpointId: ID!) {
    updateThreadState(id: $id, input: { checkpointId: $checkpointId, values: null }) { checkpointId }
  }
`);

export const FOLLOW_THREAD = operation(`
  subscription FollowThread($id: ID!, $after: ID) {
    threadEvents(threadId: $id, after: $after, modes: [MESSAGES, UPDATES]) {
      __typename id runId namespace
      ... on RunStartedEvent { attempt run { input } }
      ... on MessagesEvent {
        isChunk
        message {
          messageId type text content name toolCallId
          toolCalls { toolCallId name args }
          toolCallChunks { index toolCallId name args }
        }
      }
      ... on RunFinishedEvent { status error { name message } }
    }
  }
`);

export const AWAIT_THREAD = operation(`
  subscription AwaitThread($id: ID!) {
    threadChanges(ids: [$id]) { __typename }
  }
`);

export const FOLLOW_EDITS = operation(`
  subscription FollowEdits($id: ID!) {
    threadChanges(ids: [$id]) {
      __typename
      ... on ThreadUpdated { thread { stateUpdatedAt } }
    }
  }
`);

export const CREATE_RUN = operation(`
  mutation CreateRun($input: CreateRunInput!) {
    createRun(input: $input) { id }
  }
`);

export const CANCEL_RUNS = operation(`
  mutation CancelRuns($threadId: ID!) {
    cancelRuns(filter: { threadId: $threadId }, action: KEEP) { id }
  }
`);

export const READ_THREADS = operation(`
  query ReadThreads($filter: ThreadFilter, $first: Int!, $after: String) {
    threads(filter: $filter, first: $first, after: $after, orderBy: { field: UPDATED_AT }) {
      nodes { id status metadata createdAt updatedAt preview { title lastText lastType } }
      pageInfo { endCursor hasNextPage }
    }
  }
`);

export const FOLLOW_THREADS = operation(`
  subscription FollowThreads($filter: ThreadFilter) {
    threadChanges(filter: $filter) {
      __typename
      ... on ThreadUpdated { thread { id status metadata createdAt updatedAt preview { title lastText lastType } } }
      ... on ThreadRemoved { threadId }
    }
  }
`);

/** A thread as the server has it. */
export type StoredThread = NonNullable<ResultOf<typeof READ_THREAD>['thread']>;
export type ThreadEvent = ResultOf<typeof FOLLOW_THREAD>['threadEvents'];
export type RunInput = VariablesOf<typeof CREATE_RUN>['input'];
export type ThreadListFilter = VariablesOf<typeof READ_THREADS>['filter'];
export type ThreadChange = ResultOf<typeof FOLLOW_THREADS>['threadChanges'];
