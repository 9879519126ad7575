import { initGraphQLTada } from 'gql.tada';
import type { introspection } from '../../client/generated/schema.d.ts';

/** Makes a document whose answer and variables have types from schema.graphql. */
export const graphql = initGraphQLTada<{
  introspection: introspection;
  disableMasking: true;
  scalars: { DateTime: string; JSON: unknown; JSONObject: Record<string, unknown> };
}>();

export type { ResultOf, VariablesOf } from 'gql.tada';
