import type { Bench } from '../bench.ts';
import { startFleet } from '../bench.ts';
import type { Followed } from '../client.ts';
import type { Measure } from '../results.ts';
import type { Server } from '../servers.ts';

// Row 3: a run is started and followed to its end.

const RUNS = 30;
const PEER_RUNS = 6;

const MOMENTS: { name: string; of(followed: Followed): number }[] = [
  { name: 'first event', of: ({ firstEventMs }) => firstEventMs },
  { name: 'first update', of: ({ firstUpdateMs }) => firstUpdateMs },
  { name: 'last event to completion', of: ({ completionMs }) => completionMs },
];

export async function measureSubscriptions(bench: Bench): Promise<void> {
  const { results, rounds, say } = bench;
  await using fleet = await startFleet(bench, [
    'pg',
    'rest',
    'embedded',
    'peer',
    'embed',
    'transport',
  ]);
  results.note(
    3,
    'Graph `echo`. The SDK streams over SSE: both lines of the peer and of REST are the same.',
  );
  results.note(
    3,
    'Over a WebSocket the bare transport sends the last event and the completion in one go: a ratio to almost nothing.',
  );
  results.note(
    3,
    'Each starts and follows the run with one request: streamRun, and runs.stream of the SDK.',
  );

  async function follow({ name, client }: Server, transport: 'websocket' | 'sse') {
    const count = name === 'peer' ? PEER_RUNS : RUNS;
    const ids = await client.freshThreads(count);
    const followed: Followed[] = [];
    for (const id of ids) followed.push(await client.follow('echo', id, transport));
    return followed;
  }

  const isSdk = ({ name }: Server) => ['rest', 'peer', 'embed'].includes(name);
  for (let round = 0; round <= rounds; round++) {
    for (const server of fleet.inTurn(round)) {
      for (const transport of ['websocket', 'sse'] as const) {
        // A single measurement is enough if both are equal.
        if (isSdk(server) && transport === 'websocket') continue;
        const followed = await follow(server, transport);
        if (round === 0) continue;
        for (const shown of isSdk(server) ? (['websocket', 'sse'] as const) : [transport]) {
          for (const { name, of } of MOMENTS) {
            const measure: Measure = {
              row: 3,
              name: `${name}, ${shown === 'sse' ? 'SSE' : 'WebSocket'}`,
              unit: 'ms',
              floor: 'transport',
            };
            results.add(measure, server.name, followed.map(of));
          }
        }
      }
    }
    say(`subscriptions, round ${round} of ${rounds}`);
  }
}
