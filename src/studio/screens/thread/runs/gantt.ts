import { nodeOf } from '../../../data/namespaces.ts';
import { isEnd } from '../../graphs/marks.ts';

/** What a chart needs of an event of a run. */
export interface ChartEvent {
  __typename: string;
  namespace: readonly string[];
  createdAt: string;
  attempt?: number | undefined;
  task?: Record<string, unknown> | undefined;
}

/** How a task ended. LOST: its worker was lost, and another attempt continued the run. */
export type Outcome = 'RUNNING' | 'DONE' | 'FAILED' | 'INTERRUPTED' | 'STOPPED' | 'LOST';

/** A task of a node. Times are milliseconds after the begin of the chart. */
export interface Bar {
  taskId: string;
  from: number;
  to: number;
  attempt: number;
  outcome: Outcome;
  error: string | undefined;
  /** The line in the row: tasks at the same time are in different lines. */
  lane: number;
}

/** A node, or a node of a subgraph below the node of the subgraph. */
export interface Row {
  key: string;
  name: string;
  /** The names of the nodes on the way to it. */
  path: readonly string[];
  lanes: number;
  bars: Bar[];
}

export interface Chart {
  /** Milliseconds since 1970. */
  begin: number;
  length: number;
  rows: Row[];
  /** The times of attempts after the first one. */
  attempts: { attempt: number; at: number }[];
  /** The stored events begin here; those before have expired. */
  gap: number | undefined;
}

/** Lays out the tasks of a run over time: rows in the order of their begin, subgraphs below their nodes. */
export function layoutChart(events: readonly ChartEvent[], now: number): Chart {
  const times = events.map(({ createdAt }) => Date.parse(createdAt));
  const begin = times[0] ?? now;
  const isEnded = events.some(({ __typename }) => __typename === 'RunFinishedEvent');
  const end = Math.max(begin, times.at(-1) ?? begin, isEnded ? begin : now);
  const tasks = tasksOf(events, begin, end - begin);
  const gap = events.findLast(({ __typename }) => __typename === 'StreamGapEvent');
  return {
    begin,
    length: Math.max(1, end - begin),
    rows: rowsOf(tasks),
    attempts: events.flatMap(({ __typename, attempt = 1, createdAt }) =>
      __typename === 'RunStartedEvent' && attempt > 1
        ? [{ attempt, at: Date.parse(createdAt) - begin }]
        : [],
    ),
    gap: gap && Date.parse(gap.createdAt) - begin,
  };
}

interface TaskTime extends Omit<Bar, 'lane'> {
  path: readonly string[];
}

function tasksOf(events: readonly ChartEvent[], begin: number, length: number): TaskTime[] {
  const tasks: TaskTime[] = [];
  const open = new Map<string, TaskTime>();
  let attempt = 1;

  function closeAll(outcome: Outcome, at: number): void {
    for (const task of open.values()) Object.assign(task, { outcome, to: at });
    open.clear();
  }

  for (const event of events) {
    const at = Math.max(0, Date.parse(event.createdAt) - begin);
    if (event.__typename === 'RunStartedEvent') {
      closeAll('LOST', at);
      attempt = event.attempt ?? attempt;
    } else if (event.__typename === 'RunFinishedEvent') closeAll('STOPPED', at);
    if (event.__typename !== 'TasksEvent' || !event.task) continue;
    const { id, name } = event.task;
    const key = [...event.namespace, id].join('|');
    const known = open.get(key);
    const task = known ?? {
      taskId: String(id),
      path: [...event.namespace.map(nodeOf), String(name)],
      from: at,
      to: length,
      attempt,
      outcome: 'RUNNING',
      error: undefined,
    };
    if (!known) tasks.push(task);
    if (isEnd(event.task)) {
      open.delete(key);
      Object.assign(task, { to: at, outcome: outcomeOf(event.task), error: errorOf(event.task) });
    } else open.set(key, task);
  }
  return tasks;
}

/** The error of a task that failed. */
export function errorOf({ error }: Record<string, unknown>): string | undefined {
  if (!error) return undefined;
  if (typeof error === 'string') return error;
  const { message } = error as { message?: unknown };
  return typeof message === 'string' ? message : JSON.stringify(error);
}

function outcomeOf({ error, interrupts }: Record<string, unknown>): Outcome {
  if (error) return 'FAILED';
  return Array.isArray(interrupts) && interrupts.length > 0 ? 'INTERRUPTED' : 'DONE';
}

interface Branch extends Row {
  children: Branch[];
}

function rowsOf(tasks: readonly TaskTime[]): Row[] {
  const branches = new Map<string, Branch>();
  const roots: Branch[] = [];

  function branchOf(path: readonly string[]): Branch {
    const key = path.join('|');
    const known = branches.get(key);
    if (known) return known;
    const branch = { key, name: path.at(-1) ?? '', path, lanes: 1, bars: [], children: [] };
    branches.set(key, branch);
    const siblings = path.length > 1 ? branchOf(path.slice(0, -1)).children : roots;
    siblings.push(branch);
    return branch;
  }

  for (const { path, ...task } of tasks) addBar(branchOf(path), task);
  return roots.flatMap(flatten);
}

function flatten({ children, ...row }: Branch): Row[] {
  return [row, ...children.flatMap(flatten)];
}

/** Adds a task to the first line that is free by then. Tasks come in the order of their begin. */
function addBar(row: Row, task: Omit<Bar, 'lane'>): void {
  const isFree = (lane: number) =>
    row.bars.every((bar) => bar.lane !== lane || bar.to <= task.from);
  let lane = 0;
  while (!isFree(lane)) lane += 1;
  row.bars.push({ ...task, lane });
  row.lanes = Math.max(row.lanes, lane + 1);
}

/** Round times for the axis of a chart, about `count` of them. */
export function ticksOf(length: number, count = 5): number[] {
  const raw = length / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((each) => each * power >= raw) ?? 10) * power;
  return Array.from({ length: Math.floor(length / step) + 1 }, (_, index) => index * step);
}
