import { BadInputError } from '../errors.ts';
import { isRecord } from '../json.ts';
import type { Query, Sql } from './query.ts';
import { empty, join, param, raw, sql, type Param, type Statement } from './sql.ts';
import { parseUuid } from './uuid.ts';

/** The arguments of a client: `first` with `after`, or `last` with `before`. */
export interface PageRequest {
  first?: number | null;
  after?: string | null;
  last?: number | null;
  before?: string | null;
}

/** One page of rows in the order of the request. */
export interface Page<Row> {
  edges: { readonly cursor: string; node: Row }[];
  pageInfo: {
    hasNextPage: boolean;
    hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
  /** The number of rows on all pages, up to 10,001 (`countRows`). It costs a statement of its own. */
  count: () => Promise<number>;
}

/** A list for reading in pages. Its strings are SQL and never come from a client; values are in the conditions. */
export interface Listing {
  /** A table or a join; `columns` are read from it. */
  from: string;
  columns: string;
  /** The owner of the list, such as the id of a thread. Cursors of other owners are refused. */
  owner?: string;
  /** Conditions with an index in the order of the list. All must hold. */
  where: Statement[];
  /** Exactly one of these conditions holds for each row: the list has its rows in order only within each condition. */
  parts?: Statement[] | undefined;
  /** Conditions without such an index: few rows or many may meet them, anywhere in the list. All must hold. */
  filters?: Statement[];
  /** The sort key, and the unique column for the order of rows with equal keys. */
  order: {
    by: string;
    type: string;
    unique: string;
    uniqueType: string;
    direction: 'ASC' | 'DESC';
  };
}

/** The conditions of a listing. */
export type Conditions = Required<Pick<Listing, 'where' | 'filters'>>;

/** The order of insertion (ASC) or its reverse (DESC). */
export function bySeq(direction: 'ASC' | 'DESC'): Listing['order'] {
  return { by: '"seq"', type: 'bigint', unique: '"seq"', uniqueType: 'bigint', direction };
}

export const DEFAULT_PAGE = 20;
export const LARGEST_PAGE = 100;
export const LARGEST_COUNT = 10_000;
const NEAR_ROWS = 5000;

/** Reads one page by keyset: concurrent inserts and deletes neither repeat nor skip rows. */
export async function readPage<Row extends object>(
  { query, cursors }: Pick<Sql, 'query' | 'cursors'>,
  listing: Listing,
  request: PageRequest,
): Promise<Page<Row>> {
  const list = [listing.from, listing.order.by, listing.owner ?? []].flat().join(' ');
  const { size, backwards, argument, cursor: text } = readPageRequest(request);
  const cursor = text === undefined ? undefined : cursors.open(list, text);
  if (text !== undefined && !cursor) throw foreignCursor(argument);
  const part = partOf(listing, { size, backwards, cursor });
  const rows = await readRows<Row>(query, listing, part);

  const more = rows.length > size;
  const page = rows.slice(0, size);
  if (backwards) page.reverse();
  const edges = page.map(({ sortKey, uniqueKey, ...row }) => ({
    get cursor() {
      return cursors.seal(list, [sortKey, uniqueKey]);
    },
    node: row as unknown as Row,
  }));
  const hasCursor = cursor !== undefined;
  return {
    edges,
    pageInfo: pageInfoOf(edges, { backwards, more, hasCursor }),
    count: () => countRows(query, listing),
  };
}

/** The information about a page. A cursor is made only if a client selects it. */
export function pageInfoOf(
  edges: readonly { cursor: string }[],
  { backwards, more, hasCursor }: { backwards: boolean; more: boolean; hasCursor: boolean },
): Page<unknown>['pageInfo'] {
  return {
    hasNextPage: backwards ? hasCursor : more,
    hasPreviousPage: backwards ? more : hasCursor,
    get startCursor() {
      return edges[0]?.cursor ?? null;
    },
    get endCursor() {
      return edges.at(-1)?.cursor ?? null;
    },
  };
}

/** A part of a list, after `offset` rows. */
export interface Slice<Row> {
  rows: Row[];
  /** The number of rows of the list, up to 10,001 unless the slice has the last one. May cost a statement of its own. */
  count: () => Promise<number>;
}

/** Reads rows after the first `offset` ones: concurrent inserts and deletes can repeat or skip rows. */
export async function readSlice<Row extends object>(
  query: Query,
  listing: Listing,
  { limit, offset }: { limit: number; offset: number },
): Promise<Slice<Row>> {
  const part = partOf(listing, { size: limit, backwards: false }, offset);
  const placed = await readRows<Row>(query, listing, part);
  const hasLast = placed.length <= limit && (placed.length > 0 || offset === 0);
  return {
    rows: placed
      .slice(0, limit)
      .map(({ sortKey: _, uniqueKey: __, ...row }) => row as unknown as Row),
    count: async () => (hasLast ? offset + placed.length : countRows(query, listing)),
  };
}

/** A row with its position in the list. */
type Placed<Row> = Row & { sortKey: string; uniqueKey: string };

/** The part of a list around one page. */
interface Part {
  /** The condition of the cursor, if there is one. */
  beyond: Statement[];
  sorted: Statement;
  /** One row more than the page has, to know whether another page follows. With the rows before the page. */
  limit: Param;
  /** Skips the rows before the page. */
  skip: Statement;
}

type Wanted = Pick<WantedPage, 'size' | 'backwards'> & { cursor?: string[] | undefined };

function partOf({ order }: Listing, { size, backwards, cursor }: Wanted, offset = 0): Part {
  const ascending = (order.direction === 'ASC') !== backwards;
  const by = raw(order.by);
  const unique = raw(order.unique);
  const direction = raw(ascending ? 'ASC' : 'DESC');
  const beyond =
    cursor &&
    sql`(${by}, ${unique}) ${raw(ascending ? '>' : '<')} (${cursor[0]}::${raw(order.type)}, ${cursor[1]}::${raw(order.uniqueType)})`;
  return {
    beyond: beyond ? [beyond] : [],
    sorted: sql`ORDER BY ${by} ${direction}, ${unique} ${direction}`,
    limit: param(offset + size + 1),
    skip: offset === 0 ? empty : sql`OFFSET ${offset}`,
  };
}

/**
 * Reads the rows of a part. PostgreSQL cannot know how many rows meet a filter and where in the list they are. After a wrong
 * estimate it reads the whole table for a few rows, or sorts most of it for one page. So the first statement filters only the
 * next 5,000 rows. If they do not fill the page, the second statement collects all rows that meet the filters.
 */
async function readRows<Row extends object>(
  query: Query,
  { from, columns, where, parts, filters = [], order }: Listing,
  { beyond, sorted, limit, skip }: Part,
): Promise<Placed<Row>[]> {
  const table = raw(from);
  const next = nextRows({ from, where: [...where, ...beyond], parts }, sorted);
  const placed = raw(
    `${columns}, (${order.by})::text AS "sortKey", (${order.unique})::text AS "uniqueKey"`,
  );
  // The values decide which index is best. Without values, the plan is the same each time.
  const planAnew = next(limit).bindsValues;
  if (filters.length === 0) {
    return query<Placed<Row>>(sql`SELECT ${placed} FROM ${next(limit)} ${sorted} ${skip}`, {
      planAnew,
    });
  }
  const nearRows = raw(NEAR_ROWS);
  const near = await query<Placed<Row> & { missing: boolean }>(
    sql`WITH near AS MATERIALIZED (
       SELECT * FROM ${next(nearRows)}
       ${whereClause(filters)} ${sorted} LIMIT ${limit}
     ), missing AS MATERIALIZED (
       SELECT (SELECT count(*) FROM near) < ${limit}
         AND EXISTS (SELECT 1 FROM ${next(raw(NEAR_ROWS + 1))} OFFSET ${nearRows}) AS "missing"
     )
     SELECT "missing", ${placed} FROM missing LEFT JOIN (SELECT * FROM near ${sorted} ${skip}) near ON NOT "missing" ${sorted}`,
    { planAnew, takesLong: true },
  );
  if (!near[0]?.missing) {
    // An empty page is a single row with only `missing`.
    return near
      .filter(({ uniqueKey }) => uniqueKey !== null)
      .map(({ missing: _, ...row }) => row as unknown as Placed<Row>);
  }
  return query<Placed<Row>>(
    sql`WITH matching AS MATERIALIZED (SELECT * FROM ${table} ${whereClause([...anyOf(parts), ...where, ...filters])})
     SELECT ${placed} FROM (SELECT * FROM matching ${whereClause(beyond)} ${sorted} LIMIT ${limit}) found ${sorted} ${skip}`,
    SEARCH,
  );
}

/** The first rows of a list as a source `next`, in order. */
function nextRows(
  { from, where, parts = [] }: Pick<Listing, 'from' | 'where' | 'parts'>,
  sorted: Statement,
): (limit: Statement | Param) => Statement {
  const rows = (limit: Statement | Param, conditions: Statement[]) =>
    sql`(SELECT * FROM ${raw(from)} ${whereClause(conditions)} ${sorted} LIMIT ${limit})`;
  return (limit) => {
    if (parts.length === 0) return sql`${rows(limit, where)} next`;
    const each = parts.map((part) => rows(limit, [part, ...where]));
    return sql`(SELECT * FROM (${join(each, ' UNION ALL ')}) part ${sorted} LIMIT ${limit}) next`;
  };
}

/** The parts of a list as one condition. */
function anyOf(parts: Listing['parts'] = []): Statement[] {
  return parts.length === 0 ? [] : [join(parts, ' OR ')];
}

/** Only the values of a filter show where its rows are. */
export const SEARCH = { planAnew: true, takesLong: true };

/** The number of rows that meet the conditions: exact up to 10,000, and 10,001 for more. */
export async function countRows(
  query: Query,
  { from, where, parts, filters = [] }: Pick<Listing, 'from' | 'where' | 'parts' | 'filters'>,
): Promise<number> {
  const conditions = [...anyOf(parts), ...where, ...filters];
  const rows = sql`SELECT 1 FROM ${raw(from)} ${whereClause(conditions)}`;
  const [row] = await query<{ count: number }>(
    sql`SELECT count(*) AS "count" FROM (${rows} LIMIT ${raw(LARGEST_COUNT + 1)}) AS "found"`,
    SEARCH,
  );
  return row?.count ?? 0;
}

/** A WHERE clause of the conditions; without conditions, `empty`. */
export function whereClause(conditions: readonly Statement[]): Statement {
  if (conditions.length === 0) return empty;
  return sql`WHERE (${join(conditions, ') AND (')})`;
}

/** A checked request. */
export interface WantedPage {
  size: number;
  /** True: the page ends before the cursor, or at the end of the list. */
  backwards: boolean;
  /** The argument of the cursor. */
  argument: 'after' | 'before';
  cursor: string | undefined;
}

/** Checks the combination of arguments and the size of the page. */
export function readPageRequest({ first, after, last, before }: PageRequest): WantedPage {
  if (first != null && last != null) {
    throw new BadInputError('last', 'Give first or last, not both.');
  }
  if (after != null && before != null) {
    throw new BadInputError('before', 'Give after or before, not both.');
  }
  if (first != null && before != null) {
    throw new BadInputError('before', 'before goes with last; give after with first.');
  }
  if (last != null && after != null) {
    throw new BadInputError('after', 'after goes with first; give before with last.');
  }
  const backwards = last != null || before != null;
  return {
    size: readSize(backwards ? 'last' : 'first', backwards ? last : first),
    backwards,
    argument: backwards ? 'before' : 'after',
    cursor: (backwards ? before : after) ?? undefined,
  };
}

/** The size of a page, from 1 to `max` (default 100). If the client gives none: `otherwise` (default 20). */
export function readSize(
  argument: string,
  size: number | null | undefined,
  { otherwise = DEFAULT_PAGE, max = LARGEST_PAGE } = {},
): number {
  if (size == null) return otherwise;
  if (size < 1 || size > max) {
    throw new BadInputError(
      argument,
      (name) => `${name(argument)} is ${size}; it must be from 1 to ${max}.`,
    );
  }
  return size;
}

/** Refuses an empty list, and a list with more entries than the largest page. */
export function checkLength(argument: string, { length }: readonly unknown[]): void {
  if (length >= 1 && length <= LARGEST_PAGE) return;
  throw new BadInputError(
    argument,
    (name) => `${name(argument)} has ${length} entries; it must have 1 to ${LARGEST_PAGE}.`,
  );
}

/** The ids of a filter, as PostgreSQL writes them. Throws a BadInputError with the name of the argument or the id. */
export function readIds(argument: string, ids: readonly string[]): string[] {
  checkLength(argument, ids);
  return ids.map((id, i) => parseUuid(`${argument}[${i}]`, id));
}

/** Whether a filter has no condition. An empty object matches everything, as `metadata: {}` does. */
export function isEmptyFilter(filter: object): boolean {
  const isEmpty = (value: unknown) =>
    value == null || (isPlainRecord(value) && Object.keys(value).length === 0);
  return Object.values(filter).every(isEmpty);
}

function isPlainRecord(value: unknown): value is object {
  return isRecord(value) && !(value instanceof Date);
}

function foreignCursor(argument: string): BadInputError {
  return new BadInputError(
    argument,
    (name) =>
      `${name(argument)} is not a cursor of this list; take one from its edges or pageInfo.`,
  );
}
