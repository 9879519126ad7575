import { AssistantChangedError, isUnchanged } from '../assistants/run-assistant.ts';
import { canWrite, ownerOf } from '../auth/scope.ts';
import { userOf } from '../auth/graph-user.ts';
import { isForThread } from '../db/node-id.ts';
import type { Query } from '../db/query.ts';
import { join, param, raw, sql, type Statement } from '../db/sql.ts';
import { ConflictError, IdTakenError, NotFoundError } from '../errors.ts';
import type { Run } from '../generated/prisma/client.ts';
import { toJsonColumn } from '../json.ts';
import { hasOwnerRoom, queuedRuns, refuseOwner, refuseQueued, type Room } from './limits.ts';
import type { CheckedRun } from './request.ts';

type NewRow = CheckedRun & { threadId: string };

interface InsertOptions {
  room: Room;
  ownerRunLimit: number;
  /** Creates the thread if it does not exist. */
  createsThread: boolean;
}

/**
 * Inserts a run. Throws if the thread does not exist or cannot be used, if its queue is full, if its owner has too many runs, and
 * AssistantChangedError if the assistant has changed since the check of the request.
 */
export async function insertRun(query: Query, run: NewRow, options: InsertOptions): Promise<Run> {
  const [inserted] = await query<Run>(insertStatement(run, options));
  return inserted ?? explainRefusal(query, run, options);
}

async function explainRefusal(
  query: Query,
  { viewer, threadId, argument, assistantId, assistantVersion }: NewRow,
  { room, ownerRunLimit, createsThread }: InsertOptions,
): Promise<never> {
  const [found] = await query<Refused>(
    sql`SELECT ${isUnchanged(assistantId, assistantVersion)} AS "isUnchanged", ${isTemporary(threadId)} AS "isTemporary",
      (SELECT "owner" FROM "Thread" WHERE "id" = ${threadId}) AS "owner",
      EXISTS (SELECT 1 FROM "Thread" WHERE "id" = ${threadId} AND NOT ${canWrite(viewer)}) AS "isForeign"`,
  );
  const unusable = createsThread
    ? new IdTakenError(threadId)
    : new NotFoundError('Thread', threadId);
  if (!found?.isUnchanged) throw new AssistantChangedError(assistantId);
  if (found.isForeign) throw unusable;
  if (found.isTemporary) {
    throw new ConflictError(
      `Thread ${threadId} belongs to a stateless run and is deleted at its end. Runs that share a state need a thread from createThread.`,
    );
  }
  await refuseQueued(query, { argument, threadId }, room);
  // A missing thread has no owner.
  const owner = found.owner ?? (createsThread ? viewer.identity : null);
  const { tenant } = viewer;
  if (owner !== null) await refuseOwner(query, { argument, tenant, owner }, ownerRunLimit);
  throw unusable;
}

interface Refused {
  /** The owner of the thread, if it exists. */
  owner: string | null;
  isUnchanged: boolean;
  isForeign: boolean;
  isTemporary: boolean;
}

/** SQL: true if the thread belongs to a stateless run and is deleted at its end. */
function isTemporary(threadId: unknown): Statement {
  return sql`EXISTS (SELECT 1 FROM "Run" r WHERE r."threadId" = ${threadId}
    AND r."status" IN ('PENDING', 'RUNNING') AND r."onCompletion" = 'DELETE')`;
}

/** Locks or creates the thread, and inserts the run. The thread is locked before the run gets its `seq`. */
function insertStatement(run: NewRow, options: InsertOptions): Statement {
  const params = paramsOf(run, options);
  const columns = columnsOf(run, params);
  return sql`WITH thread AS (
    ${options.createsThread ? createThread(params) : updateThread(params)}
  )
  INSERT INTO "Run" (${namesOf(columns)}) SELECT ${join(Object.values(columns))} FROM thread RETURNING *`;
}

type Params = ReturnType<typeof paramsOf>;

/** Values and conditions that several parts of the statement share. */
function paramsOf(run: NewRow, { room, ownerRunLimit }: InsertOptions) {
  const { viewer } = run;
  const threadId = param(run.threadId);
  const graphId = param(run.graphId);
  const assistantId = param(run.assistantId);
  const delay = sql`make_interval(secs => ${param(run.afterSeconds)})`;
  const most = param(room.most);
  // The thread may belong to another owner.
  const owner = sql`coalesce((SELECT t."owner" FROM "Thread" t WHERE t."id" = ${threadId}), ${viewer.identity})`;
  return {
    viewer,
    threadId,
    threadMetadata: run.threadMetadata,
    graphId,
    assistantId,
    delay,
    isDue: sql`now() + ${delay} <= statement_timestamp()`,
    metadata: sql`jsonb_build_object('graph_id', ${graphId}::text, 'assistant_id', ${assistantId}::text)`,
    mayBeInserted: sql`${isUnchanged(sql`${assistantId}::uuid`, run.assistantVersion)} AND ${most}::int > 0
      AND ${queuedRuns(threadId, most)} < ${most} AND NOT ${isTemporary(threadId)}
      AND ${hasOwnerRoom({ tenant: viewer.tenant, owner }, ownerRunLimit)}`,
  };
}

function updateThread({ viewer, threadId, mayBeInserted, ...params }: Params): Statement {
  return sql`UPDATE "Thread" SET ${threadChanges(params)}
    WHERE "id" = ${threadId} AND ${canWrite(viewer)} AND ${mayBeInserted} RETURNING "id", "tenant", "owner"`;
}

/** Updates the thread if it exists. */
function createThread({ viewer, threadId, mayBeInserted, ...params }: Params): Statement {
  const { graphId, threadMetadata, metadata, isDue } = params;
  const { tenant, owner } = ownerOf(viewer);
  return sql`INSERT INTO "Thread" ("id", "tenant", "owner", "graphId", "metadata", "status")
    SELECT ${threadId}, ${tenant}, ${owner}, ${graphId}, ${JSON.stringify(threadMetadata)}::jsonb || ${metadata},
      CASE WHEN ${isDue} THEN 'BUSY' ELSE 'IDLE' END::"ThreadStatus"
    WHERE ${isForThread(threadId)} AND ${mayBeInserted}
    ON CONFLICT ("id") DO UPDATE SET ${threadChanges(params)} WHERE ${canWrite(viewer, '"Thread"')}
    RETURNING "id", "tenant", "owner"`;
}

/** A due run makes its thread BUSY. */
function threadChanges({
  graphId,
  metadata,
  isDue,
}: Pick<Params, 'graphId' | 'metadata' | 'isDue'>): Statement {
  return sql`"graphId" = ${graphId}, "metadata" = "Thread"."metadata" || ${metadata}, "updatedAt" = now(),
    "status" = CASE WHEN ${isDue} THEN 'BUSY' ELSE "Thread"."status" END`;
}

/** Each column of the new row with its value. */
function columnsOf(run: NewRow, { viewer, graphId, assistantId, delay }: Params) {
  return {
    id: sql`${run.id}::uuid`,
    threadId: sql`thread."id"`,
    tenant: sql`thread."tenant"`,
    owner: sql`thread."owner"`,
    requester: sql`${viewer.identity}::text`,
    viewer: sql`${toJsonColumn(userOf(viewer) ?? undefined)}::json`,
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
  } satisfies Partial<Record<keyof Run, Statement>>;
}

function namesOf(columns: object): Statement {
  return raw(
    Object.keys(columns)
      .map((name) => `"${name}"`)
      .join(', '),
  );
}
