import { z } from 'zod';
import { listHistory } from '../checkpoints/history.ts';
import { parseUuid } from '../db/uuid.ts';
import { BadInputError } from '../errors.ts';
import { flag, jsonObject, paging, queryPaging, repeated } from '../rest/fields.ts';
import { json, route, type Call } from '../rest/route.ts';
import { updateThreadState } from './edit.ts';
import { checkpointShape, stateShape } from './rest-state.ts';
import { requireThread, stateAt } from './state.ts';

const tag = 'Threads';

const checkpoint = z.object({
  thread_id: z.string().nullish(),
  checkpoint_ns: z.string().nullish(),
  checkpoint_id: z.string().nullish(),
});

type Checkpoint = z.infer<typeof checkpoint>;

const select = z.array(z.string()).nullish();
const stateQuery = z.object({ subgraphs: flag.optional(), select: repeated.optional() });
const ThreadState = z.looseObject({ values: z.unknown(), next: z.array(z.string()) });

/** A checkpoint of a request for the thread of its path. */
function placeOf(threadId: string, given: Checkpoint | null | undefined) {
  const { thread_id, checkpoint_ns, checkpoint_id: checkpointId } = given ?? {};
  const id = parseUuid('threadId', threadId);
  if (thread_id != null && parseUuid('checkpoint.thread_id', thread_id) !== id) {
    throw new BadInputError(
      'checkpoint.thread_id',
      `checkpoint.thread_id is ${thread_id}, a different thread than that of the path.`,
    );
  }
  return { namespace: checkpoint_ns ?? '', checkpointId };
}

interface StateRequest {
  threadId: string;
  checkpoint?: Checkpoint | null | undefined;
  select?: readonly string[] | null | undefined;
  subgraphs?: boolean | null | undefined;
}

async function answerState(
  app: Call['app'],
  { threadId, checkpoint: given, ...wanted }: StateRequest,
): Promise<Response> {
  const place = placeOf(threadId, given);
  const thread = await requireThread(app, app.viewer, threadId);
  return json(await stateShape(app, await stateAt(app, thread, place), wanted));
}

/** The id of a checkpoint in one of the forms of the SDKs: JavaScript has a configuration, Python a checkpoint or its id. */
const before = z
  .union([
    z.string(),
    checkpoint.extend({ checkpoint_id: z.string() }).transform((given) => given.checkpoint_id),
    z
      .object({ configurable: z.object({ checkpoint_id: z.string() }) })
      .transform(({ configurable }) => configurable.checkpoint_id),
  ])
  .nullish();

interface HistoryRequest {
  threadId: string;
  limit: number;
  before?: string | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
  checkpoint?: Checkpoint | null | undefined;
  select?: readonly string[] | null | undefined;
}

async function answerHistory(
  app: Call['app'],
  { threadId, limit, before: olderThan, metadata, ...wanted }: HistoryRequest,
): Promise<Response> {
  const filter = { ...placeOf(threadId, wanted.checkpoint), metadata };
  const thread = await requireThread(app, app.viewer, threadId);
  const states = await listHistory(app, thread.id, { filter, olderThan, limit });
  return json(await Promise.all(states.map((state) => stateShape(app, state, wanted))));
}

export const threadStateRoutes = [
  route({
    method: 'GET',
    path: '/threads/{thread_id}/state',
    tag,
    summary: 'The current state of a thread.',
    access: ['threads:read'],
    query: stateQuery,
    answers: { 200: ThreadState },
    handle: ({ app, params, query }) => answerState(app, { threadId: params.thread_id, ...query }),
  }),
  route({
    method: 'GET',
    path: '/threads/{thread_id}/state/{checkpoint_id}',
    tag,
    summary: 'The state of a thread at a checkpoint.',
    access: ['threads:read'],
    query: stateQuery,
    answers: { 200: ThreadState },
    handle: ({ app, params: { thread_id, checkpoint_id }, query }) =>
      answerState(app, { threadId: thread_id, checkpoint: { checkpoint_id }, ...query }),
  }),
  route({
    method: 'POST',
    path: '/threads/{thread_id}/state/checkpoint',
    tag,
    summary: 'The state of a thread at a checkpoint, also of a subgraph.',
    access: ['threads:read'],
    body: z.object({ checkpoint, subgraphs: z.boolean().nullish(), select }),
    answers: { 200: ThreadState },
    handle: ({ app, params, body }) => answerState(app, { threadId: params.thread_id, ...body }),
  }),
  route({
    method: 'POST',
    path: '/threads/{thread_id}/state',
    tag,
    summary: 'Edits the state: creates a checkpoint, and the thread continues from it.',
    access: ['threads:update'],
    body: z.object({
      values: z.unknown().optional(),
      as_node: z.string().nullish(),
      checkpoint: checkpoint.nullish(),
      checkpoint_id: z.string().nullish(),
    }),
    answers: { 200: z.looseObject({ checkpoint: jsonObject }) },
    changes: true,
    async handle({ app, params, body: { values, as_node: asNode, ...body } }) {
      const { namespace, checkpointId } = placeOf(params.thread_id, body.checkpoint);
      const { row } = await updateThreadState(app, app.viewer, params.thread_id, {
        values,
        asNode,
        checkpointId: checkpointId ?? body.checkpoint_id,
        checkpointNamespace: namespace,
        refusesDelayed: true,
      });
      const stored = checkpointShape(row, row.checkpointId);
      // JavaScript's SDK declares the name `configurable`, RemoteGraph reads `checkpoint`.
      return json({ checkpoint: stored, configurable: stored });
    },
  }),
  route({
    method: 'GET',
    path: '/threads/{thread_id}/history',
    tag,
    summary: 'The states of a thread in all branches, newest first.',
    access: ['threads:read'],
    query: z.object({ limit: queryPaging.limit, before: before.optional() }),
    answers: { 200: z.array(ThreadState) },
    handle: ({ app, params, query }) =>
      answerHistory(app, { threadId: params.thread_id, ...query }),
  }),
  route({
    method: 'POST',
    path: '/threads/{thread_id}/history',
    tag,
    summary: 'The states of a thread or of a subgraph, in all branches, newest first.',
    access: ['threads:read'],
    body: z.object({
      limit: paging.limit,
      before,
      metadata: jsonObject.nullish(),
      checkpoint: checkpoint.nullish(),
      select,
    }),
    answers: { 200: z.array(ThreadState) },
    handle: ({ app, params, body }) => answerHistory(app, { threadId: params.thread_id, ...body }),
  }),
];
