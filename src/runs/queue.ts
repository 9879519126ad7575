import { RUNS_CHANNEL } from '../channels.ts';
import type { Query, Sql } from '../db/open.ts';
import type { EndedRun, StoredEvent } from '../events/event.ts';
import type { CancelAction, Run } from '../generated/prisma/client.ts';
import { endRun, rowAfter, type Ended, type Outcome, type Rest } from './end.ts';

/** A run that a worker holds: the row, and what its attempt writes with. */
export interface ClaimedRun extends Run {
  threadId: string;
  claimToken: string;
  startedAt: Date;
  /** The number of the thread's newest event. */
  lastNumber: number;
  /** Whether an earlier attempt may have left checkpoints. Otherwise the newest event is that the run has started. */
  retried: boolean;
  /** Whether its thread is known to have no checkpoint. */
  isFresh: boolean;
  /** What is left of timeoutSeconds, which begin with the first attempt. */
  secondsLeft: number | null;
}

/** What became of a claim that was to be renewed. */
export interface Renewal {
  /** The claim is gone: the attempt must stop. */
  lost: boolean;
  /** Somebody wants the run to stop. */
  cancelAction: CancelAction | null;
}

/** The Run table seen as a queue: a PENDING row is a job, a lease is its lock. */
export interface RunQueue {
  claimer: Claimer;
  /** Claims up to `limit` runs: due, the first of their thread, with nothing running there; or with an expired lease. */
  claim(limit: number): Promise<ClaimedRun[]>;
  /** Extends the lease. */
  renew(claim: ClaimedRun): Promise<Renewal>;
  /**
   * Ends a run that has succeeded and asks nothing, with what its attempt has not stored yet, in one statement. Undefined,
   * with nothing changed, where the claim is lost, or another decides about the run or its thread just now: then it is settled.
   */
  end(claim: ClaimedRun, outcome: Outcome, rest: Rest): Promise<Ended | undefined>;
  /**
   * Records the outcome, and all that follows from it, in one transaction; a run that was to be cancelled by then ends
   * CANCELLED. Undefined, with nothing changed, when the claim is lost.
   */
  settle(claim: ClaimedRun, outcome: Outcome): Promise<Ended | undefined>;
  /** Whether a claim ends when it is not renewed: not where one process owns the database. */
  leasesEnd: boolean;
  /** Ends every lease but those of these runs: nobody else can be at work on this database. */
  expireOthers(held: readonly string[]): Promise<void>;
  /** Gives a claim back, as if the attempt had not been made. */
  release(claim: ClaimedRun): Promise<void>;
}

/** A run that has lost its worker so many times ends in ERROR. */
export const MAX_ATTEMPTS = 3;

export interface QueueOptions {
  worker: string;
  /** How long a claim holds without renewal; Infinity where one process owns the database. */
  leaseSeconds: number;
}

/** Who claims, as statements take it. */
export interface Claimer {
  worker: string;
  /** An interval: how long a claim holds without renewal. */
  lease: string;
}

/** SQL: when a claim ends that is not renewed, also where the statement has waited. `lease` is a parameter. */
export const leaseEnd = (lease: string): string => `clock_timestamp() + ${lease}::interval`;

/** SQL: stores that the runs in `table`, which have just been claimed, have started; `before` is the thread's last event. */
export const tellStart = (table: string): string =>
  `INSERT INTO "RunEvent" ("threadId", "runId", "number", "type", "namespace", "data", "createdAt")
  SELECT "threadId", "id", "before" + 1, 'STARTED', '{}', json_build_object('attempt', "attempt"), "startedAt"
  FROM ${table}`;

/**
 * SQL: the order of a thread's due runs. One that has begun goes on before any other, and one that brings an answer goes before
 * those that were delayed when it was accepted, also with an answer: after them, what it answers would not be asked any more.
 */
