import { duration, useNow } from '../../../ui/Time.tsx';
import { layoutChart, ticksOf, type Bar, type Chart, type ChartEvent, type Row } from './gantt.ts';
import classes from './Gantt.module.css';

const TICK_MS = 500;
const WORDS: Record<Bar['outcome'], string> = {
  RUNNING: 'running',
  DONE: 'done',
  FAILED: 'failed',
  INTERRUPTED: 'waits for an answer',
  STOPPED: 'stopped',
  LOST: 'lost with its worker',
};

/** The tasks of a run over time. The table of events has the same facts. */
export function Gantt({ events, isLive }: { events: readonly ChartEvent[]; isLive: boolean }) {
  return isLive ? <LiveChart events={events} /> : <ChartOf chart={layoutChart(events, 0)} />;
}

function LiveChart({ events }: { events: readonly ChartEvent[] }) {
  return <ChartOf chart={layoutChart(events, useNow(TICK_MS))} />;
}

function ChartOf({ chart }: { chart: Chart }) {
  const { rows, length, attempts, gap, begin } = chart;
  if (rows.length === 0) {
    return (
      <p className={classes['note']}>
        No task is recorded. A run records its tasks with the stream mode TASKS, as all runs from
        this page do.
      </p>
    );
  }
  return (
    <figure className={classes['chart']} aria-label="Tasks over time">
      {gap !== undefined && (
        <figcaption className={classes['note']}>
          The events before {new Date(begin + gap).toLocaleString()} have expired.
        </figcaption>
      )}
      <div className={classes['axis']} aria-hidden="true">
        {ticksOf(length).map((tick) => (
          <span key={tick} style={{ left: share(tick, length) }}>
            {duration(tick)}
          </span>
        ))}
      </div>
      <ul className={classes['rows']}>
        {rows.map((row) => (
          <RowOf key={row.key} row={row} length={length} attempts={attempts} />
        ))}
      </ul>
      {attempts.map(({ attempt, at }) => (
        <p key={attempt} className={classes['note']}>
          Attempt {attempt} began after {duration(at)}: a worker was lost.
        </p>
      ))}
    </figure>
  );
}

interface RowProps {
  row: Row;
  length: number;
  attempts: Chart['attempts'];
}

const LANE_PX = 18;

function RowOf({ row, length, attempts }: RowProps) {
  const { name, path, bars, lanes } = row;
  return (
    <li className={classes['row']}>
      <span
        className={classes['name']}
        title={path.join(' › ')}
        style={{ paddingLeft: (path.length - 1) * 14 }}
      >
        {path.length > 1 && <span className={classes['branch']}>└ </span>}
        {name}
        {bars.length > 1 && <span className={classes['count']}> × {bars.length}</span>}
      </span>
      <div className={classes['track']} style={{ height: lanes * LANE_PX + 4 }}>
        {attempts.map(({ attempt, at }) => (
          <span
            key={attempt}
            className={classes['attempt']}
            style={{ left: share(at, length) }}
            title={`Attempt ${attempt}`}
          />
        ))}
        {bars.map((bar) => (
          <BarOf key={`${bar.taskId} ${bar.from}`} bar={bar} name={name} length={length} />
        ))}
      </div>
    </li>
  );
}

function BarOf({ bar, name, length }: { bar: Bar; name: string; length: number }) {
  const { from, to, lane, outcome, attempt, error } = bar;
  const facts = [
    `${name}: ${WORDS[outcome]}, ${duration(to - from)}`,
    `after ${duration(from)}`,
    attempt > 1 && `attempt ${attempt}`,
    error,
  ].filter(Boolean);
  return (
    <span
      role="img"
      aria-label={facts.join(', ')}
      title={facts.join('\n')}
      className={classes['bar']}
      data-outcome={outcome}
      style={{
        left: share(from, length),
        width: share(to - from, length),
        top: lane * LANE_PX + 4,
      }}
    >
      <span aria-hidden="true">{duration(to - from)}</span>
    </span>
  );
}

function share(part: number, whole: number): string {
  return `${((part / whole) * 100).toFixed(3)}%`;
}
