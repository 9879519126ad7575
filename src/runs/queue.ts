import { RUNS_CHANNEL } from '../db/channels.ts';
import type { Query, Sql } from '../db/query.ts';
import { empty, param, raw, sql, type Statement } from '../db/sql.ts';
import type { CancelAction, Run } from '../generated/prisma/client.ts';
import { isRunningOrDue } from './busy.ts';
import { endRun, type Ended, type Outcome } from './end.ts';
import {
  insertStartedEvents,
  STARTED_EVENT_COLUMNS,
  type StartedEventColumns,
} from './started-event.ts';

/** The Run table as a queue: a PENDING row is a job, and a lease is its lock. */
export interface RunQueue {
  /** True if a lease ends without renewal. False if a single process owns the database. */
  leasesEnd: boolean;
  /**
   * Claims up to `limit` runs. Each of them is due and the first in the order of its thread, and no run of the thread is RUNNING.
   * With `takeOver`, also claims RUNNING runs with an expired lease.
   */
  claim(limit: number, options: { takeOver: boolean }): Promise<ClaimedRun[]>;
  /** Claims the first run of each owner without a RUNNING run, up to `limit`, in the order of the owners after the given one. */
  claimForIdleOwners(limit: number, after: Owner): Promise<ClaimedRun[]>;
  /** Extends the lease. */
  renew(claim: ClaimedRun): Promise<Renewal>;
  /**
   * Stores the outcome and all its effects in a transaction. A run with a cancellation request ends CANCELLED. Undefined, with
   * nothing changed: the claim is lost.
   */
  settle(claim: ClaimedRun, outcome: Outcome): Promise<Ended | undefined>;
  /** Ends all leases except those of `held`. Only for the single process that owns the database. */
  expireOthers(held: readonly string[]): Promise<void>;
  /** Makes the run PENDING again. Unless `counts` is true, the attempt does not count. */
  release(claim: ClaimedRun, options?: { counts: boolean }): Promise<void>;
}

/** The result of a renewal. */
export interface Renewal {
  /** The claim is lost: the attempt must stop. */
  lost: boolean;
  /** The cancellation request of the run. */
  cancelAction: CancelAction | null;
}

/** The owner of runs. */
export type Owner = Pick<Run, 'tenant' | 'owner'>;

export interface QueueOptions {
  worker: string;
  /** The duration of a lease. Infinity: a single process owns the database. */
  leaseSeconds: number;
}

export function createRunQueue(db: Sql, { worker, leaseSeconds }: QueueOptions): RunQueue {
  const leasesEnd = Number.isFinite(leaseSeconds);
  const lease = leasesEnd ? `${leaseSeconds} seconds` : '1000 years';
  return {
    leasesEnd,

    claim: (limit, { takeOver }) =>
      db.query<ClaimedRun>(claimRuns({ worker, lease, limit, takeOver })),

    claimForIdleOwners: (limit, after) =>
      db.query<ClaimedRun>(claimRuns({ worker, lease, limit, takeOver: false, after })),

    async renew({ id, claimToken }) {
      const [held] = await db.query<{ cancelAction: CancelAction | null }>(
        sql`UPDATE "Run" SET "leaseExpiresAt" = ${leaseEnd(lease)}
          WHERE "id" = ${id} AND "claimToken" = ${claimToken} RETURNING "cancelAction"`,
      );
      return { lost: !held, cancelAction: held?.cancelAction ?? null };
    },

    settle: (claim, outcome) => db.transaction((query) => settleLocked(query, claim, outcome)),

    async expireOthers(held) {
      await db.query(
        sql`UPDATE "Run" SET "leaseExpiresAt" = now() - interval '1 second'
          WHERE "status" = 'RUNNING' AND "leaseExpiresAt" >= now() AND "id" <> ALL(${held}::uuid[])`,
      );
    },

    async release({ id, claimToken, isExhausted }, { counts } = { counts: false }) {
      const uncounted = counts || isExhausted ? 0 : 1;
      await db.query(
        sql`UPDATE "Run" SET "status" = 'PENDING', "attempt" = "attempt" - ${uncounted}::int, "claimToken" = NULL,
            "leaseExpiresAt" = NULL
          WHERE "id" = ${id} AND "claimToken" = ${claimToken}`,
      );
      db.notify(RUNS_CHANNEL, id);
    },
  };
}

/** SQL: the end of a new lease. clock_timestamp() instead of now(): the statement may have waited for a lock. */
function leaseEnd(lease: string): Statement {
  return sql`clock_timestamp() + ${lease}::interval`;
}

// ── Claiming ─────────────────────────────────────────────────────────────────────────────────

