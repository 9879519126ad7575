import { AssistantChangedError, isUnchanged } from '../assistants/cache.ts';
import { isForThread } from '../db/node-id.ts';
import type { Query } from '../db/query.ts';
import { empty, join, param, raw, sql, type Statement } from '../db/sql.ts';
import { ConflictError, IdTakenError, NotFoundError } from '../errors.ts';
import { lastNumberOf } from '../events/append.ts';
import type { Run } from '../generated/prisma/client.ts';
import { isBusy } from './busy.ts';
import { queuedRuns, refuseQueued, type Room } from './limits.ts';
import { hasNoCheckpoint, leaseEnd, type ClaimedRun, type Claimer } from './queue.ts';
import type { CheckedRun } from './request.ts';
import { insertStartedEvents, STARTED_EVENT_COLUMNS } from './started-event.ts';

type NewRow = CheckedRun & { threadId: string };

interface InsertOptions {
  /** Claims the run if its thread is idle. Undefined: the run stays PENDING. */
  claimer: Claimer | undefined;
  room: Room;
  /** Creates the thread if it does not exist. */
  createsThread: boolean;
}

/** The inserted row: PENDING, or RUNNING with the columns that the claim statement also returns. */
type Inserted = ClaimedRun | (Run & { claimToken: null });

/**
 * Inserts a run, and claims it if nothing else is due in its thread. Throws if the thread does not exist or cannot be used,
 * if its queue is full, and AssistantChangedError if the assistant has changed since the check of the request.
 */
export async function insertRun(
  query: Query,
  run: NewRow,
  options: InsertOptions,
): Promise<{ run: Run; claim: ClaimedRun | undefined }> {
  const [inserted] = await query<Inserted>(insertStatement(run, options));
  if (!inserted) return explainRefusal(query, run, options);
  return { run: inserted, claim: inserted.claimToken === null ? undefined : inserted };
}

async function explainRefusal(
  query: Query,
  { threadId, argument, assistantId, assistantVersion }: NewRow,
  { room, createsThread }: InsertOptions,
): Promise<never> {
  const [found] = await query<{ isUnchanged: boolean; isTemporary: boolean }>(
    sql`SELECT ${isUnchanged(assistantId, assistantVersion)} AS "isUnchanged", ${isTemporary(threadId)} AS "isTemporary"`,
  );
  if (!found?.isUnchanged) throw new AssistantChangedError(assistantId);
  if (found.isTemporary) {
    throw new ConflictError(
      `Thread ${threadId} belongs to a stateless run and is deleted at its end. Runs that share a state need a thread from createThread.`,
    );
  }
  await refuseQueued(query, { argument, threadId }, room);
  throw createsThread ? new IdTakenError(threadId) : new NotFoundError('Thread', threadId);
}

/** SQL: true if the thread belongs to a stateless run and is deleted at its end. */
function isTemporary(threadId: unknown): Statement {
  return sql`EXISTS (SELECT 1 FROM "Run" r WHERE r."threadId" = ${threadId}
    AND r."status" IN ('PENDING', 'RUNNING') AND r."onCompletion" = 'DELETE')`;
}

/**
 * Locks or creates the thread, inserts the run and, if the thread is idle, claims the run and stores its STARTED event. The
 * thread is locked before the run gets its `seq`.
 */
function insertStatement(run: NewRow, options: InsertOptions): Statement {
  const params = paramsOf(run, options);
  const { threadId, worker, lease } = params;
  const columns = columnsOf(run, params);
  return sql`WITH locked AS (
    SELECT "id", "xmin" FROM "Thread" WHERE "id" = ${threadId}
      ${options.createsThread ? sql`AND ${isForThread(threadId)}` : empty} FOR NO KEY UPDATE
  ), thread AS (
    ${options.createsThread ? createThread(params) : updateThread(params)}
  ), claim AS (
    SELECT gen_random_uuid() AS "token", ${worker}::text AS "worker", ${leaseEnd(lease)} AS "leaseEnd", clock_timestamp() AS "at"
    FROM thread WHERE ${mayBeClaimed(params)}
  ), run AS (
    INSERT INTO "Run" (${namesOf(columns)}) SELECT ${join(Object.values(columns))}
    FROM thread LEFT JOIN claim ON true RETURNING *
  ), claimed AS (
    SELECT *, ${LAST_NUMBER} AS "before" FROM run WHERE "status" = 'RUNNING'
  ), started AS (
    ${insertStartedEvents('claimed')}
  )
  SELECT run.*, ${STARTED_EVENT_COLUMNS}, false AS "retried", false AS "isExhausted", run."timeoutSeconds" AS "secondsLeft",
    ${hasNoCheckpoint(threadId)} AS "isFresh"
  FROM run LEFT JOIN started ON true`;
}

const LAST_NUMBER = lastNumberOf(raw('run."threadId"'));

type Params = ReturnType<typeof paramsOf>;

