import { z } from 'zod';
import type { ClientApp } from '../app.ts';
import { parseUuid } from '../db/uuid.ts';
import { BadInputError, NotFoundError } from '../errors.ts';
import type { Run } from '../generated/prisma/client.ts';
import { RestError } from '../rest/errors.ts';
import { flag, paging, repeated, selected } from '../rest/fields.ts';
import { json, noContent, pageHeaders, route, type Call } from '../rest/route.ts';
import { showThread } from '../threads/state.ts';
import { cancelRun, permitCancel } from './cancel.ts';
import { createRun } from './create.ts';
import { deleteRun } from './delete.ts';
import { REST_MODES } from './rest-modes.ts';
import { RunBody, toNewRun } from './rest-request.ts';
import { REST_STATUSES, runShape, statusesOf } from './rest-shapes.ts';
import { streamRunEvents } from './rest-stream.ts';
import { answerWithResult } from './rest-wait.ts';
import { findRun, listRuns } from './search.ts';
import { isFinal } from './status.ts';
import { workAndWait } from './wait.ts';

const RunShape = z.looseObject({ run_id: z.string(), status: z.enum(REST_STATUSES) });
const tag = 'Runs';
const RUNS = '/threads/{thread_id}/runs';

/** `null` in the path: earlier SDKs name a missing thread so. */
function threadIdIn(params: { thread_id?: string }): string | null {
  const { thread_id: id = 'null' } = params;
  return id === 'null' ? null : id;
}

type RunCall = Pick<Call<string, unknown, RunBody>, Exclude<keyof Call, 'query'>>;
type StreamCall = Call<string, z.infer<typeof ReaderQuery>, RunBody>;

/** Creates the run of a request. */
export async function createFrom({ app, body, params, headers }: RunCall): Promise<Run> {
  const threadId = threadIdIn(params);
  try {
    return await createRun(app, app.viewer, toNewRun(body, threadId, headers));
  } catch (error) {
    throw isAboutAssistant(error) ? new AssistantMissingError(body.assistant_id) : error;
  }
}

function isAboutAssistant(error: unknown): boolean {
  if (error instanceof NotFoundError) return error.message.startsWith('Assistant ');
  return error instanceof BadInputError && error.details['argument'] === 'input.assistantId';
}

/** With the words that clients look for. */
class AssistantMissingError extends RestError {
  constructor(name: string) {
    super(
      404,
      `No assistant found for "${name}". Give the id of an assistant or the name of a graph.`,
      'NOT_FOUND',
    );
  }
}

/** The path of a run. A stateless run has no thread for its client. */
export function pathOf({ id, onCompletion, threadId }: Run): string {
  return onCompletion === null ? `/threads/${threadId}/runs/${id}` : `/runs/${id}`;
}

/** Where a client finds the run, and where it continues after a lost connection. Both SDKs read these headers. */
function locationsOf(
  run: Run,
  { continues, query = {} }: { continues: 'stream' | 'join'; query?: Record<string, string> },
): Record<string, string> {
  const path = pathOf(run);
  const search = new URLSearchParams(query).toString();
  return {
    'content-location': path,
    location: `${path}/${continues}${search === '' ? '' : `?${search}`}`,
  };
}

/** The query of a reader of events. */
export const ReaderQuery = z.looseObject({
  stream_mode: repeated.pipe(z.array(z.enum(REST_MODES))).optional(),
  cancel_on_disconnect: flag.optional(),
  end: flag.optional().describe('With 1: the event `end` at the end of the run.'),
});

/** Creates a run and streams its events. */
export async function streamNew(call: StreamCall): Promise<Response> {
  const run = await createFrom(call);
  const cancelOnLeave = call.body.on_disconnect === 'cancel';
  const { end: withEnd = false } = call.query;
  const query = {
    ...(cancelOnLeave && { cancel_on_disconnect: '1' }),
    ...(withEnd && { end: '1' }),
  };
  const headers = locationsOf(run, { continues: 'stream', query });
  return streamRunEvents(call, { run, cancelOnLeave, withEnd, headers });
}

/** Creates a run and answers with its result. */
export async function waitForNew(call: RunCall): Promise<Response> {
  // Before the creation: a refused request must not leave a run.
  const free = call.app.waits.take();
  const run = await createFrom(call).catch((error: unknown) => {
    free();
    throw error;
  });
  const cancelOnLeave = call.body.on_disconnect === 'cancel';
  const query: Record<string, string> = cancelOnLeave ? { cancel_on_disconnect: '1' } : {};
  const headers = locationsOf(run, { continues: 'join', query });
  return answerWithResult(call, run, { cancelOnLeave, headers, free });
}

/** Answers with the result of an existing run. */
export async function joinExisting(call: Call, run: Run): Promise<Response> {
  const { cancel_on_disconnect: cancelOnLeave } = call.query as { cancel_on_disconnect: boolean };
  if (cancelOnLeave) await permitCancel(call.app, call.app.viewer, run.id, 'KEEP');
  const headers = { 'content-location': pathOf(run) };
  return answerWithResult(call, run, { cancelOnLeave, headers, free: call.app.waits.take() });
}

