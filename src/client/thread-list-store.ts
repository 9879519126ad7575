import { stayConnected } from './connection.ts';
import {
  FOLLOW_THREADS,
  READ_THREADS,
  type ThreadChange,
  type ThreadListFilter,
} from './documents.ts';
import { sameOrNew } from './messages.ts';
import { createStore } from './store.ts';
import type { Transport } from './transport.ts';
import type { ThreadListState, ThreadListStore, ThreadSummary } from './types.ts';

const PAGE = 20;
const LARGEST_PAGE = 100;

interface Needs {
  transport: Transport;
  filter: ThreadListFilter;
  /** Called when the last listener has left. */
  onIdle(): void;
}

export function createThreadListStore({ transport, filter, onIdle }: Needs): ThreadListStore {
  /** The end of the last page. */
  let after: string | null = null;
  /** The changes since the last read began. */
  let recent: ThreadChange[] = [];
  const store = createStore<ThreadListState>({
    initial: { threads: [], hasMore: false, connection: 'connecting', error: undefined },
    onIdle,
    connect(signal) {
      void stayConnected({
        signal,
        follow,
        startAgain: () => false,
        onChange: (connection, error) => show(error ? { connection, error } : { connection }),
      });
    },
  });

  function show(change: Partial<ThreadListState>): void {
    store.set({ ...store.getSnapshot(), ...change });
  }

  /** Subscribes, and then reads the list: no change is lost between the two. */
  async function follow(signal: AbortSignal, live: () => void): Promise<void> {
    const following = transport.follow(FOLLOW_THREADS, { filter }, signal, (data) => {
      recent.push(data.threadChanges);
      show({ threads: changed(store.getSnapshot().threads, data.threadChanges) });
    });
    const page = { first: sizeOf(store.getSnapshot()), after: null };
    const reading = readPage(page, () => [], signal).then(live);
    await Promise.race([following, reading.then(() => following)]);
  }

  /** Reads a page, and applies the changes during the read. `before` are the threads of the pages before it. */
  async function readPage(
    page: { first: number; after: string | null },
    before: () => readonly ThreadSummary[],
    signal?: AbortSignal,
  ): Promise<void> {
    recent = [];
    const { threads } = await transport.request(READ_THREADS, { filter, ...page }, signal);
    if (!threads) return;
    after = threads.pageInfo.endCursor;
    const known = store.getSnapshot().threads;
    const read = inOrder([...before(), ...threads.nodes], known);
    show({ threads: recent.reduce(changed, read), hasMore: threads.pageInfo.hasNextPage });
  }

  return {
    subscribe: store.subscribe,
    getSnapshot: store.getSnapshot,
    async loadMore() {
      if (!store.getSnapshot().hasMore) return;
      show({ error: undefined });
      const page = { first: PAGE, after };
      const before = () => store.getSnapshot().threads;
      await readPage(page, before).catch((error: Error) => show({ error }));
    },
  };
}

/** The first page after a reconnection: as many threads as the list has. */
function sizeOf({ threads }: ThreadListState): number {
  return Math.min(LARGEST_PAGE, Math.max(PAGE, threads.length));
}

function changed(threads: readonly ThreadSummary[], change: ThreadChange): ThreadSummary[] {
  const isUpdate = change.__typename === 'ThreadUpdated';
  const id = isUpdate ? change.thread.id : change.threadId;
  const others = threads.filter((thread) => thread.id !== id);
  return isUpdate ? inOrder([change.thread, ...others], threads) : others;
}

/** The latest change first. A thread that has not changed is the same object as in `before`. */
function inOrder(
  threads: readonly ThreadSummary[],
  before: readonly ThreadSummary[],
): ThreadSummary[] {
  const known = new Map(before.map((thread) => [thread.id, thread]));
  const newest = new Map<string, ThreadSummary>();
  for (const thread of threads) {
    const other = newest.get(thread.id);
    const isOlder = other && other.updatedAt > thread.updatedAt;
    if (!isOlder) newest.set(thread.id, sameOrNew(known.get(thread.id), thread));
  }
  return [...newest.values()].toSorted((one, other) => (one.updatedAt < other.updatedAt ? 1 : -1));
}
