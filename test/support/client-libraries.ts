import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import {
  cacheExchange,
  Client as UrqlClient,
  fetchExchange,
  subscriptionExchange,
} from '@urql/core';
import { OperationTypeNode, print, type DocumentNode } from 'graphql';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { expect } from 'vitest';
import type { Document } from './app.ts';
import type { Answered } from './graphql.ts';
import { collect } from './streams.ts';

type Variables = Record<string, unknown>;

/** A GraphQL client library, set up as in its manual. It does not retry, because it has no cursor. */
export interface Library extends AsyncDisposable {
  query<Result>(document: Document<Result>, variables?: Variables): Promise<Answered<Result>>;
  mutate<Result>(document: Document<Result>, variables?: Variables): Promise<Answered<Result>>;
  /** Ends with the subscription, or throws the error of its connection. */
  subscribe<Result>(document: Document<Result>, variables?: Variables): AsyncIterable<Result>;
}

const URQL_OVER_SSE = 'urql over HTTP and SSE';

export const LIBRARIES: [string, (url: string) => Promise<Library>][] = [
  ['Apollo Client over HTTP and WebSocket', async (url) => (await createApollo(url)).library],
  [
    'Apollo Client over HTTP in parts',
    async (url) => (await createApollo(url, new HttpLink({ uri: url }))).library,
  ],
  ['urql over HTTP and WebSocket', async (url) => createUrql(url, { overSse: false })],
  [URQL_OVER_SSE, async (url) => createUrql(url, { overSse: true })],
  [
    'graphql-ws',
    async (url) => createPlain(createWsClient({ url: socketUrlOf(url), retryAttempts: 0 })),
  ],
  ['graphql-sse', async (url) => createPlain(createSseClient({ url, retryAttempts: 0 }))],
];

// In Node, urql leaves a stream by a rejection without a handler.
export const LEAVING_LIBRARIES = LIBRARIES.filter(([name]) => name !== URQL_OVER_SSE);

const socketUrlOf = (url: string) => url.replace('http', 'ws');

/** Reads the types of each interface, by the query in the manual of Apollo Client. */
async function findPossibleTypes(url: string): Promise<Record<string, string[]>> {
  const query = '{ __schema { types { name possibleTypes { name } } } }';
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  const { data } = (await response.json()) as {
    data: { __schema: { types: { name: string; possibleTypes: { name: string }[] | null }[] } };
  };
  return Object.fromEntries(
    data.__schema.types.flatMap(({ name, possibleTypes }) =>
      possibleTypes ? [[name, possibleTypes.map((type) => type.name)]] : [],
    ),
  );
}

/** By default, queries use HTTP and subscriptions a WebSocket. */
export async function createApollo(url: string, link?: ApolloLink) {
  const socket = link ? undefined : createWsClient({ url: socketUrlOf(url), retryAttempts: 0 });
  const http = link ?? new HttpLink({ uri: url });
  const apollo = new ApolloClient({
    cache: new InMemoryCache({ possibleTypes: await findPossibleTypes(url) }),
    link: socket
      ? ApolloLink.split(
          ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
          new GraphQLWsLink(socket),
          http,
        )
      : http,
  });
  const library: Library = {
    async query<Result>(query: DocumentNode, variables?: Variables) {
      return (await apollo.query({ query, variables })).data as Result;
    },
    async mutate<Result>(mutation: DocumentNode, variables?: Variables) {
      return (await apollo.mutate({ mutation, variables })).data as Result;
    },
    subscribe: (query: DocumentNode, variables?: Variables) =>
      streamOf(({ next, error, complete }) => {
        const subscription = apollo.subscribe({ query, variables }).subscribe({
          next: (result) => (result.error ? error(result.error) : next(result.data)),
          error,
          complete,
        });
        return () => subscription.unsubscribe();
      }),
    async [Symbol.asyncDispose]() {
      apollo.stop();
      await socket?.dispose();
    },
  };
  return { apollo, library };
}

function createUrql(url: string, { overSse }: { overSse: boolean }): Library {
  const socket = createWsClient({ url: socketUrlOf(url), retryAttempts: 0 });
  const overSocket = subscriptionExchange({
    forwardSubscription: ({ query = '', variables }) => ({
      subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
    }),
  });
  const urql = new UrqlClient({
    url,
    fetchSubscriptions: overSse,
    exchanges: [cacheExchange, fetchExchange, ...(overSse ? [] : [overSocket])],
  });
  return {
    async query<Result>(document: DocumentNode, variables: Variables = {}) {
      return dataOf(await urql.query<Result>(document, variables));
    },
    async mutate<Result>(document: DocumentNode, variables: Variables = {}) {
      return dataOf(await urql.mutation<Result>(document, variables));
    },
    subscribe: (document: DocumentNode, variables: Variables = {}) =>
      streamOf(({ next, error, complete }) => {
        const { unsubscribe } = urql.subscription(document, variables).subscribe((result) => {
          if (result.error) error(result.error);
          // At the end, urql repeats the last result.
          else if (result.hasNext) next(result.data);
          else complete();
        });
        return unsubscribe;
      }),
    [Symbol.asyncDispose]: async () => socket.dispose(),
  };
}

function dataOf<Result>(result: { data?: Result | undefined; error?: Error | undefined }): Result {
  if (result.error) throw result.error;
  return result.data ?? expect.fail('An answer without data');
}

type Results = AsyncIterable<{ data?: unknown; errors?: readonly { message: string }[] }>;

function createPlain(plain: {
  iterate(payload: { query: string; variables?: Variables }): Results;
  dispose(): void | Promise<void>;
}): Library {
  async function* subscribe<Result>(document: DocumentNode, variables?: Variables) {
    const results = plain.iterate({ query: print(document), variables });
    for await (const { data, errors } of results) {
      if (errors) throw Object.assign(new Error(errors[0]?.message), { errors });
      yield data as Result;
    }
  }
  async function request<Result>(document: DocumentNode, variables?: Variables) {
    const answer = collect(subscribe<Result>(document, variables));
    await answer.ended;
    expect(answer.seen).toHaveLength(1);
    return answer.seen[0] as Result;
  }
  return {
    query: request,
    mutate: request,
    subscribe,
    [Symbol.asyncDispose]: async () => plain.dispose(),
  };
}

interface Sink {
  next(value: unknown): void;
  error(error: unknown): void;
  complete(): void;
}

function streamOf<Result>(subscribe: (sink: Sink) => () => void): AsyncIterable<Result> {
  let unsubscribe: () => void;
  let over = false;
  return new ReadableStream<Result>({
    start: (controller) => {
      const end = (how: () => void) => {
        if (!over) how();
        over = true;
      };
      unsubscribe = subscribe({
        next: (value) => over || controller.enqueue(value as Result),
        error: (error) => end(() => controller.error(error)),
        complete: () => end(() => controller.close()),
      });
    },
    cancel: () => {
      over = true;
      unsubscribe();
    },
  });
}
