import { emptyCheckpoint, uuid6 } from '@langchain/langgraph-checkpoint';
import { describe, expect, inject } from 'vitest';
import type { Query, Sql } from '../src/db/query.ts';
import { raw, sql } from '../src/db/sql.ts';
import { DatabaseAwayError } from '../src/errors.ts';
import { createEventBatches, type Writer } from '../src/events/batches.ts';
import type { StoredEvent } from '../src/events/event.ts';
import { measureEvent } from '../src/events/measure.ts';
import { createLogger } from '../src/log.ts';
import { human, until, type FollowedEvent, type TestApp } from './support/app.ts';
import { openJournal, startAttempt } from './support/attempts.ts';
import { ofType, type Client, type RunInput } from './support/client.ts';
import { isWaitedFor } from './support/databases.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation, type AnswerTo } from './support/graphql.ts';
import { intercept } from './support/queries.ts';

it.override('settings', { poolSize: 10 });

const CANCEL = operation(`mutation ($id: ID!, $action: CancelAction! = KEEP) {
  cancelRun(id: $id, action: $action) { status }
}`);

const onPostgres = inject('database') === 'postgres';

/** The data of the custom events. */
const dataOf = (events: FollowedEvent[]) => ofType(events, 'CustomEvent').map(({ data }) => data);

/** A promise, resolved by the test. */
function createSignal(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** Starts a run behind the running run of the thread. */
async function startWaiting(client: Client, threadId: string): Promise<string> {
  return (await client.startRun({ threadId, assistantId: 'echo', input: human('x') })).id;
}

describe('an event that cannot be stored', () => {
  it.beforeAll(async ({ server }) => {
    await server.app.sql.query(
      sql`ALTER TABLE "RunEvent" ADD CONSTRAINT harmless CHECK ("data"::text NOT LIKE '%poison%')`,
    );
  });

  const says = (texts: unknown[]): RunInput => ({
    assistantId: 'says',
    input: { json: texts.map((text) => JSON.stringify(text)) },
    streamModes: ['CUSTOM'],
    onCompletion: 'KEEP',
  });

  it('fails its own run, which says which it was, and none of those that were stored with it', async ({
    client,
  }) => {
    const texts = Array.from({ length: 30 }, (_, n) => `word ${n}`);
    const harmless = await Promise.all(texts.slice(0, 8).map(() => client.startRun(says(texts))));
    const guilty = await client.startRun(
      says([...texts.slice(0, 20), 'poison', ...texts.slice(20)]),
    );

    for (const { id } of harmless) {
      const events = await client.follow(id);
      expect(events.at(-1)).toMatchObject({ status: 'SUCCESS', error: null });
      expect(dataOf(events)).toEqual(texts);
    }
    const events = await client.follow(guilty.id);
    expect(events.at(-1)).toMatchObject({
      status: 'ERROR',
      error: {
        name: 'EventRefusedError',
        message: expect.stringMatching(/^A CUSTOM event .*SQLSTATE 23514/),
      },
    });
    // The events before it are stored, and no later ones.
    expect(dataOf(events)).toEqual(texts.slice(0, 20));
  });

  it('takes nothing along of what the run had put by then', async ({ client }) => {
    const { id } = await client.startRun({
      ...says(['poison']),
      streamModes: ['VALUES', 'CUSTOM'],
    });
    const events = await client.follow(id);
    expect(events.at(-1)).toMatchObject({ status: 'ERROR' });
    const states = events.filter(({ __typename }) => __typename === 'ValuesEvent');
    expect(states).toEqual([expect.objectContaining({ values: { json: ['"poison"'], log: [] } })]);
  });

  it('leaves the thread usable', async ({ client }) => {
    const threadId = await client.createThread();
    const run = async (texts: string[]) => {
      const { onCompletion: _, ...input } = says(texts);
      return (await client.runToEnd({ ...input, threadId })).status;
    };
    expect(await run(['poison'])).toBe('ERROR');
    expect(await run(['antidote'])).toBe('SUCCESS');
  });

  it('is none that holds null bytes, half a pair or any other text', async ({ client }) => {
    const texts = ['null\0byte', 'half \ud83d pair', '\udc00\ud800', '\u2028"\\\n', '🙂', '', null];
    const { id } = await client.startRun(says(texts));
    const events = await client.follow(id);
    expect(events.at(-1)).toMatchObject({ status: 'SUCCESS' });
    expect(dataOf(events)).toEqual(texts);
    expect(await client.follow(id)).toEqual(events);
  });
});

/** The journal and the saver of a running run, as a worker has them. Their statements go through `query`. */
async function startWriting(
  { app: { sql: database, tail } }: TestApp,
  { query = database.query, waits = false }: { query?: Query; waits?: boolean } = {},
) {
  const { runId, threadId, claimToken } = await startAttempt(database.query);
  const failures: unknown[] = [];
  const fail = (error: unknown): void => void failures.push(error);
  const writer: Writer = { runId, threadId, claimToken };
  const shown: Promise<boolean>[] = [];
  /** True if a reader finds the checkpoint of an event at its publication. */
  async function isThere({ checkpointId }: StoredEvent): Promise<boolean> {
    if (checkpointId === undefined) return true;
    const rows = await database.query(
      sql`SELECT 1 FROM "Checkpoint" WHERE "checkpointId" = ${checkpointId}`,
    );
    return rows.length > 0;
  }
  const publish = (events: readonly StoredEvent[]) => shown.push(...events.map(isThere));
  const observed = { ...tail, publish };
  const batches = createEventBatches({ ...database, query }, observed, createLogger('silent'));
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
    /** Of each published event, in order: whether its checkpoint was there. */
    shown: () => Promise.all(shown),
    /** Returns the id of the checkpoint when the graph may go on. With `waits`, the checkpoint is stored by then. */
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
      database.query<{ number: number }>(
        sql`SELECT "number" FROM "RunEvent" WHERE "runId" = ${runId} ORDER BY "number"`,
      ),
  };
}