/** Streams the events of an existing run, after the last one that the client has. */
export async function streamExisting(call: Call, run: Run): Promise<Response> {
  const query = call.query as z.infer<typeof ReaderQuery>;
  if (query.cancel_on_disconnect) await permitCancel(call.app, call.app.viewer, run.id, 'KEEP');
  return streamRunEvents(call, {
    run,
    lastEventId: call.headers.get('last-event-id') ?? undefined,
    modes: query.stream_mode,
    cancelOnLeave: query.cancel_on_disconnect ?? false,
    withEnd: query.end ?? false,
    headers: {
      'content-location': pathOf(run),
      location: `${pathOf(run)}/stream${new URL(call.url).search}`,
    },
  });
}

/** The run in the path; of the thread in the path, if there is one. */
export async function requireRun(
  app: ClientApp,
  { thread_id: threadId, run_id: runId = '' }: { thread_id?: string; run_id?: string },
): Promise<Run> {
  const id = parseUuid('run_id', runId);
  const run = await findRun(app, app.viewer, id);
  const isElsewhere = threadId !== undefined && run?.threadId !== threadId.toLowerCase();
  if (!run || run.tombstone || isElsewhere) throw new NotFoundError('Run', id);
  return run;
}

const CREATES = ['threads:create_run', 'assistants:read'] as const;

export const runRoutes = [
  route({
    method: 'POST',
    path: RUNS,
    tag,
    summary: 'Creates a run in the background.',
    access: CREATES,
    body: RunBody,
    answers: { 200: RunShape },
    changes: true,
    async handle(call) {
      const run = await createFrom(call);
      return json(runShape(run), { 'content-location': pathOf(run) });
    },
  }),
  route({
    method: 'POST',
    path: `${RUNS}/stream`,
    tag,
    summary: 'Creates a run and streams its events.',
    access: CREATES,
    query: ReaderQuery,
    body: RunBody,
    answers: { 200: 'Server-Sent Events' },
    changes: true,
    handle: streamNew,
  }),
  route({
    method: 'POST',
    path: `${RUNS}/wait`,
    tag,
    summary: 'Creates a run and answers with its final values.',
    access: CREATES,
    body: RunBody,
    answers: { 200: 'The final values, with `__interrupt__` or `__error__`.' },
    changes: true,
    handle: waitForNew,
  }),
  route({
    method: 'GET',
    path: RUNS,
    tag,
    summary: 'Lists the runs of a thread, newest first.',
    access: ['threads:read', 'threads:search'],
    query: z.looseObject({
      ...paging,
      status: z.enum(REST_STATUSES).optional(),
      select: repeated.optional(),
    }),
    answers: { 200: z.array(RunShape) },
    async handle({ app, params, query: { limit, offset, status, select } }) {
      const threadId = parseUuid('thread_id', params.thread_id);
      if (!(await showThread(app, app.viewer, threadId))) {
        throw new NotFoundError('Thread', threadId);
      }
      const filter = { threadId, status: status === undefined ? undefined : statusesOf(status) };
      const runs = await listRuns(app, app.viewer, filter, { limit, offset });
      return json(
        runs.map((run) => selected(runShape(run), select)),
        pageHeaders({ limit, offset }, { count: runs.length }),
      );
    },
  }),
  route({
    method: 'GET',
    path: `${RUNS}/{run_id}`,
    tag,
    summary: 'A run.',
    access: ['threads:read'],
    answers: { 200: RunShape },
    handle: async ({ app, params }) => json(runShape(await requireRun(app, params))),
  }),
  route({
    method: 'DELETE',
    path: `${RUNS}/{run_id}`,
    tag,
    summary: 'Deletes an ended run. Its checkpoints stay in the thread.',
    access: ['threads:read', 'threads:delete'],
    answers: { 204: 'Deleted' },
    changes: true,
    async handle({ app, params }) {
      const { id } = await requireRun(app, params);
      await deleteRun(app, app.viewer, id);
      return noContent();
    },
  }),
  route({
    method: 'POST',
    path: `${RUNS}/{run_id}/cancel`,
    tag,
    summary: 'Cancels an unfinished run. `rollback` also undoes it.',
    access: ['threads:read', 'threads:update'],
    query: z.looseObject({
      wait: flag.default(false),
      action: z.enum(['interrupt', 'rollback']).default('interrupt'),
    }),
    answers: { 202: 'The run will stop.', 204: 'The run has stopped.' },
    changes: true,
    async handle({ app, params, query }) {
      const { id } = await requireRun(app, params);
      const action = query.action === 'rollback' ? 'ROLLBACK' : 'KEEP';
      const cancel = () => cancelRun(app, app.viewer, id, action);
      const hasStopped = query.wait && isFinal((await workAndWait(app, cancel)).ended.status);
      if (!query.wait) await cancel();
      return hasStopped ? noContent() : new Response(null, { status: 202 });
    },
  }),
  route({
    method: 'GET',
    path: `${RUNS}/{run_id}/join`,
    tag,
    summary: 'Waits for the end of a run and answers with its final values.',
    access: ['threads:read'],
    query: z.looseObject({ cancel_on_disconnect: flag.default(false) }),
    answers: { 200: 'The final values, with `__interrupt__` or `__error__`.' },
    handle: async (call) => joinExisting(call, await requireRun(call.app, call.params)),
  }),
  route({
    method: 'GET',
    path: `${RUNS}/{run_id}/stream`,
    tag,
    summary:
      'Streams the events of a run from its start, or after the event of the header Last-Event-ID.',
    access: ['threads:read'],
    query: ReaderQuery,
    answers: { 200: 'Server-Sent Events' },
    handle: async (call) => streamExisting(call, await requireRun(call.app, call.params)),
  }),
];
