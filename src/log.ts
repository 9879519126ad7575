import { pino } from 'pino';
import pretty from 'pino-pretty';
import { DatabaseAwayError, summarizeError } from './errors.ts';

export type Logger = pino.Logger;

/** Writes a line per entry: readable on a terminal, JSON otherwise. `level` is debug, info, warn, error or silent. */
export function createLogger(level: string): Logger {
  const serializers = { err: readableError };
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers };
  if (!process.stdout.isTTY) return pino(options);
  return pino(options, pretty({ colorize: true, translateTime: 'SYS:HH:MM:ss', sync: true }));
}

/** An error with its stack and causes. Its summary, if reading a property of the error throws. */
function readableError(error: unknown): unknown {
  try {
    if (error instanceof Error) return pino.stdSerializers.err(error);
  } catch {
    // The summary follows.
  }
  return summarizeError(error);
}

/** An error as a field of a log entry, without the stack: the stack explains nothing if the database is away. */
export function reasonOf(error: unknown): { reason: string } {
  const cause = error instanceof DatabaseAwayError ? error.cause : error;
  return { reason: summarizeError(cause).message };
}
