import type { CheckpointTuple } from '@langchain/langgraph-checkpoint';
import {
  closeOthers,
  forgetUnfinished,
  reopenAnswered,
  storeInterrupts,
  type PendingInterrupt,
} from '../checkpoints/interrupts.ts';
import {
  FIRST_FREE_PARAM,
  storeBy,
  storeStatement,
  type Storable,
  type Stored,
} from '../checkpoints/store.ts';
import { createItemNumbers, type ItemNumbers } from '../checkpoints/values.ts';
import type { Query } from '../db/open.ts';
import type { ErrorSummary } from '../errors.ts';
import type { EndedRun, StoredEvent } from '../events/event.ts';
import { lastNumber, toPending } from '../events/log.ts';
import type { Run } from '../generated/prisma/client.ts';
import { isBusy } from '../threads/lock.ts';
import { threadStatusAfter, type FinalStatus } from './status.ts';

/** How a run ended. */
export interface Outcome {
  status: FinalStatus;
  error?: ErrorSummary | undefined;
  /** What the graph waits for a person to answer; undefined where the run changed nothing about it. */
  interrupts?: readonly PendingInterrupt[] | undefined;
  /** The values the run left; needed only where its thread goes. */
  output?: unknown;
  /** The thread is to be as if the run had never been. */
  rollback?: boolean;
  /** The checkpoint that the run put last, where nothing waits in it. */
  left?: CheckpointTuple | undefined;
}

/** What a run's attempt has not stored yet: it is stored with the end. */
export interface Rest extends Storable {
  items: ItemNumbers;
}

type EndingRun = Pick<Run, 'id' | 'onCompletion' | 'claimToken' | 'startedAt'> & {
  threadId: string;
};

/** What a run's end has brought about. */
export interface Ended {
  /** The run's last events, without those of the rest. */
  events: StoredEvent[];
  /** The number of the first event that was stored. */
  firstEvent: number;
  /** Another run of the thread is due. */
  nextIsDue: boolean;
  /** The checkpoint that the run left as the thread's head. */
  headId: string | null;
}

const NOTHING_LEFT = (): Rest => ({ records: [], items: createItemNumbers() });

/**
 * Records how a run ended, and all that follows from it, with what its attempt has not stored yet. Undefined, with nothing
 * changed, where the run is not this attempt's, or has been asked to stop and is not said to have. One statement where the
 * run has succeeded and asks nothing; anything else takes a transaction that holds the thread's lock and the run's.
 */
export async function endRun(
  query: Query,
  run: EndingRun,
  outcome: Outcome,
  rest = NOTHING_LEFT(),
): Promise<Ended | undefined> {
  const { id, threadId } = run;
  const { status, error, interrupts, output, rollback = false } = outcome;
  if (rollback) await takeBack(query, run);
  else if (status !== 'SUCCESS' && status !== 'INTERRUPTED')
    await forgetUnfinished(query, { threadId, runId: id });
  const isTold = interrupts !== undefined && !rollback;
  if (!rollback && !isTold) await reopenAnswered(query, { threadId, runId: id });
  const asked = isTold ? await storeInterrupts(query, { threadId, runId: id }, interrupts) : [];
  const interruptIds = asked.filter(({ isNew }) => isNew).map((interrupt) => interrupt.id);

  // Otherwise nothing of the run is in the thread, or nobody can tell.
  const tells = !rollback && (status !== 'CANCELLED' || isTold);
  const waits = asked.length > 0;
  const thrownAway = run.onCompletion === 'DELETE';
  const told = [
    ...(interruptIds.length > 0 ? [{ type: 'INTERRUPT' as const, data: { interruptIds } }] : []),
    { type: 'FINISHED' as const, data: { status, error: error ?? null } },
  ];
  const { events: before = [], records, items } = rest;
  const storable = {
    // The thread goes, and all that is in it.
    records: thrownAway ? [] : records,
    events: [...before, ...told.map(toPending)],
  };
  const row = await storeBy<Stored & End>({ threadId, items }, storable, (params) =>
    query(END, [
      id,
      run.claimToken,
      ...params,
      status,
      toJson(error),
      thrownAway && !rollback ? toJson(output) : null,
      rollback,
      isTold ? asked.map((interrupt) => interrupt.id) : null,
      tells ? threadStatusAfter(status, { waits, nextIsDue: true }) : null,
      tells ? threadStatusAfter(status, { waits, nextIsDue: false }) : null,
      thrownAway,
    ]),
  );
  if (!row) return undefined;
  if (rollback) await query(FORGET_GRAPH, [threadId]);
  const { nextIsDue, headId, endedAt } = row;
  const firstEvent = Number(row.firstEvent);
  const events = told.map((event, i): StoredEvent => ({
    ...event,
    threadId,
    runId: id,
    namespace: [],
    number: firstEvent + before.length + i,
    createdAt: endedAt,
  }));
  return { events, firstEvent, nextIsDue, headId };
}

