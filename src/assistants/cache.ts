import type { Sql } from '../db/query.ts';
import { sql, type Statement } from '../db/sql.ts';
import type { Assistant } from '../generated/prisma/client.ts';
import { remember } from '../remember.ts';

/** An assistant, and the version of its row (`xmin`) when it was read. */
export interface CachedAssistant extends Assistant {
  rowVersion: string;
}

/** A cached assistant may have changed in the database: statements that depend on it check `isUnchanged`. */
export interface AssistantCache {
  /** Null: there is no such assistant. */
  find(id: string): Promise<CachedAssistant | null>;
  forget(id: string): void;
}

/** Above this number, the oldest entry is removed. */
const MOST_CACHED = 500;
/** Clients create assistants: large ones are not cached. */
const MOST_CACHED_CHARS = 20_000;

export function createAssistantCache({ query }: Pick<Sql, 'query'>): AssistantCache {
  const cached = new Map<string, CachedAssistant>();
  return {
    async find(id) {
      const found = cached.get(id);
      if (found) return found;
      const [assistant] = await query<CachedAssistant>(
        sql`SELECT *, "xmin"::text AS "rowVersion" FROM "Assistant" WHERE "id" = ${id} AND "deletedAt" IS NULL`,
      );
      if (!assistant) return null;
      if (JSON.stringify(assistant).length > MOST_CACHED_CHARS) return assistant;
      remember(cached, id, assistant, MOST_CACHED);
      return assistant;
    },
    forget: (id) => void cached.delete(id),
  };
}

/** Whether the row of the assistant still has this version: each change, also a deletion, writes a new row version. */
export function isUnchanged(id: unknown, rowVersion: string): Statement {
  return sql`EXISTS (SELECT 1 FROM "Assistant" a WHERE a."id" = ${id} AND a."xmin"::text = ${rowVersion})`;
}

/** A cached assistant has changed: read it again. */
export class AssistantChangedError extends Error {
  readonly assistantId: string;

  constructor(assistantId: string) {
    super(`Assistant ${assistantId} has changed.`);
    this.assistantId = assistantId;
  }
}
