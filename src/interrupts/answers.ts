import type { Query } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { BadInputError, ConflictError } from '../errors.ts';
import type { Interrupt } from '../generated/prisma/client.ts';
import type { CompiledGraph } from '../graphs/load.ts';
import { isNodeGone } from '../graphs/subgraphs.ts';
import { UNCONSUMED } from './store.ts';

/** An answer to an interrupt, as a client sends it. */
export interface Answer {
  /** Our UUID, or LangGraph's id if no other pending interrupt has it. Optional if the thread has a single pending interrupt. */
  interruptId?: string | null | undefined;
  value?: unknown;
}

/** An accepted answer always names its interrupt: later interrupts of the thread do not change its meaning. */
export interface AcceptedAnswer {
  interruptId: string;
  value: unknown;
}

/**
 * Closes the interrupts of a run's answers, under the lock of the thread. Throws NotPendingError, and accepts no answer, if an
 * interrupt is not pending.
 */
export async function acceptAnswers(
  query: Query,
  { threadId, runId, argument }: { threadId: string; runId: string; argument: string },
  answers: readonly Answer[],
): Promise<AcceptedAnswer[]> {
  const open = await query<{ id: string; langgraphId: string }>(
    sql`SELECT "id", "langgraphId" FROM "Interrupt" WHERE "threadId" = ${threadId} AND "pending" ORDER BY "seq"`,
  );
  const ids = new Set(open.map(({ id }) => id));
  const accepted = answers.map(({ interruptId, value }, i) => {
    const named = interruptId ?? onlyOne(ids, threadId, `${argument}[${i}].interruptId`);
    const id = byLanggraphId(open, named) ?? named;
    if (ids.has(id)) return { interruptId: id, value: value ?? null };
    throw new NotPendingError(`Interrupt ${id} is not pending on thread ${threadId}.`);
  });
  const named = accepted.map(({ interruptId }) => interruptId);
  const twice = named.find((id, i) => named.indexOf(id) !== i);
  if (twice) throw new BadInputError(argument, `Interrupt ${twice} is answered twice.`);
  await query(
    sql`UPDATE "Interrupt" SET "pending" = false, "answeredById" = ${runId} WHERE "id" = ANY(${named}::uuid[])`,
  );
  return accepted;
}

/** Of several interrupts with one id of LangGraph, none is found: the id does not name one of them. */
function byLanggraphId(
  open: readonly { id: string; langgraphId: string }[],
  named: string,
): string | undefined {
  const [found, ...others] = open.filter(({ langgraphId }) => langgraphId === named);
  return others.length === 0 ? found?.id : undefined;
}

function onlyOne(open: ReadonlySet<string>, threadId: string, argument: string): string {
  const [id] = open;
  if (id === undefined) throw new NotPendingError(`No interrupt is pending on thread ${threadId}.`);
  if (open.size === 1) return id;
  throw new BadInputError(
    argument,
    (name) =>
      `Thread ${threadId} has ${open.size} pending interrupts: each answer needs an ${name('interruptId')}.`,
  );
}

/** An answer without an open question. */
export class NotPendingError extends ConflictError {}

/** The node of the interrupt is no longer in the graph: no node can receive the answer. */
export class NodeGoneError extends Error {
  constructor(graphId: string, { node, namespace }: Pick<AnsweredInterrupt, 'node' | 'namespace'>) {
    const where = namespace === '' ? '' : ` in the namespace "${namespace}"`;
    super(
      `The graph "${graphId}" no longer has the interrupted node "${node}"${where}. The interrupt stays pending.`,
    );
    this.name = 'NodeGoneError';
  }
}

type AnsweredInterrupt = Pick<Interrupt, 'id' | 'langgraphId' | 'node' | 'namespace'>;

/**
 * The answers not yet consumed by a node, by LangGraph's interrupt id: an attempt resumes the graph with them. Later interrupts
 * of the run get no answer. Throws NodeGoneError.
 */
export async function unconsumedAnswers(
  query: Query,
  { id: runId, graphId }: { id: string; graphId: string },
  { answers, graph }: { answers: readonly AcceptedAnswer[]; graph: CompiledGraph },
): Promise<Record<string, unknown>> {
  const ids = answers.map(({ interruptId }) => interruptId);
  const rows = await query<AnsweredInterrupt>(
    sql`SELECT i."id", i."langgraphId", i."node", i."namespace" FROM "Interrupt" i
     WHERE i."id" = ANY(${ids}::uuid[]) AND i."answeredById" = ${runId} AND ${UNCONSUMED}`,
    { onlyReads: true },
  );
  const gone = rows.find((interrupt) => isNodeGone(graph, interrupt));
  if (gone) throw new NodeGoneError(graphId, gone);
  const values = new Map(answers.map(({ interruptId, value }) => [interruptId, value]));
  // A row of an earlier server version may have no LangGraph id: then the node runs again without an answer.
  const named = rows.filter(({ langgraphId }) => langgraphId !== '');
  return Object.fromEntries(named.map(({ id, langgraphId }) => [langgraphId, values.get(id)]));
}
