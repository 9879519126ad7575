import { authorize, readChoice } from '../auth/authorize.ts';
import { canReadAssistant, ownerOf, SHARED_TENANT } from '../auth/scope.ts';
import { DEFAULT_TENANT, SYSTEM, type Viewer } from '../auth/viewer.ts';
import type { Config } from '../config.ts';
import { IF_EXISTS, lockId, type Created, type IfExists } from '../db/node-id.ts';
import type { Query, Sql } from '../db/query.ts';
import { param, sql } from '../db/sql.ts';
import { newId, parseUuid } from '../db/uuid.ts';
import { BadInputError, IdTakenError } from '../errors.ts';
import type { Assistant } from '../generated/prisma/client.ts';
import { assistantIdOf, type Graphs } from '../graphs/load.ts';
import { checkConfig } from './config.ts';
import type { AssistantDefaults } from './defaults.ts';
import { checkGraphId, checkName } from './input.ts';
import { checkMetadata, checkObject } from './limits.ts';
import { recordVersion } from './versions.ts';

export interface NewAssistant {
  id?: string | null | undefined;
  graphId: string;
  name?: string | null | undefined;
  description?: string | null | undefined;
  config?: Record<string, unknown> | null | undefined;
  context?: Record<string, unknown> | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
}

/** Creates an assistant at version 1. With DO_NOTHING, returns an existing assistant with the id unchanged. */
export async function createAssistant(
  app: { config: Config; sql: Sql; graphs: Graphs },
  asking: Viewer,
  asked: NewAssistant & { ifExists: IfExists },
): Promise<Created<Assistant>> {
  const { viewer, ...given } = await authorizeNew(asking, asked);
  const id = parseUuid('input.id', given.id);
  checkFree(viewer, id);
  checkGraphId(app, 'input.graphId', given.graphId);
  checkName('input.name', given.name);
  checkConfig(app.config, 'input.config', given.config);
  checkObject(app.config, 'input.context', given.context);
  checkMetadata(app.config, 'input.metadata', given.metadata);

  const owned = ownerOf(viewer);
  return app.sql.transaction(async (query) => {
    const type = await lockId(query, id);
    if (type === undefined || type === 'Assistant') {
      const created = await insertAssistant(query, id, { ...given, ...owned });
      if (created) return { ...created, isNew: true };
      const [existing] = await query<Assistant>(
        sql`SELECT * FROM "Assistant" WHERE "id" = ${id} AND ${canReadAssistant(viewer)}`,
      );
      if (existing && given.ifExists === 'DO_NOTHING') return { ...existing, isNew: false };
    }
    throw new IdTakenError(id);
  });
}

/** The default assistant of a graph has a UUID of version 5, made from the name: a client must not take the id of a later graph. */
function checkFree(viewer: Viewer, id: string): void {
  if (viewer.kind === 'anonymous' || id[14] !== '5') return;
  throw new BadInputError(
    'input.id',
    `${id} is a UUID of version 5: those are for the default assistants of graphs.`,
  );
}

async function authorizeNew(
  asking: Viewer,
  { id, graphId, ifExists, ...given }: NewAssistant & { ifExists: IfExists },
) {
  const { viewer, value } = await authorize(asking, 'assistants:create', {
    ...given,
    assistant_id: id ?? newId(),
    graph_id: graphId,
    metadata: given.metadata ?? {},
    if_exists: ifExists.toLowerCase(),
  });
  const { assistant_id, graph_id, if_exists, ...changed } = value;
  return {
    ...changed,
    viewer,
    id: assistant_id,
    graphId: graph_id,
    ifExists: readChoice('if_exists', if_exists, IF_EXISTS),
  };
}

const SHARED = { tenant: SHARED_TENANT, owner: SYSTEM.identity };

