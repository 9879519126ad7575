import { Kind, type GraphQLError } from 'graphql';
import { createGraphQLError, type Plugin } from 'graphql-yoga';
import { AppError, DatabaseAwayError, isDatabaseAway, type ErrorCode } from '../errors.ts';
import type { Logger } from '../log.ts';

/**
 * Converts a thrown value to the error for the client, with the same result over HTTP, SSE and WebSocket. An AppError remains
 * unchanged. A GraphQL error about the request becomes BAD_USER_INPUT, an unavailable database SERVICE_UNAVAILABLE. Anything
 * else is a bug: it is logged with its cause and masked to the client.
 */
export function createMaskError(log: Logger): (thrown: unknown) => GraphQLError {
  return (thrown) => {
    const { nodes, source, positions, path, message, extensions } = readGraphQLError(thrown);
    const show = (text: string, shown: Record<string, unknown>) =>
      createGraphQLError(text, { nodes, source, positions, path, extensions: shown });

    const cause = causeOf(thrown);
    if (cause instanceof DatabaseAwayError || isDatabaseAway(cause)) {
      log.error({ err: cause, path }, 'a request failed: the database is away');
      const { code, message } = new DatabaseAwayError();
      return show(message, { code });
    }
    if (cause instanceof AppError) {
      // Only errors thrown before the execution have no place in the document.
      const isBefore = nodes === undefined && path === undefined;
      const http = isBefore && { http: httpOf(cause) };
      return show(cause.message, { ...cause.details, code: cause.code, ...http });
    }
    if (message !== undefined && isAboutRequest(cause, path)) {
      const { http } = extensions ?? {};
      return show(message, { code: codeOf(extensions), ...(http !== undefined && { http }) });
    }
    if (!isAbort(cause)) log.error({ err: cause, path }, 'a request failed unexpectedly');
    return show('Unexpected error.', { code: 'INTERNAL_SERVER_ERROR' satisfies ErrorCode });
  };
}

interface HttpAnswer {
  status: number;
  headers?: Record<string, string>;
}

/** The answer to a request that is refused before its execution. */
function httpOf({ code, details: { retryAfterSeconds } }: AppError): HttpAnswer {
  const answer = HTTP[code] ?? { status: 400 };
  if (typeof retryAfterSeconds !== 'number') return answer;
  return { ...answer, headers: { 'retry-after': String(retryAfterSeconds) } };
}

/** 400 for all other codes. */
const HTTP: Partial<Record<ErrorCode, HttpAnswer>> = {
  FORBIDDEN: { status: 403 },
  RATE_LIMITED: { status: 429 },
  SERVICE_UNAVAILABLE: { status: 503 },
  UNAUTHENTICATED: { status: 401, headers: { 'www-authenticate': 'Bearer' } },
};

/** Sets BAD_USER_INPUT, the code for mistakes of clients, on validation errors. */
export function useValidationCode(): Plugin {
  return {
    onValidate: () => (payload) => {
      for (const error of payload.result) {
        if (isGraphQLError(error)) error.extensions['code'] = 'BAD_USER_INPUT' satisfies ErrorCode;
      }
    },
  };
}

/** By name: graphql can be loaded twice, and `instanceof` then fails. */
function isGraphQLError(error: unknown): error is GraphQLError {
  return error instanceof Error && error.name === 'GraphQLError';
}

function readGraphQLError(thrown: unknown): Partial<GraphQLError> {
  return isGraphQLError(thrown) ? thrown : {};
}

/** The original value inside all wrapping GraphQL errors. */
function causeOf(thrown: unknown): unknown {
  return isGraphQLError(thrown) && thrown.originalError != null
    ? causeOf(thrown.originalError)
    : thrown;
}

/** Whether the error is about the request. An error about a resolver's result has a path and no node of an argument. */
function isAboutRequest(cause: unknown, path: GraphQLError['path']): boolean {
  if (!isGraphQLError(cause)) return false;
  return path === undefined || (cause.nodes !== undefined && cause.nodes[0]?.kind !== Kind.FIELD);
}

/** Yoga has its own codes, all of them for mistakes of clients. */
function codeOf(extensions: Partial<GraphQLError>['extensions']): ErrorCode {
  const code = extensions?.['code'];
  if (code === 'PERSISTED_QUERY_NOT_SUPPORTED') return code;
  return code === 'REQUEST_ENTITY_TOO_LARGE' ? 'PAYLOAD_TOO_LARGE' : 'BAD_USER_INPUT';
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/** Removes the HTTP status from an error. Yoga removes it only from plain HTTP responses. */
export function withoutHttp(error: GraphQLError): GraphQLError {
  const { nodes, source, positions, path } = error;
  const extensions = { ...error.extensions };
  delete extensions['http'];
  return createGraphQLError(error.message, { nodes, source, positions, path, extensions });
}
