import { canRead, canReadRun, canWrite, ownerOf } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import { isForThread } from '../db/node-id.ts';
import type { Query } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { IdTakenError, NotFoundError } from '../errors.ts';

/**
 * Locks a thread until the end of the transaction, before a decision about its state or a change. FOR NO KEY UPDATE: an attempt
 * locks its run and then, by a foreign key, the thread FOR KEY SHARE. FOR UPDATE would conflict with this lock, and the
 * transactions could deadlock. Throws NotFoundError.
 */
export async function lockThread(query: Query, viewer: Viewer, id: string): Promise<void> {
  const [thread] = await query(
    sql`SELECT 1 FROM "Thread" WHERE "id" = ${id} AND ${canWrite(viewer)} FOR NO KEY UPDATE`,
  );
  if (!thread) throw new NotFoundError('Thread', id);
}

/**
 * Locks a thread as `lockThread` does, and creates a missing one. Waits for a deletion of the thread. Throws IdTakenError if an
 * assistant, a run or a thread of another viewer has the id.
 */
export async function lockOrCreateThread(
  query: Query,
  viewer: Viewer,
  { id, metadata }: { id: string; metadata: Record<string, unknown> },
): Promise<void> {
  const { tenant, owner } = ownerOf(viewer);
  const [thread] = await query(
    sql`INSERT INTO "Thread" ("id", "tenant", "owner", "metadata")
      SELECT ${id}::uuid, ${tenant}, ${owner}, ${JSON.stringify(metadata)}::jsonb WHERE ${isForThread(id)}
      ON CONFLICT ("id") DO UPDATE SET "updatedAt" = "Thread"."updatedAt" WHERE ${canWrite(viewer, '"Thread"')}
      RETURNING "id"`,
  );
  if (!thread) throw new IdTakenError(id);
}

/**
 * Locks the existing threads, and then their active runs: until the end of the transaction, no attempt can store events or
 * checkpoints. For the order of locks, see src/README.md.
 */
export async function lockThreads(
  query: Query,
  viewer: Viewer,
  ids: readonly string[],
): Promise<void> {
  if (ids.length === 0) return;
  await query(
    sql`SELECT 1 FROM "Thread" WHERE "id" = ANY(${ids}::uuid[]) AND ${canRead(viewer)} ORDER BY "id" FOR NO KEY UPDATE`,
  );
  await query(
    sql`SELECT 1 FROM "Run" WHERE "threadId" = ANY(${ids}::uuid[]) AND "status" IN ('PENDING', 'RUNNING') AND ${canReadRun(viewer)}
      ORDER BY "id" FOR UPDATE`,
  );
}
