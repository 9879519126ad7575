import type { App } from '../app.ts';
import { readPage, readSize, type Listing, type Page, type PageRequest } from '../db/page.ts';
import type { Assistant } from '../generated/prisma/client.ts';
import { parseUuid } from '../uuid.ts';
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

/**
 * By UUID, or by a graph's name for its default assistant; null where there is none. Throws a BadInputError for
 * `argument` where it can be neither.
 */
export async function findAssistant(
  app: Pick<App, 'db' | 'graphs'>,
  idOrGraphId: string,
  argument = 'id',
): Promise<Assistant | null> {
  const id = readAssistantId(app, argument, idOrGraphId);
  return app.db.assistant.findUnique({ where: { id, deletedAt: null } });
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
  return readPage(
    sql.query,
    {
      from: '"Assistant"',
      columns: '*',
      ...conditions(filter ?? {}),
      order: { ...ORDERS[field], unique: '"id"', uniqueType: 'uuid', direction },
    },
    request,
  );
}

function conditions({
  ids,
  graphId,
  name,
  metadata,
}: AssistantFilter): Pick<Listing, 'where' | 'params'> {
  const where = ['"deletedAt" IS NULL'];
  const params: unknown[] = [];
  if (ids != null) {
    readSize('filter.ids', ids.length);
    params.push(ids.map((id, index) => parseUuid(`filter.ids[${index}]`, id)));
    where.push(`"id" = ANY($${params.length}::uuid[])`);
  }
  if (graphId != null) {
    params.push(graphId);
    where.push(`"graphId" = $${params.length}`);
  }
  if (name != null) {
    params.push(`%${name.replace(/[\\%_]/g, '\\$&')}%`);
    where.push(`"name" ILIKE $${params.length}`);
  }
  if (metadata != null) {
    params.push(JSON.stringify(metadata));
    where.push(`"metadata" @> $${params.length}::jsonb`);
  }
  return { where, params };
}
