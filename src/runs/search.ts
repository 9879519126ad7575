import { readAssistantId } from '../assistants/input.ts';
import { authorize, permit, readChoices } from '../auth/authorize.ts';
import { metadataContain } from '../auth/filter.ts';
import { canReadRun, listRunScope, readableRows, tenantOf } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import { countByStatus } from '../db/count-by-status.ts';
import type { Operation } from '../db/operation.ts';
import type { Conditions, Listing, Page, PageRequest } from '../db/page.ts';
import { bySeq, readIds, readPage, readSlice } from '../db/page.ts';
import type { Query, Sql } from '../db/query.ts';
import { checkInterval, widened, within, type Interval } from '../db/interval.ts';
import { join, raw, sql, type Statement } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import { Prisma, RunStatus, type PrismaClient, type Run } from '../generated/prisma/client.ts';
import type { Graphs } from '../graphs/load.ts';

export interface RunFilter {
  ids?: readonly string[] | null | undefined;
  threadId?: string | null | undefined;
  /** A UUID, or a graph's name for its default assistant. */
  assistantId?: string | null | undefined;
  graphId?: string | null | undefined;
  status?: readonly RunStatus[] | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
  createdAfter?: Date | null | undefined;
  createdBefore?: Date | null | undefined;
  finishedAfter?: Date | null | undefined;
  finishedBefore?: Date | null | undefined;
}

export interface RunOrder {
  /** CREATED_AT is the order of acceptance. FINISHED_AT lists ended runs only. */
  field: 'CREATED_AT' | 'FINISHED_AT';
  direction: 'ASC' | 'DESC';
}

/** The run with this id. Also finds tombstones. */
export async function findRun(
  app: { sql: Sql },
  asking: Viewer,
  id: string,
): Promise<Run | undefined> {
  const viewer = await permit(asking, 'threads:read', { run_id: id });
  return readRun(app.sql.query, viewer, id);
}

/** `findRun` with the permission of another action. */
export async function readRun(query: Query, viewer: Viewer, id: string): Promise<Run | undefined> {
  const [run] = await query<Run>(
    sql`SELECT * FROM "Run" WHERE "id" = ${id} AND ${canReadRun(viewer)}`,
  );
  return run;
}

/**
 * The run with this id, named by an object that the viewer may read. The viewer may not read each such run: a copy of a thread names
 * runs of its source. Reads in the same turn share a statement, unless handlers decide about each run.
 */
export async function findNamedRun(
  app: { db: PrismaClient; sql: Sql },
  viewer: Viewer,
  id: string,
): Promise<Run | null> {
  if (viewer.ask) {
    const run = await findRun(app, viewer, id);
    return run && !run.tombstone ? run : null;
  }
  return app.db.run.findUnique({ where: { id, tombstone: false, ...readableRows(viewer) } });
}

/** Large columns: a list reads only those of the selected fields. */
const LARGE = ['input', 'command', 'config', 'context', 'output', 'viewer'];
const COLUMNS = Object.keys(Prisma.RunScalarFieldEnum);

/** The columns of "Run" for the selected fields. */
export function columnsFor({ operation }: { operation?: Operation | undefined }): string {
  const isSelected = (name: string) =>
    operation?.selects(name) || (name === 'output' && operation?.selects('usage'));
  const names = COLUMNS.filter((name) => !LARGE.includes(name) || isSelected(name));
  return names.map((name) => `"${name}"`).join(', ');
}

/** Runs without tombstones, by default newest first, with the columns of the selected fields. */
export async function searchRuns(
  app: { sql: Sql; graphs: Graphs; operation?: Operation | undefined },
  asking: Viewer,
  given: RunFilter,
  { owner, orderBy, ...page }: RunsRequest,
): Promise<Page<Run>> {
  const { viewer, filter } = await authorizeSearch(asking, given);
  const { field, direction } = orderBy ?? { field: 'CREATED_AT', direction: 'DESC' };
  const order = field === 'CREATED_AT' ? bySeq(direction) : { ...BY_END, direction };
  const found = readFilter(app, viewer, { filter, orderedBy: field });
  const listing = {
    from: '"Run"',
    columns: columnsFor(app),
    ...(owner && { owner }),
    ...found,
    order,
  };
  return readPage<Run>(app.sql, listing, page);
}

/** A part of the runs of the filter by its position, newest first. */
export async function listRuns(
  app: { sql: Sql; graphs: Graphs; operation?: Operation | undefined },
  asking: Viewer,
  given: RunFilter,
  part: { limit: number; offset: number },
): Promise<Run[]> {
  const { viewer, filter } = await authorizeSearch(asking, given);
  const found = readFilter(app, viewer, { filter, orderedBy: 'CREATED_AT' });
  const listing = { from: '"Run"', columns: columnsFor(app), ...found, order: bySeq('DESC') };
  return (await readSlice<Run>(app.sql.query, listing, part)).rows;
}

type RunsRequest = PageRequest & Pick<Listing, 'owner'> & { orderBy?: RunOrder | null | undefined };

const STATUSES = Object.values(RunStatus);
const BY_END = { by: '"finishedAt"', type: 'timestamptz', unique: '"id"', uniqueType: 'uuid' };

