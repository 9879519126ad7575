import fc from 'fast-check';
import { isEnumType, isInterfaceType } from 'graphql';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { schema } from '../src/graphql/index.ts';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  human,
  randomId,
  type TestApp,
} from './support/app.ts';

type Row = Record<string, any> & { id: string };
type Connection = {
  totalCount: number;
  edges: { cursor: string; node: Record<string, any> }[];
  nodes: Record<string, any>[];
  pageInfo: {
    hasNextPage: boolean;
    hasPreviousPage: boolean;
    startCursor: string | null;
    endCursor: string | null;
  };
};
/** Asks for one page of a list; `field` is what its rows are told apart by. */
type Ask = (args: Record<string, unknown>) => Promise<Connection>;

// Nothing executes here: the rows are those that a test wrote.
let server: TestApp;
/** The ids of graphs' default assistants, which the tests delete with all others. */
const defaults = new Map<string, string>();
beforeAll(async () => {
  server = await createTestApp({ workerConcurrency: 0 });
  for (const graph of ['echo', 'steps']) {
    const query = `query ($graph: ID!) { assistant(id: $graph) { id } }`;
    defaults.set(graph, (await server.gql(query, { graph })).assistant.id);
  }
});
afterAll(() => server.stop());

// ── Rows ─────────────────────────────────────────────────────────────────────────────────────

/** Inserts the rows in their order: what the API does not let a client choose is times that are equal. */
async function insert(table: string, rows: readonly object[]): Promise<void> {
  if (rows.length === 0) return;
  const columns = Object.keys(rows[0] ?? {}).map((column) => `"${column}"`);
  await server.app.sql.query(
    `INSERT INTO "${table}" (${columns.join(', ')})
     SELECT ${columns.join(', ')} FROM jsonb_populate_recordset(NULL::"${table}", $1::jsonb)`,
    [JSON.stringify(rows)],
  );
}

async function remove(table: string, ids: readonly string[]): Promise<void> {
  await server.app.sql.query(`DELETE FROM "${table}" WHERE "id" = ANY($1::uuid[])`, [ids]);
}

async function replaceAll(table: string, rows: readonly object[]): Promise<void> {
  await server.app.sql.query(`DELETE FROM "${table}"`);
  await insert(table, rows);
}

const uuid = fc.uuid();
/** Few, so that many are equal. */
const time = fc.constantFrom(
  '2026-01-01T00:00:00.000+00:00',
  '2026-01-01T00:00:00.001+00:00',
  '2026-06-01T12:00:00.123+00:00',
);
const metadata = fc.record(
  {
    n: fc.nat(2),
    tags: fc.subarray(['a', 'b', 'c']),
    user: fc.record({ name: fc.constantFrom('ada', 'bob') }, { requiredKeys: [] }),
    none: fc.constant(null),
  },
  { requiredKeys: [] },
);
const graphId = fc.constantFrom('echo', 'steps', 'fail');

function rowsOf<T extends { id: string }>(row: fc.Arbitrary<T>, maxLength = 10) {
  return fc.uniqueArray(row, { selector: ({ id }) => id, maxLength });
}

/** In the order that the schema gives for STATUS. */
const THREAD_STATUSES = ['IDLE', 'BUSY', 'INTERRUPTED', 'ERROR'];
const RUN_STATUSES = valuesOf('RunStatus');
const SOURCES = valuesOf('CheckpointSource');

function valuesOf(name: string): string[] {
  const type = schema.getType(name);
  return isEnumType(type) ? type.getValues().map((value) => value.name) : [];
}

const thread = fc.record({
  id: uuid,
  status: fc.constantFrom(...THREAD_STATUSES),
  graphId: fc.option(graphId),
  metadata,
  createdAt: time,
  updatedAt: time,
});

/** Letters of one case sort alike in every collation. */
const plainName = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 3 });
/** What ILIKE would take for more than itself. */
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

// ── The same in memory ───────────────────────────────────────────────────────────────────────

