import { AIMessage, HumanMessage } from '@langchain/core/messages';
import { Annotation, Command, MessagesAnnotation, START, interrupt } from '@langchain/langgraph';
import { emptyCheckpoint } from '@langchain/langgraph-checkpoint';
import { describe, expect, inject } from 'vitest';
import { readConfig } from '../src/config.ts';
import { SYSTEM } from '../src/auth/viewer.ts';
import { EditSaver } from '../src/checkpoints/edit-saver.ts';
import { CheckpointReader } from '../src/checkpoints/reader.ts';
import type { Query } from '../src/db/query.ts';
import { sql } from '../src/db/sql.ts';
import { ClaimLostError } from '../src/errors.ts';
import { withCheckpointer, type CompiledGraph } from '../src/graphs/load.ts';
import { copyThread } from '../src/threads/copy.ts';
import { until } from './support/app.ts';
import { startAttempt } from './support/attempts.ts';
import { chain, graphOf, invoke, it, Log, type GraphRuns } from './support/graph-runs.ts';
import { threadRows, threadTables } from './support/thread-rows.ts';

/**
 * Waits until so many statements are blocked, and returns their number. It queries in the transaction with the lock: other
 * connections may be blocked, too.
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

const echo: CompiledGraph = graphOf(MessagesAnnotation)
  .addNode('echo', ({ messages }: typeof MessagesAnnotation.State) => ({
    messages: [
      new AIMessage({ id: `${messages.length}`, content: `You said ${messages.at(-1)?.text}` }),
    ],
  }))
  .addEdge(START, 'echo')
  .compile();

async function textsAt(
  { read }: GraphRuns,
  threadId: string,
  checkpointId?: string,
): Promise<string[]> {
  const { values } = await read(echo, threadId, checkpointId);
  return values.messages.map(({ text }: { text: string }) => text);
}

describe('Branches of a thread', () => {
  it('each return their own values: two forks of one checkpoint, and a fork of a fork', async ({
    graphRuns,
  }) => {
    const { run, headOf } = graphRuns;
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
      expect(await textsAt(graphRuns, threadId, checkpointId)).toEqual(texts);
    }
    expect(await textsAt(graphRuns, threadId)).toEqual(expected.at(-1)?.[1]);
  });

  it('share what they have in common: a fork stores what is new in it', async ({
    graphRuns,
    db,
  }) => {
    const { run, headOf } = graphRuns;
    const { query } = db;
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

  it('shows what a task wrote when it last ran, not a mixture of several times', async ({
    graphRuns,
    db,
  }) => {
    const { run, headOf } = graphRuns;
    const { query } = db;
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
  it('stores nothing more, and learns it without a rejection', async ({ graphRuns, db }) => {
    const { read, headOf } = graphRuns;
    const { query } = db;
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
    expect(rows).toHaveLength(2); // The input, and the writes of n0.

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

  it('runs no other node: under ASYNC only those finish that were running', async ({ db }) => {
    const { query } = db;
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
    // In this time, further work of the attempt would be done.
    for (let i = 0; i < 20; i++) await query(sql`SELECT 1`);
    expect(ran.length).toBeLessThanOrEqual(1);
    expect(
      await query(
        sql`SELECT 1 FROM "Checkpoint" WHERE "threadId" = ${attempt.threadId} AND "step" > 0`,
      ),
    ).toEqual([]);
  });

  // The embedded database has a single session.
  describe.skipIf(inject('database') === 'embedded')('while its statement is under way', () => {
    it('stores nothing when the claim is taken while the statement waits', async ({ db }) => {
      const { query } = db;
      const attempt = await startAttempt(query);
      const graph = chain(1);
      let lost: Promise<unknown> | undefined;
      await db.transaction(async (claiming) => {
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

    it('lets a claim wait for a statement that holds it, and whoever claims sees what it stored', async ({
      db,
    }) => {
      const { query } = db;
      const attempt = await startAttempt(query);
      await query(sql`CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock(4); RETURN NEW; END $$`);
      await query(
        sql`CREATE TRIGGER pause BEFORE INSERT ON "Checkpoint" FOR EACH ROW EXECUTE FUNCTION pause()`,
      );
      let claimed: Promise<void> | undefined;
      let seen: unknown[] = [];
      let lost: Promise<unknown> | undefined;
      await db.transaction(async (holding) => {
        await holding(sql`SELECT pg_advisory_xact_lock(4)`);
        lost = invoke(chain(2), { log: ['input'] }, { attempt, durability: 'sync' });
        lost.catch(() => {});
        await untilBlocked(holding);
        claimed = db.transaction(async (claiming) => {
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

describe('An item that the thread holds already', () => {
  it('is stored once, whoever stores it, and costs a statement more at most', async ({
    graphRuns,
    db,
  }) => {
    const { run, read } = graphRuns;
    const { query } = db;
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
    await db.transaction((each) => edit.store(each));
    const rows = await query<{ text: string }>(
      sql`SELECT convert_from("value", 'UTF8') AS "text" FROM "ChannelItem"
       WHERE "threadId" = ${threadId} AND "number" > 0 ORDER BY "number"`,
    );
    expect(rows.map(({ text }) => JSON.parse(text))).toEqual(['x', 'a', 'b', 'y', 'z']);
    const hashes = await query<{ hash: Buffer }>(
      sql`SELECT "hash" FROM "ChannelItem" WHERE "threadId" = ${threadId}`,
    );
    expect(new Set(hashes.map(({ hash }) => hash.toString('hex'))).size).toBe(hashes.length);
    // A second run with the same items adds nothing.
    await run(graph, { list: ['y', 'a'] }, { threadId });
    const again = await query(sql`SELECT 1 FROM "ChannelItem" WHERE "threadId" = ${threadId}`);
    expect(again).toHaveLength(hashes.length);
    expect((await read(graph, threadId)).values.list).toEqual(['a', 'b']);
  });
});

describe('copyThread', () => {
  /** Counts to 320 in a loop, and then asks a person within a subgraph, beside another node. */
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
    async ({ graphRuns, db }) => {
      const { run, read } = graphRuns;
      const { query } = db;
      const graph = longGraph();
      const { threadId } = await run(graph, { log: [] }, { durability: 'async' });
      await run(graph, { log: ['again'] }, { threadId, durability: 'async' });
      await run(graph, { log: ['and again'] }, { threadId, durability: 'async' });
      await query(
        sql`INSERT INTO "Interrupt" ("id", "threadId", "checkpointId", "namespace", "taskId", "node", "langgraphId", "ordinal", "value")
       VALUES (gen_random_uuid(), ${threadId}, gen_random_uuid(), 'inner:x', 'task', 'ask', 'id', 0, '"sure?"')`,
      );
      const copy = await copyThread({ config: readConfig({}), sql: db }, SYSTEM, threadId);

      const [original, copied] = [
        await threadRows(query, threadId),
        await threadRows(query, copy.id),
      ];
      for (const [i, { table, rows }] of original.entries()) {
        // A copy has no runs. The bytes of a thread are measured only with OWNER_STORAGE_LIMIT.
        if (['Run', 'RunEvent', 'ThreadStorage'].includes(table)) continue;
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
      // An answer in the copy does not change the original.
      const { values } = await run(graph, new Command({ resume: 'yes' }), { threadId: copy.id });
      expect(values.log.at(-1)).toBe('answer yes');
      expect(values.log).toContain('beside');
      expect((await read(graph, threadId)).next).toEqual(['inner']);
    },
  );

  it('knows every table that has rows of a thread', async ({ db }) => {
    const { query } = db;
    expect((await threadTables(query)).toSorted()).toEqual([
      'ChannelItem',
      'ChannelValue',
      'Checkpoint',
      'CheckpointHead',
      'CheckpointWrite',
      'Interrupt',
      'Run',
      'RunEvent',
      'ThreadStorage',
    ]);
  });
});
