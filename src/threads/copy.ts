import { checkMetadata } from '../assistants/limits.ts';
import { authorize, permit } from '../auth/authorize.ts';
import { canRead, ownerOf, requireRole } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import { measureStorage, refuseStorage } from '../checkpoints/storage.ts';
import type { Config } from '../config.ts';
import { THREADS_CHANNEL } from '../db/channels.ts';
import type { Created } from '../db/node-id.ts';
import type { Query, Sql } from '../db/query.ts';
import { empty, join, param, raw, sql, type Param, type Statement } from '../db/sql.ts';
import { newId, parseUuid } from '../db/uuid.ts';
import { BadInputError, NotFoundError } from '../errors.ts';
import type { Thread } from '../generated/prisma/client.ts';
import { branchUpTo, type Branch } from './branch.ts';
import { forgetUnfinished, reopenAnswered } from '../interrupts/store.ts';

/** A table with a part of the state of a thread. */
interface Part {
  table: string;
  /** Columns with the values of the source. */
  columns: string[];
  /** Columns with new values, as SQL. `copy` is the new row of the thread. */
  own?: Record<string, string>;
  /** The order of the inserts: the new `seq` values keep it. */
  order: string;
}

const PARTS: Part[] = [
  { table: 'ChannelItem', columns: ['number', 'hash', 'type', 'value'], order: 'number' },
  {
    table: 'ChannelValue',
    columns: ['namespace', 'channel', 'version', 'type', 'value', 'ranges'],
    order: 'version',
  },
  {
    table: 'Checkpoint',
    columns: [
      'namespace',
      'checkpointId',
      'parentId',
      'runId',
      'source',
      'step',
      'metadata',
      'format',
      'versions',
      'versionsSeen',
      'createdAt',
    ],
    order: 'seq',
  },
  { table: 'CheckpointHead', columns: ['namespace', 'checkpointId'], order: 'namespace' },
  {
    table: 'CheckpointWrite',
    columns: [
      'namespace',
      'checkpointId',
      'taskId',
      'taskPath',
      'index',
      'runId',
      'channel',
      'type',
      'value',
      'ranges',
    ],
    order: 'seq',
  },
  {
    table: 'Interrupt',
    own: { id: 'gen_random_uuid()', tenant: 'copy."tenant"', owner: 'copy."owner"' },
    columns: [
      'checkpointId',
      'namespace',
      'taskId',
      'node',
      'langgraphId',
      'ordinal',
      'value',
      'responseSchema',
      'runId',
      'answeredById',
      'pending',
      'createdAt',
    ],
    order: 'seq',
  },
];

/**
 * If a thread has most rows of a table, the planner would choose a sequential scan, and the scan would also read all rows of earlier
 * copies.
 */
const BY_INDEX = sql`SET LOCAL enable_seqscan = off`;

/** Each use has a cast: PostgreSQL does not infer the type of a parameter in the list of a SELECT. */
interface Copy {
  viewer: Viewer;
  id: Param;
  source: Param;
  /** Undefined: the whole thread. */
  branch: Branch | undefined;
  /** Of the copy, on top of the metadata of the source. */
  metadata: Record<string, unknown>;
}

/** A single statement: all parts of the copy come from the same snapshot, even while a run of the source is writing. */
function copyStatement(copy: Copy): Statement {
  const { viewer, id, source, branch, metadata } = copy;
  const { tenant, owner } = ownerOf(viewer);
  return sql`WITH ${branch ? sql`RECURSIVE ${branch.tables}, ` : empty}copy AS (
  INSERT INTO "Thread" ("id", "tenant", "owner", "status", "restStatus", "metadata", "graphId", "error")
  SELECT ${id}::uuid, ${tenant}, ${owner}, ${branch?.thread ?? WHOLE_THREAD}
  FROM (SELECT "restStatus", "graphId", "error", "metadata" || ${JSON.stringify(metadata)}::jsonb AS "metadata"
    FROM "Thread" WHERE "id" = ${source}::uuid AND ${canRead(viewer)}) t RETURNING *
), ${join(PARTS.map((part) => copyPart(part, copy)))}
SELECT copy.*, ARRAY(
  SELECT "id" FROM "Run" WHERE "threadId" = ${source}::uuid AND "status" IN ('PENDING', 'RUNNING')) AS "runIds" FROM copy`;
}

