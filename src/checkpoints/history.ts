import type { Page, PageRequest } from '../db/page.ts';
import { bySeq, readPage } from '../db/page.ts';
import { sql, type Statement } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import { BadInputError } from '../errors.ts';
import type { CheckpointSource } from '../generated/prisma/client.ts';
import type { Reading } from './graphs.ts';
import { findCheckpoint, type CheckpointRow } from './find.ts';
import { statesOf, type State } from './states.ts';

export interface CheckpointFilter {
  namespace: string;
  source?: readonly CheckpointSource[] | null | undefined;
  step?: number | null | undefined;
  runId?: string | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
}

/** The states of a thread, all branches, newest first. */
export async function readHistory(
  app: Reading,
  threadId: string,
  {
    filter,
    olderThan,
    ...page
  }: PageRequest & { filter: CheckpointFilter; olderThan?: string | null | undefined },
): Promise<Page<State>> {
  const { source, step, metadata } = filter;
  const where = [sql`"threadId" = ${threadId}`, sql`"namespace" = ${filter.namespace}`];
  const filters: Statement[] = [];
  if (source) filters.push(sql`"source" = ANY(${source}::"CheckpointSource"[])`);
  if (step != null) filters.push(sql`"step" = ${step}`);
  if (filter.runId != null) {
    filters.push(sql`"runId" = ${parseUuid('filter.runId', filter.runId)}`);
  }
  if (metadata) filters.push(sql`"metadata" @> ${JSON.stringify(metadata)}::jsonb`);
  if (olderThan != null) {
    const id = parseUuid('olderThan', olderThan);
    const older = await findCheckpoint(app.sql.query, threadId, {
      namespace: filter.namespace,
      checkpointId: id,
    });
    if (!older) throw new BadInputError('olderThan', `${id} is not a checkpoint of this thread.`);
    where.push(sql`"seq" < ${older.seq}`);
  }
  const order = bySeq('DESC');
  const rows = await readPage<CheckpointRow>(
    app.sql.query,
    {
      from: '"Checkpoint"',
      columns: '*',
      owner: `${threadId} ${filter.namespace}`,
      where,
      filters,
      order,
    },
    page,
  );
  const states = statesOf(
    app,
    rows.edges.map(({ node }) => node),
  );
  return {
    ...rows,
    edges: rows.edges.map(({ cursor }, i) => ({ cursor, node: states[i] as State })),
  };
}
