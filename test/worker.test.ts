import { describe, expect, inject } from 'vitest';
import type { Query, Sql } from '../src/db/query.ts';
import { sql } from '../src/db/sql.ts';
import { within } from '../src/within.ts';
import { human, randomId, until, type TestApp } from './support/app.ts';
import { CREATE_RUN, nodesOf, summaryOf, type Client } from './support/client.ts';
import { isWaitedFor, queryDirectly, type TestDatabase } from './support/databases.ts';
import { it } from './support/fixture.ts';
import { startAtGate } from './support/gates.ts';
import { intercept } from './support/queries.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';

const onPostgres = inject('database') === 'postgres';

const ALL_NODES = ['in', 'before', 'hold', 'after'];
const STEPS = Array.from({ length: 10 }, (_, n) => `step${n + 1}`);

async function outputOf(client: Client, runId: string): Promise<string[]> {
  return (await client.getRun(runId)).output.log;
}

// ── Servers in processes of their own ─────────────────────────────────────────────────────────

/** On PostgreSQL, the next process otherwise waits for the end of the lease. */
function endLease(database: TestDatabase, runId: string) {
  return queryDirectly(
    database,
    sql`UPDATE "Run" SET "leaseExpiresAt" = now() WHERE "id" = ${runId}`,
  );
}

