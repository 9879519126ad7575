import type { Sql } from '../db/open.ts';
import type { Assistant } from '../generated/prisma/client.ts';
import { remember } from '../remember.ts';

/** An assistant as it was once, and which state of its row that was. */
export interface KnownAssistant extends Assistant {
  rowVersion: string;
}

/**
 * Assistants as they were read last. They may have changed since: whoever stores what follows from one has the statement
 * ask whether it is still so.
 */
export interface KnownAssistants {
  /** Null where there is none. */
  find(id: string): Promise<KnownAssistant | null>;
  forget(id: string): void;
}

/** What was read first is forgotten first. Clients make assistants: none that is large is remembered. */
const MOST_KNOWN = 500;
const LARGEST_KNOWN = 20_000;

export function createKnownAssistants({ query }: Pick<Sql, 'query'>): KnownAssistants {
  const known = new Map<string, KnownAssistant>();
  return {
    async find(id) {
      const remembered = known.get(id);
      if (remembered) return remembered;
      const [assistant] = await query<KnownAssistant>(
        `SELECT *, "xmin"::text AS "rowVersion" FROM "Assistant" WHERE "id" = $1 AND "deletedAt" IS NULL`,
        [id],
      );
      if (!assistant) return null;
      if (JSON.stringify(assistant).length > LARGEST_KNOWN) return assistant;
      remember(known, id, assistant, MOST_KNOWN);
      return assistant;
    },
    forget: (id) => void known.delete(id),
  };
}

/** SQL: whether the assistant's row is as it was in that version. Whatever changes or deletes the assistant writes the row anew. */
export function isStill(id: string, rowVersion: string): string {
  return `EXISTS (SELECT 1 FROM "Assistant" a WHERE a."id" = ${id} AND a."xmin"::text = ${rowVersion})`;
}

/** What is known of an assistant is no longer true: ask again. */
export class AssistantChangedError extends Error {
  readonly assistantId: string;

  constructor(assistantId: string) {
    super(`Assistant ${assistantId} has changed.`);
    this.assistantId = assistantId;
  }
}