/** What END says in addition to what has been stored. */
interface End extends Pick<Ended, 'nextIsDue' | 'headId'> {
  endedAt: Date;
}

const param = (i: number): string => `$${FIRST_FREE_PARAM + i}`;
const STATUS = param(0);
const ERROR = param(1);
const OUTPUT = param(2);
const ROLLBACK = param(3);
const ASKED = param(4);
const STATUS_IF_DUE = param(5);
const STATUS_AT_REST = param(6);
const THROWN_AWAY = param(7);

// Whoever stores or ends a run of a thread updates the thread's row: where that is as this statement first saw it,
// nothing that this statement reads has changed before the lock was taken.
const END = storeStatement(
  `held AS (
  SELECT r."id", t."xmin" FROM "Thread" t JOIN "Run" r ON r."threadId" = t."id"
  WHERE t."id" = $3 AND r."id" = $1 AND r."status" IN ('PENDING', 'RUNNING') AND r."claimToken" IS NOT DISTINCT FROM $2::uuid
    AND (r."cancelAction" IS NULL OR ${STATUS} = 'CANCELLED')
  FOR NO KEY UPDATE OF t SKIP LOCKED FOR UPDATE OF r SKIP LOCKED
), claim AS (
  SELECT held."id" FROM held JOIN "Thread" seen ON seen."id" = $3 AND seen."xmin" = held."xmin")`,
  {
    ctes: `, ending AS (
  SELECT ready."id", ${isBusy('$3', '$1')} AS "nextIsDue", now()::timestamptz(3) AS "endedAt",
    coalesce((SELECT "checkpointId" FROM head WHERE "namespace" = ''),
      (SELECT "checkpointId" FROM "CheckpointHead" WHERE "threadId" = $3 AND "namespace" = '')) AS "headId"
  FROM ready
), run AS (
  UPDATE "Run" SET "status" = ${STATUS}::"RunStatus", "error" = ${ERROR}::json, "output" = ${OUTPUT}::json,
    "finishedAt" = ending."endedAt", "claimToken" = NULL, "leaseExpiresAt" = NULL, "tombstone" = ${ROLLBACK},
    "headId" = ending."headId"
  FROM ending WHERE "Run"."id" = ending."id"
), closed AS (
  ${closeOthers('$3', ASKED)} AND EXISTS (SELECT 1 FROM ending)
), thread AS (
  UPDATE "Thread" SET "lastEvent" = (SELECT max("number") FROM events), "updatedAt" = now(),
    "error" = CASE WHEN ${STATUS_AT_REST}::text IS NULL THEN "error" ELSE ${ERROR}::json END,
    "restStatus" = coalesce(${STATUS_AT_REST}::"ThreadStatus", "restStatus"),
    "status" = CASE WHEN ending."nextIsDue" THEN coalesce(${STATUS_IF_DUE}::"ThreadStatus", 'BUSY')
      ELSE coalesce(${STATUS_AT_REST}::"ThreadStatus", "restStatus") END
  FROM ending WHERE "Thread"."id" = $3 AND NOT ${THROWN_AWAY}::boolean
), gone AS (
  DELETE FROM "Thread" USING ending WHERE "Thread"."id" = $3 AND ${THROWN_AWAY}::boolean
)`,
    columns: `, ending."nextIsDue", ending."headId", ending."endedAt"`,
    from: ` LEFT JOIN ending ON true`,
  },
);

