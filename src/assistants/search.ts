import type { App } from '../app.ts';
import { conditions, readIds, readPage, type Page, type PageRequest } from '../db/page.ts';
import type { Assistant } from '../generated/prisma/client.ts';
import { readAssistantId } from './input.ts';

export interface AssistantFilter {
  ids?: readonly string[] | null | undefined;
  graphId?: string | null | undefined;
  /** A part of the name, in any case. */
  name?: string | null | undefined;
  /** Contained in the assistant's metadata, as jsonb's @> means it. */
  metadata?: Record<string, unknown> | null | undefined;
}

const ORDERS = {
  ID: { by: '"id"', type: 'uuid' },
  NAME: { by: '"name"', type: 'text' },
  GRAPH_ID: { by: '"graphId"', type: 'text' },
  CREATED_AT: { by: '"createdAt"', type: 'timestamptz' },
  UPDATED_AT: { by: '"updatedAt"', type: 'timestamptz' },
};

export interface AssistantOrder {
  field: keyof typeof ORDERS;
  direction: 'ASC' | 'DESC';
}

/** By UUID, or by a graph's name for its default assistant; null where there is none. Throws where it can be neither. */
export async function findAssistant(
  app: Pick<App, 'sql' | 'graphs'>,
  idOrGraphId: string,
): Promise<Assistant | null> {
  const id = readAssistantId(app, 'id', idOrGraphId);
  const [assistant] = await app.sql.query<Assistant>(
    `SELECT * FROM "Assistant" WHERE "id" = $1 AND "deletedAt" IS NULL`,
    [id],
  );
  return assistant ?? null;
}

/** The newest first, unless another order is given. */
export function searchAssistants(
  { sql }: Pick<App, 'sql'>,
  {
    filter,
    orderBy,
    ...request
  }: PageRequest & { filter?: AssistantFilter | null; orderBy?: AssistantOrder | null },
): Promise<Page<Assistant>> {
  const { field, direction } = orderBy ?? { field: 'CREATED_AT', direction: 'DESC' };
  const { ids, graphId, name, metadata } = filter ?? {};
  const { where, filters, params, add, addFilter } = conditions();
  where.push('"deletedAt" IS NULL');
  if (ids != null) addFilter((list) => `"id" = ANY(${list}::uuid[])`, readIds('filter.ids', ids));
  if (graphId != null) {
    addFilter((graph) => `"graphId" = ${graph}`, graphId);
    if (field === 'GRAPH_ID') {
      // Where the list begins and ends.
      add((first) => `"graphId" >= ${first}`, graphId);
      add((last) => `"graphId" <= ${last}`, graphId);
    }
  }
  if (name != null)
    addFilter((part) => `"name" ILIKE ${part}`, `%${name.replace(/[\\%_]/g, '\\$&')}%`);
  if (metadata != null)
    addFilter((object) => `"metadata" @> ${object}::jsonb`, JSON.stringify(metadata));
  return readPage(
    sql.query,
    {
      from: '"Assistant"',
      columns: '*',
      where,
      filters,
      params,
      order: { ...ORDERS[field], unique: '"id"', uniqueType: 'uuid', direction },
    },
    request,
  );
}
