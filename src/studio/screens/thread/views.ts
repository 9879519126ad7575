import { createElement, lazy, type ComponentType } from 'react';
import type { ThreadHead } from './documents.ts';
import type { ThreadSearch } from './search.ts';
import type { ViewName } from './view-names.ts';

export interface ViewProps {
  thread: ThreadHead;
  search: ThreadSearch;
  /** Changes the URL, and with it what is shown. */
  onChange: (change: Partial<ThreadSearch>) => void;
}

interface View {
  name: ViewName;
  label: string;
  /** Its code comes when it is shown first. */
  component: ComponentType<ViewProps>;
}

/** A view whose code is in a file of its own. */
function view(load: () => Promise<ComponentType<ViewProps>>): ComponentType<ViewProps> {
  const Loaded = lazy(async () => ({ default: await load() }));
  return (props) => createElement(Loaded, props);
}

/** The views beside the conversation, in the order of their tabs. */
export const VIEWS: readonly View[] = [
  {
    name: 'timeline',
    label: 'Timeline',
    component: view(() => import('./timeline/Timeline.tsx').then(({ Timeline }) => Timeline)),
  },
  {
    name: 'state',
    label: 'State',
    component: view(() => import('./state/StateView.tsx').then(({ StateView }) => StateView)),
  },
  {
    name: 'runs',
    label: 'Runs',
    component: view(() => import('./runs/RunsView.tsx').then(({ RunsView }) => RunsView)),
  },
  {
    name: 'graph',
    label: 'Graph',
    component: view(() => import('./graph/GraphView.tsx').then(({ GraphView }) => GraphView)),
  },
];
