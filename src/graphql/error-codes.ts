import type { ErrorCode } from '../errors.ts';
import { builder } from './builder.ts';

/** No field has this type: it documents `extensions.code`, and gives clients with generated types the codes. */
builder.enumType('ErrorCode', {
  description:
    'Codes of refused requests, in `extensions.code` of an error. A code for an invalid argument comes with `extensions.argument`, the path of the argument. docs/errors.md has examples.',
  values: {
    ANSWER_TOO_LARGE: {
      description: 'The answer is larger than ANSWER_LIMIT_BYTES. Ask for fewer or smaller fields.',
    },
    BAD_USER_INPUT: {
      description: 'The document or an argument is invalid, or a limit is exceeded.',
    },
    CONFLICT: {
      description:
        'The request contradicts stored data: an id in use, an interrupt that is not pending, an ended run, an idempotency key with a different input.',
    },
    FORBIDDEN: {
      description:
        'The client lacks a role, or the server does not serve this host or this web page.',
    },
    INTERNAL_SERVER_ERROR: {
      description: 'An error of the server; its log has the reason.',
    },
    NOT_FOUND: { description: 'The object named by an argument does not exist.' },
    OPERATION_TIMEOUT: { description: 'The operation took longer than OPERATION_SECONDS.' },
    PAYLOAD_TOO_LARGE: { description: 'The request is larger than BODY_LIMIT_BYTES.' },
    PERSISTED_QUERY_NOT_SUPPORTED: {
      description: 'The request has the hash of a document. Send the document.',
    },
    RATE_LIMITED: {
      description:
        'The client exceeds RATE_LIMIT. Try again after `extensions.retryAfterSeconds`. Nothing was executed.',
    },
    SERVICE_UNAVAILABLE: {
      description:
        'The database is away, or the server has too many requests. Try again later: with an idempotencyKey, a repeated createRun is safe.',
    },
    THREAD_BUSY: {
      description: 'A run of the thread is running or due. Wait for it, or cancel it.',
    },
    UNAUTHENTICATED: {
      description: 'The request has no valid credentials. Send an API key or a token.',
    },
  } satisfies Record<ErrorCode, { description: string }>,
});
