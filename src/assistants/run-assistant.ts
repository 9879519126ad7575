import { permit } from '../auth/authorize.ts';
import { canReadAssistant } from '../auth/scope.ts';
import { scopeKey, type Viewer } from '../auth/viewer.ts';
import type { Query, Sql } from '../db/query.ts';
import { sql, type Statement } from '../db/sql.ts';
import { NotFoundError } from '../errors.ts';
import type { Assistant, PrismaClient } from '../generated/prisma/client.ts';
import { remember } from '../remember.ts';

/** An assistant, and the version of its row (`xmin`) when it was read. */
export interface RunAssistant extends Assistant {
  rowVersion: string;
}

/**
 * The assistants of recent runs. An assistant may have changed since it was read, so the insertion of a run checks `isUnchanged`.
 * Gain, in alternating runs with the server without it: a waited run 6 %, 16 runs at once 8 %.
 */
export interface RunAssistants {
  /** Null: the viewer has no such assistant. */
  find(viewer: Viewer, id: string): Promise<RunAssistant | null>;
  forget(viewer: Viewer, id: string): void;
}

const MOST_REMEMBERED = 500;
/** Clients create assistants: the memory must stay small. */
const MOST_CHARS = 20_000;

export function createRunAssistants(query: Query): RunAssistants {
  const known = new Map<string, RunAssistant>();
  const keyOf = (viewer: Viewer, id: string) => `${id} ${scopeKey(viewer)}`;
  return {
    async find(asking, id) {
      const viewer = await permit(asking, 'assistants:read', { assistant_id: id });
      const key = keyOf(viewer, id);
      const remembered = viewer.ask ? undefined : known.get(key);
      if (remembered) return remembered;
      const [assistant] = await query<RunAssistant>(
        sql`SELECT *, "xmin"::text AS "rowVersion" FROM "Assistant"
          WHERE "id" = ${id} AND "deletedAt" IS NULL AND ${canReadAssistant(viewer)}`,
      );
      if (!assistant) return null;
      const isSmall = JSON.stringify(assistant).length <= MOST_CHARS;
      // Handlers may answer differently each time.
      if (isSmall && !viewer.ask) remember(known, key, assistant, MOST_REMEMBERED);
      return assistant;
    },
    forget: (viewer, id) => void known.delete(keyOf(viewer, id)),
  };
}

/**
 * The assistant of a run that the viewer may read, also after its deletion. Runs of a list share a statement, unless handlers decide
 * about each assistant. Throws NotFoundError if they hide it.
 */
export async function assistantOfRun(
  { db, sql: { query } }: { db: PrismaClient; sql: Sql },
  asking: Viewer,
  { assistantId: id }: { assistantId: string },
): Promise<Assistant> {
  if (!asking.ask) return db.assistant.findUniqueOrThrow({ where: { id } });
  const viewer = await permit(asking, 'assistants:read', { assistant_id: id });
  const [assistant] = await query<Assistant>(
    sql`SELECT * FROM "Assistant" WHERE "id" = ${id} AND ${canReadAssistant(viewer)}`,
  );
  if (!assistant) throw new NotFoundError('Assistant', id);
  return assistant;
}

/** Whether the row of the assistant still has this version: each change, also a deletion, writes a new row version. */
export function isUnchanged(id: unknown, rowVersion: string): Statement {
  return sql`EXISTS (SELECT 1 FROM "Assistant" a WHERE a."id" = ${id} AND a."xmin"::text = ${rowVersion})`;
}

/** An assistant has changed between the check of a request and the insertion of its run. */
export class AssistantChangedError extends Error {
  readonly assistantId: string;

  constructor(assistantId: string) {
    super(`Assistant ${assistantId} has changed.`);
    this.assistantId = assistantId;
  }
}
