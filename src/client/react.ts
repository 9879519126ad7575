import {
  createContext,
  createElement,
  useContext,
  useSyncExternalStore,
  type ReactElement,
  type ReactNode,
} from 'react';
import type {
  Store,
  ThreadActions,
  ThreadClient,
  ThreadListFilter,
  ThreadListState,
  ThreadListStore,
  ThreadOptions,
  ThreadState,
} from './client.ts';

const ClientContext = createContext<ThreadClient | undefined>(undefined);

interface ProviderProps {
  client: ThreadClient;
  children?: ReactNode;
}

/** Gives the client to `useThread` and `useThreads` in its children. */
export function ThreadClientProvider({ client, children }: ProviderProps): ReactElement {
  return createElement(ClientContext.Provider, { value: client }, children);
}

/** A thread and its actions. The thread may not exist yet: its first message creates it. */
export function useThread(threadId: string, options: ThreadOptions): ThreadState & ThreadActions {
  const store = useClient().thread(threadId, options);
  return { ...store, ...useStore(store) };
}

/** The threads that match the filter, kept up to date. The thread with the latest change comes first. */
export function useThreads(
  filter?: ThreadListFilter,
): ThreadListState & Pick<ThreadListStore, 'loadMore'> {
  const store = useClient().threads(filter);
  return { ...store, ...useStore(store) };
}

function useStore<State>({ subscribe, getSnapshot }: Store<State>): State {
  return useSyncExternalStore(subscribe, getSnapshot, getSnapshot);
}

function useClient(): ThreadClient {
  const client = useContext(ClientContext);
  if (!client) throw new Error('There is no ThreadClientProvider around this component.');
  return client;
}
