import type { App } from '../app.ts';
import { ConflictError, NotFoundError } from '../errors.ts';
import { parseUuid } from '../uuid.ts';
import { isFinal } from './status.ts';
import type { Run } from '../generated/prisma/client.ts';

/**
 * Deletes a run that has ended, with its events. What it left in its thread stays, and so does what its key stands for. One
 * that never began may have ended while another was telling: its final event stays, as no gap between that one's.
 */
export async function deleteRun({ sql }: Pick<App, 'sql'>, runId: string): Promise<string> {
  const id = parseUuid('id', runId);
  return sql.transaction(async (query) => {
    const [run] = await query<Pick<Run, 'status' | 'idempotencyKey' | 'startedAt'>>(
      `SELECT "status", "idempotencyKey", "startedAt" FROM "Run" WHERE "id" = $1 AND NOT "tombstone" FOR UPDATE`,
      [id],
    );
    if (!run) throw new NotFoundError('Run', id);
    if (!isFinal(run.status)) {
      throw new ConflictError(
        `Run ${id} is ${run.status}; only a run that has ended can be deleted.`,
      );
    }
    const isHidden = run.idempotencyKey !== null || run.startedAt === null;
    await query(isHidden ? HIDE : DELETE, [id]);
    return id;
  });
}

const DELETE = `DELETE FROM "Run" WHERE "id" = $1`;

/** A tombstone, with its final event. It is kept from now on: what ended long ago, retention has passed by (runs/retention.ts). */
const HIDE = `WITH events AS (DELETE FROM "RunEvent" WHERE "runId" = $1 AND "type" <> 'FINISHED')
UPDATE "Run" SET "tombstone" = true, "finishedAt" = now() WHERE "id" = $1`;
