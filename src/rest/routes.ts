import { graphRoutes } from '../assistants/rest-graph.ts';
import { assistantRoutes } from '../assistants/rest.ts';
import { protocolRoutes } from '../runs/rest-protocol.ts';
import { threadStreamRoutes } from '../runs/rest-thread-stream.ts';
import { runRoutes, statelessRunRoutes } from '../runs/rest.ts';
import { threadRoutes } from '../threads/rest.ts';
import { documentRoutes } from './document-routes.ts';
import type { Route } from './route.ts';
import { systemRoutes } from './system.ts';

const documented: readonly Route[] = [
  ...assistantRoutes,
  ...graphRoutes,
  ...threadRoutes,
  ...threadStreamRoutes,
  ...protocolRoutes,
  ...runRoutes,
  ...statelessRunRoutes,
  ...systemRoutes,
];

/** All routes. The access of each is in its own declaration. */
export const routes: readonly Route[] = [...documented, ...documentRoutes(documented)];

/** The paths that every page may get. */
export const OPEN_PATHS = routes.filter(({ access }) => access === 'open').map(({ path }) => path);
