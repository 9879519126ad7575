import { inspect, types } from 'node:util';
import { withNames, type ClientText, type NameOf } from './client-text.ts';

/** All codes of `extensions.code`. */
export type ErrorCode =
  | 'ANSWER_TOO_LARGE'
  | 'BAD_USER_INPUT'
  | 'CONFLICT'
  | 'FORBIDDEN'
  | 'INTERNAL_SERVER_ERROR'
  | 'NOT_FOUND'
  | 'OPERATION_TIMEOUT'
  | 'PAYLOAD_TOO_LARGE'
  | 'PERSISTED_QUERY_NOT_SUPPORTED'
  | 'RATE_LIMITED'
  | 'SERVICE_UNAVAILABLE'
  | 'THREAD_BUSY'
  | 'UNAUTHENTICATED';

/** An error with a message for the client. All remaining errors are bugs: they are logged, and masked to the client. */
export class AppError extends Error {
  readonly code: ErrorCode;
  /** Fields of `extensions` besides the code. */
  readonly details: Readonly<Record<string, unknown>>;
  readonly #text: ClientText;

  constructor(code: ErrorCode, text: ClientText, details: Record<string, unknown> = {}) {
    super(withNames(text, (path) => path));
    this.#text = text;
    this.name = new.target.name;
    this.code = code;
    this.details = details;
  }

  /** The message with the names of an interface. `message` has those of GraphQL. */
  messageWith(name: NameOf): string {
    return withNames(this.#text, name);
  }
}

/** An argument is invalid. `argument` is its path in the request, e.g. `input.threadId`. */
export class BadInputError extends AppError {
  constructor(argument: string, text: ClientText) {
    super('BAD_USER_INPUT', text, { argument });
  }
}

/** A request exceeds a limit of the operator. `variable` is the setting of the limit. */
export class LimitError extends AppError {
  constructor(text: ClientText, variable: string, argument?: string) {
    super(
      'BAD_USER_INPUT',
      (name) => `${withNames(text, name)} ${variable} sets the limit.`,
      argument ? { argument } : {},
    );
  }
}

/** A state exceeds STATE_LIMIT_BYTES. `found` describes the state and its number of bytes. */
export class StateLimitError extends LimitError {
  readonly found: ClientText;
  readonly mostBytes: number;

  constructor(found: ClientText, mostBytes: number, argument?: string) {
    super(
      (name) => `${withNames(found, name)}; at most ${mostBytes} are allowed.`,
      'STATE_LIMIT_BYTES',
      argument,
    );
    this.found = found;
    this.mostBytes = mostBytes;
  }

  /** The same error, for an argument of a request. */
  at(argument: string): StateLimitError {
    return new StateLimitError(this.found, this.mostBytes, argument);
  }
}

/** The execution of an operation exceeded OPERATION_SECONDS. */
export class OperationTimeoutError extends AppError {
  constructor(seconds: number) {
    super(
      'OPERATION_TIMEOUT',
      `The operation took longer than ${seconds} s. OPERATION_SECONDS sets the limit.`,
    );
  }
}

/** An operation exceeds ANSWER_LIMIT_BYTES with its reads or its answer. */
export class AnswerTooLargeError extends AppError {
  constructor(message: string) {
    super('ANSWER_TOO_LARGE', `${message} ANSWER_LIMIT_BYTES sets the limit.`);
  }

  static ofRead(bytes: number, limit: number): AnswerTooLargeError {
    return new AnswerTooLargeError(
      `The operation reads ${bytes} stored bytes; at most ${limit} are allowed.`,
    );
  }

  static ofAnswer(limit: number): AnswerTooLargeError {
    return new AnswerTooLargeError(`The answer has more than ${limit} bytes.`);
  }
}

/** The credentials of a request are missing, invalid or expired. The message never contains them. */
export class UnauthenticatedError extends AppError {
  constructor(message: string) {
    super('UNAUTHENTICATED', message);
  }
}

/** The viewer lacks a right. Only for rights that do not depend on an object: an object of others does not exist for it. */
export class ForbiddenError extends AppError {
  constructor(message: string) {
    super('FORBIDDEN', message);
  }
}

export class NotFoundError extends AppError {
  readonly what: string;
  readonly id: string;

