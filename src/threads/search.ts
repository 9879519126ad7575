import { authorize, readChoices } from '../auth/authorize.ts';
import { metadataContain } from '../auth/filter.ts';
import { canRead, listScope, tenantOf } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Reading } from '../checkpoints/graphs.ts';
import { countByStatus } from '../db/count-by-status.ts';
import type { Conditions, Listing, Page, PageRequest, Slice } from '../db/page.ts';
import { readIds, readPage, readSlice } from '../db/page.ts';
import type { Query } from '../db/query.ts';
import { checkInterval, widened, within } from '../db/interval.ts';
import { join, raw, sql, type Statement } from '../db/sql.ts';
import type { Thread } from '../generated/prisma/client.ts';
import { ThreadStatus } from '../generated/prisma/enums.ts';
import { hasKeys } from '../json.ts';
import { BadInputError } from '../errors.ts';
import {
  readAllByValues,
  readPageByValues,
  readSliceByValues,
  type ValuesCondition,
} from './search-values.ts';
import { textCondition } from './text.ts';

export interface ThreadFilter {
  ids?: readonly string[] | null | undefined;
  status?: readonly ThreadStatus[] | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
  /** Contained in the newest values. */
  values?: Record<string, unknown> | null | undefined;
  graphId?: string | null | undefined;
  createdAfter?: Date | null | undefined;
  createdBefore?: Date | null | undefined;
  updatedAfter?: Date | null | undefined;
  updatedBefore?: Date | null | undefined;
  /** Beginnings of words in the metadata. */
  text?: string | null | undefined;
}

export type ThreadOrderField = 'ID' | 'STATUS' | 'CREATED_AT' | 'UPDATED_AT' | 'STATE_UPDATED_AT';

export interface ThreadOrder {
  field: ThreadOrderField;
  direction: 'ASC' | 'DESC';
}

const ORDERED_BY: Record<ThreadOrderField, Pick<Listing['order'], 'by' | 'type'>> = {
  ID: { by: '"id"', type: 'uuid' },
  STATUS: { by: '"status"', type: '"ThreadStatus"' },
  CREATED_AT: { by: '"createdAt"', type: 'timestamptz' },
  UPDATED_AT: { by: '"updatedAt"', type: 'timestamptz' },
  STATE_UPDATED_AT: { by: '"stateUpdatedAt"', type: 'timestamptz' },
};

const STATUSES = Object.values(ThreadStatus);

export async function findThread(
  query: Query,
  viewer: Viewer,
  id: string,
): Promise<Thread | undefined> {
  const [thread] = await query<Thread>(
    sql`SELECT * FROM "Thread" WHERE "id" = ${id} AND ${canRead(viewer)}`,
  );
  return thread;
}

export async function searchThreads(
  app: Reading,
  asking: Viewer,
  given: ThreadFilter,
  { orderBy, at, ...request }: PageRequest & Partial<Search>,
): Promise<Page<Thread>> {
  const { listing, condition } = await listingOf(asking, given, { orderBy, at });
  if (condition) return readPageByValues(app, listing, { condition, request });
  return readPage<Thread>(app.sql, listing, request);
}

/** Up to 1,000 threads after the first `offset` ones. */
export async function listThreads(
  app: Reading,
  asking: Viewer,
  given: ThreadFilter,
  { orderBy, at, ...part }: Partial<Search> & { limit: number; offset: number },
): Promise<Slice<Thread>> {
  const { listing, condition } = await listingOf(asking, given, { orderBy, at });
  if (condition) return readSliceByValues(app, listing, { condition, ...part });
  return readSlice<Thread>(app.sql.query, listing, part);
}

async function listingOf(
  asking: Viewer,
  given: ThreadFilter,
  { orderBy, at }: { [Key in keyof Search]?: Search[Key] | undefined } = {},
): Promise<{ listing: Listing & Conditions; condition: ValuesCondition | undefined }> {
  const { viewer, filter } = await authorizeSearch(asking, given);
  const { field, direction } = orderBy ?? { field: 'CREATED_AT', direction: 'DESC' };
  const order = { ...ORDERED_BY[field], unique: '"id"', uniqueType: 'uuid', direction };
  const conditions = readFilter(viewer, filter, field, at);
  const { values } = filter;
  return {
    listing: { from: '"Thread"', columns: '*', ...conditions, order },
    condition: hasKeys(values) ? { values, argument: `${at ?? 'filter'}.values` } : undefined,
  };
}

interface Search {
  /** Default: newest first. */
  orderBy: ThreadOrder | null;
  /** The argument of the filter. Default: `filter`. */
  at: string;
}

