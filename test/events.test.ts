import { emptyCheckpoint, uuid6 } from '@langchain/langgraph-checkpoint';
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { App } from '../src/app.ts';
import type { Query, Sql } from '../src/db/query.ts';
import { DatabaseAwayError } from '../src/errors.ts';
import { createEventBatches, type Writer } from '../src/events/batches.ts';
import { eventId, type StoredEvent } from '../src/events/event.ts';
import { measureEvent } from '../src/events/measure.ts';
import { readEvents } from '../src/events/read.ts';
import { createEventTail, type EventTail } from '../src/events/tail.ts';
import { createLogger } from '../src/log.ts';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  human,
  until,
  type TestApp,
  type Transport,
} from './support/app.ts';
import { openJournal, startAttempt } from './support/attempts.ts';
import { isWaitedFor } from './support/databases.ts';
import { intercept } from './support/queries.ts';
import { openRunDoor } from './support/run-door.ts';
import { createTwoServers } from './support/servers.ts';

const log = createLogger('silent');

const FOLLOW_RUN = `subscription ($id: ID!, $after: ID) {
  events: runEvents(runId: $id, after: $after) { __typename id ... on CustomEvent { data } }
}`;
const FOLLOW_THREAD = `subscription ($id: ID!, $after: ID) {
  events: threadEvents(threadId: $id, after: $after) { __typename id ... on CustomEvent { data } }
}`;

/** The same numbers for the same seed (mulberry32): `random(n)` is from 0 to n - 1. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Something that many can wait for: how many events a run has told. */
function createProgress() {
  let count = 0;
  const waiters: { from: number; resolve: () => void }[] = [];
  return {
    grow() {
      count += 1;
      for (const { from, resolve } of waiters) if (count >= from) resolve();
    },
    reached: (from: number) =>
      new Promise<void>((resolve) => {
        if (count >= from) resolve();
        else waiters.push({ from, resolve });
      }),
  };
}

describe('200 subscribers over WebSocket and SSE, on two servers, cut off at random', () => {
  const RUNS = 4;
  const TICKS = 60;
  const SUBSCRIBERS = 200;

  it('each get every event once, in order', { timeout: 180_000 }, async () => {
    const seed = Number(process.env['ORACLE_SEED'] ?? randomInt(1_000_000));
    const random = createRandom(seed);
    await using pair = await createTwoServers();
    const { servers } = pair;
    const [server] = servers;
    const { createThread } = await server.gql(CREATE_THREAD);
    const threadId: string = createThread.id;
    const input = { assistantId: 'ticks', input: { count: TICKS }, streamModes: ['CUSTOM'] };
    // Two of them on one thread, one after the other; as the first event of the first is known, all of it can be followed.
    const runIds: string[] = [];
    for (let n = 0; n < RUNS; n++) {
      const on = n < 2 ? { threadId } : { onCompletion: 'KEEP' };
      runIds.push((await server.gql(CREATE_RUN, { input: { ...input, ...on } })).createRun.id);
    }

    const progress = runIds.map(createProgress);
    const watchers = runIds.map(async (id, n) => {
      for await (const _event of server.subscribe(FOLLOW_RUN, { id })) progress[n]?.grow();
    });

    /** Follows in pieces of random length, each begun after the last event of the one before. */
    async function followInPieces(n: number): Promise<{ source: string; events: any[] }> {
      const app = servers[random(2)] ?? server;
      const transport: Transport = random(2) === 0 ? 'websocket' : 'sse';
      const ofThread = n % 10 === 0;
      const run = ofThread ? 0 : random(RUNS);
      const id = ofThread ? threadId : runIds[run];
      await progress[run]?.reached(random(TICKS));
      const events: any[] = [];
      let after: string | undefined;
      if (ofThread) after = eventId({ threadId, number: 0 });
      let ends = ofThread ? 2 : 1;
      while (ends > 0) {
        let left = 1 + random(40);
        const before = events.length;
        const document = ofThread ? FOLLOW_THREAD : FOLLOW_RUN;
        for await (const { events: event } of app.subscribe(document, { id, after }, transport)) {
          events.push(event);
          after = event.id;
          if (event.__typename === 'RunFinishedEvent') ends -= 1;
          left -= 1;
          if (left === 0 || ends === 0) break;
        }
        if (events.length === before) throw new Error(`It ended at ${after}; seed ${seed}`);
      }
      return { source: String(id), events };
    }
    const followed = await Promise.all(
      Array.from({ length: SUBSCRIBERS }, (_, n) => followInPieces(n)),
    );
    await Promise.all(watchers);

    const truth = new Map<string, string[]>();
    for (const [source, followed] of [
      [threadId, { threadId }] as const,
      ...(await Promise.all(
        runIds.map(async (runId) => {
          const { run } = await server.gql(`query ($id: ID!) { run(id: $id) { threadId } }`, {
            id: runId,
          });
          return [runId, { runId, threadId: run.threadId as string }] as const;
        }),
      )),
    ]) {
      const rows = await readEvents(server.app.sql, followed, { after: 0, limit: 10_000 });
      truth.set(source, rows.map(eventId));
    }
    expect(truth.get(runIds[0] ?? '')).toHaveLength(TICKS + 2);
    expect(truth.get(threadId)).toHaveLength(2 * (TICKS + 2));
    for (const { source, events } of followed) {
      const ids = events.map(({ id }) => id);
      expect(ids, `seed ${seed}`).toEqual(truth.get(source));
      const ticks = events.flatMap(({ data }) => data?.n ?? []);
      const once = Array.from({ length: TICKS }, (_, i) => i + 1);
      expect(ticks, `seed ${seed}`).toEqual(source === threadId ? [...once, ...once] : once);
    }
    for (const { app } of servers) await until(() => app.tail.readers === 0);
  });
});

