import type { StateSnapshot } from '@langchain/langgraph';
import { namesIn } from '../checkpoints/namespace.ts';
import { bySeq, readPage, type Page, type PageRequest } from '../db/page.ts';
import type { Sql } from '../db/query.ts';
import { sql, type Statement } from '../db/sql.ts';
import type { Interrupt } from '../generated/prisma/client.ts';
import { langgraphIdOf } from './pending.ts';

export interface PendingFilter {
  /** Of threads whose last run was of this graph. */
  graphId?: string | null | undefined;
  /** Contained in the thread's metadata. */
  metadata?: Record<string, unknown> | null | undefined;
}

/** Every question that waits for a person, oldest first, over all threads. */
export function listPendingInterrupts(
  app: { sql: Sql },
  { graphId, metadata }: PendingFilter,
  page: PageRequest,
): Promise<Page<Interrupt>> {
  const filters: Statement[] = [];
  if (graphId != null) filters.push(ofThread(sql`t."graphId" = ${graphId}`));
  if (metadata) {
    filters.push(ofThread(sql`t."metadata" @> ${JSON.stringify(metadata)}::jsonb`));
  }
  const where = [sql`"pending"`];
  const listing = { from: '"Interrupt"', columns: '*', where, filters, order: bySeq('ASC') };
  return readPage<Interrupt>(app.sql.query, listing, page);
}

function ofThread(condition: Statement): Statement {
  return sql`EXISTS (SELECT 1 FROM "Thread" t WHERE t."id" = "threadId" AND ${condition})`;
}

/**
 * The questions that these tasks of a namespace asked, oldest first: each task's latest, where it asked several times. Of
 * what a graph within a task asks at once LangGraph lists one: the others are found by what is open below it.
 */
export async function interruptsOf(
  app: { sql: Sql },
  { threadId, namespace }: { threadId: string; namespace: string },
  tasks: readonly Pick<StateSnapshot['tasks'][number], 'id' | 'name' | 'interrupts'>[],
): Promise<Interrupt[]> {
  const asking = tasks.filter(({ interrupts }) => interrupts.length > 0);
  if (asking.length === 0) return [];
  const ids = asking.flatMap(({ id, interrupts }) =>
    interrupts.map((each, i) => langgraphIdOf(each, id, i)),
  );
  const below = asking.flatMap(({ id, name }) => {
    const own = [namespace, `${name}:${id}`].filter(Boolean).join('|');
    return [own, namesIn(own)];
  });
  return app.sql.query<Interrupt>(
    sql`SELECT * FROM (
       SELECT DISTINCT ON ("langgraphId") * FROM "Interrupt"
       WHERE "threadId" = ${threadId} AND ("langgraphId" = ANY(${ids}) OR "pending" AND EXISTS (
         SELECT 1 FROM unnest(${below}::text[]) AS place WHERE "namespace" = place OR starts_with("namespace", place || '|')))
       ORDER BY "langgraphId", "ordinal" DESC
     ) latest ORDER BY "seq"`,
  );
}
