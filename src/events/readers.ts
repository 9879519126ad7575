import { markStale, type Inbox } from './inbox.ts';

/** The inboxes of the readers of this process, by thread. */
export interface Readers {
  /** The number of readers. */
  readonly count: number;
  /** The bytes in all inboxes. */
  readonly bufferedBytes: number;
  /** The threads with a reader. */
  threadIds(): string[];
  /** The inboxes of a thread. Not a copy: later calls of `add` and `remove` change it. */
  of(threadId: string): ReadonlySet<Inbox>;
  add(inbox: Inbox): void;
  remove(inbox: Inbox): void;
  /** All readers of a thread read the table. */
  markStale(threadId: string): void;
}

const NONE: ReadonlySet<Inbox> = new Set();

export function createReaders(): Readers {
  const inboxes = new Map<string, Set<Inbox>>();
  const of = (threadId: string) => inboxes.get(threadId) ?? NONE;

  return {
    of,
    get count() {
      return Array.from(inboxes.values()).reduce((sum, { size }) => sum + size, 0);
    },
    get bufferedBytes() {
      let sum = 0;
      for (const readers of inboxes.values()) for (const { bytes } of readers) sum += bytes;
      return sum;
    },
    threadIds: () => [...inboxes.keys()],
    add(inbox) {
      const { threadId } = inbox.followed;
      inboxes.set(threadId, (inboxes.get(threadId) ?? new Set()).add(inbox));
    },
    remove(inbox) {
      const { threadId } = inbox.followed;
      const readers = inboxes.get(threadId);
      readers?.delete(inbox);
      if (readers?.size === 0) inboxes.delete(threadId);
    },
    markStale(threadId) {
      for (const inbox of of(threadId)) markStale(inbox);
    },
  };
}
