import { randomUUID } from 'node:crypto';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import type { Client, Run, StartOptions } from './client.ts';
import { createStopwatch, INPUT } from './client.ts';
import type { GraphName } from './graphs/factory.ts';

const CREATE = `mutation ($input: CreateRunInput!) { createRun(input: $input) { id threadId } }`;
const WAIT = `mutation ($input: CreateRunInput!) {
  createRun(input: $input, wait: true) { id status output }
}`;
const STREAM = `subscription ($input: CreateRunInput!) { streamRun(input: $input) {
  __typename id
  ... on UpdatesEvent { node update }
  ... on MessagesEvent { isChunk message { messageId type text } }
  ... on RunFinishedEvent { status }
} }`;
const CHUNKS = `subscription ($runId: ID!) { runEvents(runId: $runId, modes: [MESSAGES]) {
  __typename id ... on MessagesEvent { isChunk message { messageId text } }
} }`;
const BUSY = `{ threads(filter: { status: [BUSY] }, first: 1) { nodes { id } } }`;
const CREATE_THREAD = `mutation ($input: CreateThreadInput!) {
  createThread(input: $input) { id status metadata createdAt }
}`;
const THREAD = `query ($id: ID!) { thread(id: $id) { id status metadata values createdAt updatedAt } }`;
const SEARCH = `query ($metadata: JSONObject!) { threads(filter: { metadata: $metadata }, first: 10) {
  nodes { id status metadata createdAt updatedAt }
} }`;
const STATE = `query ($id: ID!) { thread(id: $id) { state {
  checkpointId parentCheckpointId createdAt metadata values next tasks { name }
} } }`;
const HISTORY = `query ($id: ID!, $first: Int!) { thread(id: $id) { history(first: $first) { nodes {
  checkpointId parentCheckpointId createdAt metadata values next tasks { name }
} } } }`;
const COPY = `mutation ($id: ID!) { copyThread(id: $id) { id } }`;
const EDIT = `mutation ($id: ID!, $values: JSON!) {
  updateThreadState(id: $id, input: { values: $values, asNode: "node1" }) { checkpointId }
}`;

type Variables = Record<string, unknown>;
type Payload = { data?: any; errors?: readonly { message: string }[] | null };

/** Drives a threadql server, or a server with the same API, over HTTP with keep-alive, a single WebSocket, and SSE. */
export function createThreadqlClient(url: string): Client {
  const endpoint = `${url}/graphql`;
  const socket = createSocket();
  const sse = createSseClient({ url: endpoint, retryAttempts: 0 });

  function createSocket() {
    return createWsClient({
      url: endpoint.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      lazy: true,
      lazyCloseTimeout: 60_000,
      retryAttempts: 0,
    });
  }

  async function ask(query: string, variables: Variables): Promise<any> {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    });
    return dataOf((await response.json()) as Payload);
  }

  const runInput = (
    graph: GraphName,
    threadId?: string,
    { input, ...rest }: StartOptions = {},
  ) => ({
    assistantId: graph,
    input: { ...INPUT, ...input },
    ...(threadId && { threadId, ifThreadMissing: 'CREATE' }),
    ...rest,
  });

  return {
    async freshThreads(count) {
      return Array.from({ length: count }, () => randomUUID());
    },
    async wait(graph, threadId) {
      const { createRun } = await ask(WAIT, { input: runInput(graph, threadId) });
      if (createRun.status !== 'SUCCESS') throw new Error(`A run ended ${createRun.status}.`);
    },
    async follow(graph, threadId, transport) {
      const watch = createStopwatch();
      const client = transport === 'websocket' ? socket : sse;
      const input = { ...runInput(graph, threadId), idempotencyKey: randomUUID() };
      for await (const payload of client.iterate<any>({ query: STREAM, variables: { input } })) {
        const { __typename: type, isChunk } = dataOf(payload).streamRun;
        watch.saw(isChunk ? 'chunk' : type === 'UpdatesEvent' ? 'update' : 'other');
      }
      return watch.ended();
    },
    async start(graph, threadId, options) {
      const { createRun } = await ask(CREATE, { input: runInput(graph, threadId, options) });
      return { id: createRun.id, threadId };
    },
    async isBusy() {
      return (await ask(BUSY, {})).threads.nodes.length > 0;
    },
    async subscribe(run: Run, onChunk) {
      const own = createSocket();
      const opened = new Promise((resolve) => own.on('connected', resolve));
      const ended = (async () => {
        const request = { query: CHUNKS, variables: { runId: run.id } };
        for await (const payload of own.iterate<any>(request)) {
          const { isChunk, message } = dataOf(payload).runEvents;
          if (isChunk) onChunk(message.text);
        }
      })();
      await Promise.race([opened, ended]);
      return { ended, close: async () => own.dispose() };
    },
    async createThread(metadata = {}) {
      return (await ask(CREATE_THREAD, { input: { metadata } })).createThread.id;
    },
    async getThread(id) {
      if ((await ask(THREAD, { id })).thread === null) throw new Error(`No thread ${id}.`);
    },
    async search(metadata) {
      return (await ask(SEARCH, { metadata })).threads.nodes.length;
    },
    async state(id) {
      return (await ask(STATE, { id })).thread.state.values.messages.length;
    },
    async history(id, limit) {
      return (await ask(HISTORY, { id, first: limit })).thread.history.nodes.length;
    },
    async copy(id) {
      await ask(COPY, { id });
    },
    async createEdited() {
      return (await ask(CREATE_THREAD, { input: { graphId: 'echo' } })).createThread.id;
    },
    async edit(id, messages) {
      const values = { messages: messages.map((content) => ({ role: 'assistant', content })) };
      await ask(EDIT, { id, values });
    },
    async [Symbol.asyncDispose]() {
      sse.dispose();
      await socket.dispose();
    },
  };
}

function dataOf({ data, errors }: Payload): any {
  if (errors) throw new Error(errors[0]?.message);
  return data;
}