const orderOf = (run: string): string =>
  `${run}."startedAt" IS NULL, CASE WHEN ${run}."command" -> 'resume' IS NULL THEN 2
    WHEN ${run}."dueAt" > ${run}."createdAt" THEN 1 ELSE 0 END, ${run}."seq"`;

/**
 * SQL: a process makes last attempts one at a time, so that a run which takes its process along every time does not
 * take the last attempt of those that were beside it.
 */
const LAST_ATTEMPT_IS_ALONE = `(r."attempt" <> ${MAX_ATTEMPTS - 1} OR r."cancelAction" IS NOT NULL OR NOT EXISTS (
  SELECT 1 FROM "Run" o WHERE o."status" = 'RUNNING' AND (
    o."attempt" = ${MAX_ATTEMPTS - 1} AND o."leaseExpiresAt" < now() AND (o."dueAt", o."seq") < (r."dueAt", r."seq")
    OR o."attempt" = ${MAX_ATTEMPTS} AND o."leaseExpiresAt" >= now() AND o."worker" = $2)))`;

// One statement. FOR UPDATE on the run waits for no fenced write: a run whose old attempt is just writing is skipped
// until the next look. Two workers that see the same thread meet at its row; the unique index on RUNNING backs them.
// The statement may have been sent before the run before ended, and seen that end: then now() would be too early a start.
// What begins for the first time says so: nobody else can be writing events of the thread. A retried run has to see first
// what its last attempt has left. A thread that has no checkpoint has none until this run makes one. Its head is asked for in
// the order of the index: the planner would look through all heads for any.
// Whoever stores, ends or changes something in a thread updates its row. Where that is not as this statement first saw it, the
// run is left for the next look: an answer, which goes first, may have come before the thread was locked.
const CLAIM = `WITH found AS (
  SELECT r."id", r."threadId", t."xmin", r."startedAt" IS NOT NULL AS "retried", r."startedAt" IS NULL
    AND (SELECT h."checkpointId" FROM "CheckpointHead" h WHERE h."threadId" = r."threadId" ORDER BY h."namespace" LIMIT 1) IS NULL AS "isFresh",
    greatest(t."lastEvent", coalesce((SELECT max("number") FROM "RunEvent" e WHERE e."threadId" = r."threadId"), 0)) AS "before"
  FROM "Run" r JOIN "Thread" t ON t."id" = r."threadId"
  WHERE r."dueAt" <= now() AND (r."status" = 'PENDING' OR r."status" = 'RUNNING' AND r."leaseExpiresAt" < now())
    AND NOT EXISTS (SELECT 1 FROM "Run" o WHERE o."threadId" = r."threadId" AND o."id" <> r."id" AND (
      o."status" = 'RUNNING' OR o."status" = 'PENDING' AND o."dueAt" <= now()
        AND (${orderOf('o')}) < (${orderOf('r')})))
    AND ${LAST_ATTEMPT_IS_ALONE}
  ORDER BY r."dueAt", r."seq" LIMIT $1
  FOR NO KEY UPDATE OF t SKIP LOCKED FOR UPDATE OF r SKIP LOCKED
), next AS (
  SELECT * FROM found WHERE "xmin" = (SELECT seen."xmin" FROM "Thread" seen WHERE seen."id" = "threadId")
), busy AS (
  UPDATE "Thread" t SET "status" = 'BUSY', "updatedAt" = now() FROM next WHERE t."id" = next."threadId" AND t."status" <> 'BUSY'
), claimed AS (
  UPDATE "Run" r SET "status" = 'RUNNING', "attempt" = r."attempt" + 1, "claimToken" = gen_random_uuid(), "worker" = $2,
    "leaseExpiresAt" = ${leaseEnd('$3')}, "startedAt" = coalesce(r."startedAt", clock_timestamp())
  FROM next WHERE r."id" = next."id"
  RETURNING r.*, next."retried", next."isFresh", next."before",
    r."timeoutSeconds" - extract(epoch FROM clock_timestamp() - r."startedAt")::float8 AS "secondsLeft"
), told AS (
  ${tellStart('claimed')} WHERE NOT "retried" RETURNING "runId", "number"
)
SELECT claimed.*, coalesce(told."number", "before") AS "lastNumber" FROM claimed LEFT JOIN told ON told."runId" = claimed."id"`;

