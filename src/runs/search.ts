import { readAssistantId } from '../assistants/input.ts';
import type { Operation } from '../db/operation.ts';
import type { Conditions, Listing, Page, PageRequest } from '../db/page.ts';
import { bySeq, readIds, readPage } from '../db/page.ts';
import type { Sql } from '../db/query.ts';
import { join, sql, type Statement } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import { Prisma, type Run, type RunStatus } from '../generated/prisma/client.ts';
import type { Graphs } from '../graphs/load.ts';

export interface RunFilter {
  ids?: readonly string[] | null | undefined;
  threadId?: string | null | undefined;
  /** A UUID, or a graph's name for its default assistant. */
  assistantId?: string | null | undefined;
  status?: readonly RunStatus[] | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
}

/** The run with this id. Also finds tombstones. */
export async function findRun(app: { sql: Sql }, id: string): Promise<Run | undefined> {
  const [run] = await app.sql.query<Run>(sql`SELECT * FROM "Run" WHERE "id" = ${id}`);
  return run;
}

/** Large columns: a list reads only those of the selected fields. */
const LARGE = ['input', 'command', 'config', 'context', 'output'];
const COLUMNS = Object.keys(Prisma.RunScalarFieldEnum);

/** The columns of "Run" for the selected fields. */
export function columnsFor({ operation }: { operation?: Operation | undefined }): string {
  const isSelected = (name: string) =>
    operation?.selects(name) || (name === 'output' && operation?.selects('usage'));
  const names = COLUMNS.filter((name) => !LARGE.includes(name) || isSelected(name));
  return names.map((name) => `"${name}"`).join(', ');
}

/** Runs without tombstones, newest first, with the columns of the selected fields. */
export function searchRuns(
  app: { sql: Sql; graphs: Graphs; operation?: Operation | undefined },
  filter: RunFilter,
  { owner, ...page }: PageRequest & Pick<Listing, 'owner'>,
): Promise<Page<Run>> {
  const order = bySeq('DESC');
  const found = readFilter(app, filter);
  const listing = {
    from: '"Run"',
    columns: columnsFor(app),
    ...(owner && { owner }),
    ...found,
    order,
  };
  return readPage<Run>(app.sql.query, listing, page);
}

/** The filter as a condition on "Run", without tombstones. Throws BadInputError. */
export function runCondition(app: { graphs: Graphs }, filter: RunFilter): Statement {
  const { where, filters } = readFilter(app, filter);
  return join([...where, ...filters], ' AND ');
}

function readFilter({ graphs }: { graphs: Graphs }, filter: RunFilter): Conditions {
  const { ids, status, metadata } = filter;
  const where = [sql`NOT "tombstone"`];
  const filters: Statement[] = [];
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
  if (status?.length === 1) indexed.push(sql`"status" = ${status[0]}::"RunStatus"`);
  else if (status) filters.push(sql`"status" = ANY(${status}::"RunStatus"[])`);
  where.push(...indexed.slice(0, 1));
  filters.push(...indexed.slice(1));
  if (metadata) filters.push(sql`"metadata" @> ${JSON.stringify(metadata)}::jsonb`);
  return { where, filters };
}
