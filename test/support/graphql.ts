import { initGraphQLTada, type ResultOf } from 'gql.tada';
import type { introspection } from '../front-end/generated/schema.d.ts';

/** Gives a document the types of its variables and of its answer, from the introspection of schema.graphql. */
export const operation = initGraphQLTada<{
  introspection: introspection;
  scalars: { DateTime: string; JSON: unknown; JSONObject: Record<string, unknown> };
}>();

/** The fields of Query and Mutation that are null only with an error. */
type NullWithError =
  | keyof introspection['types']['Mutation']['fields']
  | 'apiKeys'
  | 'assistants'
  | 'pendingInterrupts'
  | 'runs'
  | 'threads'
  | 'threadCounts'
  | 'runCounts';

/** An answer without errors. */
export type Answered<Result> = {
  [Field in keyof Result]: Field extends NullWithError ? NonNullable<Result[Field]> : Result[Field];
};

/** The answer to a document, without errors. */
export type AnswerTo<Document> = Answered<ResultOf<Document>>;

/** A message in the values of a test graph. */
interface StoredMessage {
  id: string;
  type: string;
  content: unknown;
  [field: string]: unknown;
}

/** The values of a test graph. Most of these graphs have the channel `log` or `messages`. */
export interface Values {
  log: string[];
  messages: StoredMessage[];
  [channel: string]: unknown;
}

/** Gives a JSON answer the type of a test graph's values. */
export function valuesOf(json: unknown): Values {
  return json as Values;
}

/** Returns the contents of the messages in a graph's values. */
export function contentsOf(json: unknown): unknown[] {
  return (valuesOf(json).messages ?? []).map(({ content }) => content);
}

/** Returns the ids of objects, in order. */
export function idsOf(objects: readonly { id: string }[]): string[] {
  return objects.map(({ id }) => id);
}
