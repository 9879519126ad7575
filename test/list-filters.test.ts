import { describe, expect } from 'vitest';
import { human, randomId } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { idsOf, operation } from './support/graphql.ts';

const THREADS = operation(`query ($filter: ThreadFilter) {
  threads(filter: $filter) { nodes { id } }
  threadCounts(filter: $filter) { status count }
}`);

const RUNS = operation(`query ($filter: RunFilter, $orderBy: RunOrder) {
  runs(filter: $filter, orderBy: $orderBy) { nodes { id } }
  runCounts(filter: $filter) { status count }
}`);

/** The counts that are not zero. */
const counted = (counts: { status: string; count: number }[]) =>
  Object.fromEntries(counts.flatMap(({ status, count }) => (count > 0 ? [[status, count]] : [])));

describe('ThreadFilter.text', () => {
  const find = async (client: Client, mark: string, text: string) =>
    idsOf((await client.gql(THREADS, { filter: { metadata: { mark }, text } })).threads.nodes);

  it('finds the beginnings of words in the metadata, in any case and at any depth', async ({
    client,
  }) => {
    const mark = randomId();
    const create = (metadata: Record<string, unknown>) =>
      client.createThread({ metadata: { mark, ...metadata } });
    const paris = await create({ title: "Ada's trip to Paris, France" });
    const deep = await create({ labels: ['work', { owner: 'ada@example.com' }], year: 2026 });
    const words: [string, string[]][] = [
      ['par', [paris]],
      ['  PARIS   tri ', [paris]],
      ["ada's", [paris]],
      ['ada', [deep, paris]],
      ['ada@example.com', [deep]],
      ['aris', []],
      ['paris work', []],
      ['title', []],
      ['2026', []],
      [`O'Hara \\ 'x':* | paris`, []],
      ['paris | !', [paris]],
    ];
    for (const [text, ids] of words) expect(await find(client, mark, text), text).toEqual(ids);
  });

  it('does not search the graph of the last run', async ({ client }) => {
    const mark = randomId();
    const threadId = await client.createThread({ metadata: { mark } });
    await client.runToEnd({ threadId, assistantId: 'echo', input: human('x') });
    expect(await find(client, mark, 'echo')).toEqual([]);
    expect(await find(client, mark, mark)).toEqual([threadId]);
  });
});

describe('Filters by time', () => {
  const times = operation(`query ($id: ID!) { thread(id: $id) { createdAt updatedAt } }`);

  it('include the start of the interval and exclude its end', async ({ client }) => {
    const mark = randomId();
    const id = await client.createThread({ metadata: { mark } });
    await client.runToEnd({ threadId: id, assistantId: 'echo', input: human('x') });
    const { thread } = await client.gql(times, { id });
    for (const name of ['created', 'updated'] as const) {
      const at = String(thread?.[`${name}At`]);
      const later = new Date(Date.parse(at) + 1).toISOString();
      const found = async (filter: object) =>
        (await client.gql(THREADS, { filter: { metadata: { mark }, ...filter } })).threads.nodes
          .length === 1;
      expect(await found({ [`${name}After`]: at, [`${name}Before`]: later })).toBe(true);
      expect(await found({ [`${name}After`]: later })).toBe(false);
      expect(await found({ [`${name}Before`]: at })).toBe(false);
    }
  });

  it('order runs by their end, and leave out the others', async ({ client }) => {
    const metadata = { mark: randomId() };
    const run = (input: object = {}) => ({
      assistantId: 'echo',
      input: human('x'),
      metadata,
      ...input,
    });
    const { id: waiting } = await client.startRun(run({ afterSeconds: 3600 }));
    const first = await client.runToEnd(run());
    const second = await client.runToEnd(run());
    const list = async (field: 'CREATED_AT' | 'FINISHED_AT', direction: 'ASC' | 'DESC') =>
      idsOf(
        (await client.gql(RUNS, { filter: { metadata }, orderBy: { field, direction } })).runs
          .nodes,
      );
    expect(await list('FINISHED_AT', 'DESC')).toEqual([second.id, first.id]);
    expect(await list('FINISHED_AT', 'ASC')).toEqual([first.id, second.id]);
    expect(await list('CREATED_AT', 'ASC')).toEqual([waiting, first.id, second.id]);
    await client.cancelRun(waiting);
  });
});

describe('Counts by status', () => {
  it('count the threads and runs of a filter, with each status', async ({ client }) => {
    const metadata = { mark: randomId() };
    const ids = await Promise.all([1, 2, 3].map(() => client.createThread({ metadata })));
    const run = { assistantId: 'fail', input: { fail: true }, metadata };
    await client.runToEnd({ threadId: ids[0], ...run });
    await client.runToEnd({ assistantId: 'echo', input: human('x'), metadata });
    const { threadCounts } = await client.gql(THREADS, { filter: { metadata } });
    expect(counted(threadCounts)).toEqual({ IDLE: 2, ERROR: 1 });
    expect(threadCounts.map(({ status }) => status)).toEqual([
      'IDLE',
      'BUSY',
      'INTERRUPTED',
      'ERROR',
    ]);
    const { runCounts } = await client.gql(RUNS, { filter: { metadata } });
    expect(counted(runCounts)).toEqual({ SUCCESS: 1, ERROR: 1 });
    const one = await client.gql(THREADS, { filter: { metadata, status: ['ERROR'] } });
    expect(counted(one.threadCounts)).toEqual({ ERROR: 1 });
  });
});

describe('A filter', () => {
  const [early, late] = ['2026-01-01T00:00:00.000Z', '2026-01-02T00:00:00.000Z'];

  it.for<[string, object, string, RegExp]>([
    [
      'threads',
      { createdAfter: late, createdBefore: early },
      'filter.createdBefore',
      /2026-01-01.*later than filter\.createdAfter, 2026-01-02/,
    ],
    ['threads', { updatedAfter: early, updatedBefore: early }, 'filter.updatedBefore', /later/],
    ['runs', { createdAfter: late, createdBefore: early }, 'filter.createdBefore', /later/],
    ['runs', { finishedAfter: late, finishedBefore: early }, 'filter.finishedBefore', /later/],
    ['threads', { text: ' ' }, 'filter.text', /a letter or a digit/],
    ['threads', { text: '&!' }, 'filter.text', /a letter or a digit/],
    ['threads', { text: 'x'.repeat(201) }, 'filter.text', /201 characters; at most 200/],
  ])('for %s refuses %j', async ([list, filter, argument, message], { client }) => {
    const [error] = await client.errors(list === 'runs' ? RUNS : THREADS, { filter });
    expect(error).toMatchObject({
      message: expect.stringMatching(message),
      extensions: { code: 'BAD_USER_INPUT', argument },
    });
  });
});

it('refuses a time that is not an RFC 3339 text, and shows how one is written', async ({
  client,
}) => {
  for (const createdAfter of ['yesterday', 5, ['2026-01-31T12:00:00Z'], '2026-13-01T00:00:00Z']) {
    const [error] = await client.errors(THREADS, { filter: { createdAfter } });
    expect(error).toMatchObject({
      message: expect.stringContaining(
        'Expected an RFC 3339 text, such as "2026-01-31T12:00:00Z".',
      ),
      extensions: { code: 'BAD_USER_INPUT' },
    });
  }
});
