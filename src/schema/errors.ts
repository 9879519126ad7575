import { Kind, type GraphQLError } from 'graphql';
import { createGraphQLError, type Plugin } from 'graphql-yoga';
import { AppError, DatabaseAwayError, isDatabaseAway, type ErrorCode } from '../errors.ts';
import type { Logger } from '../log.ts';

/**
 * What a client sees of anything that was thrown, over HTTP, SSE and WebSocket alike: an AppError as it is, what
 * GraphQL has against the request as BAD_USER_INPUT, a database that is away as SERVICE_UNAVAILABLE. Anything else
 * is a bug: it is logged with its cause, and the client learns nothing of it.
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
      // Only what was thrown before the execution has no place in the document.
      const http = nodes === undefined && path === undefined && { http: { status: 400 } };
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

/** Gives documents that do not fit the schema the one code that we have for a client's mistakes. */
export function useValidationCode(): Plugin {
  return {
    onValidate: () => (payload) => {
      for (const error of payload.result) {
        if (isGraphQLError(error)) error.extensions['code'] = 'BAD_USER_INPUT' satisfies ErrorCode;
      }
    },
  };
}

/** Not by instanceof: graphql can be loaded twice. */
function isGraphQLError(error: unknown): error is GraphQLError {
  return error instanceof Error && error.name === 'GraphQLError';
}

function readGraphQLError(thrown: unknown): Partial<GraphQLError> {
  return isGraphQLError(thrown) ? thrown : {};
}

/** What was thrown in the first place, under everything that GraphQL wrapped around it. */
function causeOf(thrown: unknown): unknown {
  return isGraphQLError(thrown) && thrown.originalError != null
    ? causeOf(thrown.originalError)
    : thrown;
}

/** Whether GraphQL speaks of the request, and not of what a resolver gave: that has a path, and no argument's node. */
function isAboutRequest(cause: unknown, path: GraphQLError['path']): boolean {
  if (!isGraphQLError(cause)) return false;
  return path === undefined || (cause.nodes !== undefined && cause.nodes[0]?.kind !== Kind.FIELD);
}

/** Yoga has codes of its own, all of them for a client's mistakes. */
function codeOf(extensions: Partial<GraphQLError>['extensions']): ErrorCode {
  return extensions?.['code'] === 'REQUEST_ENTITY_TOO_LARGE'
    ? 'PAYLOAD_TOO_LARGE'
    : 'BAD_USER_INPUT';
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
