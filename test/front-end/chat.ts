import { initGraphQLTada, type ResultOf, type TadaDocumentNode, type VariablesOf } from 'gql.tada';
import { print } from 'graphql';
import { createClient, type Client } from 'graphql-ws';
import type { introspection } from './generated/schema.d.ts';

const graphql = initGraphQLTada<{
  introspection: introspection;
  scalars: { DateTime: string; JSON: unknown; JSONObject: Record<string, unknown> };
}>();

const Ask = graphql(`
  mutation Ask($threadId: ID!, $assistantId: ID!, $input: JSON!, $idempotencyKey: String!) {
    createRun(
      input: {
        threadId: $threadId
        ifThreadMissing: CREATE
        assistantId: $assistantId
        input: $input
        idempotencyKey: $idempotencyKey
      }
    ) {
      id
    }
  }
`);

const Follow = graphql(`
  subscription Follow($runId: ID!, $after: ID) {
    runEvents(runId: $runId, after: $after, modes: [MESSAGES]) {
      __typename
      id
      ... on RunStartedEvent {
        attempt
      }
      ... on MessagesEvent {
        isChunk
        message {
          messageId
          type
          text
        }
      }
      ... on RunFinishedEvent {
        status
        error {
          message
        }
      }
    }
  }
`);

export type Question = Omit<VariablesOf<typeof Ask>, 'idempotencyKey'>;
export type RunEvent = ResultOf<typeof Follow>['runEvents'];

/** A refusal of the server. Every other error of `send` is an error of the network. */
export class RefusedError extends Error {}

/** Asks once. Yields each event of the answer once and in order, with any number of broken connections. */
export async function* ask(url: string, question: Question): AsyncGenerator<RunEvent, void> {
  // The client must not retry: a retry would start with the first event again.
  const client = createClient({ url, retryAttempts: 0 });
  // A repeated request with the same key returns the existing run.
  const asked = { ...question, idempotencyKey: crypto.randomUUID() };
  let runId = '';
  let after: string | undefined;
  for (;;) {
    try {
      if (!runId) {
        for await (const { createRun } of send(client, Ask, asked)) runId = createRun?.id ?? '';
      }
      for await (const { runEvents: event } of send(client, Follow, { runId, after })) {
        after = event.id;
        yield event;
        if (event.__typename === 'RunFinishedEvent') return;
      }
    } catch (error) {
      if (error instanceof RefusedError) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** Sends a document and returns the answer. */
async function* send<Result, Variables extends Record<string, unknown>>(
  client: Client,
  document: TadaDocumentNode<Result, Variables>,
  variables: Variables,
): AsyncGenerator<Result, void> {
  try {
    const answers = client.iterate<Result>({ query: print(document), variables });
    for await (const { data, errors } of answers) {
      if (errors) throw errors;
      if (data) yield data;
    }
  } catch (error) {
    throw Array.isArray(error) ? new RefusedError(error[0].message) : error;
  }
}
