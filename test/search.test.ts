import fc from 'fast-check';
import { isInterfaceType } from 'graphql';
import pg from 'pg';
import { describe, expect, vi } from 'vitest';
import { raw, sql } from '../src/db/sql.ts';
import { human, randomId } from './support/app.ts';
import { createAssistant } from './support/assistants.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { idsOf, operation } from './support/graphql.ts';
import {
  enumValues,
  filterOf,
  hasText,
  insertRows,
  intervalOf,
  isWithin,
  LIST,
  list,
  matches,
  metadata,
  paging,
  readPages,
  removeRows,
  replaceRows,
  rowsOf,
  schema,
  time,
  uuid,
  type Filter,
  type Row,
} from './support/search.ts';

// No worker executes runs here. The tests insert the rows.
it.override('settings', { workerConcurrency: 0 });

/** In the order of the schema for STATUS. */
const THREAD_STATUSES = ['IDLE', 'BUSY', 'INTERRUPTED', 'ERROR'];

const graphId = fc.constantFrom('echo', 'steps', 'fail');

const thread = fc
  .record({
    id: uuid,
    status: fc.constantFrom(...THREAD_STATUSES),
    graphId: fc.option(graphId),
    metadata,
    createdAt: time,
    updatedAt: time,
    stateUpdatedAt: time,
  })
  // A thread is not updated before its creation.
  .map((row) => ({
    ...row,
    updatedAt: row.updatedAt < row.createdAt ? row.createdAt : row.updatedAt,
  }));

/** Letters of one case sort alike in every collation. */
const plainName = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 3 });
/** Wildcards and escapes of ILIKE. */
const oddName = fc.string({ unit: fc.constantFrom('a', 'A', '%', '_', '\\', '"'), maxLength: 4 });

const assistantNamed = (name: fc.Arbitrary<string>) =>
  fc.record({
    id: uuid,
    graphId,
    name,
    metadata,
    createdAt: time,
    updatedAt: time,
    deletedAt: fc.option(time, { freq: 5 }),
  });

/** The row without its deletion. */
function shown<T extends Row>(row: T): T {
  return 'deletedAt' in row ? { ...row, deletedAt: null } : row;
}

interface Order {
  field: string;
  direction: string;
}

/** The column of each order, as text with the order of PostgreSQL. */
const COLUMNS: Record<string, (row: Row) => unknown> = {
  ID: ({ id }) => id,
  STATUS: (row) => THREAD_STATUSES.indexOf(String(row['status'])),
  NAME: (row) => row['name'],
  GRAPH_ID: (row) => row['graphId'],
  CREATED_AT: (row) => row['createdAt'],
  UPDATED_AT: (row) => row['updatedAt'],
  STATE_UPDATED_AT: (row) => row['stateUpdatedAt'],
};

