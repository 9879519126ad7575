import type { ChannelVersions } from '@langchain/langgraph-checkpoint';
import type { Query } from '../db/query.ts';
import { join, raw, sql, type Statement } from '../db/sql.ts';
import type { CheckpointSource } from '../generated/prisma/enums.ts';

// Checkpoints without the values of their channels.

/** A row of "Checkpoint": a state without its values. */
export interface CheckpointRow {
  threadId: string;
  namespace: string;
  checkpointId: string;
  seq: number;
  parentId: string | null;
  runId: string | null;
  source: CheckpointSource;
  step: number;
  metadata: Record<string, unknown>;
  format: number;
  versions: ChannelVersions;
  versionsSeen: Record<string, ChannelVersions>;
  createdAt: Date;
}

/** A checkpoint of a thread. */
export interface CheckpointPlace {
  /** Default: the root. */
  namespace?: string | undefined;
  /** Default: the newest checkpoint of the namespace. */
  checkpointId?: string | null | undefined;
}

/** A statement for the row of a checkpoint. The arguments are parameters. */
export function checkpointAt(
  threadId: unknown,
  namespace: unknown,
  checkpointId: CheckpointPlace['checkpointId'],
): Statement {
  return sql`SELECT * FROM "Checkpoint"
  WHERE "threadId" = ${threadId} AND "namespace" = ${namespace} AND "checkpointId" = coalesce(${checkpointId ?? null}::uuid,
    (SELECT "checkpointId" FROM "CheckpointHead" WHERE "threadId" = ${threadId} AND "namespace" = ${namespace}))`;
}

/** The checkpoint with this id, or the newest of the namespace. */
export async function findCheckpoint(
  query: Query,
  threadId: string,
  { namespace = '', checkpointId }: CheckpointPlace,
): Promise<CheckpointRow | undefined> {
  const statement = checkpointAt(threadId, namespace, checkpointId);
  const [row] = await query<CheckpointRow>(statement, { onlyReads: true });
  return row;
}

interface CheckpointSearch {
  threadId?: string | undefined;
  /** Undefined: every namespace. */
  namespace?: string | undefined;
  checkpointId?: string | undefined;
  /** Only checkpoints stored earlier than this id. In a namespace without it: those with a lower id. */
  before?: string | undefined;
  /** Contained in the checkpoint's metadata. */
  metadata?: Record<string, unknown> | undefined;
  limit?: number | undefined;
}

/** Checkpoints without their values, newest first. */
export function listCheckpoints(
  query: Query,
  { limit, ...search }: CheckpointSearch,
): Promise<CheckpointRow[]> {
  return query<CheckpointRow>(
    sql`SELECT * FROM "Checkpoint" c WHERE ${join(conditionsOf(search), ' AND ')} ORDER BY "seq" DESC LIMIT ${limit ?? null}`,
    { onlyReads: true },
  );
}

function conditionsOf({
  threadId,
  namespace,
  checkpointId,
  before,
  metadata = {},
}: CheckpointSearch): Statement[] {
  const conditions = [raw('true')];
  if (threadId !== undefined) conditions.push(sql`"threadId" = ${threadId}`);
  if (namespace !== undefined) conditions.push(sql`"namespace" = ${namespace}`);
  if (checkpointId !== undefined) conditions.push(sql`"checkpointId" = ${checkpointId}`);
  if (before !== undefined) conditions.push(storedBefore(before));
  if (Object.keys(metadata).length > 0) {
    conditions.push(sql`"metadata" @> ${JSON.stringify(metadata)}::jsonb`);
  }
  return conditions;
}

function storedBefore(checkpointId: string): Statement {
  return sql`"seq" < coalesce(
    (SELECT "seq" FROM "Checkpoint" b
      WHERE b."threadId" = c."threadId" AND b."namespace" = c."namespace" AND b."checkpointId" = ${checkpointId}::uuid),
    CASE WHEN "checkpointId" < ${checkpointId}::uuid THEN "seq" + 1 END)`;
}

type Place = Pick<CheckpointRow, 'threadId' | 'namespace'>;

/** The parents of checkpoints of a namespace. */
export function listParents(
  query: Query,
  rows: readonly (Place & Pick<CheckpointRow, 'parentId'>)[],
): Promise<CheckpointRow[]> {
  const ids = rows.flatMap(({ parentId }) => parentId ?? []);
  return listByIds(query, rows[0], 'checkpointId', ids);
}

/** The children of checkpoints of a namespace, oldest first. */
export function listChildren(
  query: Query,
  rows: readonly CheckpointRow[],
): Promise<CheckpointRow[]> {
  const ids = rows.map(({ checkpointId }) => checkpointId);
  return listByIds(query, rows[0], 'parentId', ids);
}

/** The checkpoints of a namespace with one of these ids in the column, oldest first. */
export async function listByIds(
  query: Query,
  place: Place | undefined,
  column: 'checkpointId' | 'parentId',
  ids: readonly string[],
): Promise<CheckpointRow[]> {
  if (!place || ids.length === 0) return [];
  const { threadId, namespace } = place;
  return query<CheckpointRow>(
    sql`SELECT * FROM "Checkpoint"
      WHERE "threadId" = ${threadId} AND "namespace" = ${namespace} AND ${raw(`"${column}"`)} = ANY(${ids}::uuid[]) ORDER BY "seq"`,
    { onlyReads: true },
  );
}
