import type { App } from '../app.ts';
import type { Query } from '../db/open.ts';
import { IdTakenError } from '../errors.ts';
import type { Assistant } from '../generated/prisma/client.ts';
import { assistantIdOf } from '../graphs/load.ts';
import { lockId } from '../node-id.ts';
import { newId, parseUuid } from '../uuid.ts';
import { checkConfig } from './config.ts';
import { checkGraphId, checkName } from './input.ts';
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

/** Creates an assistant at version 1; with DO_NOTHING, gives the one that has the id already as it is. */
export async function createAssistant(
  app: Pick<App, 'sql' | 'graphs'>,
  { ifExists, ...given }: NewAssistant & { ifExists: 'RAISE' | 'DO_NOTHING' },
): Promise<Assistant> {
  const id = given.id == null ? newId() : parseUuid('input.id', given.id);
  checkGraphId(app, 'input.graphId', given.graphId);
  checkName('input.name', given.name);
  checkConfig('input.config', given.config);

  return app.sql.transaction(async (query) => {
    const owner = await lockId(query, id);
    if (owner === undefined || owner === 'Assistant') {
      const created = await insertAssistant(query, id, given);
      if (created) return created;
      const [existing] = await query<Assistant>('SELECT * FROM "Assistant" WHERE "id" = $1', [id]);
      if (existing && ifExists === 'DO_NOTHING') return existing;
    }
    throw new IdTakenError(id);
  });
}

/** Gives each graph the assistant that its name stands for. One that is there already stays as it is. */
export async function ensureSystemAssistants({
  sql,
  graphs,
}: Pick<App, 'sql' | 'graphs'>): Promise<void> {
  for (const graphId of graphs.ids) {
    const given = { graphId, name: graphId, metadata: { created_by: 'system' } };
    await sql.transaction((query) => insertAssistant(query, assistantIdOf(graphId), given));
  }
}

/** Undefined where there is an assistant with this id. A deleted one gives way, and nothing of it stays. */
async function insertAssistant(
  query: Query,
  id: string,
  { graphId, name, description, config, context, metadata }: NewAssistant,
): Promise<Assistant | undefined> {
  const [assistant] = await query<Assistant>(
    `INSERT INTO "Assistant" ("id", "graphId", "name", "description", "config", "context", "metadata")
     VALUES ($1, $2, $3, $4, $5::json, $6::json, $7::jsonb)
     ON CONFLICT ("id") DO UPDATE SET
       "graphId" = excluded."graphId", "name" = excluded."name", "description" = excluded."description",
       "config" = excluded."config", "context" = excluded."context", "metadata" = excluded."metadata",
       "version" = 1, "createdAt" = excluded."createdAt", "updatedAt" = excluded."updatedAt", "deletedAt" = NULL
     WHERE "Assistant"."deletedAt" IS NOT NULL
     RETURNING *`,
    [
      id,
      graphId,
      name ?? 'Untitled',
      description ?? null,
      JSON.stringify(config ?? {}),
      JSON.stringify(context ?? {}),
      JSON.stringify(metadata ?? {}),
    ],
  );
  if (assistant) await recordVersion(query, assistant);
  return assistant;
}
