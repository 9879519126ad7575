import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { createThreadClient, type ThreadClient } from '../../src/client/client.ts';
import type { Store, ThreadMessage, ThreadState } from '../../src/client/types.ts';
import { until } from './app.ts';

/** A client of src/client/ over WebSockets of its own. */
export function connectThreads(url: string): ThreadClient {
  return createThreadClient({ url, webSocketImpl: WebSocket });
}

/** Listens to a store until the test ends. */
export function watch<State, Watched extends Store<State>>(store: Watched & Store<State>) {
  const seen: State[] = [];
  const leave = store.subscribe(() => void seen.push(store.getSnapshot()));
  onTestFinished(leave);
  return {
    store,
    /** All states so far. */
    seen,
    leave,
    now: () => store.getSnapshot(),
    /** Waits for a state, and returns it. */
    until(isRight: (state: State) => unknown): Promise<State> {
      return until(() => (isRight(store.getSnapshot()) ? store.getSnapshot() : undefined));
    },
  };
}

/** The messages as "TYPE text (status)"; stored messages without a status. */
export function linesOf({ messages }: Pick<ThreadState, 'messages'>): string[] {
  return messages.map(lineOf);
}

function lineOf({ type, text, status }: ThreadMessage): string {
  return `${type} ${text}${status === 'stored' ? '' : ` (${status})`}`;
}

/** All runs have ended, and the messages are those of the state. */
export const isDone = ({ isRunning, lastRun }: ThreadState) => lastRun && !isRunning;
