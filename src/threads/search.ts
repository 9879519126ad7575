import type { App } from '../app.ts';
import type { Listing, Page, PageRequest } from '../db/page.ts';
import { conditions, readPage, readSize } from '../db/page.ts';
import type { Thread } from '../generated/prisma/client.ts';
import { ThreadStatus } from '../generated/prisma/enums.ts';
import { parseUuid } from '../uuid.ts';

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

export function searchThreads(
  { sql }: Pick<App, 'sql'>,
  filter: ThreadFilter,
  { orderBy, ...page }: PageRequest & { orderBy?: ThreadOrder | null | undefined },
): Promise<Page<Thread>> {
  const { field, direction } = orderBy ?? { field: 'CREATED_AT', direction: 'DESC' };
  const { where, filters, params, add, addFilter } = conditions();
  if (filter.ids) {
    readSize('filter.ids', filter.ids.length);
    const ids = filter.ids.map((id, i) => parseUuid(`filter.ids[${i}]`, id));
    addFilter((list) => `"id" = ANY(${list}::uuid[])`, ids);
  }
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
