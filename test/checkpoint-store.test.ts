import {
  AIMessage,
  AIMessageChunk,
  ChatMessage,
  FunctionMessage,
  HumanMessage,
  HumanMessageChunk,
  RemoveMessage,
  SystemMessage,
  ToolMessage,
  ToolMessageChunk,
} from '@langchain/core/messages';
import {
  Annotation,
  Command,
  END,
  MessagesAnnotation,
  START,
  StateGraph,
  interrupt,
} from '@langchain/langgraph';
import { FakeListChatModel } from '@langchain/core/utils/testing';
import { emptyCheckpoint } from '@langchain/langgraph-checkpoint';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { EditSaver } from '../src/checkpoints/edit-saver.ts';
import { CheckpointReader } from '../src/checkpoints/reader.ts';
import type { Database } from '../src/db/open.ts';
import type { Query } from '../src/db/query.ts';
import { sql } from '../src/db/sql.ts';
import { ClaimLostError } from '../src/errors.ts';
import { withCheckpointer } from '../src/graphs/load.ts';
import type { CompiledGraph } from '../src/graphs/load.ts';
import { copyThread } from '../src/threads/copy.ts';
import { until } from './support/app.ts';
import { startAttempt, type TestAttempt } from './support/attempts.ts';
import { createTestDatabase, openTestDatabase, type TestDatabase } from './support/databases.ts';
import { threadRows, threadTables } from './support/thread-rows.ts';

let testDatabase: TestDatabase;
let database: Database;
let query: Query;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = await openTestDatabase(testDatabase);
  query = database.sql.query;
});

afterAll(async () => {
  await database.close();
  await testDatabase.dispose();
});

interface RunOptions {
  threadId?: string;
  checkpointId?: string;
  durability?: 'sync' | 'async' | 'exit';
}

/** Runs the graph as a worker does it. Throws what the saver failed with. */
async function run(
  graph: CompiledGraph,
  input: unknown,
  { threadId, checkpointId, durability = 'sync' }: RunOptions = {},
): Promise<TestAttempt & { values: any }> {
  const attempt = await startAttempt(query, threadId);
  const values = await invoke(graph, input, { attempt, checkpointId, durability });
  await attempt.end();
  return { ...attempt, values };
}

async function invoke(
  graph: CompiledGraph,
  input: unknown,
  {
    attempt,
    checkpointId,
    durability,
  }: RunOptions & { attempt: TestAttempt; checkpointId?: string | undefined },
): Promise<unknown> {
  const { saver, signal, threadId } = attempt;
  const result = graph.invoke(input as any, {
    configurable: {
      thread_id: threadId,
      ...(checkpointId && { checkpoint_id: checkpointId }),
      __pregel_checkpointer: saver,
    },
    durability,
    recursionLimit: 1000,
    signal,
  });
  const values = await result.catch((error: unknown) => {
    throw signal.aborted ? signal.reason : error;
  });
  if (signal.aborted) throw signal.reason;
  return values;
}

function read(graph: CompiledGraph, threadId: string, checkpointId?: string) {
  return withCheckpointer(graph, new CheckpointReader(query)).getState(
    { configurable: { thread_id: threadId, ...(checkpointId && { checkpoint_id: checkpointId }) } },
    { subgraphs: true },
  );
}

async function headOf(threadId: string): Promise<string> {
  const tuple = await new CheckpointReader(query).getTuple({
    configurable: { thread_id: threadId },
  });
  return String(tuple?.checkpoint.id);
}

/**
 * Waits until so many statements wait for a lock that another session holds, and says how many do. It asks from a
 * transaction: other statements may be behind those.
 */
