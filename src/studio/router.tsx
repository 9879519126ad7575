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
import { readAssistantSearch, readAssistantsSearch } from './screens/assistants/search.ts';
import { readInboxSearch } from './screens/inbox/search.ts';
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

const inbox = createRoute({
  getParentRoute: () => root,
  path: '/inbox',
  validateSearch: readInboxSearch,
  component: lazyRouteComponent(() => import('./screens/inbox/InboxScreen.tsx'), 'InboxScreen'),
});

const assistants = createRoute({
  getParentRoute: () => root,
  path: '/assistants',
  validateSearch: readAssistantsSearch,
  component: lazyRouteComponent(
    () => import('./screens/assistants/AssistantsScreen.tsx'),
    'AssistantsScreen',
  ),
});

const assistant = createRoute({
  getParentRoute: () => root,
  path: '/assistants/$assistantId',
  validateSearch: readAssistantSearch,
  component: lazyRouteComponent(
    () => import('./screens/assistants/AssistantScreen.tsx'),
    'AssistantScreen',
  ),
});

const loadGraphs = lazyRouteComponent(
  () => import('./screens/graphs/GraphsScreen.tsx'),
  'GraphsScreen',
);

const graphs = createRoute({
  getParentRoute: () => root,
  path: '/graphs',
  component: loadGraphs,
});

const graph = createRoute({
  getParentRoute: () => root,
  path: '/graphs/$graphId',
  component: loadGraphs,
});

export const router = createRouter({
  routeTree: root.addChildren([
    home,
    threads,
    thread,
    runs,
    inbox,
    assistants,
    assistant,
    graphs,
    graph,
  ]),
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
