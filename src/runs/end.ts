import type { FinalCheckpoint } from '../checkpoints/in-place.ts';
import type { Storable } from '../checkpoints/records.ts';
import { storeStatement, type Addition, type Stored } from '../checkpoints/store-statement.ts';
import { storeBy, type StatementOf } from '../checkpoints/store.ts';
import { createItemNumbers, type ItemNumbers } from '../checkpoints/items.ts';
import type { Query } from '../db/query.ts';
import { param, sql, type Statement } from '../db/sql.ts';
import type { ErrorSummary } from '../errors.ts';
import type { PendingEvent } from '../events/append.ts';
import type { StoredEvent } from '../events/event.ts';
import { measureEvent } from '../events/measure.ts';
import type { Run } from '../generated/prisma/client.ts';
import type { PendingInterrupt } from '../interrupts/pending.ts';
import {
  closeOthers,
  forgetUnfinished,
  reopenAnswered,
  storeInterrupts,
} from '../interrupts/store.ts';
import { toJsonColumn } from '../json.ts';
import { isBusy } from './busy.ts';
import { resetGraph, rollBack } from './rollback.ts';
import { threadStatusAfter, type FinalStatus } from './status.ts';

/** The result of a run. */
export interface Outcome {
  status: FinalStatus;
  error?: ErrorSummary | undefined;
  /** The open interrupts of the graph. Undefined: the run has changed none. */
  interrupts?: readonly PendingInterrupt[] | undefined;
  /** The final values, also as JSON. Only for a run whose thread is deleted with it. */
  output?: { values: unknown; json: string } | undefined;
  /** Undo the run: the thread gets its state from before the run. */
  rollback?: boolean;
  /** The last checkpoint of the run, if it has no pending tasks. */
  finalCheckpoint?: FinalCheckpoint | undefined;
}

/** The unstored records and events of an attempt. The statement at the end of the run stores them. */
export interface Unstored extends Storable {
  items: ItemNumbers;
}

export type EndingRun = Pick<Run, 'id' | 'onCompletion' | 'claimToken' | 'startedAt'> & {
  threadId: string;
};

/** The result of the end of a run. */
export interface Ended {
  /** The last events of the run, without the unstored ones. */
  events: StoredEvent[];
  /** The number of the first event of the statement. */
  firstEvent: number;
  /** A further run of the thread is due. */
  nextIsDue: boolean;
  /** The new columns of the run's row. */
  changed: ChangedRun;
}

/** The row of the run after its end. With the final checkpoint, if this is the head of the thread. */
export function afterEnd(
  run: Run,
  { output, finalCheckpoint }: Outcome,
  { changed }: Ended,
): EndedRun {
  const isHead = changed.threadId !== null && finalCheckpoint?.checkpoint.id === changed.headId;
  return {
    ...run,
    ...changed,
    output: run.onCompletion === 'DELETE' ? (output?.values ?? null) : null,
    finalCheckpoint: isHead ? finalCheckpoint : undefined,
  };
}

/** A run after its end. */
export interface EndedRun extends Run {
  /** Only in the process that ended the run. */
  finalCheckpoint?: FinalCheckpoint | undefined;
}

export type ChangedRun = Pick<
  Run,
  'status' | 'error' | 'finishedAt' | 'claimToken' | 'leaseExpiresAt' | 'headId' | 'threadId'
>;

const NOTHING = (): Unstored => ({ records: [], items: createItemNumbers() });

/**
 * Ends a run: stores the unstored records and events of its attempt, its outcome, its last events and the new state of its
 * thread. Undefined, with nothing changed: the claim is lost, the run has a cancellation request and the outcome is not
 * CANCELLED, or a transaction holds the thread or the run. If a run succeeds without interrupts, a single statement is enough.
 * Otherwise the caller has locked the thread and the run in a transaction.
 */
