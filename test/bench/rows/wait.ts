import type { Bench } from '../bench.ts';
import { startFleet, timedEach } from '../bench.ts';
import type { GraphName } from '../graphs/factory.ts';
import type { Measure } from '../results.ts';
import type { Server } from '../servers.ts';

// Row 1: runs in sequence, each with `wait`.

const CASES: { graph: GraphName; isStateless: boolean; measure: Measure }[] = [
  { graph: 'echo', isStateless: false, name: 'waited echo' },
  { graph: 'steps10', isStateless: false, name: 'waited steps10' },
  { graph: 'echo', isStateless: true, name: 'waited stateless echo' },
].map(({ name, ...rest }) => ({
  ...rest,
  graph: rest.graph as GraphName,
  measure: { row: 1, name, unit: 'ms', floor: 'both' },
}));

const RUNS = 40;
/** A run of the peer takes half a second. */
const PEER_RUNS = 6;

export async function measureWaits(bench: Bench): Promise<void> {
  const { results, rounds, say } = bench;
  await using fleet = await startFleet(bench, [
    'pg',
    'rest',
    'embedded',
    'peer',
    'embed',
    'graph',
    'transport',
  ]);
  results.note(1, 'A fresh thread each, which the run creates; of the embed server it exists.');

  async function sample({ name, client }: Server, { graph, isStateless }: (typeof CASES)[number]) {
    const count = name === 'peer' ? PEER_RUNS : RUNS;
    const ids = isStateless ? [] : await client.freshThreads(count);
    return timedEach(count, (i) => client.wait(graph, ids[i]));
  }

  for (const each of CASES) {
    // The first round warms up.
    for (let round = 0; round <= rounds; round++) {
      for (const server of fleet.inTurn(round)) {
        const samples = await sample(server, each);
        if (round > 0) results.add(each.measure, server.name, samples);
      }
      const times = await fleet.graph?.run({ graph: each.graph, count: RUNS, concurrency: 1 });
      if (round > 0 && times) results.add(each.measure, 'graph', times.each);
    }
    say(each.measure.name);
  }
}
