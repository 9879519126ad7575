import type { Config } from '../config.ts';
import { lockId, type Created } from '../db/node-id.ts';
import type { Query, Sql } from '../db/query.ts';
import { param, sql } from '../db/sql.ts';
import { newId, parseUuid } from '../db/uuid.ts';
import { IdTakenError } from '../errors.ts';
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
  { ifExists, ...given }: NewAssistant & { ifExists: 'RAISE' | 'DO_NOTHING' },
): Promise<Created<Assistant>> {
  const id = given.id == null ? newId() : parseUuid('input.id', given.id);
  checkGraphId(app, 'input.graphId', given.graphId);
  checkName('input.name', given.name);
  checkConfig(app.config, 'input.config', given.config);
  checkObject(app.config, 'input.context', given.context);
  checkMetadata(app.config, 'input.metadata', given.metadata);

  return app.sql.transaction(async (query) => {
    const owner = await lockId(query, id);
    if (owner === undefined || owner === 'Assistant') {
      const created = await insertAssistant(query, id, given);
      if (created) return { ...created, isNew: true };
      const [existing] = await query<Assistant>(sql`SELECT * FROM "Assistant" WHERE "id" = ${id}`);
      if (existing && ifExists === 'DO_NOTHING') return { ...existing, isNew: false };
    }
    throw new IdTakenError(id);
  });
}

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
      const given = { graphId, name: graphId, config, context, metadata };
      const created = await insertAssistant(query, id, given);
      if (!created) await configureUnchanged(query, id, { config, context });
    });
  }
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

/** Undefined: an assistant has this id. A deleted assistant is replaced completely. */
async function insertAssistant(
  query: Query,
  id: string,
  { graphId, name, description, config, context, metadata }: NewAssistant,
): Promise<Assistant | undefined> {
  const [assistant] = await query<Assistant>(
    sql`INSERT INTO "Assistant" ("id", "graphId", "name", "description", "config", "context", "metadata")
     VALUES (${id}, ${graphId}, ${name ?? 'Untitled'}, ${description ?? null}, ${JSON.stringify(config ?? {})}::json,
       ${JSON.stringify(context ?? null)}::json, ${JSON.stringify(metadata ?? {})}::jsonb)
     ON CONFLICT ("id") DO UPDATE SET
       "graphId" = excluded."graphId", "name" = excluded."name", "description" = excluded."description",
       "config" = excluded."config", "context" = excluded."context", "metadata" = excluded."metadata",
       "version" = 1, "createdAt" = excluded."createdAt", "updatedAt" = excluded."updatedAt", "deletedAt" = NULL
     WHERE "Assistant"."deletedAt" IS NOT NULL
     RETURNING *`,
  );
  if (assistant) await recordVersion(query, assistant);
  return assistant;
}
