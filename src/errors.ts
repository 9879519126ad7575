import { inspect } from 'node:util';

/** Every code that a client can see in `extensions.code`. */
export type ErrorCode =
  | 'BAD_USER_INPUT'
  | 'CONFLICT'
  | 'FORBIDDEN'
  | 'INTERNAL_SERVER_ERROR'
  | 'NOT_FOUND'
  | 'PAYLOAD_TOO_LARGE'
  | 'SERVICE_UNAVAILABLE'
  | 'THREAD_BUSY';

/** An error whose message is written for the client. Any other error is a bug: it is logged, and masked to the client. */
export class AppError extends Error {
  readonly code: ErrorCode;
  /** What the client sees in `extensions` beside the code. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: Record<string, unknown> = {}) {
    super(message);
    this.name = new.target.name;
    this.code = code;
    this.details = details;
  }
}

/** An argument is wrong; `argument` is its path as the client wrote it, e.g. `input.threadId`. */
export class BadInputError extends AppError {
  constructor(argument: string, message: string) {
    super('BAD_USER_INPUT', message, { argument });
  }
}

export class NotFoundError extends AppError {
  constructor(what: string, id: string) {
    super('NOT_FOUND', `${what} ${id} does not exist.`);
  }
}

/** The request contradicts what is stored: an id that is taken, a key that was used for another input. */
export class ConflictError extends AppError {
  constructor(message: string) {
    super('CONFLICT', message);
  }
}

/** An id that a client chose belongs to something else. */
export class IdTakenError extends ConflictError {
  constructor(id: string) {
    super(`The id ${id} is taken.`);
  }
}

export class ThreadBusyError extends AppError {
  constructor(threadId: string) {
    super('THREAD_BUSY', `Thread ${threadId} has a run that has not ended.`);
  }
}

/** A statement found no database; what it was to do may succeed later. */
export class DatabaseAwayError extends AppError {
  constructor(cause?: unknown) {
    super('SERVICE_UNAVAILABLE', 'The database cannot be reached.');
    this.cause = cause;
  }
}

// Of the socket, of PostgreSQL (connection exceptions 08xxx, shutdowns 57Pxx, too many connections, a database that takes
// none), and of Prisma.
const AWAY_CODE =
  /^(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EPIPE|EHOSTUNREACH|08\w{3}|57P0[1-3]|53300|55000|P1001|P1002|P1008|P1017|P2024|P2037)$/;

// pg gives these no code.
const AWAY_MESSAGE =
  /^(Connection terminated|timeout exceeded when trying to connect|Cannot use a pool after calling end|Client has encountered a connection error)/;

/** Whether a statement failed because the database is away. Looks at the error and at its causes. */
export function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const codes = ['code' in error ? String(error.code) : '', driverCode(error)];
  const isAway = codes.some((code) => AWAY_CODE.test(code)) || AWAY_MESSAGE.test(error.message);
  return isAway || isDatabaseAway(error.cause);
}

/** Prisma has a code of its own for what it does not know, and keeps the driver's. */
function driverCode({ meta }: Error & { meta?: unknown }): string {
  const known = meta as { driverAdapterError?: { cause?: { originalCode?: string } } } | undefined;
  return known?.driverAdapterError?.cause?.originalCode ?? '';
}

/** Internal: the attempt no longer holds its claim; another one, or nobody, has the run now. */
export class ClaimLostError extends Error {
  constructor() {
    super('The claim on this run was lost.');
    this.name = 'ClaimLostError';
  }
}

/** An error as it is stored and shown: its class and message, cut at 2,000 characters, never a stack. */
export interface ErrorSummary {
  name: string;
  message: string;
}

const MESSAGE_LIMIT = 2000;

/** What anything that was thrown tells a person. */
export function summarizeError(thrown: unknown): ErrorSummary {
  if (!(thrown instanceof Error)) return { name: 'Error', message: cut(thrown) };
  return { name: errorClass(thrown), message: cut(thrown.message) };
}

/** The error's own class where it did not bother to set a name. */
function errorClass(error: Error): string {
  return error.name === 'Error' ? error.constructor.name || 'Error' : error.name;
}

function cut(told: unknown): string {
  const message = typeof told === 'string' ? told : inspect(told);
  return message.length > MESSAGE_LIMIT ? `${message.slice(0, MESSAGE_LIMIT - 1)}…` : message;
}

/** SQLSTATE 23505: somebody else took that key, of this constraint where one is named. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (!(error instanceof Error && 'code' in error && error.code === '23505')) return false;
  return constraint === undefined || ('constraint' in error && error.constraint === constraint);
}

/** SQLSTATE class 40: two transactions met, such as in a deadlock. The same one may succeed at once. */
export function isTransactionRollback(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('40');
}
