import { z } from 'zod';
import { BadInputError, NotFoundError } from '../errors.ts';
import { flag } from '../rest/fields.ts';
import { json, noContent, route } from '../rest/route.ts';
import { cancelRuns } from './cancel.ts';
import { createRuns } from './create.ts';
import { RunBody, toNewRun } from './rest-request.ts';
import {
  createFrom,
  joinExisting,
  pathOf,
  ReaderQuery,
  requireRun,
  streamExisting,
  streamNew,
  waitForNew,
} from './rest.ts';
import { runShape } from './rest-shapes.ts';
import type { RunFilter } from './search.ts';

const RunShape = z.looseObject({ run_id: z.string() });
const tag = 'Stateless runs';
const CREATES = ['threads:create_run', 'assistants:read'] as const;

const CancelBody = z.looseObject({
  status: z.enum(['pending', 'running', 'all']).nullish(),
  thread_id: z.string().nullish(),
  run_ids: z.array(z.string()).nullish(),
});

/** The runs to cancel: those with a status, or the named runs of a thread. */
function toFilter({
  status,
  thread_id: threadId,
  run_ids: ids,
}: z.infer<typeof CancelBody>): RunFilter {
  if (status != null && (threadId != null || ids != null)) {
    throw new BadInputError('status', 'Give status, or thread_id with run_ids, not both.');
  }
  if (status == null) {
    if (threadId == null || ids == null) {
      throw new BadInputError('run_ids', 'Give status, or thread_id with run_ids.');
    }
    return { threadId, ids };
  }
  return {
    status:
      status === 'all' ? ['PENDING', 'RUNNING'] : [status === 'pending' ? 'PENDING' : 'RUNNING'],
  };
}

/** Runs without a thread of the client, and the cancellation of many runs. */
export const statelessRunRoutes = [
  route({
    method: 'POST',
    path: '/runs/cancel',
    tag: 'Runs',
    summary: 'Cancels the unfinished runs with a status, or some runs of a thread.',
    access: ['threads:update'],
    query: z.looseObject({ action: z.enum(['interrupt', 'rollback']).default('interrupt') }),
    body: CancelBody,
    answers: { 204: 'Cancelled', 404: 'No such run is unfinished.' },
    changes: true,
    async handle({ app, query, body }) {
      const action = query.action === 'rollback' ? 'ROLLBACK' : 'KEEP';
      const cancelled = await cancelRuns(app, app.viewer, toFilter(body), action);
      if (cancelled.length === 0) throw new NotFoundError('Unfinished run', 'of this request');
      return noContent();
    },
  }),
  route({
    method: 'POST',
    path: '/runs',
    tag,
    summary: 'Creates a stateless run in the background.',
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
    path: '/runs/batch',
    tag,
    summary: 'Creates 1 to 100 stateless runs, all or none.',
    access: CREATES,
    body: z.array(RunBody),
    answers: { 200: z.array(RunShape) },
    changes: true,
    async handle({ app, body, headers }) {
      // Each run has a key of its own.
      const requests = body.map((each, i) => {
        const request = toNewRun(each, null, headers);
        const { idempotencyKey: key } = request;
        return { ...request, idempotencyKey: key == null ? key : `${key}:${i}` };
      });
      const runs = await createRuns(app, app.viewer, requests);
      return json(runs.map(runShape));
    },
  }),
  route({
    method: 'POST',
    path: '/runs/stream',
    tag,
    summary: 'Creates a stateless run and streams its events.',
    access: CREATES,
    query: ReaderQuery,
    body: RunBody,
    answers: { 200: 'Server-Sent Events' },
    changes: true,
    handle: streamNew,
  }),
  route({
    method: 'POST',
    path: '/runs/wait',
    tag,
    summary: 'Creates a stateless run and answers with its final values.',
    access: CREATES,
    body: RunBody,
    answers: { 200: 'The final values, with `__interrupt__` or `__error__`.' },
    changes: true,
    handle: waitForNew,
  }),
  route({
    method: 'GET',
    path: '/runs/{run_id}',
    tag,
    summary: 'A run.',
    access: ['threads:read'],
    answers: { 200: RunShape },
    handle: async ({ app, params }) => json(runShape(await requireRun(app, params))),
  }),
  route({
    method: 'GET',
    path: '/runs/{run_id}/join',
    tag,
    summary: 'Waits for the end of a run and answers with its final values.',
    access: ['threads:read'],
    query: z.looseObject({ cancel_on_disconnect: flag.default(false) }),
    answers: { 200: 'The final values, with `__interrupt__` or `__error__`.' },
    handle: async (call) => joinExisting(call, await requireRun(call.app, call.params)),
  }),
  route({
    method: 'GET',
    path: '/runs/{run_id}/stream',
    tag,
    summary:
      'Streams the events of a run from its start, or after the event of the header Last-Event-ID.',
    access: ['threads:read'],
    query: ReaderQuery,
    answers: { 200: 'Server-Sent Events' },
    handle: async (call) => streamExisting(call, await requireRun(call.app, call.params)),
  }),
];