  constructor(what: string, id: string) {
    super('NOT_FOUND', `${what} ${id} does not exist.`);
    this.what = what;
    this.id = id;
  }
}

/** The request conflicts with stored data, e.g. a used id, or an idempotency key with a different input. */
export class ConflictError extends AppError {
  constructor(text: ClientText) {
    super('CONFLICT', text);
  }
}

/** The id chosen by a client belongs to an existing object. */
export class IdTakenError extends ConflictError {
  constructor(id: string) {
    super(`The id ${id} is taken.`);
  }
}

export class ThreadBusyError extends AppError {
  constructor(threadId: string) {
    super('THREAD_BUSY', `Thread ${threadId} has a running or due run.`);
  }
}

/** The database could not execute a statement. The same statement may succeed later. */
export class DatabaseAwayError extends AppError {
  /** True: the statement changed nothing. False: its connection broke, and its outcome is unknown. */
  readonly changedNothing: boolean;

  constructor(cause?: unknown, { changedNothing = false } = {}) {
    const isReached = isDatabaseError(cause) && !endsConnection(cause);
    super(
      'SERVICE_UNAVAILABLE',
      isReached ? 'The database cannot do this at the moment.' : 'The database cannot be reached.',
    );
    this.cause = cause;
    this.changedNothing = changedNothing;
  }
}

/** The database refused a statement of a run. A repetition would fail too. */
export class StatementRefusedError extends Error {
  /** SQLSTATE. */
  readonly code: string;
  readonly constraint: string | undefined;

  constructor(cause: DatabaseError) {
    super(`The state of the run could not be stored or read: ${refusalOf(cause)}`, { cause });
    this.name = 'StatementRefusedError';
    this.code = cause.code;
    this.constraint = cause.constraint;
  }
}

/** The reason for a refused statement, without PostgreSQL's message: it may quote SQL and values. */
export function refusalOf({ code }: DatabaseError): string {
  return `the database refused it, ${reasonOf(code)} (SQLSTATE ${code}).`;
}

function reasonOf(state: string): string {
  if (state.startsWith('22')) return 'because PostgreSQL cannot store a text or number in it';
  if (/^(53|54|XX)/.test(state)) return 'perhaps because it is too large or too deeply nested';
  return 'and would refuse it again';
}

/** An error reported by PostgreSQL, in the form of pg. */
export interface DatabaseError extends Error {
  /** SQLSTATE. */
  code: string;
  severity: string;
  constraint?: string;
  routine?: string;
}

/** Compares properties, not the class: several copies of pg may be loaded. */
export function isDatabaseError(error: unknown): error is DatabaseError {
  if (!(error instanceof Error && 'code' in error && 'severity' in error)) return false;
  return /^[0-9A-Z]{5}$/.test(String(error.code));
}

// SQLSTATE classes and states independent of the statement (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const AWAY_STATES = [
  '08', // the connection
  '25006', // a standby or read-only database
  '25P03|25P04|26000', // the session
  '28|3D000|42501', // passwords, rights and names, possibly during a change
  '40', // a deadlock or a similar conflict between transactions
  '53', // disk, memory, connections
  '55000|55006|55P03', // a lock, or a database closed to connections
  '57', // an operator, a timeout, a shutdown
  '58', // the operating system
];
const AWAY_STATE = new RegExp(`^(${AWAY_STATES.join('|')})`);

// Codes of sockets and of Prisma.
const AWAY_CODE =
  /^(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EPIPE|EHOSTUNREACH|P1000|P1001|P1002|P1003|P1008|P1010|P1017|P2024|P2028|P2034|P2037)$/;

// Errors of pg without a code.
const AWAY_MESSAGE =
  /^(Connection terminated|timeout exceeded when trying to connect|Cannot use a pool after calling end|Client has encountered a connection error)/;

/** Whether a statement failed because the database is unavailable. Checks the error and its causes. */
export function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (isDatabaseError(error)) return AWAY_STATE.test(error.code) || isOutdatedPlan(error);
  const code = 'code' in error ? String(error.code) : '';
  if (AWAY_CODE.test(code) || AWAY_MESSAGE.test(error.message)) return true;
  return AWAY_STATE.test(driverCode(error)) || isDatabaseAway(error.cause);
}

/** The driver's code, stored by Prisma beside its own code for an unknown error. */
function driverCode({ meta }: Error & { meta?: unknown }): string {
  const known = meta as { driverAdapterError?: { cause?: { originalCode?: string } } } | undefined;
  return known?.driverAdapterError?.cause?.originalCode ?? '';
}

