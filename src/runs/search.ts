import type { App } from '../app.ts';
import { readAssistantId } from '../assistants/input.ts';
import type { Page, PageRequest } from '../db/page.ts';
import { bySeq, conditions, readPage, readSize } from '../db/page.ts';
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

/** Runs, newest first. Tombstones are in no list. */
export function searchRuns(
  app: Pick<App, 'sql' | 'graphs'>,
  filter: RunFilter,
  page: PageRequest,
): Promise<Page<Run>> {
  const order = bySeq('DESC');
  const { where, params } = runConditions(app, filter);
  return readPage<Run>(app.sql.query, { from: '"Run"', columns: '*', where, params, order }, page);
}

/** What the filter asks of a row of "Run", tombstones left out. Throws BadInputError for what no run can be. */
export function runConditions(
  { graphs }: Pick<App, 'graphs'>,
  filter: RunFilter,
): { where: string[]; params: unknown[] } {
  const { where, params, add } = conditions();
  where.push('NOT "tombstone"');
  if (filter.ids) {
    readSize('filter.ids', filter.ids.length);
    const ids = filter.ids.map((id, i) => parseUuid(`filter.ids[${i}]`, id));
    add((list) => `"id" = ANY(${list}::uuid[])`, ids);
  }
  if (filter.threadId != null) {
    add((id) => `"threadId" = ${id}`, parseUuid('filter.threadId', filter.threadId));
  }
  if (filter.assistantId != null) {
    const id = readAssistantId({ graphs }, 'filter.assistantId', filter.assistantId);
    add((uuid) => `"assistantId" = ${uuid}`, id);
  }
  if (filter.status) add((list) => `"status" = ANY(${list}::text[]::"RunStatus"[])`, filter.status);
  if (filter.metadata)
    add((object) => `"metadata" @> ${object}::jsonb`, JSON.stringify(filter.metadata));
  return { where, params };
}
