import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { human, startTestServer, until } from './support/app.ts';
import { createTestDatabase, type TestDatabase } from './support/databases.ts';
import { openRunDoor, type RunDoor } from './support/run-door.ts';
import { startServerProcess, type ServerProcess } from './support/processes.ts';

const LONG = { timeout: 120_000 };

describe.skipIf(inject('database') === 'embedded')('processes on one PostgreSQL', () => {
  let database: TestDatabase;
  let front: Awaited<ReturnType<typeof startTestServer>>;
  let door: RunDoor;
  beforeAll(async () => {
    database = await createTestDatabase();
    front = await startTestServer(database, { workerConcurrency: 0 });
    door = await openRunDoor(front);
  });
  afterAll(async () => {
    await front.stop();
    await door[Symbol.asyncDispose]();
    await database.dispose();
  });

  const startWorker = (env: Record<string, string> = {}): Promise<ServerProcess> =>
    startServerProcess(database, { LEASE_SECONDS: '2', LOG_LEVEL: 'info', ...env });

  const CANCEL = `mutation ($id: ID!, $wait: Boolean!) { cancelRun(id: $id, wait: $wait) { status } }`;

  it(
    'share the work: one that only serves shows what another executes, and stops it',
    LONG,
    async () => {
      const { id: waiting } = await door.start({
        assistantId: 'echo',
        input: human('who runs this?'),
      });
      expect(await door.run(waiting)).toMatchObject({ status: 'PENDING', attempt: 0 });
      await using worker = await startWorker();
      expect(await door.ended(waiting)).toMatchObject({ status: 'SUCCESS' });
      expect((await worker.client.follow(waiting)).map(({ id }) => id)).toEqual(
        (await front.follow(waiting)).map(({ id }) => id),
      );

      const gate = door.closedGate();
      const threadId = await door.createThread();
      const { id } = await door.start({
        threadId,
        assistantId: 'gate',
        input: { file: gate.file },
      });
      await door.running(id);
      const { cancelRun } = await front.gql(CANCEL, { id, wait: true });
      expect(cancelRun).toEqual({ status: 'CANCELLED' });
    },
  );

  it(
    'take over what a killed one ran: subscribers see one sequence, and no step is done twice',
    LONG,
    async () => {
      await using killed = await startWorker();
      const gate = door.closedGate();
      const threadId = await door.createThread();
      const input = { log: ['in'], file: gate.file };
      const { id } = await door.start({ threadId, assistantId: 'gate', input, durability: 'SYNC' });
      const followed = front.follow(id);
      await until(async () => (await door.thread(threadId)).state?.next.includes('hold'));
      killed.child.kill('SIGKILL');
      await killed.ended;
      await gate.open();
      await using _next = await startWorker();
      const events = await followed;
      expect(events.map(({ __typename, attempt, node }) => attempt ?? node ?? __typename)).toEqual([
        1,
        'before',
        2,
        'hold',
        'after',
        'RunFinishedEvent',
      ]);
      expect(await door.run(id)).toMatchObject({
        status: 'SUCCESS',
        attempt: 2,
        output: { log: ['in', 'before', 'hold', 'after'] },
      });
    },
  );

  it('accept runs of an assistant as it is, whoever changed it', LONG, async () => {
    await using other = await startTestServer(database, { workerConcurrency: 0 });
    const CREATE = `mutation ($input: CreateAssistantInput!) { createAssistant(input: $input) { id } }`;
    const UPDATE = `mutation ($id: ID!, $input: UpdateAssistantInput!) { updateAssistant(id: $id, input: $input) { id } }`;
    const RUNS = `mutation ($inputs: [CreateRunInput!]!) { createRuns(inputs: $inputs) { context } }`;
    const { createAssistant } = await front.gql(CREATE, {
      input: { graphId: 'echo', context: { turn: 1 } },
    });
    const { id } = createAssistant;
    const turns = async (threadId: string | null, count = 1) => {
      const input = { assistantId: id, threadId, input: human('Whose turn?'), afterSeconds: 3600 };
      const inputs = Array.from({ length: count }, () => input);
      const { createRuns } = await front.gql(RUNS, { inputs });
      return createRuns.map(({ context }: any) => context.turn);
    };
    expect(await turns(null)).toEqual([1]);
    await other.gql(UPDATE, { id, input: { context: { turn: 2 } } });
    expect(await turns(null)).toEqual([2]);
    const threadId = await door.createThread();
    await other.gql(UPDATE, { id, input: { context: { turn: 3 } } });
    expect(await turns(threadId)).toEqual([3]);
    await other.gql(UPDATE, { id, input: { context: { turn: 4 } } });
    expect(await turns(threadId, 3)).toEqual([4, 4, 4]);
    await other.gql('mutation ($id: ID!) { deleteAssistant(id: $id) }', { id });
    for (const place of [{}, { threadId }]) {
      const input = { ...place, assistantId: id, input: human('Anybody?') };
      expect(await door.refusal(input)).toMatchObject({ code: 'NOT_FOUND' });
    }
    expect((await door.thread(threadId)).runs.totalCount).toBe(4);
  });

  it('keep deadlines, delays and answers over restarts', LONG, async () => {
    const thread = await door.createThread();
    const asking = await startWorker();
    await door.runToEnd({ threadId: thread, assistantId: 'ask', input: {} });
    const late = await door.start({ assistantId: 'echo', input: human('late'), afterSeconds: 5 });
    const doomed = await door.start({
      threadId: await door.createThread(),
      assistantId: 'gate',
      input: { file: door.closedGate().file },
      timeoutSeconds: 6,
    });
    await door.running(doomed.id);
    asking.child.kill('SIGTERM');
    expect(await asking.ended).toBe(0);
    const answer = await door.start({
      threadId: thread,
      assistantId: 'ask',
      command: { resume: [{ value: 'days later' }] },
    });

    await using _worker = await startWorker();
    expect(await door.ended(answer.id)).toMatchObject({ output: { answer: 'days later' } });
    expect(await door.ended(late.id)).toMatchObject({ status: 'SUCCESS' });
    expect(await door.ended(doomed.id)).toMatchObject({ status: 'TIMEOUT', attempt: 1 });
  });

  it(
    'use at most their pool and two connections each, and a pool of 2 is enough',
    LONG,
    async () => {
      await using worker = await startWorker({ DATABASE_POOL_SIZE: '2' });
      const runs = await Promise.all(
        Array.from({ length: 20 }, async () =>
          worker.client.gql(
            `mutation ($input: CreateRunInput!) { createRun(input: $input) { id } }`,
            { input: { assistantId: 'steps', input: {} } },
          ),
        ),
      );
      const admin = new pg.Client(database.databaseUrl);
      await admin.connect();
      let most = 0;
      const done = Promise.all(runs.map(({ createRun }) => worker.client.follow(createRun.id)));
      const ended = done.then(() => true);
      while (!(await Promise.race([ended, nextLook()]))) {
        const { rows } = await admin.query(
          `SELECT count(*)::int AS n FROM pg_stat_activity
         WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`,
        );
        most = Math.max(most, rows[0].n);
      }
      await admin.end();
      for (const events of await done) expect(events.at(-1)).toMatchObject({ status: 'SUCCESS' });
      // The process `front` has five connections and one for LISTEN; it has no leases.
      expect(most).toBeLessThanOrEqual(2 + 2 + 5 + 1);
      expect(most).toBeGreaterThan(2);
    },
  );

  const nextLook = () => new Promise<false>((resolve) => setTimeout(() => resolve(false), 20));

  it(
    'answer SERVICE_UNAVAILABLE while the database is away, and recover by themselves',
    LONG,
    async () => {
      await using worker = await startWorker();
      const gate = door.closedGate();
      const threadId = await door.createThread();
      const { id } = await door.start({
        threadId,
        assistantId: 'gate',
        input: { file: gate.file },
      });
      await door.running(id);
      const name = new URL(String(database.databaseUrl)).pathname.slice(1);
      const url = new URL(String(database.databaseUrl));
      url.pathname = '/postgres';
      const admin = new pg.Client(url.href);
      await admin.connect();
      await admin.query(`ALTER DATABASE "${name}" ALLOW_CONNECTIONS false`);
      await admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`,
        [name],
      );
      await until(async () => (await fetch(`${worker.client.url}/ready`)).status === 503);
      expect((await fetch(`${worker.client.url}/health`)).status).toBe(200);
      const [error] = await worker.client.errors(`{ threads { nodes { id } } }`);
      expect(error?.extensions).toEqual({ code: 'SERVICE_UNAVAILABLE' });
      await gate.open();

      await admin.query(`ALTER DATABASE "${name}" ALLOW_CONNECTIONS true`);
      await admin.end();
      await until(async () => (await fetch(`${worker.client.url}/ready`)).ok);
      expect(await worker.client.follow(id)).toMatchObject(
        expect.arrayContaining([expect.objectContaining({ status: 'SUCCESS' })]),
      );
      expect((await door.run(id)).output.log).toEqual(['before', 'hold', 'after']);
    },
  );
});
