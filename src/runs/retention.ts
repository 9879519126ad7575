import { deleteEndedKeys } from '../auth/keys.ts';
import type { Config } from '../config.ts';
import type { Sql } from '../db/query.ts';
import { raw, sql, type Statement } from '../db/sql.ts';
import type { Logger } from '../log.ts';
import { repeat, type Repeated } from '../repeat.ts';

const EVERY_MS = 60_000;
/** The shortest retention time of an idempotency key. */
const KEYS_SECONDS = 86_400;
const BATCH_RUNS = 500;
const BATCH_EVENTS = 500;
/** The key of an advisory lock: a single process sweeps at a time, because all processes would read the same rows. */
const LOCK = 72_707_370;
/** A transaction may commit up to this long after the `finishedAt` in its row. */
const LATEST_COMMIT_SECONDS = 60;

/**
 * Sweeps at once, and then every minute, over the runs with an end longer than EVENT_RETENTION ago. Deletes their events except
 * the final event, and the rows of tombstones and of runs without a thread. Also deletes API keys a while after their end.
 */
export function startRetention({
  sql: database,
  config,
  log,
}: {
  sql: Sql;
  config: Config;
  log: Logger;
}): Repeated {
  const { eventRetentionSeconds } = config;
  const sweeps = [createSweep(database, eventRetentionSeconds)];
  // The first sweep skips rows with an idempotency key if the key has a longer retention time. The second sweep deletes them.
  if (eventRetentionSeconds < KEYS_SECONDS) sweeps.push(createSweep(database, KEYS_SECONDS));

  return repeat(
    async (stopping) => {
      for (const sweep of sweeps) await sweep(stopping);
      if (!stopping.aborted) await deleteEndedKeys({ sql: database });
    },
    {
      pauseMs: EVERY_MS,
      atOnce: true,
      onError: (error) => log.warn({ err: error }, 'Old events and API keys could not be deleted.'),
    },
  );
}

const NO_ID = '00000000-0000-0000-0000-000000000000';

/** A position in the order of the sweep. */
interface Position {
  finishedAt: Date;
  id: string;
}

/** The last run of a batch, and the results of the batch. */
interface Batch extends Position {
  /** False: a different process holds the lock, and this statement deleted nothing. */
  mine: boolean;
  /** The number of deleted events. */
  events: number;
  /** Runs to delete. */
  expired: string[] | null;
}

/** Returns a sweep over the runs with an end longer than `seconds` ago. Each call continues the previous call. */
function createSweep(database: Sql, seconds: number): (stopping: AbortSignal) => Promise<void> {
  let begin = new Date(0);
  return async (stopping) => {
    let position: Position = { finishedAt: begin, id: NO_ID };
    while (!stopping.aborted) {
      const [batch] = await database.query<Batch>(deleteEvents(seconds, position), LONG);
      if (!batch?.mine) break;
      if (batch.events === BATCH_EVENTS) continue;
      if (batch.expired) await database.query(deleteRuns(batch.expired), LONG);
      position = batch;
    }
    const latest = position.finishedAt.getTime() - LATEST_COMMIT_SECONDS * 1000;
    begin = new Date(Math.max(begin.getTime(), latest));
  };
}

const LONG = { takesLong: true };

/**
 * Deletes events of the next runs in the order of the sweep. Deletes the newest events of a run first: while its STARTED event
 * exists, no event after it is missing (events/read.ts, findGap).
 */
function deleteEvents(seconds: number, after: Position): Statement {
  const limit = raw(BATCH_EVENTS);
  return sql`WITH turn AS MATERIALIZED (
  SELECT pg_try_advisory_xact_lock(${LOCK}) AS "mine"
), ended AS MATERIALIZED (
  SELECT "id", "finishedAt", ("tombstone" OR "threadId" IS NULL)
    AND ("idempotencyKey" IS NULL OR ${seconds}::int >= ${raw(KEYS_SECONDS)}) AS "isExpired" FROM "Run"
  WHERE "finishedAt" < now() - make_interval(secs => ${seconds})
    AND ("finishedAt", "id") > (${after.finishedAt}::timestamptz, ${after.id}::uuid)
  ORDER BY "finishedAt", "id" LIMIT ${raw(BATCH_RUNS)}
), old AS MATERIALIZED (
  SELECT e."threadId", e."number" FROM ended CROSS JOIN LATERAL (
    SELECT "threadId", "number" FROM "RunEvent" WHERE "runId" = ended."id" AND "type" <> 'FINISHED'
    ORDER BY "number" DESC LIMIT ${limit}
  ) e WHERE (SELECT "mine" FROM turn) LIMIT ${limit}
), deleted AS (
  DELETE FROM "RunEvent" e USING old WHERE e."threadId" = old."threadId" AND e."number" = old."number"
)
SELECT "id", "finishedAt", turn."mine", (SELECT count(*) FROM old) AS "events",
  (SELECT array_agg("id") FROM ended WHERE "isExpired") AS "expired"
FROM ended, turn ORDER BY "finishedAt" DESC, "id" DESC LIMIT 1`;
}

function deleteRuns(ids: readonly string[]): Statement {
  return sql`DELETE FROM "Run" WHERE "id" = ANY(${ids}::uuid[])`;
}
