import type { Query } from './db/open.ts';

/** The types whose ids are unique over all of them. */
export type NodeType = 'Assistant' | 'Thread' | 'Run';

/**
 * Says which type of node has an id that a client chose, undefined where it is free, and keeps everyone else who
 * asks from taking it until the transaction ends. Hidden rows count: a deleted assistant, a run's tombstone.
 */
export async function lockId(query: Query, id: string): Promise<NodeType | undefined> {
  await holdId(query, id);
  const [owner] = await query<{ type: NodeType }>(
    `SELECT 'Assistant' AS "type" FROM "Assistant" WHERE "id" = $1
     UNION ALL SELECT 'Thread' FROM "Thread" WHERE "id" = $1
     UNION ALL SELECT 'Run' FROM "Run" WHERE "id" = $1`,
    [id],
  );
  return owner?.type;
}

/** One advisory lock per id, until the transaction ends: the tables' primary keys know nothing of each other. */
export async function holdId(query: Query, id: string): Promise<void> {
  await query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [id]);
}