/** The row of a claimed run, with further values for its attempt. */
export interface ClaimedRun extends Run, StartedEventColumns {
  threadId: string;
  claimToken: string;
  startedAt: Date;
  /** The run had an earlier attempt. Otherwise this claim has stored the STARTED event. */
  retried: boolean;
  /** The thread is known to have no checkpoint. */
  isFresh: boolean;
  /** The remaining part of timeoutSeconds, counted from the start of the first attempt. */
  secondsLeft: number | null;
  /** The run has used all of its attempts: this claim only ends it. */
  isExhausted: boolean;
  /** Several owners have PENDING runs. */
  isQueueShared: boolean;
}

/** After the loss of so many workers, a run ends in ERROR. */
export const MAX_ATTEMPTS = 3;

const MAX = raw(String(MAX_ATTEMPTS));
const LAST = raw(String(MAX_ATTEMPTS - 1));

/** The values of a claim statement. */
interface Claim {
  worker: string;
  /** The duration of a lease, as a PostgreSQL interval. */
  lease: string;
  limit: number;
  takeOver: boolean;
  /** Only the first run of each owner after this one without a RUNNING run. */
  after?: Owner;
}

/** The most owners in a claim for idle owners. */
const MOST_OWNERS = 100;

/** SQL: the next owners of PENDING runs after this one, each found with one step in the index. */
function ownersAfter({ tenant, owner }: Owner): Statement {
  const next = (after: Statement): Statement =>
    sql`SELECT "tenant", "owner" FROM "Run" WHERE "status" = 'PENDING' AND ("tenant", "owner") > ${after}
      ORDER BY "tenant", "owner" LIMIT 1`;
  return sql`owners AS (
  SELECT f.*, 1 AS "turn" FROM (${next(sql`(${tenant}::text, ${owner}::text)`)}) f
  UNION ALL
  SELECT n.*, o."turn" + 1 FROM owners o, LATERAL (${next(sql`(o."tenant", o."owner")`)}) n
  WHERE o."turn" < ${raw(MOST_OWNERS)}
)`;
}

/** SQL: the first due run of each of these owners without a RUNNING run. */
function idleOwners(after: Owner): Statement {
  return sql`RECURSIVE ${ownersAfter(after)}, first AS MATERIALIZED (
  SELECT f."id", w."turn" FROM owners w, LATERAL (
    SELECT r."id" FROM "Run" r WHERE r."status" = 'PENDING' AND r."tenant" = w."tenant" AND r."owner" = w."owner"
      AND r."dueAt" <= statement_timestamp() AND ${isFirstOfThread()}
    ORDER BY r."dueAt", r."seq" LIMIT 1) f
  WHERE NOT EXISTS (SELECT 1 FROM "Run" b WHERE b."status" = 'RUNNING' AND b."tenant" = w."tenant" AND b."owner" = w."owner")
), `;
}

/** SQL: whether several owners have PENDING runs. */
const IS_SHARED = sql`(
  (SELECT ROW("tenant", "owner") FROM "Run" WHERE "status" = 'PENDING' ORDER BY "tenant", "owner" LIMIT 1)
  IS DISTINCT FROM
  (SELECT ROW("tenant", "owner") FROM "Run" WHERE "status" = 'PENDING' ORDER BY "tenant" DESC, "owner" DESC LIMIT 1))`;

/**
 * Claims runs with a single statement.
 *
 * - Locks: the statement skips locked rows. While an old attempt of a run is writing, its run is locked: a later claim takes the
 *   run. Two workers cannot claim runs of the same thread, because both lock the row of the thread; the unique index on RUNNING
 *   runs is a second guard.
 * - Snapshot rule (src/README.md): if a thread has changed since the snapshot, its run stays for the next claim. For example, a run
 *   with an answer may have been inserted, and it comes first.
 * - Start: clock_timestamp() instead of now(). The statement may have waited during the end of the previous run, and now() would
 *   be before that end.
 * - Events: the statement stores the STARTED event of a first attempt, because no attempt of the thread can write events at the
 *   same time. A later attempt appends the event itself, after it has found its checkpoint.
 */