/** What END makes of a run's row, where it is a plain end: all else is as it was claimed, for nobody else changes it meanwhile. */
export function rowAfter(
  run: Run,
  { status, output, left }: Outcome,
  { events, headId }: Ended,
): EndedRun {
  const thrownAway = run.onCompletion === 'DELETE';
  return {
    ...run,
    status,
    output: thrownAway ? (output ?? null) : null,
    finishedAt: events.at(-1)?.createdAt ?? null,
    claimToken: null,
    leaseExpiresAt: null,
    headId,
    threadId: thrownAway ? null : run.threadId,
    left: !thrownAway && left?.checkpoint.id === headId ? left : undefined,
  };
}

/** The thread's graph is that of its last run, or the one that made its state. */
const FORGET_GRAPH = `UPDATE "Thread" t SET "graphId" = last.graph,
  "metadata" = t."metadata" || jsonb_build_object('graph_id', last.graph)
FROM (SELECT coalesce(
  (SELECT "graphId" FROM "Run" WHERE "threadId" = $1 AND NOT "tombstone" ORDER BY "seq" DESC LIMIT 1),
  (SELECT c."metadata" ->> 'graph_id' FROM "Checkpoint" c WHERE "threadId" = $1 ORDER BY "seq" DESC LIMIT 1)) AS graph) last
WHERE t."id" = $1 AND last.graph IS NOT NULL`;

/** A run that has not begun has left nothing, and another may be writing in its thread just now. */
async function takeBack(query: Query, run: EndingRun): Promise<void> {
  if (run.startedAt !== null) await undo(query, run);
  await query(
    `UPDATE "Interrupt" SET "pending" = true, "answeredById" = NULL WHERE "threadId" = $1 AND "answeredById" = $2`,
    [run.threadId, run.id],
  );
}

/**
 * Undoes all that a run's attempts left in its thread: nothing else has written there since the first of them began.
 * A thread's head is always the checkpoint that was stored last; numbers of items and events only grow.
 */
async function undo(query: Query, { id, threadId }: EndingRun): Promise<void> {
  const run = [threadId, id];
  const thread = [threadId];
  await query(`UPDATE "Thread" SET "lastEvent" = $2 WHERE "id" = $1`, [
    threadId,
    await lastNumber(query, threadId),
  ]);
  await query(`DELETE FROM "RunEvent" WHERE "threadId" = $1 AND "runId" = $2`, run);
  await query(`DELETE FROM "Interrupt" WHERE "threadId" = $1 AND "runId" = $2`, run);
  await query(`DELETE FROM "CheckpointWrite" WHERE "threadId" = $1 AND "runId" = $2`, run);
  await query(`DELETE FROM "Checkpoint" WHERE "threadId" = $1 AND "runId" = $2`, run);
  await query(
    `DELETE FROM "CheckpointHead" h WHERE "threadId" = $1 AND NOT EXISTS (
       SELECT 1 FROM "Checkpoint" c WHERE c."threadId" = $1 AND c."namespace" = h."namespace")`,
    thread,
  );
  await query(
    `UPDATE "CheckpointHead" h SET "checkpointId" = last."checkpointId" FROM (
       SELECT DISTINCT ON ("namespace") "namespace", "checkpointId" FROM "Checkpoint" WHERE "threadId" = $1
       ORDER BY "namespace", "seq" DESC
     ) last WHERE h."threadId" = $1 AND h."namespace" = last."namespace"`,
    thread,
  );
  await query(
    `WITH used AS (
       SELECT DISTINCT c."namespace", v.key AS "channel", v.value::bigint AS "version"
       FROM "Checkpoint" c, json_each_text(c."versions") v WHERE c."threadId" = $1
     )
     DELETE FROM "ChannelValue" v WHERE "threadId" = $1 AND NOT EXISTS (SELECT 1 FROM used u
       WHERE u."namespace" = v."namespace" AND u."channel" = v."channel" AND u."version" = v."version")`,
    thread,
  );
  await query(
    `DELETE FROM "ChannelItem" i USING (
       SELECT coalesce(min(number), 0) AS lowest, coalesce(max(number), 0) AS highest FROM (
         SELECT unnest("ranges") AS number FROM "ChannelValue" WHERE "threadId" = $1
         UNION ALL SELECT unnest("ranges") FROM "CheckpointWrite" WHERE "threadId" = $1) ranges) used
     WHERE i."threadId" = $1 AND i."number" NOT BETWEEN least(used.lowest, 0) AND greatest(used.highest, 0)`,
    thread,
  );
}

function toJson(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
