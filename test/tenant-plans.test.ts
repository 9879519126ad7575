import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { startTestServer, type TestApp } from './support/app.ts';
import { createTestDatabase, type TestDatabase } from './support/databases.ts';
import { generateTenants, idOfRow, OF_TENANT, TENANTS } from './support/many-tenants.ts';
import { nodesOf, printPlan, recordPlans, rowsRead, type ExecutedPlan } from './support/plans.ts';
import { createViewer } from './support/viewers.ts';

const MINUTES = 60_000;
const TENANT = 7;

interface Viewers {
  /** Sees the whole tenant. */
  admin: TestApp;
  /** Sees its own rows: a tenth. */
  member: TestApp;
}

type Variables = Record<string, unknown>;

/** A thread of this tenant, and one of another. */
const threads = [idOfRow('thread', TENANT, 3), idOfRow('thread', TENANT + 1, 3)];
const runs = [idOfRow('run', TENANT, 3), idOfRow('run', TENANT + 1, 3)];
const assistants = [idOfRow('assistant', TENANT, 3), idOfRow('assistant', TENANT + 1, 3)];

const METADATA = ['all', 'some', 'one', 'only', 'none'].map((name) => ({
  metadata: { [name]: true },
}));
const GRAPHS = ['echo', 'gate'].map((graphId) => ({ graphId }));
const TEXTS = ['conversation', 'number5', 'cheer', 'elsewhere', 'nowhere', 'cheerful conv'];

const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();
const WHEN = [29.9, 15, 8].map(daysAgo);

const timesOf = (...names: string[]) =>
  names.flatMap((name) =>
    WHEN.flatMap((time) => [{ [`${name}After`]: time }, { [`${name}Before`]: time }]),
  );

const THREAD_FILTERS = [
  null,
  { ids: threads },
  ...METADATA,
  ...GRAPHS,
  ...TEXTS.map((text) => ({ text })),
  ...['IDLE', 'ERROR', 'BUSY'].map((status) => ({ status: [status] })),
  { status: ['IDLE', 'INTERRUPTED'], metadata: { some: true }, graphId: 'echo', text: 'conv' },
  ...timesOf('created', 'updated'),
];
const RUN_FILTERS = [
  null,
  { ids: runs },
  ...METADATA,
  ...threads.map((threadId) => ({ threadId })),
  ...[...assistants, 'echo'].map((assistantId) => ({ assistantId })),
  ...['SUCCESS', 'ERROR', 'TIMEOUT'].map((status) => ({ status: [status] })),
  { status: ['ERROR', 'SUCCESS'], assistantId: assistants[0], metadata: { some: true } },
  ...timesOf('created', 'finished'),
];
const ASSISTANT_FILTERS = [
  null,
  { ids: assistants },
  { name: 'number5' },
  { name: 'sistant' },
  ...METADATA,
  ...GRAPHS,
];

/** Requests both ends of a list, the rows after the first ones, and the number of all. */
async function readList(
  { gql }: TestApp,
  { list, types, variables }: { list: string; types: string; variables: Variables },
): Promise<void> {
  const names = types.replaceAll(/\$(\w+): [^$]+/g, '$1: $$$1 ');
  const read = async (page: string, fields: string, cursor?: string) => {
    const document = `query (${types} $cursor: String) { ${list}(${names} ${page}) { ${fields} } }`;
    return (await gql(document, { ...variables, cursor }))[list];
  };
  const [{ edges }] = await Promise.all([
    read('first: 5, after: $cursor', 'edges { cursor }'),
    read('last: 5, before: $cursor', 'edges { cursor }'),
  ]);
  const last = edges.at(-1)?.cursor;
  if (last) await read('first: 5, after: $cursor', 'edges { cursor }', last);
}

interface Search {
  list: string;
  type: string;
  fields: string[];
  filters: readonly (Variables | null)[];
}

