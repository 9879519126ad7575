import path from 'node:path';
import { describe, expect } from 'vitest';
import { assistantIdOf } from '../src/graphs/load.ts';
import { randomId, type TestApp } from './support/app.ts';
import { createClient, type Client } from './support/client.ts';
import { it as base } from './support/fixture.ts';
import { createViewer } from './support/viewers.ts';

// The handlers of support/auth-handlers.ts: a user says how they change the value of each action.

interface User {
  identity: string;
  permissions?: string[];
  filter?: object;
  changes?: Record<string, object>;
}

type UserClient = Client & TestApp;

const graphsFile = path.join(import.meta.dirname, 'support/auth-graphs.json');

const it = base.extend('settings', { scope: 'file' }, { graphsFile, auth: 'keys' as const }).extend(
  'as',
  { scope: 'file' },
  ({ server }) =>
    (user: User) =>
      clientOf(server, user),
);

function clientOf(server: TestApp, user: User): UserClient {
  const means = server.as({ authorization: `Test ${JSON.stringify(user)}` });
  return { ...means, ...createClient(means) };
}

const ANN = { identity: 'ann' };
const BOB = { identity: 'bob' };
/** A filter that hides nothing. */
const ALL = {};

const codesOf = async (client: UserClient, document: string, variables = {}) =>
  (await client.request(document, variables)).errors?.map(({ extensions }) => extensions['code']);

const CREATE = `mutation ($id: ID) { createThread(input: { id: $id }) { id isNew } }`;
const RUN = `mutation ($input: CreateRunInput!) { createRun(input: $input) { id threadId status } }`;

describe('A handler that changes', () => {
  it('if_exists decides about an existing thread', async ({ as }) => {
    const id = await as(ANN).createThread();
    expect(await codesOf(as(ANN), CREATE, { id })).toEqual(['CONFLICT']);
    const lenient = as({ ...ANN, changes: { create: { if_exists: 'do_nothing' } } });
    expect(await lenient.gql(CREATE, { id })).toEqual({ createThread: { id, isNew: false } });
  });

  it('multitask_strategy decides about a thread with a run', async ({ startServer }) => {
    const { server } = await startServer({ graphsFile, workerConcurrency: 0 });
    const ann = clientOf(server, ANN);
    const input = { threadId: await ann.createThread(), assistantId: 'whoCalls', input: {} };
    await ann.startRun(input);
    const changes = { create_run: { multitask_strategy: 'reject' } };
    expect(await codesOf(clientOf(server, { ...ANN, changes }), RUN, { input })).toEqual([
      'THREAD_BUSY',
    ]);
    expect(await codesOf(ann, RUN, { input })).toBeUndefined();
  });

  it('if_not_exists decides about a missing thread', async ({ as }) => {
    const input = { threadId: randomId(), assistantId: 'whoCalls', input: {} };
    expect(await codesOf(as(ANN), RUN, { input })).toEqual(['NOT_FOUND']);
    const creating = as({ ...ANN, changes: { create_run: { if_not_exists: 'create' } } });
    expect((await creating.gql(RUN, { input })).createRun.threadId).toBe(input.threadId);
  });

  it('ids or status limits the searches for threads', async ({ as }) => {
    const owner = { identity: randomId() };
    const [first, second] = [await as(owner).createThread(), await as(owner).createThread()];
    const LIST = `{ threads { nodes { id } } threadCounts { status count } }`;
    const idsIn = ({ threads }: { threads: { nodes: { id: string }[] } }) =>
      threads.nodes.map(({ id }) => id);
    expect(idsIn(await as(owner).gql(LIST))).toEqual([second, first]);
    const one = await as({ ...owner, changes: { search: { ids: [first] } } }).gql(LIST);
    expect(idsIn(one)).toEqual([first]);
    expect(one.threadCounts).toContainEqual({ status: 'IDLE', count: 1 });
    const busy = await as({ ...owner, changes: { search: { status: ['busy'] } } }).gql(LIST);
    expect(idsIn(busy)).toEqual([]);
    expect(busy.threadCounts).toContainEqual({ status: 'IDLE', count: 0 });
  });

  it('thread_id or status limits the searches for runs', async ({ as }) => {
    const owner = { identity: randomId() };
    const input = { assistantId: 'whoCalls', input: {} };
    const threads = [await as(owner).createThread(), await as(owner).createThread()];
    const runs: string[] = [];
    for (const threadId of threads)
      runs.push((await as(owner).runToEnd({ ...input, threadId })).id);
    const LIST = `{ runs { nodes { id } } runCounts { status count } }`;
    const search = (change: object) => as({ ...owner, changes: { search: change } }).gql(LIST);
    expect((await as(owner).gql(LIST)).runs.nodes).toHaveLength(2);
    const one = await search({ thread_id: threads[0] });
    expect(one.runs.nodes).toEqual([{ id: runs[0] }]);
    expect(one.runCounts).toContainEqual({ status: 'SUCCESS', count: 1 });
    expect((await search({ status: ['error', 'timeout'] })).runs.nodes).toEqual([]);
    expect((await search({ status: ['success'] })).runs.nodes).toHaveLength(2);
  });

  it('thread_id updates the other thread', async ({ as }) => {
    const [named, other] = [await as(ANN).createThread(), await as(ANN).createThread()];
    const { gql } = as({ ...ANN, changes: { update: { thread_id: other } } });
    const UPDATE = `mutation ($id: ID!) { updateThread(id: $id, input: { metadata: { a: 1 } }) { id } }`;
    expect(await gql(UPDATE, { id: named })).toEqual({ updateThread: { id: other } });
  });

  const wrong: [string, string, object, (id: string) => string][] = [
    ['a choice to another word', 'create', { if_exists: 'sometimes' }, () => CREATE],
    [
      'a status to another word',
      'search',
      { status: ['sleepy'] },
      () => `{ threads { nodes { id } } }`,
    ],
    [
      'a status to another type',
      'search',
      { status: 'busy' },
      () => `query { threads(filter: { status: [BUSY] }) { nodes { id } } }`,
    ],
    [
      'the object to read',
      'read',
      { thread_id: randomId() },
      (id) => `{ thread(id: "${id}") { id } }`,
    ],
    [
      'the object to delete',
      'delete',
      { thread_id: randomId() },
      (id) => `mutation { deleteThread(id: "${id}") }`,
    ],
    [
      'the action on runs',
      'update',
      { action: 'rollback' },
      (id) => `mutation { cancelRuns(filter: { threadId: "${id}" }) { id } }`,
    ],
    [
      'the id of a copy',
      'create',
      { thread_id: randomId() },
      (id) => `mutation { copyThread(id: "${id}") { id } }`,
    ],
  ];

  it.for(wrong)('%s gets no answer', async ([, action, change, documentOf], { as }) => {
    const id = await as(ANN).createThread();
    const user = { ...ANN, permissions: ['delete'], changes: { [action]: change } };
    const document = documentOf(id);
    const { errors } = await as(user).request(document);
    expect(errors).toMatchObject([
      { message: 'Unexpected error.', extensions: { code: 'INTERNAL_SERVER_ERROR' } },
    ]);
    expect(await as(ANN).findThread(id)).toMatchObject({ id });
  });
});

