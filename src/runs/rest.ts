import { z } from 'zod';
import { BadInputError, NotFoundError } from '../errors.ts';
import { flag, queryPaging, repeated, selected } from '../rest/fields.ts';
import { json, noContent, pageHeaders, route } from '../rest/route.ts';
import { requireThread } from '../threads/state.ts';
import { cancelRun, cancelRuns } from './cancel.ts';
import { createRuns } from './create.ts';
import { deleteRun } from './delete.ts';
import { commonRoutes, CREATES, RunShape } from './rest-common.ts';
import { requireRun } from './rest-handlers.ts';
import { RunBody, toNewRun } from './rest-request.ts';
import { REST_STATUSES, runShape, statusesOf } from './rest-shapes.ts';
import { listRuns, type RunFilter } from './search.ts';
import { isFinal } from './status.ts';
import { workAndWait } from './wait.ts';

const RUNS = '/threads/{thread_id}/runs';
const tag = 'Runs';

/** `interrupt` keeps the finished steps of a cancelled run. */
const action = z
  .enum(['interrupt', 'rollback'])
  .default('interrupt')
  .transform((name) => (name === 'rollback' ? 'ROLLBACK' : 'KEEP'));

/** The texts of `cancel_reason`. Clients look for their beginnings. */
const REASONS = { taken: 'taken: another run has taken over the input' };

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

/** The routes of runs of a thread. */
export const runRoutes = [
  ...commonRoutes(RUNS, tag),
  route({
    method: 'GET',
    path: RUNS,
    tag,
    summary: 'Lists the runs of a thread, newest first.',
    access: ['threads:read', 'threads:search'],
    query: z.looseObject({
      ...queryPaging,
      status: z.enum(REST_STATUSES).optional(),
      select: repeated.optional(),
    }),
    answers: { 200: z.array(RunShape) },
    async handle({ app, params, query: { limit, offset, status, select } }) {
      const { id: threadId } = await requireThread(app, app.viewer, params.thread_id);
      const filter = { threadId, status: status === undefined ? undefined : statusesOf(status) };
      const runs = await listRuns(app, app.viewer, filter, { limit, offset });
      return json(
        runs.map((run) => selected(runShape(run), select)),
        pageHeaders({ limit, offset }, { count: runs.length }),
      );
    },
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
      action,
      reason: z
        .enum(['taken'])
        .optional()
        .describe('`taken`: another run has taken over the input. Only with `interrupt`.'),
    }),
    answers: { 202: 'The run will stop.', 204: 'The run has stopped.' },
    changes: true,
    async handle({ app, params, query, signal }) {
      const { id } = await requireRun(app, params);
      const reason = query.reason && REASONS[query.reason];
      const cancel = () => cancelRun(app, app.viewer, id, { action: query.action, reason });
      const hasStopped =
        query.wait && isFinal((await workAndWait(app, cancel, signal)).ended.status);
      if (!query.wait) await cancel();
      return hasStopped ? noContent() : new Response(null, { status: 202 });
    },
  }),
  route({
    method: 'POST',
    path: '/runs/cancel',
    tag,
    summary: 'Cancels the unfinished runs with a status, or some runs of a thread.',
    access: ['threads:update'],
    query: z.looseObject({ action }),
    body: CancelBody,
    answers: { 204: 'Cancelled', 404: 'No such run is unfinished.' },
    changes: true,
    async handle({ app, query, body }) {
      const filter = toFilter(body);
      const cancelled =
        filter.ids?.length === 0 ? [] : await cancelRuns(app, app.viewer, filter, query.action);
      if (cancelled.length === 0) throw new NotFoundError('Unfinished run', 'of this request');
      return noContent();
    },
  }),
];

const STATELESS = 'Stateless runs';

/** The routes of runs without a thread of the client. */
export const statelessRunRoutes = [
  route({
    method: 'POST',
    path: '/runs/batch',
    tag: STATELESS,
    summary: 'Creates 1 to 100 stateless runs, all or none.',
    access: CREATES,
    body: z.array(RunBody),
    answers: { 200: z.array(RunShape) },
    changes: true,
    async handle({ app, body, headers }) {
      // Each run has a key of its own.
      const requests = body.map((each, i) => {
        const request = toNewRun(each, null, { headers, viewer: app.viewer });
        const { idempotencyKey: key } = request;
        return { ...request, idempotencyKey: key == null ? key : `${key}:${i}` };
      });
      const runs = await createRuns(app, app.viewer, requests);
      return json(runs.map(runShape));
    },
  }),
  ...commonRoutes('/runs', STATELESS),
];