/** Compares by the column, then by id. */
function comparing({ field, direction }: Order): (a: Row, b: Row) => number {
  const column = COLUMNS[field];
  if (!column) throw new Error(`How does ${field} sort?`);
  const sign = direction === 'ASC' ? 1 : -1;
  return (a, b) => sign * (compare(String(column(a)), String(column(b))) || compare(a.id, b.id));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

interface Searched {
  name: 'threads' | 'assistants';
  table: string;
  orderField: string;
  /** Rows for an order. An order by name needs plain names. */
  row: (field: string) => fc.Arbitrary<Row>;
  filter: ReturnType<typeof filterOf>;
  finds: (row: Row, filter: Filter) => boolean;
}

const SEARCHED: Searched[] = [
  {
    name: 'threads',
    table: 'Thread',
    orderField: 'ThreadOrderField',
    row: () => thread,
    filter: filterOf({
      status: fc.subarray(THREAD_STATUSES),
      graphId,
      created: intervalOf('created'),
      updated: intervalOf('updated'),
      text: fc.constantFrom('a', 'AD', 'bo', 'zzz', 'ada b'),
    }),
    finds: (row, filter) =>
      matches(row, filter) &&
      isWithin(row, 'created', filter) &&
      isWithin(row, 'updated', filter) &&
      hasText(row, filter.text),
  },
  {
    name: 'assistants',
    table: 'Assistant',
    orderField: 'AssistantOrderField',
    row: (field) => assistantNamed(field === 'NAME' ? plainName : oddName),
    filter: filterOf({ graphId, name: fc.oneof(plainName, oddName) }),
    finds: (row, filter) =>
      row['deletedAt'] === null &&
      matches(row, filter) &&
      String(row['name'])
        .toLowerCase()
        .includes((filter.name ?? '').toLowerCase()),
  },
];

describe.each(SEARCHED)('A search for $name', ({ name, table, orderField, row, filter, finds }) => {
  const orders: Order[] = enumValues(orderField).flatMap((field) =>
    ['ASC', 'DESC'].map((direction) => ({ field, direction })),
  );

  it.for(orders)(
    'finds what fits its filter, by $field $direction, page by page in both directions',
    async (orderBy, { client, server }) => {
      const plan = fc.tuple(rowsOf(row(orderBy.field)), filter, paging);
      await fc.assert(
        fc.asyncProperty(plan, async ([rows, filterFor, paging]) => {
          await replaceRows(server, table, rows);
          const filter = filterFor(rows);
          const expected = rows.filter((each) => finds(each, filter)).toSorted(comparing(orderBy));
          const ask = list(client, name, { filter, orderBy });
          expect(await readPages(ask, paging)).toEqual(idsOf(expected));
          const { totalCount, nodes } = await ask({ first: 100 });
          expect(totalCount).toBe(expected.length);
          expect(nodes).toHaveLength(expected.length);
        }),
        { numRuns: 15 },
      );
    },
  );

  it.for(orders)(
    'neither repeats nor skips what stays as it is, by $field $direction, while others come and go',
    async (orderBy, { client, server }) => {
      const plan = fc.record({
        all: rowsOf(row(orderBy.field), 18).map((all) => all.map(shown)),
        first: fc.integer({ min: 3, max: 12 }),
        leaving: fc.array(fc.nat(11), { maxLength: 4 }),
        paging,
      });
      await fc.assert(
        fc.asyncProperty(plan, async ({ all, first, leaving, paging }) => {
          const [rows, later] = [all.slice(0, first), all.slice(first)];
          await replaceRows(server, table, rows);
          const coming = [...later];
          const going = [...leaving];
          const gone = new Set<string>();
          const ask = list(client, name, { orderBy });

          const seen = await readPages(ask, paging, async (page) => {
            await insertRows(server, table, coming.splice(0, 3));
            // An arbitrary row, and the row of the cursor.
            const ids = [rows[going.pop() ?? 12]?.id, page[paging.backwards ? 0 : page.length - 1]];
            const leave = ids.filter((id) => id !== undefined);
            await removeRows(server, table, leave);
            for (const id of leave) gone.add(id);
          });

          expect(new Set(seen).size).toBe(seen.length);
          const inOrder = idsOf(all.toSorted(comparing(orderBy)));
          expect(seen).toEqual(inOrder.filter((id) => seen.includes(id)));
          const stayed = idsOf(rows).filter((id) => !gone.has(id));
          expect(stayed.filter((id) => !seen.includes(id))).toEqual([]);
        }),
        { numRuns: 6 },
      );
    },
  );

  it('shows what changes while it is read by UPDATED_AT twice, or not at all, as the schema says', async ({
    client,
    server,
  }) => {
    const description = schema.getType(orderField)?.description;
    expect(description).toMatch(
      /can change between two pages: an? \w+ may then appear twice or not at all/,
    );

    const rows = fc.sample(row('ID'), 3).map((one, second) => ({
      ...shown(one),
      id: randomId(),
      updatedAt: `2026-01-01T00:00:0${second}.000+00:00`,
    }));
    const [oldest, middle, newest] = idsOf(rows);
    const touch = (id: string | undefined) =>
      server.app.sql.query(
        sql`UPDATE ${raw(`"${table}"`)} SET "updatedAt" = now() WHERE "id" = ${id}`,
      );
    const read = async (direction: string, touched: string | undefined) => {
      await replaceRows(server, table, rows);
      let first = true;
      const ask = list(client, name, { orderBy: { field: 'UPDATED_AT', direction } });
      return readPages(ask, { size: 1, backwards: false }, async () => {
        if (first) await touch(touched);
        first = false;
      });
    };
    expect(await read('ASC', oldest)).toEqual([oldest, middle, newest, oldest]);
    expect(await read('DESC', oldest)).toEqual([newest, middle]);
  });

  it('shows the newest first where no order is given', async ({ client, server }) => {
    await fc.assert(
      fc.asyncProperty(rowsOf(row('CREATED_AT')), async (rows) => {
        await replaceRows(server, table, rows);
        const order = { field: 'CREATED_AT', direction: 'DESC' };
        const expected = rows.filter((each) => finds(each, {})).toSorted(comparing(order));
        for (const args of [{}, { orderBy: {} }, { orderBy: null, filter: null }]) {
          expect(idsOf((await list(client, name)(args)).nodes)).toEqual(idsOf(expected));
        }
      }),
      { numRuns: 5 },
    );
  });

  it('refuses a cursor of another order', async ({ client, server }) => {
    await replaceRows(server, table, fc.sample(row('ID'), 1).map(shown));
    const { pageInfo } = await list(client, name)({ orderBy: { field: 'ID' } });
    for (const place of ['after', 'before']) {
      const [error] = await client.errors(LIST[name], { [place]: pageInfo.startCursor });
      expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: place });
    }
  });

  it('refuses pages that go both ways', async ({ client, server }) => {
    await replaceRows(server, table, fc.sample(row('ID'), 3).map(shown));
    const { pageInfo } = await list(client, name)({});
    const { startCursor: before, endCursor: after } = pageInfo;
    for (const [args, argument] of [
      [{ first: 1, last: 1 }, 'last'],
      [{ first: 1, before }, 'before'],
      [{ last: 1, after }, 'after'],
      [{ after, before }, 'before'],
    ] as const) {
      const [error] = await client.errors(LIST[name], args);
      expect(error?.extensions, JSON.stringify(args)).toEqual({ code: 'BAD_USER_INPUT', argument });
    }
  });
});