export async function endRun(
  query: Query,
  run: EndingRun,
  outcome: Outcome,
  unstored = NOTHING(),
): Promise<Ended | undefined> {
  const { id, threadId } = run;
  const { rollback = false } = outcome;
  await undoUnfinished(query, run, outcome);
  const open = await openInterrupts(query, run, outcome);
  const lastEvents = lastEventsOf(outcome, open ?? []);
  const { events: before = [], records, items } = unstored;
  const storable = {
    // The statement also deletes the thread and its checkpoints.
    records: run.onCompletion === 'DELETE' ? [] : records,
    events: [...before, ...lastEvents],
  };
  const statementOf = endStatement(run, outcome, open);
  const row = await storeBy<Stored & EndRow>(query, { threadId, items }, { storable, statementOf });
  if (!row) return undefined;
  if (rollback) await resetGraph(query, threadId);
  const firstEvent = Number(row.firstEvent);
  const events = lastEvents.map(({ type, data }, i): StoredEvent => ({
    type,
    data,
    threadId,
    runId: id,
    namespace: [],
    number: firstEvent + before.length + i,
    createdAt: row.finishedAt,
  }));
  return { events, firstEvent, nextIsDue: row.nextIsDue, changed: changedOf(row) };
}

/** The columns of the result, in addition to `Stored`. */
interface EndRow extends ChangedRun {
  finishedAt: Date;
  nextIsDue: boolean;
}

function changedOf(row: ChangedRun): ChangedRun {
  const { status, error, finishedAt, claimToken, leaseExpiresAt, headId, threadId } = row;
  return { status, error, finishedAt, claimToken, leaseExpiresAt, headId, threadId };
}

/** Undoes the effects of a run without success and without an interrupt. */
async function undoUnfinished(
  query: Query,
  run: EndingRun,
  { status, interrupts, rollback = false }: Outcome,
): Promise<void> {
  const { threadId, id: runId } = run;
  if (rollback) return rollBack(query, run);
  if (status !== 'SUCCESS' && status !== 'INTERRUPTED')
    await forgetUnfinished(query, { threadId, runId });
  if (interrupts === undefined) await reopenAnswered(query, { threadId, runId });
}

type OpenInterrupts = Awaited<ReturnType<typeof storeInterrupts>>;

/** Stores the interrupts of the outcome. Undefined: the outcome does not include interrupts. */
async function openInterrupts(
  query: Query,
  { threadId, id: runId }: EndingRun,
  { interrupts, rollback = false }: Outcome,
): Promise<OpenInterrupts | undefined> {
  if (rollback || interrupts === undefined) return undefined;
  return storeInterrupts(query, { threadId, runId }, interrupts);
}

function lastEventsOf({ status, error }: Outcome, open: OpenInterrupts): PendingEvent[] {
  const interruptIds = open.filter(({ isNew }) => isNew).map(({ id }) => id);
  const finished = { type: 'FINISHED' as const, data: { status, error: error ?? null } };
  const interrupted = { type: 'INTERRUPT' as const, data: { interruptIds } };
  const events = interruptIds.length > 0 ? [interrupted, finished] : [finished];
  return events.map((event) => measureEvent({ ...event, namespace: [] }));
}

/**
 * The statement at the end of a run. `claim` checks the snapshot rule (src/README.md). With SKIP LOCKED, the statement does nothing
 * if a transaction holds the thread or the run: that transaction may change the outcome, for example by a cancellation request.
 */
