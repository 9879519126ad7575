import { setTimeout as sleep } from 'node:timers/promises';
import { AIMessage, HumanMessage } from '@langchain/core/messages';
import { MessagesAnnotation, START, StateGraph } from '@langchain/langgraph';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { readHistory } from '../src/checkpoints/history.ts';
import { lastMessages } from '../src/checkpoints/schema.ts';
import { findState } from '../src/checkpoints/states.ts';
import type { Database } from '../src/db/open.ts';
import type { Query } from '../src/db/query.ts';
import { raw, sql } from '../src/db/sql.ts';
import { CREATE_RUN, CREATE_THREAD, createTestApp, human, startTestServer } from './support/app.ts';
import { startAttempt } from './support/attempts.ts';
import { kilobyte } from './support/graphs.ts';
import { createTestDatabase, openTestDatabase, type TestDatabase } from './support/databases.ts';
import { nodesOf, printPlan, recordPlans, rowsRead } from './support/plans.ts';
import { threadRows, threadTables } from './support/thread-rows.ts';
import { intercept } from './support/queries.ts';

const MINUTES = 60_000;

/** Statements and bytes are the same on both databases, and these turns take the embedded one minutes. */
const onPostgres = inject('database') === 'postgres';

/** What the statements that it ran were, and what they gave. */
interface Counted {
  query: Query;
  statements: { text: string; rows: any[] }[];
}

function count(query: Query): Counted {
  const statements: Counted['statements'] = [];
  return {
    statements,
    query: intercept(query, async ({ text }, send) => {
      const statement: Counted['statements'][number] = { text, rows: [] };
      statements.push(statement);
      const rows = await send();
      statement.rows = rows;
      return rows;
    }),
  };
}

describe.runIf(onPostgres)('A thread of 400 turns', () => {
  const TURNS = 400;
  let testDatabase: TestDatabase;
  let database: Database;
  let threadId: string;
  /** How many statements each turn took. */
  const perTurn: number[] = [];
  /** What a page of the history and the state of now cost, by the turn before which they were read. */
  const reads = new Map<number, { history: Counted; values: Counted; messages: Counted }>();

  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    database = await openTestDatabase(testDatabase);
    const graph = (new StateGraph(MessagesAnnotation) as any)
      .addNode('think', (state: typeof MessagesAnnotation.State) => say(state, 'think'))
      .addNode('answer', (state: typeof MessagesAnnotation.State) => say(state, 'answer'))
      .addEdge(START, 'think')
      .addEdge('think', 'answer')
      .compile();
    for (let turn = 0; turn < TURNS; turn++) {
      if (turn === 10) reads.set(turn, await readAll());
      const counted = count(database.sql.query);
      const attempt = await startAttempt(counted.query, threadId);
      threadId = attempt.threadId;
      await graph.invoke(
        { messages: [new HumanMessage({ content: kilobyte(`said ${turn}`), id: `said ${turn}` })] },
        {
          configurable: { thread_id: threadId, __pregel_checkpointer: attempt.saver },
          durability: 'sync',
        },
      );
      await attempt.end();
      perTurn.push(counted.statements.length);
    }
    reads.set(TURNS, await readAll());
  }, 20 * MINUTES);

  afterAll(async () => {
    await database.close();
    await testDatabase.dispose();
  });

  function say({ messages }: typeof MessagesAnnotation.State, node: string) {
    const name = `${node} ${messages.length}`;
    return { messages: [new AIMessage({ content: kilobyte(name), id: name })] };
  }

  async function readAll() {
    const graphs = { has: () => false } as any;
    const [history, values, messages] = [0, 1, 2].map(() => count(database.sql.query)) as [
      Counted,
      Counted,
      Counted,
    ];
    const page = { first: 10, filter: { namespace: '' } };
    const appWith = ({ query }: Counted) => ({ sql: { ...database.sql, query }, graphs });
    await readHistory(appWith(history), threadId, page);
    const { edges } = await readHistory(appWith(values), threadId, page);
    for (const { node } of edges) await node.snapshot();
    const state = await findState(appWith(messages), threadId);
    expect(await lastMessages(state, { argument: 'last', last: 20 })).toHaveLength(20);
    return { history, values, messages };
  }

  it('takes as many statements for its last turn as for its third', () => {
    expect(perTurn.at(-1)).toBe(perTurn[2]);
    expect(Math.max(...perTurn)).toBe(perTurn[2]);
    expect(perTurn[2]).toBeLessThanOrEqual(16);
  });

  it('lists a page of its history with as many statements as at turn 10, and reads no values', () => {
    const [early, late] = [reads.get(10)?.history, reads.get(TURNS)?.history];
    expect(late?.statements.length).toBe(early?.statements.length);
    for (const { text } of late?.statements ?? [])
      expect(text).not.toMatch(/ChannelValue|ChannelItem/);
  });

  it('reads the values of a page in one statement, each item once', () => {
    const { history, values } = reads.get(TURNS) ?? {};
    expect(values?.statements.length).toBe(Number(history?.statements.length) + 1);
    const loaded = (values?.statements ?? []).filter(({ text }) => text.includes('ChannelItem'));
    expect(loaded).toHaveLength(1);
    const numbers = (loaded[0]?.rows ?? [])
      .filter(({ kind }) => kind === 'item')
      .map(({ number }) => number);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(numbers.length).toBeGreaterThanOrEqual(3 * TURNS);
  });

  it('shows its newest messages with as many statements as at turn 10', () => {
    const [early, late] = [reads.get(10)?.messages, reads.get(TURNS)?.messages];
    expect(late?.statements.length).toBe(early?.statements.length);
  });
});

