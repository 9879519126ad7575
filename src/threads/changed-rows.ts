import type { Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import type { Thread } from '../generated/prisma/client.ts';
import type { Logger } from '../log.ts';

/** Threads in a statement. */
const PAGE_THREADS = 100;

export interface Version {
  id: string;
  version: string;
}

export type ThreadRow = Thread & Version;

/** SQL: the version of a thread for its watchers, from `xmin` of its row and its head checkpoint. Each visible change changes the version. */
export const VERSION = sql`t.xmin::text || ' ' || coalesce(h."checkpointId"::text, '')`;
export const HEAD = sql`LEFT JOIN "CheckpointHead" h ON h."threadId" = t."id" AND h."namespace" = ''`;

/** The reasons to read a thread. */
export interface ReadReasons<Reader> {
  /** The thread may have changed. False: only `readers` need the row. */
  changed: boolean;
  /** Watchers with a request for the row: they receive it even if its version is not new. */
  readers: Set<Reader>;
}

/** Reads the rows of threads: each row once for all watchers, and up to a page of rows in a statement. */
export interface RowReader<Reader> {
  /** The thread may have changed: reads its row. */
  readChanged(id: string): void;
  /** Reads the row for a watcher. */
  readFor(reader: Reader, id: string): void;
  /** Repeats a failed read. */
  retry(): void;
}

export function createRowReader<Reader>(
  { query, log }: Pick<Sql, 'query'> & { log: Logger },
  closing: AbortSignal,
  onRow: (id: string, row: ThreadRow | undefined, reasons: ReadReasons<Reader>) => void,
): RowReader<Reader> {
  const unread = new Map<string, ReadReasons<Reader>>();
  let reading: Promise<void> | undefined;

  function add(id: string): ReadReasons<Reader> {
    const reasons = unread.get(id) ?? { changed: false, readers: new Set() };
    unread.set(id, reasons);
    reading ??= readAll();
    return reasons;
  }

  /** Reads the pages in sequence: a row never arrives after a newer row of the same thread. */
  async function readAll(): Promise<void> {
    // The page contains all changes of this turn of the event loop.
    await Promise.resolve();
    try {
      while (unread.size > 0 && !closing.aborted) await readPage();
    } catch (error) {
      if (!closing.aborted) log.warn({ err: error }, 'Changed threads could not be read.');
    } finally {
      reading = undefined;
    }
  }

  async function readPage(): Promise<void> {
    const page: [string, ReadReasons<Reader>][] = [];
    for (const entry of unread) if (page.push(entry) === PAGE_THREADS) break;
    const ids = page.map(([id]) => id);
    for (const id of ids) unread.delete(id);
    let rows: Map<string, ThreadRow>;
    try {
      rows = await readRows(query, ids);
    } catch (error) {
      // `retry` reads the page again.
      for (const [id, { changed, readers }] of page) {
        const added = unread.get(id);
        const all = new Set([...readers, ...(added?.readers ?? [])]);
        unread.set(id, { changed: changed || added?.changed === true, readers: all });
      }
      throw error;
    }
    for (const [id, reasons] of page) onRow(id, rows.get(id), reasons);
  }

  return {
    readChanged(id) {
      add(id).changed = true;
    },
    readFor: (reader, id) => void add(id).readers.add(reader),
    retry() {
      if (unread.size > 0) reading ??= readAll();
    },
  };
}

async function readRows(query: Sql['query'], ids: string[]): Promise<Map<string, ThreadRow>> {
  const statement = sql`SELECT t.*, ${VERSION} AS "version" FROM "Thread" t ${HEAD}
    WHERE t."id" = ANY(${ids}::uuid[])`;
  const rows = await query<ThreadRow>(statement);
  return new Map(rows.map((row) => [row.id, row]));
}
