import { BadInputError } from '../errors.ts';
import type { Query } from './open.ts';
import { parseUuid } from '../uuid.ts';

/** The part of a list that a client asks for: `first` with `after`, or `last` with `before`. */
export interface PageRequest {
  first?: number | null;
  after?: string | null;
  last?: number | null;
  before?: string | null;
}

/** One page of rows in the order that was asked for, and how to go on. */
export interface Page<Row> {
  edges: { cursor: string; node: Row }[];
  pageInfo: {
    hasNextPage: boolean;
    hasPreviousPage: boolean;
    startCursor: string | null;
    endCursor: string | null;
  };
  /** How many rows there are on all pages: exact up to 10,000, 10,001 for more. Costs a statement of its own. */
  count: () => Promise<number>;
}

/** A list to read by pages, as SQL. Nothing in it comes from a client but `params`. */
export interface Listing {
  /** A table, or a join; `columns` are read from it. */
  from: string;
  columns: string;
  /** Conditions, all of which must hold, with $1, $2 … for `params`. */
  where: string[];
  /** More of them, for which no index has the list's order: few rows may meet them or many, anywhere in the list. */
  filters?: string[];
  params: unknown[];
  /** What the list is sorted by, and the unique column that decides between equals. */
  order: {
    by: string;
    type: string;
    unique: string;
    uniqueType: string;
    direction: 'ASC' | 'DESC';
  };
}

/** The order in which rows were stored, or the newest first. */
export function bySeq(direction: 'ASC' | 'DESC'): Listing['order'] {
  return { by: '"seq"', type: 'bigint', unique: '"seq"', uniqueType: 'bigint', direction };
}

type Add = (condition: (placeholder: string) => string, value: unknown) => void;

/** Conditions of a search, each with its value: `add((name) => `"name" = ${name}`, 'x')`; `addFilter` adds to `filters`. */
export function conditions(): Required<Pick<Listing, 'where' | 'filters' | 'params'>> & {
  add: Add;
  addFilter: Add;
} {
  const where: string[] = [];
  const filters: string[] = [];
  const params: unknown[] = [];
  const addTo =
    (list: string[]): Add =>
    (condition, value) => {
      params.push(value);
      list.push(condition(`$${params.length}`));
    };
  return { where, filters, params, add: addTo(where), addFilter: addTo(filters) };
}

/** A row's place: the list and its order, and the row's values of `order.by` and `order.unique`. */
type Place = readonly [list: string, value: unknown, unique: unknown];

const DEFAULT_PAGE = 20;
const LARGEST_PAGE = 100;
const LARGEST_COUNT = 10_000;
const NEAR_ROWS = 5000;

