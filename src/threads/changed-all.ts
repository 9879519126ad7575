import { isOfOwner } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Query } from '../db/query.ts';
import { sql, type Statement } from '../db/sql.ts';
import { remember } from '../remember.ts';
import { HEAD, VERSION, type ThreadRow, type Version } from './changed-rows.ts';

const MOST_REMEMBERED = 10_000;
const DELETED = 'deleted';

/** The threads of these tenants with a recent change. A transaction may be committed some seconds after the time in its rows. */
export function recentThreads(tenants: readonly string[]): Statement {
  return sql`SELECT t."id", ${VERSION} AS "version" FROM "Thread" t ${HEAD}
    WHERE t."tenant" = ANY(${tenants}::text[]) AND t."updatedAt" > now() - interval '5 seconds'`;
}

/** The watchers of all threads, and the newest versions for them. */
export interface WatchersOfAll<Watcher> {
  all: ReadonlySet<Watcher>;
  /**
   * The watchers whose viewers may know of a thread; all watchers for a deleted thread. Each watcher checks the row itself: this
   * keeps changes of others out of its queue.
   */
  of(row: ThreadRow | undefined): Watcher[];
  /** The tenants with a watcher. */
  tenants(): string[];
  /** Resolves when the versions at the start of the first watcher of each tenant are known. */
  primed: Promise<void>;
  add(watcher: Watcher): void;
  remove(watcher: Watcher): void;
  isNew(version: Version): boolean;
  /** Stores the version of the row; undefined for a deleted thread. True if it is new. */
  noteChange(id: string, row: Version | undefined): boolean;
}

export function createWatchersOfAll<Watcher extends { viewer: Viewer }>(
  query: Query,
): WatchersOfAll<Watcher> {
  const all = new Set<Watcher>();
  const versions = new Map<string, string>();
  const tenants = (): string[] => [...new Set(Array.from(all, ({ viewer }) => viewer.tenant))];

  /** The first watcher of a tenant sees changes after its start only. */
  async function rememberRecent(tenant: string): Promise<void> {
    for (const { id, version } of await query<Version>(recentThreads([tenant]))) {
      remember(versions, id, version, MOST_REMEMBERED);
    }
  }

  const watchersOfAll: WatchersOfAll<Watcher> = {
    all,
    tenants,
    of: (row) => Array.from(all).filter(({ viewer }) => !row || isOfOwner(viewer, row)),
    primed: Promise.resolve(),
    add(watcher) {
      const { tenant } = watcher.viewer;
      const isFirst = !tenants().includes(tenant);
      all.add(watcher);
      if (isFirst) watchersOfAll.primed = rememberRecent(tenant);
    },
    remove(watcher) {
      all.delete(watcher);
      if (all.size === 0) versions.clear();
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
