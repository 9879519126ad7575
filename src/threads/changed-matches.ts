import type { Query } from '../db/query.ts';
import { sql, type Statement } from '../db/sql.ts';
import { removalOf, type ThreadChange } from './change.ts';

/** The threads that match the filter of a watcher. */
export interface Matches {
  /** Reads the matching threads. Called once, after the watcher receives changes. */
  start(): Promise<void>;
  /** The changes for the watcher: the matching threads, and a removal for each thread that matched before. */
  apply(changes: readonly ThreadChange[]): Promise<ThreadChange[]>;
}

/** Above this number, a watcher also receives removals of threads that may not have matched before. */
const MOST_MEMBERS = 10_000;

/** `matching` is the condition of the filter on a row of "Thread". */
export function createMatches(query: Query, matching: Statement): Matches {
  let members: Set<string> | undefined = new Set();

  function enter(id: string): void {
    members?.add(id);
    if (members && members.size > MOST_MEMBERS) members = undefined;
  }

  /** Whether the thread may have matched until now. */
  function leaves(id: string): boolean {
    return members?.delete(id) ?? true;
  }

  return {
    async start() {
      const found = await query<{ id: string }>(
        sql`SELECT "id" FROM "Thread" WHERE ${matching} LIMIT ${MOST_MEMBERS + 1}`,
      );
      for (const { id } of found) enter(id);
    },
    async apply(changes) {
      const ids = changes.flatMap((change) => ('removedId' in change ? [] : change.id));
      const found = await query<{ id: string }>(
        sql`SELECT "id" FROM "Thread" WHERE "id" = ANY(${ids}::uuid[]) AND ${matching}`,
      );
      const matched = new Set(found.map(({ id }) => id));
      return changes.flatMap((change) => {
        if ('removedId' in change) return leaves(change.removedId) ? change : [];
        if (!matched.has(change.id))
          return leaves(change.id) ? removalOf(change.id, 'CHANGED') : [];
        enter(change.id);
        return change;
      });
    },
  };
}