describe('An object that handlers hide', () => {
  it('is NOT_FOUND as the assistant of a run that they show, and the run has its id', async ({
    as,
  }) => {
    const { createAssistant } = await as(ANN).gql(
      `mutation { createAssistant(input: { graphId: "whoCalls" }) { id } }`,
    );
    const { id: assistantId } = createAssistant;
    const { id } = await as(ANN).runToEnd({ assistantId, input: {}, onCompletion: 'KEEP' });
    const ID = `query ($id: ID!) { run(id: $id) { assistantId } }`;
    const ASSISTANT = `query ($id: ID!) { run(id: $id) { assistant { id } } }`;
    const bob = as({ ...BOB, filter: ALL });
    for (const client of [as(ANN), bob])
      expect(await client.gql(ID, { id })).toEqual({ run: { assistantId } });
    expect(await as(ANN).gql(ASSISTANT, { id })).toEqual({
      run: { assistant: { id: assistantId } },
    });
    expect(await bob.request(ASSISTANT, { id })).toMatchObject({
      data: { run: null },
      errors: [{ path: ['run', 'assistant'], extensions: { code: 'NOT_FOUND' } }],
    });
  });

  it('is null for node(id), as an object that does not exist', async ({ as }) => {
    const { createAssistant } = await as(ANN).gql(
      `mutation { createAssistant(input: { graphId: "whoCalls" }) { id } }`,
    );
    const threadId = await as(ANN).createThread();
    const run = await as(ANN).runToEnd({ threadId, assistantId: 'whoCalls', input: {} });
    const NODE = `query ($id: ID!) { node(id: $id) { __typename id } }`;
    const nodeFor = async (user: User, id: string) => (await as(user).gql(NODE, { id })).node;
    const own = { Thread: threadId, Run: run.id, Assistant: createAssistant.id };
    for (const [__typename, id] of Object.entries(own)) {
      expect(await nodeFor(ANN, id)).toEqual({ __typename, id });
      expect(await nodeFor(BOB, id), __typename).toBeNull();
    }
    expect(await nodeFor(ANN, randomId())).toBeNull();
    const shared = assistantIdOf('whoCalls');
    expect(await nodeFor(BOB, shared)).toEqual({ __typename: 'Assistant', id: shared });
  });
});

describe('Handlers beside API keys', () => {
  it('decide about the user of a key, also an admin', async ({ server, as }) => {
    const key = (owner: string, role: 'member' | 'admin') =>
      createViewer(server, { tenant: 'default', owner, role });
    const { client: kim } = await key('kim', 'member');
    const { client: ada } = await key('ada', 'admin');
    const { createThread } = await kim.gql(`mutation { createThread { id metadata } }`);
    const { id } = createThread;
    expect(createThread.metadata).toEqual({ owner: 'kim' });
    const READ = `query ($id: ID!) { thread(id: $id) { id } threads { nodes { id } } }`;
    const found = { thread: { id }, threads: { nodes: [{ id }] } };
    expect(await kim.gql(READ, { id })).toEqual(found);
    expect(await as({ identity: 'kim' }).gql(READ, { id })).toEqual(found);
    for (const stranger of [ada, as(BOB)])
      expect((await stranger.gql(READ, { id })).thread).toBeNull();
    const DELETE = `mutation ($id: ID!) { deleteThread(id: $id) }`;
    expect(await kim.errors(DELETE, { id })).toMatchObject([
      { message: 'You may not do this: threads:delete.', extensions: { code: 'FORBIDDEN' } },
    ]);
  });
});