/** PostgreSQL's @> on jsonb, below the top. */
function contains(whole: unknown, part: unknown): boolean {
  if (Array.isArray(part)) {
    return Array.isArray(whole) && part.every((item) => whole.some((own) => contains(own, item)));
  }
  if (!isObject(part)) return whole === part;
  return (
    isObject(whole) &&
    Object.entries(part).every(([key, value]) => key in whole && contains(whole[key], value))
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

type Filter = Record<string, any>;

/** Whether a row fits the parts of a filter that every list has. */
function fits(row: Row, { ids, status, graphId, metadata }: Filter): boolean {
  return (
    (ids === undefined || ids.includes(row.id)) &&
    (status === undefined || status.includes(row['status'])) &&
    (graphId === undefined || row['graphId'] === graphId) &&
    (metadata === undefined || contains(row['metadata'], metadata))
  );
}

interface Order {
  field: string;
  direction: string;
}

/** The column behind a field of an order, as text that sorts as PostgreSQL sorts the column. */
const COLUMNS: Record<string, (row: Row) => string> = {
  ID: ({ id }) => id,
  STATUS: ({ status }) => String(THREAD_STATUSES.indexOf(status)),
  NAME: ({ name }) => name,
  GRAPH_ID: ({ graphId }) => graphId,
  CREATED_AT: ({ createdAt }) => createdAt,
  UPDATED_AT: ({ updatedAt }) => updatedAt,
};

/** By the column, and by id where it is equal. */
function comparing({ field, direction }: Order): (a: Row, b: Row) => number {
  const column = COLUMNS[field];
  if (!column) throw new Error(`How does ${field} sort?`);
  const sign = direction === 'ASC' ? 1 : -1;
  return (a, b) => sign * (compare(column(a), column(b)) || compare(a.id, b.id));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

const idsOf = (rows: readonly { id: string }[]): string[] => rows.map(({ id }) => id);

// ── Pages ────────────────────────────────────────────────────────────────────────────────────

interface Paging {
  size: number;
  backwards: boolean;
}

const paging = fc.record({ size: fc.integer({ min: 1, max: 4 }), backwards: fc.boolean() });

/**
 * Reads a list page by page, from its start or from its end; gives what was seen, in the order of the list. Each page
 * is checked against what it says of itself; `between` is called after each.
 */
async function readPages(
  ask: Ask,
  { size, backwards }: Paging,
  between: (page: string[]) => Promise<void> = async () => {},
): Promise<string[]> {
  const seen: string[][] = [];
  let cursor: string | null = null;
  for (;;) {
    const page: Connection = await ask(
      backwards ? { last: size, before: cursor } : { first: size, after: cursor },
    );
    const ids = keysOf(page);
    if (backwards) seen.unshift(ids);
    else seen.push(ids);

    const { hasNextPage, hasPreviousPage, startCursor, endCursor } = page.pageInfo;
    expect(page.nodes).toEqual(page.edges.map(({ node }) => node));
    expect(startCursor).toBe(page.edges[0]?.cursor ?? null);
    expect(endCursor).toBe(page.edges.at(-1)?.cursor ?? null);
    expect(backwards ? hasNextPage : hasPreviousPage).toBe(cursor !== null);
    const more = backwards ? hasPreviousPage : hasNextPage;
    if (!more) return seen.flat();
    expect(ids).toHaveLength(size);
    cursor = backwards ? startCursor : endCursor;
    await between(ids);
  }
}

function keysOf({ nodes }: Connection): string[] {
  return nodes.map((node) => node['id'] ?? node['checkpointId']);
}

const CONNECTION = (key: string) => `
  totalCount edges { cursor node { ${key} } } nodes { ${key} }
  pageInfo { hasNextPage hasPreviousPage startCursor endCursor }`;

const BOTH_WAYS = '$first: Int, $after: String, $last: Int, $before: String';
const PAGE = 'first: $first, after: $after, last: $last, before: $before';

const LIST = {
  threads: `query ($filter: ThreadFilter, $orderBy: ThreadOrder, ${BOTH_WAYS}) {
    threads(filter: $filter, orderBy: $orderBy, ${PAGE}) { ${CONNECTION('id')} }
  }`,
  assistants: `query ($filter: AssistantFilter, $orderBy: AssistantOrder, ${BOTH_WAYS}) {
    assistants(filter: $filter, orderBy: $orderBy, ${PAGE}) { ${CONNECTION('id')} }
  }`,
  runs: `query ($filter: RunFilter, $first: Int, $after: String) {
    runs(filter: $filter, first: $first, after: $after) { ${CONNECTION('id')} }
  }`,
};

function list(name: keyof typeof LIST, fixed: Record<string, unknown> = {}): Ask {
  return async (args) => (await server.gql(LIST[name], { ...fixed, ...args }))[name];
}

// ── Threads and assistants ───────────────────────────────────────────────────────────────────

/** Mostly not there: all parts of a filter at once leave hardly a row. */
function seldom<T>(part: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: part });
}

/** A filter of the list; ids are picked out of the rows. */
function filterOf(parts: Record<string, fc.Arbitrary<unknown>>) {
  const picks = fc.array(fc.nat(12), { minLength: 1, maxLength: 6 });
  const all = Object.entries<fc.Arbitrary<unknown>>({ ...parts, metadata, picks });
  return fc
    .record({
      ...Object.fromEntries(all.map(([name, part]) => [name, seldom(part)])),
      unknown: uuid,
    })
    .map(({ picks, unknown, ...filter }: Filter) => (rows: readonly Row[]): Filter => ({
      ...filter,
      ...(picks && { ids: picks.map((at: number) => rows[at]?.id ?? unknown) }),
    }));
}

interface Searched {
  name: 'threads' | 'assistants';
  table: string;
  orderField: string;
  /** Rows for an order: names are plain where they are what is sorted. */
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
    filter: filterOf({ status: fc.subarray(THREAD_STATUSES), graphId }),
    finds: fits,
  },
  {
    name: 'assistants',
    table: 'Assistant',
    orderField: 'AssistantOrderField',
    row: (field) => assistantNamed(field === 'NAME' ? plainName : oddName),
    filter: filterOf({ graphId, name: fc.oneof(plainName, oddName) }),
    finds: (row, filter) =>
      row['deletedAt'] === null &&
      fits(row, filter) &&
      row['name'].toLowerCase().includes((filter['name'] ?? '').toLowerCase()),
  },
];

