import { canRead, canReadRun, canWrite, ownerOf } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import { isForThread } from '../db/node-id.ts';
import type { Query } from '../db/query.ts';
import { join, sql, type Statement } from '../db/sql.ts';
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

/** A thread, and the viewer whose scope decides whether it exists. */
interface LockedThread {
  viewer: Viewer;
  threadId: string;
}

/**
 * Locks the existing threads, and then their active runs: until the end of the transaction, no attempt can store events or
 * checkpoints. For the order of locks, see src/README.md.
 */
export async function lockThreads(query: Query, threads: readonly LockedThread[]): Promise<void> {
  if (threads.length === 0) return;
  const isThread = forEachViewer(
    threads,
    (viewer, ids) => sql`"id" = ANY(${ids}::uuid[]) AND ${canRead(viewer)}`,
  );
  await query(sql`SELECT 1 FROM "Thread" WHERE ${isThread} ORDER BY "id" FOR NO KEY UPDATE`);
  const isRun = forEachViewer(
    threads,
    (viewer, ids) => sql`"threadId" = ANY(${ids}::uuid[]) AND ${canReadRun(viewer)}`,
  );
  await query(
    sql`SELECT 1 FROM "Run" WHERE (${isRun}) AND "status" IN ('PENDING', 'RUNNING') ORDER BY "id" FOR UPDATE`,
  );
}

/** The condition of one of the viewers must hold. Handlers give each run a viewer with a filter of its own. */
function forEachViewer(
  threads: readonly LockedThread[],
  conditionOf: (viewer: Viewer, ids: string[]) => Statement,
): Statement {
  const viewers = new Map<Viewer, string[]>();
  for (const { viewer, threadId } of threads) {
    viewers.set(viewer, [...(viewers.get(viewer) ?? []), threadId]);
  }
  return join(
    Array.from(viewers, ([viewer, ids]) => conditionOf(viewer, ids)),
    ' OR ',
  );
}
