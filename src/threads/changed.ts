import { THREADS_CHANNEL } from '../db/channels.ts';
import { readSize } from '../db/page.ts';
import type { Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import { AppError, NotFoundError } from '../errors.ts';
import { interruptible, sleepUntilWoken, type Sleeper } from '../events/interruptible.ts';
import type { Thread } from '../generated/prisma/client.ts';
import type { Logger } from '../log.ts';
import { remember } from '../remember.ts';
import { POLL_MS, repeat } from '../repeat.ts';
import {
  createRowReader,
  HEAD,
  VERSION,
  type ReadReasons,
  type RowReader,
  type ThreadRow,
  type Version,
} from './changed-rows.ts';
import { createTopics, type Topics } from './changed-topics.ts';

/** Threads in a statement of the poll. */
const POLL_THREADS = 1000;
/** Rows in the memory of a watcher; it reads the rows of further changed threads later. */
const MOST_ROWS = 100;
const MOST_WAITING = 10_000;
const MOST_REMEMBERED = 10_000;

/** Watchers of threads. */
export interface ThreadChanges {
  /** The number of watchers. */
  readonly watchers: number;
  /**
   * The current rows of these threads, then the row of each changed thread, until all of them are deleted. Without ids: the row
   * of every changed thread. Throws SERVICE_UNAVAILABLE if too many changed threads wait for the watcher.
   */
  watch(ids?: readonly string[]): AsyncIterableIterator<Thread, void>;
  close(): void;
}

interface Watcher extends Sleeper {
  /** Undefined: all threads. */
  ids: Set<string> | undefined;
  /** The newest row of each changed thread; null for a deleted thread, 'UNREAD' for a row to be read later. */
  waiting: Map<string, ThreadRow | null | 'UNREAD'>;
  /** The version of each of `ids` in the last row for the client. */
  sent: Map<string, string>;
}

/** A transaction may be committed some seconds after the time in its rows. */
const RECENT = sql`SELECT t."id", ${VERSION} AS "version" FROM "Thread" t ${HEAD}
  WHERE t."updatedAt" > now() - interval '5 seconds'`;

/** Reads each changed thread once, and hands the row to the watchers of this thread and of all threads. */
export function createThreadChanges(
  { query, listen }: Pick<Sql, 'query' | 'listen'>,
  log: Logger,
): ThreadChanges {
  const closing = new AbortController();
  const watchers = new Set<Watcher>();
  const topics = createTopics<Watcher>();
  const watchersOfAll = createWatchersOfAll(query);
  const reader = createRowReader<Watcher>({ query, log }, closing.signal, spread);
  const parts: Parts = { watchers, topics, watchersOfAll, reader, closing: closing.signal };

  const unlisten = listen(THREADS_CHANNEL, noteChange);
  const polling = repeat(poll, {
    pauseMs: POLL_MS,
    onError: (error) => log.warn({ err: error }, 'Threads could not be polled.'),
  });

  function noteChange(id: string): void {
    if (topics.get(id) || watchersOfAll.all.size > 0) reader.readChanged(id);
  }

  /** Hands a row to all its watchers if its version is new, and to `readers` in any case. */
  function spread(
    id: string,
    row: ThreadRow | undefined,
    { changed, readers }: ReadReasons<Watcher>,
  ): void {
    const receivers = new Set(readers);
    const topic = topics.get(id);
    if (topic && topic.version !== row?.version) {
      topic.version = row?.version;
      for (const watcher of topic.watchers) receivers.add(watcher);
    }
    if (row && changed && watchersOfAll.noteVersion(row)) {
      for (const watcher of watchersOfAll.all) receivers.add(watcher);
    }
    for (const watcher of receivers) put(watcher, id, row ?? null);
  }

  /** Recovers from lost notifications: a statement per second for all watchers of the process. */
  async function poll(): Promise<void> {
    reader.retry();
    const changed = await readMissed(query, topics, watchersOfAll);
    for (const id of changed) noteChange(id);
  }

  return {
    get watchers() {
      return watchers.size;
    },
    watch: (ids) => interruptible((returned) => watch(parts, ids, returned)),
    close() {
      void polling.stop();
      unlisten();
      closing.abort();
      for (const watcher of watchers) watcher.wake();
    },
  };
}

/** The parts of `createThreadChanges` for a watcher. */
interface Parts {
  watchers: Set<Watcher>;
  topics: Topics<Watcher>;
  watchersOfAll: WatchersOfAll;
  reader: RowReader<Watcher>;
  closing: AbortSignal;
}

/** The watchers of all threads, and the newest versions for them. */
interface WatchersOfAll {
  all: Set<Watcher>;
  /** Resolves when the versions at the start of the first watcher are known. */
  primed: Promise<void>;
  add(watcher: Watcher): void;
  isNew(version: Version): boolean;
  /** Stores a version. True if it is new. */
  noteVersion(version: Version): boolean;
}

function createWatchersOfAll(query: Sql['query']): WatchersOfAll {
  const all = new Set<Watcher>();
  const versions = new Map<string, string>();

  /** The first watcher sees changes after its start only. */
  async function rememberRecent(): Promise<void> {
    versions.clear();
    for (const { id, version } of await query<Version>(RECENT)) {
      remember(versions, id, version, MOST_REMEMBERED);
    }
  }

  const watchersOfAll: WatchersOfAll = {
    all,
    primed: Promise.resolve(),
    add(watcher) {
      all.add(watcher);
      if (all.size === 1) watchersOfAll.primed = rememberRecent();
    },
    isNew: ({ id, version }) => all.size > 0 && versions.get(id) !== version,
    noteVersion({ id, version }) {
      if (!watchersOfAll.isNew({ id, version })) return false;
      versions.delete(id);
      remember(versions, id, version, MOST_REMEMBERED);
      return true;
    },
  };
  return watchersOfAll;
}

/** The threads with a version that their watchers have not seen. */
async function readMissed(
  query: Sql['query'],
  topics: Topics<Watcher>,
  watchersOfAll: WatchersOfAll,
): Promise<string[]> {
  const seen = topics.next(POLL_THREADS);
  if (seen.length === 0 && watchersOfAll.all.size === 0) return [];
  const ids = seen.map(([id]) => id);
  const versions = seen.map(([, { version }]) => version);
  const rows = await query<Version>(sql`SELECT seen."id", ${VERSION} AS "version"
    FROM unnest(${ids}::uuid[], ${versions}::text[]) AS seen("id", "version")
    LEFT JOIN "Thread" t ON t."id" = seen."id" ${HEAD}
    WHERE ${VERSION} IS DISTINCT FROM seen."version"
    UNION ${RECENT} AND ${watchersOfAll.all.size > 0}`);
  const missed = rows.filter((row) => {
    const topic = topics.get(row.id);
    return (topic && topic.version !== row.version) || watchersOfAll.isNew(row);
  });
  return missed.map(({ id }) => id);
}

async function* watch(
  parts: Parts,
  wanted: readonly string[] | undefined,
  returned: AbortSignal,
): AsyncGenerator<Thread, void> {
  const ids = wanted && new Set(wanted);
  const watcher: Watcher = { ids, waiting: new Map(), sent: new Map(), wake() {} };
  const { waiting, sent } = watcher;
  enter(parts, watcher);
  try {
    if (!ids) await parts.watchersOfAll.primed;
    while (!returned.aborted && !parts.closing.aborted) {
      if (ids?.size === 0) return;
      const [next] = waiting;
      if (waiting.size > MOST_WAITING) throw new SlowWatcherError();
      if (!next) {
        await sleepUntilWoken(watcher, returned, () => waiting.size > 0);
        continue;
      }
      const [id, row] = next;
      if (row === 'UNREAD') {
        parts.reader.readFor(watcher, id);
        await sleepUntilWoken(watcher, returned, () => waiting.get(id) !== 'UNREAD');
        continue;
      }
      waiting.delete(id);
      if (!row) leaveTopic(parts, watcher, id);
      if (!row || sent.get(id) === row.version) continue;
      if (ids) sent.set(id, row.version);
      yield row;
    }
  } finally {
    leave(parts, watcher);
  }
}

function enter({ watchers, watchersOfAll, topics, reader }: Parts, watcher: Watcher): void {
  watchers.add(watcher);
  if (!watcher.ids) return watchersOfAll.add(watcher);
  for (const id of watcher.ids) {
    topics.add(watcher, id);
    reader.readFor(watcher, id);
  }
}

function leaveTopic({ topics }: Parts, watcher: Watcher, id: string): void {
  watcher.ids?.delete(id);
  topics.remove(watcher, id);
}

function leave(parts: Parts, watcher: Watcher): void {
  parts.watchers.delete(watcher);
  parts.watchersOfAll.all.delete(watcher);
  for (const id of watcher.ids ?? []) leaveTopic(parts, watcher, id);
}

class SlowWatcherError extends AppError {
  constructor() {
    super(
      'SERVICE_UNAVAILABLE',
      `More than ${MOST_WAITING} changed threads wait for this subscription: it reads too slowly.`,
    );
  }
}

function put(watcher: Watcher, id: string, row: ThreadRow | null): void {
  const { waiting } = watcher;
  waiting.set(id, waiting.has(id) || waiting.size < MOST_ROWS ? row : 'UNREAD');
  watcher.wake();
}

/** Threads to follow, by id: 1 to 100. Throws NotFoundError for an unknown id. */
export async function watchThreads(
  { sql: { query }, changes }: { sql: Sql; changes: ThreadChanges },
  ids: readonly string[] | null | undefined,
): Promise<AsyncIterableIterator<Thread, void>> {
  if (ids == null) return changes.watch();
  readSize('ids', ids.length);
  const wanted = [...new Set(ids.map((id, i) => parseUuid(`ids[${i}]`, id)))];
  const rows = await query<{ id: string }>(
    sql`SELECT "id" FROM "Thread" WHERE "id" = ANY(${wanted}::uuid[])`,
  );
  const found = new Set(rows.map(({ id }) => id));
  const missing = wanted.find((id) => !found.has(id));
  if (missing !== undefined) throw new NotFoundError('Thread', missing);
  return changes.watch(wanted);
}
