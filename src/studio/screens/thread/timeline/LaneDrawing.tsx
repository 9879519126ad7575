import type { HistoryRow } from './documents.ts';
import type { Edge, Lanes } from './lanes.ts';
import classes from './Timeline.module.css';

/** The height of a row in pixels. */
export const ROW_HEIGHT = 34;

const MARGIN = 14;
const LANE = 14;
const WIDEST = 150;
const COLOURS = 6;

interface LaneDrawingProps {
  rows: readonly HistoryRow[];
  lanes: Lanes;
  head: string | undefined;
  /** Children by the id of their parent: a checkpoint with several is a fork. */
  forks: ReadonlyMap<string, readonly number[]>;
  /** The rows in view. */
  shown: { first: number; last: number };
}

/** The dots of the rows in view, and the lines between them. */
export function LaneDrawing({ rows, lanes, head, forks, shown }: LaneDrawingProps) {
  const { first, last } = shown;
  const { width, x } = laneSize(lanes);
  const top = first * ROW_HEIGHT;
  const height = (last - first + 1) * ROW_HEIGHT;
  const lines = lanes.edges.filter(({ child, end }) => child <= last && end >= first);
  return (
    <svg
      className={classes['lanes']}
      style={{ transform: `translateY(${top}px)` }}
      width={width}
      height={height}
      viewBox={`0 ${top} ${width} ${height}`}
      aria-hidden="true"
    >
      {lines.map((edge) => (
        <path
          key={edge.child}
          d={pathOf(edge, lanes, x)}
          stroke={colourOf(lanes.lanes[edge.child])}
          strokeDasharray={edge.parent === undefined ? '2 3' : undefined}
        />
      ))}
      {rows.slice(first, last + 1).map(({ checkpointId }, index) => {
        const lane = lanes.lanes[first + index] ?? 0;
        const isHead = checkpointId === head;
        const isFork = (forks.get(checkpointId)?.length ?? 0) > 1;
        return (
          <circle
            key={checkpointId}
            cx={x(lane)}
            cy={middleOf(first + index)}
            r={isHead || isFork ? 5 : 4}
            stroke={colourOf(lane)}
            fill={isHead ? colourOf(lane) : 'var(--surface)'}
          />
        );
      })}
    </svg>
  );
}

/** The width of the drawing, and the middle of each lane. Many lanes are closer together. */
export function laneSize({ width }: Lanes): { width: number; x: (lane: number) => number } {
  const step = Math.min(LANE, WIDEST / Math.max(1, width - 1));
  return { width: 2 * MARGIN + (width - 1) * step, x: (lane) => MARGIN + lane * step };
}

/** Down the lane of the child, then into the lane of the parent. */
function pathOf({ child, parent, end }: Edge, { lanes }: Lanes, x: (lane: number) => number) {
  const from = x(lanes[child] ?? 0);
  const begin = `M${from} ${middleOf(child)}`;
  const bottom = middleOf(end);
  if (parent === undefined) return `${begin}V${bottom}`;
  const to = x(lanes[parent] ?? 0);
  const bend = bottom - ROW_HEIGHT;
  const middle = bend + ROW_HEIGHT / 2;
  return `${begin}V${bend}C${from} ${middle} ${to} ${middle} ${to} ${bottom}`;
}

function middleOf(row: number): number {
  return (row + 0.5) * ROW_HEIGHT;
}

function colourOf(lane = 0): string {
  return `var(--lane-${(lane % COLOURS) + 1})`;
}