/** What the claim of a run that begins for the first time has stored. */
export function startedEvent({
  id,
  threadId,
  lastNumber,
  attempt,
  startedAt,
}: ClaimedRun): StoredEvent {
  return {
    type: 'STARTED',
    threadId,
    runId: id,
    number: lastNumber,
    namespace: [],
    data: { attempt },
    createdAt: startedAt,
  };
}

export function createRunQueue(sql: Sql, { worker, leaseSeconds }: QueueOptions): RunQueue {
  const leasesEnd = Number.isFinite(leaseSeconds);
  const lease = leasesEnd ? `${leaseSeconds} seconds` : '1000 years';
  return {
    claimer: { worker, lease },
    leasesEnd,

    claim: (limit) => sql.query<ClaimedRun>(CLAIM, [limit, worker, lease]),

    async renew({ id, claimToken }) {
      const [held] = await sql.query<{ cancelAction: CancelAction | null }>(
        `UPDATE "Run" SET "leaseExpiresAt" = ${leaseEnd('$3')}
         WHERE "id" = $1 AND "claimToken" = $2 RETURNING "cancelAction"`,
        [id, claimToken, lease],
      );
      return { lost: !held, cancelAction: held?.cancelAction ?? null };
    },

    async end(claim, outcome, rest) {
      const ended = await endRun(sql.query, claim, outcome, rest);
      return ended && withRow(ended, rowAfter(claim, outcome, ended));
    },

    settle: (claim, outcome) => sql.transaction((query) => settleLocked(query, claim, outcome)),

    async expireOthers(held) {
      await sql.query(
        `UPDATE "Run" SET "leaseExpiresAt" = now() - interval '1 second'
         WHERE "status" = 'RUNNING' AND "leaseExpiresAt" >= now() AND "id" <> ALL($1::uuid[])`,
        [held],
      );
    },

    async release({ id, claimToken }) {
      await sql.query(
        `UPDATE "Run" SET "status" = 'PENDING', "attempt" = "attempt" - 1, "claimToken" = NULL, "leaseExpiresAt" = NULL
         WHERE "id" = $1 AND "claimToken" = $2`,
        [id, claimToken],
      );
      sql.notify(RUNS_CHANNEL, id);
    },
  };
}

/** Tells the run's end, which is all that a plain end tells, with its row: who waits for the run need not read it. */
function withRow(ended: Ended, run: EndedRun): Ended {
  return { ...ended, events: ended.events.map((event) => ({ ...event, run })) };
}

async function settleLocked(
  query: Query,
  claim: ClaimedRun,
  outcome: Outcome,
): Promise<Ended | undefined> {
  // The thread before the run, as everywhere: the order of locks that keeps transactions from waiting in a circle.
  const [held] = await query<{ cancelAction: CancelAction | null }>(
    `SELECT r."cancelAction" FROM "Thread" t JOIN "Run" r ON r."threadId" = t."id"
     WHERE t."id" = $1 AND r."id" = $2 AND r."claimToken" = $3
     FOR NO KEY UPDATE OF t FOR UPDATE OF r`,
    [claim.threadId, claim.id, claim.claimToken],
  );
  if (!held) return undefined;
  return endRun(query, claim, held.cancelAction ? cancelled(outcome, held.cancelAction) : outcome);
}

function cancelled(outcome: Outcome, action: CancelAction): Outcome {
  return { ...outcome, status: 'CANCELLED', error: undefined, rollback: action === 'ROLLBACK' };
}
