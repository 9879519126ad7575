import { getRequestListener } from '@hono/node-server';
import { Hono, type Context } from 'hono';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { App, ClientApp } from '../app.ts';
import type { Front } from '../http/server.ts';
import { RefusedError } from '../http/refused.ts';
import { readBody } from './body.ts';
import { answerError, errorBody } from './errors.ts';
import { withinOperation } from './operation.ts';
import type { Call, Route } from './route.ts';
import { ANONYMOUS, type Viewer } from '../auth/viewer.ts';
import { OPEN_PATHS, routes } from './routes.ts';

/** The headers of answers that the SDKs read in browsers. */
const EXPOSED = [
  'content-location',
  'location',
  'x-pagination-total',
  'x-pagination-next',
  'retry-after',
];

/** Paths of LangGraph's interface without a route here. Otherwise `crons` would be the id of a run. */
const NO_ROUTES = ['/runs/crons', '/threads/:thread_id/runs/crons'];

const METHODS: readonly string[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** The value of a header `allow`. */
function allowed(methods: readonly string[]): string {
  return [...methods, 'OPTIONS'].join(', ');
}

/** The methods of each path. */
function methodsByPath(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { path, method } of routes) found.set(path, [...(found.get(path) ?? []), method]);
  return found;
}

/** LangGraph's Agent Server interface at the root of the server: REST and SSE. */
export function createRestFront(app: App): Front {
  const hono = new Hono<{ Bindings: { body: Buffer } }>();
  const notFound = () =>
    answerError(
      new RefusedError(404, 'NOT_FOUND', 'There is no such route; see /openapi.json.'),
      app.log,
    );
  for (const path of NO_ROUTES) hono.all(path, notFound);
  for (const each of routes) {
    hono.on(each.method, honoPath(each.path), (context) => answer(app, each, context));
  }
  for (const [path, methods] of methodsByPath()) {
    hono.all(honoPath(path), () => {
      const message = `${path} has no such method; it has ${methods.join(', ')}.`;
      const answered = answerError(new RefusedError(405, 'BAD_USER_INPUT', message), app.log);
      answered.headers.set('allow', allowed(methods));
      return answered;
    });
  }
  hono.notFound(notFound);
  hono.onError((error) => answerError(error, app.log));
  const bodies = new WeakMap<IncomingMessage, Buffer>();
  const listener = getRequestListener(
    (request, { incoming }) =>
      hono.fetch(request, { body: bodies.get(incoming as IncomingMessage) ?? Buffer.alloc(0) }),
    { overrideGlobalObjects: false },
  );

  return {
    links: { rest: '/docs' },
    serves: (path) => path !== '/' && path.startsWith('/'),
    rules: {
      methods: allowed(METHODS),
      exposedHeaders: EXPOSED.join(', '),
      openPaths: OPEN_PATHS,
      anyContentType: true,
      bodyLimitBytes: app.config.restBodyLimitBytes,
    },
    describeRefusal: ({ message, code }) => errorBody(message, code),
    answer(request: IncomingMessage, response: ServerResponse, body: Buffer) {
      if (!METHODS.includes(request.method ?? '') && request.method !== 'HEAD') {
        response.setHeader('allow', allowed(METHODS));
        throw new RefusedError(405, 'BAD_USER_INPUT', `No route has the method ${request.method}.`);
      }
      bodies.set(request, body);
      return listener(request, response);
    },
  };
}

/** The viewer of a route without a login: it may read what all tenants share. */
const NOBODY: Viewer = { ...ANONYMOUS, tenant: '', roles: [], sees: 'own' };

/** `/threads/{thread_id}` → `/threads/:thread_id`. */
function honoPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

async function answer(
  app: App,
  found: Route,
  context: Context<{ Bindings: { body: Buffer } }>,
): Promise<Response> {
  const { raw } = context.req;
  try {
    if (raw.method === 'HEAD' && found.access !== 'open') {
      // Without a reader, a stream or a wait would never end.
      throw new RefusedError(405, 'BAD_USER_INPUT', `Send ${found.method} instead of HEAD.`);
    }
    if (found.access === 'open') return await handle({ ...app, viewer: NOBODY }, found, context);
    const viewer = await app.auth.authenticate(raw.headers, raw);
    app.rateLimit.charge(viewer, 1, performance.now());
    return await handle({ ...app, viewer }, found, context);
  } catch (error) {
    return answerError(error, app.log);
  }
}

/** Runs the handler with the checked parts of the request. */
function handle(
  app: ClientApp,
  found: Route,
  context: Context<{ Bindings: { body: Buffer } }>,
): Promise<Response> {
  const { raw } = context.req;
  const { signal } = raw;
  return withinOperation(app, { left: signal, changes: found.changes }, async (own) => {
    const call: Call = {
      app: own,
      params: context.req.param(),
      query: found.query ? found.query.parse(readQuery(context)) : undefined,
      body: found.body ? found.body.parse(readBody(context.env.body)) : undefined,
      headers: raw.headers,
      request: raw,
      signal,
    };
    return found.handle(call);
  });
}

/** One value of a key, or the list of its values. */
function readQuery({ req }: Context): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(req.queries()).map(([key, values]) => {
      const [first = '', ...others] = values;
      return [key, others.length > 0 ? values : first];
    }),
  );
}
