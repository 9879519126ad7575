import type { Query } from './query.ts';
import { sql, type Statement } from './sql.ts';

/** The result of a request to create an object. `isNew` is false for an existing object. */
export type Created<Row> = Row & { isNew: boolean };

/** What happens if an object with the id of a new one exists. DO_NOTHING returns it. */
export const IF_EXISTS = ['RAISE', 'DO_NOTHING'] as const;
export type IfExists = (typeof IF_EXISTS)[number];

/** The types of nodes. An id is unique among all of them. */
export type NodeType = 'Assistant' | 'Thread' | 'Run';

/**
 * Locks an id chosen by a client until the transaction ends, because no primary key covers all tables. Returns the type of
 * node with this id, undefined if the id is free. Hidden rows count: a deleted assistant, the tombstone of a run.
 */
export async function lockId(query: Query, id: string): Promise<NodeType | undefined> {
  const [owner] = await query<{ type: NodeType | null }>(sql`SELECT lock_id(${id}) AS "type"`);
  return owner?.type ?? undefined;
}

/** True if a thread has the id or the id is free. Locks the id as `lockId` does. */
export function isForThread(id: unknown): Statement {
  return sql`coalesce(lock_id(${id}), 'Thread') = 'Thread'`;
}
