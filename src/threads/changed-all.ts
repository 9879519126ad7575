import type { Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { remember } from '../remember.ts';
import { HEAD, VERSION, type Version } from './changed-rows.ts';

const MOST_REMEMBERED = 10_000;
const DELETED = 'deleted';

/** A transaction may be committed some seconds after the time in its rows. */
export const RECENT = sql`SELECT t."id", ${VERSION} AS "version" FROM "Thread" t ${HEAD}
  WHERE t."updatedAt" > now() - interval '5 seconds'`;

/** The watchers of all threads, and the newest versions for them. */
export interface WatchersOfAll<Watcher> {
  all: Set<Watcher>;
  /** Resolves when the versions at the start of the first watcher are known. */
  primed: Promise<void>;
  add(watcher: Watcher): void;
  isNew(version: Version): boolean;
  /** Stores the version of the row; undefined for a deleted thread. True if it is new. */
  noteChange(id: string, row: Version | undefined): boolean;
}

export function createWatchersOfAll<Watcher>(query: Sql['query']): WatchersOfAll<Watcher> {
  const all = new Set<Watcher>();
  const versions = new Map<string, string>();

  /** The first watcher sees changes after its start only. */
  async function rememberRecent(): Promise<void> {
    versions.clear();
    for (const { id, version } of await query<Version>(RECENT)) {
      remember(versions, id, version, MOST_REMEMBERED);
    }
  }

  const watchersOfAll: WatchersOfAll<Watcher> = {
    all,
    primed: Promise.resolve(),
    add(watcher) {
      all.add(watcher);
      if (all.size === 1) watchersOfAll.primed = rememberRecent();
    },
    isNew: ({ id, version }) => all.size > 0 && versions.get(id) !== version,
    noteChange(id, { version } = { id, version: DELETED }) {
      if (!watchersOfAll.isNew({ id, version })) return false;
      versions.delete(id);
      remember(versions, id, version, MOST_REMEMBERED);
      return true;
    },
  };
  return watchersOfAll;
}
