import { stayConnected } from './connection.ts';
import type { Outbox } from './outbox.ts';
import { createStore } from './store.ts';
import { createThreadActions, type ThreadOptions } from './thread-actions.ts';
import { createFollower } from './thread-follower.ts';
import { EMPTY, shownState, type Model } from './thread-model.ts';
import type { Transport } from './transport.ts';
import type { ThreadState, ThreadStore } from './types.ts';

interface Needs {
  transport: Transport;
  threadId: string;
  options: ThreadOptions;
  outbox: Outbox;
  /** Called when the last listener has left. */
  onIdle(): void;
}

export function createThreadStore(needs: Needs): ThreadStore {
  const { transport, threadId, options, onIdle } = needs;
  let model = EMPTY;
  const store = createStore<ThreadState>({
    initial: { ...shownState(EMPTY), connection: 'connecting', error: undefined },
    onIdle,
    connect(signal) {
      sendUnsent();
      void stayConnected({
        signal,
        follow: follower.follow,
        startAgain: follower.startAgain,
        onChange: (connection, error) => show(error ? { connection, error } : { connection }),
      });
    },
  });
  const shared = {
    transport,
    threadId,
    options,
    getModel: () => model,
    setModel(next: Model) {
      model = next;
      show(shownState(model));
    },
    onError: (error: Error | undefined) => show({ error }),
  };
  const follower = createFollower(shared);
  const { sendUnsent, ...actions } = createThreadActions({
    ...needs,
    ...shared,
    refresh: follower.refresh,
  });

  function show(change: Partial<ThreadState>): void {
    store.set({ ...store.getSnapshot(), ...change });
  }

  return { subscribe: store.subscribe, getSnapshot: store.getSnapshot, ...actions };
}
