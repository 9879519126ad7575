import { graphql, type ResultOf } from '../../data/graphql.ts';

export const READ_THREAD = graphql(`
  query ReadThreadHead($id: ID!) {
    thread(id: $id) {
      id
      status
      metadata
      graphId
      createdAt
      updatedAt
      stateUpdatedAt
      error {
        name
        message
      }
      preview {
        title
        lastText
        lastType
      }
      lastRun {
        id
        assistantId
      }
    }
    assistants(first: 100, orderBy: { field: NAME, direction: ASC }) {
      nodes {
        id
        name
        graphId
        metadata
      }
    }
  }
`);

export type ThreadHead = NonNullable<ResultOf<typeof READ_THREAD>['thread']>;
export type ListedAssistant = NonNullable<
  ResultOf<typeof READ_THREAD>['assistants']
>['nodes'][number];