describe('equal subscriptions', () => {
  it('are executed once for each event, and each get it', async () => {
    await using server = await createTestApp({ workerConcurrency: 0 });
    const { sql, tail } = server.app;
    const statements: string[] = [];
    const { query } = sql;
    sql.query = intercept(query, ({ text }, send) => {
      statements.push(text);
      return send();
    });
    const { createRun } = await server.gql(CREATE_RUN, {
      input: { assistantId: 'echo', input: human('x') },
    });
    const { id } = createRun;
    const document = `subscription ($id: ID!) {
      runEvents(runId: $id) { __typename ... on RunFinishedEvent { status run { id attempt } } }
    }`;
    const told = Array.from({ length: 20 }, async (_, i) => {
      const events: any[] = [];
      const transport = i % 2 ? 'sse' : 'websocket';
      for await (const { runEvents } of server.subscribe(document, { id }, transport)) {
        events.push(runEvents);
      }
      return events;
    });
    await until(() => tail.readers === told.length);
    // Each has read the table to its end, and waits, when nobody asks any more but once a second.
    await until(async () => {
      const before = statements.length;
      await sleep(100);
      return statements.length === before;
    });
    statements.length = 0;
    await server.gql(`mutation ($id: ID!) { cancelRun(id: $id) { id } }`, { id });
    const end = { __typename: 'RunFinishedEvent', status: 'CANCELLED', run: { id, attempt: 0 } };
    for (const events of await Promise.all(told)) expect(events).toEqual([end]);
    // Once by cancelRun, and once for all whom it is told.
    expect(
      statements.filter((text) => text === 'SELECT * FROM "Run" WHERE "id" = $1'),
    ).toHaveLength(2);
  });
});

