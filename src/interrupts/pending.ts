import { createHash } from 'node:crypto';
import type { RunnableConfig } from '@langchain/core/runnables';
import type { Interrupt, StateSnapshot } from '@langchain/langgraph';
import type { CheckpointTuple } from '@langchain/langgraph-checkpoint';
import { namesIn } from '../checkpoints/namespace.ts';
import { toPlain } from '../checkpoints/plain.ts';
import { loadStored } from '../checkpoints/load.ts';
import { StateReader } from '../checkpoints/reader.ts';
import type { StoredValue } from '../checkpoints/values.ts';
import type { Query } from '../db/query.ts';
import { sql } from '../db/sql.ts';

/** A pending interrupt in the state of a graph. */
export interface PendingInterrupt {
  checkpointId: string;
  namespace: string;
  taskId: string;
  node: string;
  langgraphId: string;
  value: unknown;
  responseSchema: unknown;
}

/**
 * Also finds the state of a subgraph with `checkpointer: true`. The subgraph stores its state under a namespace without task
 * ids, to keep it from run to run. LangGraph's `getState` reads the namespace with the id of the current task.
 */
export class InterruptReader extends StateReader {
  protected override async readTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const found = await super.readTuple(config);
    const namespace = String(config.configurable?.['checkpoint_ns'] ?? '');
    const kept = namesIn(namespace);
    if (found || kept === namespace) return found;
    return super.readTuple({ configurable: { ...config.configurable, checkpoint_ns: kept } });
  }
}

/** The pending interrupts of a state read with InterruptReader: those of its innermost tasks without a result, each once. */
export async function pendingInterrupts(
  query: Query,
  state: StateSnapshot,
): Promise<PendingInterrupt[]> {
  const listed = listedInterrupts(state);
  if (listed.length === 0) return [];
  const ids = listed.map(({ langgraphId }) => langgraphId);
  const raised = await readRaised(query, state.config.configurable?.['thread_id'], ids);
  const found = listed.flatMap((interrupt) => interruptsWithin(interrupt, raised));
  return [
    ...new Map(found.map((each) => [`${each.checkpointId} ${each.langgraphId}`, each])).values(),
  ];
}

function listedInterrupts(state: StateSnapshot): PendingInterrupt[] {
  const { checkpoint_id: checkpointId, checkpoint_ns: namespace = '' } =
    state.config.configurable ?? {};
  return state.tasks.flatMap((task) => {
    if ('result' in task && task.result !== undefined) return [];
    const below = task.state && 'tasks' in task.state ? task.state : undefined;
    if (below && isOfTask(below, task)) return listedInterrupts(below);
    return task.interrupts.map((interrupt, i) => ({
      checkpointId,
      namespace,
      taskId: task.id,
      node: task.name,
      ...contentOf(interrupt, task.id, i),
    }));
  });
}

/**
 * True if this state of a subgraph belongs to the task. A state from an earlier run, under a namespace without task ids, belongs
 * to the task only if the task has interrupts.
 */
function isOfTask({ config }: StateSnapshot, task: StateSnapshot['tasks'][number]): boolean {
  const { checkpoint_id: checkpointId, checkpoint_ns: namespace } = config.configurable ?? {};
  if (checkpointId === undefined) return false;
  return String(namespace).endsWith(`:${task.id}`) || task.interrupts.length > 0;
}

function contentOf(interrupt: Interrupt, taskId: string, position: number) {
  const { value, response_schema: schema } = interrupt;
  return {
    langgraphId: langgraphIdOf(interrupt, taskId, position),
    value: toPlain(value),
    responseSchema: toPlain(schema),
  };
}

/**
 * LangGraph's id of the interrupt at this position in the list of a task. A thrown NodeInterrupt has no id: it gets an id of the
 * same form here. No `interrupt()` call has this id, so an answer only makes the node run again.
 */
export function langgraphIdOf({ id }: Interrupt, taskId: string, position: number): string {
  return id ?? createHash('sha256').update(`${taskId} ${position}`).digest('hex').slice(0, 32);
}

