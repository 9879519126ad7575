import type { StateSnapshot } from '@langchain/langgraph';
import { authorize, permit } from '../auth/authorize.ts';
import { metadataContain } from '../auth/filter.ts';
import { canRead, listInterruptScope, tenantOf } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import { namesIn } from '../checkpoints/namespace.ts';
import { bySeq, readPage, type Page, type PageRequest } from '../db/page.ts';
import type { Sql } from '../db/query.ts';
import { join, sql, type Statement } from '../db/sql.ts';
import type { Interrupt } from '../generated/prisma/client.ts';
import { hasKeys } from '../json.ts';
import { langgraphIdOf } from './pending.ts';

export interface PendingFilter {
  /** Only interrupts of threads with this graph in their last run. */
  graphId?: string | null | undefined;
  /** Only interrupts of threads with this metadata. */
  metadata?: Record<string, unknown> | null | undefined;
}

/** The pending interrupts of all threads, oldest first. */
export async function listPendingInterrupts(
  app: { sql: Sql },
  asking: Viewer,
  { graphId, metadata: given }: PendingFilter,
  page: PageRequest,
): Promise<Page<Interrupt>> {
  const { viewer, value } = await authorize(asking, 'threads:search', {
    metadata: given ?? {},
  });
  const { metadata } = value;
  const scope = listInterruptScope(viewer);
  const { filters } = scope;
  if (graphId != null) filters.push(ofThread(viewer, sql`t."graphId" = ${graphId}`));
  if (hasKeys(metadata)) {
    const rows = { tenant: tenantOf(viewer), alias: 't' };
    filters.push(ofThread(viewer, metadataContain(metadata, rows)));
  }
  const where = [...scope.where, sql`"pending"`];
  const listing = { from: '"Interrupt"', columns: '*', where, filters, order: bySeq('ASC') };
  return readPage<Interrupt>(app.sql, listing, page);
}

/** The interrupt with this id, pending or not. */
export async function findInterrupt(
  app: { sql: Sql },
  asking: Viewer,
  id: string,
): Promise<Interrupt | undefined> {
  const viewer = await permit(asking, 'threads:read', { interrupt_id: id });
  const { where, filters } = listInterruptScope(viewer);
  const [found] = await app.sql.query<Interrupt>(
    sql`SELECT * FROM "Interrupt" WHERE ${join([sql`"id" = ${id}`, ...where, ...filters], ' AND ')}`,
    { onlyReads: true },
  );
  return found;
}

/** The pending interrupts of these threads, oldest first. */
export function pendingInterruptsOf(
  app: { sql: Sql },
  threadIds: readonly string[],
): Promise<Interrupt[]> {
  return app.sql.query<Interrupt>(
    sql`SELECT i.* FROM unnest(${threadIds}::uuid[]) AS t("id"), LATERAL (
      SELECT * FROM "Interrupt" WHERE "threadId" = t."id" AND "pending") i ORDER BY i."seq"`,
    { onlyReads: true },
  );
}

/** SQL: a condition on the thread. The scope repeats that of the interrupt: PostgreSQL then reads few threads. */
function ofThread(viewer: Viewer, condition: Statement): Statement {
  return sql`EXISTS (SELECT 1 FROM "Thread" t WHERE t."id" = "threadId" AND ${canRead(viewer, 't')} AND ${condition})`;
}

/**
 * The interrupts of these tasks of a namespace, oldest first. If an interrupt has several rows, the row of its newest answer
 * counts. LangGraph lists a single interrupt of the graphs within a task: the statement finds the remaining interrupts by their
 * namespace, if they are pending.
 */
export async function interruptsOf(
  app: { sql: Sql },
  { threadId, namespace }: { threadId: string; namespace: string },
  tasks: readonly Pick<StateSnapshot['tasks'][number], 'id' | 'name' | 'interrupts'>[],
): Promise<Interrupt[]> {
  const interrupted = tasks.filter(({ interrupts }) => interrupts.length > 0);
  if (interrupted.length === 0) return [];
  const ids = interrupted.flatMap(({ id, interrupts }) =>
    interrupts.map((each, i) => langgraphIdOf(each, id, i)),
  );
  const below = interrupted.flatMap(({ id, name }) => {
    const own = [namespace, `${name}:${id}`].filter(Boolean).join('|');
    return [own, namesIn(own)];
  });
  return app.sql.query<Interrupt>(
    sql`SELECT * FROM (
       SELECT DISTINCT ON ("langgraphId") * FROM "Interrupt"
       WHERE "threadId" = ${threadId} AND ("langgraphId" = ANY(${ids}) OR "pending" AND EXISTS (
         SELECT 1 FROM unnest(${below}::text[]) AS above WHERE "namespace" = above OR starts_with("namespace", above || '|')))
       ORDER BY "langgraphId", "ordinal" DESC
     ) latest ORDER BY "seq"`,
  );
}

/** The interrupts with these ids, in the order of their creation. */
export async function findInterrupts(
  { sql: { query } }: { sql: Sql },
  ids: readonly string[],
): Promise<Interrupt[]> {
  return query<Interrupt>(
    sql`SELECT * FROM "Interrupt" WHERE "id" = ANY(${ids}::uuid[]) ORDER BY "seq"`,
  );
}

/** The interrupts of a run, pending or answered, oldest first. */
export async function findInterruptsOfRun(
  { sql: { query } }: { sql: Sql },
  run: { id: string; threadId: string | null },
): Promise<Interrupt[]> {
  if (run.threadId === null) return [];
  return query<Interrupt>(
    sql`SELECT * FROM "Interrupt" WHERE "threadId" = ${run.threadId} AND "runId" = ${run.id} ORDER BY "seq"`,
  );
}
