import type { App } from '../app.ts';
import { ConflictError, NotFoundError } from '../errors.ts';
import { parseUuid } from '../uuid.ts';
import { isFinal } from './status.ts';
import type { RunStatus } from '../generated/prisma/enums.ts';

/** Deletes a run that has ended, with its events. What it left in its thread stays, and so does what its key stands for. */
export async function deleteRun({ sql }: Pick<App, 'sql'>, runId: string): Promise<string> {
  const id = parseUuid('id', runId);
  return sql.transaction(async (query) => {
    const [run] = await query<{ status: RunStatus; idempotencyKey: string | null }>(
      `SELECT "status", "idempotencyKey" FROM "Run" WHERE "id" = $1 AND NOT "tombstone" FOR UPDATE`,
      [id],
    );
    if (!run) throw new NotFoundError('Run', id);
    if (!isFinal(run.status)) {
      throw new ConflictError(
        `Run ${id} is ${run.status}; only a run that has ended can be deleted.`,
      );
    }
    if (run.idempotencyKey === null) await query(`DELETE FROM "Run" WHERE "id" = $1`, [id]);
    else await query(HIDE, [id]);
    return id;
  });
}

/** A tombstone, with its final event. */
const HIDE = `WITH events AS (DELETE FROM "RunEvent" WHERE "runId" = $1 AND "type" <> 'FINISHED')
UPDATE "Run" SET "tombstone" = true WHERE "id" = $1`;
