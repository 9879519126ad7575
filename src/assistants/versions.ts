import type { App } from '../app.ts';
import type { Query } from '../db/open.ts';
import { readPage, type Page, type PageRequest } from '../db/page.ts';
import { ConflictError, NotFoundError } from '../errors.ts';
import type { Assistant, AssistantVersion } from '../generated/prisma/client.ts';
import { assistantIdOf } from '../graphs/load.ts';
import { isRecord } from '../json.ts';
import { checkConfig } from './config.ts';
import { checkGraphId, checkName, isDefaultAssistant, readAssistantId } from './input.ts';

/** What is not given stays. Null clears the description, and is as good as not given elsewhere. */
export interface AssistantChange {
  graphId?: string | null | undefined;
  name?: string | null | undefined;
  description?: string | null | undefined;
  config?: Record<string, unknown> | null | undefined;
  context?: Record<string, unknown> | null | undefined;
  /** Merged key by key; a null value removes the key. */
  metadata?: Record<string, unknown> | null | undefined;
}

/** Makes a new version, also when nothing changes, and the active one. */
export async function updateAssistant(
  app: Pick<App, 'sql' | 'graphs'>,
  idOrGraphId: string,
  change: AssistantChange,
): Promise<Assistant> {
  const id = readAssistantId(app, 'id', idOrGraphId);
  if (change.graphId != null) {
    checkGraphId(app, 'input.graphId', change.graphId);
    checkKeepsGraph(app, id, change.graphId);
  }
  checkName('input.name', change.name);
  checkConfig('input.config', change.config);

  return app.sql.transaction(async (query) => {
    const old = await lockAssistant(query, id);
    const [newest] = await query<{ version: number }>(
      'SELECT max("version") AS "version" FROM "AssistantVersion" WHERE "assistantId" = $1',
      [id],
    );
    const assistant = await replace(query, id, {
      version: (newest?.version ?? old.version) + 1,
      graphId: change.graphId ?? old.graphId,
      name: change.name ?? old.name,
      description: change.description === undefined ? old.description : change.description,
      config: change.config ?? old.config,
      context: change.context ?? old.context,
      metadata: mergeMetadata(old.metadata, change.metadata),
    });
    await recordVersion(query, assistant);
    return assistant;
  });
}

/** A graph's name stands for its default assistant, and must go on meaning that graph. */
function checkKeepsGraph(app: Pick<App, 'graphs'>, id: string, graphId: string): void {
  if (!isDefaultAssistant(app, id) || id === assistantIdOf(graphId)) return;
  throw new ConflictError(
    `Assistant ${id} is the default assistant of its graph; it cannot change to graph "${graphId}".`,
  );
}

/** Makes a version the active one again, all of it. The next update still gets a number of its own. */
export async function setAssistantVersion(
  app: Pick<App, 'sql' | 'graphs'>,
  idOrGraphId: string,
  version: number,
): Promise<Assistant> {
  const id = readAssistantId(app, 'id', idOrGraphId);
  return app.sql.transaction(async (query) => {
    await lockAssistant(query, id);
    const [values] = await query<AssistantVersion>(
      'SELECT * FROM "AssistantVersion" WHERE "assistantId" = $1 AND "version" = $2',
      [id, version],
    );
    if (!values) throw new NotFoundError(`Version ${version} of assistant`, id);
    checkGraphId(app, 'version', values.graphId);
    return replace(query, id, values);
  });
}

/** Newest first. */
export function listVersions(
  { sql }: Pick<App, 'sql'>,
  assistantId: string,
  request: PageRequest,
): Promise<Page<AssistantVersion>> {
  return readPage(
    sql.query,
    {
      from: '"AssistantVersion"',
      columns: '*',
      where: ['"assistantId" = $1'],
      params: [assistantId],
      order: {
        by: '"version"',
        type: 'int',
        unique: '"version"',
        uniqueType: 'int',
        direction: 'DESC',
      },
    },
    request,
  );
}

/** Records what an assistant is now under the number that it has. */
export async function recordVersion(query: Query, assistant: Assistant): Promise<void> {
  await query(
    `INSERT INTO "AssistantVersion"
       ("assistantId", "version", "graphId", "name", "description", "config", "context", "metadata", "createdAt")
     SELECT "id", "version", "graphId", "name", "description", "config", "context", "metadata", "updatedAt"
     FROM "Assistant" WHERE "id" = $1`,
    [assistant.id],
  );
}

/** Two changes at once must not get the same number, and neither may lose what the other changed. */
async function lockAssistant(query: Query, id: string): Promise<Assistant> {
  const [assistant] = await query<Assistant>(
    'SELECT * FROM "Assistant" WHERE "id" = $1 AND "deletedAt" IS NULL FOR UPDATE',
    [id],
  );
  if (!assistant) throw new NotFoundError('Assistant', id);
  return assistant;
}

type Values = Pick<AssistantVersion, 'version' | 'graphId' | 'name' | 'description'> &
  Record<'config' | 'context' | 'metadata', unknown>;

async function replace(query: Query, id: string, values: Values): Promise<Assistant> {
  const [assistant] = await query<Assistant>(
    `UPDATE "Assistant" SET "version" = $2, "graphId" = $3, "name" = $4, "description" = $5,
       "config" = $6::json, "context" = $7::json, "metadata" = $8::jsonb, "updatedAt" = now()
     WHERE "id" = $1 RETURNING *`,
    [
      id,
      values.version,
      values.graphId,
      values.name,
      values.description,
      JSON.stringify(values.config),
      JSON.stringify(values.context),
      JSON.stringify(values.metadata),
    ],
  );
  if (!assistant) throw new NotFoundError('Assistant', id);
  return assistant;
}

function mergeMetadata(old: unknown, change: Record<string, unknown> | null | undefined) {
  const merged = Object.entries({ ...(isRecord(old) ? old : {}), ...change });
  return Object.fromEntries(merged.filter(([, value]) => value !== null));
}
