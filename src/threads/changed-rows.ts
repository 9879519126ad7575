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

/** SQL: the writer of the row and the checkpoint of the head. Every change for clients changes one of them. */
export const VERSION = sql`t.xmin::text || ' ' || coalesce(h."checkpointId"::text, '')`;
export const HEAD = sql`LEFT JOIN "CheckpointHead" h ON h."threadId" = t."id" AND h."namespace" = ''`;

/** The reasons to read a thread. */
export interface ReadReasons<Asker> {
  /** False: only `askers` need the row. */
  changed: boolean;
  /** These watchers receive the row even if its version is not new. */
  askers: Set<Asker>;
}

/** Reads the rows of threads: each row once for all watchers, and many rows in one statement. */
export interface RowReader<Asker> {
  readChanged(id: string): void;
  readFor(asker: Asker, id: string): void;
  /** Repeats a failed read. */
  retry(): void;
}

export function createRowReader<Asker>(
  { query, log }: Pick<Sql, 'query'> & { log: Logger },
  closing: AbortSignal,
  onRow: (id: string, row: ThreadRow | undefined, reasons: ReadReasons<Asker>) => void,
): RowReader<Asker> {
  const unread = new Map<string, ReadReasons<Asker>>();
  let reading: Promise<void> | undefined;

  function add(id: string): ReadReasons<Asker> {
    const reasons = unread.get(id) ?? { changed: false, askers: new Set() };
    unread.set(id, reasons);
    reading ??= readAll();
    return reasons;
  }

  /** Reads one page at a time: a row never arrives after a newer row of the same thread. */
  async function readAll(): Promise<void> {
    // All changes of one turn of the event loop are in the same page.
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
    const page: [string, ReadReasons<Asker>][] = [];
    for (const entry of unread) if (page.push(entry) === PAGE_THREADS) break;
    const ids = page.map(([id]) => id);
    for (const id of ids) unread.delete(id);
    let rows: Map<string, ThreadRow>;
    try {
      rows = await readRows(query, ids);
    } catch (error) {
      // `retry` reads the page again.
      for (const [id, { changed, askers }] of page) {
        const added = unread.get(id);
        const all = new Set([...askers, ...(added?.askers ?? [])]);
        unread.set(id, { changed: changed || added?.changed === true, askers: all });
      }
      throw error;
    }
    for (const [id, reasons] of page) onRow(id, rows.get(id), reasons);
  }

  return {
    readChanged(id) {
      add(id).changed = true;
    },
    readFor: (asker, id) => void add(id).askers.add(asker),
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