/** Reads one page by keyset: it neither repeats nor skips rows while others are inserted and deleted. */
export async function readPage<Row extends object>(
  query: Query,
  listing: Listing,
  request: PageRequest,
): Promise<Page<Row>> {
  const { from, order } = listing;
  const list = `${from} ${order.by}`;
  const { size, backwards, cursor } = readRequest(list, request);
  const params = [...listing.params];
  const ascending = (order.direction === 'ASC') !== backwards;
  let place: string | undefined;
  if (cursor) {
    params.push(cursor[1], cursor[2]);
    const values = `($${params.length - 1}::${order.type}, $${params.length}::${order.uniqueType})`;
    place = `(${order.by}, ${order.unique}) ${ascending ? '>' : '<'} ${values}`;
  }
  params.push(size + 1);
  const way = ascending ? 'ASC' : 'DESC';
  const sorted = `ORDER BY ${order.by} ${way}, ${order.unique} ${way}`;
  const limit = `$${params.length}`;
  const rows = await readRows<Row>(query, listing, { place, sorted, limit, params }).catch(
    (error: unknown) => {
      if (cursor && isDataError(error)) throw foreignCursor(backwards ? 'before' : 'after');
      throw error;
    },
  );

  const more = rows.length > size;
  const page = rows.slice(0, size);
  if (backwards) page.reverse();
  const edges = page.map(({ placeValue, placeUnique, ...row }) => ({
    cursor: encodeCursor([list, placeValue, placeUnique]),
    node: row as unknown as Row,
  }));
  return {
    edges,
    pageInfo: {
      hasNextPage: backwards ? cursor !== undefined : more,
      hasPreviousPage: backwards ? more : cursor !== undefined,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    count: () => countRows(query, listing),
  };
}

/** A row, and where it stands in the list. */
type Placed<Row> = Row & { placeValue: unknown; placeUnique: unknown };

/** The part of a list that a page is read from, as SQL. */
interface Part {
  /** After or before the cursor. */
  place: string | undefined;
  sorted: string;
  limit: string;
  params: unknown[];
}

/**
 * Rows from a place on. PostgreSQL cannot know how many rows meet a filter and where in the list they are; where it guesses
 * wrong, it walks through the whole table for a few of them, or sorts most of it for a page. So a page is looked for among
 * the next 5,000 rows; where they do not fill it, all rows that meet the filters are gathered.
 */
async function readRows<Row extends object>(
  query: Query,
  { from, columns, where, filters = [], order }: Listing,
  { place, sorted, limit, params }: Part,
): Promise<Placed<Row>[]> {
  const there = place === undefined ? [] : [place];
  const next = `${from} ${whereClause([...where, ...there])}`;
  const placed = `${columns}, (${order.by})::text AS "placeValue", (${order.unique})::text AS "placeUnique"`;
  // Which index to read depends on where the part begins and ends; the first part of a whole list is the same each time.
  const planAnew = [...where, ...there].some((condition) => condition.includes('$'));
  if (filters.length === 0) {
    const statement = `SELECT ${placed} FROM ${next} ${sorted} LIMIT ${limit}`;
    return query<Placed<Row>>(statement, params, { planAnew });
  }
  const near = await query<Placed<Row> & { missing: boolean }>(
    `WITH near AS MATERIALIZED (
       SELECT * FROM (SELECT * FROM ${next} ${sorted} LIMIT ${NEAR_ROWS}) next
       ${whereClause(filters)} ${sorted} LIMIT ${limit}
     ), missing AS MATERIALIZED (
       SELECT (SELECT count(*) FROM near) < ${limit}
         AND EXISTS (SELECT 1 FROM ${next} ${sorted} OFFSET ${NEAR_ROWS}) AS "missing"
     )
     SELECT ${placed} FROM missing LEFT JOIN near ON NOT "missing" ${sorted}`,
    params,
    { planAnew, takesLong: true },
  );
  if (!near[0]?.missing) {
    // Where there is no row at all, one tells that none is missing.
    return near
      .filter(({ placeUnique }) => placeUnique !== null)
      .map(({ missing: _, ...row }) => row as unknown as Placed<Row>);
  }
  return query<Placed<Row>>(
    `WITH matching AS MATERIALIZED (SELECT * FROM ${from} ${whereClause([...where, ...filters])})
     SELECT ${placed} FROM matching ${whereClause(there)} ${sorted} LIMIT ${limit}`,
    params,
    SEARCH,
  );
}

/** Where the rows are that meet a filter, only the filter's values tell. */
const SEARCH = { planAnew: true, takesLong: true };

async function countRows(
  query: Query,
  { from, where, filters = [], params }: Listing,
): Promise<number> {
  const conditions = whereClause([...where, ...filters]);
  const [row] = await query<{ count: number }>(
    `SELECT count(*) AS count FROM (SELECT 1 FROM ${from} ${conditions} LIMIT ${LARGEST_COUNT + 1}) AS "found"`,
    params,
    SEARCH,
  );
  return row?.count ?? 0;
}

function whereClause(conditions: string[]): string {
  return conditions.length === 0
    ? ''
    : `WHERE ${conditions.map((each) => `(${each})`).join(' AND ')}`;
}

function readRequest(
  list: string,
  { first, after, last, before }: PageRequest,
): {
  size: number;
  backwards: boolean;
  cursor: Place | undefined;
} {
  if (first != null && last != null) {
    throw new BadInputError('last', 'Give first or last, not both.');
  }
  if (after != null && before != null) {
    throw new BadInputError('before', 'Give after or before, not both.');
  }
  const backwards = last != null || before != null;
  if (backwards && (first != null || after != null)) {
    throw new BadInputError('before', 'last goes with before, and first with after.');
  }
  const size = readSize(backwards ? 'last' : 'first', backwards ? last : first);
  const cursor = backwards ? before : after;
  return {
    size,
    backwards,
    cursor: cursor == null ? undefined : decodeCursor(backwards ? 'before' : 'after', cursor, list),
  };
}

/** A page's or a batch's size: `otherwise` (20) where it is not given, from 1 to `max` (100). */
export function readSize(
  argument: string,
  size: number | null | undefined,
  { otherwise = DEFAULT_PAGE, max = LARGEST_PAGE } = {},
): number {
  if (size == null) return otherwise;
  if (size < 1 || size > max) {
    throw new BadInputError(argument, `${argument} is ${size}; it must be from 1 to ${max}.`);
  }
  return size;
}

/** A filter's ids, as PostgreSQL writes them. Throws a BadInputError that names the argument, or the id in it. */
export function readIds(argument: string, ids: readonly string[]): string[] {
  readSize(argument, ids.length);
  return ids.map((id, i) => parseUuid(`${argument}[${i}]`, id));
}

function encodeCursor(place: Place): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

function decodeCursor(argument: string, cursor: string, list: string): Place {
  try {
    const place: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (
      Array.isArray(place) &&
      place.length === 3 &&
      place[0] === list &&
      place.every((part) => typeof part === 'string')
    ) {
      return [list, place[1], place[2]];
    }
  } catch {
    // Not one of ours: said below.
  }
  throw foreignCursor(argument);
}

function foreignCursor(argument: string): BadInputError {
  return new BadInputError(argument, `${argument} is not a cursor that this list gave.`);
}

/** SQLSTATE class 22: a value that its type does not take, such as another list's cursor. */
function isDataError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('22');
}
