import type { ThreadListFilter } from './documents.ts';
import { browserStorage, createOutbox } from './outbox.ts';
import { createThreadListStore } from './thread-list-store.ts';
import type { ThreadOptions } from './thread-actions.ts';
import { createThreadStore } from './thread-store.ts';
import { createTransport, type ClientSettings, type Transport } from './transport.ts';
import type { ThreadListStore, ThreadStore } from './types.ts';

export type { ThreadListFilter } from './documents.ts';
export type { ThreadOptions } from './thread-actions.ts';
export { RefusedError, type ClientSettings } from './transport.ts';
export type * from './types.ts';

/** A connection to a server, for any front end. All stores share one WebSocket. */
export interface ThreadClient {
  /** The store of a thread, which may not exist yet. Equal arguments give the same store. */
  thread(threadId: string, options: ThreadOptions): ThreadStore;
  /** The store of the threads that match the filter. Equal arguments give the same store. */
  threads(filter?: ThreadListFilter): ThreadListStore;
}

/** `transport` replaces the connection that the settings describe. */
export function createThreadClient(
  settings: ClientSettings,
  transport: Transport = createTransport(settings),
): ThreadClient {
  const storage = settings.storage === undefined ? browserStorage() : settings.storage;
  const stores = new Map<string, unknown>();

  /** Keeps a store until its last listener leaves. */
  function shared<Store>(key: string, create: (onIdle: () => void) => Store): Store {
    const store = stores.get(key) ?? create(() => stores.delete(key));
    stores.set(key, store);
    return store as Store;
  }

  return {
    thread: (threadId, options) =>
      shared(`thread ${threadId} ${JSON.stringify(options)}`, (onIdle) =>
        createThreadStore({
          transport,
          threadId,
          options,
          outbox: createOutbox(
            storage ?? undefined,
            ['threadql', settings.url, settings.user ?? '', threadId].join(' '),
          ),
          onIdle,
        }),
      ),
    threads: (filter = null) =>
      shared(`threads ${JSON.stringify(filter)}`, (onIdle) =>
        createThreadListStore({ transport, filter, onIdle }),
      ),
  };
}
