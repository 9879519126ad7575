import { createHash } from 'node:crypto';
import pg from 'pg';
import {
  DatabaseAwayError,
  isDatabaseAway,
  isTransactionRollback,
  isUniqueViolation,
} from '../errors.ts';
import type { Query, QueryOptions, Sql } from './open.ts';
import { createSharing } from './sharing.ts';

const TRANSACTION_ATTEMPTS = 4;

/** `sql` without its hints. */
export function createStatements(pool: pg.Pool): Pick<Sql, 'query' | 'transaction'> {
  const names = new Map<string, string>();
  const share = createSharing(pool);

  function nameOf(text: string): string {
    let name = names.get(text);
    if (!name) {
      name = createHash('sha1').update(text).digest('base64url');
      names.set(text, name);
    }
    return name;
  }

  function queryOn(client: pg.ClientBase): Query {
    return async <Row extends object>(
      text: string,
      params: readonly unknown[] = [],
      { planAnew = false }: QueryOptions = {},
    ) => {
      const { rows } = await client.query<Row>({
        ...(!planAnew && { name: nameOf(text) }),
        text,
        values: [...params],
        types: TYPES,
      });
      return rows;
    };
  }

  /** Lends a connection, which goes back to the pool unless it broke. */
  async function lend<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await pool.connect();
    try {
      return await work(client);
    } finally {
      client.release();
    }
  }

  async function transactOnce<T>(work: (query: Query) => Promise<T>): Promise<T> {
    return lend(async (client) => {
      await client.query('BEGIN');
      try {
        const result = await work(queryOn(client));
        const { command } = await client.query('COMMIT');
        // What PostgreSQL answers when `work` swallowed the error of a statement.
        if (command === 'ROLLBACK') throw new Error('A statement of the transaction had failed.');
        return result;
      } catch (error) {
        // Where ROLLBACK fails too, the connection is broken, and with it the transaction.
        await client.query('ROLLBACK').catch(() => {});
        throw error;
      }
    });
  }

  return {
    query: <Row extends object>(
      text: string,
      params?: readonly unknown[],
      options?: QueryOptions,
    ) => {
      const borrow = options?.takesLong ? lend : share;
      return borrow((client) => queryOn(client)<Row>(text, params, options)).catch(rethrow);
    },
    async transaction(work) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await transactOnce(work);
        } catch (error) {
          if (attempt === TRANSACTION_ATTEMPTS || !isTransient(error)) rethrow(error);
        }
      }
    },
  };
}

/** pg parses int8 to a string. Ours are sequence numbers and versions, all below 2^53. */
const TYPES: pg.CustomTypesConfig = {
  getTypeParser: (type, format) =>
    type === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(type, format),
};

function rethrow(error: unknown): never {
  throw isDatabaseAway(error) ? new DatabaseAwayError(error) : error;
}

/** The same transaction may succeed at once. */
function isTransient(error: unknown): boolean {
  // A run that is going on numbers its events without the thread's lock: it was first.
  return isUniqueViolation(error, 'RunEvent_pkey') || isTransactionRollback(error);
}
