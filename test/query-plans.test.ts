import { Kind, parse, visit } from 'graphql';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { raw, sql } from '../src/db/sql.ts';
import { schema } from '../src/graphql/index.ts';
import { human, startTestServer, type TestApp, type Transport } from './support/app.ts';
import { createTestDatabase, type TestDatabase } from './support/databases.ts';
import { searchEverything, useEverything } from './support/every-operation.ts';
import { DELAYED_RUNS, generateRows } from './support/many-rows.ts';
import {
  nodesOf,
  pagesRead,
  printPlan,
  recordPlans,
  rowsGiven,
  rowsRead,
  type ExecutedPlan,
  type PlanCacheMode,
  type PlanNode,
} from './support/plans.ts';

const MINUTES = 60_000;

interface Page {
  threads: {
    nodes: { id: string }[];
    pageInfo: {
      hasNextPage: boolean;
      hasPreviousPage: boolean;
      startCursor: string | null;
      endCursor: string | null;
    };
  };
}

const PAGE = `query ($filter: ThreadFilter, $orderBy: ThreadOrder, $first: Int, $after: String, $last: Int, $before: String) {
  threads(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
    nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}`;

/**
 * The number of rows that a statement may read for each returned row, and in addition. A search filters many rows before the
 * first match.
 */
const ROWS_PER_ROW = 20;
const ROWS = 5000;
/** A row may be on a separate page, and so may the entry of the index. */
const PAGES_PER_ROW = 5;
const PAGES = 500;

