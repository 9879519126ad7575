import { z } from 'zod';
import type { ThreadStatus } from '../generated/prisma/enums.ts';
import { command } from '../graphs/rest-command.ts';
import { jsonObject, paging, sortOrder, unsupported } from '../rest/fields.ts';
import { json, noContent, pageHeaders, route } from '../rest/route.ts';
import { deleteThreads, pruneThreads } from './bulk.ts';
import { copyThread } from './copy.ts';
import { createThread } from './create.ts';
import { deleteThread } from './delete.ts';
import { extract } from './rest-extract.ts';
import { storageShape, threadShape, threadShapes } from './rest-shapes.ts';
import { threadStateRoutes } from './rest-states.ts';
import { countThreads, listThreads, type ThreadFilter, type ThreadOrderField } from './search.ts';
import { requireThread, storageDetails } from './state.ts';
import { updateThread } from './update.ts';

const tag = 'Threads';

const Thread = z.looseObject({ thread_id: z.string(), metadata: jsonObject });

const supersteps = z.array(
  z.object({
    updates: z.array(
      z
        .object({
          values: z.unknown().optional(),
          command: command.nullish(),
          as_node: z.string().nullish(),
        })
        .transform(({ as_node: asNode, ...update }) => ({ ...update, asNode })),
    ),
  }),
);

const filter = {
  metadata: jsonObject.nullish(),
  status: z.enum(['idle', 'busy', 'interrupted', 'error']).nullish(),
  values: jsonObject.nullish(),
};

function filterOf({ status, ...given }: ThreadFilterBody): ThreadFilter {
  return { ...given, status: status == null ? undefined : [status.toUpperCase() as ThreadStatus] };
}

type ThreadFilterBody = Omit<ThreadFilter, 'status'> & {
  status?: string | null | undefined;
};

const ORDERED_BY = {
  thread_id: 'ID',
  status: 'STATUS',
  created_at: 'CREATED_AT',
  updated_at: 'UPDATED_AT',
  state_updated_at: 'STATE_UPDATED_AT',
} as const satisfies Record<string, ThreadOrderField>;

const createRoute = route({
  method: 'POST',
  path: '/threads',
  tag,
  summary: 'Creates a thread, either empty or with a state from supersteps.',
  access: ['threads:create'],
  body: z.object({
    thread_id: z.string().nullish(),
    metadata: jsonObject.nullish(),
    if_exists: z.enum(['raise', 'do_nothing']).nullish(),
    supersteps: supersteps.nullish(),
    ttl: unsupported('ttl'),
  }),
  answers: { 200: Thread },
  changes: true,
  async handle({ app, body }) {
    const graphId = body.metadata?.['graph_id'];
    const hasSteps = body.supersteps != null && body.supersteps.length > 0;
    const isGraph = typeof graphId === 'string' && (hasSteps || app.graphs.has(graphId));
    const thread = await createThread(app, app.viewer, {
      id: body.thread_id,
      metadata: body.metadata,
      graphId: isGraph ? graphId : undefined,
      supersteps: hasSteps ? body.supersteps : undefined,
      ifExists: body.if_exists === 'do_nothing' ? 'DO_NOTHING' : 'RAISE',
    });
    return json(await threadShape(app, thread));
  },
});

