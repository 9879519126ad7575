import type { App } from '../app.ts';
import { ConflictError, NotFoundError } from '../errors.ts';
import { isDefaultAssistant, readAssistantId } from './input.ts';

/**
 * Hides the assistant, forgets its versions, and gives its id. The row stays, because the runs that it made go on
 * showing it. The assistants that graphs' names stand for cannot be deleted.
 */
export async function deleteAssistant(
  app: Pick<App, 'sql' | 'graphs'>,
  idOrGraphId: string,
): Promise<string> {
  const id = readAssistantId(app, 'id', idOrGraphId);
  if (isDefaultAssistant(app, id)) {
    throw new ConflictError(
      `Assistant ${id} is the default assistant of its graph; it cannot be deleted.`,
    );
  }
  return app.sql.transaction(async (query) => {
    const deleted = await query(
      `UPDATE "Assistant" SET "deletedAt" = now() WHERE "id" = $1 AND "deletedAt" IS NULL RETURNING 1`,
      [id],
    );
    if (deleted.length === 0) throw new NotFoundError('Assistant', id);
    await query('DELETE FROM "AssistantVersion" WHERE "assistantId" = $1', [id]);
    return id;
  });
}
