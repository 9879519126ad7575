import { z } from 'zod';
import { flag } from '../rest/fields.ts';
import { json, route, type Route } from '../rest/route.ts';
import {
  createFrom,
  joinExisting,
  pathOf,
  ReaderQuery,
  requireRun,
  streamExisting,
  streamNew,
  waitForNew,
} from './rest-handlers.ts';
import { RunBody } from './rest-request.ts';
import { REST_STATUSES, runShape } from './rest-shapes.ts';

export const RunShape = z.looseObject({ run_id: z.string(), status: z.enum(REST_STATUSES) });

/** The actions of a request for a run. */
export const CREATES = ['threads:create_run', 'assistants:read'] as const;

const creating = (path: string, tag: string): Route[] => [
  route({
    method: 'POST',
    path,
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
    path: `${path}/stream`,
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
    path: `${path}/wait`,
    tag,
    summary: 'Creates a run and answers with its final values.',
    access: CREATES,
    body: RunBody,
    answers: { 200: 'The final values, with `__interrupt__` or `__error__`.' },
    changes: true,
    handle: waitForNew,
  }),
];

const reading = (path: string, tag: string): Route[] => [
  route({
    method: 'GET',
    path: `${path}/{run_id}`,
    tag,
    summary: 'A run.',
    access: ['threads:read'],
    answers: { 200: RunShape },
    handle: async ({ app, params }) => json(runShape(await requireRun(app, params))),
  }),
  route({
    method: 'GET',
    path: `${path}/{run_id}/join`,
    tag,
    summary: 'Waits for the end of a run and answers with its final values.',
    access: ['threads:read'],
    query: z.looseObject({ cancel_on_disconnect: flag.default(false) }),
    answers: { 200: 'The final values, with `__interrupt__` or `__error__`.' },
    handle: async (call) => joinExisting(call, await requireRun(call.app, call.params)),
  }),
  route({
    method: 'GET',
    path: `${path}/{run_id}/stream`,
    tag,
    summary:
      'Streams the events of a run from its start, or after the event of the header Last-Event-ID.',
    access: ['threads:read'],
    query: ReaderQuery,
    answers: { 200: 'Server-Sent Events' },
    handle: async (call) => streamExisting(call, await requireRun(call.app, call.params)),
  }),
];

/** The routes below `path` that runs of a thread and stateless runs have in common. */
export function commonRoutes(path: string, tag: string): Route[] {
  return [...creating(path, tag), ...reading(path, tag)];
}