/** The number of runs of the filter with each status, up to 10,001. */
export async function countRuns(
  app: { sql: Sql; graphs: Graphs },
  asking: Viewer,
  given: RunFilter,
): Promise<{ status: RunStatus; count: number }[]> {
  const { viewer, filter } = await authorizeSearch(asking, given);
  const conditions = readFilter(app, viewer, { filter, orderedBy: 'CREATED_AT' });
  const runs = { from: '"Run"', type: '"RunStatus"', statuses: STATUSES };
  return countByStatus(app.sql.query, { ...runs, ...conditions });
}

/** Runs are a part of their threads: a search for runs is a search for threads. */
async function authorizeSearch(
  asking: Viewer,
  filter: RunFilter,
): Promise<{ viewer: Viewer; filter: RunFilter }> {
  const { viewer, value } = await authorize(asking, 'threads:search', {
    thread_id: filter.threadId,
    status: filter.status?.map((each) => each.toLowerCase()),
  });
  const status = readChoices('status', value.status, STATUSES);
  return { viewer, filter: { ...filter, threadId: value.thread_id, status } };
}

/** The filter as a condition on "Run", without tombstones and runs of other viewers. Throws BadInputError. */
export function runCondition(
  app: { graphs: Graphs },
  viewer: Viewer,
  filter: RunFilter,
): Statement {
  const { where, filters } = readFilter(app, viewer, { filter, orderedBy: 'CREATED_AT' });
  return join([...where, ...filters], ' AND ');
}

function readFilter(
  { graphs }: { graphs: Graphs },
  viewer: Viewer,
  { filter, orderedBy }: { filter: RunFilter; orderedBy: RunOrder['field'] },
): Conditions {
  const { ids, status, metadata } = filter;
  const scope = listRunScope(viewer);
  const where = [...scope.where, sql`NOT "tombstone"`];
  const { filters } = scope;
  if (ids) filters.push(sql`"id" = ANY(${readIds('filter.ids', ids)}::uuid[])`);
  // An index in the order of the list serves each of these. The first one usually leaves the fewest runs.
  const indexed: Statement[] = [];
  if (filter.threadId != null) {
    indexed.push(sql`"threadId" = ${parseUuid('filter.threadId', filter.threadId)}`);
  }
  if (filter.assistantId != null) {
    const id = readAssistantId({ graphs }, 'filter.assistantId', filter.assistantId);
    indexed.push(sql`"assistantId" = ${id}`);
  }
  if (filter.graphId != null) indexed.push(sql`"graphId" = ${filter.graphId}`);
  if (status?.length === 1) indexed.push(sql`"status" = ${status[0]}::"RunStatus"`);
  else if (status) filters.push(sql`"status" = ANY(${status}::"RunStatus"[])`);
  if (orderedBy === 'CREATED_AT') {
    where.push(...indexed.slice(0, 1));
    filters.push(...indexed.slice(1));
  } else {
    where.push(sql`"finishedAt" IS NOT NULL`);
    filters.push(...indexed);
  }
  addTimes({ where, filters }, { viewer, filter, orderedBy });
  if (metadata) filters.push(metadataContain(metadata, { tenant: tenantOf(viewer) }));
  return { where, filters };
}

/** Adds the conditions on times. A run is not finished before its creation. */
function addTimes(
  { where, filters }: Conditions,
  {
    viewer,
    filter,
    orderedBy,
  }: { viewer: Viewer; filter: RunFilter; orderedBy: RunOrder['field'] },
): void {
  const created = checkInterval('filter.created', {
    after: filter.createdAfter,
    before: filter.createdBefore,
  });
  const finished = checkInterval('filter.finished', {
    after: filter.finishedAfter,
    before: filter.finishedBefore,
  });
  const finishedAt = raw('"finishedAt"');
  const createdAt = raw('"createdAt"');
  if (orderedBy === 'CREATED_AT') {
    where.push(...within(createdAt, created), ...seqBounds(viewer, created));
    where.push(...seqBounds(viewer, { before: finished.before }));
    filters.push(...within(finishedAt, finished));
  } else {
    filters.push(...within(createdAt, created));
    where.push(...within(finishedAt, finished));
    where.push(...within(finishedAt, { after: widened(created).after }));
  }
}

/**
 * Conditions on "seq", the order of the list, for runs created in an interval. A run gets its `seq` in the transaction whose start is
 * its `createdAt`. So of two runs with more time between them than a transaction takes, the earlier one has the lower `seq`.
 */
function seqBounds(viewer: Viewer, interval: Interval): Statement[] {
  const { after, before } = widened(interval);
  const bounds: Statement[] = [];
  const ofTenant = join([sql`true`, ...listRunScope(viewer).where], ' AND ');
  if (after != null) {
    bounds.push(
      sql`"seq" > coalesce((SELECT "seq" FROM "Run" WHERE ${ofTenant} AND "createdAt" < ${after}::timestamptz ORDER BY "createdAt" DESC LIMIT 1), 0)`,
    );
  }
  if (before != null) {
    bounds.push(
      sql`"seq" < coalesce((SELECT "seq" FROM "Run" WHERE ${ofTenant} AND "createdAt" >= ${before}::timestamptz ORDER BY "createdAt" LIMIT 1), ${raw(Number.MAX_SAFE_INTEGER)})`,
    );
  }
  return bounds;
}
