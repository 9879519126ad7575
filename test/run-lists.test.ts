import type { VariablesOf } from 'gql.tada';
import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { human, randomId, until } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation, type AnswerTo } from './support/graphql.ts';

const RUN = operation(`query ($id: ID!) {
  run(id: $id) { id threadId thread { id } assistantId input multitaskStrategy attempt }
}`);

const getRun = async (client: Client, id: string) => (await client.gql(RUN, { id })).run;

const idsOf = ({ nodes }: { nodes: { id: string }[] }) => nodes.map(({ id }) => id);

describe('runs', () => {
  const RUNS =
    operation(`query ($filter: RunFilter, $first: Int, $after: String, $last: Int, $before: String) {
    runs(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
      totalCount pageInfo { hasNextPage endCursor } nodes { id status }
    }
  }`);
  const RUNS_OF_THREAD = operation(`query (
      $id: ID!, $first: Int, $after: String, $last: Int, $before: String, $status: [RunStatus!]
    ) {
      thread(id: $id) {
        runs(first: $first, after: $after, last: $last, before: $before, status: $status) {
          pageInfo { startCursor endCursor } nodes { id }
        }
      }
    }`);

  type Variables = VariablesOf<typeof RUNS>;

  const list = async (
    client: Client,
    filter: Variables['filter'],
    page: Omit<Variables, 'filter'> = {},
  ) => (await client.gql(RUNS, { filter, ...page })).runs;

  async function listOfThread(
    client: Client,
    id: string,
    page: Omit<VariablesOf<typeof RUNS_OF_THREAD>, 'id'>,
  ) {
    const { thread } = await client.gql(RUNS_OF_THREAD, { id, ...page });
    return thread?.runs ?? expect.fail(`No thread ${id}`);
  }

  it('are listed newest first, page by page', async ({ client }) => {
    const threadId = await client.createThread();
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) {
      ids.unshift((await client.runToEnd({ threadId, assistantId: 'echo', input: human('x') })).id);
    }
    const first = await list(client, { threadId }, { first: 3 });
    expect(idsOf(first)).toEqual(ids.slice(0, 3));
    expect(first).toMatchObject({ totalCount: 5, pageInfo: { hasNextPage: true } });
    const rest = await list(client, { threadId }, { first: 3, after: first.pageInfo.endCursor });
    expect(idsOf(rest)).toEqual(ids.slice(3));
    expect(rest.pageInfo.hasNextPage).toBe(false);

    const runs = await listOfThread(client, threadId, { first: 2 });
    expect(idsOf(runs)).toEqual(ids.slice(0, 2));
    const after = runs.pageInfo.endCursor;
    const next = await listOfThread(client, threadId, { first: 100, after });
    expect(idsOf(next)).toEqual(ids.slice(2));
    const oldest = await listOfThread(client, threadId, { last: 2 });
    expect(idsOf(oldest)).toEqual(ids.slice(3));
    const before = oldest.pageInfo.startCursor;
    const middle = await listOfThread(client, threadId, { last: 2, before });
    expect(idsOf(middle)).toEqual(ids.slice(1, 3));
  });

  it('of a thread have cursors of their own', async ({ client }) => {
    const [threadId, other] = [await client.createThread(), await client.createThread()];
    for (const id of [threadId, other])
      await client.runToEnd({ threadId: id, assistantId: 'echo', input: human('x') });
    const { pageInfo } = await listOfThread(client, threadId, {});
    for (const page of [{ after: pageInfo.endCursor }, { last: 1, before: pageInfo.endCursor }]) {
      const [error] = await client.errors(RUNS_OF_THREAD, { id: other, ...page });
      expect(error?.extensions).toMatchObject({
        code: 'BAD_USER_INPUT',
        argument: 'before' in page ? 'before' : 'after',
      });
    }
  });

  it('are found by thread, assistant, status, metadata and ids', async ({ client }) => {
    const mark = randomId();
    const threadId = await client.createThread();
    const good = await client.runToEnd({
      threadId,
      assistantId: 'echo',
      input: human('x'),
      metadata: { mark, n: { a: 1 } },
    });
    const bad = await client.runToEnd({
      threadId,
      assistantId: 'fail',
      input: { fail: true },
      metadata: { mark },
    });
    const gone = await client.runToEnd({
      assistantId: 'echo',
      input: human('x'),
      metadata: { mark },
    });
    const assistantId = (await getRun(client, bad.id))?.assistantId;

    const marked = { metadata: { mark } };
    expect(idsOf(await list(client, marked))).toEqual([gone.id, bad.id, good.id]);
    expect(idsOf(await list(client, { ...marked, threadId }))).toEqual([bad.id, good.id]);
    expect(idsOf(await list(client, { ...marked, assistantId }))).toEqual([bad.id]);
    expect(idsOf(await list(client, { ...marked, status: ['ERROR'] }))).toEqual([bad.id]);
    expect(idsOf(await list(client, { ...marked, status: ['ERROR', 'SUCCESS'] }))).toEqual([
      gone.id,
      bad.id,
      good.id,
    ]);
    expect(idsOf(await list(client, { metadata: { mark, n: { a: 1 } } }))).toEqual([good.id]);
    expect(idsOf(await list(client, { ids: [good.id, gone.id] }))).toEqual([gone.id, good.id]);
    expect(idsOf(await list(client, { threadId, status: ['PENDING'] }))).toEqual([]);
    const runs = await listOfThread(client, threadId, { status: ['SUCCESS'] });
    expect(idsOf(runs)).toEqual([good.id]);
  });

  it.for<[Record<string, unknown>, string]>([
    [{ filter: { ids: [] } }, 'filter.ids'],
    [{ filter: { ids: ['x'] } }, 'filter.ids[0]'],
    [{ filter: { threadId: 'x' } }, 'filter.threadId'],
    [{ filter: { assistantId: 'x' } }, 'filter.assistantId'],
    [{ first: 0 }, 'first'],
    [{ first: 101 }, 'first'],
    [{ after: 'x' }, 'after'],
    [{ last: 0 }, 'last'],
    [{ last: 101 }, 'last'],
    [{ first: 1, last: 1 }, 'last'],
    [{ first: 1, before: 'x' }, 'before'],
    [{ last: 1, after: 'x' }, 'after'],
    [{ after: 'x', before: 'x' }, 'before'],
  ])('are not searched with %j', async ([variables, argument], { client }) => {
    const [error] = await client.errors(RUNS, variables);
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument });
  });
});

