import { permit } from '../auth/authorize.ts';
import { canWriteAssistant } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { ConflictError, NotFoundError } from '../errors.ts';
import type { Graphs } from '../graphs/load.ts';
import { isDefaultAssistant, readAssistantId } from './input.ts';

/**
 * Hides the assistant, deletes its versions, and returns its id. The row stays, because its runs refer to it. The default
 * assistant of a graph cannot be deleted.
 */
export async function deleteAssistant(
  app: { sql: Sql; graphs: Graphs },
  asking: Viewer,
  idOrGraphId: string,
): Promise<string> {
  const id = readAssistantId(app, 'id', idOrGraphId);
  if (isDefaultAssistant(app, id)) {
    throw new ConflictError(
      `Assistant ${id} is the default assistant of its graph; it cannot be deleted.`,
    );
  }
  const viewer = await permit(asking, 'assistants:delete', { assistant_id: id });
  return app.sql.transaction(async (query) => {
    const deleted = await query(
      sql`UPDATE "Assistant" SET "deletedAt" = now()
        WHERE "id" = ${id} AND "deletedAt" IS NULL AND ${canWriteAssistant(viewer)} RETURNING 1`,
    );
    if (deleted.length === 0) throw new NotFoundError('Assistant', id);
    await query(sql`DELETE FROM "AssistantVersion" WHERE "assistantId" = ${id}`);
    return id;
  });
}