/** Each filter in each order. A list in the other direction is the end of this one. */
async function readInEveryOrder(viewer: TestApp, search: Search): Promise<void> {
  const { list, type, fields, filters } = search;
  const types = `$filter: ${type}Filter, $orderBy: ${type}Order,`;
  for (const filter of filters) {
    await Promise.all([
      ...fields.map((field) => {
        const orderBy = { field, direction: 'DESC' };
        return readList(viewer, { list, types, variables: { filter, orderBy } });
      }),
      viewer.gql(`query ($filter: ${type}Filter) { ${list}(filter: $filter) { totalCount } }`, {
        filter,
      }),
    ]);
  }
}

async function searchThreads(viewer: TestApp, filters: Search['filters']): Promise<void> {
  const fields = ['ID', 'STATUS', 'CREATED_AT', 'UPDATED_AT'];
  await readInEveryOrder(viewer, { list: 'threads', type: 'Thread', fields, filters });
  for (const filter of filters) {
    await viewer.gql(`query ($filter: ThreadFilter) { threadCounts(filter: $filter) { count } }`, {
      filter,
    });
  }
}

async function searchRuns(viewer: TestApp, filters: Search['filters']): Promise<void> {
  const fields = ['CREATED_AT', 'FINISHED_AT'];
  await readInEveryOrder(viewer, { list: 'runs', type: 'Run', fields, filters });
  for (const filter of filters) {
    await viewer.gql(`query ($filter: RunFilter) { runCounts(filter: $filter) { count } }`, {
      filter,
    });
  }
}

async function searchAssistants(viewer: TestApp, filters: Search['filters']): Promise<void> {
  const fields = ['ID', 'NAME', 'GRAPH_ID', 'CREATED_AT', 'UPDATED_AT'];
  await readInEveryOrder(viewer, { list: 'assistants', type: 'Assistant', fields, filters });
}

async function searchQuestions(viewer: TestApp): Promise<void> {
  const types = '$graphId: ID, $metadata: JSONObject,';
  for (const variables of [{}, ...METADATA, ...GRAPHS, { ...GRAPHS[0], ...METADATA[1] }]) {
    await readList(viewer, { list: 'pendingInterrupts', types, variables });
    await viewer.gql(
      `query ($graphId: ID, $metadata: JSONObject) { pendingInterrupts(graphId: $graphId, metadata: $metadata) { totalCount } }`,
      variables,
    );
  }
}