describe('run', () => {
  it('is null where there is none, and refuses what is no UUID', async ({ client }) => {
    expect(await getRun(client, randomId())).toBeNull();
    const [error] = await client.errors(RUN, { id: 'no uuid' });
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'id' });
  });

  it('shows what it was asked to do', async ({ client }) => {
    const threadId = await client.createThread();
    const { id } = await client.runToEnd({
      threadId,
      assistantId: 'echo',
      input: human('hello'),
      multitaskStrategy: 'REJECT',
    });
    expect(await getRun(client, id)).toMatchObject({
      id,
      threadId,
      thread: { id: threadId },
      input: human('hello'),
      multitaskStrategy: 'REJECT',
      attempt: 1,
    });
  });
});

describe('run.events', () => {
  const EVENTS = operation(`query (
      $id: ID!, $first: Int, $after: String, $last: Int, $before: String, $modes: [StreamMode!]
    ) {
      run(id: $id) {
        events(first: $first, after: $after, last: $last, before: $before, modes: $modes) {
          pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
          edges { cursor node { __typename id } } nodes { __typename id }
        }
      }
    }`);

  type Page = Omit<VariablesOf<typeof EVENTS>, 'id'>;
  type Events = NonNullable<AnswerTo<typeof EVENTS>['run']>['events'];

  async function list(client: Client, id: string, page: Page): Promise<Events> {
    const { run } = await client.gql(EVENTS, { id, ...page });
    return run?.events ?? expect.fail(`No run ${id}`);
  }

  const typesOf = ({ nodes }: Events) => nodes.map((event) => event.__typename);

  it('are those that the subscription sends, page by page, and a cursor is the id of its event', async ({
    client,
  }) => {
    const { id } = await client.runToEnd({ assistantId: 'custom', input: {} });
    const followed = (await client.follow(id)).map((event) => event.id);
    const whole = await list(client, id, { first: 100 });
    expect(idsOf(whole)).toEqual(followed);
    expect(whole.edges.map(({ cursor }) => cursor)).toEqual(followed);
    expect(typesOf(whole)).toEqual([
      'RunStartedEvent',
      ...Array(3).fill('CustomEvent'),
      'UpdatesEvent',
      'RunFinishedEvent',
    ]);

    const first = await list(client, id, { first: 2 });
    expect(first.pageInfo).toEqual({
      hasNextPage: true,
      hasPreviousPage: false,
      startCursor: followed[0],
      endCursor: followed[1],
    });
    const rest = await list(client, id, { after: followed[1] });
    expect(idsOf(rest)).toEqual(followed.slice(2));
    expect(rest.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
  });

  it('come page by page backwards, too', async ({ client }) => {
    const { id } = await client.runToEnd({ assistantId: 'custom', input: {} });
    const followed = (await client.follow(id)).map((event) => event.id);
    const last = await list(client, id, { last: 4 });
    expect(idsOf(last)).toEqual(followed.slice(-4));
    expect(last.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
    const before = last.pageInfo.startCursor;
    const start = await list(client, id, { last: 4, before });
    expect(idsOf(start)).toEqual(followed.slice(0, -4));
    expect(start.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
    const updates = await list(client, id, { last: 2, modes: ['UPDATES'] });
    expect(typesOf(updates)).toEqual(['UpdatesEvent', 'RunFinishedEvent']);
  });

  it('hold only the modes that are asked for, with the start and the end', async ({ client }) => {
    const { id } = await client.runToEnd({ assistantId: 'custom', input: {} });
    const types = async (modes: Page['modes']) => typesOf(await list(client, id, { modes }));
    expect(await types(['UPDATES'])).toEqual([
      'RunStartedEvent',
      'UpdatesEvent',
      'RunFinishedEvent',
    ]);
    expect(await types([])).toEqual(['RunStartedEvent', 'RunFinishedEvent']);
  });

  it('refuse a cursor that is none', async ({ client }) => {
    const { id } = await client.runToEnd({ assistantId: 'echo', input: human('x') });
    const other = await client.runToEnd({ assistantId: 'echo', input: human('x') });
    const { pageInfo } = await list(client, other.id, {});
    for (const [page, argument] of [
      [{ after: 'x' }, 'after'],
      [{ before: 'x' }, 'before'],
      [{ last: 1, before: pageInfo.endCursor }, 'before'],
      [{ first: 0 }, 'first'],
      [{ last: 101 }, 'last'],
      [{ first: 1, last: 1 }, 'last'],
    ] as const) {
      const [error] = await client.errors(EVENTS, { id, ...page });
      expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument });
    }
  });
});

describe('deleteRun', () => {
  const DELETE_RUN = operation(`mutation ($id: ID!) { deleteRun(id: $id) }`);
  const FIND_RUN = operation(`query ($id: ID!) { run(id: $id) { id } node(id: $id) { id } }`);

  const deleteRun = async (client: Client, id: string) =>
    (await client.gql(DELETE_RUN, { id })).deleteRun;

  async function refusalOf(client: Client, id: string) {
    const [error] = await client.errors(DELETE_RUN, { id });
    return error?.extensions;
  }

  it('deletes a run that has ended, with its events; its checkpoints and its state stay', async ({
    client,
    server,
  }) => {
    const threadId = await client.createThread();
    const echo = { threadId, assistantId: 'echo' };
    const [first, second] = [
      await client.runToEnd({ ...echo, input: human('one') }),
      await client.runToEnd({ ...echo, input: human('two') }),
    ];
    const HISTORY = operation(`query ($id: ID!) { thread(id: $id) {
      values history { nodes { checkpointId parentCheckpointId values runId run { id } } }
    } }`);
    const stateOf = async (id: string) =>
      (await client.gql(HISTORY, { id })).thread ?? expect.fail(`No thread ${id}`);
    const before = await stateOf(threadId);
    expect(await deleteRun(client, first.id)).toBe(first.id);

    expect(await client.gql(FIND_RUN, { id: first.id })).toEqual({ run: null, node: null });
    expect((await client.getThread(threadId)).runs).toEqual({
      totalCount: 1,
      nodes: [{ id: second.id, status: 'SUCCESS' }],
    });
    const { runs } = await client.gql(
      operation(`query ($ids: [ID!]) { runs(filter: { ids: $ids }) { nodes { id } } }`),
      { ids: [first.id, second.id] },
    );
    expect(runs.nodes).toEqual([{ id: second.id }]);
    const rows = await server.app.sql.query(
      sql`SELECT 1 FROM "RunEvent" WHERE "runId" = ${first.id}`,
    );
    expect(rows).toEqual([]);

    const after = await stateOf(threadId);
    const withoutRun = (checkpoint: object) => ({
      ...checkpoint,
      run: undefined,
      runId: undefined,
    });
    expect(after.history.nodes.map(withoutRun)).toEqual(before.history.nodes.map(withoutRun));
    expect(after.values).toEqual(before.values);
    expect(after.history.nodes.map(({ run }) => run?.id ?? null)).toEqual([
      ...Array(3).fill(second.id),
      ...Array(3).fill(null),
    ]);
    const third = await client.runToEnd({ ...echo, input: human('three') });
    expect(third.output.messages).toHaveLength(6);
  });

  it('leaves what the others of its thread sent, and no number is used again', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const custom = { threadId, assistantId: 'custom', input: {} };
    const [first, last] = [await client.runToEnd(custom), await client.runToEnd(custom)];
    const kept = await client.follow(first.id);
    const cursor = (await client.follow(last.id)).at(-1)?.id ?? '';
    await deleteRun(client, last.id);
    expect(await client.follow(first.id)).toEqual(kept);
    const next = await client.follow((await client.runToEnd(custom)).id);
    expect(next).toHaveLength(kept.length);
    expect(await client.follow(String(next[0]?.runId), { after: cursor })).toEqual(next);
  });

  it('refuses whoever wants to follow it later', async ({ client }) => {
    const { id } = await client.runToEnd({ assistantId: 'echo', input: human('x') });
    await deleteRun(client, id);
    await expect(client.follow(id)).rejects.toMatchObject({
      errors: [{ extensions: { code: 'NOT_FOUND' } }],
    });
  });

  it('deletes a stateless run whose thread is gone', async ({ client }) => {
    const { id } = await client.runToEnd({ assistantId: 'echo', input: human('x') });
    expect(await deleteRun(client, id)).toBe(id);
    expect(await client.gql(FIND_RUN, { id })).toEqual({ run: null, node: null });
  });

  it('leaves the questions of a run that asked', async ({ client }) => {
    const threadId = await client.createThread();
    const { id } = await client.runToEnd({ threadId, assistantId: 'ask', input: {} });
    await deleteRun(client, id);
    expect(await client.getThread(threadId)).toMatchObject({
      status: 'INTERRUPTED',
      interrupts: [{ value: { question: 'Go on?' } }],
    });
    const { thread } = await client.gql(
      operation(`query ($id: ID!) { thread(id: $id) { interrupts { run { id } } } }`),
      { id: threadId },
    );
    expect(thread?.interrupts).toEqual([{ run: null }]);
  });

  it('refuses a run that has not ended, and one that is not there', async ({ client }) => {
    const gate = createGate();
    const threadId = await client.createThread();
    const input = { threadId, assistantId: 'gate', input: { file: gate.file } };
    const ids: string[] = [];
    for (let n = 0; n < 2; n++) ids.push((await client.startRun(input)).id);
    const statuses = async () =>
      (await client.getThread(threadId)).runs.nodes.map(({ status }) => status).join();
    await until(async () => (await statuses()) === 'PENDING,RUNNING');
    for (const id of ids) expect(await refusalOf(client, id)).toEqual({ code: 'CONFLICT' });
    await gate.open();
    for (const id of ids) {
      expect((await client.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
      expect(await deleteRun(client, id)).toBe(id);
      expect(await refusalOf(client, id)).toMatchObject({ code: 'NOT_FOUND' });
    }
    expect(await refusalOf(client, randomId())).toMatchObject({ code: 'NOT_FOUND' });
    expect(await refusalOf(client, threadId)).toMatchObject({ code: 'NOT_FOUND' });
    expect(await refusalOf(client, 'x')).toEqual({ code: 'BAD_USER_INPUT', argument: 'id' });
    expect(await client.getThread(threadId)).toMatchObject({ values: { file: gate.file } });
  });
});
