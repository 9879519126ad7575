import { GraphQLError, type ExecutionResult } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { ClientApp } from '../app.ts';
import { watchCredentials } from '../auth/credentials.ts';
import { UnauthenticatedError } from '../errors.ts';

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

async function* untilEnded(
  results: AsyncIterable<ExecutionResult>,
  watch: (onEnd: () => void) => () => void,
): AsyncGenerator<ExecutionResult, void> {
  const source = results[Symbol.asyncIterator]();
  let stop = () => {};
  const ended = new Promise<'ENDED'>((resolve) => {
    stop = watch(() => resolve('ENDED'));
  });
  try {
    for (;;) {
      const next = await Promise.race([source.next(), ended]);
      if (next === 'ENDED') {
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
