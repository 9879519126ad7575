import { runsPerSecond, type Bench } from '../bench.ts';
import type { Measure } from '../results.ts';
import { createStore, startServer } from '../servers.ts';

// Row 7: does a second process help?

const SECONDS = 3;
const WARM_UP_SECONDS = 5;
const CONCURRENCY = 64;

export async function measureProcesses(bench: Bench): Promise<void> {
  const { results, rounds, only, say } = bench;
  if (!only.includes('pg')) return;
  await using oneStore = await createStore('pg');
  await using twoStore = await createStore('pg');
  await using one = await startServer('pg', { store: oneStore });
  await using first = await startServer('pg', { store: twoStore });
  await using second = await startServer('pg', { store: twoStore });
  const fleets = { one: [one.client], two: [first.client, second.client] };

  for (const graph of ['slow', 'steps10'] as const) {
    for (let round = 0; round <= rounds; round++) {
      for (const [number, clients] of Object.entries(fleets)) {
        const measure: Measure = {
          row: 7,
          name: `${graph}, ${CONCURRENCY} at once, ${number === 'one' ? 'one process' : 'two processes'}`,
          unit: 'per s',
        };
        const seconds = round === 0 ? WARM_UP_SECONDS : SECONDS;
        const perSecond = await runsPerSecond(clients, graph, {
          concurrency: CONCURRENCY,
          seconds,
        });
        if (round > 0) results.add(measure, 'pg', [perSecond]);
      }
    }
    say(`${graph} on two processes`);
  }
  results.note(
    7,
    'Each process serves half of the clients and executes up to fifty runs at a time; the client and PostgreSQL share the cores with them.',
  );
}
