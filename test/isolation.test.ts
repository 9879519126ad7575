import { describe, expect, inject } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { until, type FollowedEvent, type FollowOptions } from './support/app.ts';
import { createClient, type Client } from './support/client.ts';
import { queryDirectly } from './support/databases.ts';
import { it as base } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation } from './support/graphql.ts';
import { startCode, startServerProcess } from './support/processes.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';

const MANY_STARTS_MS = 300_000;
const MANY_EVENTS_MS = 300_000;

/** `processServer` is a server in a process of its own, for the tests of the file. */
const it = base.extend('processServer', { scope: 'file' }, async ({ database }, { onCleanup }) => {
  const server = await startServerProcess(database);
  onCleanup(async () => {
    await server.end('SIGKILL');
  });
  return { ...server, client: createClient(server.client) };
});

async function startRun(client: Client, graph: string, input: object = {}): Promise<string> {
  return (await client.startRun({ assistantId: graph, input })).id;
}

/** The final event of a run. */
async function endOf(
  client: Client,
  runId: string,
  modes?: FollowOptions['modes'],
): Promise<FollowedEvent | undefined> {
  return (await client.follow(runId, modes ? { modes } : {})).at(-1);
}

describe('what a run does to its process', { timeout: SEVERAL_STARTS_MS }, () => {
  it.for(['rejection', 'timer', 'later', 'emitter'])(
    'fails that run, and no other, when it leaves an error that nobody can catch: %s',
    async (how, { processServer: { client, child } }) => {
      const gate = createGate();
      const before = await startRun(client, 'careless', { file: gate.file });
      const failing = await startRun(client, 'careless', { how, file: createGate().file });
      const after = await startRun(client, 'careless', { file: gate.file });
      expect(await endOf(client, failing)).toMatchObject({
        status: 'ERROR',
        error: { name: 'CustomError', message: `Left: ${how}` },
      });
      await gate.open();
      for (const id of [before, after]) {
        expect(await endOf(client, id)).toMatchObject({ status: 'SUCCESS' });
      }
      expect(child.exitCode).toBeNull();
    },
  );
});

describe(
  'a run that writes 100,000 custom events without a pause',
  { timeout: MANY_EVENTS_MS },
  () => {
    it('leaves the others time, and each of its events is stored', async ({
      ownDatabase,
      startProcess,
    }) => {
      const { client, end } = await startProcess(ownDatabase);
      const talking = await client.startRun({
        assistantId: 'chatter',
        input: { count: 100_000 },
        streamModes: ['CUSTOM'],
      });
      for (let times = 0; times < 3; times++) {
        expect(await endOf(client, await startRun(client, 'steps'))).toMatchObject({
          status: 'SUCCESS',
        });
      }
      expect(await endOf(client, talking.id, ['UPDATES'])).toMatchObject({ status: 'SUCCESS' });
      await end('SIGKILL');

      const [stored] = await queryDirectly(
        ownDatabase,
        sql`SELECT count(*)::int AS "count", bool_and(("data"->'data'->>'n')::int = "place") AS "inOrder" FROM (
         SELECT "data", row_number() OVER (ORDER BY "number") AS "place" FROM "RunEvent"
         WHERE "runId" = ${talking.id} AND "type" = 'CUSTOM') AS told`,
      );
      expect(stored).toEqual({ count: 100_000, inOrder: true });
    });
  },
);