async function untilBlocked(holding: Query, statements = 1): Promise<number> {
  return until(async () => {
    await holding(sql`SELECT pg_stat_clear_snapshot()`);
    const blocked = await holding(
      sql`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return blocked.length >= statements ? blocked.length : 0;
  });
}

/** A graph of any state, of which only the values count. */
function graphOf(state: unknown): any {
  return new StateGraph(state as any);
}

const Log = Annotation.Root({
  log: Annotation<string[]>({ reducer: (before, more) => [...before, ...more], default: () => [] }),
});

/** Appends one line a step. */
function chain(length: number, node: (step: number) => unknown = () => {}): CompiledGraph {
  const graph: any = graphOf(Log);
  for (let i = 0; i < length; i++) {
    graph.addNode(`n${i}`, async () => {
      await node(i);
      return { log: [`n${i}`] };
    });
    graph.addEdge(i === 0 ? START : `n${i - 1}`, `n${i}`);
  }
  return graph.addEdge(`n${length - 1}`, END).compile();
}

const echo: CompiledGraph = graphOf(MessagesAnnotation)
  .addNode('echo', ({ messages }: typeof MessagesAnnotation.State) => ({
    messages: [
      new AIMessage({ id: `${messages.length}`, content: `You said ${messages.at(-1)?.text}` }),
    ],
  }))
  .addEdge(START, 'echo')
  .compile();

async function textsAt(threadId: string, checkpointId?: string): Promise<string[]> {
  const { values } = await read(echo, threadId, checkpointId);
  return values.messages.map(({ text }: { text: string }) => text);
}

describe('Branches of a thread', () => {
  it('each return their own values: two forks of one checkpoint, and a fork of a fork', async () => {
    const { threadId } = await run(echo, { messages: [new HumanMessage('one')] });
    const origin = await headOf(threadId);
    const say = async (text: string, checkpointId: string) => {
      await run(echo, { messages: [new HumanMessage(text)] }, { threadId, checkpointId });
      return headOf(threadId);
    };
    const first = await say('two', origin);
    const second = await say('other', origin);
    const ofSecond = await say('deeper', second);
    const ofFirst = await say('three', first);

    const begin = ['one', 'You said one'];
    const expected: [checkpointId: string, texts: string[]][] = [
      [origin, begin],
      [first, [...begin, 'two', 'You said two']],
      [second, [...begin, 'other', 'You said other']],
      [ofSecond, [...begin, 'other', 'You said other', 'deeper', 'You said deeper']],
      [ofFirst, [...begin, 'two', 'You said two', 'three', 'You said three']],
    ];
    for (const [checkpointId, texts] of expected) {
      expect(await textsAt(threadId, checkpointId)).toEqual(texts);
    }
    expect(await textsAt(threadId)).toEqual(expected.at(-1)?.[1]);
  });

  it('share what they have in common: a fork stores what is new in it', async () => {
    const { threadId } = await run(echo, { messages: [new HumanMessage('one')] });
    const origin = await headOf(threadId);
    const count = async () =>
      (
        await query(
          sql`SELECT 1 FROM "ChannelItem" WHERE "threadId" = ${threadId} AND "type" = 'json'`,
        )
      ).length;
    const before = await count();
    const fork = [new HumanMessage({ content: 'two', id: 'two' })];
    await run(echo, { messages: fork }, { threadId, checkpointId: origin });
    // The message and the answer, each as a node wrote it and as the state holds it.
    expect(await count()).toBe(before + 4);
  });

  it('shows what a task wrote when it last ran, not a mixture of several times', async () => {
    const { threadId } = await run(echo, { messages: [] });
    const config = {
      configurable: {
        thread_id: threadId,
        checkpoint_ns: '',
        checkpoint_id: await headOf(threadId),
      },
    };
    const first = await startAttempt(query, threadId);
    await first.saver.putWrites(
      config,
      [
        ['a', 1],
        ['b', 1],
        ['c', 1],
      ],
      'task',
    );
    await first.saver.putWrites(config, [['__error__', { message: 'one' }]], 'task');
    await first.end();
    const second = await startAttempt(query, threadId);
    await second.saver.putWrites(config, [['__error__', { message: 'two' }]], 'task');
    await second.saver.putWrites(
      config,
      [
        ['a', 2],
        ['c', 2],
      ],
      'task',
    );
    await second.saver.putWrites(
      config,
      [
        ['a', 3],
        ['c', 3],
      ],
      'task',
    ); // the same time once more: the first counts
    const tuple = await new CheckpointReader(query).getTuple(config);
    expect(tuple?.pendingWrites).toHaveLength(3);
    expect(tuple?.pendingWrites).toEqual(
      expect.arrayContaining([
        ['task', 'a', 2],
        ['task', 'c', 2],
        ['task', '__error__', { name: 'Error', message: 'two' }],
      ]),
    );
    await second.end();
  });
});

describe('An attempt that has lost its claim', () => {
  it('stores nothing more, and learns it without a rejection', async () => {
    const attempt = await startAttempt(query);
    const graph = chain(3, async (step) => {
      if (step === 1) await attempt.loseClaim();
    });
    const lost = invoke(graph, { log: ['input'] }, { attempt, durability: 'sync' });
    await expect(lost).rejects.toThrow(ClaimLostError);
    const { values } = await read(graph, attempt.threadId);
    expect(values.log).toEqual(['input', 'n0']);
    const rows = await query(
      sql`SELECT 1 FROM "CheckpointWrite" WHERE "threadId" = ${attempt.threadId} AND "channel" = 'log'`,
    );
    expect(rows).toHaveLength(2); // the input, and what n0 wrote

    const head = await headOf(attempt.threadId);
    const put = attempt.saver.put(
      { configurable: { thread_id: attempt.threadId, checkpoint_ns: '' } },
      emptyCheckpoint(),
      { source: 'loop', step: 9, parents: {} },
      {},
    );
    await expect(put).resolves.toBeDefined();
    expect(await headOf(attempt.threadId)).toBe(head);
  });

  it('runs no other node: under ASYNC only those finish that were running', async () => {
    const attempt = await startAttempt(query);
    const ran: string[] = [];
    const graph: any = graphOf(Log);
    for (const name of ['left', 'right']) {
      graph.addNode(name, async () => {
        if (name === 'right') await attempt.loseClaim();
        return { log: [name] };
      });
      graph.addEdge(START, name);
    }
    for (let i = 0; i < 8; i++) {
      graph.addNode(`n${i}`, async () => {
        ran.push(`n${i}`);
        // Ends once the attempt knows.
        if (!attempt.signal.aborted) {
          await new Promise((resolve) => attempt.signal.addEventListener('abort', resolve));
        }
        return { log: [`n${i}`] };
      });
      graph.addEdge(i === 0 ? ['left', 'right'] : `n${i - 1}`, `n${i}`);
    }
    const lost = invoke(graph.compile(), { log: [] }, { attempt, durability: 'async' });
    await expect(lost).rejects.toThrow(ClaimLostError);
    // Whatever was still to be done has been given the time to be done.
    for (let i = 0; i < 20; i++) await query(sql`SELECT 1`);
    expect(ran.length).toBeLessThanOrEqual(1);
    expect(
      await query(
        sql`SELECT 1 FROM "Checkpoint" WHERE "threadId" = ${attempt.threadId} AND "step" > 0`,
      ),
    ).toEqual([]);
  });

  // The embedded database runs one statement at a time.
  describe.skipIf(inject('database') === 'embedded')('while its statement is under way', () => {
    it('stores nothing when the claim is taken while the statement waits', async () => {
      const attempt = await startAttempt(query);
      const graph = chain(1);
      let lost: Promise<unknown> | undefined;
      await database.sql.transaction(async (claiming) => {
        await claiming(sql`SELECT 1 FROM "Run" WHERE "id" = ${attempt.runId} FOR UPDATE`);
        lost = invoke(graph, { log: ['input'] }, { attempt, durability: 'sync' });
        lost.catch(() => {});
        await untilBlocked(claiming);
        await claiming(
          sql`UPDATE "Run" SET "claimToken" = gen_random_uuid() WHERE "id" = ${attempt.runId}`,
        );
      });
      await expect(lost).rejects.toThrow(ClaimLostError);
      const owned = await threadRows(query, attempt.threadId);
      expect(owned.filter(({ rows }) => rows.length > 0).map(({ table }) => table)).toEqual([
        'Run',
      ]);
    });

    it('lets a claim wait for a statement that holds it, and whoever claims sees what it stored', async () => {
      const attempt = await startAttempt(query);
      await query(sql`CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock(4); RETURN NEW; END $$`);
      await query(
        sql`CREATE TRIGGER pause BEFORE INSERT ON "Checkpoint" FOR EACH ROW EXECUTE FUNCTION pause()`,
      );
      let claimed: Promise<void> | undefined;
      let seen: unknown[] = [];
      let lost: Promise<unknown> | undefined;
      await database.sql.transaction(async (holding) => {
        await holding(sql`SELECT pg_advisory_xact_lock(4)`);
        lost = invoke(chain(2), { log: ['input'] }, { attempt, durability: 'sync' });
        lost.catch(() => {});
        await untilBlocked(holding);
        claimed = database.sql.transaction(async (claiming) => {
          await attempt.loseClaim(claiming);
          seen = await claiming(
            sql`SELECT "step" FROM "Checkpoint" WHERE "threadId" = ${attempt.threadId}`,
          );
        });
        expect(await untilBlocked(holding, 2)).toBe(2);
      });
      await claimed;
      expect(seen).toContainEqual({ step: -1 });
      await expect(lost).rejects.toThrow(ClaimLostError);
      expect(
        await query(
          sql`SELECT "step" FROM "Checkpoint" WHERE "threadId" = ${attempt.threadId} ORDER BY "seq"`,
        ),
      ).toEqual(seen);
      await query(sql`DROP TRIGGER pause ON "Checkpoint"`);
    });
  });
});

const Anything = Annotation.Root({
  value: Annotation<any>(),
  list: Annotation<any>(),
  done: Annotation<boolean>(),
});

/** Stores a value as a channel's, as an element of a list and as part of an object; gives what is read back. */
async function storeAndRead(value: unknown): Promise<any> {
  const graph: CompiledGraph = graphOf(Anything)
    .addNode('write', () => ({ value, list: [value, { value }] }))
    .addNode('end', () => ({ done: true }))
    .addEdge(START, 'write')
    .addEdge('write', 'end')
    .compile();
  const { threadId } = await run(graph, { done: false });
  const { values } = await read(graph, threadId);
  expect(values.list).toEqual([values.value, { value: values.value }]);
  return values.value;
}

class Point {
  x = 1;
  y = 2;
  distance(): number {
    return this.x + this.y;
  }
}

const circular: Record<string, unknown> = {};
circular['self'] = { circular };

const call = { id: 'call', name: 'search', args: { query: 'ü', deep: { list: [1, null] } } };

describe('A value', () => {
  const DATE = new Date('2026-02-03T04:05:06.789Z');
  it.each<[string, unknown]>([
    ['text of every plane', 'aä€😀\u{10FFFF}\u{E000} 漢字 \u202E'],
    ['text with null bytes', 'a\0b\0'],
    ['text with a lone surrogate', 'a\uD800b'],
    ['an empty text', ''],
    ['bytes', new Uint8Array([0, 1, 255])],
    ['bytes within an object', { deep: [new Uint8Array([0, 128, 255])] }],
    ['numbers of other sizes', { a: new Float64Array([1.5, -0]), b: new Int16Array([-1, 300]) }],
    [
      'a map',
      new Map<unknown, unknown>([
        ['a', new Map([[1, { b: 2 }]])],
        [{ key: 1 }, DATE],
      ]),
    ],
    ['a set', new Set<unknown>(['a', 1, new Set([null])])],
    ['dates', { at: DATE, list: [DATE], never: new Date(Number.NaN) }],
    ['nothing within an object', { a: undefined, b: [undefined, null], c: null }],
    ['large integers', { big: 2n ** 200n, negative: -12345678901234567890n, list: [0n] }],
    ['numbers that JSON does not have', [Number.NaN, Infinity, -Infinity, -0, 1e308, 5e-324]],
    ['an expression', { pattern: /a+\/b/giu }],
    [
      'keys that mean something to JavaScript',
      JSON.parse('{"__proto__": {"a": 1}, "constructor": 1, "toString": 2}'),
    ],
    [
      'what looks like an object of a class',
      {
        lc: 1,
        type: 'constructor',
        id: ['langchain_core', 'messages', 'HumanMessage'],
        kwargs: { content: 'no' },
      },
    ],
    [
      'what looks like a record',
      {
        a: { lc: 2, type: 'undefined' },
        b: { lc: 2, type: 'constructor', id: ['Map'], args: [[]] },
      },
    ],
    ['lists in lists', [[], [[]], [[1], []]]],
  ])('survives: %s', async (_name, value) => {
    expect(await storeAndRead(value)).toEqual(value);
  });

  it('survives as what it is: -0, and which property there is', async () => {
    const value = await storeAndRead({ a: undefined, zero: -0 });
    expect(Object.keys(value)).toEqual(['a', 'zero']);
    expect(Object.is(value.zero, -0)).toBe(true);
    expect(value).toStrictEqual({ a: undefined, zero: -0 });
    expect((await storeAndRead(new Uint8Array([1]))).constructor).toBe(Uint8Array);
  });

  it.each([
    new HumanMessage({
      content: [
        { type: 'text', text: 'a' },
        { type: 'image_url', image_url: 'data:' },
      ],
      id: '1',
      name: 'Ann',
    }),
    new AIMessage({
      content: 'b',
      id: '2',
      tool_calls: [call],
      invalid_tool_calls: [{ id: 'x', args: '{', error: 'bad' }],
      usage_metadata: { input_tokens: 1, output_tokens: 2, total_tokens: 3 },
      response_metadata: { model: 'm' },
    }),
    new SystemMessage({ content: 'c', id: '3', additional_kwargs: { cache: true } }),
    new ToolMessage({
      content: 'd',
      id: '4',
      tool_call_id: 'call',
      status: 'error',
      artifact: { rows: [1, { a: null }] },
    }),
    new FunctionMessage({ content: 'e', id: '5', name: 'f' }),
    new ChatMessage({ content: 'f', id: '6', role: 'critic' }),
    new RemoveMessage({ id: '7' }),
    new HumanMessageChunk({ content: 'g', id: '8' }),
    new AIMessageChunk({
      content: 'h',
      id: '9',
      tool_call_chunks: [{ index: 0, id: 'call', name: 'search', args: '{"a"' }],
    }),
    new ToolMessageChunk({ content: 'i', id: '10', tool_call_id: 'call' }),
  ])('survives: $constructor.name', async (message) => {
    const value = await storeAndRead(message);
    expect(value).toBeInstanceOf(message.constructor);
    expect(value.toDict()).toEqual(message.toDict());
  });

  it('survives within a message', async () => {
    const artifact = {
      at: new Date(0),
      big: 1n,
      map: new Map([['a', new Set([1])]]),
      bytes: new Uint8Array([1]),
      nested: new HumanMessage('in'),
      marked: { lc: 1, type: 'secret', id: ['HOME'], at: new Date(1), __lc_escaped__: 1 },
    };
    const message = new ToolMessage({ content: 'a', tool_call_id: 'b', artifact });
    const found = await storeAndRead(message);
    expect(found).toBeInstanceOf(ToolMessage);
    expect(found.artifact).toEqual(artifact);
    expect(found.artifact.nested).toBeInstanceOf(HumanMessage);
  });

  it('of a class is read as its properties', async () => {
    expect(await storeAndRead(new Point())).toEqual({ x: 1, y: 2 });
  });

  it('may have 10 MB', { timeout: 120_000 }, async () => {
    const value = 'ä'.repeat(5 * 2 ** 20);
    const graph: CompiledGraph = graphOf(Anything)
      .addNode('write', () => ({ value }))
      .addEdge(START, 'write')
      .compile();
    const { threadId } = await run(graph, { done: false });
    expect((await read(graph, threadId)).values.value === value).toBe(true);
  });

  it('may be a list of 50,000 items', { timeout: 120_000 }, async () => {
    const list = Array.from({ length: 50_000 }, (_, i) => ({ i: i % 40_000 }));
    const graph: CompiledGraph = graphOf(Anything)
      .addNode('write', () => ({ list }))
      .addEdge(START, 'write')
      .compile();
    const { threadId } = await run(graph, { done: false });
    const { values } = await read(graph, threadId);
    expect(values.list).toEqual(list);
    const [items] = await query<{ count: number }>(
      sql`SELECT count(*) FROM "ChannelItem" WHERE "threadId" = ${threadId}`,
    );
    expect(items?.count).toBeLessThan(300);
  });

  it.each<[string, unknown, string]>([
    ['a function', () => {}, 'a function'],
    ['a function in an object', { list: [{ call: () => {} }] }, 'a function'],
    ['a symbol', { a: Symbol('a') }, 'a symbol'],
    ['an object within itself', circular, 'an object within itself'],
    ['a promise', { later: Promise.resolve(1) }, 'a Promise'],
    ['a model', { model: new FakeListChatModel({ responses: [] }) }, 'FakeListChatModel'],
  ])('that cannot be stored fails the run with its channel: %s', async (_name, value, why) => {
    const graph: CompiledGraph = graphOf(Anything)
      .addNode('write', () => ({ value }))
      .addEdge(START, 'write')
      .compile();
    for (const durability of ['sync', 'async', 'exit'] as const) {
      await expect(run(graph, { done: false }, { durability })).rejects.toThrow(
        new RegExp(`The value of channel "value" cannot be stored: it holds .*${why}`),
      );
    }
  });
});

describe('An item that the thread holds already', () => {
  it('is stored once, whoever stores it, and costs a statement more at most', async () => {
    const Lists = Annotation.Root({ list: Annotation<unknown[]>() });
    const graph: CompiledGraph = graphOf(Lists)
      .addNode('same', () => ({ list: ['a', 'b'] }))
      .addEdge(START, 'same')
      .compile();
    const { threadId } = await run(graph, { list: ['x'] });
    await run(graph, { list: ['y', 'a'] }, { threadId });
    const edit = new EditSaver(query, {});
    await withCheckpointer(graph, edit).updateState(
      { configurable: { thread_id: threadId } },
      { list: ['x', 'b', 'z'] },
    );
    await database.sql.transaction((each) => edit.store(each));
    const rows = await query<{ text: string }>(
      sql`SELECT convert_from("value", 'UTF8') AS "text" FROM "ChannelItem"
       WHERE "threadId" = ${threadId} AND "number" > 0 ORDER BY "number"`,
    );
    expect(rows.map(({ text }) => JSON.parse(text))).toEqual(['x', 'a', 'b', 'y', 'z']);
    const hashes = await query<{ hash: Buffer }>(
      sql`SELECT "hash" FROM "ChannelItem" WHERE "threadId" = ${threadId}`,
    );
    expect(new Set(hashes.map(({ hash }) => hash.toString('hex'))).size).toBe(hashes.length);
    // The same once more adds nothing at all.
    await run(graph, { list: ['y', 'a'] }, { threadId });
    const again = await query(sql`SELECT 1 FROM "ChannelItem" WHERE "threadId" = ${threadId}`);
    expect(again).toHaveLength(hashes.length);
    expect((await read(graph, threadId)).values.list).toEqual(['a', 'b']);
  });
});

describe('copyThread', () => {
  /** Counts to 320 in a loop, and then asks a person within a subgraph, beside a node that has ended. */
  function longGraph(): CompiledGraph {
    const inner = graphOf(Log)
      .addNode('ask', () => ({ log: [`answer ${String(interrupt('sure?'))}`] }))
      .addEdge(START, 'ask')
      .compile();
    return graphOf(Log)
      .addNode('count', ({ log }: typeof Log.State) => ({ log: [`line ${log.length}`] }))
      .addNode('inner', inner)
      .addNode('beside', () => ({ log: ['beside'] }))
      .addEdge(START, 'count')
      .addConditionalEdges(
        'count',
        ({ log }: typeof Log.State) => (log.length % 332 === 0 ? ['inner', 'beside'] : 'count'),
        ['count', 'inner', 'beside'],
      )
      .compile();
  }

  it(
    'copies all of a thread of 1,000 checkpoints, in every table',
    { timeout: 120_000 },
    async () => {
      const graph = longGraph();
      const { threadId } = await run(graph, { log: [] }, { durability: 'async' });
      await run(graph, { log: ['again'] }, { threadId, durability: 'async' });
      await run(graph, { log: ['and again'] }, { threadId, durability: 'async' });
      await query(
        sql`INSERT INTO "Interrupt" ("id", "threadId", "checkpointId", "namespace", "taskId", "node", "langgraphId", "ordinal", "value")
       VALUES (gen_random_uuid(), ${threadId}, gen_random_uuid(), 'inner:x', 'task', 'ask', 'id', 0, '"sure?"')`,
      );
      const copy = await copyThread({ sql: database.sql }, threadId);

      const [original, copied] = [
        await threadRows(query, threadId),
        await threadRows(query, copy.id),
      ];
      for (const [i, { table, rows }] of original.entries()) {
        if (table === 'Run' || table === 'RunEvent') continue;
        expect(rows.length, `rows of ${table}`).toBeGreaterThan(0);
        expect(copied[i]).toEqual({ table, rows });
      }
      const checkpoints = original.find(({ table }) => table === 'Checkpoint');
      expect(checkpoints?.rows.length).toBeGreaterThan(1000);

      const state = await read(graph, copy.id);
      expect(state.values).toEqual((await read(graph, threadId)).values);
      expect(state.tasks.flatMap(({ interrupts }) => interrupts.map(({ value }) => value))).toEqual(
        ['sure?'],
      );
      // What waits for a person in the copy can be answered there, and the original waits on.
      const { values } = await run(graph, new Command({ resume: 'yes' }), { threadId: copy.id });
      expect(values.log.at(-1)).toBe('answer yes');
      expect(values.log).toContain('beside');
      expect((await read(graph, threadId)).next).toEqual(['inner']);
    },
  );

  it('knows every table that has rows of a thread', async () => {
    expect((await threadTables(query)).toSorted()).toEqual([
      'ChannelItem',
      'ChannelValue',
      'Checkpoint',
      'CheckpointHead',
      'CheckpointWrite',
      'Interrupt',
      'Run',
      'RunEvent',
    ]);
  });
});
