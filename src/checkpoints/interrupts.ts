import type { StateSnapshot } from '@langchain/langgraph';
import type { Query } from '../db/open.ts';
import { toPlain } from './plain.ts';
import { newId } from '../uuid.ts';

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

/** The questions that a state waits with: those of its leaf tasks that have no result, each once. */
export function pendingInterrupts(state: StateSnapshot): PendingInterrupt[] {
  const { checkpoint_id: checkpointId, checkpoint_ns: namespace = '' } =
    state.config.configurable ?? {};
  const found = state.tasks.flatMap((task) => {
    if ('result' in task && task.result !== undefined) return [];
    if (task.state && 'tasks' in task.state && hasCheckpoint(task.state)) {
      return pendingInterrupts(task.state);
    }
    return task.interrupts.map((interrupt) => ({
      checkpointId,
      namespace,
      taskId: task.id,
      node: task.name,
      langgraphId: interrupt.id ?? '',
      value: toPlain(interrupt.value),
      responseSchema: toPlain(interrupt.response_schema),
    }));
  });
  return [
    ...new Map(found.map((each) => [`${each.checkpointId} ${each.langgraphId}`, each])).values(),
  ];
}

/** A subgraph that keeps its state under a name of its own, or keeps none, is one task to LangGraph. */
function hasCheckpoint({ config }: StateSnapshot): boolean {
  return config.configurable?.['checkpoint_id'] !== undefined;
}

/**
 * How many answers the task of `i`, an interrupt, holds: LangGraph stores all of them with each further one. A later
 * run's write hides an earlier one's.
 */
export const ANSWERS_HELD = `coalesce((
  SELECT (SELECT sum(w."ranges"[n + 1] - w."ranges"[n] + 1) FROM generate_series(1, cardinality(w."ranges"), 2) n)
  FROM "CheckpointWrite" w
  WHERE w."threadId" = i."threadId" AND w."namespace" = i."namespace" AND w."checkpointId" = i."checkpointId"
    AND w."taskId" = i."taskId" AND w."channel" = '__resume__'
  ORDER BY w."seq" DESC LIMIT 1), 0)`;

/** What is closed is not opened again: also by no delayed run that was to answer it, should that be cancelled. */
const UNANSWERED = `("pending" OR "answeredById" IN (SELECT "id" FROM "Run" WHERE "threadId" = $1 AND "status" = 'PENDING'))`;

const CLOSE = `UPDATE "Interrupt" SET "pending" = false, "answeredById" = NULL
WHERE "threadId" = $1 AND "id" <> ALL($2::uuid[]) AND ${UNANSWERED}`;

/**
 * Makes these the thread's open questions: a question that is new gets an id, one that is no longer asked is closed.
 * Returns the ids of the new ones. A question's ordinal is the number of answers that its task already holds.
 */
export async function storeInterrupts(
  query: Query,
  { threadId, runId }: { threadId: string; runId: string },
  interrupts: readonly PendingInterrupt[],
): Promise<string[]> {
  if (interrupts.length === 0) {
    await query(CLOSE, [threadId, []]);
    return [];
  }
  const asked = await query<{ id: string; isNew: boolean }>(
    `INSERT INTO "Interrupt" ("id", "threadId", "checkpointId", "namespace", "taskId", "node", "langgraphId", "ordinal",
       "value", "responseSchema", "runId")
     SELECT i."id", i."threadId", i."checkpointId", i."namespace", i."taskId", i."node", i."langgraphId", ${ANSWERS_HELD},
       i."value"::json, i."schema"::json, $2
     FROM (SELECT $1::uuid AS "threadId", u.*
       FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
         AS u("id", "checkpointId", "namespace", "taskId", "node", "langgraphId", "value", "schema")) i
     ON CONFLICT ("threadId", "checkpointId", "langgraphId", "ordinal")
       DO UPDATE SET "value" = EXCLUDED."value", "answeredById" = NULLIF("Interrupt"."answeredById", $2),
         -- A question that a delayed run is to answer is that run's.
         "pending" = coalesce("Interrupt"."answeredById" = $2, true)
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
  await query(CLOSE, [threadId, asked.map(({ id }) => id)]);
  return asked.filter(({ isNew }) => isNew).map(({ id }) => id);
}

/** Closes the questions that were asked in a namespace and below it: its state has been replaced. No run of the thread is due. */
export async function closeInterrupts(
  query: Query,
  { threadId, namespace }: { threadId: string; namespace: string },
): Promise<void> {
  await query(
    `UPDATE "Interrupt" SET "pending" = false, "answeredById" = NULL WHERE "threadId" = $1
       AND ${UNANSWERED} AND ($2 = '' OR "namespace" = $2 OR starts_with("namespace", $2 || '|'))`,
    [threadId, namespace],
  );
}