/** A stored interrupt of a task, at any level of graphs. `open`: the task has not ended. */
interface RaisedInterrupt extends Omit<PendingInterrupt, 'node'> {
  open: boolean;
}

/**
 * Reads the interrupts of the tasks on the head of each namespace. Also reads earlier rows with the ids `ids`, because an
 * interrupt keeps its id in a later checkpoint. Order: outer namespaces first, then the order of storage.
 */
async function readRaised(
  query: Query,
  threadId: string,
  ids: readonly string[],
): Promise<RaisedInterrupt[]> {
  const rows = await query<RaisedInterrupt & StoredValue>(
    sql`WITH raised AS (
       SELECT DISTINCT ON (w."namespace", w."taskId") w.*
       FROM "CheckpointHead" h JOIN "CheckpointWrite" w USING ("threadId", "namespace", "checkpointId")
       WHERE w."threadId" = ${threadId} AND w."channel" = '__interrupt__'
       ORDER BY w."namespace", w."taskId", w."seq" DESC
     ), both_kinds AS (
       SELECT "checkpointId", "namespace", "taskId", "seq", NULL AS "langgraphId", "type", "value", "ranges", NOT EXISTS (
         SELECT 1 FROM "CheckpointWrite" r WHERE r."threadId" = a."threadId" AND r."namespace" = a."namespace"
           AND r."checkpointId" = a."checkpointId" AND r."taskId" = a."taskId" AND r."index" >= 0) AS "open"
       FROM raised a
       UNION ALL
       SELECT "checkpointId", "namespace", "taskId", "seq", "langgraphId", NULL, NULL, NULL, false FROM "Interrupt"
       WHERE "threadId" = ${threadId} AND "langgraphId" = ANY(${ids})
     ) SELECT * FROM both_kinds ORDER BY cardinality(string_to_array("namespace", '|')), "seq"`,
    { onlyReads: true },
  );
  const writes = rows.filter(({ type }) => type !== null);
  const values = new Map(
    (await loadStored(query, threadId, writes)).map((value, i) => [writes[i], value] as const),
  );
  return rows.flatMap((row): RaisedInterrupt[] => {
    const { type: _type, value: _value, ranges: _ranges, ...origin } = row;
    return values.has(row)
      ? interruptsIn(values.get(row)).map((each, i) => ({
          ...origin,
          ...contentOf(each, origin.taskId, i),
        }))
      : [{ ...origin, value: undefined }];
  });
}

/** The interrupts in a write. Since LangGraph 1.7, a write has a list of them; before, it had only the last. */
function interruptsIn(value: unknown): Interrupt[] {
  return [value].flat() as Interrupt[];
}

/**
 * Replaces an interrupt by the open interrupts of its real origin. The code of a node may call another graph, or a task of the
 * Functional API: the called task then holds the answers. Of several interrupts of called tasks, LangGraph's state lists a single
 * interrupt, under the calling task, even after its answer.
 */
function interruptsWithin(
  listed: PendingInterrupt,
  raised: readonly RaisedInterrupt[],
): PendingInterrupt[] {
  const { namespace, taskId, langgraphId, node } = listed;
  const found = new Map([[langgraphId, listed]]);
  const ids = new Set([langgraphId]);
  const isCallee = (each: RaisedInterrupt) =>
    each.namespace === namespace && each.langgraphId === langgraphId && each.taskId !== taskId;
  const within = raised.filter((each) => isBelow(each.namespace, namespace) || isCallee(each));
  for (const inner of new Set(within.map((each) => each.namespace))) {
    const inThere = within.filter((each) => each.namespace === inner);
    // Otherwise the interrupts belong to a different task, or to an earlier run of a subgraph with its own state.
    if (!inThere.some((each) => ids.has(each.langgraphId))) continue;
    for (const each of inThere) {
      ids.add(each.langgraphId);
      found.delete(each.langgraphId);
    }
    for (const { open, ...each } of inThere) {
      if (open) found.set(each.langgraphId, { ...each, node });
    }
  }
  return [...found.values()];
}

function isBelow(namespace: string, above: string): boolean {
  if (namespace === above) return false;
  return above === '' || namesIn(namespace).startsWith(`${namesIn(above)}|`);
}