describe('what a run tells of what it puts', () => {
  it('is shown once that is stored, also where one statement does not take all of it', async ({
    server,
  }) => {
    const { put, tell, flush, shown } = await startWriting(server);
    const checkpointId = await put(1);
    for (let n = 0; n < 600; n++) await tell(checkpointId);
    expect(await flush()).toBe(true);
    expect(await shown()).toEqual(Array.from({ length: 600 }, () => true));
  });

  it('is shown once that is stored, also where the run could not be ended with it', async ({
    server,
  }) => {
    const { runId, journal, put, tell, flush, shown, stored } = await startWriting(server);
    // A run with a cancellation request does not end as a success.
    await server.app.sql.query(sql`UPDATE "Run" SET "cancelAction" = 'KEEP' WHERE "id" = ${runId}`);
    const putting = put(1);
    const finishing = journal.finish({ status: 'SUCCESS', interrupts: [] });
    await tell(await putting);
    expect(await finishing).toBe(undefined);
    await tell();
    expect(await flush()).toBe(true);
    expect(await stored()).toHaveLength(2);
    expect(await shown()).toEqual([true, true]);
  });

  it('is shown once that is stored, also where it is put while what was told before is being stored', async ({
    server,
  }) => {
    const { query: ask } = server.app.sql;
    const sent = createSignal();
    const opened = createSignal();
    const query = intercept(ask, async ({ text }, send) => {
      if (text.startsWith('WITH claims')) {
        sent.resolve();
        await opened.promise;
      }
      return send();
    });
    const { put, tell, flush, shown } = await startWriting(server, { query });
    await tell();
    await sent.promise;
    await tell(await put(1));
    // In this time, the statement with the checkpoint could be sent.
    for (let n = 0; n < 20; n++) await ask(sql`SELECT 1`);
    await tell(await put(2));
    opened.resolve();
    expect(await flush()).toBe(true);
    expect(await shown()).toEqual([true, true, true]);
  });

  it('is stored once where the answer of the statement that stored it was lost', async ({
    server,
  }) => {
    const query = intercept(server.app.sql.query, async ({ text }, send) => {
      const rows = await send();
      if (text.includes('"firstEvent"')) throw new DatabaseAwayError();
      return rows;
    });
    const { put, tell, flush, failures, stored } = await startWriting(server, { query });
    await tell(await put(1));
    expect(await flush()).toBe(false);
    expect(failures).toEqual([expect.any(DatabaseAwayError)]);
    expect(await stored()).toEqual([{ number: 1 }]);
  });

  it('keeps nobody waiting where the run ends while something is put', async ({ server }) => {
    for (const turns of [0, 1, 2, 3]) {
      const sent = createSignal();
      const query = intercept(server.app.sql.query, (_statement, send) => {
        sent.resolve();
        return send();
      });
      const { put, tell, journal } = await startWriting(server, { query, waits: true });
      const first = put(1);
      await tell();
      await sent.promise;
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

// These tests take two sessions.
describe.runIf(onPostgres)('while other runs of its thread are undone', () => {
  it('its newest checkpoint stays the head', async ({ server, client }) => {
    const { sql: database } = server.app;
    const { runId, threadId, put, flush } = await startWriting(server);
    await database.query(sql`UPDATE "Run" SET "startedAt" = now() WHERE "id" = ${runId}`);
    const waiting = await startWaiting(client, threadId);
    await put(1);
    await flush();
    // Stores a checkpoint in an open transaction, like the running run.
    const { cancelled, newest } = await database.transaction(async (query) => {
      const [second] = await query<{ checkpointId: string }>(
        sql`INSERT INTO "Checkpoint" SELECT (jsonb_populate_record(c, jsonb_build_object('checkpointId', gen_random_uuid(), 'seq', "seq" + 1))).*
         FROM "Checkpoint" c WHERE "threadId" = ${threadId} RETURNING "checkpointId"`,
      );
      await query(
        sql`UPDATE "CheckpointHead" SET "checkpointId" = ${second?.checkpointId} WHERE "threadId" = ${threadId}`,
      );
      const cancelling = client.gql(CANCEL, { id: waiting, action: 'ROLLBACK' });
      await Promise.race([cancelling, until(() => isWaitedFor(query))]);
      return { cancelled: cancelling, newest: second?.checkpointId };
    });
    expect((await cancelled).cancelRun).toEqual({ status: 'CANCELLED' });
    const heads = await database.query(
      sql`SELECT "checkpointId" FROM "CheckpointHead" WHERE "threadId" = ${threadId}`,
    );
    expect(heads).toEqual([{ checkpointId: newest }]);
  });
});

/** Appends an event to a thread, with the next number. */
async function insertEvent(
  query: Query,
  { threadId, runId }: { threadId: string; runId: string },
  type: 'CUSTOM' | 'FINISHED',
): Promise<void> {
  await query(
    sql`INSERT INTO "RunEvent" ("threadId", "runId", "number", "type", "namespace")
     SELECT ${threadId}, ${runId}, coalesce(max("number"), 0) + 1, '${raw(type)}', '{}' FROM "RunEvent" WHERE "threadId" = ${threadId}`,
  );
}

describe.runIf(onPostgres)('a run that tells without a pause', () => {
  it('lets one that waits behind it be cancelled', async ({ server, client }) => {
    const writing = await startWriting(server);
    const id = await startWaiting(client, writing.threadId);
    let cancelling: Promise<unknown> | undefined;
    const over = new AbortController();
    // One statement after the other. Each takes until another transaction waits for it.
    for (let n = 0; n < 12 && !over.signal.aborted; n++) {
      await server.app.sql.transaction(async (query) => {
        await query(sql`SELECT 1 FROM "Run" WHERE "id" = ${writing.runId} FOR KEY SHARE`);
        await insertEvent(query, writing, 'CUSTOM');
        cancelling ??= client.request(CANCEL, { id });
        void cancelling.finally(() => over.abort());
        await until(async () => over.signal.aborted || (await isWaitedFor(query)));
      });
    }
    expect(await cancelling).toMatchObject({ data: { cancelRun: { status: 'CANCELLED' } } });
  });
});

describe('runs of several threads that tell at once', () => {
  const CANCEL_WAITING = operation(
    `mutation { cancelRuns(filter: { status: [PENDING] }) { status } }`,
  );

  it(
    'go on while those that wait behind them are cancelled together',
    { timeout: 120_000 },
    async ({ startServer }) => {
      const { client } = await startServer({ workerConcurrency: 20 });
      for (let round = 0; round < 2; round++) {
        const gate = createGate();
        const threads = await Promise.all(Array.from({ length: 8 }, () => client.createThread()));
        const running = await Promise.all(
          threads.map((threadId) =>
            client.startRun({
              threadId,
              assistantId: 'ticks',
              input: { count: 1000, file: gate.file },
              streamModes: ['CUSTOM'],
            }),
          ),
        );
        await Promise.all(threads.toReversed().map((threadId) => startWaiting(client, threadId)));
        await gate.open();
        await Promise.all(running.map(({ id }) => untilTick(client, id, 2)));
        const { cancelRuns } = await client.gql(CANCEL_WAITING);
        expect(cancelRuns).toHaveLength(8);
        for (const { id } of running) {
          expect((await client.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
        }
      }
    },
  );
});

const TICKS = operation(
  `subscription ($id: ID!) { runEvents(runId: $id) { ... on CustomEvent { data } } }`,
);

/** Waits until a run of graph `ticks` has emitted so many ticks. */
async function untilTick(client: Client, id: string, count: number): Promise<void> {
  for await (const { runEvents } of client.subscribe(TICKS, { id })) {
    if ('data' in runEvents && tickOf(runEvents.data) === count) break;
  }
}

const tickOf = (data: unknown) => (data as { n: number }).n;

/** The number of blocked sessions. */
async function countWaiting({ query }: Sql): Promise<number> {
  const rows = await query(
    sql`SELECT FROM pg_stat_activity WHERE "datname" = current_database() AND cardinality(pg_blocking_pids("pid")) > 0`,
    { takesLong: true },
  );
  return rows.length;
}

describe('a run that tells while those that wait behind it are cancelled', () => {
  // This test takes several sessions.
  it.skipIf(!onPostgres)('goes on, however many are cancelled at once', async ({ server }) => {
    const { sql: database } = server.app;
    const writing = await startWriting(server);
    let told: Promise<boolean> | undefined;
    let isOver = false;
    /** Takes a number like a cancellation. The next cancellation waits for its commit. */
    async function takeNumber(left: number): Promise<void> {
      let next: Promise<void> | undefined;
      await database.transaction(async (query) => {
        await query(sql`SELECT FROM "Run" WHERE "id" = ${writing.runId} FOR UPDATE`);
        await insertEvent(query, writing, 'FINISHED');
        if (!told) {
          void writing.tell();
          told = writing.flush().finally(() => (isOver = true));
        }
        await until(async () => isOver || (await isWaitedFor(query)));
        if (isOver || left === 0) return;
        next = takeNumber(left - 1);
        await until(async () => isOver || (await countWaiting(database)) === 2);
      });
      await next;
    }
    await takeNumber(8);
    expect(await told).toBe(true);
    expect(writing.failures).toEqual([]);
  });

  const FOLLOW_THREAD = operation(`subscription ($id: ID!, $after: ID) {
    threadEvents(threadId: $id, after: $after) { __typename id runId ... on CustomEvent { data } }
  }`);
  const FIRST_EVENT = operation(
    `query ($id: ID!) { run(id: $id) { events(first: 1) { nodes { id } } } }`,
  );
  const DELETE_RUN = operation(`mutation ($id: ID!) { deleteRun(id: $id) }`);

  it('takes no number that a reader of the thread has seen, also where the run that had it was deleted', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const gate = createGate();
    const running = await client.startRun({
      threadId,
      assistantId: 'ticks',
      input: { count: 6, file: gate.file },
      streamModes: ['CUSTOM'],
    });
    const first = await until(
      async () => (await client.gql(FIRST_EVENT, { id: running.id })).run?.events.nodes[0],
    );
    const seen: AnswerTo<typeof FOLLOW_THREAD>['threadEvents'][] = [];
    const events = client.subscribe(FOLLOW_THREAD, { id: threadId, after: first.id });
    for await (const { threadEvents: event } of events) {
      seen.push(event);
      if (event.__typename === 'CustomEvent' && tickOf(event.data) === 1) {
        await client.gql(CANCEL, { id: await startWaiting(client, threadId) });
      } else if (event.runId !== running.id) {
        await client.gql(DELETE_RUN, { id: event.runId });
        await gate.open();
      } else if (event.__typename === 'RunFinishedEvent') break;
    }
    const ticks = ofType(seen, 'CustomEvent').map(({ data }) => tickOf(data));
    expect(ticks).toEqual([1, 2, 3, 4, 5, 6]);
    expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
  });
});
