import type { App } from '../app.ts';
import type { Listing, Page, PageRequest } from '../db/page.ts';
import { conditions, readPage, readSize } from '../db/page.ts';
import type { Thread, ThreadStatus } from '../generated/prisma/client.ts';
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

export function searchThreads(
  { sql }: Pick<App, 'sql'>,
  filter: ThreadFilter,
  { orderBy, ...page }: PageRequest & { orderBy?: ThreadOrder | null | undefined },
): Promise<Page<Thread>> {
  const { where, params, add } = conditions();
  if (filter.ids) {
    readSize('filter.ids', filter.ids.length);
    const ids = filter.ids.map((id, i) => parseUuid(`filter.ids[${i}]`, id));
    add((list) => `"id" = ANY(${list}::uuid[])`, ids);
  }
  if (filter.status)
    add((list) => `"status" = ANY(${list}::text[]::"ThreadStatus"[])`, filter.status);
  if (filter.metadata)
    add((object) => `"metadata" @> ${object}::jsonb`, JSON.stringify(filter.metadata));
  if (filter.graphId != null) add((id) => `"graphId" = ${id}`, filter.graphId);
  const { field, direction } = orderBy ?? { field: 'CREATED_AT', direction: 'DESC' };
  return readPage<Thread>(
    sql.query,
    {
      from: '"Thread"',
      columns: '*',
      where,
      params,
      order: { ...ORDERED_BY[field], unique: '"id"', uniqueType: 'uuid', direction },
    },
    page,
  );
}
