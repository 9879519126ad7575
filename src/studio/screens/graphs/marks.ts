import { nodeOf } from '../../data/namespaces.ts';

/** What a drawing shows at its nodes. Names are paths: `subgraph:node`. */
export interface Marks {
  /** The number of running tasks of each node. */
  running: ReadonlyMap<string, number>;
  /** The nodes of the step before the selected checkpoint. */
  ran: ReadonlySet<string>;
  /** The nodes of the step after the selected checkpoint. */
  next: ReadonlySet<string>;
}

/** What marks need of an event of a run. */
export interface MarkEvent {
  __typename: string;
  namespace: readonly string[];
  task?: Record<string, unknown> | undefined;
  node?: string | undefined;
  metadata?: Record<string, unknown> | undefined;
}

/** The running tasks by their keys, as paths of nodes. */
export interface Running {
  /** Whether the run records its tasks. Without, messages and updates tell what runs. */
  hasTasks: boolean;
  tasks: ReadonlyMap<string, string>;
}

export const NOTHING_RUNS: Running = { hasTasks: false, tasks: new Map() };

/** The running tasks after an event. */
export function afterEvent(running: Running, event: MarkEvent): Running {
  const { __typename: type, namespace, task, node, metadata } = event;
  if (type === 'RunStartedEvent' || type === 'RunFinishedEvent') return NOTHING_RUNS;
  const pathOf = (name: unknown) => [...namespace.map(nodeOf), String(name)].join(':');
  if (type === 'TasksEvent' && task) {
    const key = [...namespace, task['id']].join('|');
    const known = running.hasTasks ? running.tasks : NOTHING_RUNS.tasks;
    const path = isEnd(task) ? undefined : pathOf(task['name']);
    return { hasTasks: true, tasks: changed(known, key, path) };
  }
  if (running.hasTasks) return running;
  const writer = metadata?.['langgraph_node'];
  if (type === 'MessagesEvent' && writer) {
    return { hasTasks: false, tasks: changed(running.tasks, pathOf(writer), pathOf(writer)) };
  }
  if (type === 'UpdatesEvent') {
    return { hasTasks: false, tasks: changed(running.tasks, pathOf(node), undefined) };
  }
  return running;
}

function changed(
  tasks: ReadonlyMap<string, string>,
  key: string,
  path: string | undefined,
): ReadonlyMap<string, string> {
  const next = new Map(tasks);
  if (path === undefined) next.delete(key);
  else next.set(key, path);
  return next;
}

/** Whether the data of an event of mode TASKS tells the end of a task. */
export function isEnd(task: Record<string, unknown>): boolean {
  return 'result' in task || 'error' in task;
}

/** The path of the graph of a checkpoint, from its namespace: `a:id|b:id` is `a:b`. */
export function pathOfNamespace(namespace: string): string[] {
  return namespace ? namespace.split('|').map(nodeOf) : [];
}

/** The node in the drawing that stands for a path: itself, or the closed subgraph around it. */
function drawnNode(path: string, names: ReadonlySet<string>): string | undefined {
  const parts = path.split(':');
  for (let length = parts.length; length > 0; length -= 1) {
    const name = parts.slice(0, length).join(':');
    if (names.has(name)) return name;
  }
  return undefined;
}

/** The marks of the nodes in a drawing. A node inside of a closed subgraph marks the subgraph. */
export function marksOf(
  names: ReadonlySet<string>,
  paths: { running: Iterable<string>; ran: readonly string[]; next: readonly string[] },
): Marks {
  const running = new Map<string, number>();
  for (const path of paths.running) {
    const name = drawnNode(path, names);
    if (name) running.set(name, (running.get(name) ?? 0) + 1);
  }
  const drawn = (all: readonly string[]) =>
    new Set(all.flatMap((path) => drawnNode(path, names) ?? []));
  return { running, ran: drawn(paths.ran), next: drawn(paths.next) };
}

/** The marks of a node in words. */
export function wordsOf(name: string, { running, ran, next }: Marks): string[] {
  const count = running.get(name) ?? 0;
  return [
    count > 1 ? `${count} running` : count === 1 && 'running',
    ran.has(name) && 'ran in this step',
    next.has(name) && 'runs next',
  ].filter((word) => word !== false);
}
