import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { useQuery } from 'urql';
import { useThreadChanges } from '../../data/feed.tsx';
import { useReconnections } from '../../data/connection.ts';
import { useReadAgain } from '../../data/read-again.ts';
import { useMayWrite } from '../../data/viewer.ts';
import { useShortcuts } from '../../frame/shortcuts.ts';
import { Button } from '../../ui/Button.tsx';
import { ErrorNote, Loading } from '../../ui/Notes.tsx';
import { countOf, list, Pager, Screen } from '../../ui/Screen.tsx';
import { LIST_THREADS } from './documents.ts';
import { listVariables } from './filter.ts';
import { NewThread } from './NewThread.tsx';
import { NoThreads } from './NoThreads.tsx';
import type { ThreadsSearch } from './search.ts';
import { ThreadFilters } from './ThreadFilters.tsx';
import { ThreadTable } from './ThreadTable.tsx';

/** The table of threads. Its URL has the filters, the order and the page. */
export function ThreadsScreen() {
  const search = useSearch({ from: '/threads' });
  const navigate = useNavigate({ from: '/threads' });
  const [isCreating, setCreating] = useState(false);
  const [{ data, error, fetching }, read] = useQuery({
    query: LIST_THREADS,
    variables: listVariables(search),
    requestPolicy: 'cache-and-network',
  });
  // After a lost connection.
  useReadAgain(read, useReconnections());
  const threads = data?.threads?.nodes ?? [];
  const newer = useNewer(threads, JSON.stringify(search));
  const create = useMayWrite() ? () => setCreating(true) : undefined;
  useShortcuts({ n: () => create?.() });

  /** A new filter starts at the first page. */
  function change(next: Partial<ThreadsSearch>): void {
    void navigate({
      search: (now) => ({ ...now, after: undefined, before: undefined, ...next }),
    });
  }

  function readAgain(): void {
    newer.forget();
    read({ requestPolicy: 'network-only' });
  }

  return (
    <Screen
      title="Threads"
      count={data?.threads && countOf(data.threads.totalCount)}
      actions={<Actions changed={newer.count} onRead={readAgain} onCreate={create} />}
    >
      <ThreadFilters search={search} onChange={change} />
      <ErrorNote error={error} className={list.note} />
      {!data && fetching && <Loading lines={10} />}
      {data && threads.length === 0 && (
        <NoThreads
          onClear={isFiltered(search) ? () => void navigate({ search: {} }) : undefined}
          onCreate={create}
        />
      )}
      {threads.length > 0 && (
        <ThreadTable
          threads={threads}
          sorted={{ field: search.sort ?? 'UPDATED_AT', direction: search.direction ?? 'DESC' }}
          onSort={(sort, direction) => change({ sort, direction })}
          onChanged={readAgain}
        />
      )}
      <Pager
        page={data?.threads?.pageInfo}
        isFirst={!search.after && !search.before}
        onMove={change}
      />
      {isCreating && <NewThread onClose={() => setCreating(false)} />}
    </Screen>
  );
}

function isFiltered({ status, graph, meta, find }: ThreadsSearch): boolean {
  return Boolean(status ?? graph ?? meta ?? find);
}

interface ActionsProps {
  /** The number of threads that the list does not show as they are now. */
  changed: number;
  onRead: () => void;
  onCreate: (() => void) | undefined;
}

function Actions({ changed, onRead, onCreate }: ActionsProps) {
  return (
    <>
      <span className="visually-hidden" role="status">
        {changed > 0 ? `${changed} threads changed` : ''}
      </span>
      {changed > 0 && (
        <Button icon="refresh" onClick={onRead}>
          {changed} changed
        </Button>
      )}
      {onCreate && (
        <Button look="primary" icon="plus" title="New thread (n)" onClick={onCreate}>
          New thread
        </Button>
      )}
    </>
  );
}

/** The threads outside of the list with a change since it was read. Rows never move under the pointer. */
function useNewer(threads: readonly { id: string }[], key: string) {
  const [seen, setSeen] = useState({ key, ids: new Set<string>() });
  const ids = seen.key === key ? seen.ids : new Set<string>();
  useThreadChanges((change) => {
    const id = change.__typename === 'ThreadUpdated' ? change.thread.id : change.threadId;
    const isShown = threads.some((thread) => thread.id === id);
    if (isShown === (change.__typename === 'ThreadUpdated')) return;
    setSeen({ key, ids: new Set([...ids, id]) });
  });
  return { count: ids.size, forget: () => setSeen({ key, ids: new Set() }) };
}
