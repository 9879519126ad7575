import type { Query } from '../db/open.ts';
import { BadInputError, ConflictError } from '../errors.ts';
import { UNCONSUMED } from '../checkpoints/interrupts.ts';

/** An answer to a question, as a client gives it. */
export interface Answer {
  /** Undefined where exactly one question is open. */
  interruptId?: string | null | undefined;
  value?: unknown;
}

/** An answer that was accepted: its question is known, whatever becomes open later. */
export interface AcceptedAnswer {
  interruptId: string;
  value: unknown;
}

/**
 * Closes the questions that the run answers, under the thread's lock. Throws ConflictError, for the whole list, where
 * one of them is not open.
 */
export async function acceptAnswers(
  query: Query,
  { threadId, runId, argument }: { threadId: string; runId: string; argument: string },
  answers: readonly Answer[],
): Promise<AcceptedAnswer[]> {
  const open = await query<{ id: string }>(
    `SELECT "id" FROM "Interrupt" WHERE "threadId" = $1 AND "pending" ORDER BY "seq"`,
    [threadId],
  );
  const ids = new Set(open.map(({ id }) => id));
  const accepted = answers.map(({ interruptId, value }, i) => {
    const id = interruptId ?? onlyOne(ids, threadId, `${argument}[${i}].interruptId`);
    if (ids.has(id)) return { interruptId: id, value: value ?? null };
    throw new ConflictError(`Interrupt ${id} is not pending on thread ${threadId}.`);
  });
  const named = accepted.map(({ interruptId }) => interruptId);
  const twice = named.find((id, i) => named.indexOf(id) !== i);
  if (twice) throw new BadInputError(argument, `Interrupt ${twice} is answered twice.`);
  await query(
    `UPDATE "Interrupt" SET "pending" = false, "answeredById" = $2 WHERE "id" = ANY($1::uuid[])`,
    [named, runId],
  );
  return accepted;
}

function onlyOne(open: ReadonlySet<string>, threadId: string, argument: string): string {
  const [id] = open;
  if (id === undefined) throw new ConflictError(`No interrupt is pending on thread ${threadId}.`);
  if (open.size === 1) return id;
  throw new BadInputError(
    argument,
    `${open.size} interrupts are pending on thread ${threadId}: say which one is answered.`,
  );
}

/**
 * The answers that no node has consumed yet, by LangGraph's id of the question: what an attempt resumes with. A question
 * that a node asked after them is not answered by any.
 */
export async function unconsumedAnswers(
  query: Query,
  runId: string,
  answers: readonly AcceptedAnswer[],
): Promise<Record<string, unknown>> {
  const rows = await query<{ id: string; langgraphId: string }>(
    `SELECT i."id", i."langgraphId" FROM "Interrupt" i WHERE i."id" = ANY($1::uuid[]) AND i."answeredById" = $2 AND ${UNCONSUMED}`,
    [answers.map(({ interruptId }) => interruptId), runId],
  );
  const values = new Map(answers.map(({ interruptId, value }) => [interruptId, value]));
  return Object.fromEntries(rows.map(({ id, langgraphId }) => [langgraphId, values.get(id)]));
}
