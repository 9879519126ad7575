import path from 'node:path';
import { readConfig } from '../../../src/config.ts';
import { openDatabase } from '../../../src/db/open.ts';
import { sql } from '../../../src/db/sql.ts';
import { createLogger } from '../../../src/log.ts';
import type { Bench } from '../bench.ts';
import { timedEach } from '../bench.ts';
import type { Client } from '../client.ts';
import { concurrently } from '../concurrently.ts';
import type { Measure } from '../results.ts';
import type { Server } from '../servers.ts';
import { createStore, startServer } from '../servers.ts';
import type { Store } from '../stores.ts';

// Row 5: reads and writes of threads, among few and among many threads.

const FEW = 1000;
/** A higher number takes the peer minutes: its API creates each of its threads. */
const PEER_MANY = 10_000;
const RARE = 5;
const EDITS = 200;
const MESSAGES = 220;
const CREATORS = 16;
const SAMPLES = 40;
/** The number of repetitions of slow operations. */
const FEW_SAMPLES = 6;

interface Place extends Server {
  store: Store;
  size: 'few' | 'many';
  /** A thread without a state. */
  plainId: string;
  /** A thread with 200 checkpoints and 220 messages. */
  longId: string;
}

type Act = (client: Client, ids: Pick<Place, 'plainId' | 'longId'>) => Promise<unknown>;

const SEARCHES: Record<string, { metadata: Record<string, unknown>; least: number }> = {
  'search, matching all': { metadata: { tenant: 'one' }, least: 10 },
  'search, matching 1 %': { metadata: { group: 7 }, least: 10 },
  'search, matching 5': { metadata: { rare: true }, least: RARE },
  'search, matching none': { metadata: { tenant: 'two' }, least: 0 },
};

const ACTS: Record<string, Act> = {
  'create a thread': (client) => client.createThread({ tenant: 'one' }),
  'get a thread': (client, { plainId }) => client.getThread(plainId),
  ...Object.fromEntries(
    Object.entries(SEARCHES).map(([name, { metadata, least }]): [string, Act] => [
      name,
      async (client) => check(name, await client.search(metadata), least),
    ]),
  ),
  state: async (client, { longId }) => check('state', await client.state(longId), MESSAGES),
  'history of 10': async (client, { longId }) =>
    check('history', await client.history(longId, 10), 10),
  'history of 100': async (client, { longId }) =>
    check('history', await client.history(longId, 100), 100),
  'copy of 200 checkpoints': (client, { longId }) => client.copy(longId),
};

function check(name: string, got: number, least: number): void {
  if (got < least) throw new Error(`${name} gave ${got}; there are ${least}.`);
}

export async function measureThreads(bench: Bench): Promise<void> {
  const { results, threads, only, say } = bench;
  const names = (['pg', 'embedded', 'peer'] as const).filter((name) => only.includes(name));
  const places: Place[] = [];
  try {
    for (const name of names) {
      for (const size of ['few', 'many'] as const) {
        places.push(await openPlace(bench, name, size));
        say(`${name} with ${size} threads`);
      }
    }
    await measureActs(bench, places);
  } finally {
    for (const place of places) {
      await place[Symbol.asyncDispose]();
      await place.store[Symbol.asyncDispose]();
    }
  }
  results.note(
    5,
    `The thread of the last four has ${EDITS} checkpoints and ${MESSAGES} messages; history comes with values. “Many” are ${threads.toLocaleString('en-US')} threads; of the peer ${PEER_MANY.toLocaleString('en-US')}, since each of its own has to be made through its API.`,
  );
}

async function measureActs({ results, rounds, say }: Bench, places: Place[]): Promise<void> {
  for (const [act, measure] of Object.entries(ACTS)) {
    for (const { name, size } of places) results.add(measureOf(act, size), name, []);
    const count = act === 'history of 100' ? FEW_SAMPLES : SAMPLES;
    for (let round = 0; round <= rounds; round++) {
      for (const [i] of places.entries()) {
        const place = places[(i + round) % places.length];
        if (!place) continue;
        const samples = await timedEach(count, () => measure(place.client, place));
        if (round > 0) results.add(measureOf(act, place.size), place.name, samples);
      }
    }
    say(act);
  }
}

function measureOf(act: string, size: Place['size']): Measure {
  return {
    row: 5,
    name: `${act}, ${size === 'few' ? '1,000 threads' : 'many threads'}`,
    unit: 'ms',
  };
}

async function openPlace(
  { threads, profileDir }: Bench,
  name: 'pg' | 'embedded' | 'peer',
  size: Place['size'],
): Promise<Place> {
  const store = await createStore(name);
  const isPeer = name === 'peer';
  const count = size === 'few' ? FEW : isPeer ? PEER_MANY : threads;
  if (!isPeer) await fill(store, count);
  const server = await startServer(name, { store, profileDir });
  if (isPeer) {
    await concurrently(CREATORS, async (i) => {
      if (i < count) await server.client.createThread(metadataOf(i, count));
      return i < count;
    });
  }
  const { client } = server;
  const plainId = await client.createThread({ tenant: 'one' });
  return { ...server, store, size, plainId, longId: await createLongThread(client) };
}

const metadataOf = (i: number, count: number) => ({
  tenant: 'one',
  group: i % 100,
  ...(i % (count / RARE) === 0 && { rare: true }),
});

/** Inserts rows into the table. The API would take minutes. */
async function fill({ databaseUrl, dataDir }: Store, count: number): Promise<void> {
  const config = { ...readConfig({}), databaseUrl, dataDir: path.join(dataDir, 'data') };
  const { sql: database, close } = await openDatabase(config, createLogger('silent'));
  try {
    await database.query(
      sql`INSERT INTO "Thread" ("id", "metadata", "createdAt", "updatedAt")
       SELECT gen_random_uuid(),
         jsonb_build_object('tenant', 'one', 'group', i % 100)
           || CASE WHEN i % (${count}::int / ${RARE}::int) = 0 THEN '{"rare": true}'::jsonb ELSE '{}'::jsonb END,
         now() - (${count}::int - i) * interval '1 second', now() - (${count}::int - i) * interval '1 second'
       FROM generate_series(0, ${count}::int - 1) i`,
    );
    await database.query(sql`VACUUM ANALYZE "Thread"`);
  } finally {
    await close();
  }
}

async function createLongThread(client: Client): Promise<string> {
  const id = await client.createEdited();
  for (let i = 0; i < EDITS; i++) {
    // The first edits add two messages each.
    const count = i < MESSAGES - EDITS ? 2 : 1;
    await client.edit(
      id,
      Array.from({ length: count }, (_, j) => `Message ${i}.${j} of many.`),
    );
  }
  return id;
}
