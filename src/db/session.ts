import type pg from 'pg';
import { isDatabaseError } from '../errors.ts';

/** Settings on which statements and results depend. They replace the settings of the database and the role. 0: no timeout. */
const SETTINGS: Record<string, string> = {
  // The adapter of Prisma reads each timestamptz as UTC.
  TimeZone: 'UTC',
  DateStyle: 'ISO',
  IntervalStyle: 'postgres',
  client_encoding: 'UTF8',
  bytea_output: 'hex',
  extra_float_digits: '1',
  array_nulls: 'on',
  standard_conforming_strings: 'on',
  default_transaction_isolation: 'read committed',
  lock_timeout: '0',
  statement_timeout: '0',
  transaction_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  // Compilation takes longer than the execution of these statements.
  jit: 'off',
};

const ROWS = Object.entries(SETTINGS).map(([name, value]) => `('${name}', '${value}')`);

/** The first statement of each session. Skips settings unknown to this version of PostgreSQL. */
export const SESSION = `SELECT set_config("name", "value", false) FROM (VALUES ${ROWS.join(', ')}) AS s("name", "value")
WHERE current_setting("name", true) IS NOT NULL`;

const MOST_TRIES = 20;

/**
 * Begins a session. The `statement_timeout` of the database applies to this statement. A busy machine can exceed a timeout of
 * some milliseconds, so the statement is repeated after a timeout.
 */
export async function beginSession(client: pg.ClientBase, session = SESSION): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await client.query(session);
      return;
    } catch (error) {
      const isTimeout = isDatabaseError(error) && error.code === '57014';
      if (!isTimeout || tries === MOST_TRIES) throw error;
    }
  }
}
