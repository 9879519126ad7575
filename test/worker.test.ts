import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { readConfig } from '../src/config.ts';
import type { Query, Sql } from '../src/db/query.ts';
import { createLogger } from '../src/log.ts';
import { startServer, type Server } from '../src/server.ts';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createClients,
  createTestApp,
  human,
  randomId,
  until,
  type TestApp,
} from './support/app.ts';
import {
  createTestDatabase,
  openTestDatabase,
  isWaitedFor,
  type TestDatabase,
} from './support/databases.ts';
import { startServerProcess, type ServerProcess } from './support/processes.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';

const GRAPHS_FILE = path.join(import.meta.dirname, 'support/langgraph.json');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'threadql-gate-'));
});
afterAll(() => rm(folder, { recursive: true }));

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  for (const each of processes.splice(0)) await each[Symbol.asyncDispose]();
  await database.dispose();
});

/** The file for which the runs of graph `gate` wait. */
function closedGate() {
  const file = path.join(folder, randomId());
  return { file, open: () => writeFile(file, '') };
}

const RUN = `query ($id: ID!) { run(id: $id) { status attempt output error { name message } } }`;

/** A run of graph `gate` with a checkpoint after its first node. It waits in its second node. */
async function runAtGate(
  client: TestApp,
  { threadId: given, ...input }: { threadId?: string; durability?: string } = {},
) {
  const gate = closedGate();
  const threadId: string = given ?? (await client.gql(CREATE_THREAD)).createThread.id;
  const { createRun } = await client.gql(CREATE_RUN, {
    input: { threadId, assistantId: 'gate', input: { file: gate.file, log: ['in'] }, ...input },
  });
  const state = await until(async () => {
    const document = `query ($id: ID!) { thread(id: $id) { state { checkpointId next } } }`;
    const { thread } = await client.gql(document, { id: threadId });
    return thread.state?.next.includes('hold') && thread.state;
  });
  return {
    gate,
    threadId,
    runId: createRun.id as string,
    checkpointId: state.checkpointId as string,
  };
}

const ALL_NODES = ['in', 'before', 'hold', 'after'];
const STEPS = Array.from({ length: 10 }, (_, n) => `step${n + 1}`);

const summariesOf = (events: any[]) =>
  events.map(
    ({ __typename, attempt, node, status }) => `${__typename} ${attempt ?? node ?? status}`,
  );

// ── Servers in processes of their own ─────────────────────────────────────────────────────────

const processes: ServerProcess[] = [];

async function startProcess(env: Record<string, string> = {}) {
  const started = await startServerProcess(database, env);
  processes.push(started);
  return {
    ...started,
    /** Sends a signal. Returns the exit code, or the signal that ended the process. */
    end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals> {
      started.child.kill(signal);
      return started.ended;
    },
  };
}

/** Queries the database directly. An embedded database must not have a server meanwhile. */
async function ask<Row extends object>(text: string, params: unknown[] = []): Promise<Row[]> {
  const { sql, close } = await openTestDatabase(database);
  try {
    return await sql.query<Row>(text, params);
  } finally {
    await close();
  }
}

describe('a run whose process was killed', { timeout: SEVERAL_STARTS_MS }, () => {
  it('goes on from its own last checkpoint in the next one, under one continuous sequence of events', async () => {
    const first = await startProcess();
    const { gate, threadId, runId, checkpointId } = await runAtGate(first.client, {
      durability: 'SYNC',
    });
    expect(await first.end('SIGKILL')).toBe('SIGKILL');
    expect(await ask(`SELECT "status", "attempt" FROM "Run"`)).toEqual([
      { status: 'RUNNING', attempt: 1 },
    ]);

    // With PostgreSQL, another process waits for the end of the lease.
    await ask(`UPDATE "Run" SET "leaseExpiresAt" = now() WHERE "id" = $1`, [runId]);
    const second = await startProcess();
    await until(async () => (await second.client.gql(RUN, { id: runId })).run.attempt === 2);
    await gate.open();
    const events = await second.client.follow(runId);
    expect(summariesOf(events)).toEqual([
      'RunStartedEvent 1',
      'UpdatesEvent before',
      'RunStartedEvent 2',
      'UpdatesEvent hold',
      'UpdatesEvent after',
      'RunFinishedEvent SUCCESS',
    ]);
    expect(events[2]).toMatchObject({ checkpointId });
    expect((await second.client.gql(RUN, { id: runId })).run).toMatchObject({
      status: 'SUCCESS',
      attempt: 2,
      output: { log: ALL_NODES },
    });
    const document = `query ($id: ID!) { thread(id: $id) { status history { nodes { source step } } } }`;
    const { thread } = await second.client.gql(document, { id: threadId });
    expect(thread.status).toBe('IDLE');
    expect(thread.history.nodes.map(({ step }: any) => step)).toEqual([3, 2, 1, 0, -1]);
  });

  it('is followed by the runs that waited behind it', async () => {
    const first = await startProcess();
    const { gate, threadId, runId } = await runAtGate(first.client, { durability: 'SYNC' });
    const { createRun } = await first.client.gql(CREATE_RUN, {
      input: { threadId, assistantId: 'steps', input: {} },
    });
    await first.end('SIGKILL');
    await ask(`UPDATE "Run" SET "leaseExpiresAt" = now() WHERE "id" = $1`, [runId]);
    const second = await startProcess();
    await gate.open();
    expect((await second.client.follow(createRun.id)).at(-1)).toMatchObject({ status: 'SUCCESS' });
    const { run } = await second.client.gql(RUN, { id: createRun.id });
    expect(run.output.log.slice(0, 4)).toEqual(ALL_NODES);
  });
});