function endStatement(
  run: EndingRun,
  outcome: Outcome,
  open: OpenInterrupts | undefined,
): StatementOf {
  const threadId = param(run.threadId);
  const runId = param(run.id);
  const fence = sql`held AS (
  SELECT r."id", t."xmin" FROM "Thread" t JOIN "Run" r ON r."threadId" = t."id"
  WHERE t."id" = ${threadId}::uuid AND r."id" = ${runId}::uuid AND r."status" IN ('PENDING', 'RUNNING')
    AND r."claimToken" IS NOT DISTINCT FROM ${run.claimToken}::uuid
    AND (r."cancelAction" IS NULL OR ${outcome.status === 'CANCELLED'}::boolean)
  FOR NO KEY UPDATE OF t SKIP LOCKED FOR UPDATE OF r SKIP LOCKED
), claim AS (
  SELECT held."id" FROM held JOIN "Thread" seen ON seen."id" = ${threadId}::uuid AND seen."xmin" = held."xmin"
)`;
  const addition: Addition = {
    ctes: sql`, ending AS (
  SELECT ready."id", ${isBusy(threadId, runId)} AS "nextIsDue", now()::timestamptz(3) AS "endedAt",
    coalesce((SELECT "checkpointId" FROM head WHERE "namespace" = ''),
      (SELECT "checkpointId" FROM "CheckpointHead" WHERE "threadId" = ${threadId}::uuid AND "namespace" = '')) AS "headId"
  FROM ready
), closed AS (
  ${closeOthers(threadId, open ? open.map(({ id }) => id) : null)} AND EXISTS (SELECT 1 FROM ending)
)${updateThread(run, outcome, open)}${updateRun(run, outcome)}`,
    columns: sql`, ending."nextIsDue", run."status", run."error", run."finishedAt", run."claimToken", run."leaseExpiresAt", run."headId",
  run."threadId"`,
    from: sql` LEFT JOIN ending ON true LEFT JOIN run ON true`,
  };
  return (content) => storeStatement(fence, { ...content, threadId, runId }, addition);
}

/**
 * After the deletion of the thread, its foreign key (ON DELETE SET NULL) sets the run's "threadId" to NULL. The count of `gone`
 * makes PostgreSQL delete the thread first: otherwise it would check the foreign key of the run before it sets the column.
 */
function updateRun(
  { onCompletion }: EndingRun,
  { status, error, output, rollback = false }: Outcome,
): Statement {
  const isThreadDeleted = onCompletion === 'DELETE';
  const stored = isThreadDeleted && !rollback ? (output?.json ?? null) : null;
  return sql`, run AS (
  UPDATE "Run" SET "status" = ${status}::"RunStatus", "error" = ${toJsonColumn(error)}::json, "output" = ${stored}::json,
    "finishedAt" = ending."endedAt", "claimToken" = NULL, "leaseExpiresAt" = NULL, "tombstone" = ${rollback}::boolean,
    "headId" = ending."headId", "viewer" = NULL
  FROM ending, (SELECT count(*) FROM gone) AS "first" WHERE "Run"."id" = ending."id"
  RETURNING "Run"."status", "Run"."error", "Run"."finishedAt", "Run"."claimToken", "Run"."leaseExpiresAt", "Run"."headId",
    CASE WHEN NOT ${isThreadDeleted}::boolean THEN "Run"."threadId" END AS "threadId"
)`;
}

/**
 * A run without a trace in the thread does not change the thread's error and resting status. This is a run after a rollback, or
 * a run cancelled before its start.
 */
function updateThread(
  { onCompletion, threadId }: EndingRun,
  { status, error, rollback = false }: Outcome,
  open: OpenInterrupts | undefined,
): Statement {
  const isThreadDeleted = onCompletion === 'DELETE';
  const changesStatus = !rollback && (status !== 'CANCELLED' || open !== undefined);
  const waits = open !== undefined && open.length > 0;
  const statusAfter = (nextIsDue: boolean) =>
    changesStatus ? threadStatusAfter(status, { waits, nextIsDue }) : null;
  const atRest = param(statusAfter(false));
  return sql`, thread AS (
  UPDATE "Thread" SET "lastEvent" = (SELECT max("number") FROM events), "updatedAt" = now(), "stateUpdatedAt" = now(),
    "error" = CASE WHEN ${atRest}::text IS NULL THEN "error" ELSE ${toJsonColumn(error)}::json END,
    "restStatus" = coalesce(${atRest}::text::"ThreadStatus", "restStatus"),
    "status" = CASE WHEN ending."nextIsDue" THEN coalesce(${statusAfter(true)}::text::"ThreadStatus", 'BUSY')
      ELSE coalesce(${atRest}::text::"ThreadStatus", "restStatus") END
  FROM ending WHERE "Thread"."id" = ${threadId}::uuid AND NOT ${isThreadDeleted}::boolean
), gone AS (
  DELETE FROM "Thread" USING ending WHERE "Thread"."id" = ${threadId}::uuid AND ${isThreadDeleted}::boolean RETURNING "Thread"."id"
)`;
}
