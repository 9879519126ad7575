import { canWrite } from '../auth/scope.ts';
import { lockId, type Created } from '../db/node-id.ts';
import type { Query } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { newId } from '../db/uuid.ts';
import { BadInputError } from '../errors.ts';
import type { Run } from '../generated/prisma/client.ts';
import { acceptAnswers } from '../interrupts/answers.ts';
import type { Stops } from './cancel.ts';
import type { StoredCommand } from './command.ts';
import { findRunByKey, lockKey } from './idempotency.ts';
import { insertRun } from './insert.ts';
import { roomsIn, type RunLimits } from './limits.ts';
import { startOfEdit, withoutRuns } from './edited-message.ts';
import { lockOrCreateThread, lockThread, lockThreads } from './lock.ts';
import { applyStrategy, refuseBusy } from './multitask.ts';
import type { CheckedRun } from './request.ts';

/** An accepted run. */
export interface Accepted {
  run: Created<Run>;
  /** The runs stopped by its multitask strategy. */
  stops?: Stops | undefined;
}

type RunInThread = CheckedRun & { threadId: string };

/**
 * Accepts runs in the order of their thread ids. For each run: locks the thread, applies the multitask strategy, inserts. Throws
 * if a run is refused.
 */
export async function acceptRuns(
  query: Query,
  runs: readonly CheckedRun[],
  options: RunLimits,
): Promise<Map<CheckedRun, Accepted>> {
  if (options.ownerRunLimit > 0) await lockOwners(query, runs);
  const areLocked = runs.length > 1;
  if (areLocked) await lockTogether(query, runs);
  const accepted = new Map<CheckedRun, Accepted>();
  for (const run of runs) {
    accepted.set(run, await acceptRun(query, run, { ...options, isLocked: areLocked }));
  }
  return accepted;
}

/**
 * Accepts a run without decisions with a single statement, which does not look for an earlier run with its key. Throws
 * NearlyFullError if only `acceptRuns` can decide whether a limit is reached.
 */
export function acceptAlone(query: Query, run: CheckedRun, options: RunLimits): Promise<Accepted> {
  return insertInQueue(query, run, { ...options, isExact: false });
}

/** Locks the owners of runs until the end of the transaction: the counts of their runs are then exact. */
async function lockOwners(query: Query, runs: readonly CheckedRun[]): Promise<void> {
  const names = new Set(runs.map(({ viewer }) => lockNameOf(viewer.tenant, viewer.identity)));
  for (const { viewer, threadId } of runs.filter(isInThread)) {
    // The thread may belong to another owner.
    const [thread] = await query<{ tenant: string; owner: string }>(
      sql`SELECT "tenant", "owner" FROM "Thread" WHERE "id" = ${threadId} AND ${canWrite(viewer)}`,
    );
    if (thread) names.add(lockNameOf(thread.tenant, thread.owner));
  }
  for (const name of [...names].toSorted()) {
    await query(sql`SELECT pg_advisory_xact_lock(hashtextextended(${name}, 2))`);
  }
}

function lockNameOf(tenant: string, owner: string): string {
  return JSON.stringify([tenant, owner]);
}

/** Locks idempotency keys, then ids, then threads: the order of a single run. */
async function lockTogether(query: Query, runs: readonly CheckedRun[]): Promise<void> {
  const keys = runs.flatMap(({ viewer, key }) => (key ? { viewer, key } : []));
  for (const { viewer, key } of keys.toSorted((a, b) => (a.key.key < b.key.key ? -1 : 1)))
    await lockKey(query, viewer, key);
  const named = runs.filter(isInThread);
  const mayBeNew = named.filter(({ ifThreadMissing }) => ifThreadMissing === 'CREATE');
  for (const id of new Set(mayBeNew.map(({ threadId }) => threadId))) await lockId(query, id);
  await lockThreads(query, named);
}

interface RunOptions extends RunLimits {
  /** The thread is locked already. */
  isLocked: boolean;
}

async function acceptRun(query: Query, run: CheckedRun, options: RunOptions): Promise<Accepted> {
  if (run.key) {
    await lockKey(query, run.viewer, run.key);
    const repeated = await findRunByKey(query, run.viewer, run.key);
    if (repeated) return { run: { ...repeated, isNew: false } };
  }
  return needsDecisions(run) ? takeTurn(query, run, options) : enqueue(query, run, options);
}

