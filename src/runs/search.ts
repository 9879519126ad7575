import type { App } from '../app.ts';
import { readAssistantId } from '../assistants/input.ts';
import type { Listing, Page, PageRequest } from '../db/page.ts';
import { bySeq, conditions, readIds, readPage } from '../db/page.ts';
import type { Run, RunStatus } from '../generated/prisma/client.ts';
import { parseUuid } from '../uuid.ts';

export interface RunFilter {
  ids?: readonly string[] | null | undefined;
  threadId?: string | null | undefined;
  /** A UUID, or a graph's name for its default assistant. */
  assistantId?: string | null | undefined;
  status?: readonly RunStatus[] | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
}

/** The run with this id, a tombstone too. */
export async function findRun({ sql }: Pick<App, 'sql'>, id: string): Promise<Run | undefined> {
  const [run] = await sql.query<Run>('SELECT * FROM "Run" WHERE "id" = $1', [id]);
  return run;
}

/** Runs, newest first. Tombstones are in no list. */
export function searchRuns(
  app: Pick<App, 'sql' | 'graphs'>,
  filter: RunFilter,
  page: PageRequest,
): Promise<Page<Run>> {
  const order = bySeq('DESC');
  const found = readFilter(app, filter);
  return readPage<Run>(app.sql.query, { from: '"Run"', columns: '*', ...found, order }, page);
}

/** What the filter asks of a row of "Run", tombstones left out. Throws BadInputError for what no run can be. */
export function runConditions(
  app: Pick<App, 'graphs'>,
  filter: RunFilter,
): Pick<Listing, 'where' | 'params'> {
  const { where, filters, params } = readFilter(app, filter);
  return { where: [...where, ...filters], params };
}

function readFilter(
  { graphs }: Pick<App, 'graphs'>,
  filter: RunFilter,
): Required<Pick<Listing, 'where' | 'filters' | 'params'>> {
  const { where, filters, params, add, addFilter } = conditions();
  where.push('NOT "tombstone"');
  if (filter.ids)
    addFilter((list) => `"id" = ANY(${list}::uuid[])`, readIds('filter.ids', filter.ids));
  // Each of these has an index in the order of the list. The first that is asked for leaves the fewest runs, as a rule.
  const addNext: typeof add = (...condition) =>
    (where.length === 1 ? add : addFilter)(...condition);
  if (filter.threadId != null) {
    addNext((id) => `"threadId" = ${id}`, parseUuid('filter.threadId', filter.threadId));
  }
  if (filter.assistantId != null) {
    const id = readAssistantId({ graphs }, 'filter.assistantId', filter.assistantId);
    addNext((uuid) => `"assistantId" = ${uuid}`, id);
  }
  if (filter.status?.length === 1)
    addNext((status) => `"status" = ${status}::"RunStatus"`, filter.status[0]);
  else if (filter.status)
    addFilter((list) => `"status" = ANY(${list}::"RunStatus"[])`, filter.status);
  if (filter.metadata)
    addFilter((object) => `"metadata" @> ${object}::jsonb`, JSON.stringify(filter.metadata));
  return { where, filters, params };
}
