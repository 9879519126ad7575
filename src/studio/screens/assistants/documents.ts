import { graphql, type ResultOf } from '../../data/graphql.ts';

const LISTED_ASSISTANT = graphql(`
  fragment ListedAssistant on Assistant {
    id
    name
    description
    graphId
    version
    metadata
    updatedAt
  }
`);

export const LIST_ASSISTANTS = graphql(
  `
    query ListAssistants(
      $filter: AssistantFilter
      $first: Int
      $after: String
      $last: Int
      $before: String
    ) {
      assistants(
        filter: $filter
        orderBy: { field: NAME, direction: ASC }
        first: $first
        after: $after
        last: $last
        before: $before
      ) {
        totalCount
        nodes {
          ...ListedAssistant
        }
        pageInfo {
          startCursor
          endCursor
          hasNextPage
          hasPreviousPage
        }
      }
    }
  `,
  [LISTED_ASSISTANT],
);

export type ListedAssistant = NonNullable<
  ResultOf<typeof LIST_ASSISTANTS>['assistants']
>['nodes'][number];

export const READ_ASSISTANT = graphql(`
  query ReadAssistant($id: ID!) {
    assistant(id: $id) {
      id
      name
      description
      graphId
      version
      metadata
      graph {
        id
        contextSchema
      }
      versions(first: 100) {
        nodes {
          version
          name
          description
          graphId
          context
          config
          metadata
          createdAt
        }
      }
    }
  }
`);

export type ShownAssistant = NonNullable<ResultOf<typeof READ_ASSISTANT>['assistant']>;
export type AssistantVersion = ShownAssistant['versions']['nodes'][number];

export const CREATE_ASSISTANT = graphql(`
  mutation CreateAssistant($input: CreateAssistantInput!) {
    createAssistant(input: $input) {
      id
    }
  }
`);

export const UPDATE_ASSISTANT = graphql(
  `
    mutation UpdateAssistant($id: ID!, $input: UpdateAssistantInput!) {
      updateAssistant(id: $id, input: $input) {
        ...ListedAssistant
      }
    }
  `,
  [LISTED_ASSISTANT],
);

export const ACTIVATE_VERSION = graphql(
  `
    mutation ActivateVersion($id: ID!, $version: Int!) {
      setAssistantVersion(id: $id, version: $version) {
        ...ListedAssistant
      }
    }
  `,
  [LISTED_ASSISTANT],
);

export const DELETE_ASSISTANT = graphql(`
  mutation DeleteAssistant($id: ID!) {
    deleteAssistant(id: $id)
  }
`);

export const TRY_ASSISTANT = graphql(`
  mutation TryAssistant($metadata: JSONObject!) {
    createThread(input: { metadata: $metadata }) {
      id
    }
  }
`);
