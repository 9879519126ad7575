import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../src/config.ts';
import { createLogger } from '../src/log.ts';
import { startRetention } from '../src/runs/retention.ts';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  human,
  randomId,
  startTestServer,
  until,
  type TestApp,
  type Transport,
} from './support/app.ts';
import { createTestDatabase } from './support/databases.ts';
import { createTwoServers } from './support/servers.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;

let server: TestApp;
beforeAll(async () => {
  server = await createTestApp();
});
afterAll(() => server.stop());

async function runToEnd(input: Record<string, unknown>): Promise<string> {
  return (await server.gql(CREATE_RUN, { input, wait: true })).createRun.id;
}

async function createThread(): Promise<string> {
  return (await server.gql(CREATE_THREAD)).createThread.id;
}

/** Makes runs look as if they had ended so many seconds ago. */
async function age(ids: string[], seconds: number): Promise<void> {
  await server.app.sql.query(
    `UPDATE "Run" SET "finishedAt" = now() - make_interval(secs => $2) WHERE "id" = ANY($1::uuid[])`,
    [ids, seconds],
  );
}

/** Does what a server does when it starts, until it has come to the run that ended last of those that are too old. */
async function sweep(retentionSeconds = DAY): Promise<void> {
  const last = await runToEnd({ assistantId: 'echo', input: human('last') });
  await age([last], retentionSeconds + 1);
  const config = { ...server.app.config, eventRetentionSeconds: retentionSeconds };
  const retention = startRetention({ ...server.app, config });
  await until(async () => !(await exists(last)));
  await retention.stop();
}

async function exists(runId: string): Promise<boolean> {
  const { run } = await server.gql(`query ($id: ID!) { run(id: $id) { id } }`, { id: runId });
  return run !== null;
}

const typesOf = (events: any[]): string[] => events.map(({ __typename }) => __typename);
const LONG_AGO = 2 * DAY;

const EVENTS = `query ($id: ID!, $after: String, $modes: [StreamMode!]) {
  run(id: $id) { status output events(first: 100, after: $after, modes: $modes) {
    nodes { __typename id runId } pageInfo { hasNextPage endCursor }
  } }
}`;

describe.each<Transport>(['websocket', 'sse'])(
  'events that are no longer kept, over %s',
  (transport) => {
    it('are one gap, then comes the final event; the run stays', async () => {
      const threadId = await createThread();
      const id = await runToEnd({ threadId, assistantId: 'custom', input: {} });
      const before = await server.follow(id, { transport });
      expect(before.length).toBeGreaterThan(4);
      await age([id], LONG_AGO);
      await sweep();

      const [gap, ...rest] = await server.follow(id, { transport });
      expect(gap).toMatchObject({ __typename: 'StreamGapEvent', runId: id, namespace: [] });
      expect(rest).toEqual(before.slice(-1));
      // Reading goes on where the gap says; there is none after it.
      expect(await server.follow(id, { transport, after: gap.id })).toEqual(rest);
      expect(await server.follow(id, { transport, after: rest[0].id })).toEqual([]);
      const modes = ['CUSTOM' as const];
      expect(typesOf(await server.follow(id, { transport, modes }))).toEqual([
        'StreamGapEvent',
        'RunFinishedEvent',
      ]);
      // A cursor from before, wherever it was.
      for (const [n, { id: after }] of before.slice(0, -2).entries()) {
        const events = await server.follow(id, { transport, after });
        expect(typesOf(events), `after event ${n}`).toEqual(['StreamGapEvent', 'RunFinishedEvent']);
      }
      expect(await server.follow(id, { transport, after: before.at(-2).id })).toEqual(rest);
    });

    it('are one gap also for who follows the thread, whose later runs are complete', async () => {
      const threadId = await createThread();
      const run = () => runToEnd({ threadId, assistantId: 'custom', input: {} });
      const [first, second, third] = [await run(), await run(), await run()];
      const cursor = (await server.follow(first))[1].id;
      await age([first, second], LONG_AGO);
      await sweep();
      const document = `subscription ($threadId: ID!, $after: ID) {
      threadEvents(threadId: $threadId, after: $after) { __typename id runId }
    }`;
      const events: any[] = [];
      for await (const { threadEvents } of server.subscribe(
        document,
        { threadId, after: cursor },
        transport,
      )) {
        events.push(threadEvents);
        if (threadEvents.__typename === 'RunFinishedEvent' && threadEvents.runId === third) break;
      }
      expect(events.map(({ __typename, runId }) => [__typename, runId])).toEqual([
        ['StreamGapEvent', first],
        ['RunFinishedEvent', first],
        ['RunFinishedEvent', second],
        ...(await server.follow(third)).map(({ __typename }) => [__typename, third]),
      ]);
    });
  },
);

