import fc from 'fast-check';
import type { VariablesOf } from 'gql.tada';
import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { randomId } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { idsOf, operation } from './support/graphql.ts';
import {
  contains,
  enumValues,
  filterOf,
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
  seldom,
  time,
  uuid,
  type ReadPage,
  type Row,
} from './support/search.ts';

// No worker executes runs here. The tests insert the rows.
it.override('settings', { workerConcurrency: 0 });

const RUN_STATUSES = enumValues('RunStatus');
const SOURCES = enumValues('CheckpointSource');

// ── Runs ─────────────────────────────────────────────────────────────────────────────────────

describe('A search for runs', () => {
  /** The ids of assistants, by the name of their graph. Graph `gone` has no assistant. */
  const assistants = new Map([['gone', randomId()]]);
  const threads = [randomId(), randomId()];
  it.beforeAll(async ({ client, server }) => {
    const query = operation(`query ($graph: ID!) { assistant(id: $graph) { id } }`);
    for (const graph of ['echo', 'steps']) {
      const { assistant } = await client.gql(query, { graph });
      assistants.set(graph, assistant?.id ?? expect.fail(`No assistant of ${graph}`));
    }
    const rows = threads.map((id) => ({ id, metadata: {} }));
    await replaceRows(server, 'Thread', rows);
  });

  const run = fc.record({
    id: uuid,
    status: fc.constantFrom(...RUN_STATUSES),
    thread: fc.nat(2),
    assistant: fc.constantFrom('echo', 'steps', 'gone'),
    metadata,
    tombstone: fc.boolean(),
    created: time,
    finished: time,
  });

  type GeneratedRun = typeof run extends fc.Arbitrary<infer Generated> ? Generated : never;

  /** Returns rows of these runs. At most one run of a thread is RUNNING. */
  function stored(runs: readonly GeneratedRun[]): Row[] {
    const running = new Set<string>();
    // A later row has no earlier time, and no run ends before its creation.
    const times = runs.map(({ created }) => created).toSorted();
    return runs.map(({ thread, assistant, created: _, finished, ...row }, i) => {
      const createdAt = times[i] ?? finished;
      const isEnded = !['PENDING', 'RUNNING'].includes(row.status);
      const threadId = threads[thread] ?? null;
      const isSecond = row.status === 'RUNNING' && threadId !== null && running.has(threadId);
      if (row.status === 'RUNNING' && threadId !== null) running.add(threadId);
      return {
        ...row,
        status: isSecond ? 'PENDING' : row.status,
        createdAt,
        finishedAt: !isEnded ? null : finished < createdAt ? createdAt : finished,
        threadId,
        assistantId: assistants.get(assistant),
        graphId: assistant,
      };
    });
  }

  const filter = filterOf({
    status: fc.subarray(RUN_STATUSES),
    thread: fc.nat(1),
    assistant: fc.constantFrom('echo', 'steps', 'gone'),
    graphId: fc.constantFrom('echo', 'steps', 'gone'),
    byName: fc.boolean(),
    created: intervalOf('created'),
    finished: intervalOf('finished'),
  });
  const order = fc.option(
    fc.record({
      field: fc.constantFrom('CREATED_AT', 'FINISHED_AT'),
      direction: fc.constantFrom('ASC', 'DESC'),
    }),
  );

  /** Sorts the rows as `runs` does. The order FINISHED_AT leaves out the others. */
  function sorted(
    rows: readonly Row[],
    { field, direction }: { field: string; direction: string },
  ) {
    const listed =
      field === 'CREATED_AT'
        ? [...rows]
        : rows
            .filter(({ finishedAt }) => finishedAt !== null)
            .toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    return direction === 'ASC' ? listed : listed.toReversed();
  }
  const keyOf = ({ id, finishedAt }: Row) => `${String(finishedAt)} ${id}`;

  it('finds what fits its filter, in each order, page by page, in both directions', async ({
    client,
    server,
  }) => {
    const plan = fc.tuple(rowsOf(run, 14), filter, paging, order);
    await fc.assert(
      fc.asyncProperty(plan, async ([runs, filterFor, pages, orderBy]) => {
        const rows = stored(runs);
        await replaceRows(server, 'Run', rows);
        const { thread, assistant, byName, ...common } = filterFor(rows);
        const threadId = typeof thread === 'number' ? threads[thread] : undefined;
        const assistantId = assistants.get(String(assistant));
        const found = rows.filter(
          (row) =>
            !row['tombstone'] &&
            matches(row, common) &&
            isWithin(row, 'created', common) &&
            isWithin(row, 'finished', common) &&
            (threadId === undefined || row['threadId'] === threadId) &&
            (assistantId === undefined || row['assistantId'] === assistantId),
        );
        const expected = sorted(found, orderBy ?? { field: 'CREATED_AT', direction: 'DESC' });
        const named = byName && assistant !== 'gone' ? assistant : assistantId;
        const ask = list(client, 'runs', {
          filter: { ...common, threadId, assistantId: named },
          orderBy,
        });
        expect(await readPages(ask, pages)).toEqual(idsOf(expected));
        expect((await ask({ first: 100 })).totalCount).toBe(expected.length);
      }),
      { numRuns: 40 },
    );
  });

  it("takes a graph's name for its default assistant, and says what else there is", async ({
    client,
    server,
  }) => {
    const rows = fc
      .sample(run, 1)
      .map((one) => ({ ...one, tombstone: false, assistant: 'echo' as const }));
    await replaceRows(server, 'Run', stored(rows));
    for (const assistantId of ['echo', assistants.get('echo')?.toUpperCase()]) {
      expect(idsOf((await list(client, 'runs', { filter: { assistantId } })({})).nodes)).toEqual(
        idsOf(rows),
      );
    }
    expect(
      idsOf((await list(client, 'runs', { filter: { assistantId: 'steps' } })({})).nodes),
    ).toEqual([]);
    const [error] = await client.errors(LIST.runs, { filter: { assistantId: 'nope' } });
    expect(error?.extensions).toEqual({ code: 'BAD_USER_INPUT', argument: 'filter.assistantId' });
    expect(error?.message).toMatch(/neither a UUID nor the name of a graph.*agent, echo/);
  });

  it('neither repeats nor skips any while others come and go', async ({ client, server }) => {
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
        await replaceRows(server, 'Run', rows);
        const going = [...leaving];
        const gone = new Set<string>();
        const seen = await readPages(
          list(client, 'runs'),
          { size, backwards: false },
          async (page) => {
            await insertRows(server, 'Run', coming.splice(0, 3));
            const leave = [rows[going.pop() ?? 12]?.id, page.at(-1)].filter(
              (id) => id !== undefined,
            );
            await removeRows(server, 'Run', leave);
            for (const id of leave) gone.add(id);
          },
        );
        // The new runs are newer than the first page.
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
  const HISTORY = operation(`query (
    $id: ID!, $filter: CheckpointFilter, $olderThan: ID,
    $first: Int, $after: String, $last: Int, $before: String
  ) {
    thread(id: $id) {
      history(
        filter: $filter, olderThan: $olderThan,
        first: $first, after: $after, last: $last, before: $before
      ) {
        totalCount
        edges { cursor node { id: checkpointId } }
        nodes { id: checkpointId }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }`);
  type Variables = VariablesOf<typeof HISTORY>;
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

  it.beforeAll(({ server }) => replaceRows(server, 'Thread', [{ id, metadata: {} }]));

  function history(client: Client, fixed: object): ReadPage {
    return async (args) => {
      const { thread } = await client.gql(HISTORY, { ...(fixed as Variables), ...args, id });
      return thread?.history ?? expect.fail('The thread is gone.');
    };
  }

  it('finds what fits its filter, newest first, page by page, in both directions', async ({
    client,
    server,
  }) => {
    const plan = fc.record({
      rows: rowsOfHistory,
      filter: fc.option(filter, { nil: undefined }),
      older: fc.option(fc.nat(13), { freq: 2 }),
      pages: paging,
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ rows, filter, older, pages }) => {
        await replaceRows(server, 'Checkpoint', stored(rows));
        const namespace = filter?.namespace ?? '';
        // `olderThan` names a checkpoint of the listed namespace.
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
        const ask = history(client, { filter, olderThan: olderThan?.checkpointId });
        expect(await readPages(ask, pages)).toEqual(expected);
        expect((await ask({})).totalCount).toBe(expected.length);
      }),
      { numRuns: 40 },
    );
  });

  it('neither repeats nor skips any while others come and go', async ({ client, server }) => {
    const plan = fc.record({ all: rowsOfHistory, first: fc.integer({ min: 3, max: 10 }) });
    await fc.assert(
      fc.asyncProperty(plan, async ({ all, first }) => {
        const rows = all.slice(0, first);
        const inRoot = stored(all.map((row) => ({ ...row, namespace: '' })));
        const coming = inRoot.slice(first);
        await replaceRows(server, 'Checkpoint', inRoot.slice(0, first));
        const seen = await readPages(
          history(client, {}),
          { size: 2, backwards: false },
          async (page) => {
            await insertRows(server, 'Checkpoint', coming.splice(0, 2));
            await server.app.sql.query(
              sql`DELETE FROM "Checkpoint" WHERE "checkpointId" = ${page.at(-1)}`,
            );
          },
        );
        expect(seen).toEqual(rows.map(({ checkpointId }) => checkpointId).toReversed());
      }),
      { numRuns: 15 },
    );
  });
});