const searchRoutes = [
  route({
    method: 'POST',
    path: '/threads/search',
    tag,
    summary: 'Searches threads. Default order: newest first.',
    access: ['threads:search'],
    body: z.object({
      ...filter,
      ids: z.array(z.string()).nullish(),
      ...paging,
      sort_by: z.enum(Object.keys(ORDERED_BY) as (keyof typeof ORDERED_BY)[]).nullish(),
      sort_order: sortOrder,
      select: z.array(z.string()).nullish(),
      extract: extract.nullish(),
    }),
    answers: { 200: z.array(Thread) },
    async handle({ app, body: { limit, offset, sort_by, sort_order, select, ...body } }) {
      if (body.ids?.length === 0) return json([]);
      const { rows, count } = await listThreads(app, app.viewer, filterOf(body), {
        limit,
        offset,
        orderBy: {
          field: ORDERED_BY[sort_by ?? 'created_at'],
          direction: sort_order === 'asc' ? 'ASC' : 'DESC',
        },
        at: 'body',
      });
      const threads = await threadShapes(app, rows, { select, extract: body.extract });
      const total = await count();
      return json(threads, pageHeaders({ limit, offset }, { count: rows.length, total }));
    },
  }),
  route({
    method: 'POST',
    path: '/threads/count',
    tag,
    summary: 'The number of threads: of each status, exact up to 10,000.',
    access: ['threads:search'],
    body: z.object(filter),
    answers: { 200: z.int() },
    async handle({ app, body }) {
      const counts = await countThreads(app, app.viewer, filterOf(body), 'body');
      return json(counts.reduce((sum, { count }) => sum + count, 0));
    },
  }),
  route({
    method: 'POST',
    path: '/threads/prune',
    tag,
    summary:
      'Deletes up to 100 threads, or with `keep_latest` their history. Leaves out threads that do not exist.',
    access: ['threads:delete'],
    body: z.object({
      thread_ids: z.array(z.string()),
      strategy: z.enum(['delete', 'keep_latest']).nullish(),
    }),
    answers: { 200: z.object({ pruned_count: z.int() }) },
    changes: true,
    async handle({ app, body: { thread_ids: ids, strategy } }) {
      if (ids.length === 0) return json({ pruned_count: 0 });
      const prune = strategy === 'keep_latest' ? pruneThreads : deleteThreads;
      const pruned = await prune(app, app.viewer, { ids });
      return json({ pruned_count: pruned.length });
    },
  }),
];

const oneRoutes = [
  route({
    method: 'GET',
    path: '/threads/{thread_id}',
    tag,
    summary: 'A thread with its current values and open interrupts.',
    access: ['threads:read'],
    answers: { 200: Thread },
    handle: async ({ app, params }) =>
      json(await threadShape(app, await requireThread(app, app.viewer, params.thread_id))),
  }),
  route({
    method: 'PATCH',
    path: '/threads/{thread_id}',
    tag,
    summary: 'Merges metadata into those of a thread. With `Prefer: return=minimal`, answers 204.',
    access: ['threads:update'],
    body: z.object({ metadata: jsonObject.nullish(), ttl: unsupported('ttl') }),
    answers: { 200: Thread, 204: 'The thread is changed.' },
    changes: true,
    async handle({ app, params, body, headers }) {
      const metadata = body.metadata ?? {};
      const thread = await updateThread(app, app.viewer, params.thread_id, { metadata });
      const isMinimal = /\breturn=minimal\b/.test(headers.get('prefer') ?? '');
      return isMinimal ? noContent() : json(await threadShape(app, thread));
    },
  }),
  route({
    method: 'DELETE',
    path: '/threads/{thread_id}',
    tag,
    summary: 'Deletes a thread with its runs, events and checkpoints.',
    access: ['threads:delete'],
    answers: { 204: 'The thread is deleted.' },
    changes: true,
    async handle({ app, params }) {
      await deleteThread(app, app.viewer, params.thread_id);
      return noContent();
    },
  }),
  route({
    method: 'POST',
    path: '/threads/{thread_id}/copy',
    tag,
    summary: 'Creates an independent copy of a thread, with its current state and history.',
    access: ['threads:read', 'threads:create'],
    answers: { 200: Thread },
    changes: true,
    handle: async ({ app, params }) =>
      json(await threadShape(app, await copyThread(app, app.viewer, params.thread_id))),
  }),
];

const Stored = z.object({ count: z.int(), bytes: z.int() });

const storageRoute = route({
  method: 'GET',
  path: '/threads/{thread_id}/storage',
  tag,
  summary: 'The stored bytes of a thread, by kind and by channel.',
  access: ['threads:read'],
  answers: {
    200: z.object({
      thread_id: z.string(),
      total_bytes: z.int(),
      checkpoints: Stored,
      channel_values: Stored.extend({
        by_channel: z.record(z.string(), z.object({ versions: z.int(), bytes: z.int() })),
      }),
      pending_writes: Stored,
    }),
  },
  async handle({ app, params }) {
    const thread = await requireThread(app, app.viewer, params.thread_id);
    return json(storageShape(thread.id, await storageDetails(app, thread)));
  },
});

export const threadRoutes = [
  createRoute,
  ...searchRoutes,
  ...oneRoutes,
  storageRoute,
  ...threadStateRoutes,
];
