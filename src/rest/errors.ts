import { z } from 'zod';
import { describeZodError } from '../describe-zod-error.ts';
import {
  AppError,
  DatabaseAwayError,
  isDatabaseAway,
  NotFoundError,
  type ErrorCode,
} from '../errors.ts';
import { RefusedError } from '../http/refused.ts';
import type { Logger } from '../log.ts';

/** 422 for all other codes. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  THREAD_BUSY: 409,
  PAYLOAD_TOO_LARGE: 413,
  RATE_LIMITED: 429,
  INTERNAL_SERVER_ERROR: 500,
  SERVICE_UNAVAILABLE: 503,
  OPERATION_TIMEOUT: 503,
};

/** The SDKs show one of the two texts: Python `detail`, the transports of JavaScript `message`. The code is that of GraphQL. */
export function errorBody(message: string, code: ErrorCode) {
  return { detail: message, message, code };
}

/** The answer to a request that failed. Logs what is not the client's mistake. */
export function answerError(thrown: unknown, log: Logger): Response {
  const { status, code, message, headers } = readError(thrown, log);
  return Response.json(errorBody(message, code), { status, ...(headers && { headers }) });
}

interface Failure {
  status: number;
  code: ErrorCode;
  message: string;
  headers?: Record<string, string>;
}

function readError(thrown: unknown, log: Logger): Failure {
  if (thrown instanceof z.ZodError) {
    return { status: 422, code: 'BAD_USER_INPUT', message: describeZodError(thrown) };
  }
  if (thrown instanceof RefusedError) return thrown;
  if (thrown instanceof DatabaseAwayError || isDatabaseAway(thrown)) {
    log.error({ err: thrown }, 'a request failed: the database is away');
    const { code, message } = new DatabaseAwayError();
    return { status: 503, code, message };
  }
  if (thrown instanceof AppError) {
    const { retryAfterSeconds } = thrown.details;
    return {
      status: STATUS[thrown.code] ?? 422,
      code: thrown.code,
      message: inRestWords(thrown),
      ...(typeof retryAfterSeconds === 'number' && {
        headers: { 'retry-after': String(retryAfterSeconds) },
      }),
    };
  }
  if (!isAbort(thrown)) log.error({ err: thrown }, 'a request failed unexpectedly');
  return { status: 500, code: 'INTERNAL_SERVER_ERROR', message: 'Unexpected error.' };
}

/** The message with the names of the REST interface. Clients look for `Assistant not found`. */
export function inRestWords(error: AppError): string {
  if (error instanceof NotFoundError && error.what === 'Assistant') {
    return `Assistant not found: ${error.id}`;
  }
  return error.messageWith(restName);
}

/** Fields with another name in the REST interface. */
const OTHER_NAMES: Record<string, string> = {
  inputs: 'body',
  olderThan: 'before',
  idempotencyKey: 'Idempotency-Key',
  ifThreadMissing: 'if_not_exists',
};

/** Lists of ids, each for one route. */
const ID_LISTS: Record<string, string> = { 'selection.ids': 'thread_ids', 'filter.ids': 'run_ids' };

/** Fields with JSON of the client. The names in it are the client's. */
const JSON_FIELDS = /^(input|config|context|metadata|values|update|value)\b/;

/** `thread_id` for `input.threadId`. A path in the body has the names of the REST interface already. */
function restName(path: string): string {
  if (path.startsWith('body.')) return path.slice('body.'.length);
  const steps = path
    .replace(/^\w+\.ids\b/, (list) => ID_LISTS[list] ?? list)
    .replace(/^(input|filter)\./, '')
    .split('.');
  const json = steps.findIndex((step) => JSON_FIELDS.test(step));
  const own = json === -1 ? steps : steps.slice(0, json);
  const named = own.map((step) =>
    step.replace(/^\w+/, (name) => OTHER_NAMES[name] ?? toSnakeCase(name)),
  );
  return [...named, ...steps.slice(own.length)].join('.');
}

function toSnakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
