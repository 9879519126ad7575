import { useEffect, useRef, useState } from 'react';
import type { CombinedError } from 'urql';
import { isOfThread, useReload } from '../../../data/feed.tsx';
import { useApi } from '../../../data/provider.tsx';
import {
  READ_HISTORY,
  type HistoryFilter,
  type HistoryPage,
  type HistoryRow,
} from './documents.ts';
import { joinNewest } from './rows.ts';

const PAGE = 100;
const NEWEST = 50;
const POLL_MS = 1000;

/** The checkpoints that the page has read so far, newest first. */
export interface History {
  rows: readonly HistoryRow[];
  /** The current state of the namespace. */
  head: string | undefined;
  total: number;
  hasMore: boolean;
  isLoaded: boolean;
  error: CombinedError | undefined;
}

interface Loaded extends History {
  cursor: string | null;
}

const NOTHING: Loaded = {
  rows: [],
  head: undefined,
  total: 0,
  hasMore: false,
  isLoaded: false,
  error: undefined,
  cursor: null,
};

/** Reads checkpoints in pages, and the newest ones again after changes and once a second while a run executes. */
export function useHistory(
  threadId: string,
  filter: HistoryFilter & { namespace: string },
  isBusy: boolean,
): History & { loadMore: () => void } {
  const api = useApi();
  const [loaded, setLoaded] = useState(NOTHING);
  const isReading = useRef(false);
  const isStale = useRef(false);

  async function read(first: number, after: string | null): Promise<void> {
    if (isReading.current) {
      isStale.current = true;
      return;
    }
    isReading.current = true;
    isStale.current = false;
    const { namespace } = filter;
    const variables = { id: threadId, namespace, filter, first, after };
    const { data, error } = await api
      .query(READ_HISTORY, variables, { requestPolicy: 'network-only' })
      .toPromise();
    isReading.current = false;
    const page = data?.thread;
    setLoaded((before) => (page ? addPage(before, page, after) : { ...before, error }));
    if (isStale.current && !error) await read(NEWEST, null);
  }

  const readNewest = () => void read(loaded.isLoaded ? NEWEST : PAGE, null);
  useReload(readNewest, isOfThread(threadId));
  useWhile(isBusy, readNewest);
  useEffect(() => {
    void read(PAGE, null);
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- a new thread or filter is a new component
  }, []);

  return { ...loaded, loadMore: () => void (loaded.hasMore && read(PAGE, loaded.cursor)) };
}

/** Calls `read` once a second while the condition holds, and once after it. */
function useWhile(isOn: boolean, read: () => void): void {
  const latest = useRef(read);
  useEffect(() => {
    latest.current = read;
  });
  useEffect(() => {
    if (!isOn) return undefined;
    const timer = setInterval(() => latest.current(), POLL_MS);
    return () => {
      clearInterval(timer);
      latest.current();
    };
  }, [isOn]);
}

function addPage(before: Loaded, { history, state }: HistoryPage, after: string | null): Loaded {
  const { nodes, pageInfo, totalCount } = history;
  const joined = after === null ? joinNewest(before.rows, nodes) : [...before.rows, ...nodes];
  const isJoined = after === null && joined !== undefined && joined.length > nodes.length;
  return {
    rows: joined ?? nodes,
    head: state?.checkpointId,
    total: totalCount,
    hasMore: isJoined ? before.hasMore : pageInfo.hasNextPage,
    cursor: isJoined ? before.cursor : pageInfo.endCursor,
    isLoaded: true,
    error: undefined,
  };
}
