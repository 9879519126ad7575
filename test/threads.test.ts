import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  human,
  randomId,
  until,
  type TestApp,
} from './support/app.ts';

let server: TestApp;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'threadql-threads-'));
  server = await createTestApp();
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

async function createThread(input?: Record<string, unknown>): Promise<any> {
  return (await server.gql(CREATE_THREAD, { input })).createThread;
}

async function createRun(input: Record<string, unknown>, wait = false): Promise<any> {
  return (await server.gql(CREATE_RUN, { input, wait })).createRun;
}

async function getThread(id: string, fields: string): Promise<any> {
  return (await server.gql(`query ($id: ID!) { thread(id: $id) { ${fields} } }`, { id })).thread;
}

async function count(table: string, where = 'true', params: unknown[] = []): Promise<number> {
  const [row] = await server.app.sql.query<{ count: number }>(
    `SELECT count(*)::int AS "count" FROM "${table}" WHERE ${where}`,
    params,
  );
  return row?.count ?? -1;
}

const update = (asNode: string | null, values: unknown = null) => ({ values, asNode });
const step = (...updates: unknown[]) => ({ updates });

describe('createThread', () => {
  it('takes an id of the client', async () => {
    const id = randomId();
    expect(await createThread({ id, metadata: { user: 'ada' } })).toMatchObject({
      id,
      status: 'IDLE',
      metadata: { user: 'ada' },
      values: {},
    });
    expect(await getThread(id, 'id')).toEqual({ id });
  });

  it('takes an id in capitals for the same one', async () => {
    const id = randomId();
    expect(await createThread({ id: id.toUpperCase() })).toMatchObject({ id });
    expect(await getThread(id.toUpperCase(), 'id')).toEqual({ id });
  });

  it('refuses an id that a thread has', async () => {
    const { id } = await createThread({ metadata: { first: true } });
    const [error] = await server.errors(CREATE_THREAD, {
      input: { id, metadata: { second: true } },
    });
    expect(error?.extensions).toMatchObject({ code: 'CONFLICT' });
    expect(error?.message).toContain(id);
    expect(await getThread(id, 'metadata')).toEqual({ metadata: { first: true } });
  });

  it('gives the thread that has the id, as it is, where that is asked for', async () => {
    const supersteps = [step(update('__input__', { log: ['once'] }))];
    const input = { id: randomId(), graphId: 'steps', supersteps, ifExists: 'DO_NOTHING' };
    const first = await createThread(input);
    const again = await createThread({ ...input, metadata: { other: true } });
    expect(again).toEqual(first);
    expect(await getThread(first.id, 'history { totalCount }')).toEqual({
      history: { totalCount: 1 },
    });
  });

  it('makes one thread of several calls at once with one id', async () => {
    const input = { id: randomId(), ifExists: 'DO_NOTHING' };
    const threads = await Promise.all(Array.from({ length: 5 }, () => createThread(input)));
    expect(new Set(threads.map(({ createdAt }) => createdAt)).size).toBe(1);
    expect(await count('Thread', '"id" = $1', [input.id])).toBe(1);
  });

  it.each(['RAISE', 'DO_NOTHING'])(
    'refuses an id that an assistant or a run has (%s)',
    async (ifExists) => {
      const { id: threadId } = await createThread();
      const run = await createRun({ threadId, assistantId: 'echo', input: human('hello') }, true);
      const { assistant } = await server.gql(`{ assistant(id: "echo") { id } }`);
      for (const id of [run.id, assistant.id]) {
        const [error] = await server.errors(CREATE_THREAD, { input: { id, ifExists } });
        expect(error?.extensions).toMatchObject({ code: 'CONFLICT' });
        expect(await getThread(id, 'id')).toBeNull();
      }
    },
  );

  it('keeps the graph that it is given as metadata.graph_id', async () => {
    expect(await createThread({ graphId: 'steps', metadata: { user: 'ada' } })).toMatchObject({
      metadata: { user: 'ada', graph_id: 'steps' },
    });
  });

  it('keeps metadata of any shape', async () => {
    const metadata = {
      text: 'snow ☃ 🙂',
      list: [1, [2], null],
      deep: { a: { b: { c: true } } },
      nothing: null,
      zero: 0,
    };
    const { id } = await createThread({ metadata });
    expect(await getThread(id, 'metadata')).toEqual({ metadata });
  });
});

