import { randomInt } from 'node:crypto';
import { describe, expect } from 'vitest';
import { eventId } from '../src/events/event.ts';
import { human, until, type Transport } from './support/app.ts';
import { createClient, ofType, type Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { operation, type AnswerTo } from './support/graphql.ts';
import { intercept } from './support/queries.ts';
import { createTwoServers } from './support/servers.ts';

const FOLLOW_RUN = operation(`subscription ($id: ID!, $after: ID) {
  events: runEvents(runId: $id, after: $after) { __typename id ... on CustomEvent { data } }
}`);
const FOLLOW_THREAD = operation(`subscription ($id: ID!, $after: ID) {
  events: threadEvents(threadId: $id, after: $after) { __typename id ... on CustomEvent { data } }
}`);
const EVENT_IDS = operation(
  `query ($id: ID!) { run(id: $id) { events(first: 100) { nodes { id } } } }`,
);

type Event = AnswerTo<typeof FOLLOW_RUN>['events'];

const ticksOf = (events: Event[]) =>
  ofType(events, 'CustomEvent').map(({ data }) => (data as { n: number }).n);

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

/** A count of the events of a run. Readers can wait for a value of it. */
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

/** A run, or a thread with `ends` runs. */
interface Source {
  id: string;
  document: typeof FOLLOW_RUN;
  ends: number;
  after?: string;
}

/** Follows a source in pieces of random length. Each piece starts after the last event of the piece before. */
async function followInPieces(
  client: Client,
  { id, document, ends, after }: Source,
  { random, transport }: { random: (below: number) => number; transport: Transport },
): Promise<Event[]> {
  const events: Event[] = [];
  let cursor = after;
  let unfinished = ends;
  while (unfinished > 0) {
    const pieceEnd = events.length + 1 + random(40);
    const before = events.length;
    const piece = client.subscribe(document, { id, after: cursor ?? null }, transport);
    for await (const { events: event } of piece) {
      events.push(event);
      cursor = event.id;
      if (event.__typename === 'RunFinishedEvent') unfinished -= 1;
      if (events.length === pieceEnd || unfinished === 0) break;
    }
    if (events.length === before) throw new Error(`The subscription ended at ${cursor}.`);
  }
  return events;
}

async function eventIds(client: Client, id: string): Promise<string[]> {
  const { run } = await client.gql(EVENT_IDS, { id });
  return run?.events.nodes.map((event) => event.id) ?? [];
}

describe('200 subscribers over WebSocket and SSE, on two servers, cut off at random', () => {
  const RUNS = 4;
  const TICKS = 60;
  const SUBSCRIBERS = 200;

  it('each get every event once, in order', { timeout: 180_000 }, async () => {
    const seed = Number(process.env['ORACLE_SEED'] ?? randomInt(1_000_000));
    const random = createRandom(seed);
    await using pair = await createTwoServers();
    const clients = pair.servers.map(createClient);
    const [client] = clients as [Client, ...Client[]];
    const threadId = await client.createThread();
    const input = {
      assistantId: 'ticks',
      input: { count: TICKS },
      streamModes: ['CUSTOM' as const],
    };
    // The first two runs share a thread.
    const runIds: string[] = [];
    for (let n = 0; n < RUNS; n++) {
      const on = n < 2 ? { threadId } : { onCompletion: 'KEEP' as const };
      runIds.push((await client.startRun({ ...input, ...on })).id);
    }
    const thread: Source = {
      id: threadId,
      document: FOLLOW_THREAD,
      ends: 2,
      after: eventId({ threadId, number: 0 }),
    };
    const runs = runIds.map((id): Source => ({ id, document: FOLLOW_RUN, ends: 1 }));

    const progress = runIds.map(createProgress);
    const watchers = runIds.map(async (id, n) => {
      for await (const _event of client.subscribe(FOLLOW_RUN, { id })) progress[n]?.grow();
    });
    const followed = await Promise.all(
      Array.from({ length: SUBSCRIBERS }, async (_, n) => {
        const own = clients[random(2)] ?? client;
        const transport: Transport = random(2) === 0 ? 'websocket' : 'sse';
        const ofThread = n % 10 === 0;
        const run = ofThread ? 0 : random(RUNS);
        const source = (ofThread ? undefined : runs[run]) ?? thread;
        await progress[run]?.reached(random(TICKS));
        return { source, events: await followInPieces(own, source, { random, transport }) };
      }),
    );
    await Promise.all(watchers);

    const idsOfRuns = await Promise.all(runIds.map((id) => eventIds(client, id)));
    for (const ids of idsOfRuns) expect(ids).toHaveLength(TICKS + 2);
    const truth = new Map(runs.map(({ id }, n) => [id, idsOfRuns[n]]));
    truth.set(threadId, idsOfRuns.slice(0, 2).flat());
    for (const { source, events } of followed) {
      expect(
        events.map(({ id }) => id),
        `seed ${seed}`,
      ).toEqual(truth.get(source.id));
      const once = Array.from({ length: TICKS }, (_, i) => i + 1);
      expect(ticksOf(events), `seed ${seed}`).toEqual(
        source === thread ? [...once, ...once] : once,
      );
    }
    for (const { app } of pair.servers) await until(() => app.tail.readers === 0);
  });
});

describe('equal subscriptions', () => {
  const FOLLOW = operation(`subscription ($id: ID!) {
    runEvents(runId: $id) { __typename ... on RunFinishedEvent { status run { id attempt } } }
  }`);
  const SUBSCRIBERS = 20;

  it('are executed once for each event, and each get it', async ({ startServer }) => {
    const { server, client } = await startServer({ workerConcurrency: 0 });
    const { sql, tail } = server.app;
    const statements: string[] = [];
    const answered: string[] = [];
    sql.query = intercept(sql.query, async ({ text }, send) => {
      statements.push(text);
      const rows = await send();
      answered.push(text);
      return rows;
    });
    const { id } = await client.startRun({ assistantId: 'echo', input: human('x') });
    const followed = Array.from({ length: SUBSCRIBERS }, async (_, i) => {
      const events: AnswerTo<typeof FOLLOW>['runEvents'][] = [];
      const transport = i % 2 ? 'sse' : 'websocket';
      for await (const { runEvents } of client.subscribe(FOLLOW, { id }, transport)) {
        events.push(runEvents);
      }
      return events;
    });
    await until(() => tail.readers === SUBSCRIBERS);
    // Each reader reads the table once, and then waits for events.
    const isFirstPage = (text: string) => text.includes('"isOver"');
    await until(() => answered.filter(isFirstPage).length === SUBSCRIBERS);
    statements.length = 0;
    await client.gql(operation(`mutation ($id: ID!) { cancelRun(id: $id) { id } }`), { id });
    const end = { __typename: 'RunFinishedEvent', status: 'CANCELLED', run: { id, attempt: 0 } };
    for (const events of await Promise.all(followed)) expect(events).toEqual([end]);
    // cancelRun sends it once, and all subscriptions together send it once.
    expect(
      statements.filter((text) => text.startsWith('SELECT * FROM "Run" WHERE "id" = $1')),
    ).toHaveLength(2);
  });
});
