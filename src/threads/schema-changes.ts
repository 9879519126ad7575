import { builder } from '../graphql/builder.ts';
import type { Args } from '../graphql/connection.ts';
import type { ThreadRemoval } from './change.ts';
import type { ThreadRow } from './changed-rows.ts';
import { updatesOf, watchThreads } from './changed.ts';
import { ThreadFilter, ThreadRef } from './schema.ts';

const COALESCED =
  'Changes in quick succession may arrive as a single event with the newest thread; without ids, this applies to all steps of a run.';

function watchArgs({ arg }: Args) {
  return {
    ids: arg.idList({
      description:
        'At most 100. First, the current thread for each id; a thread that does not exist yet is sent when it is created. Completes when all these threads are deleted.',
    }),
    filter: arg({
      type: ThreadFilter,
      description: 'Instead of ids: only changes of threads that match.',
    }),
  };
}

builder.subscriptionField('threadChanged', (t) =>
  t.field({
    type: ThreadRef,
    description: `Each thread after every change of its status, metadata or state. Without arguments: all threads. ${COALESCED} threadChanges also tells of deleted threads.`,
    args: watchArgs(t),
    subscribe: async (_root, watched, app) =>
      updatesOf(await watchThreads(app, app.viewer, watched)),
    resolve: (thread) => thread,
  }),
);

const RemovalReason = builder.enumType('ThreadRemovalReason', {
  description: 'Reason why a list no longer has a thread.',
  values: {
    DELETED: { description: 'The thread is deleted.' },
    CHANGED: { description: 'The thread has changed and no longer matches the filter.' },
  } as const,
});

const ThreadUpdatedRef = builder.objectRef<ThreadRow>('ThreadUpdated').implement({
  description: 'A thread is new or has changed.',
  fields: (t) => ({ thread: t.field({ type: ThreadRef, resolve: (thread) => thread }) }),
});

const ThreadRemovedRef = builder.objectRef<ThreadRemoval>('ThreadRemoved').implement({
  description: 'A thread leaves the list. Ignore an unknown threadId.',
  fields: (t) => ({
    threadId: t.exposeID('removedId'),
    reason: t.expose('reason', { type: RemovalReason }),
  }),
});

const ThreadChangeRef = builder.unionType('ThreadChange', {
  description: 'A change of a list of threads.',
  types: [ThreadUpdatedRef, ThreadRemovedRef],
  resolveType: (change) => ('removedId' in change ? ThreadRemovedRef : ThreadUpdatedRef),
});

builder.subscriptionField('threadChanges', (t) =>
  t.field({
    type: ThreadChangeRef,
    description: `Keeps a list of threads up to date: each new or changed thread, and each thread that is deleted or no longer matches the filter. Subscribe first, then read the list with \`threads\`. ${COALESCED}`,
    args: watchArgs(t),
    subscribe: (_root, watched, app) => watchThreads(app, app.viewer, watched),
    resolve: (change) => change,
  }),
);
