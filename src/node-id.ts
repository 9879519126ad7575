import type { Query } from './db/open.ts';

/** The types whose ids are unique over all of them. */
export type NodeType = 'Assistant' | 'Thread' | 'Run';

/**
 * Says which type of node has an id that a client chose, undefined where it is free, and keeps everyone else who
 * asks from taking it until the transaction ends: the tables' primary keys know nothing of each other. Hidden rows
 * count: a deleted assistant, a run's tombstone.
 */
export async function lockId(query: Query, id: string): Promise<NodeType | undefined> {
  const [owner] = await query<{ type: NodeType | null }>(`SELECT lock_id($1) AS "type"`, [id]);
  return owner?.type ?? undefined;
}

/** SQL: whether a thread has the id or can have it, which is kept for whoever asks as `lockId` does. */
export function isForThread(id: string): string {
  return `coalesce(lock_id(${id}), 'Thread') = 'Thread'`;
}
