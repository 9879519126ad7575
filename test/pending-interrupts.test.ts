import type { VariablesOf } from 'gql.tada';
import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { randomId } from './support/app.ts';
import { CREATE_RUN, CREATE_THREAD, type Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation, valuesOf } from './support/graphql.ts';

it.afterEach(({ server }) => server.app.sql.query(sql`DELETE FROM "Thread"`));

const PENDING = operation(`query (
    $graphId: ID, $metadata: JSONObject, $first: Int, $after: String, $last: Int, $before: String
  ) {
  pendingInterrupts(
    graphId: $graphId, metadata: $metadata, first: $first, after: $after, last: $last, before: $before
  ) {
    edges { cursor node { id } }
    nodes { id value node threadId thread { id status metadata } run { id } checkpointId checkpointNamespace createdAt }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    totalCount
  }
}`);

async function pending(client: Client, variables: VariablesOf<typeof PENDING> = {}) {
  return (await client.gql(PENDING, variables)).pendingInterrupts;
}

/** Creates a thread and runs the graph on it once. */
async function threadAfter(client: Client, assistantId: string, metadata = {}) {
  const { createThread } = await client.gql(CREATE_THREAD, { input: { metadata } });
  const input = { threadId: createThread.id, assistantId, input: {} };
  const { createRun } = await client.gql(CREATE_RUN, { input, wait: true });
  return { id: createThread.id, runId: createRun.id };
}

type Page = Awaited<ReturnType<typeof pending>>;

const threadsOf = ({ nodes }: Pick<Page, 'nodes'>) => nodes.map(({ threadId }) => threadId);