describe('Run.events', () => {
  it('shows the gap, whatever modes are asked for', async () => {
    const threadId = await createThread();
    const id = await runToEnd({ threadId, assistantId: 'custom', input: {} });
    await age([id], LONG_AGO);
    await sweep();
    for (const modes of [null, [], ['CUSTOM']]) {
      const { run } = await server.gql(EVENTS, { id, modes });
      expect(run).toMatchObject({ status: 'SUCCESS', output: { log: ['work'] } });
      expect(typesOf(run.events.nodes)).toEqual(['StreamGapEvent', 'RunFinishedEvent']);
      const { run: rest } = await server.gql(EVENTS, { id, modes, after: run.events.nodes[0].id });
      expect(rest.events.nodes).toEqual(run.events.nodes.slice(1));
    }
  });
});

describe('a reader', () => {
  it('gets no gap where nothing was lost: of a young run on a thread of old ones, and of one that never ran', async () => {
    const threadId = await createThread();
    const old = await runToEnd({ threadId, assistantId: 'custom', input: {} });
    const young = await runToEnd({ threadId, assistantId: 'custom', input: {} });
    const input = { threadId, assistantId: 'echo', input: human('x'), afterSeconds: 3600 };
    const { createRun } = await server.gql(CREATE_RUN, { input });
    await server.gql(`mutation ($id: ID!) { cancelRun(id: $id) { status } }`, { id: createRun.id });
    const events = await server.follow(young);
    await age([old], LONG_AGO);
    await sweep();
    expect(await server.follow(young)).toEqual(events);
    expect(typesOf(await server.follow(createRun.id))).toEqual(['RunFinishedEvent']);
  });

  it('that comes while they are removed gets those before the gap', async () => {
    const threadId = await createThread();
    const id = await runToEnd({ threadId, assistantId: 'chatter', input: { count: 700 } });
    const before = await server.follow(id);
    await age([id], LONG_AGO);
    // What is left after the first statement of retention.
    await server.app.sql.query(
      `DELETE FROM "RunEvent" WHERE ("threadId", "number") IN (SELECT "threadId", "number" FROM "RunEvent"
         WHERE "runId" = $1 AND "type" <> 'FINISHED' ORDER BY "number" DESC LIMIT 500)`,
      [id],
    );
    const kept = before.length - 501;
    const events = await server.follow(id);
    expect(events.slice(0, kept)).toEqual(before.slice(0, kept));
    expect(typesOf(events.slice(kept))).toEqual(['StreamGapEvent', 'RunFinishedEvent']);
    const rest = await server.follow(id, { after: events[kept].id });
    expect(rest).toEqual(before.slice(-1));
    await sweep();
    expect(typesOf(await server.follow(id))).toEqual(['StreamGapEvent', 'RunFinishedEvent']);
  });

  it('of a thread skips nothing that comes after all of its old events have gone', async () => {
    const threadId = await createThread();
    const old = await runToEnd({ threadId, assistantId: 'custom', input: {} });
    const cursor = (await server.follow(old)).at(-1).id;
    await server.gql(`mutation ($id: ID!) { deleteRun(id: $id) }`, { id: old });
    const next = await runToEnd({ threadId, assistantId: 'custom', input: {} });
    expect(await server.follow(next, { after: cursor })).toEqual(await server.follow(next));
  });
});

