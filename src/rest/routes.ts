import { graphRoutes } from '../assistants/rest-graph.ts';
import { assistantRoutes } from '../assistants/rest.ts';
import type { Route } from './route.ts';
import { systemRoutes } from './system.ts';

/** All routes. The access of each is in its own declaration. */
export const routes: readonly Route[] = [...systemRoutes, ...assistantRoutes, ...graphRoutes];

/** The paths that every page may get. */
export const OPEN_PATHS = routes.filter(({ access }) => access === 'open').map(({ path }) => path);
