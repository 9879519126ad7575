import { GraphQLError, type ExecutionResult } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { ClientApp } from '../app.ts';
import { watchCredentials } from '../auth/credentials.ts';
import { UnauthenticatedError } from '../errors.ts';
import { interruptible } from '../events/interruptible.ts';

/**
 * Ends a subscription over HTTP with one UNAUTHENTICATED error when its credentials end. A WebSocket closes instead
 * (websocket.ts). Runs continue.
 */
export function useExpiry(): Plugin<ClientApp> {
  return {
    onSubscribe({ args }) {
      const { auth, viewer, request } = args.contextValue as ClientApp & { request?: Request };
      if (!request?.headers || viewer.kind === 'anonymous') return undefined;
      return {
        onSubscribeResult({ result, setResult }) {
          if (!(Symbol.asyncIterator in result)) return;
          const results = result as AsyncIterable<ExecutionResult>;
          const watched = { auth, headers: request.headers, request, viewer };
          setResult(untilEnded(results, (onEnd) => watchCredentials(watched, onEnd)));
        },
      };
    },
  };
}

type Watch = (onEnd: () => void) => () => void;

/** Interruptible: a client that leaves ends the wait for the next result. */
function untilEnded(results: AsyncIterable<ExecutionResult>, watch: Watch) {
  return interruptible((returned) => readUntilEnded(results, watch, returned));
}

async function* readUntilEnded(
  results: AsyncIterable<ExecutionResult>,
  watch: Watch,
  returned: AbortSignal,
): AsyncGenerator<ExecutionResult, void> {
  const source = results[Symbol.asyncIterator]();
  let isExpired = false;
  const end = (): void => void source.return?.();
  const stop = watch(() => {
    isExpired = true;
    end();
  });
  returned.addEventListener('abort', end);
  try {
    for (;;) {
      // Ends at once when the source returns.
      const next = await source.next();
      if (isExpired) {
        const originalError = new UnauthenticatedError('The credentials have expired.');
        yield { errors: [new GraphQLError(originalError.message, { originalError })] };
        return;
      }
      if (next.done) return;
      yield next.value;
    }
  } finally {
    stop();
    await source.return?.();
  }
}