describe('a run that blocks the event loop', { timeout: SEVERAL_STARTS_MS }, () => {
  it('for ever is named by the message with which its process ends, and goes on after a restart', async ({
    ownDatabase,
    startProcess,
  }) => {
    const hung = await startProcess(ownDatabase, { MAX_BLOCKED_SECONDS: '3' });
    const runId = await startRun(hung.client, 'hog');
    expect(await hung.ended).toBe(70);
    const lines = hung.output().split('\n');
    expect(lines.filter((line) => line.startsWith('threadql ends'))).toEqual([
      expect.stringMatching(`node "work" of run ${runId} has blocked.*control-flow\\.ts`),
    ]);

    await queryDirectly(
      ownDatabase,
      sql`UPDATE "Run" SET "leaseExpiresAt" = now(), "input" = '{"ms":0}'`,
    );
    const { client } = await startProcess(ownDatabase);
    expect(await endOf(client, runId)).toMatchObject({ status: 'SUCCESS' });
    expect(await client.getRun(runId)).toMatchObject({ attempt: 2 });
  });

  it(
    'for ever ends in ERROR after its third attempt, and no other that was beside it',
    { timeout: MANY_STARTS_MS },
    async ({ ownDatabase, startProcess }) => {
      const gate = createGate();
      const front = await startProcess(ownDatabase, { WORKER_CONCURRENCY: '0' });
      const before = await startRun(front.client, 'careless', { file: gate.file });
      const hog = await startRun(front.client, 'hog');
      const after = await startRun(front.client, 'careless', { file: gate.file });
      await front.end('SIGKILL');

      /** The runs after a process has executed them and crashed. */
      const afterAnotherDeath = async () => {
        // The process may block before it reports its start.
        const started = startProcess(ownDatabase, { MAX_BLOCKED_SECONDS: '2' });
        await started.then(({ ended }) => ended).catch(() => {});
        const runs = await queryDirectly(
          ownDatabase,
          sql`SELECT "id", "status"::text, "attempt" FROM "Run" ORDER BY "seq"`,
        );
        await queryDirectly(
          ownDatabase,
          sql`UPDATE "Run" SET "leaseExpiresAt" = now() WHERE "status" = 'RUNNING'`,
        );
        return runs;
      };
      for (const attempt of [1, 2]) {
        expect(await afterAnotherDeath()).toEqual(
          [before, hog, after].map((id) => ({ id, status: 'RUNNING', attempt })),
        );
      }
      await gate.open();
      expect(await afterAnotherDeath()).toEqual([
        { id: before, status: 'SUCCESS', attempt: 3 },
        { id: hog, status: 'RUNNING', attempt: 3 },
        { id: after, status: 'RUNNING', attempt: 2 },
      ]);

      const { client } = await startProcess(ownDatabase);
      expect(await endOf(client, hog)).toMatchObject({
        status: 'ERROR',
        error: { message: 'The run was tried 3 times and lost its worker each time.' },
      });
      expect(await endOf(client, after)).toMatchObject({ status: 'SUCCESS' });
    },
  );

  // An embedded database has a single process.
  it.skipIf(inject('database') === 'embedded')(
    'for longer than its lease keeps its claim, though another process is idle',
    async ({ ownDatabase, startProcess }) => {
      const blocked = await startProcess(ownDatabase);
      const runId = await startRun(blocked.client, 'hog', { ms: 20_000 });
      const attempt = async () => {
        const [run] = await queryDirectly<{ attempt: number }>(
          ownDatabase,
          sql`SELECT "attempt" FROM "Run" WHERE "id" = ${runId}`,
        );
        return run?.attempt;
      };
      await until(async () => (await attempt()) === 1);
      const { client } = await startProcess(ownDatabase);
      expect(await endOf(client, runId)).toMatchObject({ status: 'SUCCESS' });
      expect(await attempt()).toBe(1);
      expect(await endOf(client, await startRun(client, 'steps'))).toMatchObject({
        status: 'SUCCESS',
      });
    },
  );
});

describe('an error in no run', { timeout: SEVERAL_STARTS_MS }, () => {
  /** Starts a process with handlers for uncaught errors, and then executes `then`. */
  function startWithHandlers(then: string) {
    return startCode(
      `import { setImmediate as nextTurn } from 'node:timers/promises';
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
      await nextTurn();
      log.info('still here');`);
    expect(await process.ended).toBe(0);
    expect(process.output()).toMatch(/"level":50.*Nobody waits[^]*still here/);
  });

  it('is logged, and the process ends with status 1, when it is a throw', async () => {
    await using process = startWithHandlers(`
      setTimeout(() => { throw new Error('Nobody catches.'); });
      setInterval(() => {}, 60_000);`);
    expect(await process.ended).toBe(1);
    expect(process.output()).toMatch(/"level":60.*Nobody catches/);
  });

  it('is not taken for that of a run which is going on', async () => {
    await using process = startWithHandlers(`
      const failed = [];
      const run = runAttributed({ fail: (error) => failed.push(error.message) }, async () => {
        await nextTurn();
        void Promise.reject(new Error('of the run'));
        await nextTurn();
      });
      void Promise.reject(new Error('of nobody'));
      await run;
      log.info({ failed });`);
    expect(await process.ended).toBe(0);
    expect(process.output()).toContain('"failed":["of the run"]');
  });
});

describe('a server that is told to stop a second time', { timeout: SEVERAL_STARTS_MS }, () => {
  const EVENTS = operation(`query ($id: ID!) { run(id: $id) { events { nodes { __typename } } } }`);

  it.for([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('ends at once: %s', async ([signal, status], { ownDatabase, startProcess }) => {
    const { client, child, ended, output } = await startProcess(ownDatabase);
    const id = await startRun(client, 'careless', { file: createGate().file });
    await until(async () => {
      const { run } = await client.gql(EVENTS, { id });
      return (run?.events.nodes.length ?? 0) > 1;
    });
    child.kill(signal);
    await until(() => output().includes('stopping'));
    let hasEnded = false;
    void ended.then(() => {
      hasEnded = true;
    });
    // Within 500 ms, the server takes a repetition for the same signal.
    await until(() => {
      child.kill(signal);
      return hasEnded;
    });
    expect(await ended).toBe(status);
  });
});