describe('a run that has begun, and lost its process', { timeout: SEVERAL_STARTS_MS }, () => {
  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'goes on before one that was accepted earlier, delayed, and is due by then (%s)',
    async (signal) => {
      const first = await startProcess({ SHUTDOWN_GRACE_SECONDS: '0' });
      const threadId = randomId();
      const { createRun: delayed } = await first.client.gql(CREATE_RUN, {
        input: {
          threadId,
          assistantId: 'steps',
          input: {},
          ifThreadMissing: 'CREATE',
          afterSeconds: 1000,
        },
      });
      const { gate, runId } = await runAtGate(first.client, { threadId, durability: 'SYNC' });
      await first.end(signal);
      await ask(`UPDATE "Run" SET "dueAt" = now() WHERE "id" = $1`, [delayed.id]);
      await ask(`UPDATE "Run" SET "leaseExpiresAt" = now() WHERE "id" = $1`, [runId]);

      const second = await startProcess();
      await gate.open();
      await second.client.follow(delayed.id);
      const { run } = await second.client.gql(RUN, { id: delayed.id });
      expect(run.output.log).toEqual([...ALL_NODES, ...STEPS]);
    },
  );
});

describe('a server that is told to stop', { timeout: SEVERAL_STARTS_MS }, () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'ends cleanly on %s when nothing runs',
    async (signal) => {
      const server = await startProcess();
      const { createRun } = await server.client.gql(CREATE_RUN, {
        input: { assistantId: 'echo', input: human('x') },
        wait: true,
      });
      expect(createRun.status).toBe('SUCCESS');
      expect(await server.end(signal)).toBe(0);
      expect(server.output()).not.toMatch(/error|warn/i);
    },
  );

  it('gives back a run that does not reach the end of its step, and the next one finishes it', async () => {
    const first = await startProcess({ SHUTDOWN_GRACE_SECONDS: '0' });
    const { gate, runId, checkpointId } = await runAtGate(first.client);
    expect(await first.end('SIGTERM')).toBe(0);
    expect(await ask(`SELECT "status", "attempt", "claimToken" FROM "Run"`)).toEqual([
      { status: 'PENDING', attempt: 0, claimToken: null },
    ]);

    const second = await startProcess();
    await gate.open();
    const events = await second.client.follow(runId);
    expect(summariesOf(events)).toEqual([
      'RunStartedEvent 1',
      'UpdatesEvent before',
      'RunStartedEvent 1',
      'UpdatesEvent hold',
      'UpdatesEvent after',
      'RunFinishedEvent SUCCESS',
    ]);
    expect(events[2]).toMatchObject({ checkpointId });
    const { run } = await second.client.gql(RUN, { id: runId });
    expect(run).toMatchObject({ attempt: 1, output: { log: ALL_NODES } });
  });

  it('lets a run finish its step; no step is lost or repeated', async () => {
    const first = await startProcess();
    const { gate, runId } = await runAtGate(first.client);
    const ended = first.end('SIGTERM');
    await until(() => first.output().includes('SIGTERM'));
    await gate.open();
    expect(await ended).toBe(0);

    const second = await startProcess();
    const nodes = (await second.client.follow(runId)).flatMap(({ node }) => node ?? []);
    expect(nodes).toEqual(ALL_NODES.slice(1));
    expect((await second.client.gql(RUN, { id: runId })).run.output.log).toEqual(ALL_NODES);
  });
});

// ── A server in this process: a test can change its database ──────────────────────────────────

