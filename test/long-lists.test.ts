import { isDeepStrictEqual } from 'node:util';
import { AIMessage } from '@langchain/core/messages';
import { Annotation, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { readConfig } from '../src/config.ts';
import { SYSTEM } from '../src/auth/viewer.ts';
import { EditSaver } from '../src/checkpoints/edit-saver.ts';
import { CheckpointReader } from '../src/checkpoints/reader.ts';
import type { Database } from '../src/db/open.ts';
import type { Query } from '../src/db/query.ts';
import { param, sql } from '../src/db/sql.ts';
import { withCheckpointer, type CompiledGraph } from '../src/graphs/load.ts';
import { copyThread } from '../src/threads/copy.ts';
import { startAttempt } from './support/attempts.ts';
import { createTestDatabase, openTestDatabase, type TestDatabase } from './support/databases.ts';
import { kilobyte } from './support/graphs/messages.ts';
import { nodesOf, printPlan, recordPlans, rowsRead } from './support/plans.ts';
import { intercept } from './support/queries.ts';

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

type Change = Record<string, unknown> | ((state: any) => Record<string, unknown>);

/** One node applies the change of a run. */
function graphFor(change: Change): CompiledGraph {
  const state = Annotation.Root({
    list: Annotation<any[]>(),
    other: Annotation<any[]>(),
    value: Annotation<any>(),
    done: Annotation<boolean>(),
  });
  return (new StateGraph(state) as any)
    .addNode('change', (before: any) => (typeof change === 'function' ? change(before) : change))
    .addEdge(START, 'change')
    .compile();
}

interface Made {
  threadId: string;
  values: any;
}

/** Runs an attempt with this change and this query function. */
async function change(by: Change, threadId?: string, door = query): Promise<Made> {
  const attempt = await startAttempt(door, threadId);
  const graph = graphFor(by);
  const { signal } = attempt;
  const config = {
    configurable: { thread_id: attempt.threadId, __pregel_checkpointer: attempt.saver },
    durability: 'sync' as const,
    signal,
  };
  try {
    await graph.invoke({ done: true }, config);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    await attempt.end();
  }
  if (signal.aborted) throw signal.reason;
  return { threadId: attempt.threadId, values: await valuesOf(attempt.threadId) };
}

async function valuesOf(threadId: string): Promise<any> {
  const reader = withCheckpointer(graphFor({}), new CheckpointReader(query));
  return (await reader.getState({ configurable: { thread_id: threadId } })).values;
}

/** Returns the stored rows of a thread. */
async function stored(threadId: string): Promise<{ items: number; bytes: number; ranges: number }> {
  const [row] = await query<{ items: number; bytes: number; ranges: number }>(
    sql`SELECT (SELECT count(*) FROM "ChannelItem" WHERE "threadId" = ${threadId}) AS "items",
       (SELECT sum(octet_length("value")) FROM "ChannelItem" WHERE "threadId" = ${threadId})::bigint AS "bytes",
       (SELECT max(cardinality("ranges")) FROM "ChannelValue" WHERE "threadId" = ${threadId}) AS "ranges"`,
  );
  return row as { items: number; bytes: number; ranges: number };
}

const numbers = (length: number, from = 0) => Array.from({ length }, (_, i) => (i + from) * 1.001);
const KB = 1024;

describe('A list of 100,000 numbers', () => {
  it('is a few hundred rows, and a change of it one or two more', { timeout: 60_000 }, async () => {
    const list = numbers(100_000);
    const { threadId, values } = await change({ list });
    expect(values.list).toEqual(list);
    const first = await stored(threadId);
    expect(first.items).toBeLessThan(500);
    // The node's write and the channel have the same rows.
    expect(first.bytes).toBeLessThan(1.1 * JSON.stringify(list).length);
    expect(first.ranges).toBe(2);

    const changes: [string, (list: number[]) => number[]][] = [
      ['appended', (before) => [...before, 0.5]],
      ['edited', (before) => before.with(50_000, 0.5)],
      ['removed', (before) => before.toSpliced(30_000, 1)],
      ['inserted', (before) => before.toSpliced(10, 0, 0.25)],
    ];
    let expected = list;
    let before = first;
    for (const [name, edit] of changes) {
      expected = edit(expected);
      const made = await change(({ list: now }) => ({ list: edit(now) }), threadId);
      expect(made.values.list).toEqual(expected);
      const after = await stored(threadId);
      expect(after.items - before.items, name).toBeLessThanOrEqual(2);
      expect(after.bytes - before.bytes, name).toBeLessThan(64 * KB);
      expect(after.ranges, name).toBeLessThanOrEqual(before.ranges + 4);
      before = after;
    }
  });

  it('takes few rows and ranges where all are the same', { timeout: 60_000 }, async () => {
    const list = Array.from({ length: 100_000 }, () => 0);
    const { threadId, values } = await change({ list });
    expect(values.list).toEqual(list);
    const { items, ranges } = await stored(threadId);
    expect(items).toBeLessThan(5);
    expect(ranges).toBeLessThan(100);
  });
});

describe('A conversation', () => {
  it('that grows by one message stores each once, in one range', { timeout: 120_000 }, async () => {
    let threadId: string | undefined;
    const said: string[] = [];
    for (let turn = 0; turn < 40; turn++) {
      const message = kilobyte(`turn ${turn}`);
      said.push(message);
      ({ threadId } = await change(({ list = [] }) => ({ list: [...list, message] }), threadId));
    }
    expect((await valuesOf(String(threadId))).list).toEqual(said);
    const { bytes, ranges } = await stored(String(threadId));
    const live = said.join('').length;
    // The item is stored for the write of the node and for the channel.
    expect(bytes).toBeLessThan(2.1 * live);
    expect(ranges).toBe(2);
  });

  it(
    'of 12,000 messages in one input is a few hundred rows, and takes one more for one more',
    { timeout: 120_000 },
    async () => {
      const graph: any = (new StateGraph(MessagesAnnotation) as any)
        .addNode('answer', () => ({ messages: [new AIMessage({ content: 'yes', id: 'answer' })] }))
        .addEdge(START, 'answer')
        .compile();
      const attempt = await startAttempt(query);
      const messages = Array.from({ length: 12_000 }, (_, i) => ({
        role: 'user',
        content: `message ${i}`,
        id: `${i}`,
      }));
      const configurable = { thread_id: attempt.threadId, __pregel_checkpointer: attempt.saver };
      await graph.invoke({ messages }, { configurable, durability: 'sync' });
      await attempt.end();
      const { items, ranges } = await stored(attempt.threadId);
      expect(items).toBeLessThan(900);
      expect(ranges).toBeLessThanOrEqual(4);
      const shown = await withCheckpointer(graph, new CheckpointReader(query)).getState({
        configurable: { thread_id: attempt.threadId },
      });
      const texts = shown.values.messages.map(({ text }: any) => text);
      expect(texts).toEqual([...messages.map(({ content }) => content), 'yes']);
    },
  );

  it(
    'in two channels that grow by turns keeps its ranges short',
    { timeout: 120_000 },
    async () => {
      let threadId: string | undefined;
      for (let turn = 0; turn < 120; turn++) {
        const grow = ({ list = [], other = [] }: any) => ({
          list: [...list, kilobyte(`list ${turn}`)],
          other: [...other, kilobyte(`other ${turn}`)],
        });
        ({ threadId } = await change(grow, threadId));
      }
      const { ranges } = await stored(String(threadId));
      // Two numbers for each of 120 messages would be 240.
      expect(ranges).toBeLessThan(100);
      const { list, other } = await valuesOf(String(threadId));
      expect([list.length, other.length]).toEqual([120, 120]);
    },
  );
});

describe('A value of several megabytes', () => {
  it(
    'goes in statements of two megabytes at most, and is stored once',
    { timeout: 120_000 },
    async () => {
      const value = 'ä€😀x'.repeat(700_000);
      const sizes: number[] = [];
      const measured = intercept(query, ({ values: params }, send) => {
        for (const each of params) if (Buffer.isBuffer(each)) sizes.push(each.byteLength);
        return send();
      });
      const { threadId, values } = await change({ value }, undefined, measured);
      expect(values.value === value).toBe(true);
      const size = Buffer.byteLength(value);
      expect(size).toBeGreaterThan(6 * KB * KB);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(2 * KB * KB);
      // The row of the write and the row of the channel have the same items.
      expect((await stored(threadId)).bytes).toBeLessThan(1.1 * size);
    },
  );

  it('may be an element of a list, text and bytes alike', { timeout: 120_000 }, async () => {
    const list = ['small', 'ä€😀x'.repeat(200_000), Buffer.alloc(3 * KB * KB, 0x80), { a: [1] }];
    const { values } = await change({ list });
    expect(isDeepStrictEqual(values.list, list)).toBe(true);
  });

  it('is completed by the next attempt where one broke off', { timeout: 120_000 }, async () => {
    const value = numbers(300_000).map(String).join(' ');
    const size = Buffer.byteLength(value);
    let statements = 0;
    const breaking = intercept(query, ({ values: params }, send) => {
      const carries = params.some((each) => Buffer.isBuffer(each) && each.byteLength > KB * KB);
      if (carries && ++statements === 2) throw new Error('The connection broke.');
      return send();
    });
    const { threadId } = await change({ done: false });
    await expect(change({ value }, threadId, breaking)).rejects.toThrow('broke');
    const { values } = await change({ value }, threadId);
    expect(values.value === value).toBe(true);
    expect((await stored(threadId)).bytes).toBeLessThan(1.1 * size);
  });
});

describe('A thread of an earlier version', () => {
  it('is read, copied and goes on: one row for each element, of channels and of writes', async () => {
    const old = ['one', { two: 2 }, 3, 'one'];
    const { threadId } = await change({ list: old.slice(0, 0) });
    const [{ version } = { version: 0 }] = await query<{ version: number }>(
      sql`SELECT "version" FROM "ChannelValue" WHERE "threadId" = ${threadId} AND "channel" = 'list' ORDER BY "version" DESC LIMIT 1`,
    );
    for (const [i, each] of old.slice(0, 3).entries()) {
      const json = param(JSON.stringify(each));
      await query(
        sql`INSERT INTO "ChannelItem" ("threadId", "number", "hash", "type", "value")
         VALUES (${threadId}, ${i + 1}, substring(sha256(convert_to('json', 'UTF8') || '\\x00'::bytea || convert_to(${json}, 'UTF8')), 1, 16), 'json',
           convert_to(${json}, 'UTF8'))`,
      );
    }
    await query(
      sql`UPDATE "ChannelValue" SET "ranges" = '{1,3,1,1}' WHERE "threadId" = ${threadId} AND "channel" = 'list' AND "version" = ${version}`,
    );
    expect((await valuesOf(threadId)).list).toEqual(old);

    const before = await stored(threadId);
    const made = await change(({ list }) => ({ list: [...list, 'new'] }), threadId);
    expect(made.values.list).toEqual([...old, 'new']);
    // Only the new element: all existing elements keep their rows.
    expect((await stored(threadId)).items - before.items).toBeLessThanOrEqual(2);

    const more = numbers(5000);
    await change(({ list }) => ({ list: [...list, ...more] }), threadId);
    const copy = await copyThread({ config: readConfig({}), sql: database.sql }, SYSTEM, threadId);
    expect((await valuesOf(copy.id)).list).toEqual([...old, 'new', ...more]);
  });
});

describe('A list that is changed at random', () => {
  const element = fc.oneof(
    fc.integer({ min: 0, max: 3 }),
    fc.string({ maxLength: 20 }),
    fc.integer({ min: 1, max: 5000 }).map((length) => 'long '.repeat(length / 5)),
    fc.constant(new Uint8Array([1, 2])),
    fc.record({ id: fc.nat(50), text: fc.string({ unit: 'grapheme', maxLength: 300 }) }),
  );
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    removed: fc.nat(60),
    inserted: fc.oneof(
      fc.array(element, { maxLength: 3 }),
      fc.array(element, { minLength: 40, maxLength: 200, size: 'max' }),
      fc.integer({ min: 100, max: 5000 }).map((length) => numbers(length)),
    ),
    byHand: fc.boolean(),
  });

  it('is read as it was stored, run by run and edit by edit', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 6 }), async (edits) => {
        let list: unknown[] = [];
        let { threadId } = await change({ list });
        for (const { at, removed, inserted, byHand } of edits) {
          const place = Math.floor(at * list.length);
          list = list.toSpliced(place, removed, ...inserted);
          if (byHand) await editByHand(threadId, { list });
          else ({ threadId } = await change({ list }, threadId));
          expect((await valuesOf(threadId)).list).toEqual(list);
        }
      }),
      { numRuns: 15, seed: 18 },
    );
  });

  async function editByHand(threadId: string, values: object): Promise<void> {
    const saver = new EditSaver(query, {});
    const config = { configurable: { thread_id: threadId } };
    await withCheckpointer(graphFor({}), saver).updateState(config, values, 'change');
    await database.sql.transaction((each) => saver.store(each));
  }
});

