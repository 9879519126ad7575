import { randomId } from './app.ts';

/** A client of the REST interface, which sends its identity as its key. */
export interface RestClient {
  /** Sends a request such as `POST /assistants`, and returns the JSON of a successful answer. */
  send(request: string, body?: unknown): Promise<any>;
}

/** One call of a route. */
export interface RestCall {
  /** Makes what the call needs, and returns the values of the names in the path. */
  prepare?: (client: RestClient) => Promise<Record<string, string>>;
  query?: string;
  body?: unknown;
}

async function ownAssistant({ send }: RestClient) {
  const { assistant_id } = await send('POST /assistants', { graph_id: 'echo' });
  return { assistant_id };
}

/** An assistant with one thread in its name. */
async function assistantWithThread(client: RestClient) {
  const { assistant_id } = await ownAssistant(client);
  await client.send('POST /graphql', {
    query:
      'mutation ($metadata: JSONObject!) { createThread(input: { metadata: $metadata }) { id } }',
    variables: { metadata: { assistant_id } },
  });
  return { assistant_id };
}

const echo = async () => ({ assistant_id: 'echo' });
const subgraph = async () => ({ assistant_id: 'deep', namespace: 'middle' });

async function ownThread({ send }: RestClient) {
  const { thread_id } = await send('POST /threads', {});
  return { thread_id };
}

/** A thread with one checkpoint. */
async function threadWithState({ send }: RestClient) {
  const input = { values: { messages: [] }, as_node: '__input__' };
  const { thread_id } = await send('POST /threads', {
    metadata: { graph_id: 'echo' },
    supersteps: [{ updates: [input] }],
  });
  const { checkpoint } = await send(`GET /threads/${thread_id}/state`);
  return { thread_id, checkpoint_id: checkpoint.checkpoint_id };
}

/** A run that has ended. */
async function ownRun(client: RestClient) {
  const { thread_id } = await ownThread(client);
  const runs = `/threads/${thread_id}/runs`;
  const { run_id } = await client.send(`POST ${runs}`, RUN);
  await client.send(`GET ${runs}/${run_id}/join`);
  return { thread_id, run_id };
}

/** A run that has not started. */
async function waitingRun(client: RestClient) {
  const { thread_id } = await ownThread(client);
  const { run_id } = await client.send(`POST /threads/${thread_id}/runs`, {
    ...RUN,
    after_seconds: 600,
  });
  return { thread_id, run_id };
}

const RUN = { assistant_id: 'echo', input: { messages: [] } };

/** A call of each route that needs a login. A new route needs one here. */
export const REST_CALLS: Record<string, RestCall> = {
  'POST /assistants': { body: { graph_id: 'echo' } },
  'POST /assistants/search': { body: {} },
  'POST /assistants/count': { body: {} },
  'GET /assistants/{assistant_id}': { prepare: echo },
  'PATCH /assistants/{assistant_id}': { prepare: ownAssistant, body: { name: 'new' } },
  'DELETE /assistants/{assistant_id}': {
    prepare: assistantWithThread,
    query: '?delete_threads=true',
  },
  'POST /assistants/{assistant_id}/versions': { prepare: echo, body: {} },
  'POST /assistants/{assistant_id}/latest': { prepare: ownAssistant, body: { version: 1 } },
  'GET /assistants/{assistant_id}/graph': { prepare: echo },
  'GET /assistants/{assistant_id}/schemas': { prepare: echo },
  'GET /assistants/{assistant_id}/subgraphs': { prepare: echo },
  'GET /assistants/{assistant_id}/subgraphs/{namespace}': { prepare: subgraph },
  'POST /threads': { body: {} },
  'POST /threads/search': { body: {} },
  'POST /threads/count': { body: {} },
  'POST /threads/prune': { body: { thread_ids: [randomId()] } },
  'GET /threads/{thread_id}': { prepare: ownThread },
  'PATCH /threads/{thread_id}': { prepare: ownThread, body: { metadata: {} } },
  'DELETE /threads/{thread_id}': { prepare: ownThread },
  'POST /threads/{thread_id}/copy': { prepare: ownThread },
  'GET /threads/{thread_id}/storage': { prepare: threadWithState },
  'GET /threads/{thread_id}/state': { prepare: ownThread },
  'GET /threads/{thread_id}/state/{checkpoint_id}': { prepare: threadWithState },
  'POST /threads/{thread_id}/state/checkpoint': { prepare: ownThread, body: { checkpoint: {} } },
  'POST /threads/{thread_id}/state': { prepare: threadWithState, body: { values: null } },
  'GET /threads/{thread_id}/history': { prepare: ownThread },
  'POST /threads/{thread_id}/history': { prepare: ownThread, body: {} },
  'GET /threads/{thread_id}/stream': { prepare: ownThread },
  'POST /threads/{thread_id}/commands': {
    prepare: ownThread,
    body: { id: 1, method: 'run.start', params: RUN },
  },
  'POST /threads/{thread_id}/stream/events': {
    prepare: ownThread,
    body: { channels: ['lifecycle'] },
  },
  'POST /threads/{thread_id}/runs': { prepare: ownThread, body: RUN },
  'POST /threads/{thread_id}/runs/stream': { prepare: ownThread, body: RUN },
  'POST /threads/{thread_id}/runs/wait': { prepare: ownThread, body: RUN },
  'GET /threads/{thread_id}/runs': { prepare: ownThread },
  'GET /threads/{thread_id}/runs/{run_id}': { prepare: ownRun },
  'DELETE /threads/{thread_id}/runs/{run_id}': { prepare: ownRun },
  'POST /threads/{thread_id}/runs/{run_id}/cancel': { prepare: waitingRun },
  'GET /threads/{thread_id}/runs/{run_id}/join': { prepare: ownRun },
  'GET /threads/{thread_id}/runs/{run_id}/stream': { prepare: ownRun },
  'POST /runs': { body: RUN },
  'POST /runs/batch': { body: [RUN, RUN] },
  'POST /runs/stream': { body: RUN },
  'POST /runs/wait': { body: RUN },
  'POST /runs/cancel': { prepare: waitingRun, body: { status: 'pending' } },
  'GET /runs/{run_id}': { prepare: ownRun },
  'GET /runs/{run_id}/join': { prepare: ownRun },
  'GET /runs/{run_id}/stream': { prepare: ownRun },
};
