import { z } from 'zod';
import { describeZodError } from '../describe-zod-error.ts';
import { AppError, DatabaseAwayError, isDatabaseAway, type ErrorCode } from '../errors.ts';
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
      message: inRestWords(thrown.message),
      ...(typeof retryAfterSeconds === 'number' && {
        headers: { 'retry-after': String(retryAfterSeconds) },
      }),
    };
  }
  if (!isAbort(thrown)) log.error({ err: thrown }, 'a request failed unexpectedly');
  return { status: 500, code: 'INTERNAL_SERVER_ERROR', message: 'Unexpected error.' };
}

/** The fields of requests, as the domain names them. */
const FIELDS =
  /\b(?:input\.|filter\.)?(threadId|assistantId|graphId|checkpointId|checkpointNamespace|runId|asNode|multitaskStrategy|streamModes|interruptBefore|interruptAfter|afterSeconds|onCompletion|interruptId|ifExists)\b/g;

/** Fields that the REST interface names in another way. */
const OTHER_NAMES: readonly (readonly [RegExp, string])[] = [
  [/^Assistant (.+) does not exist\.$/, 'Assistant not found: $1'],
  [/\binputs\b(?=\[| has )/g, 'body'],
  [/\bselection\.ids\b/g, 'thread_ids'],
  [/\bfilter\.ids\b/g, 'run_ids'],
  [/\bbody\.(?=(?:ids|values)\b)/g, ''],
  [/\bolderThan\b/g, 'before'],
  [/\b(?:input\.)?idempotencyKey\b/g, 'Idempotency-Key'],
  [/\b(?:input\.)?ifThreadMissing\b/g, 'if_not_exists'],
];

/** The message with the names of the REST interface: `thread_id` for `input.threadId`. Clients look for `Assistant not found`. */
export function inRestWords(message: string): string {
  return OTHER_NAMES.reduce((text, [name, other]) => text.replace(name, other), message)
    .replaceAll(FIELDS, (_, name: string) => toSnakeCase(name))
    .replaceAll(/\binput\.(?=[a-z])/g, '');
}

function toSnakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
