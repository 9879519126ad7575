import { describe, expect } from 'vitest';
import { raw, sql } from '../src/db/sql.ts';
import { human, randomId, until, type Document, type TestApp } from './support/app.ts';
import { CREATE_RUN, CREATE_THREAD, type Client, type ThreadInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation } from './support/graphql.ts';

async function createThread(client: Client, input?: ThreadInput) {
  return (await client.gql(CREATE_THREAD, { input })).createThread;
}

/** Reads these fields of a thread. */
async function getThread(
  client: Client,
  id: string,
  fields: string,
): Promise<Record<string, unknown> | null> {
  return (await client.gql(`query ($id: ID!) { thread(id: $id) { ${fields} } }`, { id })).thread;
}

async function count(server: TestApp, table: string, where = sql`true`): Promise<number> {
  const [row] = await server.app.sql.query<{ count: number }>(
    sql`SELECT count(*)::int AS "count" FROM ${raw(`"${table}"`)} WHERE ${where}`,
  );
  return row?.count ?? -1;
}

type Superstep = NonNullable<ThreadInput['supersteps']>[number];
type Update = Superstep['updates'][number];

const update = (asNode: string | null, values: unknown = null) => ({ values, asNode });
const step = (...updates: Update[]) => ({ updates });

describe('createThread', () => {
  it('takes an id of the client', async ({ client }) => {
    const id = randomId();
    expect(await createThread(client, { id, metadata: { user: 'ada' } })).toMatchObject({
      id,
      status: 'IDLE',
      metadata: { user: 'ada' },
      values: {},
    });
    expect(await getThread(client, id, 'id')).toEqual({ id });
  });

  it('takes an id in capitals for the same one', async ({ client }) => {
    const id = randomId();
    expect(await createThread(client, { id: id.toUpperCase() })).toMatchObject({ id });
    expect(await getThread(client, id.toUpperCase(), 'id')).toEqual({ id });
  });

  it('refuses an id that a thread has', async ({ client }) => {
    const { id } = await createThread(client, { metadata: { first: true } });
    const [error] = await client.errors(CREATE_THREAD, {
      input: { id, metadata: { second: true } },
    });
    expect(error?.extensions).toMatchObject({ code: 'CONFLICT' });
    expect(error?.message).toContain(id);
    expect(await getThread(client, id, 'metadata')).toEqual({ metadata: { first: true } });
  });

  it('gives the thread that has the id, as it is, where that is asked for', async ({ client }) => {
    const supersteps = [step(update('__input__', { log: ['once'] }))];
    const input = { id: randomId(), graphId: 'steps', supersteps, ifExists: 'DO_NOTHING' as const };
    const first = await createThread(client, input);
    const again = await createThread(client, { ...input, metadata: { other: true } });
    expect(again).toEqual(first);
    expect(await getThread(client, first.id, 'history { totalCount }')).toEqual({
      history: { totalCount: 1 },
    });
  });

  it('makes one thread of several calls at once with one id', async ({ client, server }) => {
    const input = { id: randomId(), ifExists: 'DO_NOTHING' as const };
    const threads = await Promise.all(Array.from({ length: 5 }, () => createThread(client, input)));
    expect(new Set(threads.map(({ createdAt }) => createdAt)).size).toBe(1);
    expect(await count(server, 'Thread', sql`"id" = ${input.id}`)).toBe(1);
  });

  it.for(['RAISE', 'DO_NOTHING'])(
    'refuses an id that an assistant or a run has (%s)',
    async (ifExists, { client }) => {
      const { id: threadId } = await createThread(client);
      const run = await client.runToEnd({ threadId, assistantId: 'echo', input: human('hello') });
      const { assistant } = await client.gql(operation(`{ assistant(id: "echo") { id } }`));
      for (const id of [run.id, assistant?.id ?? '']) {
        const [error] = await client.errors(CREATE_THREAD, { input: { id, ifExists } });
        expect(error?.extensions).toMatchObject({ code: 'CONFLICT' });
        expect(await getThread(client, id, 'id')).toBeNull();
      }
    },
  );

  it('keeps the graph that it is given as metadata.graph_id', async ({ client }) => {
    expect(
      await createThread(client, { graphId: 'steps', metadata: { user: 'ada' } }),
    ).toMatchObject({
      metadata: { user: 'ada', graph_id: 'steps' },
    });
  });

  it('keeps metadata of any shape', async ({ client }) => {
    const metadata = {
      text: 'snow ☃ 🙂',
      list: [1, [2], null],
      deep: { a: { b: { c: true } } },
      nothing: null,
      zero: 0,
    };
    const { id } = await createThread(client, { metadata });
    expect(await getThread(client, id, 'metadata')).toEqual({ metadata });
  });
});

