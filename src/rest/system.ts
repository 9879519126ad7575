import { z } from 'zod';
import { flag } from './fields.ts';
import { json, route } from './route.ts';

/** The version in /info. LangGraph Studio expects the version of a server with its API, and not a version of threadql. */
const SERVER_VERSION = '0.16.0';

export const systemRoutes = [
  route({
    method: 'GET',
    path: '/ok',
    tag: 'System',
    summary: 'Whether the server answers; with check_db=1 also whether its database does.',
    access: 'open',
    query: z.object({ check_db: flag.optional() }),
    answers: { 200: z.object({ ok: z.boolean() }), 503: z.object({ ok: z.boolean() }) },
    async handle({ app, query }) {
      if (!query.check_db || (await app.isReady())) return json({ ok: true });
      return Response.json({ ok: false }, { status: 503 });
    },
  }),
  route({
    method: 'GET',
    path: '/info',
    tag: 'System',
    summary: 'The version and the capabilities of the server.',
    access: 'open',
    answers: { 200: z.looseObject({ version: z.string() }) },
    handle: () =>
      json({
        version: SERVER_VERSION,
        langgraph_js_version: SERVER_VERSION,
        context: 'js',
        flags: { assistants: true, crons: false, langsmith: false },
      }),
  }),
];
