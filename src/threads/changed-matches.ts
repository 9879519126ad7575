import type { Query } from '../db/query.ts';
import { sql, type Statement } from '../db/sql.ts';
import { remember } from '../remember.ts';
import { removalOf, type ThreadChange } from './change.ts';
import { HEAD, VERSION, type ThreadRow } from './changed-rows.ts';

/** The threads that match the filter of a watcher. */
export interface Matches {
  /** Reads the matching threads. Called once, after the watcher receives changes. */
  start(): Promise<void>;
  /** The changes for the watcher: the matching threads, and a removal for each thread that matched before. */
  apply(changes: readonly ThreadChange[]): Promise<ThreadChange[]>;
}

interface MatchedRow extends ThreadRow {
  matches: boolean;
}

/** The most threads in the memory of a watcher. */
const MOST_MEMBERS = 10_000;

interface MatchesOptions {
  /** Above MOST_MEMBERS threads: whether the watcher also receives removals of threads that may not have matched before. */
  tellsOfOthers: boolean;
}

/** `matching` is the condition of the filter on a row of "Thread". */
export function createMatches(
  query: Query,
  matching: Statement,
  { tellsOfOthers }: MatchesOptions,
): Matches {
  /** The matching threads, each with the version of its last row for the watcher. */
  const members = new Map<string, string | undefined>();
  let isComplete = true;

  function enter(id: string, version?: string): void {
    isComplete &&= members.has(id) || members.size < MOST_MEMBERS;
    if (isComplete || !tellsOfOthers) remember(members, id, version, MOST_MEMBERS);
  }

  /** Whether the watcher knows the thread, or may know it. */
  function leaves(id: string): boolean {
    return members.delete(id) || (!isComplete && tellsOfOthers);
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
      const rows = await query<MatchedRow>(
        sql`SELECT t.*, ${VERSION} AS "version", ${matching} AS "matches" FROM "Thread" t ${HEAD}
          WHERE t."id" = ANY(${ids}::uuid[])`,
      );
      const found = new Map(rows.map((row) => [row.id, row]));
      return changes.flatMap((change) => {
        if ('removedId' in change) return leaves(change.removedId) ? change : [];
        const row = found.get(change.id);
        if (!row?.matches) {
          return leaves(change.id) ? removalOf(change.id, row ? 'CHANGED' : 'DELETED') : [];
        }
        // The row of an earlier change may have been read with this version.
        if (members.get(row.id) === row.version) return [];
        enter(row.id, row.version);
        // The same object for all watchers: they share the execution of the event.
        return row.version === change.version ? change : row;
      });
    },
  };
}