/** A newer version of the server changed a table after this connection prepared the statement. */
function isOutdatedPlan({ code, routine }: DatabaseError): boolean {
  return code === '0A000' && routine === 'RevalidateCachedQuery';
}

/** Whether PostgreSQL closes the connection with this error. */
export function endsConnection({ code, severity }: DatabaseError): boolean {
  return /^(FATAL|PANIC)$/.test(severity) || /^(08|57P0|25P03|25P04)/.test(code);
}

/** Whether a new connection may work after this error: the current one leads to a standby, or is outdated or closed. */
export function outdatesConnection(error: unknown): boolean {
  if (error instanceof DatabaseAwayError) return outdatesConnection(error.cause);
  if (!isDatabaseError(error)) return false;
  return /^(25006|26000)$/.test(error.code) || isOutdatedPlan(error) || endsConnection(error);
}

/** Whether the database cannot store anything now: it is read-only, or its disk is full or broken. */
export function refusesWrites(error: unknown): boolean {
  if (error instanceof DatabaseAwayError) return refusesWrites(error.cause);
  return isDatabaseError(error) && /^(25006|53[0124]|58)/.test(error.code);
}

/** SQLSTATE class XX: an internal error of PostgreSQL. Some are temporary, e.g. after a concurrent change of the row. */
export function isInternalError(error: unknown): boolean {
  return isDatabaseError(error) && error.code.startsWith('XX');
}

/** Internal: the attempt lost its claim. A different attempt may have claimed the run since. */
export class ClaimLostError extends Error {
  constructor() {
    super('The claim on this run was lost.');
    this.name = 'ClaimLostError';
  }
}

/** The stored and shown form of an error: class and message, cut at 2,000 characters, without a stack. */
export interface ErrorSummary {
  name: string;
  message: string;
}

const NAME_LIMIT = 200;
const MESSAGE_LIMIT = 2000;

/** The class and message of a thrown value. Never throws. */
export function summarizeError(thrown: unknown): ErrorSummary {
  const name = orElse('', () => (isError(thrown) ? errorClass(thrown) : ''));
  const message = orElse('The thrown error cannot be read.', () =>
    described(isError(thrown) ? thrown.message : thrown),
  );
  return { name: cut(name, NAME_LIMIT) || 'Error', message: cut(message, MESSAGE_LIMIT) };
}

/** The class and message of a stored error. Rows of earlier versions may have a name or message of any type. */
export function readErrorSummary(stored: Record<string, unknown>): ErrorSummary {
  const { name, message } = stored;
  return {
    name: (typeof name === 'string' && cut(name, NAME_LIMIT)) || 'Error',
    message: cut(described(message ?? ''), MESSAGE_LIMIT),
  };
}

/** Includes errors of a different realm, with its own class `Error`. */
function isError(thrown: unknown): thrown is Error {
  return thrown instanceof Error || types.isNativeError(thrown);
}

/** The error's name, or its class if the error has the default name. */
function errorClass({ name, constructor }: Error): string {
  if (typeof name === 'string' && name !== 'Error') return name;
  return typeof constructor.name === 'string' ? constructor.name : '';
}

function described(value: unknown): string {
  return typeof value === 'string' ? value : inspect(value).replaceAll(/\n\s+at .*/g, '');
}

/** Well-formed text of at most `limit` code units. PostgreSQL and strict JSON parsers refuse null bytes and lone surrogates. */
function cut(text: string, limit: number): string {
  const shown =
    text.length > limit ? `${text.slice(0, limit - 1).replace(HALF_AT_END, '')}…` : text;
  return shown.replaceAll(/[\0\p{Surrogate}]/gu, '\uFFFD');
}

const HALF_AT_END = /\p{Surrogate}$/u;

function orElse<T>(otherwise: T, read: () => T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

/** SQLSTATE 23505: a concurrent statement inserted the key; optionally only for this constraint. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (!(error instanceof Error && 'code' in error && error.code === '23505')) return false;
  return constraint === undefined || ('constraint' in error && error.constraint === constraint);
}

/** SQLSTATE class 40: a conflict of transactions, such as a deadlock. An immediate repetition may succeed. */
export function isTransactionRollback(error: unknown): boolean {
  if (error instanceof DatabaseAwayError) return isTransactionRollback(error.cause);
  return error instanceof Error && 'code' in error && String(error.code).startsWith('40');
}
