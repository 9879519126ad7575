import type { TadaDocumentNode } from 'gql.tada';
import { expect } from 'vitest';
import type { Client } from './client.ts';
import { operation, type AnswerTo } from './graphql.ts';

const threadQuery = <const Fields extends string>(fields: Fields) =>
  operation(`query ($id: ID!) { thread(id: $id) { ${fields} } }`);

type Answer<Fields extends string> = AnswerTo<ReturnType<typeof threadQuery<Fields>>>;
type Selected<Fields extends string> =
  Answer<Fields> extends { thread: infer Thread } ? NonNullable<Thread> : never;

/** Reads these fields of a thread. Fails the test if the server has no such thread. */
export async function selectThread<const Fields extends string>(
  client: Pick<Client, 'gql'>,
  id: string,
  fields: Fields,
): Promise<Selected<Fields>> {
  const query = threadQuery(fields) as TadaDocumentNode<{ thread: Selected<Fields> | null }>;
  const { thread } = await client.gql(query, { id });
  return thread ?? expect.fail(`No thread ${id}`);
}
