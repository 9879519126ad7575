import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useMemo, useRef } from 'react';
import type { HistoryRow } from './documents.ts';
import { childrenOf, type Lanes } from './lanes.ts';
import { LaneDrawing, laneSize, ROW_HEIGHT } from './LaneDrawing.tsx';
import { bandsOf } from './rows.ts';
import classes from './Timeline.module.css';
import { TimelineRow } from './TimelineRow.tsx';

interface TimelineRowsProps {
  rows: readonly HistoryRow[];
  lanes: Lanes;
  head: string | undefined;
  /** Index of the selected row, or -1. */
  selected: number;
  /** Index of the row that the selected one is compared with, or -1. */
  compared: number;
  hasMore: boolean;
  onMore: () => void;
  onSelect: (row: HistoryRow) => void;
  onMove: (step: number) => void;
  onCompare: (row: HistoryRow) => void;
}

const NEAR_END = 20;
const STEPS: Record<string, number> = { ArrowDown: 1, ArrowUp: -1 };

/** The rows of the timeline. Only those in view are in the page. */
export function TimelineRows(props: TimelineRowsProps) {
  const { rows, lanes, head, selected, compared, hasMore, onSelect, onMove, onCompare } = props;
  const bands = useMemo(() => bandsOf(rows), [rows]);
  const children = useMemo(() => childrenOf(rows), [rows]);
  const { box, items, height } = useRowsInView(props);
  const shown = { first: items[0]?.index ?? 0, last: items.at(-1)?.index ?? 0 };
  const { width } = laneSize(lanes);
  return (
    <div ref={box} className={classes['box']}>
      <LaneDrawing rows={rows} lanes={lanes} head={head} forks={children} shown={shown} />
      <div
        role="list"
        aria-label="Checkpoints, newest first"
        className={classes['rows']}
        style={{ height }}
      >
        {items.map(({ index, start }) => {
          const row = rows[index];
          const band = bands[index];
          if (!row || !band) return null;
          return (
            <div
              key={row.checkpointId}
              role="listitem"
              aria-posinset={index + 1}
              aria-setsize={hasMore ? -1 : rows.length}
              className={classes['place']}
              style={{ transform: `translateY(${start}px)`, height: ROW_HEIGHT }}
            >
              <TimelineRow
                row={row}
                band={band}
                branches={children.get(row.checkpointId)?.length ?? 0}
                indent={width}
                isHead={row.checkpointId === head}
                isSelected={index === selected}
                isCompared={index === compared}
                isTabStop={index === Math.max(0, selected)}
                onSelect={() => onSelect(row)}
                onKeyDown={(event) => {
                  const step = STEPS[event.key];
                  if (step === undefined) return;
                  event.preventDefault();
                  onMove(step);
                }}
                onCompare={selected >= 0 ? () => onCompare(row) : undefined}
              />
            </div>
          );
        })}
      </div>
    </div>
  );
}

/** The rows in view. The selected row stays in view, and older rows come before the end is reached. */
function useRowsInView({ rows, selected, hasMore, onMore }: TimelineRowsProps) {
  const box = useRef<HTMLDivElement>(null);
  const list = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 8,
  });
  const items = list.getVirtualItems();
  const isNearEnd = hasMore && (items.at(-1)?.index ?? 0) > rows.length - NEAR_END;
  useEffect(() => {
    if (isNearEnd) onMore();
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- `onMore` is new with each render
  }, [isNearEnd, rows.length]);

  const selectedId = rows[selected]?.checkpointId;
  useEffect(() => {
    if (selectedId === undefined) return;
    list.scrollToIndex(selected);
    if (!box.current?.contains(document.activeElement)) return;
    box.current.querySelector<HTMLElement>(`[data-checkpoint="${selectedId}"]`)?.focus();
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- new rows above must not move the view
  }, [list, selectedId]);
  return { box, items, height: list.getTotalSize() };
}