describe('an event that cannot be stored', () => {
  let server: TestApp;
  beforeAll(async () => {
    server = await createTestApp();
    await server.app.sql.query(
      `ALTER TABLE "RunEvent" ADD CONSTRAINT harmless CHECK ("data"::text NOT LIKE '%poison%')`,
    );
  });
  afterAll(() => server.stop());

  const says = (texts: unknown[]) => ({
    assistantId: 'says',
    input: { json: texts.map((text) => JSON.stringify(text)) },
    streamModes: ['CUSTOM'],
    onCompletion: 'KEEP',
  });
  const start = async (input: Record<string, unknown>): Promise<string> =>
    (await server.gql(CREATE_RUN, { input })).createRun.id;

  it('fails its own run, which says which it was, and none of those that were stored with it', async () => {
    const texts = Array.from({ length: 30 }, (_, n) => `word ${n}`);
    const harmless = await Promise.all(texts.slice(0, 8).map(() => start(says(texts))));
    const guilty = await start(says([...texts.slice(0, 20), 'poison', ...texts.slice(20)]));

    for (const id of harmless) {
      const events = await server.follow(id);
      expect(events.at(-1)).toMatchObject({ status: 'SUCCESS', error: null });
      expect(events.flatMap(({ data }) => data ?? [])).toEqual(texts);
    }
    const events = await server.follow(guilty);
    expect(events.at(-1)).toMatchObject({
      status: 'ERROR',
      error: {
        name: 'EventRefusedError',
        message: expect.stringMatching(/^A CUSTOM event .*SQLSTATE 23514/),
      },
    });
    // What came before it is told; nothing that came after.
    expect(events.flatMap(({ data }) => data ?? [])).toEqual(texts.slice(0, 20));
  });

  it('takes nothing along of what the run had put by then', async () => {
    const id = await start({ ...says(['poison']), streamModes: ['VALUES', 'CUSTOM'] });
    const events = await server.follow(id);
    expect(events.at(-1)).toMatchObject({ status: 'ERROR' });
    const states = events.filter(({ __typename }) => __typename === 'ValuesEvent');
    expect(states).toEqual([expect.objectContaining({ values: { json: ['"poison"'], log: [] } })]);
  });

  it('leaves the thread usable', async () => {
    const { createThread } = await server.gql(CREATE_THREAD);
    const run = async (texts: string[]) => {
      const { onCompletion: _, ...input } = says(texts);
      const { createRun } = await server.gql(CREATE_RUN, {
        input: { ...input, threadId: createThread.id },
        wait: true,
      });
      return createRun.status;
    };
    expect(await run(['poison'])).toBe('ERROR');
    expect(await run(['antidote'])).toBe('SUCCESS');
  });

  it('is none that holds null bytes, half a pair or any other text', async () => {
    const texts = ['null\0byte', 'half \ud83d pair', '\udc00\ud800', '\u2028"\\\n', '🙂', '', null];
    const events = await server.follow(await start(says(texts)));
    expect(events.at(-1)).toMatchObject({ status: 'SUCCESS' });
    expect(
      events.filter(({ __typename }) => __typename === 'CustomEvent').map(({ data }) => data),
    ).toEqual(texts);
    const again = await server.follow(events[0].runId);
    expect(again).toEqual(events);
  });
});

/** What a worker would put and tell with while its run is under way; its statements go through `query`. */
async function startWriting(
  { sql, tail }: App,
  { query = sql.query, waits = false }: { query?: Query; waits?: boolean } = {},
) {
  const { runId, threadId, claimToken } = await startAttempt(sql.query);
  const failures: unknown[] = [];
  const fail = (error: unknown): void => void failures.push(error);
  const writer: Writer = { runId, threadId, claimToken };
  const shown: Promise<boolean>[] = [];
  /** Whether a reader finds the checkpoint that an event shows, at the moment when the event is handed over. */
  async function isThere({ checkpointId }: StoredEvent): Promise<boolean> {
    if (checkpointId === undefined) return true;
    const rows = await sql.query(`SELECT 1 FROM "Checkpoint" WHERE "checkpointId" = $1`, [
      checkpointId,
    ]);
    return rows.length > 0;
  }
  const publish = (events: readonly StoredEvent[]) => shown.push(...events.map(isThere));
  const observed = { ...tail, publish };
  const batches = createEventBatches({ ...sql, query }, observed, log);
  const { journal, saver } = openJournal(query, {
    writer,
    events: { batches, tail: observed },
    ...(!waits && { inTurn: (work) => work() }),
    onFailure: fail,
  });
  return {
    runId,
    threadId,
    writer,
    journal,
    failures,
    /** Of each event that has been handed over, in their order. */
    shown: () => Promise.all(shown),
    /** Gives the checkpoint's id when the graph need not wait for it: once it is stored, under `waits`. */
    async put(step: number): Promise<string> {
      const checkpoint = { ...emptyCheckpoint(), id: uuid6(step) };
      const config = { configurable: { thread_id: threadId, checkpoint_ns: '' } };
      await saver.put(config, checkpoint, { source: 'loop', step, parents: {} }, {});
      return checkpoint.id;
    },
    tell: (checkpointId?: string) =>
      journal.append(
        measureEvent({ type: 'CUSTOM', namespace: [], data: { data: 1 }, checkpointId }),
      ),
    async flush(): Promise<boolean> {
      await journal.flush();
      return failures.length === 0;
    },
    stored: () =>
      sql.query<{ number: number }>(
        `SELECT "number" FROM "RunEvent" WHERE "runId" = $1 ORDER BY "number"`,
        [runId],
      ),
  };
}

