import pLimit from 'p-limit';
import { DatabaseAwayError, OperationTimeoutError, type AppError } from '../errors.ts';
import type { Operation } from './operation.ts';
import type { Sql } from './query.ts';

/** Concurrent statements of an operation. */
const MOST_STATEMENTS = 10;

/** The database for reads: limited per operation, and refused after the end of the operation. */
export function limitedSql(sql: Sql, { check, charge }: Operation): Sql {
  const inTurn = pLimit(MOST_STATEMENTS);
  return {
    ...sql,
    query: (statement, options) =>
      inTurn(() => {
        check();
        return sql.query(statement, { ...options, onJson: charge });
      }),
  };
}

/** If the database does not answer, a timeout becomes DatabaseAwayError: the client may send the operation again later. */
export async function reasonOf(
  { isReady }: { isReady: () => Promise<boolean> },
  error: AppError,
): Promise<AppError> {
  const isLong = error instanceof OperationTimeoutError;
  return isLong && !(await isReady()) ? new DatabaseAwayError() : error;
}
