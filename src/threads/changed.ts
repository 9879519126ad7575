import type { App } from '../app.ts';
import { THREADS_CHANNEL } from '../channels.ts';
import { readSize } from '../db/page.ts';
import type { Sql } from '../db/open.ts';
import { NotFoundError } from '../errors.ts';
import { interruptible, sleepUntilWoken, type Sleeper } from '../events/interruptible.ts';
import type { Thread } from '../generated/prisma/client.ts';
import type { Logger } from '../log.ts';
import { POLL_MS, repeat } from '../repeat.ts';
import { remember } from '../remember.ts';
import { parseUuid } from '../uuid.ts';

/** How far back a poll looks: a transaction may be committed that much after it began, which is the time it leaves. */
const WINDOW_SECONDS = 5;
/** Threads read at a time, and how many a watcher of all threads remembers to have told. */
const PAGE_THREADS = 100;
const MOST_REMEMBERED = 10_000;

/** Those who want to know how threads change. */
export interface ThreadChanges {
  /** How many watch something now. */
  readonly watchers: number;
  /** These threads as they are, then each time one has changed, until all are deleted; without ids, every thread that changes. */
  watch(ids?: readonly string[]): AsyncIterableIterator<Thread, void>;
  close(): void;
}

/** What a watcher has to look at, and what it saw. Threads that change faster than they are read are told as they are last. */
interface Watcher extends Sleeper {
  /** Undefined: all threads. */
  ids: Set<string> | undefined;
  changed: Set<string>;
  /** The version of each thread that was told last. */
  told: Map<string, string>;
}

/** The row that was written last and the checkpoint that is the head: one of them changes with whatever clients see. */
const VERSION = `t.xmin::text || ' ' || coalesce(h."checkpointId"::text, '') AS "version"`;
const THREADS = `"Thread" t LEFT JOIN "CheckpointHead" h ON h."threadId" = t."id" AND h."namespace" = ''`;
const IS_RECENT = `t."updatedAt" > now() - interval '${WINDOW_SECONDS} seconds'`;

interface Version {
  id: string;
  version: string;
}

export function createThreadChanges(sql: Sql, log: Logger): ThreadChanges {
  const watchers = new Set<Watcher>();
  const closing = new AbortController();
  const unlisten = sql.listen(THREADS_CHANNEL, (id) => {
    for (const watcher of watchers) if (watcher.ids?.has(id) ?? true) tell(watcher, id);
  });
  const polling = repeat(lookForMissed, {
    pauseMs: POLL_MS,
    onError: (error) => log.warn({ err: error }, 'Threads could not be polled.'),
  });

  /** The truth behind the hints: one statement a second for all watchers of the process. */
  async function lookForMissed(): Promise<void> {
    if (watchers.size === 0) return;
    const asked = [...watchers];
    const ids = new Set(asked.flatMap((watcher) => [...(watcher.ids ?? [])]));
    const rows = await sql.query<Version>(
      `SELECT t."id", ${VERSION} FROM ${THREADS}
       WHERE t."id" = ANY($1::uuid[])
       UNION SELECT t."id", ${VERSION} FROM ${THREADS} WHERE $2 AND ${IS_RECENT}`,
      [[...ids], asked.some((watcher) => !watcher.ids)],
    );
    const versions = new Map(rows.map(({ id, version }) => [id, version]));
    for (const watcher of asked) {
      for (const id of watcher.ids ?? versions.keys()) {
        if (watcher.told.get(id) !== versions.get(id)) tell(watcher, id);
      }
    }
  }

  async function* watch(
    wanted: readonly string[] | undefined,
    left: AbortSignal,
  ): AsyncGenerator<Thread, void> {
    const ids = wanted && new Set(wanted);
    const watcher: Watcher = { ids, changed: new Set(wanted), told: new Map(), wake() {} };
    watchers.add(watcher);
    try {
      if (!ids) await rememberRecent(watcher);
      while (!left.aborted && !closing.signal.aborted) {
        const changed = [...watcher.changed].slice(0, PAGE_THREADS);
        if (changed.length === 0) {
          await sleepUntilWoken(watcher, left, () => watcher.changed.size > 0);
          continue;
        }
        for (const id of changed) watcher.changed.delete(id);
        const rows = await readThreads(changed);
        for (const id of changed) {
          const row = rows.get(id);
          if (!row) watcher.ids?.delete(id);
          if (!row || watcher.told.get(id) === row.version) continue;
          noteTold(watcher, row);
          yield row;
        }
        if (ids?.size === 0) return;
      }
    } finally {
      watchers.delete(watcher);
    }
  }

  /** A watcher of all threads is told of what changes from now on. */
  async function rememberRecent(watcher: Watcher): Promise<void> {
    const rows = await sql.query<Version>(
      `SELECT t."id", ${VERSION} FROM ${THREADS} WHERE ${IS_RECENT}`,
    );
    for (const row of rows) noteTold(watcher, row);
  }

  async function readThreads(ids: string[]): Promise<Map<string, Thread & Version>> {
    const rows = await sql.query<Thread & Version>(
      `SELECT t.*, ${VERSION} FROM ${THREADS} WHERE t."id" = ANY($1::uuid[])`,
      [ids],
    );
    return new Map(rows.map((row) => [row.id, row]));
  }

  return {
    get watchers() {
      return watchers.size;
    },
    watch: (ids) => interruptible((left) => watch(ids, left)),
    close() {
      void polling.stop();
      unlisten();
      closing.abort();
      for (const watcher of watchers) watcher.wake();
    },
  };
}

/** Threads to follow, by id: 1 to 100. Throws NotFoundError for one that does not exist. */
export async function watchThreads(
  { sql, changes }: Pick<App, 'sql' | 'changes'>,
  ids: readonly string[] | null | undefined,
): Promise<AsyncIterableIterator<Thread, void>> {
  if (ids == null) return changes.watch();
  readSize('ids', ids.length);
  const wanted = [...new Set(ids.map((id, i) => parseUuid(`ids[${i}]`, id)))];
  const rows = await sql.query<{ id: string }>(
    `SELECT "id" FROM "Thread" WHERE "id" = ANY($1::uuid[])`,
    [wanted],
  );
  const found = new Set(rows.map(({ id }) => id));
  const missing = wanted.find((id) => !found.has(id));
  if (missing !== undefined) throw new NotFoundError('Thread', missing);
  return changes.watch(wanted);
}

function tell(watcher: Watcher, id: string): void {
  watcher.changed.add(id);
  watcher.wake();
}

/** A thread that was told so long ago that it is forgotten comes in no poll. */
function noteTold({ ids, told }: Watcher, { id, version }: Version): void {
  told.delete(id);
  remember(told, id, version, ids ? Infinity : MOST_REMEMBERED);
}
