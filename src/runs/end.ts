import type { CheckpointTuple } from '@langchain/langgraph-checkpoint';
import { closeOthers, storeInterrupts, type PendingInterrupt } from '../checkpoints/interrupts.ts';
import type { Query } from '../db/open.ts';
import type { ErrorSummary } from '../errors.ts';
import type { EndedRun, StoredEvent } from '../events/event.ts';
import { appendEvents, lastNumber, lockedEvents } from '../events/log.ts';
import type { Run } from '../generated/prisma/client.ts';
import { isBusy } from '../threads/lock.ts';
import { forgetUnfinished, reopenAnswered } from './answers.ts';
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

type EndingRun = Pick<Run, 'id' | 'onCompletion' | 'claimToken'> & { threadId: string };

/** What a run's end has brought about. */
export interface Ended {
  /** The run's last events. */
  events: StoredEvent[];
  /** Another run of the thread is due. */
  nextIsDue: boolean;
  /** The checkpoint that the run left as the thread's head. */
  headId: string | null;
}

/** Whether `endRun` is one statement for it, and needs no transaction: that one locks what it reads. */
export function isPlainEnd({ status, interrupts }: Outcome): boolean {
  return status === 'SUCCESS' && interrupts?.length === 0;
}

/**
 * Records how a run ended, and all that follows from it. Undefined, with nothing changed, where the run is not this
 * attempt's, or has been asked to stop and is not said to have. Anything but a plain end takes a transaction that holds
 * the thread's lock and the run's.
 */
export async function endRun(
  query: Query,
  run: EndingRun,
  outcome: Outcome,
): Promise<Ended | undefined> {
  const { id, threadId } = run;
  const { status, error, interrupts, output, rollback = false } = outcome;
  if (rollback) await undo(query, run);
  else if (status !== 'SUCCESS' && status !== 'INTERRUPTED') await forgetUnfinished(query, id);
  const isTold = interrupts !== undefined && !rollback;
  if (!rollback && !isTold) await reopenAnswered(query, id);
  const asked = isTold ? await storeInterrupts(query, { threadId, runId: id }, interrupts) : [];
  const interruptIds = asked.filter(({ isNew }) => isNew).map((interrupt) => interrupt.id);

  // Otherwise nothing of the run is in the thread, or nobody can tell.
  const tells = !rollback && (status !== 'CANCELLED' || isTold);
  const waits = asked.length > 0;
  const thrownAway = run.onCompletion === 'DELETE';
  const rows = await query<StoredEvent & Omit<Ended, 'events'>>(END, [
    ...lockedEvents(run, [
      ...(interruptIds.length > 0 ? [{ type: 'INTERRUPT' as const, data: { interruptIds } }] : []),
      { type: 'FINISHED' as const, data: { status, error: error ?? null } },
    ]),
    status,
    toJson(error),
    thrownAway && !rollback ? toJson(output) : null,
    rollback,
    isTold ? asked.map((interrupt) => interrupt.id) : null,
    tells ? threadStatusAfter(status, { waits, nextIsDue: true }) : null,
    tells ? threadStatusAfter(status, { waits, nextIsDue: false }) : null,
    run.claimToken,
    thrownAway,
  ]);
  const [row] = rows;
  if (!row) return undefined;
  if (rollback) await query(FORGET_GRAPH, [threadId]);
  const events = rows.map(({ nextIsDue: _nextIsDue, headId: _headId, ...event }) => event);
  return { events, nextIsDue: row.nextIsDue, headId: row.headId };
}

// Whoever stores or ends a run of a thread updates the thread's row: where that is as this statement first saw it,
// nothing that this statement reads has changed before the lock was taken.
const END = `WITH held AS (
  SELECT r."id", t."xmin" FROM "Thread" t JOIN "Run" r ON r."threadId" = t."id"
  WHERE t."id" = $1 AND r."id" = $2 AND r."status" IN ('PENDING', 'RUNNING') AND r."claimToken" IS NOT DISTINCT FROM $12::uuid
    AND (r."cancelAction" IS NULL OR $5 = 'CANCELLED')
  FOR NO KEY UPDATE OF t SKIP LOCKED FOR UPDATE OF r SKIP LOCKED
), ending AS (
  SELECT held."id", ${isBusy('$1', '$2')} AS "nextIsDue",
    (SELECT "checkpointId" FROM "CheckpointHead" WHERE "threadId" = $1 AND "namespace" = '') AS "headId"
  FROM held JOIN "Thread" seen ON seen."id" = $1 AND seen."xmin" = held."xmin"
), event AS (
  ${appendEvents('ending')}
), run AS (
  UPDATE "Run" SET "status" = $5::"RunStatus", "error" = $6::json, "output" = $7::json, "finishedAt" = now(),
    "claimToken" = NULL, "leaseExpiresAt" = NULL, "tombstone" = $8,
    "headId" = ending."headId"
  FROM ending WHERE "Run"."id" = ending."id"
), closed AS (
  ${closeOthers('$9')} AND EXISTS (SELECT 1 FROM ending)
), thread AS (
  UPDATE "Thread" SET "lastEvent" = (SELECT max("number") FROM event), "updatedAt" = now(),
    "error" = CASE WHEN $11::text IS NULL THEN "error" ELSE $6::json END,
    "restStatus" = coalesce($11::"ThreadStatus", "restStatus"),
    "status" = CASE WHEN ending."nextIsDue" THEN coalesce($10::"ThreadStatus", 'BUSY')
      ELSE coalesce($11::"ThreadStatus", "restStatus") END
  FROM ending WHERE "Thread"."id" = $1 AND NOT $13::boolean
), gone AS (
  DELETE FROM "Thread" USING ending WHERE "Thread"."id" = $1 AND $13::boolean
)
SELECT event.*, ending."nextIsDue", ending."headId" FROM event, ending ORDER BY "number"`;

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

/**
 * Takes back all that a run's attempts left in its thread: nothing else has written there since the first of them began.
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
  await query(
    `UPDATE "Interrupt" SET "pending" = true, "answeredById" = NULL WHERE "threadId" = $1 AND "answeredById" = $2`,
    run,
  );
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
