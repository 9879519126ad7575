import type { App } from '../app.ts';
import type { Sql } from '../db/open.ts';
import { repeat, type Repeated } from '../repeat.ts';

const EVERY_MS = 60_000;
/** Idempotency keys are kept at least so long. */
const KEYS_SECONDS = 86_400;
const BATCH_RUNS = 500;
const BATCH_EVENTS = 500;
/** One process at a time: the others would look at the same rows. */
const LOCK = 72_707_370;
/** A run that ended so long before another one may still be committed after it. */
const LATEST_COMMIT_SECONDS = 60;

/**
 * Looks at once, and then every minute, for runs that ended longer than EVENT_RETENTION ago: their events go, but for
 * the final one, and so do the rows of runs without a thread and of tombstones.
 */
export function startRetention({
  sql,
  config,
  log,
}: Pick<App, 'sql' | 'config' | 'log'>): Repeated {
  const { eventRetentionSeconds } = config;
  const sweeps = [createSweep(sql, eventRetentionSeconds)];
  // Rows with a key were passed by, where they are kept for longer.
  if (eventRetentionSeconds < KEYS_SECONDS) sweeps.push(createSweep(sql, KEYS_SECONDS));

  return repeat(
    async (stopping) => {
      for (const sweep of sweeps) await sweep(stopping);
    },
    {
      pauseMs: EVERY_MS,
      atOnce: true,
      onError: (error) => log.warn({ err: error }, 'Old events could not be removed.'),
    },
  );
}

// The newest of a run's events go first: where its start is kept, all is kept that came next (events/tail.ts, findGap).
const REMOVE_EVENTS = `WITH turn AS MATERIALIZED (
  SELECT pg_try_advisory_xact_lock($1) AS "mine"
), ended AS MATERIALIZED (
  SELECT "id", "finishedAt",
    ("tombstone" OR "threadId" IS NULL) AND ("idempotencyKey" IS NULL OR $2 >= ${KEYS_SECONDS}) AS "goes" FROM "Run"
  WHERE "finishedAt" < now() - make_interval(secs => $2) AND ("finishedAt", "id") > ($3::timestamptz, $4::uuid)
  ORDER BY "finishedAt", "id" LIMIT ${BATCH_RUNS}
), old AS MATERIALIZED (
  SELECT e."threadId", e."number" FROM ended CROSS JOIN LATERAL (
    SELECT "threadId", "number" FROM "RunEvent" WHERE "runId" = ended."id" AND "type" <> 'FINISHED'
    ORDER BY "number" DESC LIMIT ${BATCH_EVENTS}
  ) e WHERE (SELECT "mine" FROM turn) LIMIT ${BATCH_EVENTS}
), removed AS (
  DELETE FROM "RunEvent" e USING old WHERE e."threadId" = old."threadId" AND e."number" = old."number"
)
SELECT "id", "finishedAt", turn."mine", (SELECT count(*) FROM old) AS "events",
  (SELECT array_agg("id") FROM ended WHERE "goes") AS "going"
FROM ended, turn ORDER BY "finishedAt" DESC, "id" DESC LIMIT 1`;

const REMOVE_RUNS = `DELETE FROM "Run" WHERE "id" = ANY($1::uuid[])`;

const NO_ID = '00000000-0000-0000-0000-000000000000';

/** The last of a batch of runs, and what was found of all of them. */
interface Batch {
  id: string;
  finishedAt: Date;
  mine: boolean;
  events: number;
  going: string[] | null;
}

/** A sweep over all runs that ended longer ago than that; the next one begins where the last has come to. */
function createSweep(sql: Sql, seconds: number): (stopping: AbortSignal) => Promise<void> {
  let begin = new Date(0);
  return async (stopping) => {
    let place = { finishedAt: begin, id: NO_ID };
    while (!stopping.aborted) {
      const params = [LOCK, seconds, place.finishedAt, place.id];
      const [batch] = await sql.query<Batch>(REMOVE_EVENTS, params, { takesLong: true });
      if (!batch?.mine) break;
      if (batch.events === BATCH_EVENTS) continue;
      if (batch.going) await sql.query(REMOVE_RUNS, [batch.going], { takesLong: true });
      place = batch;
    }
    const latest = place.finishedAt.getTime() - LATEST_COMMIT_SECONDS * 1000;
    begin = new Date(Math.max(begin.getTime(), latest));
  };
}
