import { setTimeout as sleep } from 'node:timers/promises';
import {
  DatabaseAwayError,
  isDatabaseError,
  isInternalError,
  StatementRefusedError,
} from '../errors.ts';
import type { Query, QueryOptions } from './query.ts';
import { compile, type Statement } from './sql.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2000;

/** The most tries after an error that the statement itself may cause: it would come back each time. */
export const MOST_TRIES = 4;
/** A statement of this size may need more memory than there is. */
const LARGE_BYTES = 8 * 1024 * 1024;
const OUT_OF_MEMORY = '53200';

export interface Patience {
  /** False: the result is no longer needed, and the work is not tried again. */
  isWanted(): boolean;
  /** Called before the first pause. */
  onAway(error: unknown): void;
}

/** Repeats the work, with pauses, until it succeeds or `mayRepeat` returns false for the error. */
export async function retryUntilStored<T>(
  work: () => Promise<T>,
  mayRepeat: (error: unknown, tries: number) => boolean,
  { isWanted, onAway }: Patience,
): Promise<T> {
  let pauseMs = FIRST_PAUSE_MS;
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (!isWanted() || !mayRepeat(error, tries)) throw error;
      if (tries === 1) onAway(error);
      await sleep(pauseMs);
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      if (!isWanted()) throw error;
    }
  }
}

/**
 * Runs the statements of an attempt. While the database is away, it repeats a failed statement: the run is not at fault.
 * Throws DatabaseAwayError if the result is no longer needed, or if the connection broke during a statement that may have
 * changed rows: its outcome is unknown. Throws StatementRefusedError if the database does not accept the statement.
 */
export function patientQuery(query: Query, patience: Patience): Query {
  return async <Row extends object>(statement: Statement, options?: QueryOptions) => {
    const mayRepeat = (error: unknown, tries: number) => {
      if (isInternalError(error)) return tries < MOST_TRIES;
      if (!(error instanceof DatabaseAwayError)) return false;
      if (isTooLarge(error, statement)) return tries < MOST_TRIES;
      return error.changedNothing || options?.onlyReads === true;
    };
    try {
      return await retryUntilStored(() => query<Row>(statement, options), mayRepeat, patience);
    } catch (error) {
      const refusal = error instanceof DatabaseAwayError ? error.cause : error;
      const isRefused = !(error instanceof DatabaseAwayError) || isTooLarge(error, statement);
      throw isRefused && isDatabaseError(refusal) ? new StatementRefusedError(refusal) : error;
    }
  };
}

function isTooLarge({ cause }: DatabaseAwayError, statement: Statement): boolean {
  const isOutOfMemory = isDatabaseError(cause) && cause.code === OUT_OF_MEMORY;
  return isOutOfMemory && sizeOf(compile(statement).values) > LARGE_BYTES;
}

/** The approximate size of the parameters in bytes. */
function sizeOf(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (ArrayBuffer.isView(value)) return value.byteLength;
  return Array.isArray(value) ? value.reduce<number>((sum, part) => sum + sizeOf(part), 0) : 0;
}
