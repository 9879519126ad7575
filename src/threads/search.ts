import type { Conditions, Listing, Page, PageRequest } from '../db/page.ts';
import { readIds, readPage } from '../db/page.ts';
import type { Query, Sql } from '../db/query.ts';
import { join, sql, type Statement } from '../db/sql.ts';
import type { Thread } from '../generated/prisma/client.ts';
import { ThreadStatus } from '../generated/prisma/enums.ts';

export interface ThreadFilter {
  ids?: readonly string[] | null | undefined;
  status?: readonly ThreadStatus[] | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
  graphId?: string | null | undefined;
}

export type ThreadOrderField = 'ID' | 'STATUS' | 'CREATED_AT' | 'UPDATED_AT';

export interface ThreadOrder {
  field: ThreadOrderField;
  direction: 'ASC' | 'DESC';
}

const ORDERED_BY: Record<ThreadOrderField, Pick<Listing['order'], 'by' | 'type'>> = {
  ID: { by: '"id"', type: 'uuid' },
  STATUS: { by: '"status"', type: '"ThreadStatus"' },
  CREATED_AT: { by: '"createdAt"', type: 'timestamptz' },
  UPDATED_AT: { by: '"updatedAt"', type: 'timestamptz' },
};

const STATUSES = Object.values(ThreadStatus);

export async function findThread(query: Query, id: string): Promise<Thread | undefined> {
  const [thread] = await query<Thread>(sql`SELECT * FROM "Thread" WHERE "id" = ${id}`);
  return thread;
}

export function searchThreads(
  app: { sql: Sql },
  filter: ThreadFilter,
  { orderBy, ...page }: PageRequest & { orderBy?: ThreadOrder | null | undefined },
): Promise<Page<Thread>> {
  const { field, direction } = orderBy ?? { field: 'CREATED_AT', direction: 'DESC' };
  const order = { ...ORDERED_BY[field], unique: '"id"', uniqueType: 'uuid', direction };
  const listing = { from: '"Thread"', columns: '*', ...readFilter(filter, field), order };
  return readPage<Thread>(app.sql.query, listing, page);
}

function readFilter(filter: ThreadFilter, orderedBy: ThreadOrderField): Conditions {
  const { ids, status, metadata, graphId } = filter;
  const where: Conditions['where'] = [];
  const filters: Conditions['filters'] = [];
  if (ids) filters.push(sql`"id" = ANY(${readIds('filter.ids', ids)}::uuid[])`);
  if (status) {
    filters.push(sql`"status" = ANY(${status}::"ThreadStatus"[])`);
    if (orderedBy === 'STATUS') {
      // The first and the last status of the list.
      const inOrder = STATUSES.filter((each) => status.includes(each));
      where.push(sql`"status" >= ${inOrder.at(0)}::"ThreadStatus"`);
      where.push(sql`"status" <= ${inOrder.at(-1)}::"ThreadStatus"`);
    }
  }
  if (metadata) filters.push(sql`"metadata" @> ${JSON.stringify(metadata)}::jsonb`);
  if (graphId != null) {
    (orderedBy === 'CREATED_AT' ? where : filters).push(sql`"graphId" = ${graphId}`);
  }
  return { where, filters };
}

/** SQL: whether a row of "Thread" matches the filter. */
export function threadMatches(filter: ThreadFilter): Statement {
  const { where, filters } = readFilter(filter, 'ID');
  return join([sql`true`, ...where, ...filters], ' AND ');
}
