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

/** A question of a graph, as LangGraph's state shows it. */
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
 * Reads the state of a subgraph that keeps it from run to run where that is: in a namespace without tasks. LangGraph's
 * getState looks for it in the namespace of the task that runs it.
 */
export class QuestionReader extends StateReader {
  protected override async readTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const found = await super.readTuple(config);
    const namespace = String(config.configurable?.['checkpoint_ns'] ?? '');
    const kept = namesIn(namespace);
    if (found || kept === namespace) return found;
    return super.readTuple({ configurable: { ...config.configurable, checkpoint_ns: kept } });
  }
}

/** The questions that a state waits with, as QuestionReader shows it: those of its leaf tasks that have no result, each once. */
export async function pendingInterrupts(
  query: Query,
  state: StateSnapshot,
): Promise<PendingInterrupt[]> {
  const listed = listedInterrupts(state);
  if (listed.length === 0) return [];
  const ids = listed.map(({ langgraphId }) => langgraphId);
  const asked = await readAsked(query, state.config.configurable?.['thread_id'], ids);
  const found = listed.flatMap((question) => questionsWithin(question, asked));
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
      ...questionOf(interrupt, task.id, i),
    }));
  });
}

/** Whether the task has got as far as this state: one that is kept is an earlier run's until the task asks. */
function isOfTask({ config }: StateSnapshot, task: StateSnapshot['tasks'][number]): boolean {
  const { checkpoint_id: checkpointId, checkpoint_ns: namespace } = config.configurable ?? {};
  if (checkpointId === undefined) return false;
  return String(namespace).endsWith(`:${task.id}`) || task.interrupts.length > 0;
}

function questionOf(interrupt: Interrupt, taskId: string, place: number) {
  const { value, response_schema: schema } = interrupt;
  return {
    langgraphId: langgraphIdOf(interrupt, taskId, place),
    value: toPlain(value),
    responseSchema: toPlain(schema),
  };
}

/**
 * The id by which LangGraph knows the question at this place of a task's list. A thrown NodeInterrupt has none: its question
 * gets an id of the same form here, which no `interrupt()` call has, so its answer only makes the node run again.
 */
export function langgraphIdOf({ id }: Interrupt, taskId: string, place: number): string {
  return id ?? createHash('sha256').update(`${taskId} ${place}`).digest('hex').slice(0, 32);
}

/** What a task asked, in whatever graph; `open` while the task has not ended. */
interface Asked extends Omit<PendingInterrupt, 'node'> {
  open: boolean;
}

/**
 * What the tasks at the head of every namespace asked, and where these questions were asked before: callers before callees,
 * and as it was asked.
 */
async function readAsked(query: Query, threadId: string, ids: readonly string[]): Promise<Asked[]> {
  const rows = await query<Asked & StoredValue>(
    sql`WITH asked AS (
       SELECT DISTINCT ON (w."namespace", w."taskId") w.*
       FROM "CheckpointHead" h JOIN "CheckpointWrite" w USING ("threadId", "namespace", "checkpointId")
       WHERE w."threadId" = ${threadId} AND w."channel" = '__interrupt__'
       ORDER BY w."namespace", w."taskId", w."seq" DESC
     ), both_kinds AS (
       SELECT "checkpointId", "namespace", "taskId", "seq", NULL AS "langgraphId", "type", "value", "ranges", NOT EXISTS (
         SELECT 1 FROM "CheckpointWrite" r WHERE r."threadId" = a."threadId" AND r."namespace" = a."namespace"
           AND r."checkpointId" = a."checkpointId" AND r."taskId" = a."taskId" AND r."index" >= 0) AS "open"
       FROM asked a
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
  return rows.flatMap((row): Asked[] => {
    const { type: _type, value: _value, ranges: _ranges, ...place } = row;
    return values.has(row)
      ? interruptsIn(values.get(row)).map((each, i) => ({
          ...place,
          ...questionOf(each, place.taskId, i),
        }))
      : [{ ...place, value: undefined }];
  });
}

/** The questions of one write: a list since LangGraph 1.7, the last question alone before. */
function interruptsIn(value: unknown): Interrupt[] {
  return [value].flat() as Interrupt[];
}

/**
 * What a task asks, where it was really asked: a graph that a node's code calls, or a task of the functional API, keeps the
 * answers itself. Of what it asks at once, LangGraph lists one question as the caller's, also when it was answered since.
 */
function questionsWithin(listed: PendingInterrupt, asked: readonly Asked[]): PendingInterrupt[] {
  const { namespace, taskId, langgraphId, node } = listed;
  const found = new Map([[langgraphId, listed]]);
  const ids = new Set([langgraphId]);
  const isCallee = (each: Asked) =>
    each.namespace === namespace && each.langgraphId === langgraphId && each.taskId !== taskId;
  const within = asked.filter((each) => isBelow(each.namespace, namespace) || isCallee(each));
  for (const place of new Set(within.map((each) => each.namespace))) {
    const there = within.filter((each) => each.namespace === place);
    // Otherwise it is another task's, or what an earlier run left in a graph that keeps its state.
    if (!there.some((each) => ids.has(each.langgraphId))) continue;
    for (const each of there) {
      ids.add(each.langgraphId);
      found.delete(each.langgraphId);
    }
    for (const { open, ...each } of there) {
      if (open) found.set(each.langgraphId, { ...each, node });
    }
  }
  return [...found.values()];
}

function isBelow(namespace: string, above: string): boolean {
  if (namespace === above) return false;
  return above === '' || namesIn(namespace).startsWith(`${namesIn(above)}|`);
}
