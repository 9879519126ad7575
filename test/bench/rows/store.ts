import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench } from '../bench.ts';
import type { Measure } from '../results.ts';
import type { Server } from '../servers.ts';
import { createStore, startServer } from '../servers.ts';
import type { Store } from '../stores.ts';
import { drain } from './throughput.ts';

// Row 6: memory, disk and start of a server.

type Stored = 'pg' | 'embedded' | 'peer';

const STARTS = 2;
const FEW = 1000;
const BATCH = 500;
const SETTLE_MS = 3000;
const KILLED = 50;
/** A second each. */
const KILLED_INPUT = { count: 20, pauseMs: 50 };
const KILL_AFTER_MS = 1500;
const RECOVER_WITHIN_MS = 40_000;
const LOOK_MS = 50;

const measureOf = (name: string, unit: Measure['unit']): Measure => ({ row: 6, name, unit });

export async function measureStores(bench: Bench): Promise<void> {
  const names = (['pg', 'embedded', 'peer'] as const).filter((name) => bench.only.includes(name));
  for (const name of names) {
    await measureStarts(bench, name);
    await measureGrowth(bench, name);
    await measureRecovery(bench, name);
    bench.say(name);
  }
  bench.results.note(
    6,
    "Memory is the server process' resident memory; the embedded database is in it, PostgreSQL is not.",
  );
}

async function measureStarts({ results, rounds }: Bench, name: Stored): Promise<void> {
  for (let round = 0; round < Math.min(rounds, STARTS); round++) {
    await using server = await startServer(name);
    results.add(measureOf('start on an empty store', 'ms'), name, [server.process.startedInMs]);
  }
}

async function measureGrowth(bench: Bench, name: Stored): Promise<void> {
  const { results, rounds, runs, say, profileDir } = bench;
  await using store = await createStore(name);
  {
    await using server = await startServer(name, { store, profileDir });
    let done = 0;
    for (const count of [FEW, runs]) {
      const size = count.toLocaleString('en-US');
      while (done < count) {
        const batch = Math.min(BATCH, count - done);
        const { latencies } = await drain(server.client, 'echo', batch);
        if (count === runs) {
          results.add(measureOf(`createRun on the way to ${size} runs`, 'ms'), name, latencies);
        }
        done += batch;
      }
      await noteSizes(bench, { server, store, size });
      say(`${name}: ${size} runs`);
    }
    const { tookMs } = await drain(server.client, 'echo', BATCH);
    const measure = measureOf(`echo drained, ${runs.toLocaleString('en-US')} runs stored`, 'per s');
    results.add(measure, name, [(BATCH / tookMs) * 1000]);
    const longest = Math.max(
      ...results.samples(`createRun on the way to ${runs.toLocaleString('en-US')} runs`, name),
    );
    results.note(6, `The longest createRun of ${name} took ${Math.round(longest)} ms.`);
  }
  for (let round = 0; round < Math.min(rounds, STARTS); round++) {
    await using server = await startServer(name, { store });
    const measure = measureOf(`start with ${runs.toLocaleString('en-US')} runs stored`, 'ms');
    results.add(measure, name, [server.process.startedInMs]);
  }
}

async function noteSizes(
  { results }: Bench,
  { server, store, size }: { server: Server; store: Store; size: string },
): Promise<void> {
  // The peer saves three seconds after the last request.
  await sleep(2 * SETTLE_MS);
  const { name, process } = server;
  results.add(measureOf(`memory after ${size} runs`, 'MiB'), name, [await process.rssMiB()]);
  const held = measureOf(`… after collecting garbage, ${size} runs`, 'MiB');
  results.add(held, name, [await process.heldMiB()]);
  results.add(measureOf(`disk after ${size} runs`, 'MiB'), name, [await store.sizeMiB()]);
}

async function measureRecovery({ results }: Bench, name: Stored): Promise<void> {
  await using store = await createStore(name);
  let ids: string[];
  {
    await using server = await startServer(name, { store });
    const { client, process } = server;
    ids = await client.freshThreads(KILLED);
    const input = { input: KILLED_INPUT };
    await Promise.all(ids.map((id) => client.start('tokens', id, input)));
    await sleep(KILL_AFTER_MS);
    await process.end('SIGKILL');
  }
  const began = performance.now();
  await using server = await startServer(name, { store });
  const { client } = server;
  while ((await client.isBusy()) && performance.now() - began < RECOVER_WITHIN_MS) {
    await sleep(LOOK_MS);
  }
  const tookMs = performance.now() - began;
  const states = await Promise.allSettled(ids.map((id) => client.state(id)));
  const ended = states.filter((state) => state.status === 'fulfilled' && state.value > 1).length;
  if (ended === KILLED) {
    results.add(measureOf('recovery of 50 killed runs', 's'), name, [tookMs / 1000]);
  } else {
    results.note(6, `Of 50 runs that were killed with their server, ${name} ended ${ended}.`);
  }
}
