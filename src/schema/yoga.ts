import { setTimeout as sleep } from 'node:timers/promises';
import { execute, type ExecutionArgs } from 'graphql';
import {
  createYoga,
  useReadinessCheck,
  type GraphiQLOptions,
  type Plugin,
  type YogaServerInstance,
} from 'graphql-yoga';
import type { App } from '../app.ts';
import { graphiqlTabs } from '../graphiql.ts';
import {
  createDocumentCache,
  documentLimits,
  useNoIntrospection,
  withoutSuggestions,
} from './documents.ts';
import { createMaskError, useValidationCode } from './errors.ts';
import { schema } from './index.ts';
import { createSharedSubscribe } from './shared-execution.ts';

export type Yoga = YogaServerInstance<object, App>;

const READY_WITHIN_MS = 3000;

/** The API at /graphql as a fetch function, GraphiQL for browsers, /health and /ready. It does not ask who is asking. */
export function createGraphql(app: App): Yoga {
  const { config, log } = app;
  const maskError = createMaskError(log);
  return createYoga<object, App>({
    schema,
    context: app,
    maskedErrors: { maskError: config.introspection ? maskError : withoutSuggestions(maskError) },
    parserAndValidationCache: createDocumentCache(),
    plugins: [
      useReferenceExecutor(),
      !config.introspection && useNoIntrospection(),
      ...documentLimits(config),
      useValidationCode(),
      useReadinessCheck({ endpoint: '/ready', check: () => isReady(app) }),
      useContentSecurityPolicy(),
    ],
    graphiql: config.graphiql && ((request) => graphiqlOptions(app, new URL(request.url))),
    // Nine megabytes, loaded when somebody looks.
    renderGraphiQL: async (options) =>
      (await import('@graphql-yoga/render-graphiql')).renderGraphiQL(options),
    logging: false,
    landingPage: false,
    multipart: false,
    // Both are http.ts's: Yoga's own answers `null`, which sandboxed pages are, to origins it does not know.
    cors: false,
    maxRequestBodySize: false,
  });
}

function graphiqlOptions({ graphs }: App, url: URL): GraphiQLOptions {
  const tabs = graphiqlTabs(graphs);
  const [first] = tabs;
  return {
    title: 'threadql',
    subscriptionsProtocol: 'WS',
    ...(first && { defaultTabs: tabs }),
    // Without it, GraphiQL opens an empty tab when the page is loaded again, and drops the first tab's variables.
    ...(!url.searchParams.has('query') && first),
  };
}

/**
 * Yoga's own executor gives an object's fields in the order in which they were resolved; answers have the order of the
 * document (https://spec.graphql.org/October2021/#sec-Serialized-Map-Ordering).
 */
function useReferenceExecutor(): Plugin {
  const subscribe = createSharedSubscribe();
  return {
    onExecute: ({ setExecuteFn }) => setExecuteFn((args: ExecutionArgs) => execute(args)),
    onSubscribe: ({ setSubscribeFn }) => setSubscribeFn(subscribe),
  };
}

async function isReady({ sql }: App): Promise<boolean> {
  const answered = sql.query('SELECT 1').then(
    () => true,
    () => false,
  );
  return Promise.race([answered, sleep(READY_WITHIN_MS, false, { ref: false })]);
}

/** Holds the page that GraphiQL is to this server, and keeps it out of other pages' frames. */
function useContentSecurityPolicy(): Plugin {
  return {
    onResponse({ request, response }) {
      if (!response.headers.get('content-type')?.startsWith('text/html')) return;
      const { host } = new URL(request.url);
      response.headers.set(
        'content-security-policy',
        [
          `default-src 'self' 'unsafe-inline' data: blob:`,
          `connect-src 'self' ws://${host} wss://${host}`,
          `frame-ancestors 'none'`,
        ].join('; '),
      );
    },
  };
}