describe('what a run tells of what it puts', () => {
  let server: TestApp;
  beforeAll(async () => {
    server = await createTestApp({ workerConcurrency: 0 });
  });
  afterAll(() => server.stop());

  it('is shown once that is stored, also where one statement does not take all of it', async () => {
    const { put, tell, flush, shown } = await startWriting(server.app);
    const checkpointId = await put(1);
    for (let n = 0; n < 600; n++) await tell(checkpointId);
    expect(await flush()).toBe(true);
    expect(await shown()).toEqual(Array.from({ length: 600 }, () => true));
  });

  it('is shown once that is stored, also where the run could not be ended with it', async () => {
    const { sql } = server.app;
    const { runId, journal, put, tell, flush, shown, stored } = await startWriting(server.app);
    // A run with a cancellation request does not end as a success.
    await sql.query(`UPDATE "Run" SET "cancelAction" = 'KEEP' WHERE "id" = $1`, [runId]);
    const putting = put(1);
    const finishing = journal.finish({ status: 'SUCCESS', interrupts: [] });
    await tell(await putting);
    expect(await finishing).toBe(undefined);
    await tell();
    expect(await flush()).toBe(true);
    expect(await stored()).toHaveLength(2);
    expect(await shown()).toEqual([true, true]);
  });

  it('is shown once that is stored, also where it is put while what was told before is being stored', async () => {
    const { sql } = server.app;
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const query = intercept(sql.query, async ({ text }, send) => {
      if (text.startsWith('WITH claims')) await opened;
      return send();
    });
    const { put, tell, flush, shown } = await startWriting(server.app, { query });
    await tell();
    await sleep(5); // its statement is sent
    await tell(await put(1));
    await sleep(50); // that of what was put would be
    await tell(await put(2));
    open();
    expect(await flush()).toBe(true);
    expect(await shown()).toEqual([true, true, true]);
  });

  it('is stored once where the answer of the statement that stored it was lost', async () => {
    const { sql } = server.app;
    const query = intercept(sql.query, async ({ text }, send) => {
      const rows = await send();
      if (text.includes('"firstEvent"')) throw new DatabaseAwayError();
      return rows;
    });
    const { put, tell, flush, failures, stored } = await startWriting(server.app, { query });
    await tell(await put(1));
    expect(await flush()).toBe(false);
    expect(failures).toEqual([expect.any(DatabaseAwayError)]);
    expect(await stored()).toEqual([{ number: 1 }]);
  });

  it('keeps nobody waiting where the run ends while something is put', async () => {
    const { sql } = server.app;
    for (const turns of [0, 1, 2, 3]) {
      let send = (): void => {};
      const sent = new Promise<void>((resolve) => {
        send = resolve;
      });
      const query: Query = (...statement) => {
        send();
        return sql.query(...statement);
      };
      const { put, tell, journal } = await startWriting(server.app, {
        query,
        waits: true,
      });
      const first = put(1);
      await tell();
      await sent;
      await tell();
      void first.then(async () => {
        for (let n = 0; n < turns; n++) await Promise.resolve();
        void put(2);
      });
      await journal.flush();
      await journal.close();
    }
  });
});

