import type { ExecutionArgs } from 'graphql';
import {
  createGraphQLError,
  createYoga,
  useReadinessCheck,
  type Plugin,
  type YogaInitialContext,
  type YogaServerInstance,
} from 'graphql-yoga';
import type { App, ClientApp } from '../app.ts';
import type { Authenticator } from '../auth/authenticate.ts';
import type { Viewer } from '../auth/viewer.ts';
import { isStream } from '../http/streams.ts';
import { useCompression } from './compression.ts';
import type { Costed } from './cost.ts';
import {
  createDocumentCache,
  documentLimits,
  useNoIntrospection,
  withoutSuggestions,
} from './documents.ts';
import { createMaskError, useValidationCode } from './errors.ts';
import { executeWithin, fieldsOf } from './execution.ts';
import { useExpiry } from './expiry.ts';
import { schema } from './index.ts';
import { useMultipartSubscriptions } from './multipart.ts';
import { useNoPersistedQueries } from './persisted-queries.ts';
import { createSharedSubscribe } from './shared-execution.ts';

/** Added by the login: websocket.ts logs in a connection, and `useLogin` a request. */
interface LoggedIn {
  viewer: Viewer;
}

export type Yoga = YogaServerInstance<Partial<LoggedIn>, ClientApp>;

/** The API at /graphql as a fetch function, with /health and /ready. */
export function createGraphql(app: App): Yoga {
  const { config, log } = app;
  const maskError = createMaskError(log);
  return createYoga<Partial<LoggedIn>, ClientApp>({
    schema,
    // Once per operation, before its execution.
    context({ viewer, cost = 1 }: YogaInitialContext & Partial<LoggedIn> & Costed) {
      if (!viewer) throw new Error('The operation has no viewer.');
      app.rateLimit.charge(viewer, Math.max(cost, 1), performance.now());
      return { ...app, viewer };
    },
    maskedErrors: { maskError: config.introspection ? maskError : withoutSuggestions(maskError) },
    parserAndValidationCache: createDocumentCache(),
    plugins: [
      useLogin(app.auth),
      useReferenceExecutor(),
      useNoStreamRunByGet(),
      !config.introspection && useNoIntrospection(),
      ...documentLimits(config),
      useValidationCode(),
      useReadinessCheck({ endpoint: '/ready', check: app.isReady }),
      useNoPersistedQueries(),
      useMultipartSubscriptions(),
      useExpiry(),
      useStreamHeaders(),
      useCompression(),
    ],
    // http/ sends the page.
    graphiql: false,
    logging: false,
    landingPage: false,
    multipart: false,
    // http/ does both. Yoga's CORS answers unknown origins with `null`, the origin of sandboxed pages.
    cors: false,
    maxRequestBodySize: false,
  });
}

/** Logs in before the document is parsed and validated: other clients see no error about the schema. */
function useLogin(auth: Authenticator): Plugin {
  return {
    async onParams({ request, context }) {
      const viewer = await auth.authenticate(request.headers, request);
      Object.assign(context, { viewer } satisfies LoggedIn);
    },
  };
}

/**
 * Uses graphql's own executor: fields in the order of the document
 * (https://spec.graphql.org/October2021/#sec-Serialized-Map-Ordering). Yoga's executor orders them by time of resolution.
 */
function useReferenceExecutor(): Plugin {
  const subscribe = createSharedSubscribe();
  return {
    onExecute: ({ setExecuteFn }) =>
      setExecuteFn((args: ExecutionArgs) =>
        executeWithin({ ...args, clientGone: clientGone(args.contextValue as object) }),
      ),
    onSubscribe: ({ setSubscribeFn }) => setSubscribeFn(subscribe),
  };
}

/** A GET must not create a run. Yoga refuses mutations only. A WebSocket operation has no request in its context. */
function useNoStreamRunByGet(): Plugin {
  return {
    onSubscribe({ args: { document, contextValue } }) {
      const { request } = contextValue as { request?: Request };
      if (request?.method !== 'GET' || !fieldsOf(document).has('streamRun')) return;
      throw createGraphQLError('streamRun creates a run: send it with POST, not with GET.', {
        extensions: { code: 'BAD_USER_INPUT', http: { status: 405, headers: { allow: 'POST' } } },
      });
    },
  };
}

/** Aborted when the client of an operation has left. Yoga puts a request into the context, websocket.ts only a signal. */
function clientGone(context: { request?: Pick<Request, 'signal'> }): AbortSignal | undefined {
  return context.request?.signal;
}

/** Disables response buffering in proxies such as nginx. */
function useStreamHeaders(): Plugin {
  return {
    onResponse({ response }) {
      if (!isStream(response.headers.get('content-type'))) return;
      response.headers.set('x-accel-buffering', 'no');
    },
  };
}
