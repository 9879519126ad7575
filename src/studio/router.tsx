import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from '@tanstack/react-router';
import { BASE_PATH } from './data/address.ts';
import { parseSearch, stringifySearch } from './data/search.ts';
import { Frame } from './frame/Frame.tsx';
import { Missing } from './frame/Missing.tsx';
import { Broken } from './frame/Broken.tsx';
import { readRunsSearch } from './screens/runs/search.ts';
import { readThreadSearch } from './screens/thread/search.ts';
import { readThreadsSearch } from './screens/threads/search.ts';

const root = createRootRoute({
  component: Frame,
  notFoundComponent: Missing,
  errorComponent: Broken,
});

const home = createRoute({
  getParentRoute: () => root,
  path: '/',
  beforeLoad: () => redirect({ to: '/threads', throw: true }),
});

const threads = createRoute({
  getParentRoute: () => root,
  path: '/threads',
  validateSearch: readThreadsSearch,
  component: lazyRouteComponent(
    () => import('./screens/threads/ThreadsScreen.tsx'),
    'ThreadsScreen',
  ),
});

const thread = createRoute({
  getParentRoute: () => root,
  path: '/threads/$threadId',
  validateSearch: readThreadSearch,
  component: lazyRouteComponent(() => import('./screens/thread/ThreadScreen.tsx'), 'ThreadScreen'),
});

const runs = createRoute({
  getParentRoute: () => root,
  path: '/runs',
  validateSearch: readRunsSearch,
  component: lazyRouteComponent(() => import('./screens/runs/RunsScreen.tsx'), 'RunsScreen'),
});

export const router = createRouter({
  routeTree: root.addChildren([home, threads, thread, runs]),
  basepath: BASE_PATH,
  parseSearch,
  stringifySearch,
  defaultErrorComponent: Broken,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
