import { stayConnected } from '../../client/connection.ts';
import {
  createTransport,
  isAboutCredentials,
  RefusedError,
  type Transport,
} from '../../client/transport.ts';
import type { Connection } from '../../client/types.ts';
import { API_URL } from './address.ts';
import { sendOverHttp } from './http.ts';
import { logOperation } from './operations.ts';
import { refuseSession } from './session.ts';
import { createValue, useValue } from './store.ts';

/** The state of the WebSocket, and how often it was connected. */
export const connection = createValue<{ state: Connection; count: number }>({
  state: 'connecting',
  count: 0,
});

/** A transport that also knows when the connection is up. */
export interface LiveTransport extends Transport {
  ready(signal: AbortSignal): Promise<unknown>;
}

/** Subscriptions over one WebSocket, and requests over HTTP. All are recorded. */
export function createLiveTransport(headers: Record<string, string>): LiveTransport {
  const transport = createTransport({ url: API_URL, connectionParams: headers });
  return {
    ready: (signal) => transport.request('{ __typename }' as never, {}, signal),
    async follow(document, variables, signal, onData) {
      const update = logOperation(document as unknown as string, variables);
      const begin = performance.now();
      try {
        await transport.follow(document, variables, signal, (data) => {
          const bytes = JSON.stringify(data).length;
          update((entry) => ({ messages: entry.messages + 1, bytes: entry.bytes + bytes }));
          return onData(data);
        });
      } catch (error) {
        update(() => ({ error: (error as Error).message }));
        if (isAboutCredentials(error)) refuseSession();
        throw error;
      } finally {
        update(() => ({ ms: performance.now() - begin }));
      }
    },
    async request<Result>(
      document: unknown,
      variables: Record<string, unknown>,
      signal?: AbortSignal,
    ): Promise<Result> {
      // A socket closes if too much waits in it, and a state may be large.
      const response = await sendOverHttp(API_URL, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ query: document, variables }),
        signal: signal ?? null,
      });
      const { data, errors } = await response.json();
      if (errors) throw new RefusedError(errors[0].message, String(errors[0].extensions?.code));
      return data as Result;
    },
  };
}

/** How often the connection was lost and came back. What a screen has read before may be old. */
export function useReconnections(): number {
  return Math.max(0, useValue(connection).count - 1);
}

interface Sink {
  next(value: { data: Record<string, unknown> }): void;
  error(error: Error): void;
  complete(): void;
}

/** A subscription that connects again after a loss. Ends when the returned function is called, or with a final refusal. */
export function subscribe(
  transport: LiveTransport,
  { query, variables }: { query: string; variables: Record<string, unknown> },
  sink: Sink,
): () => void {
  const leaving = new AbortController();
  void stayConnected({
    signal: leaving.signal,
    startAgain: () => false,
    follow(signal, live) {
      const following = transport.follow(query as never, variables, signal, (data) =>
        sink.next({ data: data as Record<string, unknown> }),
      );
      return Promise.race([
        following,
        transport
          .ready(signal)
          .then(live)
          .then(() => following),
      ]);
    },
    onChange(state, error) {
      note(state);
      if (error) sink.error(error);
    },
  }).then(() => sink.complete());
  return () => leaving.abort();
}

function note(state: Connection): void {
  if (state === 'closed') return;
  const { state: before, count } = connection.get();
  const isNew = state === 'live' && before !== 'live';
  connection.set({ state, count: isNew ? count + 1 : count });
}
