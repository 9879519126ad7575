import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { human, randomId } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { idsOf, operation } from './support/graphql.ts';
import { sendTo } from './support/rest.ts';
import { list, readPages } from './support/search.ts';

const THREADS = operation(`query ($filter: ThreadFilter) {
  threads(filter: $filter) { totalCount nodes { id } }
  threadCounts(filter: $filter) { status count }
}`);
const DELETE = operation(`mutation ($selection: ThreadSelection!) {
  deleteThreads(selection: $selection)
}`);

/** Creates a thread whose state has this `value`. */
function withValue(client: Client, mark: string, value: unknown): Promise<string> {
  return client.createThread({
    metadata: { mark },
    graphId: 'exotic',
    supersteps: [{ updates: [{ values: { value }, asNode: 'make' }] }],
  });
}

const find = async (client: Client, mark: string, values: Record<string, unknown>) =>
  (await client.gql(THREADS, { filter: { metadata: { mark }, values } })).threads;

const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom(null, true, false, 0, 1, -1.5, 'a', 'b', ''),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', '0'), tie('value'), { maxKeys: 3 }),
  ),
})).value;

describe('A search by values', () => {
  it('finds what PostgreSQL finds with @>', async ({ client, server }) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(json, { minLength: 1, maxLength: 4 }),
        json,
        async (states, part) => {
          const mark = randomId();
          const expected: string[] = [];
          for (const value of states) {
            const id = await withValue(client, mark, value);
            const [row] = await server.app.sql.query<{ found: boolean }>(
              sql`SELECT ${JSON.stringify({ value })}::jsonb @> ${JSON.stringify({ value: part })}::jsonb AS "found"`,
            );
            if (row?.found) expected.unshift(id);
          }
          const { nodes, totalCount } = await find(client, mark, { value: part });
          expect(idsOf(nodes)).toEqual(expected);
          expect(totalCount).toBe(expected.length);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('compares values as clients see them: messages, dates, sets, and lists of many items', async ({
    client,
  }) => {
    const mark = randomId();
    const thread = () => client.createThread({ metadata: { mark } });
    const [talk, odd, long, empty] = [
      await thread(),
      await thread(),
      await thread(),
      await thread(),
    ];
    await client.runToEnd({ threadId: talk, assistantId: 'echo', input: human('good morning') });
    await client.runToEnd({ threadId: odd, assistantId: 'exotic', input: {} });
    const log = Array.from({ length: 500 }, (_, n) => `entry ${n}`);
    await client.runToEnd({ threadId: long, assistantId: 'steps', input: { log } });
    const cases: [Record<string, unknown>, string[]][] = [
      [{ messages: [{ type: 'human', content: 'good morning' }] }, [talk]],
      [{ messages: [{ type: 'ai', content: 'good morning' }] }, []],
      [{ value: { date: new Date(0).toISOString(), set: ['b'] } }, [odd]],
      [{ value: { map: { key: [2] } } }, [odd]],
      [{ log: ['entry 499', 'entry 3'] }, [long]],
      [{ log: 'entry 499' }, []],
      [{ none: null }, []],
      [{}, [empty, long, odd, talk]],
    ];
    for (const [values, ids] of cases) {
      const { nodes } = await find(client, mark, values);
      expect(idsOf(nodes), JSON.stringify(values)).toEqual(ids);
    }
  });

  it('compares the newest state, also of a waiting thread and after an edit', async ({
    client,
  }) => {
    const mark = randomId();
    const id = await withValue(client, mark, 'old');
    await client.gql(
      operation(`mutation ($id: ID!, $input: UpdateThreadStateInput!) {
        updateThreadState(id: $id, input: $input) { checkpointId }
      }`),
      { id, input: { values: { value: 'new' }, asNode: 'make' } },
    );
    expect((await find(client, mark, { value: 'old' })).nodes).toEqual([]);
    expect(idsOf((await find(client, mark, { value: 'new' })).nodes)).toEqual([id]);
  });

  it('goes page by page, counts by status, and selects for deletion', async ({ client }) => {
    const mark = randomId();
    const ids: string[] = [];
    for (let n = 0; n < 12; n++) ids.unshift(await withValue(client, mark, n % 2));
    const odd = ids.filter((_, i) => i % 2 === 0);
    const filter = { metadata: { mark }, values: { value: 1 } };
    for (const backwards of [false, true]) {
      expect(await readPages(list(client, 'threads', { filter }), { size: 4, backwards })).toEqual(
        odd,
      );
    }
    const { threadCounts } = await client.gql(THREADS, { filter });
    expect(threadCounts.find(({ status }) => status === 'IDLE')).toMatchObject({ count: 6 });
    const { deleteThreads } = await client.gql(DELETE, { selection: { filter } });
    expect(deleteThreads).toEqual(odd);
    expect((await find(client, mark, { value: 0 })).totalCount).toBe(6);
  });

  it('works over REST, in parts, and in counts', async ({ client, server }) => {
    const mark = randomId();
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) ids.unshift(await withValue(client, mark, { n, all: true }));
    const ask = (more: object) =>
      sendTo(server, 'POST', '/threads/search', {
        metadata: { mark },
        values: { value: { all: true } },
        select: ['thread_id'],
        ...more,
      });
    const first = await ask({ limit: 2 });
    expect(first.body).toEqual(ids.slice(0, 2).map((id) => ({ thread_id: id })));
    expect(first.headers.get('x-pagination-next')).toBe('2');
    expect(first.headers.get('x-pagination-total')).toBeNull();
    const rest = await ask({ limit: 3, offset: 2 });
    expect(rest.body).toEqual(ids.slice(2).map((id) => ({ thread_id: id })));
    expect(rest.headers.get('x-pagination-next')).toBeNull();
    expect(rest.headers.get('x-pagination-total')).toBe('5');
    const count = { metadata: { mark }, values: { value: { n: 3 } } };
    expect((await sendTo(server, 'POST', '/threads/count', count)).body).toBe(1);
  });

  it('refuses to read more than 1,000 states, and says so', async ({ client, server }) => {
    const mark = randomId();
    await withValue(client, mark, 'first');
    await server.app.sql.query(
      sql`INSERT INTO "Thread" ("id", "metadata")
        SELECT gen_random_uuid(), ${JSON.stringify({ mark })}::jsonb FROM generate_series(1, 1000)`,
    );
    const last = await withValue(client, mark, 'last');
    const filter = { metadata: { mark }, values: { value: 'first' } };
    const [error] = await client.errors(THREADS, { filter });
    expect(error).toMatchObject({
      message: expect.stringContaining('1,000'),
      extensions: { code: 'BAD_USER_INPUT', argument: 'filter.values' },
    });
    const { status, body } = await sendTo(server, 'POST', '/threads/count', filter);
    expect(status).toBe(422);
    expect(body.detail).toMatch(/^values was compared with the states of 1,000 threads/);
    // A page that is full needs no more states.
    const page = { ...filter, values: { value: 'last' }, limit: 1, select: ['thread_id'] };
    const full = await sendTo(server, 'POST', '/threads/search', page);
    expect(full.body).toEqual([{ thread_id: last }]);
    expect(full.headers.get('x-pagination-next')).toBe('1');
    const none = await sendTo(server, 'POST', '/threads/search', { ...page, offset: 1 });
    expect(none.status).toBe(422);
    const some = await sendTo(server, 'POST', '/threads/search', {
      ...page,
      ids: [last],
      limit: 9,
    });
    expect(some.body).toEqual([{ thread_id: last }]);
  });

  it('has at most 100 values, and none in a subscription', async ({ client, server }) => {
    const values = { log: Array.from({ length: 100 }, (_, n) => n) };
    const [error] = await client.errors(THREADS, { filter: { values } });
    expect(error?.extensions).toMatchObject({ argument: 'filter.values' });
    expect((await sendTo(server, 'POST', '/threads/search', { values })).body.detail).toBe(
      'values has 101 values; at most 100 are allowed.',
    );
    const changes = server.subscribe(
      `subscription { threadChanged(filter: { values: { a: 1 } }) { id } }`,
    );
    await expect(changes.next()).rejects.toThrow('filter.values');
  });
});
