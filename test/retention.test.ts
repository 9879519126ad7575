import { describe, expect } from 'vitest';
import { readConfig } from '../src/config.ts';
import { raw, sql } from '../src/db/sql.ts';
import { createLogger } from '../src/log.ts';
import { startRetention } from '../src/runs/retention.ts';
import { human, randomId, until, type TestApp, type Transport } from './support/app.ts';
import { createClient, type Client, type RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation, type AnswerTo } from './support/graphql.ts';
import { createTwoServers } from './support/servers.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;
const LONG_AGO = 2 * DAY;

const LAST_EVENTS =
  operation(`query ($id: ID!, $last: Int, $before: String, $modes: [StreamMode!]) {
  run(id: $id) { events(last: $last, before: $before, modes: $modes) { nodes { __typename id runId } } }
}`);

const EVENTS = operation(`query ($id: ID!, $after: String, $modes: [StreamMode!]) {
  run(id: $id) { status output events(first: 100, after: $after, modes: $modes) {
    nodes { __typename id runId } pageInfo { hasNextPage endCursor }
  } }
}`);
const THREAD_EVENTS = operation(`subscription ($threadId: ID!, $after: ID) {
  threadEvents(threadId: $threadId, after: $after) { __typename id runId }
}`);
const DELETE_THREAD = operation(`mutation ($id: ID!) { deleteThread(id: $id) }`);

type ThreadEvent = AnswerTo<typeof THREAD_EVENTS>['threadEvents'];

/** Runs to the end and returns the id of the run. */
const runToEnd = async (client: Client, input: RunInput) => (await client.runToEnd(input)).id;

const exists = async (client: Client, id: string) => (await client.findRun(id)) !== null;

const typesOf = (events: ({ __typename: string } | undefined)[]) =>
  events.map((event) => event?.__typename);

/** Sets the end of these runs to a time in the past. */
async function age({ app }: TestApp, ids: string[], seconds: number): Promise<void> {
  await app.sql.query(
    sql`UPDATE "Run" SET "finishedAt" = now() - make_interval(secs => ${seconds}) WHERE "id" = ANY(${ids}::uuid[])`,
  );
}

/** Removes expired events and runs, as a server does at its start, until the condition holds. */
async function sweepUntil(
  { app }: TestApp,
  retentionSeconds: number,
  condition: () => Promise<boolean>,
): Promise<void> {
  const config = { ...app.config, eventRetentionSeconds: retentionSeconds };
  const retention = startRetention({ ...app, config });
  await until(condition);
  await retention.stop();
}

/** Removes everything that has expired. The newest expired run comes last. */
async function sweep(server: TestApp, retentionSeconds = DAY): Promise<void> {
  const client = createClient(server);
  const last = await runToEnd(client, { assistantId: 'echo', input: human('last') });
  await age(server, [last], retentionSeconds + 1);
  await sweepUntil(server, retentionSeconds, async () => !(await exists(client, last)));
}