describe('a worker', () => {
  let server: Server;
  let client: TestApp;
  let sql: Sql;
  beforeEach(async () => {
    const { databaseUrl, dataDir } = database;
    const config = { ...readConfig({}), port: 0, graphsFile: GRAPHS_FILE, databaseUrl, dataDir };
    server = await startServer(
      { ...config, shutdownGraceSeconds: 1 },
      { log: createLogger('silent'), env: process.env },
    );
    client = createClients(server);
    sql = server.app.sql;
  });
  afterEach(() => client.stop());

  const STORED = `SELECT (SELECT count(*) FROM "RunEvent") AS "events", (SELECT count(*) FROM "Checkpoint") AS "checkpoints",
    (SELECT count(*) FROM "CheckpointWrite") AS "writes", (SELECT count(*) FROM "ChannelValue") AS "values",
    (SELECT "status" FROM "Run") AS "run", (SELECT "status" FROM "Thread") AS "thread"`;

  /** Call it until the run is claimed again: the worker may renew the lease in between. */
  const expireLease = (attempt: number) =>
    sql.query(
      `UPDATE "Run" SET "leaseExpiresAt" = now() - interval '1 second' WHERE "attempt" = $1`,
      [attempt],
    );

  it('that has lost its claim stores nothing more, and leaves quietly', async () => {
    const { gate } = await runAtGate(client);
    await sql.query(`UPDATE "Run" SET "claimToken" = gen_random_uuid()`);
    const [before] = await sql.query(STORED);
    expect(before).toMatchObject({ run: 'RUNNING', thread: 'BUSY' });
    await gate.open();
    // The stop waits for the attempt.
    await client.stop();
    expect(await ask(STORED)).toEqual([before]);
  });

  it('that has lost its claim leaves the run to the one that has it: nothing is doubled', async () => {
    const { gate, runId } = await runAtGate(client, { durability: 'SYNC' });
    await until(async () => {
      await expireLease(1);
      await server.worker.tick();
      return (await client.gql(RUN, { id: runId })).run.attempt === 2;
    });
    await gate.open();
    expect(summariesOf(await client.follow(runId))).toEqual([
      'RunStartedEvent 1',
      'UpdatesEvent before',
      'RunStartedEvent 2',
      'UpdatesEvent hold',
      'UpdatesEvent after',
      'RunFinishedEvent SUCCESS',
    ]);
    expect((await client.gql(RUN, { id: runId })).run.output.log).toEqual(ALL_NODES);
  });

  it('gives a run up that has lost three workers, and its thread goes on', async () => {
    const { threadId, runId } = await runAtGate(client);
    await sql.query(`UPDATE "Run" SET "attempt" = 3`);
    await until(async () => {
      await expireLease(3);
      await server.worker.tick();
      return (await client.gql(RUN, { id: runId })).run.status === 'ERROR';
    });
    expect((await client.gql(RUN, { id: runId })).run.attempt).toBe(3);
    expect((await client.follow(runId)).at(-1)).toMatchObject({
      status: 'ERROR',
      error: { name: 'AttemptsExhaustedError', message: expect.stringContaining('3 times') },
    });
    const { createRun } = await client.gql(CREATE_RUN, {
      input: { threadId, assistantId: 'steps', input: {} },
      wait: true,
    });
    expect(createRun).toMatchObject({ status: 'SUCCESS' });
    expect(createRun.output.log.slice(0, 2)).toEqual(['in', 'before']);
  });

  it('goes on with a run whose claim it never heard of', async () => {
    const { createRun } = await client.gql(CREATE_RUN, {
      input: {
        assistantId: 'echo',
        input: human('x'),
        streamModes: ['UPDATES'],
        afterSeconds: 3600,
      },
    });
    // Like a stored claim. On the embedded database a claim does not end.
    await sql.query(
      `UPDATE "Run" SET "status" = 'RUNNING', "attempt" = 1, "claimToken" = gen_random_uuid(),
         "leaseExpiresAt" = now() + $1::interval, "dueAt" = now(), "startedAt" = now()`,
      [database.databaseUrl ? '1 second' : '1000 years'],
    );
    expect(summariesOf(await client.follow(createRun.id))).toEqual([
      'RunStartedEvent 2',
      'UpdatesEvent echo',
      'RunFinishedEvent SUCCESS',
    ]);
  });

  it('ends a run that the database would not let it end at first', async () => {
    await sql.query(`CREATE SEQUENCE refusals`);
    await sql.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM nextval('refusals'); RAISE EXCEPTION 'not now'; END $$`);
    await sql.query(`CREATE TRIGGER refuse BEFORE INSERT ON "RunEvent" FOR EACH ROW
      WHEN (NEW."type" = 'FINISHED') EXECUTE FUNCTION refuse()`);
    const { createRun } = await client.gql(CREATE_RUN, {
      input: { assistantId: 'echo', input: human('x') },
    });
    const followed = client.follow(createRun.id);
    await until(async () => {
      const [refusals] = await sql.query<{ last_value: number }>(`SELECT last_value FROM refusals`);
      return Number(refusals?.last_value) >= 2;
    });
    expect((await client.gql(RUN, { id: createRun.id })).run.status).toBe('RUNNING');
    await sql.query(`DROP TRIGGER refuse ON "RunEvent"`);
    expect((await followed).at(-1)).toMatchObject({ status: 'SUCCESS' });
  });
});

// Needs two sessions.
describe.skipIf(inject('database') === 'embedded')('while somebody holds a thread', () => {
  let server: TestApp;
  afterEach(() => server.stop());

  async function start(workerConcurrency: number): Promise<void> {
    server = await createTestApp({ workerConcurrency, shutdownGraceSeconds: 1 });
  }
  const echo = (threadId: string) => ({ threadId, assistantId: 'echo', input: human('x') });
  const createThread = async (): Promise<string> =>
    (await server.gql(CREATE_THREAD)).createThread.id;

  /** Does the work while the insertions of two runs wait for the lock of the thread. Returns the insertions. */
  async function whileHeld(threadId: string, work: (query: Query) => Promise<void>) {
    return server.app.sql.transaction(async (query) => {
      await query(`SELECT 1 FROM "Thread" WHERE "id" = $1 FOR NO KEY UPDATE`, [threadId]);
      const inserting = Promise.all(
        Array.from({ length: 2 }, () => server.request(CREATE_RUN, { input: echo(threadId) })),
      );
      inserting.catch(() => {}); // it may be cut off
      await until(() => isWaitedFor(query));
      // The next statements share the connection of an insertion, and wait with it.
      await sleep(50);
      await work(query);
      return { inserting };
    });
  }

  // With one slot, an insertion holds the slot. With two, a claim waits behind an insertion.
  it.each([1, 2])(
    'runs of others are executed, %d at a time, and its own when it is free',
    async (slots) => {
      await start(slots);
      const [held, free] = [await createThread(), await createThread()];
      const { inserting } = await whileHeld(held, async () => {
        const { createRun } = await server.gql(CREATE_RUN, { input: echo(free), wait: true });
        expect(createRun).toMatchObject({ status: 'SUCCESS' });
      });
      for (const { data } of await inserting) {
        expect((await server.follow(data.createRun.id)).at(-1)).toMatchObject({
          status: 'SUCCESS',
        });
      }
    },
  );

  it('a server that stops gives back what it executes', async () => {
    await start(2);
    const [held, free] = [await createThread(), await createThread()];
    const { createRun } = await server.gql(CREATE_RUN, {
      input: { threadId: free, assistantId: 'slow', input: { ms: 60_000 } },
    });
    const status = async (query: Query) =>
      (
        await query<{ status: string }>(`SELECT "status" FROM "Run" WHERE "id" = $1`, [
          createRun.id,
        ])
      )[0]?.status;
    await until(async () => (await status(server.app.sql.query)) === 'RUNNING');
    let stopping: Promise<void> | undefined;
    await whileHeld(held, async (query) => {
      stopping = server.stop();
      await until(async () => (await status(query)) === 'PENDING');
    });
    await stopping;
  });

  it('a delayed run that is accepted when the one before it ends leaves it idle', async () => {
    await start(1);
    const threadId = await createThread();
    const { createRun } = await server.gql(CREATE_RUN, {
      input: { threadId, assistantId: 'slow', input: { ms: 60_000 } },
    });
    await until(async () => (await server.gql(RUN, { id: createRun.id })).run.status === 'RUNNING');
    const { accepting } = await server.app.sql.transaction(async (query) => {
      // Like the end of a run.
      await query(`UPDATE "Thread" SET "status" = 'IDLE' WHERE "id" = $1`, [threadId]);
      await query(
        `UPDATE "Run" SET "status" = 'SUCCESS', "claimToken" = NULL, "finishedAt" = now() WHERE "id" = $1`,
        [createRun.id],
      );
      const delayed = server.gql(CREATE_RUN, { input: { ...echo(threadId), afterSeconds: 3600 } });
      await until(() => isWaitedFor(query));
      return { accepting: delayed };
    });
    await accepting;
    const { thread } = await server.gql(`query ($id: ID!) { thread(id: $id) { status } }`, {
      id: threadId,
    });
    expect(thread).toEqual({ status: 'IDLE' });
  });
});
