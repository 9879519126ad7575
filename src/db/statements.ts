import pg from 'pg';
import {
  DatabaseAwayError,
  endsConnection,
  isDatabaseAway,
  isDatabaseError,
  isTransactionRollback,
  isUniqueViolation,
  outdatesConnection,
} from '../errors.ts';
import type { Query, QueryOptions, Sql } from './query.ts';
import { createSharing, takeConnection } from './sharing.ts';
import { compile, type Statement } from './sql.ts';

const TRANSACTION_ATTEMPTS = 4;

/** Called with the outcome of each statement. */
export interface StatementOptions {
  onAnswer(): void;
  onAway(error: DatabaseAwayError): void;
}

/** `Sql` without the notifications. */
export function createStatements(
  pool: pg.Pool,
  { onAnswer, onAway }: StatementOptions,
): Pick<Sql, 'query' | 'transaction'> {
  const share = createSharing(pool);

  /** Throws the error, converted to a DatabaseAwayError if the database is away. */
  function rethrow(error: unknown): never {
    if (!isDatabaseAway(error)) throw error;
    const isAway = error instanceof DatabaseAwayError;
    const away = isAway ? error : new DatabaseAwayError(error, { changedNothing: isUndone(error) });
    onAway(away);
    throw away;
  }

  return {
    async query<Row extends object>(statement: Statement, options: QueryOptions = {}) {
      const run = (client: pg.PoolClient) => queryOn(client)<Row>(statement, options);
      const rows = await (options.takesLong ? lend(pool, run) : share(run)).catch(rethrow);
      onAnswer();
      return rows;
    },
    async transaction(work) {
      for (let attempt = 1; ; attempt++) {
        try {
          const result = await transactOnce(pool, work);
          onAnswer();
          return result;
        } catch (error) {
          if (attempt === TRANSACTION_ATTEMPTS || !isTransient(error)) rethrow(error);
        }
      }
    },
  };
}

/** Lends a connection. The pool closes it afterwards if it is outdated. */
async function lend<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await takeConnection(pool);
  let isOutdated = false;
  try {
    return await work(client);
  } catch (error) {
    isOutdated = outdatesConnection(error);
    throw error;
  } finally {
    client.release(isOutdated);
  }
}

async function transactOnce<T>(pool: pg.Pool, work: (query: Query) => Promise<T>): Promise<T> {
  return lend(pool, async (client) => {
    await client.query('BEGIN').catch(rethrowUncommitted);
    try {
      const result = await work(queryOn(client)).catch(rethrowUncommitted);
      const { command } = await client.query('COMMIT');
      // COMMIT answers ROLLBACK if a statement failed and `work` caught the error.
      if (command === 'ROLLBACK') throw new Error('A statement of the transaction had failed.');
      return result;
    } catch (error) {
      // ROLLBACK fails on a broken connection: PostgreSQL then rolls back by itself.
      await client.query('ROLLBACK').catch(() => {});
      throw error;
    }
  });
}

function queryOn(client: pg.ClientBase): Query {
  return async <Row extends object>(
    statement: Statement,
    { planAnew = false, onJson }: QueryOptions = {},
  ) => {
    const { text, name, values } = compile(statement);
    const types = onJson ? countingJson(onJson) : TYPES;
    const { rows } = await client.query<Row>({ ...(!planAnew && { name }), text, values, types });
    return rows;
  };
}

/** int8 as number, not as string: all values are sequence numbers, versions or counts below 2^53. */
const TYPES: pg.CustomTypesConfig = {
  getTypeParser: (type, format) =>
    type === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(type, format),
};

function countingJson(onJson: (length: number) => void): pg.CustomTypesConfig {
  const parse = (text: string): unknown => {
    onJson(text.length);
    return JSON.parse(text);
  };
  const { JSON: json, JSONB: jsonb } = pg.types.builtins;
  return {
    getTypeParser: (type, format) =>
      type === json || type === jsonb ? parse : TYPES.getTypeParser(type, format),
  };
}

/** For errors before COMMIT was sent. */
function rethrowUncommitted(error: unknown): never {
  if (error instanceof DatabaseAwayError || !isDatabaseAway(error)) throw error;
  throw new DatabaseAwayError(error, { changedNothing: true });
}

/** PostgreSQL reports an error after it has undone the statement, unless the error ends the connection. */
function isUndone(error: unknown): boolean {
  return isDatabaseError(error) && !endsConnection(error);
}

/** The same transaction may succeed at once. */
function isTransient(error: unknown): boolean {
  // Another attempt numbers events without the lock of the thread; a run is accepted without the lock of its key.
  const isTaken = ['RunEvent_pkey', 'Run_tenant_requester_idempotencyKey_key'].some((index) =>
    isUniqueViolation(error, index),
  );
  return isTaken || isTransactionRollback(error);
}