describe('createThread with supersteps', () => {
  const HISTORY = operation(`query ($id: ID!) {
    thread(id: $id) {
      history { nodes { source step next values writes parentCheckpointId checkpointId } }
    }
  }`);

  async function build(client: Client, graphId: string, ...supersteps: Superstep[]) {
    const { id } = await createThread(client, { graphId, supersteps });
    return (await client.gql(HISTORY, { id })).thread?.history.nodes ?? [];
  }

  it('gives the graph its input as __input__', async ({ client }) => {
    expect(
      await build(client, 'parallel', step(update('__input__', { log: ['given'] }))),
    ).toMatchObject([{ source: 'INPUT', step: -1, next: ['__start__'], values: { log: [] } }]);
  });

  it('takes an update that names no node for the start where no node has run', async ({
    client,
  }) => {
    expect(await build(client, 'parallel', step(update(null, { log: ['given'] })))).toMatchObject([
      { source: 'UPDATE', step: 0, next: ['left', 'right'], values: { log: ['given'] } },
    ]);
  });

  it('takes an update that names no node for the last one that ran', async ({ client }) => {
    const [state] = await build(
      client,
      'steps',
      step(update('__start__', { log: ['start'] })),
      step(update('__end__')),
      step(update(null, { log: ['again'] })),
    );
    expect(state).toMatchObject({ step: 2, next: ['step2'], values: { log: ['start', 'again'] } });
  });

  it('goes where the edges of the nodes lead', async ({ client }) => {
    expect(
      await build(
        client,
        'parallel',
        step(update('__start__', { log: ['start'] })),
        step(update('left', { log: ['l'] }), update('right', { log: ['r'] })),
      ),
    ).toMatchObject([
      {
        step: 1,
        next: ['join'],
        values: { log: ['start', 'l', 'r'] },
        writes: { left: { log: ['l'] }, right: { log: ['r'] } },
      },
      {
        step: 0,
        next: ['left', 'right'],
        values: { log: ['start'] },
        writes: { __start__: { log: ['start'] } },
      },
    ]);
    expect(await build(client, 'steps', step(update('step10', { log: ['last'] })))).toMatchObject([
      { step: 0, next: [], values: { log: ['last'] } },
    ]);
  });

  it('takes a node that is given null for one that has run', async ({ client }) => {
    expect(
      await build(
        client,
        'parallel',
        step(update('__start__', { log: ['start'] })),
        step(update('join')),
      ),
    ).toMatchObject([{ step: 1, next: [], values: { log: ['start'] } }, { step: 0 }]);
  });

  it('makes an empty checkpoint of null without a node', async ({ client }) => {
    const states = await build(
      client,
      'parallel',
      step(update('__start__', { log: ['start'] })),
      step(update(null)),
    );
    expect(states).toMatchObject([
      { source: 'UPDATE', step: 1, values: { log: ['start'] } },
      { source: 'UPDATE', step: 0, next: ['left', 'right'] },
    ]);
  });

  it('clears what is next with __end__ and null', async ({ client }) => {
    expect(
      await build(
        client,
        'parallel',
        step(update('__start__', { log: ['start'] })),
        step(update('__end__')),
      ),
    ).toMatchObject([
      { source: 'UPDATE', step: 1, next: [], values: { log: ['start'] } },
      { step: 0, next: ['left', 'right'] },
    ]);
  });

  it('takes up the newest checkpoint once more with __copy__', async ({ client }) => {
    const states = await build(
      client,
      'parallel',
      step(update('__start__', { log: ['start'] })),
      step(update('__copy__')),
    );
    expect(states[0]).toMatchObject({
      source: 'FORK',
      next: ['left', 'right'],
      values: { log: ['start'] },
    });
    expect(states).toHaveLength(2);
  });

  it('applies a command: its update, and where it goes', async ({ client }) => {
    const goto = [{ node: 'join' }];
    expect(
      await build(
        client,
        'parallel',
        step({ asNode: 'left', command: { update: { log: ['commanded'] }, goto } }),
      ),
    ).toMatchObject([
      { next: ['join'], values: { log: ['commanded'] }, writes: { left: { log: ['commanded'] } } },
    ]);
  });

  it('sends a command’s input to the node it goes to', async ({ client }) => {
    const { id } = await createThread(client, {
      graphId: 'fanOut',
      supersteps: [
        step({
          asNode: 'plan',
          command: { update: { jobs: [] }, goto: [{ node: 'work', input: { job: 'x' } }] },
        }),
      ],
    });
    const { output } = await client.runToEnd({ threadId: id, assistantId: 'fanOut' });
    expect(output.log).toEqual(['work x', 'done']);
  });

  it('lets a run go on from where they end', async ({ client }) => {
    const { id, status } = await createThread(client, {
      graphId: 'parallel',
      supersteps: [step(update('__start__', { log: ['start'] }))],
    });
    expect(status).toBe('IDLE');
    const { output } = await client.runToEnd({ threadId: id, assistantId: 'parallel' });
    expect(output.log).toEqual(['start', 'left', 'right', 'join']);
  });

  const START = step(update('__start__', { log: ['start'] }));
  const at = 'input.supersteps';

  it.for<[string, { graphId?: string | null; supersteps: unknown[] }, string, RegExp]>([
    ['without a graph', { graphId: null, supersteps: [START] }, 'input.graphId', /graphId/],
    [
      'with an unknown graph',
      { graphId: 'nope', supersteps: [START] },
      'input.graphId',
      /"nope".*parallel/,
    ],
    ['that are none', { supersteps: [] }, at, /supersteps/],
    ['that are more than 100', { supersteps: Array.from({ length: 101 }, () => START) }, at, /100/],
    [
      'one of which has no updates',
      { supersteps: [START, step()] },
      `${at}[1].updates`,
      /supersteps\[1\]\.updates/,
    ],
    [
      'whose node is ambiguous',
      { supersteps: [START, step(update('__end__')), step(update(null, { log: ['?'] }))] },
      `${at}[2].updates[0]`,
      /Superstep 3, update 1: .*Ambiguous/i,
    ],
    [
      'whose node does not exist',
      { supersteps: [START, step(update('nobody', { log: [] }))] },
      `${at}[1].updates[0]`,
      /Superstep 2, update 1: .*"nobody".*left/,
    ],
    [
      'with several updates, one of no node',
      { supersteps: [START, step(update('left', { log: [] }), update(null, { log: [] }))] },
      `${at}[1].updates[1]`,
      /Superstep 2, update 2: /,
    ],
    [
      'with __input__ twice in one',
      { supersteps: [step(update('__input__', { log: [] }), update('__input__', { log: [] }))] },
      `${at}[0]`,
      /Superstep 1.*multiple updates when updating as input/,
    ],
    [
      'with an __input__ that says nothing',
      { supersteps: [step(update('__input__', null))] },
      `${at}[0].updates[0]`,
      /Superstep 1, update 1: .*input/i,
    ],
    [
      'with __end__ twice in one',
      { supersteps: [START, step(update('__end__'), update('__end__'))] },
      `${at}[1]`,
      /Superstep 2.*multiple updates when clearing state/,
    ],
    [
      'with __copy__ where there is nothing to copy',
      { supersteps: [step(update('__copy__'))] },
      `${at}[0].updates[0]`,
      /Superstep 1, update 1: .*non-existent checkpoint/,
    ],
    [
      'with __copy__ twice in one',
      { supersteps: [START, step(update('__copy__'), update('__copy__'))] },
      `${at}[1]`,
      /Superstep 2.*multiple updates/,
    ],
    [
      'with null of no node twice in one',
      { supersteps: [START, step(update(null), update(null))] },
      `${at}[1].updates[0]`,
      /Superstep 2, update 1: /,
    ],
    [
      'with values and a command at once',
      {
        supersteps: [
          step({ asNode: 'left', values: { log: [] }, command: { update: { log: [] } } }),
        ],
      },
      `${at}[0].updates[0]`,
      /Superstep 1, update 1: .*not both/,
    ],
    [
      'whose command goes to an unknown node',
      { supersteps: [START, step({ asNode: 'left', command: { goto: [{ node: 'nobody' }] } })] },
      `${at}[1].updates[0]`,
      /Superstep 2, update 1: .*"nobody"/,
    ],
    [
      'whose values are not what the node may write',
      { supersteps: [START, step(update('left', 'text'))] },
      `${at}[1].updates[0]`,
      /Superstep 2, update 1: /,
    ],
    [
      'whose values the reducer refuses',
      {
        graphId: 'echo',
        supersteps: [step(update('__start__', { messages: [{ content: 'of no role' }] }))],
      },
      `${at}[0].updates[0]`,
      /Superstep 1, update 1: /,
    ],
  ])(
    'refuses supersteps %s, and leaves nothing behind',
    async ([_case, input, argument, message], { client, server }) => {
      const id = randomId();
      const before = await count(server, 'Thread');
      const [error] = await client.errors(CREATE_THREAD, {
        input: { id, graphId: 'parallel', ...input },
      });
      expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument });
      expect(error?.message).toMatch(message);
      expect(await count(server, 'Thread')).toBe(before);
      for (const table of [
        'Checkpoint',
        'CheckpointHead',
        'CheckpointWrite',
        'ChannelValue',
        'ChannelItem',
      ]) {
        expect(await count(server, table, sql`"threadId" = ${id}`)).toBe(0);
      }
    },
  );
});