describe.runIf(onPostgres)('A long thread among short ones', () => {
  const SHORT_THREADS = 60;
  const TURNS = 40;
  /** Tables that have more rows for each turn. Of items, which are messages, the last turn reads all. */
  const GROWING = new Set(['Checkpoint', 'CheckpointWrite', 'ChannelValue', 'RunEvent']);
  /** A short thread has fewer in each, and a long one more. */
  const ROWS = 60;

  it(
    'costs its next run no more rows than theirs, however the statements were planned for those',
    { timeout: 5 * MINUTES },
    async () => {
      const database = await createTestDatabase();
      await using recorder = await recordPlans(database.databaseUrl ?? '', 'force_generic_plan');
      const server = await startTestServer({ ...database, databaseUrl: recorder.databaseUrl });
      try {
        for (let i = 0; i < SHORT_THREADS; i++) await run(await createThread());
        await server.app.sql.query(sql`ANALYZE`);
        const threadId = await createThread();
        for (let turn = 1; turn < TURNS; turn++) await run(threadId);
        const { length: before } = recorder.executed;
        await run(threadId);
        const nodes = recorder.executed.slice(before).flatMap(({ plan }) => nodesOf(plan));
        const growing = nodes.filter((node) => GROWING.has(node['Relation Name'] ?? ''));
        expect(growing.length).toBeGreaterThan(10);
        const long = growing.filter((node) => rowsRead(node) > ROWS);
        expect(long.map((node) => printPlan(node))).toEqual([]);
      } finally {
        await server.stop();
        await database.dispose();
      }

      async function createThread(): Promise<string> {
        const { createThread: thread } = await server.gql(CREATE_THREAD);
        return thread.id;
      }
      async function run(threadId: string): Promise<void> {
        const input = { threadId, assistantId: 'talkative', input: human('Say something.') };
        const { createRun } = await server.gql(CREATE_RUN, { input, wait: true });
        expect(createRun.status).toBe('SUCCESS');
      }
    },
  );
});

const CREATE_RUNS = `mutation ($input: [CreateRunInput!]!) { createRuns(inputs: $input) { id } }`;

describe.runIf(onPostgres).each([
  ['the default stream modes', undefined],
  ['the stream mode VALUES', ['VALUES']],
])('What a thread owns with %s', (_name, streamModes) => {
  it(
    'grows with what is said: 2 MB in 100 turns of 3 KB, and less than 4.5 times that in 400',
    { timeout: 30 * MINUTES },
    async () => {
      await using server = await createTestApp();
      const { query } = server.app.sql;
      const { createThread } = await server.gql(CREATE_THREAD);
      const threadId: string = createThread.id;
      let turn = 0;

      async function speak(turns: number): Promise<void> {
        for (let left = turns; left > 0; left -= 50) {
          const input = Array.from({ length: Math.min(left, 50) }, () => ({
            threadId,
            assistantId: 'talkative',
            input: human(kilobyte(`said ${turn++}`)),
            ...(streamModes && { streamModes }),
          }));
          await server.gql(CREATE_RUNS, { input });
          while ((await unfinished()) > 0) await sleep(50);
        }
      }
      async function unfinished(): Promise<number> {
        const rows = await query(
          sql`SELECT 1 FROM "Run" WHERE "threadId" = ${threadId} AND "status" <> 'SUCCESS'`,
        );
        return rows.length;
      }
      async function owned(): Promise<number> {
        let bytes = 0;
        for (const table of await threadTables(query)) {
          const [row] = await query<{ bytes: number }>(
            sql`SELECT coalesce(sum(pg_column_size(r.*)), 0)::bigint AS "bytes" FROM ${raw(`"${table}"`)} r WHERE "threadId" = ${threadId}`,
          );
          bytes += row?.bytes ?? 0;
        }
        return bytes;
      }
      const shown = async (): Promise<number> => {
        const { thread } = await server.gql(
          `query ($id: ID!) { thread(id: $id) { storageBytes } }`,
          { id: threadId },
        );
        return thread.storageBytes;
      };

      await speak(100);
      const after100 = await owned();
      expect(after100).toBeLessThan(2 * 2 ** 20);
      expect(after100).toBeGreaterThan(300_000);
      expect(await shown()).toBeGreaterThan(300_000);
      expect(await shown()).toBeLessThanOrEqual(after100);

      await speak(300);
      expect(await owned()).toBeLessThan(4.5 * after100);

      await server.gql(`mutation ($id: ID!) { deleteThread(id: $id) }`, { id: threadId });
      for (const { table, rows } of await threadRows(query, threadId)) {
        const left = rows.filter(
          (row) => !(table === 'RunEvent' && String(row).includes('"FINISHED"')),
        );
        expect({ table, left }).toEqual({ table, left: [] });
      }
    },
  );
});
