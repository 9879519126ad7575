import { AIMessage, HumanMessage } from '@langchain/core/messages';
import { MessagesAnnotation, START, StateGraph } from '@langchain/langgraph';
import { describe, expect, inject } from 'vitest';
import type { App } from '../src/app.ts';
import { readHistory } from '../src/checkpoints/history.ts';
import { pageOfMessages } from '../src/checkpoints/schema-messages.ts';
import { findState } from '../src/checkpoints/states.ts';
import type { Query } from '../src/db/query.ts';
import { raw, sql } from '../src/db/sql.ts';
import { human } from './support/app.ts';
import { startAttempt } from './support/attempts.ts';
import type { Client, RunInput } from './support/client.ts';
import { it as base } from './support/fixture.ts';
import { operation } from './support/graphql.ts';
import { kilobyte } from './support/graphs.ts';
import { nodesOf, printPlan, recordPlans, rowsRead } from './support/plans.ts';
import { intercept } from './support/queries.ts';
import { threadRows, threadTables } from './support/thread-rows.ts';

const MINUTES = 60_000;

/** Statements and bytes are the same on both databases. On the embedded database, these turns take minutes. */
const onPostgres = inject('database') === 'postgres';

/** A query, with its statements and their rows. */
interface Counted {
  query: Query;
  statements: { text: string; rows: object[] }[];
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

const TURNS = 200;

type State = typeof MessagesAnnotation.State;

function say({ messages }: State, node: string) {
  const name = `${node} ${messages.length}`;
  return { messages: [new AIMessage({ content: kilobyte(name), id: name })] };
}

const talk = new StateGraph(MessagesAnnotation)
  .addNode('think', (state) => say(state, 'think'))
  .addNode('answer', (state) => say(state, 'answer'))
  .addEdge(START, 'think')
  .addEdge('think', 'answer')
  .compile();

/** The statements of three readers of a thread: a page of its history, the values of this page, and the newest messages. */
async function readAll(app: App, threadId: string) {
  const { query } = app.sql;
  const [history, values, messages] = [count(query), count(query), count(query)];
  const page = { first: 10, filter: { namespace: '' } };
  const appWith = (counted: Counted) => ({ ...app, sql: { ...app.sql, query: counted.query } });
  await readHistory(appWith(history), threadId, page);
  const { edges } = await readHistory(appWith(values), threadId, page);
  for (const { node } of edges) await node.snapshot();
  const state = await findState(appWith(messages), threadId);
  expect(await pageOfMessages(state, { last: 20 })).toHaveLength(20);
  return { history, values, messages };
}

/** `longThread` has 200 turns: the number of statements of each turn, and the readers before turn 10 and after the last. */
const it = base.extend('longThread', { scope: 'file' }, async ({ server: { app } }) => {
  const perTurn: number[] = [];
  let early: Awaited<ReturnType<typeof readAll>> | undefined;
  let threadId: string | undefined;
  for (let turn = 0; turn < TURNS; turn++) {
    if (turn === 10 && threadId) early = await readAll(app, threadId);
    const counted = count(app.sql.query);
    const attempt = await startAttempt(counted.query, threadId);
    threadId = attempt.threadId;
    const content = kilobyte(`said ${turn}`);
    await talk.invoke(
      { messages: [new HumanMessage({ content, id: `said ${turn}` })] },
      {
        configurable: { thread_id: threadId, __pregel_checkpointer: attempt.saver },
        durability: 'sync',
      },
    );
    await attempt.end();
    perTurn.push(counted.statements.length);
  }
  if (!threadId || !early) throw new Error('The thread has no turns.');
  return { perTurn, early, late: await readAll(app, threadId) };
});

describe.runIf(onPostgres)('A thread of 200 turns', { timeout: 20 * MINUTES }, () => {
  it('takes as many statements for its last turn as for its third', ({ longThread }) => {
    const { perTurn } = longThread;
    expect(perTurn.at(-1)).toBe(perTurn[2]);
    expect(Math.max(...perTurn)).toBe(perTurn[2]);
    expect(perTurn[2]).toBeLessThanOrEqual(16);
  });

  it('lists a page of its history with as many statements as at turn 10, and reads no values', ({
    longThread: { early, late },
  }) => {
    expect(late.history.statements.length).toBe(early.history.statements.length);
    for (const { text } of late.history.statements) {
      expect(text).not.toMatch(/ChannelValue|ChannelItem/);
    }
  });

  it('reads the values of a page in one statement, each item once', ({
    longThread: {
      late: { history, values },
    },
  }) => {
    expect(values.statements.length).toBe(history.statements.length + 1);
    const loaded = values.statements.filter(({ text }) => text.includes('ChannelItem'));
    expect(loaded).toHaveLength(1);
    const items = (loaded[0]?.rows ?? []) as { kind: string; number: number }[];
    const numbers = items.filter(({ kind }) => kind === 'item').map(({ number }) => number);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(numbers.length).toBeGreaterThanOrEqual(3 * TURNS);
  });

  it('shows its newest messages with as many statements as at turn 10', ({
    longThread: { early, late },
  }) => {
    expect(late.messages.statements.length).toBe(early.messages.statements.length);
  });
});

describe.runIf(onPostgres)('A long thread among short ones', () => {
  const SHORT_THREADS = 60;
  const LONG_TURNS = 40;
  /** Tables with more rows for each turn. The last turn reads all items: they are messages. */
  const GROWING = new Set(['Checkpoint', 'CheckpointWrite', 'ChannelValue', 'RunEvent']);
  /** A short thread has fewer in each, and a long one more. */
  const ROWS = 60;

  async function talkOn(client: Client, threadId: string): Promise<void> {
    const input = { threadId, assistantId: 'talkative', input: human('Say something.') };
    expect((await client.runToEnd(input)).status).toBe('SUCCESS');
  }

  it(
    'costs its next run no more rows than theirs, however the statements were planned for those',
    { timeout: 5 * MINUTES },
    async ({ ownDatabase, startServer }) => {
      await using recorder = await recordPlans(ownDatabase.databaseUrl ?? '', 'force_generic_plan');
      const { server, client } = await startServer(
        {},
        { ...ownDatabase, databaseUrl: recorder.databaseUrl },
      );
      for (let i = 0; i < SHORT_THREADS; i++) await talkOn(client, await client.createThread());
      await server.app.sql.query(sql`ANALYZE`);
      const threadId = await client.createThread();
      for (let turn = 1; turn < LONG_TURNS; turn++) await talkOn(client, threadId);
      const { length: before } = recorder.executed;
      await talkOn(client, threadId);
      const nodes = recorder.executed.slice(before).flatMap(({ plan }) => nodesOf(plan));
      // Before the recorder closes.
      await server.stop();
      const growing = nodes.filter((node) => GROWING.has(node['Relation Name'] ?? ''));
      expect(growing.length).toBeGreaterThan(10);
      const long = growing.filter((node) => rowsRead(node) > ROWS);
      expect(long.map((node) => printPlan(node))).toEqual([]);
    },
  );
});

const CREATE_RUNS = operation(
  `mutation ($input: [CreateRunInput!]!) { createRuns(inputs: $input) { id } }`,
);
const STATUSES = operation(
  `query ($ids: [ID!]!) { runs(first: 50, filter: { ids: $ids }) { nodes { status } } }`,
);
const STORAGE = operation(`query ($id: ID!) { thread(id: $id) { storageBytes } }`);
const DELETE = operation(`mutation ($id: ID!) { deleteThread(id: $id) }`);

describe.runIf(onPostgres).each<[string, Partial<RunInput>]>([
  ['the default stream modes', {}],
  ['the stream mode VALUES', { streamModes: ['VALUES'] }],
])('What a thread owns with %s', (_modes, options) => {
  /** Executes turns `first` to `last`, with 3 KB each. */
  async function speak(client: Client, threadId: string, [first, last]: [number, number]) {
    for (let turn = first; turn <= last; turn += 50) {
      const input = Array.from({ length: Math.min(50, last - turn + 1) }, (_, n) => ({
        threadId,
        assistantId: 'talkative',
        input: human(kilobyte(`said ${turn + n}`)),
        ...options,
      }));
      const { createRuns } = await client.gql(CREATE_RUNS, { input });
      const ids = createRuns.map(({ id }) => id);
      // The runs of a thread end in order.
      expect((await client.follow(ids.at(-1) ?? '', { modes: [] })).at(-1)).toMatchObject({
        status: 'SUCCESS',
      });
      const { runs } = await client.gql(STATUSES, { ids });
      expect(runs.nodes).toEqual(ids.map(() => ({ status: 'SUCCESS' })));
    }
  }

  async function ownedBytes(query: Query, threadId: string): Promise<number> {
    let bytes = 0;
    for (const table of await threadTables(query)) {
      const [row] = await query<{ bytes: number }>(
        sql`SELECT coalesce(sum(pg_column_size(r.*)), 0)::bigint AS "bytes" FROM ${raw(`"${table}"`)} r WHERE "threadId" = ${threadId}`,
      );
      bytes += row?.bytes ?? 0;
    }
    return bytes;
  }

  it(
    'grows with what is said: 1 MB in 50 turns of 3 KB, and less than 4.5 times that in 200',
    { timeout: 30 * MINUTES },
    async ({ client, server }) => {
      const { query } = server.app.sql;
      const threadId = await client.createThread();
      await speak(client, threadId, [1, 50]);
      const after50 = await ownedBytes(query, threadId);
      expect(after50).toBeLessThan(2 ** 20);
      expect(after50).toBeGreaterThan(150_000);
      const { thread } = await client.gql(STORAGE, { id: threadId });
      expect(thread?.storageBytes).toBeGreaterThan(150_000);
      expect(thread?.storageBytes).toBeLessThanOrEqual(after50);

      await speak(client, threadId, [51, 200]);
      expect(await ownedBytes(query, threadId)).toBeLessThan(4.5 * after50);

      await client.gql(DELETE, { id: threadId });
      for (const { table, rows } of await threadRows(query, threadId)) {
        const left = rows.filter(
          (row) => !(table === 'RunEvent' && String(row).includes('"FINISHED"')),
        );
        expect({ table, left }).toEqual({ table, left: [] });
      }
    },
  );
});
