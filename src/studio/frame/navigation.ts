import type { IconName } from '../ui/Icon.tsx';

/** The places of the studio, in the order of the rail. `keys` leads there. */
export const PLACES = [
  { path: '/threads', name: 'Threads', icon: 'threads', keys: 'g t' },
  { path: '/inbox', name: 'Inbox', icon: 'inbox', keys: 'g i', counts: 'questions' },
  { path: '/runs', name: 'Runs', icon: 'runs', keys: 'g r' },
  { path: '/assistants', name: 'Assistants', icon: 'assistants', keys: 'g a' },
  { path: '/graphs', name: 'Graphs', icon: 'graphs', keys: 'g g' },
] as const satisfies {
  path: string;
  name: string;
  icon: IconName;
  keys: string;
  /** Beside the name: the number of open questions. */
  counts?: 'questions';
}[];
