import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { CREATE_RUN, randomId, until, type FollowOptions, type TestApp } from './support/app.ts';
import { createTestDatabase, openTestDatabase, type TestDatabase } from './support/databases.ts';
import { startCode, startServerProcess, type ServerProcess } from './support/processes.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';

const RUN = `query ($id: ID!) { run(id: $id) { status attempt output error { name message } } }`;
const RUNNING = `query ($id: ID!) { run(id: $id) { events { nodes { __typename } } } }`;

const MANY_STARTS_MS = 300_000;
const MANY_EVENTS_MS = 300_000;

async function createRun(client: TestApp, graph: string, input: object = {}): Promise<string> {
  const answer = await client.gql(CREATE_RUN, { input: { assistantId: graph, input } });
  return answer.createRun.id;
}

/** The last event of a run. */
async function endOf(client: TestApp, runId: string, modes?: FollowOptions['modes']): Promise<any> {
  return (await client.follow(runId, modes ? { modes } : undefined)).at(-1);
}

describe('what a run does to its process', { timeout: SEVERAL_STARTS_MS }, () => {
  let database: TestDatabase;
  let server: ServerProcess;
  beforeAll(async () => {
    database = await createTestDatabase();
    server = await startServerProcess(database);
  }, SEVERAL_STARTS_MS);
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await database.dispose();
  });

  /** The file for which a run waits. */
  function closedGate() {
    const file = path.join(path.dirname(database.dataDir), randomId());
    return { file, open: () => writeFile(file, '') };
  }

  it.each(['rejection', 'timer', 'later', 'emitter'])(
    'fails that run, and no other, when it leaves an error that nobody can catch: %s',
    async (how) => {
      const { client } = server;
      const { file, open } = closedGate();
      const before = await createRun(client, 'careless', { file });
      const failing = await createRun(client, 'careless', { how, file: closedGate().file });
      const after = await createRun(client, 'careless', { file });
      expect(await endOf(client, failing)).toMatchObject({
        status: 'ERROR',
        error: { name: 'CustomError', message: `Left: ${how}` },
      });
      await open();
      for (const id of [before, after]) {
        expect(await endOf(client, id)).toMatchObject({ status: 'SUCCESS' });
      }
      expect(server.child.exitCode).toBeNull();
    },
  );
});

describe(
  'a run that writes 100,000 custom events without a pause',
  { timeout: MANY_EVENTS_MS },
  () => {
    it('leaves the others time, and each of its events is stored', async () => {
      const database = await createTestDatabase();
      await using server = await startServerProcess(database);
      const { client } = server;
      const { createRun: talking } = await client.gql(CREATE_RUN, {
        input: { assistantId: 'chatter', input: { count: 100_000 }, streamModes: ['CUSTOM'] },
      });
      for (let times = 0; times < 3; times++) {
        expect(await endOf(client, await createRun(client, 'steps'))).toMatchObject({
          status: 'SUCCESS',
        });
      }
      expect(await endOf(client, talking.id, ['UPDATES'])).toMatchObject({ status: 'SUCCESS' });
      await server[Symbol.asyncDispose]();

      const { sql, close } = await openTestDatabase(database);
      const [stored] = await sql.query(
        `SELECT count(*)::int AS "count", bool_and(("data"->'data'->>'n')::int = "place") AS "inOrder" FROM (
         SELECT "data", row_number() OVER (ORDER BY "number") AS "place" FROM "RunEvent"
         WHERE "runId" = $1 AND "type" = 'CUSTOM') AS told`,
        [talking.id],
      );
      expect(stored).toEqual({ count: 100_000, inOrder: true });
      await close();
      await database.dispose();
    });
  },
);

