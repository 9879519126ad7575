import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, Fleet } from '../bench.ts';
import { runsPerSecond, startFleet, timed } from '../bench.ts';
import type { Client } from '../client.ts';
import { concurrently } from '../concurrently.ts';
import type { GraphName } from '../graphs/factory.ts';
import type { Measure } from '../results.ts';

// Row 2: parallel runs on different threads.

const SECONDS = 1.5;
const WARM_UP_SECONDS = 0.7;
const DRAINED = 500;
/** The peer needs eight seconds. */
const DRAINS = 2;
const CREATORS = 16;
const LOOK_MS = 25;
const FLOOR_RUNS: Record<GraphName, number> = { echo: 800, steps10: 200, slow: 300, tokens: 20 };

export async function measureThroughput(bench: Bench): Promise<void> {
  const { results, rounds, say } = bench;
  await using fleet = await startFleet(bench, ['pg', 'rest', 'embedded', 'peer', 'embed', 'graph']);
  results.note(
    2,
    'Every server as it comes: threadql executes 50 runs at a time, the peer 10, the embed server as many as come. `slow` waits 50 ms in each of 2 nodes.',
  );
  for (const graph of ['echo', 'steps10', 'slow'] as const) {
    for (const concurrency of [16, 64]) {
      const measure: Measure = {
        row: 2,
        name: `${graph}, ${concurrency} at once`,
        unit: 'per s',
        floor: 'graph',
      };
      for (let round = 0; round <= rounds; round++) {
        const seconds = round === 0 ? WARM_UP_SECONDS : SECONDS;
        for (const { name, client } of fleet.inTurn(round)) {
          const perSecond = await runsPerSecond(client, graph, { concurrency, seconds });
          if (round > 0) results.add(measure, name, [perSecond]);
        }
        const count = FLOOR_RUNS[graph];
        const times = await fleet.graph?.run({ graph, count, concurrency });
        if (round > 0 && times) results.add(measure, 'graph', [(count / times.totalMs) * 1000]);
      }
      say(measure.name);
    }
  }
  for (const graph of ['echo', 'steps10'] as const) await measureDrained(bench, fleet, graph);
}

async function measureDrained(bench: Bench, fleet: Fleet, graph: GraphName): Promise<void> {
  const { results, rounds, say } = bench;
  const drained: Measure = { row: 2, name: `${graph}, ${DRAINED} drained`, unit: 'per s' };
  const creating: Measure = { row: 2, name: `${graph}, createRun meanwhile`, unit: 'ms' };
  // The first round warms up.
  for (let round = 0; round <= Math.min(rounds, DRAINS); round++) {
    for (const { name, client } of fleet.inTurn(round)) {
      if (name === 'embed') continue;
      const { latencies, tookMs } = await drain(client, graph, DRAINED);
      if (round === 0) continue;
      results.add(drained, name, [(DRAINED / tookMs) * 1000]);
      results.add(creating, name, latencies);
    }
  }
  say(drained.name);
}

/** Creates runs in the background, and waits for the end of all runs. */
export async function drain(
  client: Client,
  graph: GraphName,
  count: number,
): Promise<{ latencies: number[]; tookMs: number }> {
  const ids = await client.freshThreads(count);
  const latencies: number[] = [];
  const tookMs = await timed(async () => {
    await concurrently(CREATORS, async (i) => {
      const id = ids[i];
      if (!id) return false;
      latencies.push(await timed(() => client.start(graph, id)));
      return true;
    });
    while (await client.isBusy()) await sleep(LOOK_MS);
  });
  return { latencies, tookMs };
}