describe.each<Transport>(['websocket', 'sse'])(
  'events that are no longer kept, over %s',
  (transport) => {
    it('are one gap, then comes the final event; the run stays', async ({ client, server }) => {
      const threadId = await client.createThread();
      const id = await runToEnd(client, { threadId, assistantId: 'custom', input: {} });
      const before = await client.follow(id, { transport });
      expect(before.length).toBeGreaterThan(4);
      await age(server, [id], LONG_AGO);
      await sweep(server);

      const [gap, ...rest] = await client.follow(id, { transport });
      expect(gap).toMatchObject({ __typename: 'StreamGapEvent', runId: id, namespace: [] });
      expect(rest).toEqual(before.slice(-1));
      // The id of the gap is the cursor of the next event. No second gap follows.
      expect(await client.follow(id, { transport, after: gap?.id })).toEqual(rest);
      expect(await client.follow(id, { transport, after: rest[0]?.id })).toEqual([]);
      const modes = ['CUSTOM' as const];
      expect(typesOf(await client.follow(id, { transport, modes }))).toEqual([
        'StreamGapEvent',
        'RunFinishedEvent',
      ]);
      // A cursor of any expired event.
      for (const [n, { id: after }] of before.slice(0, -2).entries()) {
        const events = await client.follow(id, { transport, after });
        expect(typesOf(events), `after event ${n}`).toEqual(['StreamGapEvent', 'RunFinishedEvent']);
      }
      expect(await client.follow(id, { transport, after: before.at(-2)?.id })).toEqual(rest);
    });

    it('are one gap also for who follows the thread, whose later runs are complete', async ({
      client,
      server,
    }) => {
      const threadId = await client.createThread();
      const run = () => runToEnd(client, { threadId, assistantId: 'custom', input: {} });
      const [first, second, third] = [await run(), await run(), await run()];
      const cursor = (await client.follow(first))[1]?.id;
      await age(server, [first, second], LONG_AGO);
      await sweep(server);
      const events: ThreadEvent[] = [];
      const variables = { threadId, after: cursor };
      const answers = client.subscribe(THREAD_EVENTS, variables, transport);
      for await (const { threadEvents } of answers) {
        events.push(threadEvents);
        if (threadEvents.__typename === 'RunFinishedEvent' && threadEvents.runId === third) break;
      }
      expect(events.map(({ __typename, runId }) => [__typename, runId])).toEqual([
        ['StreamGapEvent', first],
        ['RunFinishedEvent', first],
        ['RunFinishedEvent', second],
        ...(await client.follow(third)).map(({ __typename }) => [__typename, third]),
      ]);
    });
  },
);

describe('Run.events', () => {
  it('shows the gap, whatever modes are asked for', async ({ client, server }) => {
    const threadId = await client.createThread();
    const id = await runToEnd(client, { threadId, assistantId: 'custom', input: {} });
    await age(server, [id], LONG_AGO);
    await sweep(server);
    for (const modes of [null, [], ['CUSTOM' as const]]) {
      const { run } = await client.gql(EVENTS, { id, modes });
      expect(run).toMatchObject({ status: 'SUCCESS', output: { log: ['work'] } });
      const [gap, ...finished] = run?.events.nodes ?? [];
      expect(typesOf([gap, ...finished])).toEqual(['StreamGapEvent', 'RunFinishedEvent']);
      const { run: rest } = await client.gql(EVENTS, { id, modes, after: gap?.id });
      expect(rest?.events.nodes).toEqual(finished);
      const backwards = async (page: object) =>
        (await client.gql(LAST_EVENTS, { id, modes, ...page })).run?.events.nodes;
      expect(await backwards({ last: 2 })).toEqual([gap, ...finished]);
      expect(await backwards({ last: 1 })).toEqual(finished);
      expect(await backwards({ last: 1, before: finished[0]?.id })).toEqual([gap]);
      expect(await backwards({ last: 1, before: gap?.id })).toEqual([]);
    }
  });
});