// The embedded database reads the same, but does not report it.
describe.runIf(inject('database') === 'postgres')('A long list among short ones', () => {
  it('finds its stored items by their hashes, however the statements were planned', async () => {
    await using own = await openRecorded();
    for (let i = 0; i < 60; i++) await change({ list: [i, 'short'] }, undefined, own.query);
    await own.query(sql`ANALYZE`);
    const list = Array.from({ length: 8000 }, (_, i) => kilobyte(`element ${i}`));
    const { threadId } = await change({ list }, undefined, own.query);
    await change({ list: [...list, 'one more'] }, threadId, own.query);
    await change({ list: list.map((text) => `${text}, again`) }, threadId, own.query);

    const scans = own.executed
      .filter(({ text }) => text.includes('"ChannelItem"') && text.includes('unnest'))
      .flatMap(({ plan }) => nodesOf(plan))
      .filter((node) => node['Relation Name'] === 'ChannelItem' && /Scan/.test(node['Node Type']));
    expect(scans.length).toBeGreaterThan(180);
    // For ten or more lookups. PostgreSQL reads a table of a few pages as a whole.
    const wide = scans.filter(
      (node) => node['Actual Loops'] > 10 && rowsRead(node) / node['Actual Loops'] > 1000,
    );
    expect(wide.map((node) => printPlan(node))).toEqual([]);
  }, 300_000);

  /** A new database with the plans of its statements. */
  async function openRecorded() {
    const created = await createTestDatabase();
    const recorder = await recordPlans(created.databaseUrl ?? '', 'force_generic_plan');
    const opened = await openTestDatabase({ ...created, databaseUrl: recorder.databaseUrl });
    return {
      query: opened.sql.query,
      executed: recorder.executed,
      async [Symbol.asyncDispose]() {
        await opened.close();
        await recorder[Symbol.asyncDispose]();
        await created.dispose();
      },
    };
  }
});