describe('pendingInterrupts', () => {
  it('is empty where nothing waits', async ({ client }) => {
    await threadAfter(client, 'steps');
    expect(await pending(client)).toEqual({
      edges: [],
      nodes: [],
      pageInfo: {
        hasNextPage: false,
        hasPreviousPage: false,
        startCursor: null,
        endCursor: null,
      },
      totalCount: 0,
    });
  });

  it('shows what waits for a person, with its thread, run and checkpoint', async ({ client }) => {
    const { id, runId } = await threadAfter(client, 'nestedAsk', { user: 'ada' });
    const { thread } = await client.gql(
      operation(`query ($id: ID!) { thread(id: $id) {
        interrupts { id }
        state { tasks { state { checkpointId namespace } } }
      } }`),
      { id },
    );
    const below = thread?.state?.tasks[0]?.state;
    const { nodes, edges, totalCount } = await pending(client);
    expect(nodes).toEqual([
      {
        id: thread?.interrupts[0]?.id,
        value: { question: 'Really?' },
        node: 'ask',
        threadId: id,
        thread: {
          id,
          status: 'INTERRUPTED',
          metadata: { user: 'ada', graph_id: 'nestedAsk', assistant_id: expect.any(String) },
        },
        run: { id: runId },
        checkpointId: below?.checkpointId,
        checkpointNamespace: below?.namespace,
        createdAt: expect.any(String),
      },
    ]);
    expect(edges).toEqual([{ cursor: expect.any(String), node: { id: nodes[0]?.id } }]);
    expect(totalCount).toBe(1);
  });

  it('comes page by page over all threads, the oldest first', async ({ client }) => {
    const ids: string[] = [];
    for (const graph of ['ask', 'nestedAsk', 'ask', 'ask', 'nestedAsk']) {
      ids.push((await threadAfter(client, graph)).id);
    }
    const seen: string[] = [];
    let after: string | null = null;
    do {
      const page: Page = await pending(client, { first: 2, after });
      expect(page.totalCount).toBe(5);
      expect(page.pageInfo.hasPreviousPage).toBe(seen.length > 0);
      expect(page.pageInfo.startCursor).toBe(page.edges[0]?.cursor);
      seen.push(...threadsOf(page));
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
    } while (after);
    expect(seen).toEqual(ids);
  });

  it('neither repeats nor skips a question while others are asked and closed', async ({
    client,
  }) => {
    const [first, second, third] = [
      await threadAfter(client, 'ask'),
      await threadAfter(client, 'ask'),
      await threadAfter(client, 'ask'),
    ];
    const page = await pending(client, { first: 1 });
    expect(threadsOf(page)).toEqual([first.id]);
    const close = `mutation ($id: ID!) {
      updateThreadState(id: $id, input: { values: { answer: "by hand" }, asNode: "ask" }) { next }
    }`;
    await client.gql(close, { id: first.id });
    await client.gql(close, { id: second.id });
    const fourth = await threadAfter(client, 'ask');
    const rest = await pending(client, { after: page.pageInfo.endCursor });
    expect(threadsOf(rest)).toEqual([third.id, fourth.id]);
    expect(rest.totalCount).toBe(2);
  });

  it('shows every question of a thread that has several', async ({ client }) => {
    const { id } = await threadAfter(client, 'twins');
    const { nodes, totalCount } = await pending(client);
    expect(nodes.map(({ value }) => (value as { from: string }).from).toSorted()).toEqual([
      'left',
      'right',
    ]);
    expect(threadsOf({ nodes })).toEqual([id, id]);
    expect(totalCount).toBe(2);
  });

  it('shows the question of a subgraph that keeps its own state, which can be answered', async ({
    client,
  }) => {
    const { id } = await threadAfter(client, 'rememberingAsk');
    for (const turn of [1, 2]) {
      const { nodes } = await pending(client);
      expect(nodes).toMatchObject([{ threadId: id, value: { from: 'inside' } }]);
      const command = { resume: [{ interruptId: nodes[0]?.id, value: turn }] };
      const answer = { threadId: id, assistantId: 'rememberingAsk', command };
      const { createRun } = await client.gql(CREATE_RUN, { input: answer, wait: true });
      expect(createRun).toMatchObject({ status: 'SUCCESS' });
      expect(valuesOf(createRun.output).log.at(-1)).toBe(`inside: ${turn}`);
      expect((await pending(client)).nodes).toEqual([]);
      const again = { threadId: id, assistantId: 'rememberingAsk', input: {} };
      await client.gql(CREATE_RUN, { input: again, wait: true });
    }
  });

  it('is filtered by the graph of the last run and by the metadata of the thread', async ({
    client,
  }) => {
    const ada = await threadAfter(client, 'ask', { user: 'ada', tags: ['a', 'b'] });
    const bob = await threadAfter(client, 'ask', { user: 'bob' });
    const nested = await threadAfter(client, 'nestedAsk', { user: 'ada', tags: ['b'] });
    const found = async (variables: object) => threadsOf(await pending(client, { ...variables }));
    expect(await found({})).toEqual([ada.id, bob.id, nested.id]);
    expect(await found({ graphId: 'ask' })).toEqual([ada.id, bob.id]);
    expect(await found({ graphId: 'steps' })).toEqual([]);
    expect(await found({ metadata: { user: 'ada' } })).toEqual([ada.id, nested.id]);
    expect(await found({ metadata: { tags: ['b'] } })).toEqual([ada.id, nested.id]);
    expect(await found({ metadata: { user: 'ada', tags: ['a'] } })).toEqual([ada.id]);
    expect(await found({ metadata: {} })).toEqual([ada.id, bob.id, nested.id]);
    expect(await found({ graphId: 'nestedAsk', metadata: { user: 'bob' } })).toEqual([]);
    const both = await pending(client, { graphId: 'nestedAsk', metadata: { user: 'ada' } });
    expect(threadsOf(both)).toEqual([nested.id]);
    expect(both.totalCount).toBe(1);
    const page = await pending(client, { graphId: 'ask', first: 1 });
    expect(page).toMatchObject({ totalCount: 2, pageInfo: { hasNextPage: true } });
    const rest = { graphId: 'ask', after: page.pageInfo.endCursor };
    expect(threadsOf(await pending(client, rest))).toEqual([bob.id]);
    const last = await pending(client, { graphId: 'ask', last: 1 });
    expect(threadsOf(last)).toEqual([bob.id]);
    const before = { graphId: 'ask', last: 1, before: last.pageInfo.startCursor };
    expect(threadsOf(await pending(client, before))).toEqual([ada.id]);
  });

  it('does not show what was answered, dropped, edited away or deleted', async ({ client }) => {
    const [answered, dropped, edited, deleted, open] = [
      await threadAfter(client, 'ask'),
      await threadAfter(client, 'ask'),
      await threadAfter(client, 'ask'),
      await threadAfter(client, 'ask'),
      await threadAfter(client, 'ask'),
    ];
    await client.gql(
      operation(
        `mutation ($id: ID!) { updateThreadState(id: $id, input: { values: { log: ["x"] } }) { next } }`,
      ),
      { id: edited.id },
    );
    await client.gql(operation(`mutation ($id: ID!) { deleteThread(id: $id) }`), {
      id: deleted.id,
    });
    const plain = { threadId: dropped.id, assistantId: 'steps', input: {} };
    await client.gql(CREATE_RUN, { input: plain, wait: true });
    const command = { resume: [{ value: 'yes' }] };
    const answer = { threadId: answered.id, assistantId: 'ask', command };
    const { createRun } = await client.gql(CREATE_RUN, { input: answer, wait: true });
    expect(createRun.status).toBe('SUCCESS');
    expect(threadsOf(await pending(client))).toEqual([open.id]);
  });

  it.for([
    [{ first: 0 }, 'first'],
    [{ first: 101 }, 'first'],
    [{ after: 'nonsense' }, 'after'],
    [{ last: 101 }, 'last'],
    [{ last: 1, before: 'nonsense' }, 'before'],
  ] as const)('refuses %j', async ([variables, argument], { client }) => {
    const [error] = await client.errors(PENDING, variables);
    expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument });
  });

  it("refuses another list's cursor", async ({ client }) => {
    await threadAfter(client, 'ask');
    const { threads } = await client.gql('{ threads { pageInfo { endCursor } } }');
    const [error] = await client.errors(PENDING, { after: threads.pageInfo.endCursor });
    expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument: 'after' });
  });

  it('finds few open questions among many closed ones, and pages through many', async ({
    client,
    server,
  }) => {
    const threadId = randomId();
    const { query } = server.app.sql;
    await query(sql`INSERT INTO "Thread" ("id", "graphId") VALUES (${threadId}, 'ask')`);
    // Every tenth interrupt is open.
    await query(
      sql`INSERT INTO "Interrupt" ("id", "threadId", "checkpointId", "namespace", "taskId", "node", "langgraphId", "ordinal", "pending")
       SELECT gen_random_uuid(), ${threadId}, gen_random_uuid(), '', 'task', n::text, 'question', 0, n % 10 = 0
       FROM generate_series(1, 3000) n`,
    );
    const seen: number[] = [];
    let after: string | null = null;
    do {
      const page: Page = await pending(client, { graphId: 'ask', first: 100, after });
      expect(page.totalCount).toBe(300);
      seen.push(...page.nodes.map(({ node }) => Number(node)));
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
    } while (after);
    expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => (i + 1) * 10));
  });
});

describe('interrupt(id)', () => {
  const INTERRUPT = operation(`query ($id: ID!) {
    interrupt(id: $id) { id value node threadId isPending }
  }`);

  it('finds a question before and after its answer', async ({ client }) => {
    const { id: threadId } = await threadAfter(client, 'ask');
    const { nodes } = await pending(client);
    const id = nodes[0]?.id ?? expect.fail('No interrupt is pending.');
    const expected = { id, value: nodes[0]?.value, node: 'ask', threadId };
    expect((await client.gql(INTERRUPT, { id })).interrupt).toEqual({
      ...expected,
      isPending: true,
    });
    const command = { resume: [{ interruptId: id, value: 'yes' }] };
    await client.runToEnd({ threadId, assistantId: 'ask', command });
    expect((await client.gql(INTERRUPT, { id })).interrupt).toEqual({
      ...expected,
      isPending: false,
    });
  });

  it('is null for an unknown id, and refuses what is not a UUID', async ({ client }) => {
    expect((await client.gql(INTERRUPT, { id: randomId() })).interrupt).toBeNull();
    const [error] = await client.errors(INTERRUPT, { id: 'none' });
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'id' });
  });
});
