import { graphql, type ResultOf } from '../../data/graphql.ts';

export const LIST_QUESTIONS = graphql(`
  query ListQuestions(
    $graphId: ID
    $metadata: JSONObject
    $first: Int
    $after: String
    $last: Int
    $before: String
  ) {
    pendingInterrupts(
      graphId: $graphId
      metadata: $metadata
      first: $first
      after: $after
      last: $last
      before: $before
    ) {
      totalCount
      nodes {
        id
        value
        node
        createdAt
        thread {
          id
          graphId
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

export type ListedQuestion = NonNullable<
  ResultOf<typeof LIST_QUESTIONS>['pendingInterrupts']
>['nodes'][number];

export const READ_SELECTED = graphql(`
  query ReadSelectedQuestion($id: ID!) {
    interrupt(id: $id) {
      id
      isPending
      thread {
        id
        status
        graphId
        metadata
        preview {
          title
          lastText
          lastType
        }
        lastRun {
          id
          assistantId
        }
        interrupts {
          id
          value
          node
          responseSchema
          checkpointNamespace
          createdAt
        }
        messages(last: 6) {
          messageId
          type
          text
          name
          toolCalls {
            toolCallId
            name
          }
        }
      }
    }
  }
`);

export type SelectedThread = NonNullable<ResultOf<typeof READ_SELECTED>['interrupt']>['thread'];

export const DISMISS = graphql(`
  mutation DismissQuestions($threadId: ID!) {
    updateThreadState(id: $threadId, input: { asNode: "__end__" }) {
      threadId
      checkpointId
      namespace
    }
  }
`);
