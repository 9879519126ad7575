import type { RunnableConfig } from '@langchain/core/runnables';
import type { Interrupt, StateSnapshot } from '@langchain/langgraph';
import type { CheckpointTuple } from '@langchain/langgraph-checkpoint';
import type { Query } from '../db/open.ts';
import { newId } from '../uuid.ts';
import { toPlain } from './plain.ts';
import { StateReader } from './saver.ts';
import { serde } from './serde.ts';

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

/** A namespace without its tasks, as a subgraph has it that keeps its state. */
export function namesIn(namespace: string): string {
  return namespace.replaceAll(/:[^|]*/g, '');
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
    return task.interrupts.map((interrupt) => ({
      checkpointId,
      namespace,
      taskId: task.id,
      node: task.name,
      ...questionOf(interrupt),
    }));
  });
}

/** Whether the task has got as far as this state: one that is kept is an earlier run's until the task asks. */
function isOfTask({ config }: StateSnapshot, task: StateSnapshot['tasks'][number]): boolean {
  const { checkpoint_id: checkpointId, checkpoint_ns: namespace } = config.configurable ?? {};
  if (checkpointId === undefined) return false;
  return String(namespace).endsWith(`:${task.id}`) || task.interrupts.length > 0;
}

function questionOf({ id, value, response_schema: schema }: Interrupt) {
  return {
    langgraphId: id ?? '',
    value: toPlain(value),
    responseSchema: toPlain(schema),
  };
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
  const rows = await query<Asked & { type: string | null; stored: Uint8Array }>(
    `WITH asked AS (
       SELECT DISTINCT ON (w."namespace", w."taskId") w.*
       FROM "CheckpointHead" h JOIN "CheckpointWrite" w USING ("threadId", "namespace", "checkpointId")
       WHERE w."threadId" = $1 AND w."channel" = '__interrupt__'
       ORDER BY w."namespace", w."taskId", w."seq" DESC
     ), both_kinds AS (
       SELECT "checkpointId", "namespace", "taskId", "seq", NULL AS "langgraphId", "type", "value" AS "stored", NOT EXISTS (
         SELECT 1 FROM "CheckpointWrite" r WHERE r."threadId" = a."threadId" AND r."namespace" = a."namespace"
           AND r."checkpointId" = a."checkpointId" AND r."taskId" = a."taskId" AND r."index" >= 0) AS "open"
       FROM asked a
       UNION ALL
       SELECT "checkpointId", "namespace", "taskId", "seq", "langgraphId", NULL, NULL, false FROM "Interrupt"
       WHERE "threadId" = $1 AND "langgraphId" = ANY($2)
     ) SELECT * FROM both_kinds ORDER BY cardinality(string_to_array("namespace", '|')), "seq"`,
    [threadId, ids],
  );
  return Promise.all(
    rows.map(async ({ type, stored, ...place }) => ({
      ...place,
      ...(type && questionOf((await serde.loadsTyped(type, stored)) as Interrupt)),
    })),
  );
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

/**
 * How many answers the task of `i`, an interrupt, holds: LangGraph stores all of them with each further one. A later
 * run's write hides an earlier one's.
 */
const ANSWERS_HELD = `coalesce((
  SELECT (SELECT sum(w."ranges"[n + 1] - w."ranges"[n] + 1) FROM generate_series(1, cardinality(w."ranges"), 2) n)
  FROM "CheckpointWrite" w
  WHERE w."threadId" = i."threadId" AND w."namespace" = i."namespace" AND w."checkpointId" = i."checkpointId"
    AND w."taskId" = i."taskId" AND w."channel" = '__resume__'
  ORDER BY w."seq" DESC LIMIT 1), 0)`;

/** SQL: whether no node has consumed the answer to `i`: a task that has ended, or asked on, has. */
export const UNCONSUMED = `(${ANSWERS_HELD}) <= i."ordinal" AND NOT EXISTS (
  SELECT 1 FROM "CheckpointWrite" w WHERE w."threadId" = i."threadId" AND w."namespace" = i."namespace"
    AND w."checkpointId" = i."checkpointId" AND w."taskId" = i."taskId" AND w."index" >= 0)`;

/** What is closed is not opened again: also by no delayed run that was to answer it, should that be cancelled. */
const unanswered = (threadId: string): string =>
  `("pending" OR "answeredById" IN (SELECT "id" FROM "Run" WHERE "threadId" = ${threadId} AND "status" = 'PENDING'))`;

/** SQL: closes the thread's questions that are not among those in `open`, a parameter; none where that is null. */
export function closeOthers(threadId: string, open: string): string {
  return `UPDATE "Interrupt" SET "pending" = false, "answeredById" = NULL
    WHERE "threadId" = ${threadId} AND "id" <> ALL(${open}::uuid[]) AND ${unanswered(threadId)}`;
}

/**
 * Opens these questions of a thread: one that is new gets an id. Returns all ids, and which are new. A question's ordinal
 * is the number of answers that its task already holds.
 */
export async function storeInterrupts(
  query: Query,
  { threadId, runId }: { threadId: string; runId: string },
  interrupts: readonly PendingInterrupt[],
): Promise<{ id: string; isNew: boolean }[]> {
  if (interrupts.length === 0) return [];
  return query(
    `INSERT INTO "Interrupt" ("id", "threadId", "checkpointId", "namespace", "taskId", "node", "langgraphId", "ordinal",
       "value", "responseSchema", "runId")
     SELECT i."id", i."threadId", i."checkpointId", i."namespace", i."taskId", i."node", i."langgraphId", ${ANSWERS_HELD},
       i."value"::json, i."schema"::json, $2
     FROM (SELECT $1::uuid AS "threadId", u.*
       FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
         AS u("id", "checkpointId", "namespace", "taskId", "node", "langgraphId", "value", "schema")) i
     ON CONFLICT ("threadId", "checkpointId", "langgraphId", "ordinal")
       DO UPDATE SET "value" = EXCLUDED."value",
         -- A question that a delayed run is to answer is that run's. One that is asked again is open again.
         ("pending", "answeredById") = (SELECT count(*) = 0, max(r."id"::text)::uuid FROM "Run" r
           WHERE r."id" = "Interrupt"."answeredById" AND r."threadId" = "Interrupt"."threadId" AND r."status" = 'PENDING')
     RETURNING "id", xmax = 0 AS "isNew"`,
    [
      threadId,
      runId,
      interrupts.map(() => newId()),
      interrupts.map(({ checkpointId }) => checkpointId),
      interrupts.map(({ namespace }) => namespace),
      interrupts.map(({ taskId }) => taskId),
      interrupts.map(({ node }) => node),
      interrupts.map(({ langgraphId }) => langgraphId),
      interrupts.map(({ value }) => (value === undefined ? null : JSON.stringify(value))),
      interrupts.map(({ responseSchema }) =>
        responseSchema ? JSON.stringify(responseSchema) : null,
      ),
    ],
  );
}

/** Closes the questions that were asked in a namespace and below it: its state has been replaced. No run of the thread is due. */
export async function closeInterrupts(
  query: Query,
  { threadId, namespace }: { threadId: string; namespace: string },
): Promise<void> {
  await query(
    `UPDATE "Interrupt" SET "pending" = false, "answeredById" = NULL WHERE "threadId" = $1
       AND ${unanswered('$1')} AND ($2 = '' OR "namespace" = $2 OR starts_with("namespace", $2 || '|'))`,
    [threadId, namespace],
  );
}

/** A run in a thread: a copy of its thread has rows that name it too. */
interface RunInThread {
  threadId: string;
  runId: string;
}

/** Opens the questions again that a run answered and no node consumed. */
export async function reopenAnswered(
  query: Query,
  { threadId, runId }: RunInThread,
): Promise<void> {
  await query(
    `UPDATE "Interrupt" i SET "pending" = true, "answeredById" = NULL
     WHERE i."threadId" = $1 AND i."answeredById" = $2 AND ${UNCONSUMED}`,
    [threadId, runId],
  );
}

/**
 * Forgets the answers with which a run's nodes neither ended nor asked on: LangGraph keeps them with a task's error, and
 * would give them again.
 */
export async function forgetUnfinished(
  query: Query,
  { threadId, runId }: RunInThread,
): Promise<void> {
  await query(
    `DELETE FROM "CheckpointWrite" a WHERE a."threadId" = $1 AND a."runId" = $2 AND a."channel" = '__resume__' AND NOT EXISTS (
       SELECT 1 FROM "CheckpointWrite" w WHERE w."threadId" = a."threadId" AND w."namespace" = a."namespace"
         AND w."checkpointId" = a."checkpointId" AND w."taskId" = a."taskId"
         AND (w."index" >= 0 OR w."runId" = $2 AND w."channel" = '__interrupt__'))`,
    [threadId, runId],
  );
}
