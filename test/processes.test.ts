import { describe, expect, inject } from 'vitest';
import { human, until } from './support/app.ts';
import { summaryOf } from './support/client.ts';
import { it as base, type StartProcess } from './support/fixture.ts';
import { createGate, startAtGate } from './support/gates.ts';
import { operation } from './support/graphql.ts';
import { connect, connectBeside } from './support/pg-clients.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';

type StartWorker = (env?: Record<string, string>) => ReturnType<StartProcess>;

/** `client` belongs to a server without worker slots. `startWorker` starts a process on the same database. */
const it = base.extend('startWorker', ({ database, startProcess }): StartWorker => {
  return (env) => startProcess(database, { LEASE_SECONDS: '2', LOG_LEVEL: 'info', ...env });
});
it.override('settings', { workerConcurrency: 0 });

const statusOf = async (url: string, path: string) => (await fetch(`${url}${path}`)).status;

describe.runIf(inject('database') === 'postgres')(
  'processes on one PostgreSQL',
  { timeout: SEVERAL_STARTS_MS },
  () => {
    it('share the work: one that only serves shows what another executes, and stops it', async ({
      client,
      startWorker,
    }) => {
      const { id: waiting } = await client.startRun({
        assistantId: 'echo',
        input: human('who runs this?'),
      });
      expect(await client.getRun(waiting)).toMatchObject({ status: 'PENDING', attempt: 0 });
      const worker = await startWorker();
      expect(await client.untilEnded(waiting)).toMatchObject({ status: 'SUCCESS' });
      expect((await worker.client.follow(waiting)).map(({ id }) => id)).toEqual(
        (await client.follow(waiting)).map(({ id }) => id),
      );

      const { runId } = await startAtGate(client);
      const { cancelRun } = await client.gql(
        operation(`mutation ($id: ID!) { cancelRun(id: $id, wait: true) { status } }`),
        { id: runId },
      );
      expect(cancelRun).toEqual({ status: 'CANCELLED' });
    });

    it('take over what a killed one ran: subscribers see one sequence, and no step is done twice', async ({
      client,
      startWorker,
    }) => {
      const killed = await startWorker();
      const { gate, runId } = await startAtGate(client, { durability: 'SYNC' });
      const followed = client.follow(runId);
      await killed.end('SIGKILL');
      await gate.open();
      await startWorker();
      expect((await followed).map(summaryOf)).toEqual([
        'RunStartedEvent 1',
        'UpdatesEvent before',
        'RunStartedEvent 2',
        'UpdatesEvent hold',
        'UpdatesEvent after',
        'RunFinishedEvent SUCCESS',
      ]);
      expect(await client.getRun(runId)).toMatchObject({
        status: 'SUCCESS',
        attempt: 2,
        output: { log: ['in', 'before', 'hold', 'after'] },
      });
    });

    it('accept runs of an assistant as it is, whoever changed it', async ({
      client,
      database,
      startServer,
    }) => {
      const { client: other } = await startServer({ workerConcurrency: 0 }, database);
      const CREATE = operation(
        `mutation ($input: CreateAssistantInput!) { createAssistant(input: $input) { id } }`,
      );
      const UPDATE = operation(`mutation ($id: ID!, $input: UpdateAssistantInput!) {
        updateAssistant(id: $id, input: $input) { id }
      }`);
      const RUNS = operation(
        `mutation ($inputs: [CreateRunInput!]!) { createRuns(inputs: $inputs) { context } }`,
      );
      const { createAssistant } = await client.gql(CREATE, {
        input: { graphId: 'echo', context: { turn: 1 } },
      });
      const { id } = createAssistant;
      const turns = async (threadId: string | null, count = 1) => {
        const input = {
          assistantId: id,
          threadId,
          input: human('Whose turn?'),
          afterSeconds: 3600,
        };
        const inputs = Array.from({ length: count }, () => input);
        const { createRuns } = await client.gql(RUNS, { inputs });
        return createRuns.map(({ context }) => context['turn']);
      };
      expect(await turns(null)).toEqual([1]);
      await other.gql(UPDATE, { id, input: { context: { turn: 2 } } });
      expect(await turns(null)).toEqual([2]);
      const threadId = await client.createThread();
      await other.gql(UPDATE, { id, input: { context: { turn: 3 } } });
      expect(await turns(threadId)).toEqual([3]);
      await other.gql(UPDATE, { id, input: { context: { turn: 4 } } });
      expect(await turns(threadId, 3)).toEqual([4, 4, 4]);
      await other.gql(operation(`mutation ($id: ID!) { deleteAssistant(id: $id) }`), { id });
      for (const place of [{}, { threadId }]) {
        const input = { ...place, assistantId: id, input: human('Anybody?') };
        expect(await client.refusal(input)).toMatchObject({ code: 'NOT_FOUND' });
      }
      expect((await client.getThread(threadId)).runs.totalCount).toBe(4);
    });

    it('keep deadlines, delays and answers over restarts', async ({ client, startWorker }) => {
      const threadId = await client.createThread();
      const asking = await startWorker({ SHUTDOWN_GRACE_SECONDS: '0' });
      await client.runToEnd({ threadId, assistantId: 'ask', input: {} });
      const late = await client.startRun({
        assistantId: 'echo',
        input: human('late'),
        afterSeconds: 5,
      });
      const doomed = await client.startRun({
        threadId: await client.createThread(),
        assistantId: 'gate',
        input: { file: createGate().file },
        timeoutSeconds: 6,
      });
      await client.untilRunning(doomed.id);
      expect(await asking.end('SIGTERM')).toBe(0);
      const answer = await client.startRun({
        threadId,
        assistantId: 'ask',
        command: { resume: [{ value: 'days later' }] },
      });

      await startWorker();
      expect(await client.untilEnded(answer.id)).toMatchObject({
        output: { answer: 'days later' },
      });
      expect(await client.untilEnded(late.id)).toMatchObject({ status: 'SUCCESS' });
      expect(await client.untilEnded(doomed.id)).toMatchObject({ status: 'TIMEOUT', attempt: 1 });
    });

    it('use at most their pool and two connections each, and a pool of 2 is enough', async ({
      client: _,
      database,
      startWorker,
    }) => {
      const worker = await startWorker({ DATABASE_POOL_SIZE: '2' });
      const runs = await Promise.all(
        Array.from({ length: 20 }, () =>
          worker.client.startRun({ assistantId: 'steps', input: {} }),
        ),
      );
      await using admin = await connect(database.databaseUrl);
      let most = 0;
      let isOver = false;
      const following = Promise.all(runs.map(({ id }) => worker.client.follow(id))).finally(() => {
        isOver = true;
      });
      await until(async () => {
        const { rows } = await admin.query(
          `SELECT count(*)::int AS n FROM pg_stat_activity
           WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`,
        );
        most = Math.max(most, rows[0].n);
        return isOver;
      });
      for (const events of await following) {
        expect(events.at(-1)).toMatchObject({ status: 'SUCCESS' });
      }
      // The server of `client` has five connections and a sixth for LISTEN; it has no leases.
      expect(most).toBeLessThanOrEqual(2 + 2 + 5 + 1);
      expect(most).toBeGreaterThan(2);
    });

    it('answer SERVICE_UNAVAILABLE while the database is away, and recover by themselves', async ({
      client,
      database,
      startWorker,
    }) => {
      const worker = await startWorker();
      const { url } = worker.client;
      const gate = createGate();
      const { id } = await client.startRun({
        threadId: await client.createThread(),
        assistantId: 'gate',
        input: { file: gate.file },
      });
      await client.untilRunning(id);
      await using admin = await connectBeside(database.databaseUrl);
      await admin.set('ALLOW_CONNECTIONS false');
      await admin.terminate();
      await until(async () => (await statusOf(url, '/ready')) === 503);
      expect(await statusOf(url, '/health')).toBe(200);
      const [error] = await worker.client.errors(operation(`{ threads { nodes { id } } }`));
      expect(error?.extensions).toEqual({ code: 'SERVICE_UNAVAILABLE' });
      await gate.open();

      await admin.set('ALLOW_CONNECTIONS true');
      await until(async () => (await statusOf(url, '/ready')) === 200);
      expect(await worker.client.follow(id)).toMatchObject(
        expect.arrayContaining([expect.objectContaining({ status: 'SUCCESS' })]),
      );
      expect((await client.getRun(id)).output.log).toEqual(['before', 'hold', 'after']);
    });
  },
);
