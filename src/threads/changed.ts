import { isReadable } from '../auth/scope.ts';
import { SYSTEM, type Viewer } from '../auth/viewer.ts';
import { THREADS_CHANNEL } from '../db/channels.ts';
import { checkLength } from '../db/page.ts';
import type { Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import { AppError, BadInputError } from '../errors.ts';
import { interruptible, sleepUntilWoken, type Sleeper } from '../events/interruptible.ts';
import type { Logger } from '../log.ts';
import { POLL_MS, repeat } from '../repeat.ts';
import { removalOf, type ThreadChange } from './change.ts';
import { createWatchersOfAll, recentThreads, type WatchersOfAll } from './changed-all.ts';
import { createMatches, type Matches } from './changed-matches.ts';
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
import { authorizeSearch, threadMatches, type ThreadFilter } from './search.ts';

/** Threads in a statement of the poll. */
const POLL_THREADS = 1000;
/** Rows in the memory of a watcher; it reads the rows of further changed threads later. */
const MOST_ROWS = 100;
const MOST_WAITING = 10_000;

/** Watchers of threads. */
export interface ThreadChanges {
  /** The number of watchers. */
  readonly watchers: number;
  /**
   * With ids: the current rows of these threads, then each change, until all of them are deleted. Without ids: each change of
   * any thread. Throws SERVICE_UNAVAILABLE if too many changed threads wait for the watcher.
   */
  watch(options?: WatchOptions): AsyncIterableIterator<ThreadChange, void>;
  close(): void;
}

export interface WatchOptions {
  /** Receives the rows that it may read. Default: all rows. */
  viewer?: Viewer;
  ids?: readonly string[];
  /** Only for a watcher without ids. */
  matches?: Matches;
}

interface Watcher extends Sleeper {
  viewer: Viewer;
  /** Undefined: all threads. */
  ids: Set<string> | undefined;
  /** The newest change of each changed thread. 'UNREAD': its row is read later. */
  waiting: Map<string, ThreadChange | 'UNREAD'>;
  /** The version of each of `ids` in the last row for the client. */
  sent: Map<string, string>;
}

/** Reads each changed thread once, and hands the row to the watchers of this thread and of all threads. */
export function createThreadChanges(
  { query, listen }: Pick<Sql, 'query' | 'listen'>,
  log: Logger,
): ThreadChanges {
  const closing = new AbortController();
  const watchers = new Set<Watcher>();
  const topics = createTopics<Watcher>();
  const watchersOfAll = createWatchersOfAll<Watcher>(query);
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
    if (changed && watchersOfAll.noteChange(id, row)) {
      for (const watcher of watchersOfAll.of(row)) receivers.add(watcher);
    }
    const change = row ?? removalOf(id, 'DELETED');
    for (const watcher of receivers) put(watcher, id, change);
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
    watch: (options = {}) => interruptible((returned) => watch(parts, options, returned)),
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
  watchersOfAll: WatchersOfAll<Watcher>;
  reader: RowReader<Watcher>;
  closing: AbortSignal;
}

/** The threads with a version that their watchers have not seen. */
async function readMissed(
  query: Sql['query'],
  topics: Topics<Watcher>,
  watchersOfAll: WatchersOfAll<Watcher>,
): Promise<string[]> {
  const seen = topics.next(POLL_THREADS);
  if (seen.length === 0 && watchersOfAll.all.size === 0) return [];
  const ids = seen.map(([id]) => id);
  const versions = seen.map(([, { version }]) => version ?? null);
  const rows = await query<Version>(sql`SELECT seen."id", ${VERSION} AS "version"
    FROM unnest(${ids}::uuid[], ${versions}::text[]) AS seen("id", "version")
    LEFT JOIN "Thread" t ON t."id" = seen."id" ${HEAD}
    WHERE ${VERSION} IS DISTINCT FROM seen."version"
    UNION ${recentThreads(watchersOfAll.tenants())}`);
  const missed = rows.filter((row) => {
    const topic = topics.get(row.id);
    return (topic && topic.version !== row.version) || watchersOfAll.isNew(row);
  });
  return missed.map(({ id }) => id);
}

async function* watch(
  parts: Parts,
  { viewer = SYSTEM, ids: wanted, matches }: WatchOptions,
  returned: AbortSignal,
): AsyncGenerator<ThreadChange, void> {
  const ids = wanted && new Set(wanted);
  const watcher: Watcher = { viewer, ids, waiting: new Map(), sent: new Map(), wake() {} };
  const { waiting } = watcher;
  enter(parts, watcher);
  try {
    if (!ids) await parts.watchersOfAll.primed;
    await matches?.start();
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
      const changes = takeChanges(parts, watcher, matches);
      yield* matches ? await matches.apply(changes) : changes;
    }
  } finally {
    leave(parts, watcher);
  }
}

