import { countRows, LARGEST_COUNT, SEARCH, whereClause, type Listing } from './page.ts';
import type { Query } from './query.ts';
import { raw, sql } from './sql.ts';

/** Rows of a table with a column "status". */
interface WithStatus<Status> extends Pick<Listing, 'from' | 'where' | 'filters'> {
  /** The type of the column, as SQL. */
  type: string;
  statuses: readonly Status[];
}

/**
 * The number of rows with each status: exact up to 10,000, and 10,001 for more. One statement counts up to 10,000 rows of all
 * statuses. If there are more, a statement for each status is planned for its value.
 */
export async function countByStatus<Status extends string>(
  query: Query,
  { from, type, statuses, where, filters = [] }: WithStatus<Status>,
): Promise<{ status: Status; count: number }[]> {
  const rows = sql`SELECT "status" FROM ${raw(from)} ${whereClause([...where, ...filters])}`;
  const found = await query<{ status: Status; count: number }>(
    sql`SELECT "status", count(*) AS "count" FROM (${rows} LIMIT ${raw(LARGEST_COUNT + 1)}) AS "found" GROUP BY "status"`,
    SEARCH,
  );
  const counts = new Map(found.map(({ status, count }) => [status, count]));
  const total = found.reduce((sum, { count }) => sum + count, 0);
  return Promise.all(
    statuses.map(async (status) => {
      if (total <= LARGEST_COUNT) return { status, count: counts.get(status) ?? 0 };
      const ofStatus = [...where, sql`"status" = ${status}::${raw(type)}`];
      return { status, count: await countRows(query, { from, where: ofStatus, filters }) };
    }),
  );
}