function claimRuns({ worker: name, lease, limit, takeOver, after }: Claim): Statement {
  const worker = param(name);
  return sql`WITH ${after ? idleOwners(after) : empty}found AS (
  SELECT r."id", r."threadId", t."xmin", r."attempt" >= ${MAX} AS "isExhausted", r."startedAt" IS NOT NULL AS "retried",
    r."startedAt" IS NULL AND ${hasNoCheckpoint(raw('r."threadId"'))} AS "isFresh",
    greatest(t."lastEvent", coalesce((SELECT max("number") FROM "RunEvent" e WHERE e."threadId" = r."threadId"), 0)) AS "before"
  FROM "Run" r JOIN "Thread" t ON t."id" = r."threadId" ${after ? sql`JOIN first ON first."id" = r."id"` : empty}
  WHERE r."dueAt" <= statement_timestamp()
    AND (r."status" = 'PENDING' OR r."status" = 'RUNNING' AND r."leaseExpiresAt" < now() AND ${takeOver})
    AND ${isFirstOfThread()} AND ${isLastAttemptAlone(worker)}
  ORDER BY ${after ? sql`first."turn", ` : empty}r."dueAt", r."seq" LIMIT ${limit}
  FOR NO KEY UPDATE OF t SKIP LOCKED FOR UPDATE OF r SKIP LOCKED
), next AS (
  SELECT * FROM found WHERE "xmin" = (SELECT seen."xmin" FROM "Thread" seen WHERE seen."id" = "threadId")
), busy AS (
  UPDATE "Thread" t SET "status" = 'BUSY', "updatedAt" = now() FROM next WHERE t."id" = next."threadId" AND t."status" <> 'BUSY'
), claimed AS (
  UPDATE "Run" r SET "status" = 'RUNNING', "attempt" = least(r."attempt" + 1, ${MAX}), "claimToken" = gen_random_uuid(),
    "worker" = ${worker}, "leaseExpiresAt" = ${leaseEnd(lease)}, "startedAt" = coalesce(r."startedAt", clock_timestamp())
  FROM next WHERE r."id" = next."id"
  RETURNING r.*, next."retried", next."isFresh", next."isExhausted", next."before",
    r."timeoutSeconds" - extract(epoch FROM clock_timestamp() - r."startedAt")::float8 AS "secondsLeft"
), started AS (
  ${insertStartedEvents('claimed', raw('NOT "retried"'))}
)
SELECT claimed.*, ${IS_SHARED} AS "isQueueShared", ${STARTED_EVENT_COLUMNS} FROM claimed LEFT JOIN started ON started."runId" = claimed."id"`;
}

/** SQL: true if no other run of the thread of `r` is RUNNING or comes first. */
function isFirstOfThread(): Statement {
  return sql`NOT EXISTS (SELECT 1 FROM "Run" o WHERE o."threadId" = r."threadId" AND o."id" <> r."id"
    AND ${isRunningOrDue('o')} AND (o."status" = 'RUNNING' OR (${rankOf('o')}) < (${rankOf('r')})))`;
}

/** SQL: true if a thread has no checkpoint. ORDER BY, as in the index: without it, the planner scans the heads of all threads. */
function hasNoCheckpoint(threadId: unknown): Statement {
  return sql`(SELECT h."checkpointId" FROM "CheckpointHead" h WHERE h."threadId" = ${threadId} ORDER BY h."namespace" LIMIT 1) IS NULL`;
}

/**
 * SQL: the order of the due runs of a thread. First, a run with an earlier attempt. Then runs with answers, first those without a
 * delay. Then the rest: a run without an answer would close the interrupt.
 */
function rankOf(run: string): Statement {
  return raw(`${run}."startedAt" IS NULL, CASE WHEN ${run}."command" -> 'resume' IS NULL THEN 2
    WHEN ${run}."dueAt" > ${run}."createdAt" THEN 1 ELSE 0 END, ${run}."seq"`);
}

/**
 * SQL: true unless a second last attempt would execute in this worker. If a run crashes its process at each attempt, the crash
 * must not use up the last attempts of further runs. The earliest run with an expired lease comes first.
 */
function isLastAttemptAlone(worker: unknown): Statement {
  return sql`(r."attempt" <> ${LAST} OR r."cancelAction" IS NOT NULL OR NOT EXISTS (
  SELECT 1 FROM "Run" o WHERE o."status" = 'RUNNING' AND (
    o."attempt" = ${LAST} AND o."leaseExpiresAt" < now() AND (o."dueAt", o."seq") < (r."dueAt", r."seq")
    OR o."attempt" = ${MAX} AND o."leaseExpiresAt" >= now() AND o."worker" = ${worker})))`;
}

// ── Settling ─────────────────────────────────────────────────────────────────────────────────

async function settleLocked(
  query: Query,
  claim: ClaimedRun,
  outcome: Outcome,
): Promise<Ended | undefined> {
  // The order of locks (src/README.md): the thread before the run.
  const [held] = await query<{ cancelAction: CancelAction | null }>(
    sql`SELECT r."cancelAction" FROM "Thread" t JOIN "Run" r ON r."threadId" = t."id"
      WHERE t."id" = ${claim.threadId} AND r."id" = ${claim.id} AND r."claimToken" = ${claim.claimToken}
      FOR NO KEY UPDATE OF t FOR UPDATE OF r`,
  );
  if (!held) return undefined;
  return endRun(query, claim, held.cancelAction ? cancelled(outcome, held.cancelAction) : outcome);
}

function cancelled(outcome: Outcome, action: CancelAction): Outcome {
  return { ...outcome, status: 'CANCELLED', error: undefined, rollback: action === 'ROLLBACK' };
}
