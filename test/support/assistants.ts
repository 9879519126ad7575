import type { VariablesOf } from 'gql.tada';
import { expect } from 'vitest';
import type { Client } from './client.ts';
import { operation } from './graphql.ts';

const FIELDS = operation(`
  fragment Fields on Assistant @_unmask {
    id
    graphId
    name
    description
    config
    context
    metadata
    version
    createdAt
    updatedAt
  }
`);

export const CREATE_ASSISTANT = operation(
  `mutation ($input: CreateAssistantInput!) { createAssistant(input: $input) { ...Fields } }`,
  [FIELDS],
);
export const UPDATE_ASSISTANT = operation(
  `mutation ($id: ID!, $input: UpdateAssistantInput!) {
    updateAssistant(id: $id, input: $input) { ...Fields }
  }`,
  [FIELDS],
);
export const SET_VERSION = operation(
  `mutation ($id: ID!, $version: Int!) {
    setAssistantVersion(id: $id, version: $version) { ...Fields }
  }`,
  [FIELDS],
);
export const DELETE_ASSISTANT = operation(`mutation ($id: ID!) { deleteAssistant(id: $id) }`);

const FIND = operation(`query ($id: ID!) { assistant(id: $id) { ...Fields } }`, [FIELDS]);
const VERSIONS =
  operation(`query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
  assistant(id: $id) {
    versions(first: $first, after: $after, last: $last, before: $before) {
      nodes { version graphId name description config context metadata createdAt }
      pageInfo { hasNextPage startCursor endCursor }
    }
  }
}`);
const SEARCH = operation(
  `query (
    $filter: AssistantFilter, $orderBy: AssistantOrder, $first: Int, $after: String, $last: Int, $before: String
  ) {
    assistants(
      filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before
    ) {
      totalCount
      nodes { ...Fields }
      edges { cursor node { id } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }`,
  [FIELDS],
);

type AssistantInput = VariablesOf<typeof CREATE_ASSISTANT>['input'];
type AssistantChanges = VariablesOf<typeof UPDATE_ASSISTANT>['input'];
export type AssistantSearch = VariablesOf<typeof SEARCH>;

/** Creates an assistant, by default of graph `echo`. */
export async function createAssistant(client: Client, input: Partial<AssistantInput> = {}) {
  const variables = { input: { graphId: 'echo', ...input } };
  return (await client.gql(CREATE_ASSISTANT, variables)).createAssistant;
}

export async function updateAssistant(client: Client, id: string, input: AssistantChanges = {}) {
  return (await client.gql(UPDATE_ASSISTANT, { id, input })).updateAssistant;
}

export async function setVersion(client: Client, id: string, version: number) {
  return (await client.gql(SET_VERSION, { id, version })).setAssistantVersion;
}

export async function deleteAssistant(client: Client, id: string) {
  return (await client.gql(DELETE_ASSISTANT, { id })).deleteAssistant;
}

export async function findAssistant(client: Client, id: string) {
  return (await client.gql(FIND, { id })).assistant;
}

/** Fails the test if the server has no such assistant. */
export async function getAssistant(client: Client, id: string) {
  return (await findAssistant(client, id)) ?? expect.fail(`No assistant ${id}`);
}

export async function versionsOf(
  client: Client,
  id: string,
  page: Omit<VariablesOf<typeof VERSIONS>, 'id'> = {},
) {
  const { assistant } = await client.gql(VERSIONS, { id, ...page });
  return assistant?.versions ?? expect.fail(`No assistant ${id}`);
}

export async function searchAssistants(client: Client, search: AssistantSearch = {}) {
  return (await client.gql(SEARCH, search)).assistants;
}
