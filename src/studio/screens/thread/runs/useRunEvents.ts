import type { Client } from 'urql';
import { useEffect, useState } from 'react';
import { useApi } from '../../../data/provider.tsx';
import type { ResultOf, VariablesOf } from '../../../data/graphql.ts';
import { FOLLOW_EVENTS, READ_EVENTS, type ListedEvent } from './documents.ts';

export type StreamMode = NonNullable<VariablesOf<typeof READ_EVENTS>['modes']>[number];

interface RunEvents {
  events: readonly ListedEvent[];
  /** Reads on. Undefined: all stored events are there. */
  readMore: (() => void) | undefined;
  error: Error | undefined;
  isReading: boolean;
}

const AT_ONCE = 1000;
const SHOW_EVERY_MS = 100;

/** The events of a run: the stored ones up to a limit, and then the live ones until its end. */
export function useRunEvents(runId: string, modes: StreamMode[]): RunEvents {
  const api = useApi();
  const key = `${runId} ${modes.join(' ')}`;
  const [limit, setLimit] = useState({ key, count: AT_ONCE });
  const count = limit.key === key ? limit.count : AT_ONCE;
  const [read, setRead] = useState<Reading & { key: string }>({ key, ...NOTHING });
  useEffect(() => {
    const leaving = new AbortController();
    void readAll(
      { api, runId, modes, count, signal: leaving.signal },
      (reading) => !leaving.signal.aborted && setRead({ key, ...reading }),
    );
    return () => leaving.abort();
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- the key has the modes
  }, [api, key, count]);
  const current = read.key === key ? read : NOTHING;
  return {
    events: current.events,
    error: current.error,
    isReading: current.state === 'reading',
    readMore:
      current.state === 'more'
        ? () => setLimit({ key, count: current.events.length + AT_ONCE })
        : undefined,
  };
}

interface Reading {
  events: readonly ListedEvent[];
  state: 'reading' | 'more' | 'all';
  error: Error | undefined;
}

const NOTHING: Reading = { events: [], state: 'reading', error: undefined };

interface Source {
  api: Client;
  runId: string;
  modes: StreamMode[];
  count: number;
  signal: AbortSignal;
}

async function readAll(source: Source, show: (reading: Reading) => void): Promise<void> {
  const { count, signal } = source;
  const events: ListedEvent[] = [];
  let after: string | null = null;
  while (!signal.aborted) {
    const { page, error } = await readPage(source, after);
    events.push(...(page?.nodes ?? []));
    after = page?.pageInfo.endCursor ?? after;
    const hasMore = page?.pageInfo.hasNextPage === true;
    const state = hasMore && events.length >= count ? 'more' : hasMore ? 'reading' : 'all';
    show({ events: [...events], state: error ? 'all' : state, error });
    if (error || !page || state === 'more') return;
    if (state === 'all') break;
  }
  if (!signal.aborted && events.at(-1)?.__typename !== 'RunFinishedEvent')
    follow(source, { events, after }, show);
}

type Page = NonNullable<ResultOf<typeof READ_EVENTS>['run']>['events'];

async function readPage(
  { api, runId: id, modes }: Source,
  after: string | null,
): Promise<{ page: Page | undefined; error: Error | undefined }> {
  const { data, error } = await api
    .query(READ_EVENTS, { id, after, modes }, { requestPolicy: 'network-only' })
    .toPromise();
  return { page: data?.run?.events, error };
}

/** Follows the events after the stored ones. Shows many that come at once together. */
function follow(
  { api, runId: id, modes, signal }: Source,
  { events, after }: { events: ListedEvent[]; after: string | null },
  show: (reading: Reading) => void,
): void {
  const known = new Set(events.map((event) => event.id));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const { unsubscribe } = api
    .subscription(FOLLOW_EVENTS, { id, after, modes })
    .subscribe(({ data, error }) => {
      const event = data?.runEvents;
      // After a lost connection, the events come again.
      if (event && !known.has(event.id)) {
        known.add(event.id);
        events.push(event);
      }
      timer ??= setTimeout(() => {
        timer = undefined;
        show({ events: [...events], state: 'all', error });
      }, SHOW_EVERY_MS);
    });
  signal.addEventListener('abort', () => {
    clearTimeout(timer);
    unsubscribe();
  });
}
