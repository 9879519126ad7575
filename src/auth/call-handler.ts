import { AppError, ForbiddenError, summarizeError, UnauthenticatedError } from '../errors.ts';

/** A handler must answer within this time. */
const LONGEST_MS = 10_000;

/** A handler gave no answer in time. */
export class HandlerTimeoutError extends AppError {
  constructor(handler: string) {
    super(
      'SERVICE_UNAVAILABLE',
      `The handler of ${handler} did not answer within ${LONGEST_MS / 1000} s.`,
    );
  }
}

/** Calls a handler and waits for its answer. Throws what the handler throws, and HandlerTimeoutError. */
export async function callHandler(handler: string, call: () => unknown): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new HandlerTimeoutError(handler)), LONGEST_MS).unref();
  });
  try {
    return await Promise.race([call(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** An error for the client, if a handler has thrown an HTTPException below status 500. Its message is for the client. */
export function readHttpException(thrown: unknown): AppError | undefined {
  if (!isHttpException(thrown) || thrown.status >= 500) return undefined;
  const { message } = summarizeError(thrown);
  switch (thrown.status) {
    case 401:
      return new UnauthenticatedError(message);
    case 404:
      return new AppError('NOT_FOUND', message);
    case 409:
      return new AppError('CONFLICT', message);
    default:
      return new ForbiddenError(message);
  }
}

/** By name: the project may have its own copy of the package. */
function isHttpException(thrown: unknown): thrown is Error & { status: number } {
  return (
    thrown instanceof Error &&
    'status' in thrown &&
    typeof thrown.status === 'number' &&
    /^_?HTTPException\d*$/.test(thrown.constructor.name)
  );
}
