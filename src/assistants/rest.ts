import { z } from 'zod';
import type { Assistant, AssistantVersion } from '../generated/prisma/client.ts';
import { flag, id, jsonObject, paging, selected, sortOrder } from '../rest/fields.ts';
import { json, noContent, pageHeaders, route } from '../rest/route.ts';
import { deleteThreads } from '../threads/bulk.ts';
import { createAssistant } from './create.ts';
import { deleteAssistant } from './delete.ts';
import { isDefaultAssistant } from './input.ts';
import {
  countAssistants,
  getAssistant,
  sliceAssistants,
  type AssistantFilter,
  type AssistantOrder,
} from './search.ts';
import { setAssistantVersion, sliceVersions, updateAssistant } from './versions.ts';

const TAG = 'Assistants';

const VERSION = {
  assistant_id: z.uuid(),
  graph_id: z.string(),
  config: jsonObject,
  context: jsonObject,
  metadata: jsonObject,
  version: z.int(),
  name: z.string(),
  description: z.string().nullable(),
  created_at: z.iso.datetime(),
};
const AssistantShape = z
  .object({ ...VERSION, updated_at: z.iso.datetime() })
  .meta({ id: 'Assistant' });
const VersionShape = z.object(VERSION).meta({ id: 'AssistantVersion' });

const VALUES = {
  config: jsonObject.nullish(),
  context: jsonObject.nullish(),
  metadata: jsonObject.nullish(),
  name: z.string().nullish(),
  description: z.string().nullish(),
};
const FILTER = {
  metadata: jsonObject.nullish(),
  graph_id: id.nullish(),
  name: z.string().nullish(),
};

const VersionNumber = z.object({ version: z.int32('must be an integer') });

/** The answer to a request that names an assistant which the client does not see. */
const MISSING = 'There is no such assistant.';