describe('a run that blocks the event loop', { timeout: SEVERAL_STARTS_MS }, () => {
  it('for ever is named by the message with which its process ends, and goes on after a restart', async () => {
    const database = await createTestDatabase();
    await using hung = await startServerProcess(database, { MAX_BLOCKED_SECONDS: '3' });
    const runId = await createRun(hung.client, 'hog');
    expect(await hung.ended).toBe(70);
    const lines = hung.output().split('\n');
    expect(lines.filter((line) => line.startsWith('threadql ends'))).toEqual([
      expect.stringMatching(`node "work" of run ${runId} has blocked.*graphs\\.ts`),
    ]);

    const { sql, close } = await openTestDatabase(database);
    await sql.query(`UPDATE "Run" SET "leaseExpiresAt" = now(), "input" = '{"ms":0}'`);
    await close();
    await using next = await startServerProcess(database);
    expect(await endOf(next.client, runId)).toMatchObject({ status: 'SUCCESS' });
    expect((await next.client.gql(RUN, { id: runId })).run).toMatchObject({ attempt: 2 });
    await next[Symbol.asyncDispose]();
    await database.dispose();
  });

  it(
    'for ever ends in ERROR after its third attempt, and no other that was beside it',
    { timeout: MANY_STARTS_MS },
    async () => {
      const database = await createTestDatabase();
      const gate = path.join(path.dirname(database.dataDir), randomId());
      await using front = await startServerProcess(database, { WORKER_CONCURRENCY: '0' });
      const before = await createRun(front.client, 'careless', { file: gate });
      const hog = await createRun(front.client, 'hog');
      const after = await createRun(front.client, 'careless', { file: gate });
      await front[Symbol.asyncDispose]();

      /** The runs after a process has executed them and crashed. */
      const afterAnotherDeath = async () => {
        // The process may block before it reports its start.
        const started = startServerProcess(database, { MAX_BLOCKED_SECONDS: '2' });
        await started.then(({ ended }) => ended).catch(() => {});
        const { sql, close } = await openTestDatabase(database);
        const runs = await sql.query<{ id: string; attempt: number }>(
          `SELECT "id", "status"::text, "attempt" FROM "Run" ORDER BY "seq"`,
        );
        await sql.query(`UPDATE "Run" SET "leaseExpiresAt" = now() WHERE "status" = 'RUNNING'`);
        await close();
        return runs;
      };
      for (const attempt of [1, 2]) {
        expect(await afterAnotherDeath()).toEqual(
          [before, hog, after].map((id) => ({ id, status: 'RUNNING', attempt })),
        );
      }
      await writeFile(gate, '');
      expect(await afterAnotherDeath()).toEqual([
        { id: before, status: 'SUCCESS', attempt: 3 },
        { id: hog, status: 'RUNNING', attempt: 3 },
        { id: after, status: 'RUNNING', attempt: 2 },
      ]);

      await using last = await startServerProcess(database);
      expect(await endOf(last.client, hog)).toMatchObject({
        status: 'ERROR',
        error: { message: 'The run was tried 3 times and lost its worker each time.' },
      });
      expect(await endOf(last.client, after)).toMatchObject({ status: 'SUCCESS' });
      await last[Symbol.asyncDispose]();
      await database.dispose();
    },
  );

  // An embedded database has a single process.
  it.skipIf(inject('database') === 'embedded')(
    'for longer than its lease keeps its claim, though another process is idle',
    async () => {
      const database = await createTestDatabase();
      await using blocked = await startServerProcess(database);
      const runId = await createRun(blocked.client, 'hog', { ms: 20_000 });
      const { sql, close } = await openTestDatabase(database);
      const lease = async () => {
        const [run] = await sql.query<{ expires: string; worker: string; attempt: number }>(
          `SELECT "leaseExpiresAt"::text AS "expires", "worker", "attempt" FROM "Run"`,
        );
        return run;
      };
      await until(async () => (await lease())?.attempt === 1);
      await using idle = await startServerProcess(database);
      expect(await endOf(idle.client, runId)).toMatchObject({ status: 'SUCCESS' });
      expect((await lease())?.attempt).toBe(1);
      expect(await endOf(idle.client, await createRun(idle.client, 'steps'))).toMatchObject({
        status: 'SUCCESS',
      });
      await close();
      await blocked[Symbol.asyncDispose]();
      await idle[Symbol.asyncDispose]();
      await database.dispose();
    },
  );
});

describe('an error in no run', { timeout: SEVERAL_STARTS_MS }, () => {
  /** Starts a process with handlers for uncaught errors, and then executes `then`. */
  function startWithHandlers(then: string) {
    return startCode(
      `import { setTimeout as sleep } from 'node:timers/promises';
       import { createLogger } from './src/log.ts';
       import { handleUncaughtErrors, runAttributed } from './src/runs/uncaught-errors.ts';
       const log = createLogger('info');
       handleUncaughtErrors(log);
       ${then}`,
    );
  }

  it('is logged, and the process goes on, when it is a rejection', async () => {
    await using process = startWithHandlers(`
      void Promise.reject(new Error('Nobody waits.'));
      await sleep(10);
      log.info('still here');`);
    expect(await process.ended).toBe(0);
    expect(process.output()).toMatch(/"level":50.*Nobody waits[^]*still here/);
  });

  it('is logged, and the process ends with status 1, when it is a throw', async () => {
    await using process = startWithHandlers(`
      setTimeout(() => { throw new Error('Nobody catches.'); });
      await sleep(60_000);`);
    expect(await process.ended).toBe(1);
    expect(process.output()).toMatch(/"level":60.*Nobody catches/);
  });

  it('is not taken for that of a run which is going on', async () => {
    await using process = startWithHandlers(`
      const failed = [];
      void runAttributed({ fail: (error) => failed.push(error.message) }, async () => {
        await sleep(5);
        void Promise.reject(new Error('of the run'));
        await sleep(20);
      });
      void Promise.reject(new Error('of nobody'));
      await sleep(50);
      log.info({ failed });`);
    expect(await process.ended).toBe(0);
    expect(process.output()).toContain('"failed":["of the run"]');
  });
});

describe('a server that is told to stop a second time', { timeout: SEVERAL_STARTS_MS }, () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('ends at once: %s', async (signal, status) => {
    const database = await createTestDatabase();
    await using server = await startServerProcess(database);
    const runId = await createRun(server.client, 'careless', {
      file: path.join(database.dataDir, 'nothing'),
    });
    await until(async () => {
      const { run } = await server.client.gql(RUNNING, { id: runId });
      return run.events.nodes.length > 1;
    });
    server.child.kill(signal);
    await until(() => server.output().includes('stopping'));
    // Within 500 ms, the server takes a repetition for the same signal.
    let status_: number | NodeJS.Signals | undefined;
    void server.ended.then((code) => (status_ = code));
    await until(() => {
      server.child.kill(signal);
      return status_ !== undefined;
    });
    expect(await server.ended).toBe(status);
    await database.dispose();
  });
});
