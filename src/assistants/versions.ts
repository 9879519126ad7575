import { authorize, permit } from '../auth/authorize.ts';
import { canWriteAssistant } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Config } from '../config.ts';
import { readPage, readSlice, type Listing, type Page, type PageRequest } from '../db/page.ts';
import type { Query, Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import { ConflictError, NotFoundError } from '../errors.ts';
import type { Assistant, AssistantVersion } from '../generated/prisma/client.ts';
import { assistantIdOf, type Graphs } from '../graphs/load.ts';
import { recordOf } from '../json.ts';
import { checkConfig } from './config.ts';
import { checkGraphId, checkName, isDefaultAssistant, readAssistantId } from './input.ts';
import { checkMetadata, checkObject } from './limits.ts';

/** Undefined fields stay. Null clears the description; in other fields it means undefined. */
export interface AssistantChange {
  graphId?: string | null | undefined;
  name?: string | null | undefined;
  description?: string | null | undefined;
  config?: Record<string, unknown> | null | undefined;
  context?: Record<string, unknown> | null | undefined;
  /** Merged key by key; a null value removes the key. */
  metadata?: Record<string, unknown> | null | undefined;
}

/** Creates a new version, even without a change, and makes it active. */
export async function updateAssistant(
  app: { config: Config; sql: Sql; graphs: Graphs },
  asking: Viewer,
  idOrGraphId: string,
  asked: AssistantChange,
): Promise<Assistant> {
  const given = readAssistantId(app, 'id', idOrGraphId);
  const { viewer, id, ...change } = await authorizeChange(asking, given, asked);
  if (change.graphId != null) {
    checkGraphId(app, 'input.graphId', change.graphId);
    checkKeepsGraph(app, id, change.graphId);
  }
  checkName('input.name', change.name);
  checkConfig(app.config, 'input.config', change.config);
  checkObject(app.config, 'input.context', change.context);

  return app.sql.transaction(async (query) => {
    const old = await lockAssistant(query, viewer, id);
    const [newest] = await query<{ version: number }>(
      sql`SELECT max("version") AS "version" FROM "AssistantVersion" WHERE "assistantId" = ${id}`,
    );
    const metadata = mergeMetadata(old.metadata, change.metadata);
    checkMetadata(app.config, 'input.metadata', metadata);
    const assistant = await replace(query, id, {
      version: (newest?.version ?? old.version) + 1,
      graphId: change.graphId ?? old.graphId,
      name: change.name ?? old.name,
      description: change.description === undefined ? old.description : change.description,
      config: change.config ?? old.config,
      context: change.context ?? old.context,
      metadata,
    });
    await recordVersion(query, assistant);
    return assistant;
  });
}

async function authorizeChange(asking: Viewer, id: string, { graphId, ...asked }: AssistantChange) {
  const { viewer, value } = await authorize(asking, 'assistants:update', {
    ...asked,
    assistant_id: id,
    graph_id: graphId,
    metadata: asked.metadata ?? {},
  });
  const { assistant_id, graph_id, ...change } = value;
  return { ...change, viewer, id: parseUuid('id', assistant_id), graphId: graph_id };
}

/** Clients use the name of a graph as the id of its default assistant, so this assistant cannot change to a different graph. */
function checkKeepsGraph(app: { graphs: Graphs }, id: string, graphId: string): void {
  if (!isDefaultAssistant(app, id) || id === assistantIdOf(graphId)) return;
  throw new ConflictError(
    `Assistant ${id} is the default assistant of its graph; it cannot change to graph "${graphId}".`,
  );
}

/** Makes an earlier version active. The next update still gets a new number. */
export async function setAssistantVersion(
  app: { sql: Sql; graphs: Graphs },
  asking: Viewer,
  idOrGraphId: string,
  version: number,
): Promise<Assistant> {
  const id = readAssistantId(app, 'id', idOrGraphId);
  const viewer = await permit(asking, 'assistants:update', { assistant_id: id, version });
  return app.sql.transaction(async (query) => {
    await lockAssistant(query, viewer, id);
    const [values] = await query<AssistantVersion>(
      sql`SELECT * FROM "AssistantVersion" WHERE "assistantId" = ${id} AND "version" = ${version}`,
    );
    if (!values) throw new NotFoundError(`Version ${version} of assistant`, id);
    checkGraphId(app, 'version', values.graphId);
    return replace(query, id, values);
  });
}

/** Newest first. */
export function listVersions(
  app: { sql: Sql },
  assistantId: string,
  request: PageRequest,
): Promise<Page<AssistantVersion>> {
  return readPage(app.sql, versionsOf(assistantId), request);
}

/** The same list, in slices. `metadata` must be contained in that of the version, as jsonb's @> means it. */
export async function sliceVersions(
  app: { sql: Sql },
  assistantId: string,
  { metadata, ...slice }: { metadata?: object | null | undefined; limit: number; offset: number },
): Promise<AssistantVersion[]> {
  const filters = metadata ? [sql`"metadata" @> ${JSON.stringify(metadata)}::jsonb`] : [];
  const listing = { ...versionsOf(assistantId), filters };
  const { rows } = await readSlice<AssistantVersion>(app.sql.query, listing, slice);
  return rows;
}

function versionsOf(assistantId: string): Listing {
  const version = { by: '"version"', type: 'int', unique: '"version"', uniqueType: 'int' };
  return {
    from: '"AssistantVersion"',
    columns: '*',
    owner: assistantId,
    where: [sql`"assistantId" = ${assistantId}`],
    order: { ...version, direction: 'DESC' },
  };
}

/** Stores the current values of an assistant as the version with its current number. */
export async function recordVersion(query: Query, assistant: Assistant): Promise<void> {
  await query(
    sql`INSERT INTO "AssistantVersion"
       ("assistantId", "version", "graphId", "name", "description", "config", "context", "metadata", "createdAt")
     SELECT "id", "version", "graphId", "name", "description", "config", "context", "metadata", "updatedAt"
     FROM "Assistant" WHERE "id" = ${assistant.id}`,
  );
}

/** Concurrent changes wait for the lock: otherwise two versions would get the same number. */
async function lockAssistant(query: Query, viewer: Viewer, id: string): Promise<Assistant> {
  const [assistant] = await query<Assistant>(
    sql`SELECT * FROM "Assistant" WHERE "id" = ${id} AND "deletedAt" IS NULL AND ${canWriteAssistant(viewer)} FOR UPDATE`,
  );
  if (!assistant) throw new NotFoundError('Assistant', id);
  return assistant;
}

type Values = Pick<AssistantVersion, 'version' | 'graphId' | 'name' | 'description'> &
  Record<'config' | 'context' | 'metadata', unknown>;

async function replace(query: Query, id: string, values: Values): Promise<Assistant> {
  const [assistant] = await query<Assistant>(
    sql`UPDATE "Assistant" SET "version" = ${values.version}, "graphId" = ${values.graphId},
       "name" = ${values.name}, "description" = ${values.description},
       "config" = ${JSON.stringify(values.config)}::json, "context" = ${JSON.stringify(values.context)}::json,
       "metadata" = ${JSON.stringify(values.metadata)}::jsonb, "updatedAt" = now()
     WHERE "id" = ${id} RETURNING *`,
  );
  if (!assistant) throw new NotFoundError('Assistant', id);
  return assistant;
}

function mergeMetadata(old: unknown, change: Record<string, unknown> | null | undefined) {
  const merged = Object.entries({ ...recordOf(old), ...change });
  return Object.fromEntries(merged.filter(([, value]) => value !== null));
}