export const assistantRoutes = [
  route({
    method: 'POST',
    path: '/assistants',
    tag: TAG,
    summary: 'Creates an assistant at version 1.',
    access: ['assistants:create'],
    body: z.object({
      ...VALUES,
      graph_id: id,
      assistant_id: id.nullish(),
      if_exists: z.enum(['raise', 'do_nothing']).nullish(),
    }),
    answers: { 200: AssistantShape, 409: 'An assistant has this id.' },
    changes: true,
    async handle({ app, body: { graph_id: graphId, assistant_id, if_exists, ...values } }) {
      const ifExists = if_exists === 'do_nothing' ? 'DO_NOTHING' : 'RAISE';
      const given = { ...values, graphId, id: assistant_id, ifExists } as const;
      return json(showAssistant(await createAssistant(app, app.viewer, given)));
    },
  }),
  route({
    method: 'POST',
    path: '/assistants/search',
    tag: TAG,
    summary: 'Searches assistants, newest first.',
    access: ['assistants:search'],
    body: z.object({
      ...FILTER,
      ...paging,
      sort_by: z.enum(['assistant_id', 'graph_id', 'name', 'created_at', 'updated_at']).nullish(),
      sort_order: sortOrder,
      select: z.array(z.enum(AssistantShape.keyof().options)).nullish(),
    }),
    answers: { 200: z.array(AssistantShape) },
    async handle({ app, body: { limit, offset, select, ...body } }) {
      const search = { filter: readFilter(body), orderBy: readOrder(body) };
      const found = await sliceAssistants(app, app.viewer, search, { limit, offset });
      const total = await found.count();
      return json(
        found.rows.map((row) => selected(showAssistant(row), select)),
        pageHeaders({ limit, offset }, { count: found.rows.length, total }),
      );
    },
  }),
  route({
    method: 'POST',
    path: '/assistants/count',
    tag: TAG,
    summary: 'The number of assistants: exact up to 10,000, and 10,001 for more.',
    access: ['assistants:search'],
    body: z.object(FILTER),
    answers: { 200: z.int() },
    handle: async ({ app, body }) => json(await countAssistants(app, app.viewer, readFilter(body))),
  }),
  route({
    method: 'GET',
    path: '/assistants/{assistant_id}',
    tag: TAG,
    summary: 'One assistant, by its id or by the name of a graph.',
    access: ['assistants:read'],
    answers: { 200: AssistantShape, 404: MISSING },
    handle: async ({ app, params }) =>
      json(showAssistant(await getAssistant(app, app.viewer, params.assistant_id))),
  }),
  route({
    method: 'PATCH',
    path: '/assistants/{assistant_id}',
    tag: TAG,
    summary: 'Creates a new version and makes it active. Metadata is merged key by key.',
    access: ['assistants:update'],
    body: z.object({ ...VALUES, graph_id: id.nullish() }),
    answers: { 200: AssistantShape, 404: MISSING },
    changes: true,
    async handle({ app, params, body: { graph_id: graphId, ...values } }) {
      const change = { ...values, graphId };
      return json(
        showAssistant(await updateAssistant(app, app.viewer, params.assistant_id, change)),
      );
    },
  }),
  route({
    method: 'DELETE',
    path: '/assistants/{assistant_id}',
    tag: TAG,
    summary:
      'Deletes an assistant with its versions. With delete_threads, also the threads with its id as assistant_id in their metadata.',
    access: ['assistants:read', 'assistants:delete', 'threads:search', 'threads:delete'],
    query: z.object({ delete_threads: flag.optional() }),
    answers: {
      204: 'The assistant is deleted.',
      404: MISSING,
      409: 'The assistant is the default assistant of a graph.',
    },
    changes: true,
    async handle({ app, params, query }) {
      const { id: assistantId } = await getAssistant(app, app.viewer, params.assistant_id);
      // First the threads: if a deletion fails, the request can be repeated.
      if (query.delete_threads && !isDefaultAssistant(app, assistantId)) {
        const selection = { filter: { metadata: { assistant_id: assistantId } } };
        // At most 100 threads at once.
        while ((await deleteThreads(app, app.viewer, selection)).length > 0);
      }
      await deleteAssistant(app, app.viewer, assistantId);
      return noContent();
    },
  }),
  route({
    method: 'POST',
    path: '/assistants/{assistant_id}/versions',
    tag: TAG,
    summary: 'The versions of an assistant, newest first.',
    access: ['assistants:read'],
    body: z.object({ metadata: jsonObject.nullish(), ...paging }),
    answers: { 200: z.array(VersionShape), 404: MISSING },
    async handle({ app, params, body }) {
      const assistant = await getAssistant(app, app.viewer, params.assistant_id);
      return json((await sliceVersions(app, assistant.id, body)).map(showVersion));
    },
  }),
  route({
    method: 'POST',
    path: '/assistants/{assistant_id}/latest',
    tag: TAG,
    summary: 'Makes a version active. The version is in the body or in the query.',
    access: ['assistants:update'],
    query: z.object({ version: z.coerce.number().int().optional() }),
    body: z.object({ version: z.int32().nullish() }),
    answers: { 200: AssistantShape, 404: 'There is no such assistant or version.' },
    changes: true,
    async handle({ app, params, query, body }) {
      const { version } = VersionNumber.parse({ version: body.version ?? query.version });
      return json(
        showAssistant(await setAssistantVersion(app, app.viewer, params.assistant_id, version)),
      );
    },
  }),
];

function readFilter({ graph_id, ...filter }: z.infer<z.ZodObject<typeof FILTER>>): AssistantFilter {
  return { ...filter, graphId: graph_id };
}

const ORDERED_BY = {
  assistant_id: 'ID',
  graph_id: 'GRAPH_ID',
  name: 'NAME',
  created_at: 'CREATED_AT',
  updated_at: 'UPDATED_AT',
} as const;

function readOrder(asked: {
  sort_by?: keyof typeof ORDERED_BY | null | undefined;
  sort_order?: 'asc' | 'desc' | null | undefined;
}): AssistantOrder {
  return {
    field: ORDERED_BY[asked.sort_by ?? 'created_at'],
    direction: asked.sort_order === 'asc' ? 'ASC' : 'DESC',
  };
}

function showAssistant(row: Assistant) {
  return { ...showVersion({ ...row, assistantId: row.id }), updated_at: row.updatedAt };
}

function showVersion(row: AssistantVersion) {
  return {
    assistant_id: row.assistantId,
    graph_id: row.graphId,
    config: row.config,
    context: row.context ?? {},
    metadata: row.metadata,
    version: row.version,
    name: row.name,
    description: row.description,
    created_at: row.createdAt,
  };
}
