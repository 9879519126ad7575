import type { Listing, Page, PageRequest } from '../db/page.ts';
import { bySeq, readPage, readSlice } from '../db/page.ts';
import { sql, type Statement } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import { BadInputError } from '../errors.ts';
import type { CheckpointSource } from '../generated/prisma/client.ts';
import type { Reading } from './graphs.ts';
import { findCheckpoint, type CheckpointRow } from './find.ts';
import { statesOf, type State } from './states.ts';

export interface CheckpointFilter {
  namespace: string;
  checkpointId?: string | null | undefined;
  source?: readonly CheckpointSource[] | null | undefined;
  step?: number | null | undefined;
  runId?: string | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
}

interface Search {
  filter: CheckpointFilter;
  olderThan?: string | null | undefined;
}

/** The states of a thread, all branches, newest first. */
export async function readHistory(
  app: Reading,
  threadId: string,
  { filter, olderThan, ...page }: PageRequest & Search,
): Promise<Page<State>> {
  const listing = await listingOf(app, threadId, { filter, olderThan });
  const rows = await readPage<CheckpointRow>(app.sql, listing, page);
  const states = statesOf(
    app,
    rows.edges.map(({ node }) => node),
  );
  return {
    ...rows,
    edges: rows.edges.map((edge, i) => ({
      get cursor() {
        return edge.cursor;
      },
      node: states[i] as State,
    })),
  };
}

/** The first states of `readHistory`. */
export async function listHistory(
  app: Reading,
  threadId: string,
  { limit, ...search }: Search & { limit: number },
): Promise<State[]> {
  const listing = await listingOf(app, threadId, search);
  const { rows } = await readSlice<CheckpointRow>(app.sql.query, listing, { limit, offset: 0 });
  return statesOf(app, rows);
}

async function listingOf(
  app: Reading,
  threadId: string,
  { filter, olderThan }: Search,
): Promise<Listing> {
  const { namespace, checkpointId, source, step, metadata } = filter;
  const where = [sql`"threadId" = ${threadId}`, sql`"namespace" = ${namespace}`];
  const filters: Statement[] = [];
  if (checkpointId != null) {
    where.push(sql`"checkpointId" = ${parseUuid('checkpointId', checkpointId)}`);
  }
  if (source) filters.push(sql`"source" = ANY(${source}::"CheckpointSource"[])`);
  if (step != null) filters.push(sql`"step" = ${step}`);
  if (filter.runId != null) {
    filters.push(sql`"runId" = ${parseUuid('filter.runId', filter.runId)}`);
  }
  if (metadata) filters.push(sql`"metadata" @> ${JSON.stringify(metadata)}::jsonb`);
  if (olderThan != null) {
    const id = parseUuid('olderThan', olderThan);
    const older = await findCheckpoint(app.sql.query, threadId, { namespace, checkpointId: id });
    if (!older) throw new BadInputError('olderThan', `${id} is not a checkpoint of this thread.`);
    where.push(sql`"seq" < ${older.seq}`);
  }
  return {
    from: '"Checkpoint"',
    columns: '*',
    owner: `${threadId} ${namespace}`,
    where,
    filters,
    order: bySeq('DESC'),
  };
}
