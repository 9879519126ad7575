import type { App } from '../app.ts';
import { bySeq, conditions, readPage, type Page, type PageRequest } from '../db/page.ts';
import type { Interrupt } from '../generated/prisma/client.ts';

export interface PendingFilter {
  /** Of threads whose last run was of this graph. */
  graphId?: string | null | undefined;
  /** Contained in the thread's metadata. */
  metadata?: Record<string, unknown> | null | undefined;
}

/** Every question that waits for a person, oldest first, over all threads. */
export function listPendingInterrupts(
  { sql }: Pick<App, 'sql'>,
  { graphId, metadata }: PendingFilter,
  page: PageRequest,
): Promise<Page<Interrupt>> {
  const { where, filters, params, addFilter } = conditions();
  where.push('"pending"');
  const ofThread = (condition: string) =>
    `EXISTS (SELECT 1 FROM "Thread" t WHERE t."id" = "threadId" AND ${condition})`;
  if (graphId != null) addFilter((id) => ofThread(`t."graphId" = ${id}`), graphId);
  if (metadata)
    addFilter((object) => ofThread(`t."metadata" @> ${object}::jsonb`), JSON.stringify(metadata));
  const listing = {
    from: '"Interrupt"',
    columns: '*',
    where,
    filters,
    params,
    order: bySeq('ASC'),
  };
  return readPage<Interrupt>(sql.query, listing, page);
}