/** Values and conditions that several parts of the statement share. */
function paramsOf(run: NewRow, { claimer, room }: InsertOptions) {
  const threadId = param(run.threadId);
  const graphId = param(run.graphId);
  const assistantId = param(run.assistantId);
  const delay = sql`make_interval(secs => ${param(run.afterSeconds)})`;
  const most = param(room.most);
  return {
    threadId,
    graphId,
    assistantId,
    delay,
    isDue: sql`now() + ${delay} <= statement_timestamp()`,
    metadata: sql`jsonb_build_object('graph_id', ${graphId}::text)`,
    mayBeInserted: sql`${isUnchanged(sql`${assistantId}::uuid`, run.assistantVersion)} AND ${most}::int > 0
      AND ${queuedRuns(threadId, most)} < ${most} AND NOT ${isTemporary(threadId)}`,
    worker: param(claimer?.worker ?? null),
    lease: claimer?.lease ?? null,
  };
}

function updateThread({ mayBeInserted, ...params }: Params): Statement {
  return sql`UPDATE "Thread" SET ${threadChanges(params)} FROM locked WHERE "Thread"."id" = locked."id" AND ${mayBeInserted}
    RETURNING "Thread"."id", false AS "isNew"`;
}

/** Updates the thread if it exists. The count of `locked` makes the lock come first. */
function createThread({ mayBeInserted, ...params }: Params): Statement {
  const { threadId, graphId, metadata, isDue } = params;
  return sql`INSERT INTO "Thread" ("id", "graphId", "metadata", "status")
    SELECT ${threadId}, ${graphId}, ${metadata}, CASE WHEN ${isDue} THEN 'BUSY' ELSE 'IDLE' END::"ThreadStatus"
    FROM (SELECT count(*) FROM locked) AS "first" WHERE ${isForThread(threadId)} AND ${mayBeInserted}
    ON CONFLICT ("id") DO UPDATE SET ${threadChanges(params)}
    -- xmax is 0 in a row version that an INSERT created.
    RETURNING "id", "xmax" = 0 AS "isNew"`;
}

/** A due run makes its thread BUSY. */
function threadChanges({ graphId, metadata, isDue }: Omit<Params, 'mayBeInserted'>): Statement {
  return sql`"graphId" = ${graphId}, "metadata" = "Thread"."metadata" || ${metadata}, "updatedAt" = now(),
    "status" = CASE WHEN ${isDue} THEN 'BUSY' ELSE "Thread"."status" END`;
}

/**
 * SQL: true if the run may start at once: its thread is new or not busy. For an existing thread, the snapshot rule (src/README.md)
 * applies. If the snapshot has a thread that this statement creates, a concurrent transaction has just deleted it. Such a thread
 * does not count as new, because old events have its id.
 */
function mayBeClaimed({ threadId, worker, isDue }: Params): Statement {
  return sql`${worker}::text IS NOT NULL AND ${isDue} AND (
    thread."isNew" AND NOT EXISTS (SELECT 1 FROM "Thread" seen WHERE seen."id" = ${threadId})
    OR NOT ${isBusy(threadId)} AND EXISTS (
      SELECT 1 FROM locked JOIN "Thread" seen ON seen."id" = locked."id" AND seen."xmin" = locked."xmin"))`;
}

/** Each column of the new row with its value. */
function columnsOf(run: NewRow, { graphId, assistantId, delay }: Params) {
  return {
    id: sql`${run.id}::uuid`,
    threadId: sql`thread."id"`,
    assistantId: sql`${assistantId}::uuid`,
    graphId: sql`${graphId}`,
    input: sql`${run.inputJson}::json`,
    command: sql`${run.commandJson}::json`,
    config: sql`${JSON.stringify(run.config)}::json`,
    context: sql`${JSON.stringify(run.context)}::json`,
    metadata: sql`${JSON.stringify(run.metadata)}::jsonb`,
    streamModes: sql`${run.streamModes}::text[]`,
    streamSubgraphs: sql`${run.streamSubgraphs}::boolean`,
    interruptBefore: sql`${run.interruptBefore}::text[]`,
    interruptAfter: sql`${run.interruptAfter}::text[]`,
    multitaskStrategy: sql`${run.multitaskStrategy}::"MultitaskStrategy"`,
    onCompletion: sql`${run.onCompletion}::"OnCompletion"`,
    durability: sql`${run.durability}::"Durability"`,
    checkpointId: sql`${run.checkpointId}::uuid`,
    checkpointNamespace: sql`${run.checkpointNamespace}::text`,
    timeoutSeconds: sql`${run.timeoutSeconds}::float8`,
    idempotencyKey: sql`${run.key?.key ?? null}::text`,
    inputHash: sql`${run.key?.inputHash ?? null}::bytea`,
    // The column has milliseconds. Rounded up, a run without a delay would not be due yet.
    dueAt: sql`date_trunc('milliseconds', now()) + ${delay}`,
    status: sql`CASE WHEN claim."token" IS NULL THEN 'PENDING' ELSE 'RUNNING' END::"RunStatus"`,
    attempt: sql`(claim."token" IS NOT NULL)::int`,
    claimToken: sql`claim."token"`,
    worker: sql`claim."worker"`,
    leaseExpiresAt: sql`claim."leaseEnd"`,
    startedAt: sql`claim."at"`,
  } satisfies Partial<Record<keyof Run, Statement>>;
}

function namesOf(columns: object): Statement {
  return raw(
    Object.keys(columns)
      .map((name) => `"${name}"`)
      .join(', '),
  );
}
