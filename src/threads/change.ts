import type { ThreadRow } from './changed-rows.ts';

/** A thread is deleted, or no longer matches the filter of its watcher. */
export interface ThreadRemoval {
  removedId: string;
  reason: 'DELETED' | 'CHANGED';
}

/** What a watcher of threads receives: the new row of a thread, or its removal. */
export type ThreadChange = ThreadRow | ThreadRemoval;

export function removalOf(id: string, reason: ThreadRemoval['reason']): ThreadRemoval {
  return { removedId: id, reason };
}