/** The same over REST, where lists have an offset. */
async function searchOverRest(url: string, headers: Record<string, string>): Promise<void> {
  const send = async (path: string, body?: object) => {
    const response = await fetch(`${url}${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { ...headers, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    expect(await response.json(), path).not.toHaveProperty('detail');
  };
  const threadFilters = [
    {},
    { ids: threads },
    ...METADATA,
    { status: 'error' },
    { status: 'busy' },
  ];
  for (const filter of threadFilters) {
    for (const sort_by of ['thread_id', 'status', 'created_at', 'updated_at', 'state_updated_at']) {
      for (const sort_order of ['asc', 'desc']) {
        await send('/threads/search', { ...filter, sort_by, sort_order, offset: 2, limit: 5 });
      }
    }
    if (!('ids' in filter)) await send('/threads/count', filter);
  }
  for (const filter of [{}, { name: 'number5' }, { graph_id: 'echo' }, ...METADATA]) {
    for (const sort_by of ['assistant_id', 'graph_id', 'name', 'created_at', 'updated_at']) {
      await send('/assistants/search', { ...filter, sort_by, limit: 5 });
    }
    await send('/assistants/count', filter);
  }
  for (const query of ['', '?status=success', '?status=error&offset=1']) {
    await send(`/threads/${threads[0]}/runs${query}`);
  }
}

/** Statements of the server itself, which serves all tenants. */
const OF_SERVER = [/UNION\s+SELECT t\."id"/, /pg_try_advisory_xact_lock/, /^ALTER DATABASE/];

/** Rows that the viewers of the test add, and the default assistants. */
const FURTHER = 100;

/** The table of a node that reads rows or entries of an index. */
function tableOf(node: ReturnType<typeof nodesOf>[number]): string | undefined {
  return node['Relation Name'] ?? node['Index Name']?.split('_')[0];
}

function readsForeignRows({ plan }: ExecutedPlan): boolean {
  return nodesOf(plan).some((node) => {
    const table = tableOf(node);
    const most = OF_TENANT[table as keyof typeof OF_TENANT];
    return most !== undefined && rowsRead(node) > most + FURTHER;
  });
}

// The embedded database reads the same, but does not report it.
describe.runIf(inject('database') === 'postgres')(
  `Among ${TENANTS} tenants`,
  { timeout: 2 * MINUTES },
  () => {
    let database: TestDatabase;
    beforeAll(async () => {
      database = await createTestDatabase();
      await generateTenants(database.databaseUrl ?? '');
    }, 5 * MINUTES);
    afterAll(() => database.dispose());

    /** The plans of the statements for two viewers of a tenant. */
    async function record(
      use: (
        viewers: Viewers,
        request: { url: string; headers: Record<string, string> },
      ) => Promise<void>,
    ): Promise<ExecutedPlan[]> {
      await using recorder = await recordPlans(database.databaseUrl ?? '', 'auto');
      const server = await startTestServer(
        { ...database, databaseUrl: recorder.databaseUrl },
        { auth: 'keys', workerConcurrency: 0 },
      );
      try {
        const of = { tenant: `tenant ${TENANT}`, owner: 'user 3' };
        const admin = await createViewer(server, { ...of, role: 'admin' });
        const member = await createViewer(server, { ...of, role: 'member' });
        await use(
          { admin: admin.client, member: member.client },
          { url: server.url, headers: member.headers },
        );
      } finally {
        await server.stop();
      }
      return recorder.executed.filter(({ text }) => !OF_SERVER.some((each) => each.test(text)));
    }

    /** Each statement that reads rows of other tenants, once, with its plan. */
    function foreignReads(executed: readonly ExecutedPlan[]): string {
      const found = new Map(executed.filter(readsForeignRows).map((one) => [one.text, one]));
      return [...found.values()]
        .map(({ text, plan }) => `${text}\n\n${printPlan(plan)}\n`)
        .join('\n');
    }

    it('a search for threads reads rows of its own tenant only, by any order and filter', async () => {
      const executed = await record(async ({ admin, member }) => {
        await searchThreads(admin, THREAD_FILTERS);
        await searchThreads(member, [null, { text: 'conv' }, { metadata: { some: true } }]);
      });
      expect(executed.length).toBeGreaterThan(300);
      expect(foreignReads(executed)).toBe('');
    });

    it('a search for runs does so, too', async () => {
      const executed = await record(async ({ admin, member }) => {
        await searchRuns(admin, RUN_FILTERS);
        await searchRuns(member, [null, { status: ['ERROR'] }, { metadata: { some: true } }]);
      });
      expect(executed.length).toBeGreaterThan(200);
      expect(foreignReads(executed)).toBe('');
    });

    it('so does a cancellation of runs by a filter', async () => {
      const executed = await record(async ({ admin, member }) => {
        for (const viewer of [admin, member]) {
          await viewer.gql(`mutation { cancelRuns(filter: { status: [PENDING] }) { id } }`);
        }
      });
      expect(executed.filter(({ text }) => text.includes('max("seq")'))).toHaveLength(2);
      expect(foreignReads(executed)).toBe('');
    });

    it('and a search for assistants, questions and API keys', async () => {
      const executed = await record(async ({ admin, member }) => {
        await searchAssistants(admin, ASSISTANT_FILTERS);
        await searchQuestions(admin);
        await searchQuestions(member);
        await readList(admin, { list: 'apiKeys', types: '', variables: {} });
      });
      expect(executed.length).toBeGreaterThan(200);
      expect(foreignReads(executed)).toBe('');
    });

    it('and every search over REST', async () => {
      const executed = await record((_, { url, headers }) => searchOverRest(url, headers));
      expect(executed.length).toBeGreaterThan(100);
      expect(foreignReads(executed)).toBe('');
    });
  },
);
