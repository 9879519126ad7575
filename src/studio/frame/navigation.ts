import type { IconName } from '../ui/Icon.tsx';

/** The places of the studio, in the order of the rail. `keys` leads there. */
export const PLACES = [
  { path: '/threads', name: 'Threads', icon: 'threads', keys: 'g t' },
  { path: '/runs', name: 'Runs', icon: 'runs', keys: 'g r' },
] as const satisfies { path: string; name: string; icon: IconName; keys: string }[];
