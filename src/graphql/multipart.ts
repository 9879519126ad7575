import type { ExecutionResult } from 'graphql';
import { isAsyncIterable, type FetchAPI, type Plugin } from 'graphql-yoga';
import { withoutHttp } from './errors.ts';

/** https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol */
const MEDIA_TYPE = 'multipart/mixed';
const HEARTBEAT_MS = 5000;
const BOUNDARY = '\r\n--graphql';

/** Sends subscriptions as multipart answers to clients that ask for Apollo's protocol, such as Apollo Client over HTTP. */
export function useMultipartSubscriptions(): Plugin {
  return {
    onResultProcess({ request, result, acceptableMediaTypes, setResultProcessor }) {
      const accepted = request.headers.get('accept') ?? '';
      if (!/\bsubscriptionSpec="?1\.0\b/i.test(accepted)) return;
      acceptableMediaTypes.push(MEDIA_TYPE);
      if (isAsyncIterable<ExecutionResult>(result)) {
        setResultProcessor(
          (_result, fetchAPI) =>
            new fetchAPI.Response(partsOf(result, fetchAPI), {
              headers: { 'content-type': `${MEDIA_TYPE};boundary="graphql";subscriptionSpec=1.0` },
            }),
          MEDIA_TYPE,
        );
      }
    },
  };
}

/** A boundary follows each part at once: a client reads a part up to its boundary. */
function partsOf(
  results: AsyncIterable<ExecutionResult>,
  { ReadableStream }: FetchAPI,
): ReadableStream<Uint8Array> {
  const iterator = results[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  const part = (content: object) =>
    encoder.encode(
      `\r\nContent-Type: application/json\r\n\r\n${JSON.stringify(content)}${BOUNDARY}`,
    );
  let heartbeats: NodeJS.Timeout;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(BOUNDARY));
      // The first heartbeat also makes the client see that its request was accepted.
      controller.enqueue(part({}));
      heartbeats = setInterval(() => {
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(part({}));
      }, HEARTBEAT_MS);
    },
    async pull(controller) {
      const { done, value } = await iterator.next().catch((error: unknown) => {
        clearInterval(heartbeats);
        throw error;
      });
      if (!done) return controller.enqueue(part({ payload: payloadOf(value) }));
      clearInterval(heartbeats);
      controller.enqueue(encoder.encode('--\r\n'));
      controller.close();
    },
    async cancel() {
      clearInterval(heartbeats);
      await iterator.return?.();
    },
  });
}

function payloadOf({ errors, ...result }: ExecutionResult): ExecutionResult {
  return errors ? { ...result, errors: errors.map(withoutHttp) } : result;
}