describe('a run whose process was killed', { timeout: SEVERAL_STARTS_MS }, () => {
  it('goes on from its own last checkpoint in the next one, under one continuous sequence of events', async ({
    ownDatabase,
    startProcess,
  }) => {
    const first = await startProcess(ownDatabase);
    const { gate, threadId, runId, checkpointId } = await startAtGate(first.client, {
      durability: 'SYNC',
    });
    expect(await first.end('SIGKILL')).toBe('SIGKILL');
    expect(await queryDirectly(ownDatabase, sql`SELECT "status", "attempt" FROM "Run"`)).toEqual([
      { status: 'RUNNING', attempt: 1 },
    ]);

    await endLease(ownDatabase, runId);
    const { client } = await startProcess(ownDatabase);
    await until(async () => (await client.getRun(runId)).attempt === 2);
    await gate.open();
    const events = await client.follow(runId);
    expect(events.map(summaryOf)).toEqual([
      'RunStartedEvent 1',
      'UpdatesEvent before',
      'RunStartedEvent 2',
      'UpdatesEvent hold',
      'UpdatesEvent after',
      'RunFinishedEvent SUCCESS',
    ]);
    expect(events[2]).toMatchObject({ checkpointId });
    expect(await client.getRun(runId)).toMatchObject({
      status: 'SUCCESS',
      attempt: 2,
      output: { log: ALL_NODES },
    });
    const { status, history } = await client.getThread(threadId);
    expect(status).toBe('IDLE');
    expect(history.nodes.map(({ step }) => step)).toEqual([3, 2, 1, 0, -1]);
  });

  it('is followed by the runs that waited behind it', async ({ ownDatabase, startProcess }) => {
    const first = await startProcess(ownDatabase);
    const { gate, threadId, runId } = await startAtGate(first.client, { durability: 'SYNC' });
    const { id } = await first.client.startRun({ threadId, assistantId: 'steps', input: {} });
    await first.end('SIGKILL');
    await endLease(ownDatabase, runId);
    const { client } = await startProcess(ownDatabase);
    await gate.open();
    expect((await client.follow(id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
    expect((await outputOf(client, id)).slice(0, 4)).toEqual(ALL_NODES);
  });
});

describe('a run that has begun, and lost its process', { timeout: SEVERAL_STARTS_MS }, () => {
  it.for(['SIGKILL', 'SIGTERM'] as const)(
    'goes on before one that was accepted earlier, delayed, and is due by then (%s)',
    async (signal, { ownDatabase, startProcess }) => {
      const first = await startProcess(ownDatabase, { SHUTDOWN_GRACE_SECONDS: '0' });
      const threadId = randomId();
      const delayed = await first.client.startRun({
        threadId,
        assistantId: 'steps',
        input: {},
        ifThreadMissing: 'CREATE',
        afterSeconds: 1000,
      });
      const { gate, runId } = await startAtGate(first.client, { threadId, durability: 'SYNC' });
      await first.end(signal);
      await queryDirectly(
        ownDatabase,
        sql`UPDATE "Run" SET "dueAt" = now() WHERE "id" = ${delayed.id}`,
      );
      await endLease(ownDatabase, runId);

      const { client } = await startProcess(ownDatabase);
      await gate.open();
      await client.follow(delayed.id);
      expect(await outputOf(client, delayed.id)).toEqual([...ALL_NODES, ...STEPS]);
    },
  );
});

describe('a server that is told to stop', { timeout: SEVERAL_STARTS_MS }, () => {
  it.for(['SIGTERM', 'SIGINT'] as const)(
    'ends cleanly on %s when nothing runs',
    async (signal, { ownDatabase, startProcess }) => {
      const { client, end, output } = await startProcess(ownDatabase);
      const run = await client.runToEnd({ assistantId: 'echo', input: human('x') });
      expect(run.status).toBe('SUCCESS');
      expect(await end(signal)).toBe(0);
      expect(output()).not.toMatch(/error|warn/i);
    },
  );

  it('gives back a run that does not reach the end of its step, and the next one finishes it', async ({
    ownDatabase,
    startProcess,
  }) => {
    const first = await startProcess(ownDatabase, { SHUTDOWN_GRACE_SECONDS: '0' });
    const { gate, runId, checkpointId } = await startAtGate(first.client);
    expect(await first.end('SIGTERM')).toBe(0);
    expect(
      await queryDirectly(ownDatabase, sql`SELECT "status", "attempt", "claimToken" FROM "Run"`),
    ).toEqual([{ status: 'PENDING', attempt: 0, claimToken: null }]);

    const { client } = await startProcess(ownDatabase);
    await gate.open();
    const events = await client.follow(runId);
    expect(events.map(summaryOf)).toEqual([
      'RunStartedEvent 1',
      'UpdatesEvent before',
      'RunStartedEvent 1',
      'UpdatesEvent hold',
      'UpdatesEvent after',
      'RunFinishedEvent SUCCESS',
    ]);
    expect(events[2]).toMatchObject({ checkpointId });
    expect(await client.getRun(runId)).toMatchObject({ attempt: 1, output: { log: ALL_NODES } });
  });

  it('lets a run finish its step; no step is lost or repeated', async ({
    ownDatabase,
    startProcess,
  }) => {
    const first = await startProcess(ownDatabase);
    const { gate, runId } = await startAtGate(first.client);
    const ended = first.end('SIGTERM');
    await until(() => first.output().includes('SIGTERM'));
    await gate.open();
    expect(await ended).toBe(0);

    const { client } = await startProcess(ownDatabase);
    expect(nodesOf(await client.follow(runId))).toEqual(ALL_NODES.slice(1));
    expect(await outputOf(client, runId)).toEqual(ALL_NODES);
  });
});

// ── A server in this process: a test can change its database ──────────────────────────────────

describe('a worker', () => {
  const STORED = sql`SELECT (SELECT count(*) FROM "RunEvent") AS "events", (SELECT count(*) FROM "Checkpoint") AS "checkpoints",
    (SELECT count(*) FROM "CheckpointWrite") AS "writes", (SELECT count(*) FROM "ChannelValue") AS "values",
    (SELECT "status" FROM "Run") AS "run", (SELECT "status" FROM "Thread") AS "thread"`;

  /** Call it until the run is claimed again: the worker may renew the lease in between. */
  async function takeExpired(server: TestApp, attempt: number): Promise<void> {
    await server.app.sql.query(
      sql`UPDATE "Run" SET "leaseExpiresAt" = now() - interval '1 second' WHERE "attempt" = ${attempt}`,
    );
    await server.tick();
  }

  it('that has lost its claim stores nothing more, and leaves quietly', async ({
    ownDatabase,
    startServer,
  }) => {
    const { server, client } = await startServer({}, ownDatabase);
    const { gate } = await startAtGate(client);
    await server.app.sql.query(sql`UPDATE "Run" SET "claimToken" = gen_random_uuid()`);
    const [before] = await server.app.sql.query(STORED);
    expect(before).toMatchObject({ run: 'RUNNING', thread: 'BUSY' });
    await gate.open();
    // The stop waits for the attempt.
    await server.stop();
    expect(await queryDirectly(ownDatabase, STORED)).toEqual([before]);
  });

  it('that has lost its claim leaves the run to the one that has it: nothing is doubled', async ({
    startServer,
  }) => {
    const { server, client } = await startServer();
    const { gate, runId } = await startAtGate(client, { durability: 'SYNC' });
    await until(async () => {
      await takeExpired(server, 1);
      return (await client.getRun(runId)).attempt === 2;
    });
    await gate.open();
    expect((await client.follow(runId)).map(summaryOf)).toEqual([
      'RunStartedEvent 1',
      'UpdatesEvent before',
      'RunStartedEvent 2',
      'UpdatesEvent hold',
      'UpdatesEvent after',
      'RunFinishedEvent SUCCESS',
    ]);
    expect(await outputOf(client, runId)).toEqual(ALL_NODES);
  });

  it('gives a run up that has lost three workers, and its thread goes on', async ({
    startServer,
  }) => {
    const { server, client } = await startServer();
    const { threadId, runId } = await startAtGate(client);
    await server.app.sql.query(sql`UPDATE "Run" SET "attempt" = 3`);
    await until(async () => {
      await takeExpired(server, 3);
      return (await client.getRun(runId)).status === 'ERROR';
    });
    expect((await client.getRun(runId)).attempt).toBe(3);
    expect((await client.follow(runId)).at(-1)).toMatchObject({
      status: 'ERROR',
      error: { name: 'AttemptsExhaustedError', message: expect.stringContaining('3 times') },
    });
    const next = await client.runToEnd({ threadId, assistantId: 'steps', input: {} });
    expect(next).toMatchObject({ status: 'SUCCESS' });
    expect(next.output.log.slice(0, 2)).toEqual(['in', 'before']);
  });

  it('goes on with a run whose claim it never heard of', async ({ startServer }) => {
    const { server, client } = await startServer();
    const { id } = await client.startRun({
      assistantId: 'echo',
      input: human('x'),
      streamModes: ['UPDATES'],
      afterSeconds: 3600,
    });
    // Like a stored claim. On the embedded database a claim does not end.
    await server.app.sql.query(
      sql`UPDATE "Run" SET "status" = 'RUNNING', "attempt" = 1, "claimToken" = gen_random_uuid(),
         "leaseExpiresAt" = now() + ${onPostgres ? '1 second' : '1000 years'}::interval, "dueAt" = now(), "startedAt" = now()`,
    );
    expect((await client.follow(id)).map(summaryOf)).toEqual([
      'RunStartedEvent 2',
      'UpdatesEvent echo',
      'RunFinishedEvent SUCCESS',
    ]);
  });

  it('ends a run that the database would not let it end at first', async ({ startServer }) => {
    const { server, client } = await startServer();
    const { sql: database } = server.app;
    await database.query(sql`CREATE SEQUENCE refusals`);
    await database.query(sql`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM nextval('refusals'); RAISE EXCEPTION 'not now'; END $$`);
    await database.query(sql`CREATE TRIGGER refuse BEFORE INSERT ON "RunEvent" FOR EACH ROW
      WHEN (NEW."type" = 'FINISHED') EXECUTE FUNCTION refuse()`);
    const { id } = await client.startRun({ assistantId: 'echo', input: human('x') });
    const followed = client.follow(id);
    await until(async () => {
      const [refusals] = await database.query<{ last_value: number }>(
        sql`SELECT last_value FROM refusals`,
      );
      return Number(refusals?.last_value) >= 2;
    });
    expect((await client.getRun(id)).status).toBe('RUNNING');
    await database.query(sql`DROP TRIGGER refuse ON "RunEvent"`);
    expect((await followed).at(-1)).toMatchObject({ status: 'SUCCESS' });
  });
});

// These tests take two sessions.
describe.runIf(onPostgres)('while somebody holds a thread', () => {
  const echo = (threadId: string) => ({ threadId, assistantId: 'echo', input: human('x') });
  const slow = (threadId: string) => ({ threadId, assistantId: 'slow', input: { ms: 60_000 } });

  /** Counts the insertions of runs in this thread. */
  function countInsertions(database: Sql, threadId: string): () => number {
    let count = 0;
    database.query = intercept(database.query, ({ text, values }, send) => {
      if (text.includes('INSERT INTO "Run"') && values.includes(threadId)) count += 1;
      return send();
    });
    return () => count;
  }

  /** Does the work while the insertions of two runs wait for the lock of the thread. Returns the insertions. */
  async function whileHeld(
    server: TestApp,
    threadId: string,
    work: (query: Query) => Promise<void>,
  ) {
    const { sql: database } = server.app;
    const insertions = countInsertions(database, threadId);
    return database.transaction(async (query) => {
      await query(sql`SELECT 1 FROM "Thread" WHERE "id" = ${threadId} FOR NO KEY UPDATE`);
      const inserting = Promise.all(
        Array.from({ length: 2 }, () => server.request(CREATE_RUN, { input: echo(threadId) })),
      );
      inserting.catch(() => {}); // The stop of the server may end the requests.
      // The next statements share the connection of an insertion, and wait with it. Later ones get another connection.
      await until(async () => insertions() === 2 && (await isWaitedFor(query)));
      await until(() => within(1000, database.query(sql`SELECT 1`)));
      await work(query);
      return { inserting };
    });
  }

  it.for([1, 2])(
    'runs of others are executed, %d at a time, and its own when it is free',
    async (workerConcurrency, { startServer }) => {
      const { server, client } = await startServer({ workerConcurrency });
      const [held, free] = [await client.createThread(), await client.createThread()];
      const { inserting } = await whileHeld(server, held, async () => {
        expect(await client.runToEnd(echo(free))).toMatchObject({ status: 'SUCCESS' });
      });
      for (const { data } of await inserting) {
        expect((await client.follow(data.createRun?.id ?? '')).at(-1)).toMatchObject({
          status: 'SUCCESS',
        });
      }
    },
  );

  it('a server that stops gives back what it executes', async ({ startServer }) => {
    const { server, client } = await startServer({ workerConcurrency: 2 });
    const [held, free] = [await client.createThread(), await client.createThread()];
    const { id } = await client.startRun(slow(free));
    await client.untilRunning(id);
    let stopping: Promise<void> | undefined;
    await whileHeld(server, held, async (query) => {
      stopping = server.stop();
      await until(async () => {
        const [run] = await query(sql`SELECT "status" FROM "Run" WHERE "id" = ${id}`);
        return run?.['status'] === 'PENDING';
      });
    });
    await stopping;
  });

  it('a delayed run that is accepted when the one before it ends leaves it idle', async ({
    startServer,
  }) => {
    const { server, client } = await startServer({ workerConcurrency: 1 });
    const threadId = await client.createThread();
    const { id } = await client.startRun(slow(threadId));
    await client.untilRunning(id);
    const { accepting } = await server.app.sql.transaction(async (query) => {
      // Like the end of a run.
      await query(sql`UPDATE "Thread" SET "status" = 'IDLE' WHERE "id" = ${threadId}`);
      await query(
        sql`UPDATE "Run" SET "status" = 'SUCCESS', "claimToken" = NULL, "finishedAt" = now() WHERE "id" = ${id}`,
      );
      const delayed = client.startRun({ ...echo(threadId), afterSeconds: 3600 });
      await until(() => isWaitedFor(query));
      return { accepting: delayed };
    });
    await accepting;
    expect((await client.getThread(threadId)).status).toBe('IDLE');
  });
});
