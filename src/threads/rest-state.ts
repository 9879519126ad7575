import type { ClientApp } from '../app.ts';
import { wireValue } from '../checkpoints/rest-values.ts';
import { toPlain } from '../checkpoints/plain.ts';
import { valuesOf, type State } from '../checkpoints/states.ts';
import {
  subgraphNamespace,
  subgraphState,
  taskError,
  type GraphTask,
} from '../checkpoints/tasks.ts';
import { interruptShape } from '../interrupts/rest.ts';
import { interruptsOf } from '../interrupts/search.ts';
import { isRecord } from '../json.ts';

interface Wanted {
  /** Only these fields; `values.<key>` for one of the values. Default: all. */
  select?: readonly string[] | null | undefined;
  /** True: tasks contain the states of their subgraphs. */
  subgraphs?: boolean | null | undefined;
}

/** The JSON of a state. Undefined: the state of a thread without a checkpoint. */
export async function stateShape(
  app: ClientApp,
  state: State | undefined,
  { select, subgraphs }: Wanted = {},
): Promise<Record<string, unknown>> {
  const { interrupts, ...shape } = state
    ? await wholeShape(app, state, subgraphs ?? false)
    : EMPTY_STATE;
  return selectFields(
    {
      ...shape,
      checkpoint_id: shape.checkpoint?.checkpoint_id ?? null,
      parent_checkpoint_id: shape.parent_checkpoint?.checkpoint_id ?? null,
      interrupts,
    },
    select,
  );
}

const EMPTY_STATE = {
  values: {},
  next: [],
  tasks: [],
  metadata: {},
  created_at: null,
  checkpoint: null,
  parent_checkpoint: null,
  interrupts: [],
};

async function wholeShape(app: ClientApp, state: State, subgraphs: boolean) {
  const { row } = state;
  const snapshot = await state.snapshot();
  const tasks = await Promise.all(
    snapshot.tasks.map((task) => taskShape(app, state, { task, subgraphs })),
  );
  return {
    values: wireValue(await valuesOf(state)),
    next: snapshot.next.map(String),
    tasks,
    metadata: { ...row.metadata, thread_id: row.threadId },
    created_at: row.createdAt.toISOString(),
    checkpoint: checkpointShape(row, row.checkpointId),
    parent_checkpoint: row.parentId === null ? null : checkpointShape(row, row.parentId),
    interrupts: tasks.flatMap(({ interrupts }) => interrupts),
  };
}

type TaskShape = Record<string, unknown> & { interrupts: object[] };

async function taskShape(
  app: ClientApp,
  state: State,
  { task, subgraphs }: { task: GraphTask; subgraphs: boolean },
): Promise<TaskShape> {
  const namespace = subgraphNamespace(task);
  const below = subgraphs ? await subgraphState(app, task, state) : undefined;
  const hasCheckpoint = namespace !== undefined && !below;
  return {
    id: task.id,
    name: task.name,
    path: (task.path ?? []).map(String),
    error: taskError(task),
    interrupts: (await interruptsOf(app, state.row, [task])).map(interruptShape),
    checkpoint: hasCheckpoint ? { thread_id: state.row.threadId, checkpoint_ns: namespace } : null,
    state: below ? await nestedShape(app, below) : null,
    result: wireValue(toPlain(task.result ?? null)),
  };
}

/** As LangGraph's server has it: its interrupts are only in its tasks. */
async function nestedShape(app: ClientApp, state: State) {
  const { interrupts: _, ...shape } = await wholeShape(app, state, true);
  return shape;
}

/** The JSON of the id of a checkpoint. */
export function checkpointShape(
  { threadId, namespace }: { threadId: string; namespace: string },
  checkpointId: string,
) {
  return {
    thread_id: threadId,
    checkpoint_ns: namespace,
    checkpoint_id: checkpointId,
    checkpoint_map: null,
  };
}

const VALUE = 'values.';

function selectFields(
  state: Record<string, unknown>,
  select: Wanted['select'],
): Record<string, unknown> {
  if (!select) return state;
  const fields = new Set(select.map((each) => (each.startsWith(VALUE) ? 'values' : each)));
  const shown = Object.fromEntries(Object.entries(state).filter(([key]) => fields.has(key)));
  if (select.includes('values') || !isRecord(shown['values'])) return shown;
  const keys = new Set(select.map((each) => each.slice(VALUE.length)));
  const values = Object.entries(shown['values']).filter(([key]) => keys.has(key));
  return { ...shown, values: Object.fromEntries(values) };
}
