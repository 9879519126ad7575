import { permit } from '../auth/authorize.ts';
import { canWriteRun } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Query, Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import { ConflictError, NotFoundError } from '../errors.ts';
import type { Run } from '../generated/prisma/client.ts';
import { isFinal } from './status.ts';

/**
 * Deletes an ended run and its events. Its checkpoints stay in the thread. Two kinds of runs stay as a tombstone: a run with an
 * idempotency key, and a run without a start. The final event of the latter may lie between the events of a different run, whose
 * readers would find a missing number.
 */
export async function deleteRun(app: { sql: Sql }, asking: Viewer, runId: string): Promise<string> {
  const id = parseUuid('id', runId);
  const viewer = await permit(asking, 'threads:delete', { run_id: id });
  return app.sql.transaction(async (query) => {
    const [run] = await query<Pick<Run, 'status' | 'idempotencyKey' | 'startedAt'>>(
      sql`SELECT "status", "idempotencyKey", "startedAt" FROM "Run"
        WHERE "id" = ${id} AND NOT "tombstone" AND ${canWriteRun(viewer)} FOR UPDATE`,
    );
    if (!run) throw new NotFoundError('Run', id);
    if (!isFinal(run.status)) {
      throw new ConflictError(`Run ${id} is ${run.status}; only an ended run can be deleted.`);
    }
    if (run.idempotencyKey !== null || run.startedAt === null) await hide(query, id);
    else await query(sql`DELETE FROM "Run" WHERE "id" = ${id}`);
    return id;
  });
}

/** Keeps a tombstone and the final event. A new finishedAt: see deleteThread. */
async function hide(query: Query, id: string): Promise<void> {
  await query(
    sql`WITH events AS (DELETE FROM "RunEvent" WHERE "runId" = ${id} AND "type" <> 'FINISHED')
      UPDATE "Run" SET "tombstone" = true, "finishedAt" = now() WHERE "id" = ${id}`,
  );
}
