import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CREATE_RUN, CREATE_THREAD, createTestApp, randomId, type TestApp } from './support/app.ts';

let server: TestApp;
beforeAll(async () => {
  server = await createTestApp();
});
afterEach(() => server.app.sql.query(`DELETE FROM "Thread"`));
afterAll(() => server.stop());

const PENDING = `query ($graphId: ID, $metadata: JSONObject, $first: Int, $after: String) {
  pendingInterrupts(graphId: $graphId, metadata: $metadata, first: $first, after: $after) {
    edges { cursor node { id } }
    nodes { id value node threadId thread { id status metadata } run { id } checkpointId checkpointNamespace createdAt }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    totalCount
  }
}`;

async function pending(variables: Record<string, unknown> = {}): Promise<any> {
  return (await server.gql(PENDING, variables)).pendingInterrupts;
}

/** A thread on which the graph has run once. */
async function threadAfter(assistantId: string, metadata = {}): Promise<any> {
  const { createThread } = await server.gql(CREATE_THREAD, { input: { metadata } });
  const input = { threadId: createThread.id, assistantId, input: {} };
  const { createRun } = await server.gql(CREATE_RUN, { input, wait: true });
  return { id: createThread.id, runId: createRun.id };
}

const threadsOf = ({ nodes }: any) => nodes.map(({ threadId }: any) => threadId);

