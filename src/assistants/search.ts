import { authorize, permit } from '../auth/authorize.ts';
import { assistantContains, assistantParts, canReadAssistant } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Conditions, Listing, Page, PageRequest, Slice } from '../db/page.ts';
import { countRows, readIds, readPage, readSlice } from '../db/page.ts';
import type { Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { NotFoundError } from '../errors.ts';
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

/** The same assistant. Throws NotFoundError if the viewer does not see one. */
export async function getAssistant(
  app: { sql: Sql; graphs: Graphs },
  viewer: Viewer,
  idOrGraphId: string,
): Promise<Assistant> {
  const assistant = await findAssistant(app, viewer, idOrGraphId);
  if (!assistant) throw new NotFoundError('Assistant', idOrGraphId);
  return assistant;
}

/** Default order: newest first. */
export async function searchAssistants(
  app: { sql: Sql },
  asking: Viewer,
  { filter, orderBy, ...request }: PageRequest & AssistantSearch,
): Promise<Page<Assistant>> {
  return readPage(app.sql, await listingOf(asking, { filter, orderBy }), request);
}

/** The same list, in slices. */
export async function sliceAssistants(
  app: { sql: Sql },
  asking: Viewer,
  search: AssistantSearch,
  slice: { limit: number; offset: number },
): Promise<Slice<Assistant>> {
  return readSlice(app.sql.query, await listingOf(asking, search), slice);
}

/** The number of assistants, up to 10,001. */
export async function countAssistants(
  app: { sql: Sql },
  asking: Viewer,
  filter: AssistantFilter,
): Promise<number> {
  return countRows(app.sql.query, await listingOf(asking, { filter }));
}

interface AssistantSearch {
  filter?: AssistantFilter | null | undefined;
  orderBy?: AssistantOrder | null | undefined;
}

async function listingOf(
  asking: Viewer,
  { filter: given, orderBy }: AssistantSearch,
): Promise<Listing> {
  const { viewer, value } = await authorize(asking, 'assistants:search', {
    graph_id: given?.graphId,
    metadata: given?.metadata ?? {},
  });
  const filter = { ...given, graphId: value.graph_id, metadata: value.metadata };
  const { field, direction } = orderBy ?? { field: 'CREATED_AT', direction: 'DESC' };
  const order = { ...ORDERS[field], unique: '"id"', uniqueType: 'uuid', direction };
  const found = readFilter(viewer, filter, field);
  return { from: '"Assistant"', columns: '*', ...found, parts: assistantParts(viewer), order };
}

function readFilter(
  viewer: Viewer,
  filter: AssistantFilter,
  orderedBy: AssistantOrder['field'],
): Conditions {
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
  if (hasKeys(metadata)) filters.push(assistantContains(viewer, metadata));
  return { where, filters };
}