describe('createThread with supersteps', () => {
  const HISTORY = `history { nodes { source step next values writes parentCheckpointId checkpointId } }`;

  async function build(graphId: string, ...supersteps: unknown[]): Promise<any[]> {
    const { id } = await createThread({ graphId, supersteps });
    return (await getThread(id, HISTORY)).history.nodes;
  }

  it('gives the graph its input as __input__', async () => {
    expect(await build('parallel', step(update('__input__', { log: ['given'] })))).toMatchObject([
      { source: 'INPUT', step: -1, next: ['__start__'], values: { log: [] } },
    ]);
  });

  it('takes an update that names no node for the start where no node has run', async () => {
    expect(await build('parallel', step(update(null, { log: ['given'] })))).toMatchObject([
      { source: 'UPDATE', step: 0, next: ['left', 'right'], values: { log: ['given'] } },
    ]);
  });

  it('takes an update that names no node for the last one that ran', async () => {
    const [state] = await build(
      'steps',
      step(update('__start__', { log: ['start'] })),
      step(update('__end__')),
      step(update(null, { log: ['again'] })),
    );
    expect(state).toMatchObject({ step: 2, next: ['step2'], values: { log: ['start', 'again'] } });
  });

  it('goes where the edges of the nodes lead', async () => {
    expect(
      await build(
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
    expect(await build('steps', step(update('step10', { log: ['last'] })))).toMatchObject([
      { step: 0, next: [], values: { log: ['last'] } },
    ]);
  });

  it('takes a node that is given null for one that has run', async () => {
    expect(
      await build('parallel', step(update('__start__', { log: ['start'] })), step(update('join'))),
    ).toMatchObject([{ step: 1, next: [], values: { log: ['start'] } }, { step: 0 }]);
  });

  it('makes an empty checkpoint of null without a node', async () => {
    const states = await build(
      'parallel',
      step(update('__start__', { log: ['start'] })),
      step(update(null)),
    );
    expect(states).toMatchObject([
      { source: 'UPDATE', step: 1, values: { log: ['start'] } },
      { source: 'UPDATE', step: 0, next: ['left', 'right'] },
    ]);
  });

  it('clears what is next with __end__ and null', async () => {
    expect(
      await build(
        'parallel',
        step(update('__start__', { log: ['start'] })),
        step(update('__end__')),
      ),
    ).toMatchObject([
      { source: 'UPDATE', step: 1, next: [], values: { log: ['start'] } },
      { step: 0, next: ['left', 'right'] },
    ]);
  });

  it('takes up the newest checkpoint once more with __copy__', async () => {
    const states = await build(
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

  it('applies a command: its update, and where it goes', async () => {
    const goto = [{ node: 'join' }];
    expect(
      await build(
        'parallel',
        step({ asNode: 'left', command: { update: { log: ['commanded'] }, goto } }),
      ),
    ).toMatchObject([
      { next: ['join'], values: { log: ['commanded'] }, writes: { left: { log: ['commanded'] } } },
    ]);
  });

  it('sends a command’s input to the node it goes to', async () => {
    const { id } = await createThread({
      graphId: 'fanOut',
      supersteps: [
        step({
          asNode: 'plan',
          command: { update: { jobs: [] }, goto: [{ node: 'work', input: { job: 'x' } }] },
        }),
      ],
    });
    const { output } = await createRun({ threadId: id, assistantId: 'fanOut' }, true);
    expect(output.log).toEqual(['work x', 'done']);
  });

  it('lets a run go on from where they end', async () => {
    const { id, status } = await createThread({
      graphId: 'parallel',
      supersteps: [step(update('__start__', { log: ['start'] }))],
    });
    expect(status).toBe('IDLE');
    const { output } = await createRun({ threadId: id, assistantId: 'parallel' }, true);
    expect(output.log).toEqual(['start', 'left', 'right', 'join']);
  });

  const START = step(update('__start__', { log: ['start'] }));
  const at = 'input.supersteps';

  it.each<[string, { graphId?: string | null; supersteps: unknown[] }, string, RegExp]>([
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
    async (_case, input, argument, message) => {
      const id = randomId();
      const before = await count('Thread');
      const [error] = await server.errors(CREATE_THREAD, {
        input: { id, graphId: 'parallel', ...input },
      });
      expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument });
      expect(error?.message).toMatch(message);
      expect(await count('Thread')).toBe(before);
      for (const table of [
        'Checkpoint',
        'CheckpointHead',
        'CheckpointWrite',
        'ChannelValue',
        'ChannelItem',
      ]) {
        expect(await count(table, '"threadId" = $1', [id])).toBe(0);
      }
    },
  );
});

describe('threads', () => {
  const LIST = `query ($filter: ThreadFilter, $orderBy: ThreadOrder, $first: Int, $after: String, $last: Int, $before: String) {
    threads(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
      nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount
    }
  }`;

  interface Listed {
    ids: string[];
    hasNextPage: boolean;
    hasPreviousPage: boolean;
    startCursor: string | null;
    endCursor: string | null;
    totalCount: number;
  }

  async function list(variables: Record<string, unknown>): Promise<Listed> {
    const { nodes, pageInfo, totalCount } = (await server.gql(LIST, variables)).threads;
    return { ids: nodes.map(({ id }: any) => id), ...pageInfo, totalCount };
  }

  /** Threads that carry the same mark; their ids, the oldest first. */
  async function createMarked(size: number) {
    const mark = randomId();
    const ids: string[] = [];
    for (let n = 0; n < size; n++) ids.push((await createThread({ metadata: { mark, n } })).id);
    return { mark, ids, filter: { metadata: { mark } } };
  }

  it('come newest first', async () => {
    const { ids, filter } = await createMarked(3);
    expect(await list({ filter })).toMatchObject({
      ids: ids.toReversed(),
      totalCount: 3,
      hasNextPage: false,
      hasPreviousPage: false,
    });
    expect((await list({ first: 3 })).ids).toEqual(ids.toReversed());
  });

  it.each(['ID', 'STATUS', 'CREATED_AT', 'UPDATED_AT'])(
    'come in the order of %s',
    async (field) => {
      const { ids, filter } = await createMarked(4);
      const up = await list({ filter, orderBy: { field, direction: 'ASC' } });
      const down = await list({ filter, orderBy: { field } });
      expect(up.ids.toSorted()).toEqual(ids.toSorted());
      expect(down.ids).toEqual(up.ids.toReversed());
    },
  );

  it('are found by status', async () => {
    const { ids, filter, mark } = await createMarked(4);
    const [idle, failed, waiting, busy] = ids as [string, string, string, string];
    await createRun({ threadId: failed, assistantId: 'fail', input: { fail: true } }, true);
    await createRun({ threadId: waiting, assistantId: 'ask', input: {} }, true);
    const file = path.join(folder, mark);
    const { id: runId } = await createRun({ threadId: busy, assistantId: 'gate', input: { file } });
    const found = async (...status: string[]) =>
      (await list({ filter: { ...filter, status } })).ids;
    expect(await found('IDLE')).toEqual([idle]);
    expect(await found('ERROR')).toEqual([failed]);
    expect(await found('INTERRUPTED')).toEqual([waiting]);
    expect(await found('BUSY')).toEqual([busy]);
    expect(await found('IDLE', 'ERROR')).toEqual([failed, idle]);
    await writeFile(file, '');
    await server.follow(runId);
    expect(await found('BUSY')).toEqual([]);
  });

  it('are found by what their metadata contains', async () => {
    const mark = randomId();
    const metadata = { mark, tags: ['a', 'b'], user: { name: 'ada', age: 36 }, none: null };
    const { id } = await createThread({ metadata });
    const matches = async (part: object) =>
      (await list({ filter: { metadata: { mark, ...part } } })).ids.length === 1;
    expect((await list({ filter: { metadata: { mark } } })).ids).toEqual([id]);
    expect(await matches({ user: { name: 'ada' } })).toBe(true);
    expect(await matches({ tags: ['b'] })).toBe(true);
    expect(await matches({ none: null })).toBe(true);
    expect(await matches({ user: { name: 'bob' } })).toBe(false);
    expect(await matches({ user: 'ada' })).toBe(false);
    expect(await matches({ missing: null })).toBe(false);
  });

  it('are found by the graph of their last run, and by id', async () => {
    const { ids, filter } = await createMarked(3);
    const [first, second] = ids as [string, string];
    await createRun({ threadId: first, assistantId: 'echo', input: human('hello') }, true);
    await createRun({ threadId: second, assistantId: 'steps', input: {} }, true);
    expect((await list({ filter: { ...filter, graphId: 'echo' } })).ids).toEqual([first]);
    await createRun({ threadId: first, assistantId: 'steps', input: {} }, true);
    expect((await list({ filter: { ...filter, graphId: 'echo' } })).ids).toEqual([]);
    expect((await list({ filter: { ids: [first, second, randomId()] } })).ids).toEqual([
      second,
      first,
    ]);
  });

  it.each(['ID', 'CREATED_AT'])(
    'come page by page, none twice and none left out, while others come and go (by %s)',
    async (field) => {
      const { ids, filter, mark } = await createMarked(12);
      const orderBy = { field };
      const remove = (id: string) =>
        server.gql(`mutation ($id: ID!) { deleteThread(id: $id) }`, { id });
      const all: string[] = (await list({ filter, orderBy })).ids;

      const seen: string[] = [];
      const gone = new Set<string>();
      let after: string | null = null;
      do {
        const page: Listed = await list({ filter, orderBy, first: 3, after });
        seen.push(...page.ids);
        after = page.hasNextPage ? page.endCursor : null;
        expect(page.hasPreviousPage).toBe(seen.length > 3);
        await createThread({ metadata: { mark, late: true } });
        // The one under the cursor, and one that is still to come.
        for (const id of [
          page.ids.at(-1),
          all.find((each) => !seen.includes(each) && !gone.has(each)),
        ]) {
          if (id === undefined) continue;
          gone.add(id);
          await remove(id);
        }
      } while (after);
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen.filter((id) => ids.includes(id))).toEqual(
        all.filter((id) => seen.includes(id) || !gone.has(id)),
      );
    },
  );

  it('come page by page backwards, too', async () => {
    const { filter } = await createMarked(7);
    const all = (await list({ filter })).ids;
    const seen: string[] = [];
    let before: string | null = null;
    do {
      const page: Listed = await list({ filter, last: 3, before });
      seen.unshift(...page.ids);
      expect(page.hasNextPage).toBe(before !== null);
      before = page.hasPreviousPage ? page.startCursor : null;
    } while (before);
    expect(seen).toEqual(all);
  });

  it('are counted on all pages', async () => {
    const { filter } = await createMarked(5);
    expect(await list({ filter, first: 2 })).toMatchObject({ totalCount: 5, hasNextPage: true });
    expect(await list({ filter: { metadata: { mark: randomId() } } })).toMatchObject({
      ids: [],
      totalCount: 0,
      startCursor: null,
      endCursor: null,
    });
  });

  it.each([
    [{ first: 0 }, 'first'],
    [{ first: -1 }, 'first'],
    [{ first: 101 }, 'first'],
    [{ last: 101 }, 'last'],
    [{ first: 1, last: 1 }, 'last'],
    [{ after: 'nonsense' }, 'after'],
    [{ last: 1, before: 'nonsense' }, 'before'],
    [{ filter: { ids: ['nonsense'] } }, 'filter.ids[0]'],
    [{ filter: { ids: [] } }, 'filter.ids'],
  ])('refuse %j', async (variables, argument) => {
    const [error] = await server.errors(LIST, variables);
    expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument });
  });
});

describe('updateThread', () => {
  const UPDATE = `mutation ($id: ID!, $metadata: JSONObject!) {
    updateThread(id: $id, input: {metadata: $metadata}) { id metadata createdAt updatedAt }
  }`;

  it('merges metadata key by key, and removes what is null', async () => {
    const { id, createdAt } = await createThread({
      metadata: { keep: 1, change: { a: 1 }, remove: true },
    });
    const { updateThread } = await server.gql(UPDATE, {
      id,
      metadata: { change: { b: 2 }, remove: null, add: [] },
    });
    expect(updateThread).toMatchObject({
      id,
      metadata: { keep: 1, change: { b: 2 }, add: [] },
      createdAt,
    });
    expect(updateThread.updatedAt >= createdAt).toBe(true);
    expect(await getThread(id, 'metadata')).toEqual({
      metadata: { keep: 1, change: { b: 2 }, add: [] },
    });
  });

  it('does not know a thread that does not exist', async () => {
    const [error] = await server.errors(UPDATE, { id: randomId(), metadata: {} });
    expect(error?.extensions).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('deleteThread', () => {
  const DELETE = `mutation ($id: ID!) { deleteThread(id: $id) }`;
  const OF_A_THREAD = [
    'Run',
    'Checkpoint',
    'CheckpointHead',
    'CheckpointWrite',
    'ChannelValue',
    'ChannelItem',
    'Interrupt',
  ];

  it('takes everything that belongs to the thread', async () => {
    const { id } = await createThread();
    await createRun({ threadId: id, assistantId: 'steps', input: {} }, true);
    const run = await createRun({ threadId: id, assistantId: 'ask', input: {} }, true);
    for (const table of OF_A_THREAD) {
      expect(await count(table, '"threadId" = $1', [id]), table).toBeGreaterThan(0);
    }
    const { thread } = await server.gql(
      `query ($id: ID!) { thread(id: $id) { interrupts { id } } }`,
      { id },
    );
    expect(thread.interrupts).toHaveLength(1);

    expect((await server.gql(DELETE, { id })).deleteThread).toBe(id);

    for (const table of OF_A_THREAD) {
      expect(await count(table, '"threadId" = $1', [id]), table).toBe(0);
    }
    expect(await count('RunEvent', `"threadId" = $1 AND "type" <> 'FINISHED'`, [id])).toBe(0);
    expect(await getThread(id, 'id')).toBeNull();
    const { run: gone } = await server.gql(`query ($id: ID!) { run(id: $id) { id } }`, {
      id: run.id,
    });
    expect(gone).toBeNull();
    const { runs } = await server.gql(
      `query ($ids: [ID!]) { runs(filter: {ids: $ids}) { totalCount } }`,
      { ids: [run.id] },
    );
    expect(runs.totalCount).toBe(0);
    const { node } = await server.gql(`query ($id: ID!) { node(id: $id) { id } }`, { id });
    expect(node).toBeNull();
  });

  it('leaves what other threads hold', async () => {
    const { id } = await createThread();
    await createRun({ threadId: id, assistantId: 'echo', input: human('hello') }, true);
    const { copyThread } = await server.gql(
      `mutation ($id: ID!) { copyThread(id: $id) { id values } }`,
      { id },
    );
    await server.gql(DELETE, { id });
    expect(await getThread(copyThread.id, 'id values')).toEqual(copyThread);
  });

  it('knows the thread no more', async () => {
    const { id } = await createThread();
    await server.gql(DELETE, { id });
    const documents: [string, Record<string, unknown>][] = [
      [DELETE, { id }],
      [`mutation ($id: ID!) { updateThread(id: $id, input: {metadata: {}}) { id } }`, { id }],
      [`mutation ($id: ID!) { copyThread(id: $id) { id } }`, { id }],
      [CREATE_RUN, { input: { threadId: id, assistantId: 'echo', input: human('hello') } }],
    ];
    for (const [document, variables] of documents) {
      const [error] = await server.errors(document, variables);
      expect(error?.extensions).toMatchObject({ code: 'NOT_FOUND' });
      expect(error?.message).toContain(id);
    }
  });

  it('ends its runs for those that follow them, and the worker goes on with other runs', async () => {
    await using narrow = await createTestApp({ workerConcurrency: 1 });
    const start = async (input: Record<string, unknown>) =>
      (await narrow.gql(CREATE_RUN, { input })).createRun;
    const { createThread: thread } = await narrow.gql(CREATE_THREAD);
    const threadId = thread.id as string;
    const never = path.join(folder, randomId());
    const running = await start({ threadId, assistantId: 'gate', input: { file: never } });
    const queued = [
      await start({ threadId, assistantId: 'steps', input: {} }),
      await start({ threadId, assistantId: 'steps', input: {} }),
    ];
    const followed = [running, ...queued].map(({ id }) => narrow.follow(id));
    await until(async () => {
      const { run } = await narrow.gql(
        `query ($id: ID!) { run(id: $id) { thread { state { next } } } }`,
        { id: running.id },
      );
      return run.thread.state?.next[0] === 'hold';
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
    const next = await start({ assistantId: 'steps', input: {} });
    expect((await narrow.follow(next.id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
    const [rows] = await narrow.app.sql.query<{ count: number }>(
      `SELECT count(*)::int AS "count" FROM "Checkpoint" WHERE "threadId" = $1`,
      [threadId],
    );
    expect(rows?.count).toBe(0);
  });
});

describe('An id that is no UUID', () => {
  it.each([
    [`query ($id: ID!) { thread(id: $id) { id } }`, 'id'],
    [`mutation ($id: ID!) { createThread(input: {id: $id}) { id } }`, 'input.id'],
    [`mutation ($id: ID!) { copyThread(id: $id) { id } }`, 'id'],
    [`mutation ($id: ID!) { updateThread(id: $id, input: {metadata: {}}) { id } }`, 'id'],
    [`mutation ($id: ID!) { deleteThread(id: $id) }`, 'id'],
    [`query ($id: ID!) { threads(filter: {ids: [$id]}) { totalCount } }`, 'filter.ids[0]'],
  ])('is refused: %s', async (document, argument) => {
    for (const id of ['', 'thread', '123', `${randomId()}x`]) {
      const [error] = await server.errors(document, { id });
      expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument });
    }
  });

  it('is refused for a checkpoint', async () => {
    const { id } = await createThread();
    for (const [field, argument] of [
      ['state(checkpointId: "x") { step }', 'checkpointId'],
      ['history(olderThan: "x") { totalCount }', 'olderThan'],
      ['history(filter: {runId: "x"}) { totalCount }', 'filter.runId'],
    ]) {
      const [error] = await server.errors(`query ($id: ID!) { thread(id: $id) { ${field} } }`, {
        id,
      });
      expect(error?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument });
    }
  });
});
