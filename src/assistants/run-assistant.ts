import { canReadAssistant } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Query } from '../db/query.ts';
import { sql, type Statement } from '../db/sql.ts';
import type { Assistant } from '../generated/prisma/client.ts';

/** An assistant, and the version of its row (`xmin`) when it was read. */
export interface RunAssistant extends Assistant {
  rowVersion: string;
}

/** Finds an assistant for new runs. Null: there is no such assistant. */
export type FindRunAssistant = (id: string) => Promise<RunAssistant | null>;

/** Reads each assistant once. */
export function createRunAssistants(query: Query, viewer: Viewer): FindRunAssistant {
  const found = new Map<string, RunAssistant | null>();
  return async (id) => {
    const known = found.get(id);
    if (known !== undefined) return known;
    const [assistant = null] = await query<RunAssistant>(
      sql`SELECT *, "xmin"::text AS "rowVersion" FROM "Assistant"
        WHERE "id" = ${id} AND "deletedAt" IS NULL AND ${canReadAssistant(viewer)}`,
    );
    found.set(id, assistant);
    return assistant;
  };
}

/** Whether the row of the assistant still has this version: each change, also a deletion, writes a new row version. */
export function isUnchanged(id: unknown, rowVersion: string): Statement {
  return sql`EXISTS (SELECT 1 FROM "Assistant" a WHERE a."id" = ${id} AND a."xmin"::text = ${rowVersion})`;
}

/** An assistant has changed between the check of a request and the insertion of its run. */
export class AssistantChangedError extends Error {
  constructor(assistantId: string) {
    super(`Assistant ${assistantId} has changed.`);
  }
}