const WHOLE_THREAD = raw(`t."restStatus", t."restStatus", t."metadata", t."graphId", t."error"`);

function copyPart({ table, columns, own = {}, order }: Part, { source, branch }: Copy): Statement {
  const rows =
    branch?.rows[table] ??
    sql`SELECT * FROM ${raw(`"${table}"`)} WHERE "threadId" = ${source}::uuid`;
  const names = [...Object.keys(own), ...columns].map((column) => `"${column}"`).join(', ');
  const copied = columns.map((column) => `source."${column}"`);
  const values = [...Object.values(own), ...copied].join(', ');
  return sql`${raw(`"${table}s"`)} AS (
  INSERT INTO ${raw(`"${table}"`)} ("threadId", ${raw(names)})
  SELECT copy."id", ${raw(values)} FROM (${rows}) source, copy ORDER BY ${raw(`source."${order}"`)}
)`;
}

/**
 * Creates a thread with the current state and history of the source, or with the branch up to a checkpoint. PostgreSQL copies the
 * rows: no value passes through this process.
 */
export async function copyThread(
  { config, sql: database }: { config: Config; sql: Sql },
  asking: Viewer,
  sourceId: string,
  checkpointId?: string | null,
): Promise<Created<Thread>> {
  requireRole(asking, 'member');
  const source = parseUuid('id', sourceId);
  const end = checkpointId == null ? undefined : parseUuid('checkpointId', checkpointId);
  const id = newId();
  const limit = config.ownerStorageLimit;
  const viewer = await permit(asking, 'threads:read', { thread_id: source });
  const created = await authorize(asking, 'threads:create', { thread_id: id, metadata: {} });
  if (created.value.thread_id !== id) {
    throw new Error('The handler of threads:create changed the thread_id of a copy.');
  }
  const metadata = created.value.metadata ?? {};
  checkMetadata(config, 'metadata', metadata);
  const copy = await database.transaction(async (query) => {
    await refuseStorage(query, ownerOf(viewer), limit);
    if (end !== undefined) await checkEnd(query, viewer, { threadId: source, checkpointId: end });
    await query(BY_INDEX);
    const thread = param(source);
    const branch = end === undefined ? undefined : branchUpTo(thread, param(end));
    const [row] = await query<Thread & { runIds: string[] }>(
      copyStatement({ viewer, id: param(id), source: thread, branch, metadata }),
    );
    if (!row) throw new NotFoundError('Thread', source);
    const { runIds, ...copied } = row;
    // The copy has no runs. An interrupt answered by an active run of the source becomes pending in the copy, unless a node has
    // consumed the answer.
    for (const runId of runIds) {
      await forgetUnfinished(query, { threadId: id, runId });
      await reopenAnswered(query, { threadId: id, runId });
    }
    await measureStorage(query, id, limit);
    return { ...copied, isNew: true };
  });
  database.notify(THREADS_CHANNEL, id);
  return copy;
}

/** Throws a BadInputError if the thread has no such checkpoint of the root graph. */
async function checkEnd(
  query: Query,
  viewer: Viewer,
  { threadId, checkpointId }: { threadId: string; checkpointId: string },
): Promise<void> {
  const [thread] = await query<{ hasEnd: boolean }>(
    sql`SELECT EXISTS (SELECT 1 FROM "Checkpoint" c
        WHERE c."threadId" = t."id" AND c."namespace" = '' AND c."checkpointId" = ${checkpointId}) AS "hasEnd"
      FROM "Thread" t WHERE t."id" = ${threadId} AND ${canRead(viewer, 't')}`,
  );
  if (!thread) throw new NotFoundError('Thread', threadId);
  if (thread.hasEnd) return;
  throw new BadInputError(
    'checkpointId',
    `${checkpointId} is not a checkpoint of the root graph in thread ${threadId}.`,
  );
}