describe('a reader', () => {
  it('gets no gap where nothing was lost: of a young run on a thread of old ones, and of one that never ran', async ({
    client,
    server,
  }) => {
    const threadId = await client.createThread();
    const old = await runToEnd(client, { threadId, assistantId: 'custom', input: {} });
    const young = await runToEnd(client, { threadId, assistantId: 'custom', input: {} });
    const input = { threadId, assistantId: 'echo', input: human('x'), afterSeconds: 3600 };
    const { id: never } = await client.startRun(input);
    await client.gql(operation(`mutation ($id: ID!) { cancelRun(id: $id) { status } }`), {
      id: never,
    });
    const events = await client.follow(young);
    await age(server, [old], LONG_AGO);
    await sweep(server);
    expect(await client.follow(young)).toEqual(events);
    expect(typesOf(await client.follow(never))).toEqual(['RunFinishedEvent']);
  });

  it('that comes while they are removed gets those before the gap', async ({ client, server }) => {
    const threadId = await client.createThread();
    const id = await runToEnd(client, { threadId, assistantId: 'chatter', input: { count: 700 } });
    const before = await client.follow(id);
    await age(server, [id], LONG_AGO);
    // The first statement of retention removes this many events.
    await server.app.sql.query(
      sql`DELETE FROM "RunEvent" WHERE ("threadId", "number") IN (SELECT "threadId", "number" FROM "RunEvent"
         WHERE "runId" = ${id} AND "type" <> 'FINISHED' ORDER BY "number" DESC LIMIT 500)`,
    );
    const kept = before.length - 501;
    const events = await client.follow(id);
    expect(events.slice(0, kept)).toEqual(before.slice(0, kept));
    expect(typesOf(events.slice(kept))).toEqual(['StreamGapEvent', 'RunFinishedEvent']);
    const rest = await client.follow(id, { after: events[kept]?.id });
    expect(rest).toEqual(before.slice(-1));
    await sweep(server);
    expect(typesOf(await client.follow(id))).toEqual(['StreamGapEvent', 'RunFinishedEvent']);
  });

  it('of a thread skips nothing that comes after all of its old events have gone', async ({
    client,
  }) => {
    const threadId = await client.createThread();
    const old = await runToEnd(client, { threadId, assistantId: 'custom', input: {} });
    const cursor = (await client.follow(old)).at(-1)?.id;
    await client.gql(operation(`mutation ($id: ID!) { deleteRun(id: $id) }`), { id: old });
    const next = await runToEnd(client, { threadId, assistantId: 'custom', input: {} });
    expect(await client.follow(next, { after: cursor })).toEqual(await client.follow(next));
  });
});