describe('updateThread', () => {
  const UPDATE = operation(`mutation ($id: ID!, $metadata: JSONObject!) {
    updateThread(id: $id, input: {metadata: $metadata}) { id metadata createdAt updatedAt }
  }`);

  it('merges metadata key by key, and removes what is null', async ({ client }) => {
    const { id, createdAt } = await createThread(client, {
      metadata: { keep: 1, change: { a: 1 }, remove: true },
    });
    const { updateThread } = await client.gql(UPDATE, {
      id,
      metadata: { change: { b: 2 }, remove: null, add: [] },
    });
    expect(updateThread).toMatchObject({
      id,
      metadata: { keep: 1, change: { b: 2 }, add: [] },
      createdAt,
    });
    expect(updateThread.updatedAt >= createdAt).toBe(true);
    expect(await getThread(client, id, 'metadata')).toEqual({
      metadata: { keep: 1, change: { b: 2 }, add: [] },
    });
  });

  it('does not know a thread that does not exist', async ({ client }) => {
    const [error] = await client.errors(UPDATE, { id: randomId(), metadata: {} });
    expect(error?.extensions).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('deleteThread', () => {
  const DELETE = operation(`mutation ($id: ID!) { deleteThread(id: $id) }`);
  const OF_A_THREAD = [
    'Run',
    'Checkpoint',
    'CheckpointHead',
    'CheckpointWrite',
    'ChannelValue',
    'ChannelItem',
    'Interrupt',
  ];

  it('takes everything that belongs to the thread', async ({ client, server }) => {
    const { id } = await createThread(client);
    await client.runToEnd({ threadId: id, assistantId: 'steps', input: {} });
    const run = await client.runToEnd({ threadId: id, assistantId: 'ask', input: {} });
    for (const table of OF_A_THREAD) {
      expect(await count(server, table, sql`"threadId" = ${id}`), table).toBeGreaterThan(0);
    }
    const { thread } = await client.gql(
      operation(`query ($id: ID!) { thread(id: $id) { interrupts { id } } }`),
      { id },
    );
    expect(thread?.interrupts).toHaveLength(1);

    expect((await client.gql(DELETE, { id })).deleteThread).toBe(id);

    for (const table of OF_A_THREAD) {
      expect(await count(server, table, sql`"threadId" = ${id}`), table).toBe(0);
    }
    expect(await count(server, 'RunEvent', sql`"threadId" = ${id} AND "type" <> 'FINISHED'`)).toBe(
      0,
    );
    expect(await getThread(client, id, 'id')).toBeNull();
    const { run: gone } = await client.gql(operation(`query ($id: ID!) { run(id: $id) { id } }`), {
      id: run.id,
    });
    expect(gone).toBeNull();
    const { runs } = await client.gql(
      operation(`query ($ids: [ID!]) { runs(filter: {ids: $ids}) { totalCount } }`),
      { ids: [run.id] },
    );
    expect(runs.totalCount).toBe(0);
    const { node } = await client.gql(operation(`query ($id: ID!) { node(id: $id) { id } }`), {
      id,
    });
    expect(node).toBeNull();
  });

  it('leaves what other threads hold', async ({ client }) => {
    const { id } = await createThread(client);
    await client.runToEnd({ threadId: id, assistantId: 'echo', input: human('hello') });
    const { copyThread } = await client.gql(
      operation(`mutation ($id: ID!) { copyThread(id: $id) { id values } }`),
      { id },
    );
    await client.gql(DELETE, { id });
    expect(await getThread(client, copyThread.id, 'id values')).toEqual(copyThread);
  });

  it('knows the thread no more', async ({ client }) => {
    const { id } = await createThread(client);
    await client.gql(DELETE, { id });
    const documents: [string | Document, Record<string, unknown>][] = [
      [DELETE, { id }],
      [`mutation ($id: ID!) { updateThread(id: $id, input: {metadata: {}}) { id } }`, { id }],
      [`mutation ($id: ID!) { copyThread(id: $id) { id } }`, { id }],
      [CREATE_RUN, { input: { threadId: id, assistantId: 'echo', input: human('hello') } }],
    ];
    for (const [document, variables] of documents) {
      const [error] = await client.errors(document, variables);
      expect(error?.extensions).toMatchObject({ code: 'NOT_FOUND' });
      expect(error?.message).toContain(id);
    }
  });

  it('ends its runs for those that follow them, and the worker goes on with other runs', async ({
    startServer,
  }) => {
    const { client: narrow, server } = await startServer({ workerConcurrency: 1 });
    const threadId = await narrow.createThread();
    const { file } = createGate();
    const running = await narrow.startRun({ threadId, assistantId: 'gate', input: { file } });
    const queued = [
      await narrow.startRun({ threadId, assistantId: 'steps', input: {} }),
      await narrow.startRun({ threadId, assistantId: 'steps', input: {} }),
    ];
    const followed = [running, ...queued].map(({ id }) => narrow.follow(id));
    await until(async () => {
      const { run } = await narrow.gql(
        operation(`query ($id: ID!) { run(id: $id) { thread { state { next } } } }`),
        { id: running.id },
      );
      return run?.thread?.state?.next[0] === 'hold';
    });

    expect((await narrow.gql(DELETE, { id: threadId })).deleteThread).toBe(threadId);

    for (const events of await Promise.all(followed)) {
      expect(events.at(-1)).toMatchObject({
        __typename: 'RunFinishedEvent',
        status: 'CANCELLED',
        error: null,
      });
    }
    const finished = { __typename: 'RunFinishedEvent', status: 'CANCELLED' };
    expect(await narrow.follow(running.id)).toMatchObject([
      { __typename: 'StreamGapEvent' },
      finished,
    ]);
    for (const { id } of queued) expect(await narrow.follow(id)).toMatchObject([finished]);
    const next = await narrow.startRun({ assistantId: 'steps', input: {} });
    expect((await narrow.follow(next.id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
    const [rows] = await server.app.sql.query<{ count: number }>(
      sql`SELECT count(*)::int AS "count" FROM "Checkpoint" WHERE "threadId" = ${threadId}`,
    );
    expect(rows?.count).toBe(0);
  });
});

describe('An id that is no UUID', () => {
  it.for([
    [`query ($id: ID!) { thread(id: $id) { id } }`, 'id'],
    [`mutation ($id: ID!) { createThread(input: {id: $id}) { id } }`, 'input.id'],
    [`mutation ($id: ID!) { copyThread(id: $id) { id } }`, 'id'],
    [`mutation ($id: ID!) { updateThread(id: $id, input: {metadata: {}}) { id } }`, 'id'],
    [`mutation ($id: ID!) { deleteThread(id: $id) }`, 'id'],
    [`query ($id: ID!) { threads(filter: {ids: [$id]}) { totalCount } }`, 'filter.ids[0]'],
  ] as const)('is refused: %s', async ([document, argument], { client }) => {
    for (const id of ['', 'thread', '123', `${randomId()}x`]) {
      const [error] = await client.errors(document, { id });
      expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument });
    }
  });

  it('is refused for a checkpoint', async ({ client }) => {
    const { id } = await createThread(client);
    for (const [field, argument] of [
      ['state(checkpointId: "x") { step }', 'checkpointId'],
      ['history(olderThan: "x") { totalCount }', 'olderThan'],
      ['history(filter: {runId: "x"}) { totalCount }', 'filter.runId'],
    ] as const) {
      const [error] = await client.errors(`query ($id: ID!) { thread(id: $id) { ${field} } }`, {
        id,
      });
      expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument });
    }
  });
});