describe.each(SEARCHED)('A search for $name', ({ name, table, orderField, row, filter, finds }) => {
  const orders: Order[] = valuesOf(orderField).flatMap((field) =>
    ['ASC', 'DESC'].map((direction) => ({ field, direction })),
  );

  it.each(orders)(
    'finds what fits its filter, by $field $direction, page by page in both directions',
    async (orderBy) => {
      const plan = fc.tuple(rowsOf(row(orderBy.field)), filter, paging);
      await fc.assert(
        fc.asyncProperty(plan, async ([rows, filterFor, paging]) => {
          await replaceAll(table, rows);
          const filter = filterFor(rows);
          const expected = rows.filter((each) => finds(each, filter)).toSorted(comparing(orderBy));
          const ask = list(name, { filter, orderBy });
          expect(await readPages(ask, paging)).toEqual(idsOf(expected));
          const { totalCount, nodes } = await ask({ first: 100 });
          expect(totalCount).toBe(expected.length);
          expect(nodes).toHaveLength(expected.length);
        }),
        { numRuns: 15 },
      );
    },
  );

  it.each(orders)(
    'neither repeats nor skips what stays as it is, by $field $direction, while others come and go',
    async (orderBy) => {
      const plan = fc.record({
        all: rowsOf(row(orderBy.field), 18).map((all) => all.map(shown)),
        first: fc.integer({ min: 3, max: 12 }),
        leaving: fc.array(fc.nat(11), { maxLength: 4 }),
        paging,
      });
      await fc.assert(
        fc.asyncProperty(plan, async ({ all, first, leaving, paging }) => {
          const [rows, later] = [all.slice(0, first), all.slice(first)];
          await replaceAll(table, rows);
          const coming = [...later];
          const going = [...leaving];
          const gone = new Set<string>();
          const ask = list(name, { orderBy });

          const seen = await readPages(ask, paging, async (page) => {
            await insert(table, coming.splice(0, 3));
            // Somebody, and whom the cursor points at.
            const ids = [rows[going.pop() ?? 12]?.id, page[paging.backwards ? 0 : page.length - 1]];
            const leave = ids.filter((id) => id !== undefined);
            await remove(table, leave);
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

  it('shows what changes while it is read by UPDATED_AT twice, or not at all, as the schema says', async () => {
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
      server.app.sql.query(`UPDATE "${table}" SET "updatedAt" = now() WHERE "id" = $1`, [id]);
    const read = async (direction: string, touched: string | undefined) => {
      await replaceAll(table, rows);
      let first = true;
      const ask = list(name, { orderBy: { field: 'UPDATED_AT', direction } });
      return readPages(ask, { size: 1, backwards: false }, async () => {
        if (first) await touch(touched);
        first = false;
      });
    };
    expect(await read('ASC', oldest)).toEqual([oldest, middle, newest, oldest]);
    expect(await read('DESC', oldest)).toEqual([newest, middle]);
  });

  it('shows the newest first where no order is given', async () => {
    await fc.assert(
      fc.asyncProperty(rowsOf(row('CREATED_AT')), async (rows) => {
        await replaceAll(table, rows);
        const order = { field: 'CREATED_AT', direction: 'DESC' };
        const expected = rows.filter((each) => finds(each, {})).toSorted(comparing(order));
        for (const args of [{}, { orderBy: {} }, { orderBy: null, filter: null }]) {
          expect(keysOf(await list(name)(args))).toEqual(idsOf(expected));
        }
      }),
      { numRuns: 5 },
    );
  });

  it('refuses a cursor of another order', async () => {
    await replaceAll(table, fc.sample(row('ID'), 1).map(shown));
    const { pageInfo } = await list(name)({ orderBy: { field: 'ID' } });
    for (const place of ['after', 'before']) {
      const [error] = await server.errors(LIST[name], { [place]: pageInfo.startCursor });
      expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: place });
    }
  });

  it('refuses pages that go both ways', async () => {
    await replaceAll(table, fc.sample(row('ID'), 3).map(shown));
    const { pageInfo } = await list(name)({});
    const { startCursor: before, endCursor: after } = pageInfo;
    for (const [args, argument] of [
      [{ first: 1, last: 1 }, 'last'],
      [{ first: 1, before }, 'before'],
      [{ last: 1, after }, 'before'],
      [{ after, before }, 'before'],
    ] as const) {
      const [error] = await server.errors(LIST[name], args);
      expect(error?.extensions, JSON.stringify(args)).toEqual({ code: 'BAD_USER_INPUT', argument });
    }
  });
});

/** As it is where it has not been deleted. */
function shown<T extends Row>(row: T): T {
  return 'deletedAt' in row ? { ...row, deletedAt: null } : row;
}

// ── Runs ─────────────────────────────────────────────────────────────────────────────────────

describe('A search for runs', () => {
  const GONE = randomId();
  const assistantOf = (name: string) => (name === 'gone' ? GONE : defaults.get(name));
  const threads = [randomId(), randomId()];
  beforeAll(() =>
    replaceAll(
      'Thread',
      threads.map((id) => ({ id, metadata: {} })),
    ),
  );

  const run = fc.record({
    id: uuid,
    status: fc.constantFrom(...RUN_STATUSES),
    thread: fc.nat(2),
    assistant: fc.constantFrom('echo', 'steps', 'gone'),
    metadata,
    tombstone: fc.boolean(),
  });

  /** As they are stored: no thread has two that are RUNNING. */
  function stored(runs: readonly any[]): Row[] {
    const running = new Set<string>();
    return runs.map(({ thread, assistant, ...row }) => {
      const threadId = threads[thread] ?? null;
      const isSecond = row.status === 'RUNNING' && threadId !== null && running.has(threadId);
      if (row.status === 'RUNNING' && threadId !== null) running.add(threadId);
      return {
        ...row,
        status: isSecond ? 'PENDING' : row.status,
        threadId,
        assistantId: assistantOf(assistant),
        graphId: 'echo',
      };
    });
  }

  const filter = filterOf({
    status: fc.subarray(RUN_STATUSES),
    thread: fc.nat(1),
    assistant: fc.constantFrom('echo', 'steps', 'gone'),
    byName: fc.boolean(),
  });

  it('finds what fits its filter, newest first, page by page', async () => {
    const plan = fc.tuple(rowsOf(run, 14), filter, fc.integer({ min: 1, max: 4 }));
    await fc.assert(
      fc.asyncProperty(plan, async ([runs, filterFor, size]) => {
        const rows = stored(runs);
        await replaceAll('Run', rows);
        const { thread, assistant, byName, ...common } = filterFor(rows);
        const threadId = threads[thread];
        const assistantId = assistantOf(assistant);
        const expected = rows
          .filter(
            (row) =>
              !row['tombstone'] &&
              fits(row, common) &&
              (threadId === undefined || row['threadId'] === threadId) &&
              (assistantId === undefined || row['assistantId'] === assistantId),
          )
          .toReversed();
        const named = byName && assistant !== 'gone' ? assistant : assistantId;
        const ask = list('runs', { filter: { ...common, threadId, assistantId: named } });
        expect(await readPages(ask, { size, backwards: false })).toEqual(idsOf(expected));
        expect((await ask({ first: 100 })).totalCount).toBe(expected.length);
      }),
      { numRuns: 40 },
    );
  });

  it("takes a graph's name for its default assistant, and says what else there is", async () => {
    const rows = fc.sample(run, 1).map((one) => ({ ...one, tombstone: false, assistant: 'echo' }));
    await replaceAll('Run', stored(rows));
    for (const assistantId of ['echo', assistantOf('echo')?.toUpperCase()]) {
      expect(keysOf(await list('runs', { filter: { assistantId } })({}))).toEqual(idsOf(rows));
    }
    expect(keysOf(await list('runs', { filter: { assistantId: 'steps' } })({}))).toEqual([]);
    const [error] = await server.errors(LIST.runs, { filter: { assistantId: 'nope' } });
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'filter.assistantId' });
    expect(error?.message).toMatch(/neither a UUID nor the name of a graph.*agent, echo/);
  });

  it('neither repeats nor skips any while others come and go', async () => {
    const plan = fc.record({
      all: rowsOf(run, 18),
      first: fc.integer({ min: 3, max: 12 }),
      leaving: fc.array(fc.nat(11), { maxLength: 4 }),
      size: fc.integer({ min: 1, max: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ all, first, leaving, size }) => {
        const visible = stored(all.map((one) => ({ ...one, tombstone: false, thread: 2 })));
        const rows = visible.slice(0, first);
        const coming = visible.slice(first);
        await replaceAll('Run', rows);
        const going = [...leaving];
        const gone = new Set<string>();
        const seen = await readPages(list('runs'), { size, backwards: false }, async (page) => {
          await insert('Run', coming.splice(0, 3));
          const leave = [rows[going.pop() ?? 12]?.id, page.at(-1)].filter((id) => id !== undefined);
          await remove('Run', leave);
          for (const id of leave) gone.add(id);
        });
        // What came was newer than all of it.
        const expected = idsOf(rows.toReversed());
        expect(seen).toEqual(expected.filter((id) => seen.includes(id)));
        expect(expected.filter((id) => !gone.has(id) && !seen.includes(id))).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });
});

// ── History ──────────────────────────────────────────────────────────────────────────────────

describe("A thread's history", () => {
  const HISTORY = `query ($id: ID!, $filter: CheckpointFilter, $olderThan: ID, $first: Int, $after: String) {
    thread(id: $id) {
      history(filter: $filter, olderThan: $olderThan, first: $first, after: $after) {
        ${CONNECTION('checkpointId')}
      }
    }
  }`;
  const id = randomId();
  const runIds = [randomId(), randomId()];
  const namespace = fc.constantFrom('', '', '', 'inner:1', 'inner:1|deep:2');
  const step = fc.integer({ min: -1, max: 3 });

  const checkpoint = fc.record({
    checkpointId: uuid,
    namespace,
    source: fc.constantFrom(...SOURCES),
    step,
    runId: fc.option(fc.constantFrom(...runIds)),
    metadata,
  });
  const rowsOfHistory = fc.uniqueArray(checkpoint, {
    selector: (row) => row.checkpointId,
    maxLength: 14,
  });
  const stored = (rows: readonly object[]) =>
    rows.map((row) => ({
      ...row,
      threadId: id,
      format: 4,
      versions: {},
      versionsSeen: {},
      createdAt: '2026-01-01T00:00:00.000+00:00',
    }));
  const filter = fc.record({
    namespace: seldom(namespace),
    source: seldom(fc.subarray(SOURCES)),
    step: seldom(step),
    runId: seldom(fc.constantFrom(...runIds, randomId())),
    metadata: seldom(metadata),
  });

  beforeAll(() => replaceAll('Thread', [{ id, metadata: {} }]));

  function history(fixed: Record<string, unknown>): Ask {
    return async (args) =>
      (await server.gql(HISTORY, { id, ...fixed, ...args })).thread.history as Connection;
  }

  it('finds what fits its filter, newest first, page by page', async () => {
    const plan = fc.record({
      rows: rowsOfHistory,
      filter: fc.option(filter, { nil: undefined }),
      older: fc.option(fc.nat(13), { freq: 2 }),
      size: fc.integer({ min: 1, max: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ rows, filter, older, size }) => {
        await replaceAll('Checkpoint', stored(rows));
        const namespace = filter?.namespace ?? '';
        // The one named is of the namespace that is listed.
        const limit = older === null ? undefined : rows[older];
        const olderThan = limit?.namespace === namespace ? limit : undefined;
        const expected = rows
          .slice(0, olderThan ? rows.indexOf(olderThan) : rows.length)
          .filter(
            (row) =>
              row.namespace === namespace &&
              (filter?.source === undefined || filter.source.includes(row.source)) &&
              (filter?.step === undefined || row.step === filter.step) &&
              (filter?.runId === undefined || row.runId === filter.runId) &&
              contains(row.metadata, filter?.metadata ?? {}),
          )
          .toReversed()
          .map(({ checkpointId }) => checkpointId);
        const ask = history({ filter, olderThan: olderThan?.checkpointId });
        expect(await readPages(ask, { size, backwards: false })).toEqual(expected);
        expect((await ask({})).totalCount).toBe(expected.length);
      }),
      { numRuns: 40 },
    );
  });

  it('neither repeats nor skips any while others come and go', async () => {
    const plan = fc.record({ all: rowsOfHistory, first: fc.integer({ min: 3, max: 10 }) });
    await fc.assert(
      fc.asyncProperty(plan, async ({ all, first }) => {
        const rows = all.slice(0, first);
        const inRoot = stored(all.map((row) => ({ ...row, namespace: '' })));
        const coming = inRoot.slice(first);
        await replaceAll('Checkpoint', inRoot.slice(0, first));
        const seen = await readPages(history({}), { size: 2, backwards: false }, async (page) => {
          await insert('Checkpoint', coming.splice(0, 2));
          const remove = `DELETE FROM "Checkpoint" WHERE "checkpointId" = $1`;
          await server.app.sql.query(remove, [page.at(-1)]);
        });
        expect(seen).toEqual(rows.map(({ checkpointId }) => checkpointId).toReversed());
      }),
      { numRuns: 15 },
    );
  });
});

// ── Counts ───────────────────────────────────────────────────────────────────────────────────

describe('totalCount', () => {
  /** The statements that a request sends to the database, as the driver gets them. */
  async function statementsOf(document: string, variables: object): Promise<string[]> {
    const driver = vi.spyOn(pg.Client.prototype, 'query');
    try {
      await server.gql(document, variables as Record<string, unknown>);
      return driver.mock.calls.map(([query]) => textOf(query));
    } finally {
      driver.mockRestore();
    }
  }

  const textOf = (query: unknown): string =>
    isObject(query) && 'text' in query ? String(query['text']) : String(query);

  const threadId = randomId();
  beforeAll(() => replaceAll('Thread', [{ id: threadId, metadata: {} }]));

  it.each([
    ['assistants { # }'],
    ['threads { # }'],
    ['runs { # }'],
    ['pendingInterrupts { # }'],
    ['thread(id: $id) { runs { # } }'],
    ['thread(id: $id) { history { # } }'],
  ])('costs a statement of its own, and only where it is selected: %s', async (list) => {
    const selecting = (fields: string) =>
      `query ($id: ID!) { node(id: $id) { id } ${list.replace('#', fields)} }`;
    const others = 'nodes { __typename } edges { cursor } pageInfo { hasNextPage }';
    const without = await statementsOf(selecting(others), { id: threadId });
    const together = await statementsOf(selecting(`totalCount ${others}`), { id: threadId });
    const counts = (statements: string[]) => statements.filter((text) => /count\(/i.test(text));
    const pages = (statements: string[]) => statements.filter((text) => /ORDER BY/.test(text));
    expect(counts(without)).toEqual([]);
    expect(counts(together)).toHaveLength(1);
    expect(pages(without)).toHaveLength(1);
    expect(pages(together)).toEqual(pages(without));
  });

  it.each([9_999, 10_000, 10_001, 10_010])(
    'is exact up to 10,000, and 10,001 for more: of %i threads',
    async (count) => {
      await server.app.sql.query(`DELETE FROM "Thread"`);
      await server.app.sql.query(
        `INSERT INTO "Thread" ("id") SELECT gen_random_uuid() FROM generate_series(1, $1::int)`,
        [count],
      );
      const { totalCount } = await list('threads')({ first: 1 });
      expect(totalCount).toBe(Math.min(count, 10_001));
    },
  );
});

// ── node(id) ─────────────────────────────────────────────────────────────────────────────────

describe('node', () => {
  const NODE = `query ($id: ID!) { node(id: $id) { __typename id } }`;

  it('finds each type that has an id of this kind, in any case, and no more once it is deleted', async () => {
    await using server = await createTestApp({ workerConcurrency: 0 });
    const { createAssistant } = await server.gql(
      `mutation { createAssistant(input: { graphId: "echo" }) { id } }`,
    );
    const { createThread } = await server.gql(CREATE_THREAD);
    const { createThread: runsThread } = await server.gql(CREATE_THREAD);
    const { createRun } = await server.gql(CREATE_RUN, {
      input: { threadId: runsThread.id, assistantId: 'echo', input: human('hello') },
    });
    const found = [
      {
        __typename: 'Assistant',
        id: createAssistant.id,
        by: 'deleteAssistant',
        of: createAssistant,
      },
      { __typename: 'Thread', id: createThread.id, by: 'deleteThread', of: createThread },
      // A run goes with its thread, and leaves a tombstone.
      { __typename: 'Run', id: createRun.id, by: 'deleteThread', of: runsThread },
    ];
    const type = schema.getType('Node');
    const types = isInterfaceType(type) ? schema.getPossibleTypes(type) : [];
    expect(found.map(({ __typename }) => __typename).toSorted()).toEqual(
      types.map(({ name }) => name).toSorted(),
    );
    for (const { __typename, id, by, of } of found) {
      for (const asked of [id, id.toUpperCase()]) {
        expect(await server.gql(NODE, { id: asked })).toEqual({ node: { __typename, id } });
      }
      await server.gql(`mutation ($id: ID!) { ${by}(id: $id) }`, { id: of.id });
      expect(await server.gql(NODE, { id })).toEqual({ node: null });
    }
  });
});