/** Whether the acceptance of the run depends on the state of its thread. Otherwise the run joins the queue at once. */
export function needsDecisions(run: CheckedRun): run is RunInThread {
  if (!isInThread(run)) return false;
  return (
    run.multitaskStrategy !== 'ENQUEUE' ||
    run.checkpointId !== null ||
    run.editMessageId !== null ||
    Boolean(run.command?.resume)
  );
}

function isInThread(run: CheckedRun): run is RunInThread {
  return run.threadId !== undefined;
}

async function enqueue(query: Query, run: CheckedRun, options: RunOptions): Promise<Accepted> {
  if (!options.isLocked && isInThread(run)) await lockFor(query, run);
  return insertInQueue(query, run, { ...options, isExact: true });
}

async function insertInQueue(
  query: Query,
  run: CheckedRun,
  options: RunLimits & { isExact: boolean },
): Promise<Accepted> {
  const inserted = await insertRun(
    query,
    { ...run, threadId: run.threadId ?? newId() },
    {
      ...roomsIn(options, options),
      createsThread: run.threadId === undefined || run.ifThreadMissing === 'CREATE',
    },
  );
  return { run: { ...inserted, isNew: true } };
}

/** Locks the thread, applies the strategy to its other runs, and closes the answered interrupts. */
async function takeTurn(query: Query, run: RunInThread, limits: RunOptions): Promise<Accepted> {
  const { threadId, multitaskStrategy, command } = run;
  await lockFor(query, run);
  // A run with answers never waits: another run could change the interrupts.
  if (command?.resume) await refuseBusy(query, threadId);
  const stops = command?.resume
    ? undefined
    : await applyStrategy(query, threadId, multitaskStrategy);
  const checkpointId = await startOf(query, run, stops);
  const commandJson = await acceptCommand(query, run);
  const accepted = { ...run, checkpointId, commandJson };
  const options = { ...roomsIn(limits, { isExact: true }), createsThread: false };
  const inserted = await insertRun(query, accepted, options);
  return { run: { ...inserted, isNew: true }, stops };
}

/** The command as it is stored: each answer with the id of its interrupt. */
async function acceptCommand(
  query: Query,
  { id, threadId, argument, command, commandJson }: RunInThread,
): Promise<string | null> {
  if (!command?.resume) return commandJson;
  const names = { threadId, runId: id, argument: `${argument}.command.resume` };
  const resume = await acceptAnswers(query, names, command.resume);
  return JSON.stringify({ ...command, resume } satisfies StoredCommand);
}

function lockFor(
  query: Query,
  { viewer, threadId, ifThreadMissing, threadMetadata }: RunInThread,
): Promise<void> {
  return ifThreadMissing === 'CREATE'
    ? lockOrCreateThread(query, viewer, { id: threadId, metadata: threadMetadata })
    : lockThread(query, viewer, threadId);
}

/** The checkpoint to start from; null for the newest one. */
async function startOf(
  query: Query,
  run: RunInThread,
  stops: Stops | undefined,
): Promise<string | null> {
  if (run.checkpointId !== null) await requireCheckpoint(query, run);
  if (run.editMessageId === null) return run.checkpointId;
  const argument = `${run.argument}.editMessageId`;
  const checkpointId = await startOfEdit(query, {
    threadId: run.threadId,
    messageId: run.editMessageId,
    hasInput: run.inputJson !== null,
    argument,
  });
  if (run.multitaskStrategy !== 'ROLLBACK') return checkpointId;
  const remaining = await withoutRuns(query, { ...run, checkpointId }, stops?.running ?? []);
  if (remaining !== checkpointId && run.inputJson === null) {
    throw new BadInputError(
      argument,
      `ROLLBACK removes the run of the message ${JSON.stringify(run.editMessageId)} with its input, so no run can answer it again; give an input, or use INTERRUPT.`,
    );
  }
  return remaining;
}

async function requireCheckpoint(
  query: Query,
  { argument, threadId, checkpointNamespace, checkpointId }: RunInThread,
): Promise<void> {
  const [checkpoint] = await query(
    sql`SELECT 1 FROM "Checkpoint" WHERE "threadId" = ${threadId} AND "namespace" = ${checkpointNamespace}
      AND "checkpointId" = ${checkpointId}`,
  );
  if (checkpoint) return;
  const where = checkpointNamespace === '' ? '' : ` in the namespace "${checkpointNamespace}"`;
  throw new BadInputError(
    `${argument}.checkpointId`,
    `${checkpointId} is not a checkpoint of thread ${threadId}${where}.`,
  );
}
