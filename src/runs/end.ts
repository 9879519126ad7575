import { storeInterrupts, type PendingInterrupt } from '../checkpoints/interrupts.ts';
import type { Query } from '../db/open.ts';
import type { ErrorSummary } from '../errors.ts';
import type { StoredEvent } from '../events/event.ts';
import { appendLocked, lastNumber } from '../events/log.ts';
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
}

type EndedRun = Pick<Run, 'id' | 'onCompletion'> & { threadId: string };

/**
 * Records how a run ended, and all that follows from it, in a transaction that holds the thread's lock and the run's.
 * Returns the run's last events.
 */
export async function endRun(
  query: Query,
  run: EndedRun,
  outcome: Outcome,
): Promise<StoredEvent[]> {
  const { id, threadId } = run;
  const { status, error, interrupts, output, rollback = false } = outcome;
  if (rollback) await undo(query, run);
  else if (status !== 'SUCCESS' && status !== 'INTERRUPTED') await forgetUnfinished(query, id);
  if (!rollback && !interrupts) await reopenAnswered(query, id);
  const asked =
    interrupts && !rollback
      ? await storeInterrupts(query, { threadId, runId: id }, interrupts)
      : [];

  const thrownAway = run.onCompletion === 'DELETE';
  await query(
    `UPDATE "Run" SET "status" = $2::"RunStatus", "error" = $3::json, "output" = $4::json, "finishedAt" = now(),
       "claimToken" = NULL, "leaseExpiresAt" = NULL, "tombstone" = $6,
       "headId" = (SELECT "checkpointId" FROM "CheckpointHead" WHERE "threadId" = $5 AND "namespace" = '')
     WHERE "id" = $1`,
    [
      id,
      status,
      toJson(error),
      thrownAway && !rollback ? toJson(output) : null,
      threadId,
      rollback,
    ],
  );
  const events = await appendLocked(query, run, [
    ...(asked.length > 0 ? [{ type: 'INTERRUPT' as const, data: { interruptIds: asked } }] : []),
    { type: 'FINISHED' as const, data: { status, error: error ?? null } },
  ]);
  if (thrownAway) await query(`DELETE FROM "Thread" WHERE "id" = $1`, [threadId]);
  else await settleThread(query, threadId, outcome, events.at(-1)?.number ?? 0);
  return events;
}

async function settleThread(
  query: Query,
  threadId: string,
  { status, error, interrupts, rollback }: Outcome,
  lastEvent: number,
): Promise<void> {
  if (rollback) await query(FORGET_GRAPH, [threadId]);
  // Nothing of the run is in the thread, or nobody can tell.
  if (rollback || (status === 'CANCELLED' && !interrupts)) {
    await query(
      `UPDATE "Thread" SET "lastEvent" = $2, "updatedAt" = now(),
         "status" = CASE WHEN ${isBusy('$1')} THEN 'BUSY' ELSE "restStatus" END WHERE "id" = $1`,
      [threadId, lastEvent],
    );
    return;
  }
  const waits = (interrupts ?? []).length > 0;
  await query(
    `UPDATE "Thread" SET "error" = $2::json, "lastEvent" = $3, "updatedAt" = now(), "restStatus" = $5::"ThreadStatus",
       "status" = (CASE WHEN ${isBusy('$1')} THEN $4 ELSE $5 END)::"ThreadStatus" WHERE "id" = $1`,
    [
      threadId,
      toJson(error),
      lastEvent,
      threadStatusAfter(status, { waits, nextIsDue: true }),
      threadStatusAfter(status, { waits, nextIsDue: false }),
    ],
  );
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
async function undo(query: Query, { id, threadId }: EndedRun): Promise<void> {
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
