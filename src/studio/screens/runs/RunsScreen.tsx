import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { useQuery } from 'urql';
import { useReload } from '../../data/feed.tsx';
import { useMayWrite } from '../../data/viewer.ts';
import { Button } from '../../ui/Button.tsx';
import { ErrorNote, Loading } from '../../ui/Notes.tsx';
import { countOf, list, Pager, Screen } from '../../ui/Screen.tsx';
import { CancelRuns } from './CancelRuns.tsx';
import { COUNT_RUNS } from './documents.ts';
import { cancelFilter, inFlightVariables, pageVariables, runFilter } from './filter.ts';
import { NoRuns } from './NoRuns.tsx';
import { RunFilters } from './RunFilters.tsx';
import { RunTable } from './RunTable.tsx';
import type { RunsSearch } from './search.ts';
import { useRunList } from './useRunList.ts';

/** The runs of all threads: those in flight first, or those of the filters. */
export function RunsScreen() {
  const search = useSearch({ from: '/runs' });
  const navigate = useNavigate({ from: '/runs' });
  const [{ data: counted }, count] = useQuery({
    query: COUNT_RUNS,
    variables: { filter: runFilter(search) },
    requestPolicy: 'cache-and-network',
  });
  const isFirst = !search.after && !search.before;
  const inFlight = useRunList(inFlightVariables(search), { pause: !!search.status || !isFirst });
  const page = useRunList(pageVariables(search));
  useReload(readAgain);

  /** A new filter starts at the first page. */
  function change(next: Partial<RunsSearch>): void {
    void navigate({ search: { ...search, after: undefined, before: undefined, ...next } });
  }

  function readAgain(): void {
    count({ requestPolicy: 'network-only' });
    inFlight.read();
    page.read();
  }

  const isEmpty = page.runs?.length === 0 && !inFlight.runs?.length && !inFlight.fetching;
  const isFiltered = Object.values(search).some((value) => value !== undefined);
  const counts = counted?.runCounts ?? [];
  return (
    <Screen
      title="Runs"
      count={counted && countOf(counts.reduce((sum, { count: some }) => sum + some, 0))}
      actions={<CancelAll search={search} counts={counts} onDone={readAgain} />}
    >
      <RunFilters search={search} counts={counted?.runCounts} onChange={change} />
      <ErrorNote error={page.error ?? inFlight.error} className={list.note} />
      {!page.runs && page.fetching && <Loading lines={10} />}
      {isEmpty && <NoRuns onClear={isFiltered ? () => void navigate({ search: {} }) : undefined} />}
      <RunTable
        groups={[
          { title: 'In flight', runs: (!search.status && isFirst && inFlight.runs) || [] },
          { title: search.status ? undefined : 'Ended', runs: page.runs ?? [] },
        ]}
        onChanged={readAgain}
      />
      <Pager page={page.pageInfo} isFirst={isFirst} onMove={change} />
    </Screen>
  );
}

interface CancelAllProps {
  search: RunsSearch;
  counts: readonly { status: string; count: number }[];
  onDone: () => void;
}

/** Cancels the runs of the filters. Absent if there are none, or for a person who may only read. */
function CancelAll({ search, counts, onDone }: CancelAllProps) {
  const [isOpen, setOpen] = useState(false);
  const filter = cancelFilter(search);
  const affected = counts.filter(
    ({ status, count }) => count > 0 && (filter?.status as readonly string[])?.includes(status),
  );
  const mayCancel = useMayWrite() && affected.length > 0;
  return (
    <>
      {mayCancel && (
        <Button icon="stop" onClick={() => setOpen(true)}>
          Cancel {countOf(affected.reduce((sum, { count }) => sum + count, 0))}…
        </Button>
      )}
      {isOpen && filter && (
        <CancelRuns
          filter={filter}
          counts={counts}
          onClose={() => setOpen(false)}
          onDone={onDone}
        />
      )}
    </>
  );
}
