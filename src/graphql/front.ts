import type { App } from '../app.ts';
import { parseBody } from '../http/body.ts';
import type { Connections } from '../http/connections.ts';
import { describeRefusal } from '../http/refused.ts';
import type { SocketFront } from '../http/server.ts';
import { createGraphiqlPage } from './graphiql-page.ts';
import { createSockets } from './websocket.ts';
import { createGraphql } from './yoga.ts';

/** GraphQL at /graphql: over HTTP, SSE and WebSocket, with GraphiQL for browsers. */
export function createGraphqlFront(app: App, connections: Connections): SocketFront {
  const yoga = createGraphql(app);
  const sockets = createSockets(app, { yoga, connections });
  const path = '/graphql';
  const ways = [path, '/health', '/ready'];
  return {
    links: { graphql: path, health: '/health', ready: '/ready' },
    path,
    page: app.config.graphiql ? path : undefined,
    serves: (asked) => ways.some((way) => asked === way || asked.startsWith(`${way}/`)),
    rules: {
      methods: 'GET, POST',
      exposedHeaders: 'retry-after',
      openPaths: ['/health', '/ready'],
      anyContentType: false,
      bodyLimitBytes: app.config.bodyLimitBytes,
    },
    describeRefusal,
    answer(request, response, body) {
      // Yoga takes the parsed body. It also accepts other content types, and pages may send those without a preflight.
      if (request.method === 'POST') Object.assign(request, { body: parseBody(body) });
      return yoga(request, response);
    },
    findFile: app.config.graphiql ? createGraphiqlPage(app, path) : undefined,
    acceptSocket: sockets.accept,
    closeSockets: sockets.close,
  };
}
