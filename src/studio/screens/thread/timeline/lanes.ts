/** What the lanes need of a checkpoint. */
export interface Node {
  checkpointId: string;
  parentCheckpointId: string | null;
}

/** The line from a checkpoint to its parent: down the lane of the child, and at its end into the lane of the parent. */
export interface Edge {
  /** Index of the row of the child. */
  child: number;
  /** Index of the row of the parent. Undefined: the parent is not among the rows. */
  parent: number | undefined;
  /** The row where the line ends: a line to an unknown parent ends below the last row, or in the middle before the next. */
  end: number;
}

export interface Lanes {
  /** The lane of each row. */
  lanes: readonly number[];
  edges: readonly Edge[];
  /** The number of lanes. */
  width: number;
}

/**
 * The lanes of checkpoints, newest first. Each checkpoint takes the lane of its newest branch; the other branches end there.
 * `isOpen`: more rows follow, so lines to unknown parents keep their lanes.
 */
export function layLanes(rows: readonly Node[], isOpen: boolean): Lanes {
  const known = new Set(rows.map(({ checkpointId }) => checkpointId));
  const pool = createPool();
  /** Rows that wait for their parent, by its id. */
  const waiting = new Map<string, number[]>();
  const lanes: number[] = [];
  const edges: Edge[] = [];
  rows.forEach(({ checkpointId, parentCheckpointId: parent }, row) => {
    known.delete(checkpointId);
    const children = waiting.get(checkpointId) ?? [];
    waiting.delete(checkpointId);
    const taken = children.map((child) => lanes[child] ?? 0).toSorted((a, b) => b - a);
    const lane = taken.pop() ?? pool.take();
    lanes.push(lane);
    for (const child of children) edges.push({ child, parent: row, end: row });
    for (const ended of taken) pool.free(ended);

    if (parent !== null && (known.has(parent) || isOpen)) {
      addTo(waiting, parent, row);
    } else {
      pool.free(lane);
      if (parent !== null) edges.push({ child: row, parent: undefined, end: row + 0.5 });
    }
  });
  for (const children of waiting.values()) {
    for (const child of children) edges.push({ child, parent: undefined, end: rows.length });
  }
  return { lanes, edges, width: pool.size() };
}

/** Numbers from 0 that are taken and given back. */
function createPool() {
  const free: number[] = [];
  let size = 0;
  return {
    take: () => free.pop() ?? size++,
    free: (lane: number) => void free.push(lane),
    size: () => size,
  };
}

/** The rows of the next or previous branch at the nearest fork above a row. Undefined without a fork. */
export function branchBeside(
  rows: readonly Node[],
  from: number,
  step: 1 | -1,
): number | undefined {
  const indexes = new Map(rows.map(({ checkpointId }, index) => [checkpointId, index]));
  const children = childrenOf(rows);
  for (let row: number | undefined = from; row !== undefined;) {
    const parent: string | null | undefined = rows[row]?.parentCheckpointId;
    if (parent === null || parent === undefined) return undefined;
    // Rows are newest first, and the branches of a fork oldest first.
    const branches = (children.get(parent) ?? []).toReversed();
    if (branches.length > 1) {
      return branches[(branches.indexOf(row) + step + branches.length) % branches.length];
    }
    row = indexes.get(parent);
  }
  return undefined;
}

/** The rows of the children by the id of their parent. */
export function childrenOf(rows: readonly Node[]): ReadonlyMap<string, number[]> {
  const children = new Map<string, number[]>();
  rows.forEach(({ parentCheckpointId: parent }, index) => {
    if (parent !== null) addTo(children, parent, index);
  });
  return children;
}

function addTo(lists: Map<string, number[]>, key: string, item: number): void {
  const known = lists.get(key);
  if (known) known.push(item);
  else lists.set(key, [item]);
}
