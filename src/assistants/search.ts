import { authorize, permit } from '../auth/authorize.ts';
import { assistantParts, canReadAssistant } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Conditions, Page, PageRequest } from '../db/page.ts';
import { readIds, readPage } from '../db/page.ts';
import type { Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import type { Assistant } from '../generated/prisma/client.ts';
import { hasKeys } from '../json.ts';
import type { Graphs } from '../graphs/load.ts';
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

/** Finds an assistant by UUID, or by the name of a graph. Throws if the text is neither. */
export async function findAssistant(
  app: { sql: Sql; graphs: Graphs },
  asking: Viewer,
  idOrGraphId: string,
): Promise<Assistant | null> {
  const id = readAssistantId(app, 'id', idOrGraphId);
  const viewer = await permit(asking, 'assistants:read', { assistant_id: id });
  const [assistant] = await app.sql.query<Assistant>(
    sql`SELECT * FROM "Assistant" WHERE "id" = ${id} AND "deletedAt" IS NULL AND ${canReadAssistant(viewer)}`,
  );
  return assistant ?? null;
}

/** Default order: newest first. */
export async function searchAssistants(
  app: { sql: Sql },
  asking: Viewer,
  {
    filter: given,
    orderBy,
    ...request
  }: PageRequest & { filter?: AssistantFilter | null; orderBy?: AssistantOrder | null },
): Promise<Page<Assistant>> {
  const { viewer, value } = await authorize(asking, 'assistants:search', {
    graph_id: given?.graphId,
    metadata: given?.metadata ?? {},
  });
  const filter = { ...given, graphId: value.graph_id, metadata: value.metadata };
  const { field, direction } = orderBy ?? { field: 'CREATED_AT', direction: 'DESC' };
  const order = { ...ORDERS[field], unique: '"id"', uniqueType: 'uuid', direction };
  const found = readFilter(filter, field);
  const parts = assistantParts(viewer);
  const listing = { from: '"Assistant"', columns: '*', ...found, parts, order };
  return readPage(app.sql.query, listing, request);
}

function readFilter(filter: AssistantFilter, orderedBy: AssistantOrder['field']): Conditions {
  const { ids, graphId, name, metadata } = filter;
  const where = [sql`"deletedAt" IS NULL`];
  const filters: Conditions['filters'] = [];
  if (ids != null) filters.push(sql`"id" = ANY(${readIds('filter.ids', ids)}::uuid[])`);
  if (graphId != null) {
    filters.push(sql`"graphId" = ${graphId}`);
    // The first and the last id of the list.
    if (orderedBy === 'GRAPH_ID') {
      where.push(sql`"graphId" >= ${graphId}`, sql`"graphId" <= ${graphId}`);
    }
  }
  if (name != null) {
    filters.push(sql`"name" ILIKE ${`%${name.replace(/[\\%_]/g, '\\$&')}%`}`);
  }
  if (hasKeys(metadata)) filters.push(sql`"metadata" @> ${JSON.stringify(metadata)}::jsonb`);
  return { where, filters };
}