describe('EVENT_RETENTION', () => {
  const key = () => randomId();

  it('keeps events of runs that ended later, and of runs that have not ended', async () => {
    const threadId = await createThread();
    const id = await runToEnd({ threadId, assistantId: 'custom', input: {} });
    const events = await server.follow(id);
    await age([id], 2 * HOUR);
    await sweep();
    expect(await server.follow(id)).toEqual(events);
    await sweep(HOUR);
    expect(typesOf(await server.follow(id))).toEqual(['StreamGapEvent', 'RunFinishedEvent']);
  });

  it('removes runs whose thread is gone, and nothing of those that clients can still see', async () => {
    const threadId = await createThread();
    const onThread = await runToEnd({ threadId, assistantId: 'echo', input: human('x') });
    const kept = await runToEnd({ assistantId: 'echo', input: human('x'), onCompletion: 'KEEP' });
    const stateless = await runToEnd({ assistantId: 'echo', input: human('x') });
    const young = await runToEnd({ assistantId: 'echo', input: human('x') });
    const deleted = await createThread();
    const tombstone = await runToEnd({ threadId: deleted, assistantId: 'echo', input: human('x') });
    await server.gql(`mutation ($id: ID!) { deleteThread(id: $id) }`, { id: deleted });
    expect(typesOf(await server.follow(tombstone)).at(-1)).toBe('RunFinishedEvent');
    await age([onThread, kept, stateless, tombstone], LONG_AGO);
    await sweep();
    expect(await exists(onThread)).toBe(true);
    expect(await exists(kept)).toBe(true);
    expect(await exists(young)).toBe(true);
    expect(await exists(stateless)).toBe(false);
    const rows = await server.app.sql.query(
      `SELECT 1 FROM "Run" r WHERE "id" = ANY($1::uuid[])
       UNION ALL SELECT 1 FROM "RunEvent" WHERE "runId" = ANY($1::uuid[])`,
      [[stateless, tombstone]],
    );
    expect(rows).toEqual([]);
  });

  it('keeps the end of an old run for whoever follows it when its thread is deleted, and not for ever', async () => {
    const threadId = await createThread();
    const id = await runToEnd({ threadId, assistantId: 'echo', input: human('x') });
    await age([id], LONG_AGO);
    await sweep();
    await server.gql(`mutation ($id: ID!) { deleteThread(id: $id) }`, { id: threadId });
    await sweep();
    expect(typesOf(await server.follow(id)).at(-1)).toBe('RunFinishedEvent');
    // A sweep goes on where the one before has come to.
    const [row] = await server.app.sql.query(
      `SELECT "finishedAt" > now() - interval '1 hour' AS "isAhead" FROM "Run" WHERE "id" = $1`,
      [id],
    );
    expect(row).toEqual({ isAhead: true });
  });

  it('keeps a run with an idempotency key for a day at least', async () => {
    const request = { assistantId: 'echo', input: human('x'), idempotencyKey: key() };
    const id = await runToEnd(request);
    const without = await runToEnd({ assistantId: 'echo', input: human('x') });
    await age([id, without], 2 * HOUR);
    await sweep(HOUR);
    expect(await exists(without)).toBe(false);
    expect(await runToEnd(request)).toBe(id);
    await age([id], DAY + 60);
    // The last one that is swept is an hour old: the day's come after it.
    const config = { ...server.app.config, eventRetentionSeconds: HOUR };
    const retention = startRetention({ ...server.app, config });
    await until(async () => !(await exists(id)));
    await retention.stop();
    expect(await runToEnd(request)).not.toBe(id);
  });

  it(
    'is watched over by every server at once, without a quarrel',
    { timeout: 60_000 },
    async () => {
      await using pair = await createTwoServers();
      const { servers } = pair;
      const [first] = servers;
      const { createThread: thread } = await first.gql(CREATE_THREAD);
      const inputs = Array.from({ length: 12 }, () => ({
        threadId: thread.id,
        assistantId: 'chatter',
        input: { count: 300 },
      }));
      const { createRuns } = await first.gql(
        `mutation ($inputs: [CreateRunInput!]!) { createRuns(inputs: $inputs) { id } }`,
        { inputs },
      );
      await Promise.all(createRuns.map(({ id }: any) => first.follow(id, { modes: [] })));
      await first.app.sql.query(`UPDATE "Run" SET "finishedAt" = now() - interval '2 days'`);
      const warnings: unknown[] = [];
      const log = Object.assign(createLogger('silent'), {
        warn: (...args: unknown[]) => warnings.push(args),
      });
      const sweeps = servers.flatMap(({ app }) =>
        [1, 2].map(() => startRetention({ ...app, log })),
      );
      await until(async () => {
        const [row] = await first.app.sql.query<{ left: number }>(
          `SELECT count(*) AS "left" FROM "RunEvent" WHERE "type" <> 'FINISHED'`,
        );
        return row?.left === 0;
      });
      await Promise.all(sweeps.map((each) => each.stop()));
      expect(warnings).toEqual([]);
      const [row] = await first.app.sql.query<{ left: number }>(
        `SELECT count(*) AS "left" FROM "RunEvent"`,
      );
      expect(row?.left).toBe(12);
    },
  );

  it('is applied when a server starts', async () => {
    const database = await createTestDatabase();
    const before = await startTestServer(database);
    const { createRun } = await before.gql(CREATE_RUN, {
      input: { assistantId: 'echo', input: human('x'), onCompletion: 'KEEP' },
      wait: true,
    });
    await before.app.sql.query(`UPDATE "Run" SET "finishedAt" = now() - interval '1 hour'`);
    await before.stop();
    const after = await startTestServer(database, { eventRetentionSeconds: HOUR / 2 });
    await until(async () => (await after.follow(createRun.id)).length === 2);
    await after.stop();
    await database.dispose();
  });

  it.each([
    ['90s', 90],
    ['30m', 1800],
    ['24h', 86_400],
    ['7d', 604_800],
    ['45', 45],
    ['', 86_400],
  ])('may be "%s": %i seconds', (text, seconds) => {
    expect(readConfig({ EVENT_RETENTION: text }).eventRetentionSeconds).toBe(seconds);
  });

  it.each(['0', '-1h', '1.5h', '24 h', 'h', 'forever', '1w', '99999999d', '1e3'])(
    'may not be "%s"',
    (text) => {
      expect(() => readConfig({ EVENT_RETENTION: text })).toThrow(
        /^EVENT_RETENTION is ".*"; it must/,
      );
    },
  );
});