// ── Counts ───────────────────────────────────────────────────────────────────────────────────

describe('totalCount', () => {
  /** Returns the statements of a request, in the words of the driver. */
  async function statementsOf(client: Client, document: string): Promise<string[]> {
    const driver = vi.spyOn(pg.Client.prototype, 'query');
    try {
      await client.gql(document, { id: threadId });
      return driver.mock.calls.map(([query]) => textOf(query));
    } finally {
      driver.mockRestore();
    }
  }

  const textOf = (query: unknown): string =>
    typeof query === 'object' && query && 'text' in query ? String(query.text) : String(query);

  const threadId = randomId();
  it.beforeAll(({ server }) => replaceRows(server, 'Thread', [{ id: threadId, metadata: {} }]));

  it.for([
    'assistants { # }',
    'threads { # }',
    'runs { # }',
    'pendingInterrupts { # }',
    'thread(id: $id) { runs { # } }',
    'thread(id: $id) { history { # } }',
  ])(
    'costs a statement of its own, and only where it is selected: %s',
    async (list, { client }) => {
      const selecting = (fields: string) =>
        `query ($id: ID!) { node(id: $id) { id } ${list.replace('#', fields)} }`;
      const others = 'nodes { __typename } edges { cursor } pageInfo { hasNextPage }';
      const without = await statementsOf(client, selecting(others));
      const together = await statementsOf(client, selecting(`totalCount ${others}`));
      const counts = (statements: string[]) => statements.filter((text) => /count\(/i.test(text));
      const pages = (statements: string[]) => statements.filter((text) => /ORDER BY/.test(text));
      expect(counts(without)).toEqual([]);
      expect(counts(together)).toHaveLength(1);
      expect(pages(without)).toHaveLength(1);
      expect(pages(together)).toEqual(pages(without));
    },
  );

  it.for([9_999, 10_000, 10_001, 10_010])(
    'is exact up to 10,000, and 10,001 for more: of %i threads',
    async (count, { client, server }) => {
      await server.app.sql.query(sql`DELETE FROM "Thread"`);
      await server.app.sql.query(
        sql`INSERT INTO "Thread" ("id") SELECT gen_random_uuid() FROM generate_series(1, ${count}::int)`,
      );
      const { totalCount } = await list(client, 'threads')({ first: 1 });
      expect(totalCount).toBe(Math.min(count, 10_001));
    },
  );
});

// ── node(id) ─────────────────────────────────────────────────────────────────────────────────

describe('node', () => {
  const NODE = operation(`query ($id: ID!) { node(id: $id) { __typename id } }`);
  const DELETE_ASSISTANT = operation(`mutation ($id: ID!) { deleteAssistant(id: $id) }`);
  const DELETE_THREAD = operation(`mutation ($id: ID!) { deleteThread(id: $id) }`);

  it('finds each type that has an id of this kind, in any case, and no more once it is deleted', async ({
    startServer,
  }) => {
    const { client } = await startServer({ workerConcurrency: 0 });
    const assistant = await createAssistant(client);
    const [empty, threadId] = [await client.createThread(), await client.createThread()];
    const run = await client.startRun({ threadId, assistantId: 'echo', input: human('hello') });
    const found = [
      {
        __typename: 'Assistant',
        id: assistant.id,
        remove: () => client.gql(DELETE_ASSISTANT, { id: assistant.id }),
      },
      {
        __typename: 'Thread',
        id: empty,
        remove: () => client.gql(DELETE_THREAD, { id: empty }),
      },
      {
        __typename: 'Run',
        id: run.id,
        // The deletion of a thread also deletes its runs, and leaves a tombstone of each.
        remove: () => client.gql(DELETE_THREAD, { id: threadId }),
      },
    ];
    const type = schema.getType('Node');
    const types = isInterfaceType(type) ? schema.getPossibleTypes(type) : [];
    expect(found.map(({ __typename }) => __typename).toSorted()).toEqual(
      types.map(({ name }) => name).toSorted(),
    );
    for (const { __typename, id, remove } of found) {
      for (const asked of [id, id.toUpperCase()]) {
        expect(await client.gql(NODE, { id: asked })).toEqual({ node: { __typename, id } });
      }
      await remove();
      expect(await client.gql(NODE, { id })).toEqual({ node: null });
    }
  });
});
