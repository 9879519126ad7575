import { measureStorage } from '../checkpoints/storage.ts';
import type { Config } from '../config.ts';
import type { Sql } from '../db/query.ts';
import { raw, sql, type Statement } from '../db/sql.ts';
import type { Logger } from '../log.ts';
import { repeat, type Repeated } from '../repeat.ts';

const EVERY_MS = 1000;
const BATCH = 500;
/** A run whose end commits longer than this after its `finishedAt` is not found. The next run of its thread is. */
const LATEST_COMMIT_SECONDS = 10;
const NO_ID = '00000000-0000-0000-0000-000000000000';

interface Needs {
  sql: Sql;
  config: Pick<Config, 'ownerStorageLimit'>;
  log: Logger;
}

/**
 * With OWNER_STORAGE_LIMIT, measures threads: at the start all threads that have changed since their measurement, and then, once a
 * second, the threads of the runs that have ended since. Edits and copies measure their threads themselves.
 */
export function startStorageMeasurements({ sql: database, config, log }: Needs): Repeated {
  const { ownerStorageLimit } = config;
  if (ownerStorageLimit === 0) return { stop: () => Promise.resolve() };
  const measure = async (ids: readonly string[]) => {
    // One thread in a transaction: it then locks the counter of one owner only.
    for (const id of ids) await measureStorage(database.query, id, ownerStorageLimit);
  };
  const measureEnded = createEndedPass(database, measure);
  let isComplete = false;
  return repeat(
    async (stopping) => {
      // First: its next call also finds the runs that end during the other measurements.
      await measureEnded(stopping);
      if (!isComplete) await measureAll(database, measure, stopping);
      isComplete = true;
    },
    {
      pauseMs: EVERY_MS,
      atOnce: true,
      onError: (error) => log.warn({ err: error }, 'The sizes of threads could not be measured.'),
    },
  );
}

type Measure = (ids: readonly string[]) => Promise<void>;

/** SQL: the thread has changed since its measurement, or was never measured. */
const CHANGED = raw(`s."threadUpdatedAt" IS DISTINCT FROM t."updatedAt"`);
const MEASURED = raw(`"Thread" t LEFT JOIN "ThreadStorage" s ON s."threadId" = t."id"`);

async function measureAll(database: Sql, measure: Measure, stopping: AbortSignal): Promise<void> {
  for (let after = NO_ID; !stopping.aborted;) {
    const threads = await database.query<{ id: string; isChanged: boolean }>(
      sql`SELECT t."id", ${CHANGED} AS "isChanged" FROM ${MEASURED} WHERE t."id" > ${after}::uuid
        ORDER BY t."id" LIMIT ${raw(BATCH)}`,
      { takesLong: true },
    );
    await measure(threads.filter(({ isChanged }) => isChanged).map(({ id }) => id));
    const last = threads.at(-1);
    if (!last || threads.length < BATCH) return;
    after = last.id;
  }
}

interface EndedRun {
  id: string;
  finishedAt: Date;
  threadId: string | null;
  isChanged: boolean;
}

/** Returns a pass over the threads of ended runs. Each call continues the previous call; the first one begins with its own start. */
function createEndedPass(
  database: Sql,
  measure: Measure,
): (stopping: AbortSignal) => Promise<void> {
  let begin: Date | undefined;
  return async (stopping) => {
    begin ??= await earlier(database);
    let position: Pick<EndedRun, 'id' | 'finishedAt'> = { finishedAt: begin, id: NO_ID };
    while (!stopping.aborted) {
      const runs = await database.query<EndedRun>(endedAfter(position));
      const changed = runs.flatMap(({ threadId, isChanged }) =>
        threadId !== null && isChanged ? [threadId] : [],
      );
      await measure([...new Set(changed)]);
      position = runs.at(-1) ?? position;
      if (runs.length < BATCH) break;
    }
    const latest = position.finishedAt.getTime() - LATEST_COMMIT_SECONDS * 1000;
    begin = new Date(Math.max(begin.getTime(), latest));
  };
}

async function earlier(database: Sql): Promise<Date> {
  const [row] = await database.query<{ at: Date }>(
    sql`SELECT now() - make_interval(secs => ${raw(LATEST_COMMIT_SECONDS)}) AS "at"`,
  );
  if (!row) throw new Error('The database has returned no time.');
  return row.at;
}

function endedAfter({ finishedAt, id }: Pick<EndedRun, 'id' | 'finishedAt'>): Statement {
  const after = sql`(${finishedAt}::timestamptz, ${id}::uuid)`;
  return sql`SELECT r."id", r."finishedAt", r."threadId", t."id" IS NOT NULL AND ${CHANGED} AS "isChanged"
    FROM (SELECT "id", "finishedAt", "threadId" FROM "Run" WHERE ("finishedAt", "id") > ${after}
      ORDER BY "finishedAt", "id" LIMIT ${raw(BATCH)}) r
    LEFT JOIN (${MEASURED}) ON t."id" = r."threadId"
    ORDER BY r."finishedAt", r."id"`;
}
