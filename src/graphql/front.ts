import type { App } from '../app.ts';
import type { Connections } from '../http/connections.ts';
import type { Front } from '../http/server.ts';
import { createGraphiqlPage } from './graphiql-page.ts';
import { createSockets } from './websocket.ts';
import { createGraphql } from './yoga.ts';

/** GraphQL at /graphql: over HTTP, SSE and WebSocket, with GraphiQL for browsers. */
export function createGraphqlFront(app: App, connections: Connections): Front {
  const yoga = createGraphql(app);
  const sockets = createSockets(app, { yoga, connections });
  const path = '/graphql';
  return {
    path,
    answer: yoga,
    findFile: app.config.graphiql ? createGraphiqlPage(app, path) : undefined,
    acceptSocket: sockets.accept,
    closeSockets: sockets.close,
  };
}