/** Creates the default assistant of each graph. Also updates its configuration, unless a client has changed the assistant. */
export async function ensureSystemAssistants(
  app: { sql: Sql; graphs: Graphs },
  defaults: ReadonlyMap<string, AssistantDefaults>,
): Promise<void> {
  for (const graphId of app.graphs.ids) {
    const id = assistantIdOf(graphId);
    const { config, context } = defaults.get(graphId) ?? { config: {}, context: null };
    const metadata = { created_by: 'system' };
    await app.sql.transaction(async (query) => {
      const given = { graphId, name: graphId, config, context, metadata, ...SHARED };
      const created = await insertAssistant(query, id, given);
      if (created) return;
      await shareWithTenants(query, id, graphId);
      await configureUnchanged(query, id, { config, context });
    });
  }
}

/**
 * A default assistant may be a row of a version without tenants: it has no owner. Throws if an assistant of a viewer has the id: all
 * tenants would run it.
 */
async function shareWithTenants(query: Query, id: string, graphId: string): Promise<void> {
  const { tenant, owner } = SHARED;
  const isOld = sql`"tenant" = ${DEFAULT_TENANT} AND "owner" = ${owner}`;
  const [found] = await query<{ tenant: string }>(
    sql`WITH shared AS (UPDATE "Assistant" SET "tenant" = ${tenant} WHERE "id" = ${id} AND ${isOld})
      SELECT "tenant" FROM "Assistant" WHERE "id" = ${id} AND "tenant" <> ${tenant} AND NOT (${isOld})`,
  );
  if (!found) return;
  throw new Error(
    `The default assistant of the graph "${graphId}" needs the id ${id}, but an assistant of the tenant "${found.tenant}" has it. Delete that assistant, or give the graph another name.`,
  );
}

/** Updates the configuration of a default assistant that is still at its first version. Also updates this version. */
async function configureUnchanged(
  query: Query,
  id: string,
  defaults: AssistantDefaults,
): Promise<void> {
  const config = param(JSON.stringify(defaults.config));
  const context = param(JSON.stringify(defaults.context));
  await query(
    sql`WITH configured AS (
       UPDATE "Assistant" SET "config" = ${config}::json, "context" = ${context}::json, "updatedAt" = now()
       WHERE "id" = ${id}::uuid AND "version" = 1 AND "metadata" @> '{"created_by": "system"}' AND "deletedAt" IS NULL
         AND ("config"::text, "context"::text) IS DISTINCT FROM (${config}::text, ${context}::text)
       RETURNING "id", "config", "context"
     )
     UPDATE "AssistantVersion" v SET "config" = c."config", "context" = c."context"
     FROM configured c WHERE v."assistantId" = c."id" AND v."version" = 1`,
  );
}

/** Undefined: an assistant has this id. A deleted assistant of the same owner is replaced completely. */
async function insertAssistant(
  query: Query,
  id: string,
  given: NewAssistant & { tenant: string; owner: string },
): Promise<Assistant | undefined> {
  const { graphId, name, description, config, context, metadata, tenant, owner } = given;
  const [assistant] = await query<Assistant>(
    sql`INSERT INTO "Assistant" ("id", "tenant", "owner", "graphId", "name", "description", "config", "context", "metadata")
     VALUES (${id}, ${tenant}, ${owner}, ${graphId}, ${name ?? 'Untitled'}, ${description ?? null},
       ${JSON.stringify(config ?? {})}::json, ${JSON.stringify(context ?? null)}::json, ${JSON.stringify(metadata ?? {})}::jsonb)
     ON CONFLICT ("id") DO UPDATE SET "tenant" = excluded."tenant", "owner" = excluded."owner",
       "graphId" = excluded."graphId", "name" = excluded."name", "description" = excluded."description",
       "config" = excluded."config", "context" = excluded."context", "metadata" = excluded."metadata",
       "version" = 1, "createdAt" = excluded."createdAt", "updatedAt" = excluded."updatedAt", "deletedAt" = NULL
     WHERE "Assistant"."deletedAt" IS NOT NULL AND "Assistant"."tenant" = excluded."tenant" AND "Assistant"."owner" = excluded."owner"
     RETURNING *`,
  );
  if (assistant) await recordVersion(query, assistant);
  return assistant;
}
