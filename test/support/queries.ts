import type { Query, QueryOptions } from '../../src/db/query.ts';
import { compile, type CompiledStatement, type Statement } from '../../src/db/sql.ts';

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