/** Statements that read more, with the reason. */
const READ_MORE: { statement: RegExp; because: string }[] = [
  {
    statement:
      /^WITH matching.*FROM "Thread" WHERE \("tenant" = \$1\) AND \("\w+At" (<|>=) \$2::timestamptz\) AND \("\w+At" (<|>=) /s,
    because: 'No index has both times. Threads within a long time may be anywhere in the order.',
  },
  {
    statement: /^SELECT count\(\*\).*\("status" = \$\d::"\w+Status"\) AND \("metadata"/s,
    because: 'Intersects two indexes; few of many threads with the text may have the status.',
  },
  {
    statement: /^SELECT count\(\*\).*\("assistantId" = \$2\) AND \("status" = \$3/s,
    because: 'Counts the runs of a frequent assistant within a status: no index has both.',
  },
  {
    statement: /^WITH near.*FROM "Assistant" WHERE .*"graphId" >= \$\d.*"graphId" <= \$\d/s,
    because: 'Sorts the assistants of one graph: the planner expects fewer of them than there are.',
  },
  {
    statement: /FROM "Assistant".*"name" ILIKE/s,
    because: 'No index knows the parts of a name. Assistants are few.',
  },
  {
    statement:
      /^(SELECT count\(\*\)|WITH matching).*FROM "Interrupt" WHERE \("tenant" = \$1\) AND \("pending"\) AND \(EXISTS/s,
    because: 'Counts and gathers among the questions that wait, which are fewer than threads.',
  },
];

/** The number of returned rows, or of counted rows up to a limit. */
function worthOf(plan: PlanNode): number {
  const limits = nodesOf(plan).filter((node) => node['Node Type'] === 'Limit');
  return Math.max(...[plan, ...limits].map(rowsGiven));
}

function isWasteful({ text, plan }: ExecutedPlan): boolean {
  if (READ_MORE.some(({ statement }) => statement.test(text))) return false;
  const rows = ROWS_PER_ROW * worthOf(plan) + ROWS;
  return (
    nodesOf(plan).some((node) => rowsRead(node) > rows) ||
    pagesRead(plan) > PAGES_PER_ROW * rows + PAGES
  );
}

/** Returns the most expensive execution of each statement over the limit. */
function findWaste(executed: readonly ExecutedPlan[]): string[] {
  const worst = new Map<string, ExecutedPlan>();
  for (const one of executed.filter(isWasteful)) {
    const known = worst.get(one.text);
    if (!known || pagesRead(known.plan) < pagesRead(one.plan)) worst.set(one.text, one);
  }
  return Array.from(worst.values(), ({ text, plan }) => `${text}\n\n${printPlan(plan)}\n`);
}

// The embedded database reads the same, but does not report it.
describe.runIf(inject('database') === 'postgres')('Among 200,000 threads', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
    await generateRows(database.databaseUrl ?? '');
  }, 5 * MINUTES);
  afterAll(() => database.dispose());

  /** Returns the plans of all statements of a server under use, and the documents of the requests. */
  async function record(
    planCacheMode: PlanCacheMode,
    use: (server: TestApp) => Promise<void>,
  ): Promise<{ executed: ExecutedPlan[]; documents: Set<string> }> {
    await using recorder = await recordPlans(database.databaseUrl ?? '', planCacheMode);
    const server = await startTestServer(
      { ...database, databaseUrl: recorder.databaseUrl },
      // A short lease, so that the worker renews it during a run.
      { leaseSeconds: 3 },
    );
    const documents = new Set<string>();
    try {
      const gql = (document: string, variables?: Record<string, unknown>) => {
        documents.add(document);
        return server.gql(document, variables);
      };
      const subscribe = (
        ...[document, ...rest]: [string, Record<string, unknown>?, Transport?]
      ) => {
        documents.add(document);
        return server.subscribe(document, ...rest);
      };
      await use({
        ...server,
        gql: gql as TestApp['gql'],
        subscribe: subscribe as TestApp['subscribe'],
      });
    } finally {
      await server.stop();
    }
    return { executed: recorder.executed, documents };
  }

  it.each<PlanCacheMode>(['force_custom_plan', 'auto'])(
    'no search reads what it need not: any filter and order, either way, from the ends and the middle: %s',
    { timeout: 5 * MINUTES },
    async (planCacheMode) => {
      const { executed } = await record(planCacheMode, searchEverything);
      expect(executed.length).toBeGreaterThan(1000);
      expect(findWaste(executed).join('\n')).toBe('');
    },
  );

  it.each([
    { field: 'CREATED_AT', direction: 'DESC', column: '"createdAt"' },
    { field: 'UPDATED_AT', direction: 'ASC', column: '"updatedAt"' },
    { field: 'STATUS', direction: 'DESC', column: '"status"' },
  ])(
    'a search finds all that fits, in order, though it is not among the next rows: by $field $direction',
    { timeout: 5 * MINUTES },
    async ({ field, direction, column }) => {
      const server = await startTestServer(database, { workerConcurrency: 0 });
      try {
        for (const metadata of [{ percent: true }, { oldest: true }, { five: true }]) {
          const expected = await server.app.sql.query<{ id: string }>(
            sql`SELECT "id" FROM "Thread" WHERE "metadata" @> ${JSON.stringify(metadata)}::jsonb ORDER BY ${raw(column)} ${raw(direction)}, "id" ${raw(direction)}`,
          );
          const forwards: string[] = [];
          const backwards: string[] = [];
          const variables = { filter: { metadata }, orderBy: { field, direction } };
          for (let after: string | null = null; ;) {
            const { threads }: Page = await server.gql(PAGE, { ...variables, first: 100, after });
            forwards.push(...threads.nodes.map(({ id }) => id));
            after = threads.pageInfo.endCursor;
            if (!threads.pageInfo.hasNextPage) break;
          }
          for (let before: string | null = null; ;) {
            const { threads }: Page = await server.gql(PAGE, { ...variables, last: 100, before });
            backwards.unshift(...threads.nodes.map(({ id }) => id));
            before = threads.pageInfo.startCursor;
            if (!threads.pageInfo.hasPreviousPage) break;
          }
          const ids = expected.map(({ id }) => id);
          expect(ids.length).toBeGreaterThan(0);
          expect(forwards).toEqual(ids);
          expect(backwards).toEqual(ids);
        }
      } finally {
        await server.stop();
      }
    },
  );

  it.each<PlanCacheMode>(['force_custom_plan', 'force_generic_plan'])(
    'nothing else reads what it need not, neither for a client nor for the server itself: %s',
    { timeout: 5 * MINUTES },
    async (planCacheMode) => {
      const { executed, documents } = await record(planCacheMode, useEverything);
      const statements = executed.map(({ text }) => text).join('\n');
      for (const own of [
        /WITH found AS .* SKIP LOCKED/s, // claims
        /renewed AS \(\s*UPDATE "Run" r SET "leaseExpiresAt"/, // renews the leases
        /pg_try_advisory_xact_lock/, // removes old events
        /FROM unnest\(\$1::uuid\[\]\) AS f\(id\)/, // looks for missed events
        /UNION\s+SELECT t\."id"/, // and for missed threads
      ]) {
        expect(statements).toMatch(own);
      }
      const claims = executed.filter(({ text }) => text.startsWith('WITH found AS'));
      const runsOfClaims = claims
        .flatMap(({ plan }) => nodesOf(plan))
        .filter((node) => node['Relation Name'] === 'Run');
      expect(Math.max(...runsOfClaims.map(rowsRead))).toBeLessThan(DELAYED_RUNS / 2);
      // The poll for missed threads reads recent ones only, once a second.
      const polls = executed.filter(({ text }) => /UNION\s+SELECT t\."id"/.test(text));
      expect(Math.max(...polls.map(({ plan }) => pagesRead(plan)))).toBeLessThan(200);
      const asked = fieldsOf(documents);
      expect(ROOT_FIELDS.filter((field) => !asked.has(field))).toEqual(SEARCHES);
      expect(findWaste(executed).join('\n')).toBe('');
    },
  );
});

describe.runIf(inject('database') === 'postgres')(
  'Where one thread had nearly all there was',
  () => {
    it.each<PlanCacheMode>(['force_custom_plan', 'force_generic_plan'])(
      'a copy of it reads what is its own, and not what the copies before have: %s',
      async (planCacheMode) => {
        const database = await createTestDatabase();
        await using recorder = await recordPlans(database.databaseUrl ?? '', planCacheMode);
        const server = await startTestServer({ ...database, databaseUrl: recorder.databaseUrl });
        try {
          const { createThread } = await server.gql(
            `mutation { createThread(input: { graphId: "echo" }) { id } }`,
          );
          const { id } = createThread;
          for (let i = 0; i < 10; i++) {
            await server.gql(
              `mutation ($id: ID!, $values: JSON!) { updateThreadState(id: $id, input: { values: $values }) { checkpointId } }`,
              { id, values: human(`Message ${i}`) },
            );
          }
          await server.app.sql.query(sql`ANALYZE`);
          for (let i = 0; i < 10; i++)
            await server.gql(`mutation ($id: ID!) { copyThread(id: $id) { id } }`, { id });
        } finally {
          await server.stop();
          await database.dispose();
        }
        const copies = recorder.executed.filter(({ text }) => text.startsWith('WITH copy AS'));
        const reads = copies
          .slice(-1)
          .flatMap(({ plan }) => nodesOf(plan))
          .filter((node) => node['Relation Name'] === 'Checkpoint');
        expect(Math.max(...reads.map(rowsRead))).toBe(10);
      },
    );
  },
);

/** Lists with separate tests. */
const SEARCHES = [
  'assistants',
  'pendingInterrupts',
  'runCounts',
  'runs',
  'threadCounts',
  'threads',
];

/** All operations for clients. */
const ROOT_FIELDS = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]
  .flatMap((type) => Object.keys(type?.getFields() ?? {}))
  .toSorted();

/** The fields at the root of the documents. */
function fieldsOf(documents: Iterable<string>): Set<string> {
  const fields = new Set<string>();
  for (const document of documents) {
    visit(parse(document), {
      OperationDefinition({ selectionSet }) {
        for (const selection of selectionSet.selections)
          if (selection.kind === Kind.FIELD) fields.add(selection.name.value);
        return false;
      },
    });
  }
  return fields;
}
