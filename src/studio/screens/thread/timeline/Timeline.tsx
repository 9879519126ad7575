import { useMemo } from 'react';
import { useShortcuts } from '../../../frame/shortcuts.ts';
import { Button } from '../../../ui/Button.tsx';
import { Empty, ErrorNote, Loading } from '../../../ui/Notes.tsx';
import type { ViewProps } from '../views.ts';
import type { HistoryRow } from './documents.ts';
import { useHistory } from './history.ts';
import { branchBeside, layLanes } from './lanes.ts';
import { Selected } from './Selected.tsx';
import classes from './Timeline.module.css';
import { TimelineFilters } from './TimelineFilters.tsx';
import { TimelineRows } from './TimelineRows.tsx';

/** The checkpoints of a thread as a tree: newest first, forks in lanes beside each other. */
export function Timeline(props: ViewProps) {
  const { ns = '', run = '', source = '' } = props.search;
  return <Checkpoints key={`${ns} ${run} ${source}`} {...props} />;
}

function Checkpoints(props: ViewProps) {
  const { thread, search, onChange } = props;
  const { cp, ns, vs, run, source } = search;
  const isFiltered = run !== undefined || source !== undefined;
  const history = useHistory(
    thread.id,
    { namespace: ns ?? '', runId: run, source: source && [source] },
    thread.status === 'BUSY',
  );
  const { rows, head, hasMore, isLoaded, error } = history;
  const isOpen = hasMore && !isFiltered;
  const lanes = useMemo(() => layLanes(rows, isOpen), [rows, isOpen]);
  const current = cp ?? head;
  const selected = indexOf(rows, current);
  const select = (row: HistoryRow) => onChange({ cp: row.checkpointId, path: undefined });
  const compare = (row: HistoryRow) => onChange({ cp: current, vs: row.checkpointId });
  const compared = indexOf(rows, vs);
  const move = useMoves(rows, { selected, compared, select, compare });
  return (
    <div className={classes['timeline']}>
      <TimelineFilters {...props} total={history.total} isLoaded={isLoaded} />
      <ErrorNote error={error} />
      {!isLoaded && !error && <Loading />}
      {isLoaded && rows.length === 0 && <NoCheckpoints isFiltered={isFiltered} />}
      {rows.length > 0 && (
        <TimelineRows
          rows={rows}
          lanes={lanes}
          head={head}
          selected={selected}
          compared={compared}
          hasMore={hasMore}
          onMore={history.loadMore}
          onSelect={select}
          onMove={move}
          onCompare={(row) => onChange({ view: 'state', cp: current, vs: row.checkpointId })}
        />
      )}
      {cp !== undefined && selected < 0 && isLoaded && (
        <Away onMore={hasMore ? history.loadMore : undefined} />
      )}
      {current !== undefined && <Selected {...props} head={head} />}
    </div>
  );
}

function indexOf(rows: readonly HistoryRow[], id: string | undefined): number {
  return rows.findIndex(({ checkpointId }) => checkpointId === id);
}

interface Selection {
  /** Indexes of rows, or -1. */
  selected: number;
  compared: number;
  select: (row: HistoryRow) => void;
  compare: (row: HistoryRow) => void;
}

/** The keys that move the selection and the compared row. Returns a function for other keys. */
function useMoves(
  rows: readonly HistoryRow[],
  { selected, compared, select, compare }: Selection,
): (step: number) => void {
  const within = (index: number) => Math.max(0, Math.min(rows.length - 1, index));
  function go(index: number | undefined): void {
    const row = index === undefined || index === selected ? undefined : rows[index];
    if (row) select(row);
  }
  function moveCompared(step: number): void {
    const row = rows[within((compared < 0 ? selected : compared) + step)];
    if (row && selected >= 0) compare(row);
  }
  const move = (step: number) => go(within(selected + step));
  useShortcuts({
    j: () => move(1),
    k: () => move(-1),
    J: () => moveCompared(1),
    K: () => moveCompared(-1),
    '[': () => go(branchBeside(rows, selected, -1)),
    ']': () => go(branchBeside(rows, selected, 1)),
  });
  return move;
}

function Away({ onMore }: { onMore: (() => void) | undefined }) {
  return (
    <p className={classes['away']}>
      The selected checkpoint is not among these rows.
      {onMore && (
        <Button isSmall onClick={onMore}>
          Load older rows
        </Button>
      )}
    </p>
  );
}

function NoCheckpoints({ isFiltered }: { isFiltered: boolean }) {
  return (
    <Empty icon="fork" title={isFiltered ? 'No checkpoint matches' : 'No checkpoint yet'}>
      <p>
        {isFiltered
          ? 'No checkpoint of this thread has this run and origin.'
          : 'Each step of a run leaves a checkpoint: the whole state at that time. You can look into it, change it, and run again from it.'}
      </p>
    </Empty>
  );
}
