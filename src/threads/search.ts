import type { App } from '../app.ts';
import type { Query } from '../db/open.ts';
import type { Listing, Page, PageRequest } from '../db/page.ts';
import { conditions, readIds, readPage } from '../db/page.ts';
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
  const [thread] = await query<Thread>('SELECT * FROM "Thread" WHERE "id" = $1', [id]);
  return thread;
}

export function searchThreads(
  { sql }: Pick<App, 'sql'>,
  filter: ThreadFilter,
  { orderBy, ...page }: PageRequest & { orderBy?: ThreadOrder | null | undefined },
): Promise<Page<Thread>> {
  const { field, direction } = orderBy ?? { field: 'CREATED_AT', direction: 'DESC' };
  const { where, filters, params, add, addFilter } = conditions();
  if (filter.ids)
    addFilter((list) => `"id" = ANY(${list}::uuid[])`, readIds('filter.ids', filter.ids));
  if (filter.status) {
    addFilter((list) => `"status" = ANY(${list}::"ThreadStatus"[])`, filter.status);
    if (field === 'STATUS') {
      // Where the list begins and ends.
      const inOrder = STATUSES.filter((status) => filter.status?.includes(status));
      add((first) => `"status" >= ${first}::"ThreadStatus"`, inOrder.at(0));
      add((last) => `"status" <= ${last}::"ThreadStatus"`, inOrder.at(-1));
    }
  }
  if (filter.metadata)
    addFilter((object) => `"metadata" @> ${object}::jsonb`, JSON.stringify(filter.metadata));
  if (filter.graphId != null)
    (field === 'CREATED_AT' ? add : addFilter)((id) => `"graphId" = ${id}`, filter.graphId);
  return readPage<Thread>(
    sql.query,
    {
      from: '"Thread"',
      columns: '*',
      where,
      filters,
      params,
      order: { ...ORDERED_BY[field], unique: '"id"', uniqueType: 'uuid', direction },
    },
    page,
  );
}