// It takes two sessions.
describe.runIf(inject('database') === 'postgres')(
  'while other runs of its thread are undone',
  () => {
    it('its newest checkpoint stays the head', async () => {
      await using server = await createTestApp({ workerConcurrency: 0 });
      const { sql } = server.app;
      const { runId, threadId, put, flush } = await startWriting(server.app);
      await sql.query(`UPDATE "Run" SET "startedAt" = now() WHERE "id" = $1`, [runId]);
      const { createRun } = await server.gql(CREATE_RUN, {
        input: { threadId, assistantId: 'echo', input: human('x') },
      });
      await put(1);
      await flush();
      // As a statement that has stored a checkpoint, and whose commit takes its time.
      const { cancelled, newest } = await sql.transaction(async (query) => {
        const [second] = await query<{ checkpointId: string }>(
          `INSERT INTO "Checkpoint" SELECT (jsonb_populate_record(c, jsonb_build_object('checkpointId', gen_random_uuid(), 'seq', "seq" + 1))).*
         FROM "Checkpoint" c WHERE "threadId" = $1 RETURNING "checkpointId"`,
          [threadId],
        );
        await query(`UPDATE "CheckpointHead" SET "checkpointId" = $2 WHERE "threadId" = $1`, [
          threadId,
          second?.checkpointId,
        ]);
        const cancelling = server.gql(
          `mutation ($id: ID!) { cancelRun(id: $id, action: ROLLBACK) { status } }`,
          { id: createRun.id },
        );
        await Promise.race([cancelling, until(() => isWaitedFor(query))]);
        return { cancelled: cancelling, newest: second?.checkpointId };
      });
      expect((await cancelled).cancelRun).toEqual({ status: 'CANCELLED' });
      const heads = await sql.query(
        `SELECT "checkpointId" FROM "CheckpointHead" WHERE "threadId" = $1`,
        [threadId],
      );
      expect(heads).toEqual([{ checkpointId: newest }]);
    });
  },
);

describe.runIf(inject('database') === 'postgres')('a run that tells without a pause', () => {
  it('lets one that waits behind it be cancelled', async () => {
    await using server = await createTestApp({ workerConcurrency: 0 });
    const { sql } = server.app;
    const { runId, threadId } = await startWriting(server.app);
    const { createRun } = await server.gql(CREATE_RUN, {
      input: { threadId, assistantId: 'echo', input: human('x') },
    });
    let cancelling: ReturnType<TestApp['request']> | undefined;
    const over = new AbortController();
    // One statement after the other, each of which takes until somebody waits for it.
    for (let n = 0; n < 12 && !over.signal.aborted; n++) {
      await sql.transaction(async (query) => {
        await query(`SELECT 1 FROM "Run" WHERE "id" = $1 FOR KEY SHARE`, [runId]);
        await query(
          `INSERT INTO "RunEvent" ("threadId", "runId", "number", "type", "namespace")
           SELECT $1, $2, coalesce(max("number"), 0) + 1, 'CUSTOM', '{}' FROM "RunEvent" WHERE "threadId" = $1`,
          [threadId, runId],
        );
        cancelling ??= server.request(`mutation ($id: ID!) { cancelRun(id: $id) { status } }`, {
          id: createRun.id,
        });
        void cancelling.finally(() => over.abort());
        await until(async () => over.signal.aborted || (await isWaitedFor(query)));
      });
    }
    expect(await cancelling).toMatchObject({ data: { cancelRun: { status: 'CANCELLED' } } });
  });
});