describe('EVENT_RETENTION', () => {
  it('keeps events of runs that ended later, and of runs that have not ended', async ({
    client,
    server,
  }) => {
    const threadId = await client.createThread();
    const id = await runToEnd(client, { threadId, assistantId: 'custom', input: {} });
    const events = await client.follow(id);
    await age(server, [id], 2 * HOUR);
    await sweep(server);
    expect(await client.follow(id)).toEqual(events);
    await sweep(server, HOUR);
    expect(typesOf(await client.follow(id))).toEqual(['StreamGapEvent', 'RunFinishedEvent']);
  });

  it('removes runs whose thread is gone, and nothing of those that clients can still see', async ({
    client,
    server,
  }) => {
    const threadId = await client.createThread();
    const onThread = await runToEnd(client, { threadId, assistantId: 'echo', input: human('x') });
    const kept = await runToEnd(client, {
      assistantId: 'echo',
      input: human('x'),
      onCompletion: 'KEEP',
    });
    const stateless = await runToEnd(client, { assistantId: 'echo', input: human('x') });
    const young = await runToEnd(client, { assistantId: 'echo', input: human('x') });
    const deleted = await client.createThread();
    const tombstone = await runToEnd(client, {
      threadId: deleted,
      assistantId: 'echo',
      input: human('x'),
    });
    await client.gql(DELETE_THREAD, { id: deleted });
    expect(typesOf(await client.follow(tombstone)).at(-1)).toBe('RunFinishedEvent');
    await age(server, [onThread, kept, stateless, tombstone], LONG_AGO);
    await sweep(server);
    expect(await exists(client, onThread)).toBe(true);
    expect(await exists(client, kept)).toBe(true);
    expect(await exists(client, young)).toBe(true);
    expect(await exists(client, stateless)).toBe(false);
    const rows = await server.app.sql.query(
      sql`SELECT 1 FROM "Run" r WHERE "id" = ANY(${[stateless, tombstone]}::uuid[])
       UNION ALL SELECT 1 FROM "RunEvent" WHERE "runId" = ANY(${[stateless, tombstone]}::uuid[])`,
    );
    expect(rows).toEqual([]);
  });

  it('keeps the end of an old run for whoever follows it when its thread is deleted, and not for ever', async ({
    client,
    server,
  }) => {
    const threadId = await client.createThread();
    const id = await runToEnd(client, { threadId, assistantId: 'echo', input: human('x') });
    await age(server, [id], LONG_AGO);
    await sweep(server);
    await client.gql(DELETE_THREAD, { id: threadId });
    await sweep(server);
    expect(typesOf(await client.follow(id)).at(-1)).toBe('RunFinishedEvent');
    // The next sweep continues at the end of the last sweep. The row comes after it.
    const [row] = await server.app.sql.query(
      sql`SELECT "finishedAt" > now() - interval '1 hour' AS "isAhead" FROM "Run" WHERE "id" = ${id}`,
    );
    expect(row).toEqual({ isAhead: true });
  });

  it('keeps a run with an idempotency key for a day at least', async ({ client, server }) => {
    const request = { assistantId: 'echo', input: human('x'), idempotencyKey: randomId() };
    const id = await runToEnd(client, request);
    const without = await runToEnd(client, { assistantId: 'echo', input: human('x') });
    await age(server, [id, without], 2 * HOUR);
    await sweep(server, HOUR);
    expect(await exists(client, without)).toBe(false);
    expect(await runToEnd(client, request)).toBe(id);
    await age(server, [id], DAY + 60);
    // Retention removes runs with a key last, so `sweep` would return too early.
    await sweepUntil(server, HOUR, async () => !(await exists(client, id)));
    expect(await runToEnd(client, request)).not.toBe(id);
  });

  it(
    'is watched over by every server at once, without a quarrel',
    { timeout: 60_000 },
    async () => {
      await using pair = await createTwoServers();
      const { servers } = pair;
      const [first] = servers;
      const client = createClient(first);
      const threadId = await client.createThread();
      const inputs = Array.from({ length: 12 }, () => ({
        threadId,
        assistantId: 'chatter',
        input: { count: 300 },
      }));
      const { createRuns } = await client.gql(
        operation(`mutation ($inputs: [CreateRunInput!]!) { createRuns(inputs: $inputs) { id } }`),
        { inputs },
      );
      await Promise.all(createRuns.map(({ id }) => client.follow(id, { modes: [] })));
      await first.app.sql.query(sql`UPDATE "Run" SET "finishedAt" = now() - interval '2 days'`);
      const warnings: unknown[] = [];
      const log = Object.assign(createLogger('silent'), {
        warn: (...args: unknown[]) => warnings.push(args),
      });
      const sweeps = servers.flatMap(({ app }) =>
        [1, 2].map(() => startRetention({ ...app, log })),
      );
      const countEvents = async (where: string) => {
        const [row] = await first.app.sql.query<{ count: number }>(
          sql`SELECT count(*) AS "count" FROM "RunEvent" WHERE ${raw(where)}`,
        );
        return row?.count;
      };
      await until(async () => (await countEvents(`"type" <> 'FINISHED'`)) === 0);
      await Promise.all(sweeps.map((each) => each.stop()));
      expect(warnings).toEqual([]);
      expect(await countEvents('true')).toBe(12);
    },
  );

  it('is applied when a server starts', async ({ startServer, ownDatabase }) => {
    const before = await startServer({}, ownDatabase);
    const input = { assistantId: 'echo', input: human('x'), onCompletion: 'KEEP' as const };
    const id = await runToEnd(before.client, input);
    await before.server.app.sql.query(
      sql`UPDATE "Run" SET "finishedAt" = now() - interval '1 hour'`,
    );
    await before.server.stop();
    const after = await startServer({ eventRetentionSeconds: HOUR / 2 }, ownDatabase);
    await until(async () => (await after.client.follow(id)).length === 2);
  });

  it.for<[string, number]>([
    ['90s', 90],
    ['30m', 1800],
    ['24h', 86_400],
    ['7d', 604_800],
    ['45', 45],
    ['', 86_400],
  ])('may be "%s": %i seconds', ([text, seconds]) => {
    expect(readConfig({ EVENT_RETENTION: text }).eventRetentionSeconds).toBe(seconds);
  });

  it.for(['0', '-1h', '1.5h', '24 h', 'h', 'forever', '1w', '99999999d', '1e3'])(
    'may not be "%s"',
    (text) => {
      expect(() => readConfig({ EVENT_RETENTION: text })).toThrow(
        /^EVENT_RETENTION is ".*"; it must/,
      );
    },
  );
});