/** Takes changes with a known row: one, or several for `matches`, which reads the rows again in the scope of the viewer. */
function takeChanges(parts: Parts, watcher: Watcher, matches: Matches | undefined): ThreadChange[] {
  const most = matches ? MOST_ROWS : 1;
  const { viewer, ids, waiting, sent } = watcher;
  const changes: ThreadChange[] = [];
  for (const [id, row] of waiting) {
    if (row === 'UNREAD' || changes.length === most) break;
    waiting.delete(id);
    if ('removedId' in row) {
      // A thread without a row before does not exist yet.
      if (ids && !sent.has(id)) continue;
      leaveTopic(parts, watcher, id);
    } else {
      if (!(matches || isReadable(viewer, row)) || sent.get(id) === row.version) continue;
      if (ids) sent.set(id, row.version);
    }
    changes.push(row);
  }
  return changes;
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
  parts.watchersOfAll.remove(watcher);
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

function put(watcher: Watcher, id: string, change: ThreadChange): void {
  const { waiting } = watcher;
  waiting.set(id, waiting.has(id) || waiting.size < MOST_ROWS ? change : 'UNREAD');
  watcher.wake();
}

/** The threads of a subscription. */
export interface Watched {
  /** 1 to 100. A thread that does not exist yet is watched from its creation. */
  ids?: readonly string[] | null | undefined;
  filter?: ThreadFilter | null | undefined;
}

/** The changes of the given threads, of the threads that match the filter, or of all threads that the viewer may read. */
export async function watchThreads(
  { sql: { query }, changes }: { sql: Sql; changes: ThreadChanges },
  asking: Viewer,
  { ids, filter: given }: Watched,
): Promise<AsyncIterableIterator<ThreadChange, void>> {
  if (ids != null && given != null) {
    throw new BadInputError(
      'filter',
      'Give ids or a filter, not both: a filter has ids of its own.',
    );
  }
  const { viewer, filter } = await authorizeSearch(asking, given ?? { ids });
  // The row of a deleted thread cannot say who may know of it: a viewer hears of the threads that it could read before.
  if (given != null || (ids == null && viewer.kind !== 'anonymous')) {
    const matches = createMatches(query, threadMatches(viewer, filter), {
      tellsOfOthers: viewer.kind === 'anonymous',
    });
    return changes.watch({ viewer, matches });
  }
  if (ids == null) return changes.watch({ viewer });
  checkLength('ids', ids);
  return changes.watch({
    viewer,
    ids: [...new Set(ids.map((id, i) => parseUuid(`ids[${i}]`, id)))],
  });
}

/** The new rows, without removals. */
export function updatesOf(
  changes: AsyncIterableIterator<ThreadChange, void>,
): AsyncIterableIterator<ThreadRow, void> {
  return {
    async next() {
      for (;;) {
        const { done, value } = await changes.next();
        if (done) return { done, value: undefined };
        if (!('removedId' in value)) return { done: false, value };
      }
    },
    async return() {
      await changes.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
