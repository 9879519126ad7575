import type { Store } from './types.ts';

/** A store whose owner sets its state. */
export interface OpenStore<State> extends Store<State> {
  set(state: State): void;
}

interface Options<State> {
  initial: State;
  /** Connects the store until the signal aborts. Called for the first listener. */
  connect(signal: AbortSignal): void;
  onIdle(): void;
}

export function createStore<State>({ initial, connect, onIdle }: Options<State>): OpenStore<State> {
  const listeners = new Set<() => void>();
  let state = initial;
  let connected: AbortController | undefined;

  function disconnectIfIdle(): void {
    if (listeners.size > 0) return;
    connected?.abort();
    connected = undefined;
    onIdle();
  }

  return {
    getSnapshot: () => state,
    subscribe(listener) {
      // An object of its own: the same function may be added twice.
      const added = () => listener();
      listeners.add(added);
      if (!connected) {
        connected = new AbortController();
        connect(connected.signal);
      }
      return () => {
        // React removes a listener and adds it again at once.
        if (listeners.delete(added)) setTimeout(disconnectIfIdle, 0);
      };
    },
    set(next) {
      state = next;
      for (const listener of listeners) listener();
    },
  };
}