/** The number of threads of the filter with each status, up to 10,001. */
export async function countThreads(
  app: Reading,
  asking: Viewer,
  given: ThreadFilter,
  at?: string,
): Promise<{ status: ThreadStatus; count: number }[]> {
  const { listing, condition } = await listingOf(asking, given, { at });
  if (condition) {
    const found = await readAllByValues(app, listing, condition);
    const countOf = (status: ThreadStatus) => found.filter((each) => each.status === status).length;
    return STATUSES.map((status) => ({ status, count: countOf(status) }));
  }
  const { where, filters } = listing;
  const threads = { from: '"Thread"', type: '"ThreadStatus"', statuses: STATUSES };
  return countByStatus(app.sql.query, { ...threads, where, filters });
}

/** Asks for the permission of a search. Handlers may change the ids, the status, the metadata and the values of the filter. */
export async function authorizeSearch(
  asking: Viewer,
  filter: ThreadFilter,
): Promise<{ viewer: Viewer; filter: ThreadFilter }> {
  const { viewer, value } = await authorize(asking, 'threads:search', {
    ids: filter.ids,
    status: filter.status?.map((each) => each.toLowerCase()),
    metadata: filter.metadata ?? {},
    values: filter.values ?? {},
  });
  const { ids, metadata, values } = value;
  const status = readChoices('status', value.status, STATUSES);
  return { viewer, filter: { ...filter, ids, status, metadata, values } };
}

/** The threads of the filter that the viewer may read. */
function readFilter(
  viewer: Viewer,
  filter: ThreadFilter,
  orderedBy: ThreadOrderField,
  at = 'filter',
): Conditions {
  const { ids, status, metadata, graphId, text } = filter;
  const { where, filters } = listScope(viewer);
  if (ids) filters.push(sql`"id" = ANY(${readIds(`${at}.ids`, ids)}::uuid[])`);
  if (status) {
    filters.push(sql`"status" = ANY(${status}::"ThreadStatus"[])`);
    if (orderedBy === 'STATUS') {
      // The first and the last status of the list.
      const inOrder = STATUSES.filter((each) => status.includes(each));
      where.push(sql`"status" >= ${inOrder.at(0)}::"ThreadStatus"`);
      where.push(sql`"status" <= ${inOrder.at(-1)}::"ThreadStatus"`);
    }
  }
  addTimes({ where, filters }, { filter, at, orderedBy });
  const tenant = tenantOf(viewer);
  if (text != null) filters.push(textCondition(`${at}.text`, text, tenant));
  if (hasKeys(metadata)) filters.push(metadataContain(metadata, { tenant }));
  if (graphId != null) {
    (orderedBy === 'CREATED_AT' ? where : filters).push(sql`"graphId" = ${graphId}`);
  }
  return { where, filters };
}

/** SQL: whether a row of "Thread" matches the filter, and the viewer may read it. Throws for a filter with values. */
export function threadMatches(viewer: Viewer, filter: ThreadFilter): Statement {
  if (hasKeys(filter.values)) {
    throw new BadInputError(
      'filter.values',
      'filter.values is for lists and counts; a subscription cannot compare the values of each thread.',
    );
  }
  const { where, filters } = readFilter(viewer, filter, 'ID');
  return join([sql`true`, ...where, ...filters], ' AND ');
}

/**
 * Adds the conditions on times. The index of the order serves the conditions on its own column. A thread is not updated before its
 * creation, so an end of the other interval limits this column, too.
 */
function addTimes(
  { where, filters }: Conditions,
  { filter, at, orderedBy }: { filter: ThreadFilter; at: string; orderedBy: ThreadOrderField },
): void {
  const created = checkInterval(`${at}.created`, {
    after: filter.createdAfter,
    before: filter.createdBefore,
  });
  const updated = checkInterval(`${at}.updated`, {
    after: filter.updatedAfter,
    before: filter.updatedBefore,
  });
  const [createdAt, updatedAt] = [raw('"createdAt"'), raw('"updatedAt"')];
  (orderedBy === 'CREATED_AT' ? where : filters).push(...within(createdAt, created));
  (orderedBy === 'UPDATED_AT' ? where : filters).push(...within(updatedAt, updated));
  if (orderedBy === 'CREATED_AT') {
    where.push(...within(createdAt, { before: widened(updated).before }));
  }
  if (orderedBy === 'UPDATED_AT') {
    where.push(...within(updatedAt, { after: widened(created).after }));
  }
}
