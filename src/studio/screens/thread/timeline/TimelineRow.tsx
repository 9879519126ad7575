import type { KeyboardEvent } from 'react';
import { IconButton } from '../../../ui/Button.tsx';
import { Icon, type IconName } from '../../../ui/Icon.tsx';
import { StatusBadge } from '../../../ui/Status.tsx';
import { Time } from '../../../ui/Time.tsx';
import type { HistoryRow } from './documents.ts';
import { countNames, titleOfRow, type Band } from './rows.ts';
import classes from './Timeline.module.css';

interface TimelineRowProps {
  row: HistoryRow;
  band: Band;
  /** The number of checkpoints directly after it. */
  branches: number;
  /** Room for the lanes, in pixels. */
  indent: number;
  isHead: boolean;
  isSelected: boolean;
  isCompared: boolean;
  /** Tab reaches one row of the list; the arrow keys reach the others. */
  isTabStop: boolean;
  onSelect: () => void;
  onKeyDown: (event: KeyboardEvent) => void;
  /** Absent: nothing is selected. */
  onCompare: (() => void) | undefined;
}

const ICONS: Record<HistoryRow['source'], IconName | undefined> = {
  INPUT: 'person',
  LOOP: undefined,
  UPDATE: 'edit',
  FORK: 'fork',
};

/** A checkpoint: what made it, its run, its time. */
export function TimelineRow(props: TimelineRowProps) {
  const { row, band, branches, indent, isHead, isSelected, isCompared, onCompare } = props;
  const icon = ICONS[row.source];
  return (
    <div
      className={classes['row']}
      data-selected={isSelected}
      data-compared={isCompared}
      data-first={band.isFirst}
      style={{ paddingLeft: indent }}
    >
      <button
        type="button"
        className={classes['select']}
        aria-current={isSelected}
        data-checkpoint={row.checkpointId}
        tabIndex={props.isTabStop ? 0 : -1}
        onClick={props.onSelect}
        onKeyDown={props.onKeyDown}
      >
        <span className={classes['step']}>
          <span className="visually-hidden">Step </span>
          {row.step}
        </span>
        <span className={classes['title']}>
          {icon && <Icon name={icon} size={13} />}
          <span className={classes['nodes']}>{titleOfRow(row)}</span>
          {isHead && <span className={classes['mark']}>current</span>}
          {branches > 1 && <span className={classes['mark']}>{branches} branches</span>}
          {isCompared && <span className={classes['mark']}>compared</span>}
          {(isHead || isSelected) && row.next.length > 0 && (
            <span className={classes['next']}>next: {countNames(row.next).join(', ')}</span>
          )}
        </span>
        {band.isFirst && <RunLabel row={row} />}
        <span className={classes['time']}>
          <Time value={row.createdAt} />
        </span>
      </button>
      {onCompare && !isSelected && (
        <span className={classes['compare']}>
          <IconButton
            icon="compare"
            label={`Compare the selected state with step ${row.step}`}
            isSmall
            tabIndex={props.isTabStop || isCompared ? 0 : -1}
            onClick={onCompare}
          />
        </span>
      )}
    </div>
  );
}

/** The run of this row and the rows below it. */
function RunLabel({ row: { run, runId } }: { row: HistoryRow }) {
  if (runId === null) return null;
  if (!run) return <span className={classes['run']}>deleted run</span>;
  return (
    <span className={classes['run']}>
      {run.status !== 'SUCCESS' && <StatusBadge status={run.status} />}
      <span className={classes['nodes']}>{run.assistant.name}</span>
      {run.attempt > 1 && <span>attempt {run.attempt}</span>}
    </span>
  );
}
