import { createContext, useContext, useEffect, useRef, useState, type ReactNode } from 'react';
import { useSubscription } from 'urql';
import { useReconnections } from './connection.ts';
import { graphql, type ResultOf } from './graphql.ts';
import { FROM_SERVER, useReadAgain } from './read-again.ts';

/** Every change of a thread. The cache takes the fields, so each list shows them at once. */
const FOLLOW_CHANGES = graphql(`
  subscription FollowChanges {
    threadChanges {
      __typename
      ... on ThreadUpdated {
        thread {
          id
          status
          metadata
          graphId
          updatedAt
          stateUpdatedAt
          interrupts {
            id
          }
          preview {
            title
            lastText
            lastType
          }
        }
      }
      ... on ThreadRemoved {
        threadId
      }
    }
  }
`);

export type ThreadChange = ResultOf<typeof FOLLOW_CHANGES>['threadChanges'];
type Listener = (change: ThreadChange) => void;

const FeedContext = createContext<Set<Listener>>(new Set());

/** Follows the changes of all threads, once for the whole page. */
export function FeedProvider({ children }: { children: ReactNode }) {
  const [listeners] = useState(() => new Set<Listener>());
  useSubscription({ query: FOLLOW_CHANGES }, (_before, data) => {
    for (const listener of listeners) listener(data.threadChanges);
    return data;
  });
  return <FeedContext value={listeners}>{children}</FeedContext>;
}

/** Calls the listener for each change of a thread. */
export function useThreadChanges(listener: Listener): void {
  const listeners = useContext(FeedContext);
  const current = useRef(listener);
  useEffect(() => {
    current.current = listener;
  });
  useEffect(() => {
    const added: Listener = (change) => current.current(change);
    listeners.add(added);
    return () => void listeners.delete(added);
  }, [listeners]);
}

const AT_MOST_EVERY_MS = 1000;

/** Whether a change is one of this thread, which still exists. */
export function isOfThread(id: string | undefined): (change: ThreadChange) => boolean {
  return (change) => change.__typename === 'ThreadUpdated' && change.thread.id === id;
}

/**
 * Calls `reload` after changes of threads that `concerns` selects, at most once a second, and after a lost connection: a query of urql
 * then asks the server again.
 */
export function useReload(
  reload: (options: typeof FROM_SERVER) => void,
  concerns: (change: ThreadChange) => boolean = () => true,
): void {
  useReadAgain(reload, useReconnections());
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const latest = useRef(reload);
  useEffect(() => {
    latest.current = reload;
  });
  useThreadChanges((change) => {
    if (timer.current || !concerns(change)) return;
    timer.current = setTimeout(() => {
      timer.current = undefined;
      latest.current(FROM_SERVER);
    }, AT_MOST_EVERY_MS);
  });
  useEffect(() => () => clearTimeout(timer.current), []);
}
