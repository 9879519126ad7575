import { cacheExchange } from '@urql/exchange-graphcache';
import { Client, fetchExchange, subscriptionExchange } from 'urql';
import { createThreadClient, type ThreadClient } from '../../client/client.ts';
import { API_URL } from './address.ts';
import { createLiveTransport, subscribe } from './connection.ts';
import { sendOverHttp } from './http.ts';
import { credentialHeaders, type Credential } from './session.ts';

export interface Clients {
  /** Queries, mutations and subscriptions of the screens. */
  api: Client;
  /** Conversations, as any front end may show them. */
  threads: ThreadClient;
}

/** The clients of a credential. All their subscriptions share one WebSocket. */
export function createClients(credential: Credential | undefined): Clients {
  const headers = credentialHeaders(credential);
  const transport = createLiveTransport(headers);
  const api = new Client({
    url: API_URL,
    preferGetMethod: false,
    fetch: sendOverHttp,
    fetchOptions: { headers },
    exchanges: [
      entities(),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = '', variables = {} }) => ({
          subscribe: (sink) => ({
            unsubscribe: subscribe(transport, { query, variables: { ...variables } }, sink),
          }),
        }),
      }),
    ],
  });
  return { api, threads: createThreadClient({ url: API_URL }, transport) };
}

/** Objects with an id exist once for all screens. The others are parts of their answers. */
function entities() {
  const own = () => null;
  return cacheExchange({
    keys: {
      // A copy of a thread keeps the ids of its checkpoints.
      Checkpoint: ({ threadId, namespace, checkpointId }) =>
        threadId && checkpointId ? JSON.stringify([threadId, namespace, checkpointId]) : null,
      AssistantVersion: own,
      GraphEdge: own,
      GraphNode: own,
      Message: own,
      MessageVersion: own,
      RunError: own,
      RunStatusCount: own,
      Subgraph: own,
      Task: own,
      ThreadPreview: own,
      ThreadStatusCount: own,
      ThreadStorage: own,
      TokenUsage: own,
      ToolCall: own,
      Viewer: own,
    },
    updates: {
      Mutation: {
        createThread: (_result, _variables, cache) => cache.invalidate('Query', 'threads'),
        copyThread: (_result, _variables, cache) => cache.invalidate('Query', 'threads'),
        createAssistant: (_result, _variables, cache) => cache.invalidate('Query', 'assistants'),
        deleteThread: (_result, { id }, cache) =>
          cache.invalidate({ __typename: 'Thread', id: id as string }),
        deleteAssistant: (_result, { id }, cache) =>
          cache.invalidate({ __typename: 'Assistant', id: id as string }),
        deleteRun: (_result, { id }, cache) =>
          cache.invalidate({ __typename: 'Run', id: id as string }),
      },
    },
  });
}