describe('runs of several threads that tell at once', () => {
  it(
    'go on while those that wait behind them are cancelled together',
    { timeout: 120_000 },
    async () => {
      await using server = await createTestApp({ workerConcurrency: 20 });
      for (let round = 0; round < 2; round++) {
        const threads = await Promise.all(
          Array.from({ length: 8 }, async () => (await server.gql(CREATE_THREAD)).createThread.id),
        );
        const start = async (threadId: string, input: object): Promise<string> =>
          (await server.gql(CREATE_RUN, { input: { threadId, ...input } })).createRun.id;
        const ticking = { assistantId: 'ticks', input: { count: 1000 }, streamModes: ['CUSTOM'] };
        const waiting = { assistantId: 'echo', input: human('x') };
        const running = await Promise.all(threads.map((threadId) => start(threadId, ticking)));
        await Promise.all(threads.toReversed().map((threadId) => start(threadId, waiting)));
        const { cancelRuns } = await server.gql(
          `mutation { cancelRuns(filter: { status: [PENDING] }) { status } }`,
        );
        expect(cancelRuns).toHaveLength(8);
        for (const id of running) {
          expect((await server.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
        }
      }
    },
  );
});

/** How many sessions wait for what another one holds; asked on a connection of its own. */
async function countWaiting({ query }: Sql): Promise<number> {
  const rows = await query(
    `SELECT FROM pg_stat_activity WHERE "datname" = current_database() AND cardinality(pg_blocking_pids("pid")) > 0`,
    [],
    { takesLong: true },
  );
  return rows.length;
}

describe('a run that tells while those that wait behind it are cancelled', () => {
  let server: TestApp;
  beforeAll(async () => {
    server = await createTestApp({ poolSize: 10 });
  });
  afterAll(() => server.stop());

  const CANCEL = `mutation ($id: ID!) { cancelRun(id: $id) { status } }`;
  const start = async (threadId: string, input: object) =>
    (await server.gql(CREATE_RUN, { input: { threadId, ...input } })).createRun.id;

  // It takes several sessions.
  it.skipIf(inject('database') === 'embedded')(
    'goes on, however many are cancelled at once',
    async () => {
      const { sql } = server.app;
      const { runId, threadId, tell, flush, failures } = await startWriting(server.app);
      let told: Promise<boolean> | undefined;
      let isOver = false;
      /** As each cancellation does it, which the next one waits behind. */
      async function takeNumber(left: number): Promise<void> {
        let next: Promise<void> | undefined;
        await sql.transaction(async (query) => {
          await query(`SELECT FROM "Run" WHERE "id" = $1 FOR UPDATE`, [runId]);
          await query(
            `INSERT INTO "RunEvent" ("threadId", "runId", "number", "type", "namespace")
             SELECT $1, $2, coalesce(max("number"), 0) + 1, 'FINISHED', '{}' FROM "RunEvent" WHERE "threadId" = $1`,
            [threadId, runId],
          );
          if (!told) {
            void tell();
            told = flush().finally(() => (isOver = true));
          }
          await until(async () => isOver || (await isWaitedFor(query)));
          if (isOver || left === 0) return;
          next = takeNumber(left - 1);
          await until(async () => isOver || (await countWaiting(sql)) === 2);
        });
        await next;
      }
      await takeNumber(8);
      expect(await told).toBe(true);
      expect(failures).toEqual([]);
    },
  );

  it('takes no number that a reader of the thread has seen, also where the run that had it was deleted', async () => {
    await using door = await openRunDoor(server);
    const threadId = await door.createThread();
    const { file, open } = door.closedGate();
    const ticking = { assistantId: 'ticks', input: { count: 6, file }, streamModes: ['CUSTOM'] };
    const running = await start(threadId, ticking);
    const first = await until(async () => {
      const document = `query ($id: ID!) { run(id: $id) { events(first: 1) { nodes { id } } } }`;
      return (await server.gql(document, { id: running })).run.events.nodes[0];
    });
    const seen: any[] = [];
    const follow = `subscription ($id: ID!, $after: ID) {
      threadEvents(threadId: $id, after: $after) { __typename id runId ... on CustomEvent { data } }
    }`;
    const events = server.subscribe(follow, { id: threadId, after: first.id });
    for await (const { threadEvents: event } of events) {
      seen.push(event);
      if (event.data?.n === 1) {
        const waiting = await start(threadId, { assistantId: 'echo', input: human('x') });
        await server.gql(CANCEL, { id: waiting });
      } else if (event.runId !== running) {
        await server.gql(`mutation ($id: ID!) { deleteRun(id: $id) }`, { id: event.runId });
        await open();
      } else if (event.__typename === 'RunFinishedEvent') break;
    }
    const own = seen.filter(({ runId }) => runId === running);
    expect(own.flatMap(({ data }) => data?.n ?? [])).toEqual([1, 2, 3, 4, 5, 6]);
    expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
  });
});

describe('the readers of a process', () => {
  let server: TestApp;
  beforeAll(async () => {
    server = await createTestApp({ workerConcurrency: 0 });
  });
  afterAll(() => server.stop());

  /** A thread whose run is under way, and what its worker would do. */
  async function createWriter() {
    const { sql } = server.app;
    const { createThread } = await server.gql(CREATE_THREAD);
    const threadId: string = createThread.id;
    const { createRun } = await server.gql(CREATE_RUN, {
      input: { threadId, assistantId: 'echo', input: human('x') },
    });
    const runId: string = createRun.id;
    let last = 0;
    return {
      threadId,
      runId,
      /** Stores events {n} as another process would, `size` bytes each, and gives what that one would hand over. */
      async write(count: number, size: number): Promise<StoredEvent[]> {
        const first = last + 1;
        last += count;
        return sql.query<StoredEvent>(
          `INSERT INTO "RunEvent" ("threadId", "runId", "number", "type", "namespace", "data")
           SELECT $1, $2, n, 'CUSTOM', '{}', json_build_object('data', json_build_object('n', n, 'text', repeat('x', $5)))
           FROM generate_series($3::bigint, $4::bigint) AS n RETURNING *, ${size} AS "size"`,
          [threadId, runId, first, last, size],
        );
      },
    };
  }

  /** The same database, and how many statements were sent to it. */
  function counted(sql: Sql): { sql: Sql; statements: () => number } {
    let statements = 0;
    const counting: Sql = {
      ...sql,
      query: (...asked) => {
        statements += 1;
        return sql.query(...asked);
      },
    };
    return { sql: counting, statements: () => statements };
  }

  async function withTail<T>(sql: Sql, work: (tail: EventTail) => Promise<T>): Promise<T> {
    const tail = createEventTail(sql, log);
    try {
      return await work(tail);
    } finally {
      tail.close();
    }
  }

  it.each([
    ['100,000 small events', 100_000, 10, 500],
    ['300 large ones', 300, 100_000, 10],
    ['one that is larger than the buffer', 1, 3_000_000, 1],
  ])(
    'that stopped reading while %s pass hold at most 1 MiB each, and get all of them',
    { timeout: 180_000 },
    async (_what, count, size, batch) => {
      const writer = await createWriter();
      await withTail(server.app.sql, async (tail) => {
        const reader = tail.follow({ threadId: writer.threadId }, { after: 0 });
        const [first] = await writer.write(1, 10);
        expect((await reader.next()).value).toMatchObject({ number: first?.number });
        let most = 0;
        // Delivery begins once the reader is at the end of the table.
        const second = reader.next();
        await writer.write(1, 10).then((events) => tail.publish(events));
        await second;
        for (let written = 0; written < count; written += batch) {
          tail.publish(await writer.write(batch, size));
          most = Math.max(most, tail.bufferedBytes);
        }
        expect(most).toBeLessThanOrEqual(1_048_576);
        for (let n = 3; n <= count + 2; n++) {
          const { value } = await reader.next();
          if (value?.number !== n) throw new Error(`${value?.number} came in place of ${n}`);
        }
        await reader.return?.();
        expect(tail.bufferedBytes).toBe(0);
      });
    },
  );

  it('of the same thread share what another process has written: one statement, however many they are', async () => {
    const writer = await createWriter();
    const { sql, statements } = counted(server.app.sql);
    await withTail(sql, async (tail) => {
      const readers = Array.from({ length: 50 }, () =>
        tail.follow({ threadId: writer.threadId }, { after: 0 }),
      );
      const firsts = readers.map((reader) => reader.next());
      await writer.write(1, 10);
      await Promise.all(firsts);
      // All have read the table to its end when nobody asks any more.
      const nexts = readers.map((reader) => reader.next());
      let before = -1;
      await until(async () => {
        const quiet = before === statements();
        before = statements();
        await sleep(100);
        return quiet;
      });
      const began = performance.now();
      await writer.write(5, 10);
      sql.notify('threadql_events', writer.threadId);
      for (const { value } of await Promise.all(nexts)) expect(value).toMatchObject({ number: 2 });
      for (let n = 3; n <= 6; n++) {
        for (const reader of readers)
          expect((await reader.next()).value).toMatchObject({ number: n });
      }
      const polls = (performance.now() - began) / 1000 + 1;
      expect(statements() - before).toBeLessThanOrEqual(2 + 2 * polls);
      for (const reader of readers) await reader.return?.();
    });
  });

  it('cost at most one statement a second while nothing happens, a hundred of them together', async () => {
    const writers = await Promise.all(Array.from({ length: 20 }, createWriter));
    const { sql, statements } = counted(server.app.sql);
    await withTail(sql, async (tail) => {
      const readers = writers.flatMap(({ threadId, runId }) =>
        [{ threadId }, { threadId, runId }, { threadId }, { threadId, runId }, { threadId }].map(
          (followed) => tail.follow(followed, { after: 0 }),
        ),
      );
      const waiting = readers.map((reader) => reader.next());
      await until(() => statements() >= readers.length);
      const [before, began] = [statements(), performance.now()];
      await until(() => statements() > before + 2);
      expect(statements() - before).toBeLessThanOrEqual((performance.now() - began) / 1000 + 1);
      for (const reader of readers) await reader.return?.();
      await Promise.all(waiting);
      expect(tail.readers).toBe(0);
    });
  });

  it('that wait for an end see it within a second where other events of the thread were told first', async () => {
    const { threadId, runId, write } = await createWriter();
    const { sql } = server.app;
    await withTail({ ...sql, listen: () => () => {} }, async (tail) => {
      const reader = tail.follow({ threadId, runId }, { after: 'now', types: ['FINISHED'] });
      const end = reader.next();
      await sql.query(`UPDATE "Run" SET "status" = 'CANCELLED' WHERE "id" = $1`, [runId]);
      const events = await write(2, 10);
      tail.publish(events.slice(1));
      expect(await end).toEqual({ done: true, value: undefined });
    });
  });

  it.each([
    ['from memory while that is little', 10, true],
    ['from the table where that is more', 10_000, false],
  ])(
    'get all that a run has told which has begun here, %s, and then what it tells',
    async (_where, size, isAtHand) => {
      const { threadId, runId, write } = await createWriter();
      await withTail(server.app.sql, async (tail) => {
        const [first] = await write(1, 10);
        tail.begin({ ...(first as StoredEvent), type: 'STARTED', data: { attempt: 1 } });
        tail.publish(await write(10, size));
        expect(tail.threadOf(runId)).toBe(isAtHand ? threadId : undefined);
        const readers = [0, 3].map((after) => tail.follow({ threadId, runId }, { after }));
        for (const [i, after] of [0, 3].entries()) {
          for (let n = after + 1; n <= 11; n++)
            expect((await readers[i]?.next())?.value).toMatchObject({ number: n });
        }
        const nexts = readers.map((reader) => reader.next());
        const [last] = await write(1, 10);
        tail.publish([{ ...(last as StoredEvent), type: 'FINISHED' }]);
        for (const { value } of await Promise.all(nexts))
          expect(value).toMatchObject({ number: 12 });
        for (const reader of readers) expect(await reader.next()).toMatchObject({ done: true });
        // Whoever comes now reads what is kept of it.
        expect(tail.threadOf(runId)).toBeUndefined();
        tail.begin({ ...(first as StoredEvent), type: 'STARTED' });
        tail.leave(runId);
        expect(tail.threadOf(runId)).toBeUndefined();
      });
    },
  );

  it('find what was written without a hint', async () => {
    const writer = await createWriter();
    await withTail({ ...server.app.sql, listen: () => () => {} }, async (tail) => {
      const reader = tail.follow({ threadId: writer.threadId }, { after: 0 });
      await writer.write(3, 10);
      for (let n = 1; n <= 3; n++) expect((await reader.next()).value).toMatchObject({ number: n });
      const next = reader.next();
      await writer.write(2, 10);
      expect((await next).value).toMatchObject({ number: 4 });
      await reader.return?.();
    });
  });
});