describe('pendingInterrupts', () => {
  it('is empty where nothing waits', async () => {
    await threadAfter('steps');
    expect(await pending()).toEqual({
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

  it('shows what waits for a person, with its thread, run and checkpoint', async () => {
    const { id, runId } = await threadAfter('nestedAsk', { user: 'ada' });
    const { thread } = await server.gql(
      `query ($id: ID!) { thread(id: $id) {
        interrupts { id }
        state { tasks { state { checkpointId namespace } } }
      } }`,
      { id },
    );
    const below = thread.state.tasks[0].state;
    const { nodes, edges, totalCount } = await pending();
    expect(nodes).toEqual([
      {
        id: thread.interrupts[0].id,
        value: { question: 'Really?' },
        node: 'ask',
        threadId: id,
        thread: { id, status: 'INTERRUPTED', metadata: { user: 'ada', graph_id: 'nestedAsk' } },
        run: { id: runId },
        checkpointId: below.checkpointId,
        checkpointNamespace: below.namespace,
        createdAt: expect.any(String),
      },
    ]);
    expect(edges).toEqual([{ cursor: expect.any(String), node: { id: nodes[0].id } }]);
    expect(totalCount).toBe(1);
  });

  it('comes page by page over all threads, the oldest first', async () => {
    const ids: string[] = [];
    for (const graph of ['ask', 'nestedAsk', 'ask', 'ask', 'nestedAsk']) {
      ids.push((await threadAfter(graph)).id);
    }
    const seen: string[] = [];
    let after: string | null = null;
    do {
      const page: any = await pending({ first: 2, after });
      expect(page.totalCount).toBe(5);
      expect(page.pageInfo.hasPreviousPage).toBe(seen.length > 0);
      expect(page.pageInfo.startCursor).toBe(page.edges[0].cursor);
      seen.push(...threadsOf(page));
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
    } while (after);
    expect(seen).toEqual(ids);
  });

  it('neither repeats nor skips a question while others are asked and closed', async () => {
    const [first, second, third] = [
      await threadAfter('ask'),
      await threadAfter('ask'),
      await threadAfter('ask'),
    ];
    const page = await pending({ first: 1 });
    expect(threadsOf(page)).toEqual([first.id]);
    const close = `mutation ($id: ID!) {
      updateThreadState(id: $id, input: { values: { answer: "by hand" }, asNode: "ask" }) { next }
    }`;
    await server.gql(close, { id: first.id });
    await server.gql(close, { id: second.id });
    const fourth = await threadAfter('ask');
    const rest = await pending({ after: page.pageInfo.endCursor });
    expect(threadsOf(rest)).toEqual([third.id, fourth.id]);
    expect(rest.totalCount).toBe(2);
  });

  it('shows every question of a thread that has several', async () => {
    const { id } = await threadAfter('twins');
    const { nodes, totalCount } = await pending();
    expect(nodes.map(({ value }: any) => value.from).toSorted()).toEqual(['left', 'right']);
    expect(threadsOf({ nodes })).toEqual([id, id]);
    expect(totalCount).toBe(2);
  });

  it('shows the question of a subgraph that keeps its own state, which can be answered', async () => {
    const { id } = await threadAfter('rememberingAsk');
    for (const turn of [1, 2]) {
      const { nodes } = await pending();
      expect(nodes).toMatchObject([{ threadId: id, value: { from: 'inside' } }]);
      const command = { resume: [{ interruptId: nodes[0].id, value: turn }] };
      const answer = { threadId: id, assistantId: 'rememberingAsk', command };
      const { createRun } = await server.gql(CREATE_RUN, { input: answer, wait: true });
      expect(createRun).toMatchObject({ status: 'SUCCESS' });
      expect(createRun.output.log.at(-1)).toBe(`inside: ${turn}`);
      expect((await pending()).nodes).toEqual([]);
      const again = { threadId: id, assistantId: 'rememberingAsk', input: {} };
      await server.gql(CREATE_RUN, { input: again, wait: true });
    }
  });

  it('is filtered by the graph of the last run and by the metadata of the thread', async () => {
    const ada = await threadAfter('ask', { user: 'ada', tags: ['a', 'b'] });
    const bob = await threadAfter('ask', { user: 'bob' });
    const nested = await threadAfter('nestedAsk', { user: 'ada', tags: ['b'] });
    const found = async (variables: object) => threadsOf(await pending({ ...variables }));
    expect(await found({})).toEqual([ada.id, bob.id, nested.id]);
    expect(await found({ graphId: 'ask' })).toEqual([ada.id, bob.id]);
    expect(await found({ graphId: 'steps' })).toEqual([]);
    expect(await found({ metadata: { user: 'ada' } })).toEqual([ada.id, nested.id]);
    expect(await found({ metadata: { tags: ['b'] } })).toEqual([ada.id, nested.id]);
    expect(await found({ metadata: { user: 'ada', tags: ['a'] } })).toEqual([ada.id]);
    expect(await found({ metadata: {} })).toEqual([ada.id, bob.id, nested.id]);
    expect(await found({ graphId: 'nestedAsk', metadata: { user: 'bob' } })).toEqual([]);
    const both = await pending({ graphId: 'nestedAsk', metadata: { user: 'ada' } });
    expect(threadsOf(both)).toEqual([nested.id]);
    expect(both.totalCount).toBe(1);
    const page = await pending({ graphId: 'ask', first: 1 });
    expect(page).toMatchObject({ totalCount: 2, pageInfo: { hasNextPage: true } });
    const rest = { graphId: 'ask', after: page.pageInfo.endCursor };
    expect(threadsOf(await pending(rest))).toEqual([bob.id]);
  });

  it('does not show what was answered, dropped, edited away or deleted', async () => {
    const [answered, dropped, edited, deleted, open] = [
      await threadAfter('ask'),
      await threadAfter('ask'),
      await threadAfter('ask'),
      await threadAfter('ask'),
      await threadAfter('ask'),
    ];
    await server.gql(
      `mutation ($id: ID!) { updateThreadState(id: $id, input: { values: { log: ["x"] } }) { next } }`,
      { id: edited.id },
    );
    await server.gql(`mutation ($id: ID!) { deleteThread(id: $id) }`, { id: deleted.id });
    const plain = { threadId: dropped.id, assistantId: 'steps', input: {} };
    await server.gql(CREATE_RUN, { input: plain, wait: true });
    const command = { resume: [{ value: 'yes' }] };
    const answer = { threadId: answered.id, assistantId: 'ask', command };
    const { createRun } = await server.gql(CREATE_RUN, { input: answer, wait: true });
    expect(createRun.status).toBe('SUCCESS');
    expect(threadsOf(await pending())).toEqual([open.id]);
  });

  it.each([
    [{ first: 0 }, 'first'],
    [{ first: 101 }, 'first'],
    [{ after: 'nonsense' }, 'after'],
  ])('refuses %j', async (variables, argument) => {
    const [error] = await server.errors(PENDING, variables);
    expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument });
  });

  it("refuses another list's cursor", async () => {
    await threadAfter('ask');
    const { threads } = await server.gql('{ threads { pageInfo { endCursor } } }');
    const [error] = await server.errors(PENDING, { after: threads.pageInfo.endCursor });
    expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument: 'after' });
  });

  it('finds few open questions among many closed ones, and pages through many', async () => {
    const threadId = randomId();
    const { query } = server.app.sql;
    await query(`INSERT INTO "Thread" ("id", "graphId") VALUES ($1, 'ask')`, [threadId]);
    // One in ten is open.
    await query(
      `INSERT INTO "Interrupt" ("id", "threadId", "checkpointId", "namespace", "taskId", "node", "langgraphId", "ordinal", "pending")
       SELECT gen_random_uuid(), $1, gen_random_uuid(), '', 'task', n::text, 'question', 0, n % 10 = 0
       FROM generate_series(1, 3000) n`,
      [threadId],
    );
    const seen: number[] = [];
    let after: string | null = null;
    do {
      const page: any = await pending({ graphId: 'ask', first: 100, after });
      expect(page.totalCount).toBe(300);
      seen.push(...page.nodes.map(({ node }: any) => Number(node)));
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
    } while (after);
    expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => (i + 1) * 10));
  });
});
