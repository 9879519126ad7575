import { vi } from 'vitest';
import type { Query, QueryOptions } from '../../src/db/query.ts';
import { compile, type CompiledStatement, type Statement } from '../../src/db/sql.ts';
import type { TestApp } from './app.ts';

/** Runs in place of each statement. `send` sends the statement. */
type Around = <Row extends object>(
  statement: CompiledStatement,
  send: () => Promise<Row[]>,
) => Promise<Row[]>;

/** Wraps a query: a test counts, holds or fails its statements. */
export function intercept(query: Query, around: Around): Query {
  return <Row extends object>(statement: Statement, options?: QueryOptions) =>
    around<Row>(compile(statement), () => query<Row>(statement, options));
}

/** Returns the result of the work, and the rows and characters of its statements for stored values. */
export async function measureValueReads<Result>(
  { app }: TestApp,
  work: () => Promise<Result>,
): Promise<{ result: Result; rows: number; chars: number }> {
  const query = app.sql.query.bind(app.sql);
  let rows = 0;
  let chars = 0;
  const counting = intercept(query, async ({ text }, send) => {
    const found = await send();
    // All remaining statements belong to the background work of the server.
    if (!/"Channel(Item|Value)"/.test(text)) return found;
    rows += found.length;
    chars += JSON.stringify(found).length;
    return found;
  });
  const spy = vi.spyOn(app.sql, 'query').mockImplementation(counting);
  try {
    return { result: await work(), rows, chars };
  } finally {
    spy.mockRestore();
  }
}

/** Claims, notifications and polls of the server itself. */
const OF_SERVER = /SKIP LOCKED|pg_notify|AS f\(id\)/;

/** Counts the statements for clients from now on, and the rows of their results. */
export function watchStatements({ app }: TestApp): { statements: number; rows: number } {
  const seen = { statements: 0, rows: 0 };
  app.sql.query = intercept(app.sql.query, async ({ text }, send) => {
    const rows = await send();
    if (OF_SERVER.test(text)) return rows;
    seen.statements += 1;
    seen.rows += rows.length;
    return rows;
  });
  return seen;
}
