import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, Fleet } from '../bench.ts';
import { startFleet, timed } from '../bench.ts';
import { CHUNKS } from '../graphs/factory.ts';
import type { Measure } from '../results.ts';
import type { Server } from '../servers.ts';

// Row 4: streams and their subscribers.

const STREAMS = 10;
const PEER_STREAMS = 3;
const AT_ONCE = 16;
const SUBSCRIBERS = 100;
const SUBSCRIBER_ROUNDS = 2;
const IDLE = 1000;
/** The time until all clients have subscribed. */
const AFTER_SECONDS = 2;
const PACED = { count: 80, pauseMs: 50 };
const UNPACED = { count: CHUNKS, pauseMs: 0 };
const IDLE_SECONDS = 3600;
const SETTLE_MS = 3000;

const MEASURES = {
  one: { row: 4, name: 'first to last of 200 chunks', unit: 'ms', floor: 'transport' },
  many: { row: 4, name: 'tokens of 16 streams, to the end', unit: 'per s', floor: 'graph' },
  delivered: {
    row: 4,
    name: '100 subscribers of one run, 20 tokens/s: delivered',
    unit: 'per s',
    floor: 'transport',
  },
  delay: { row: 4, name: '… from saying it to getting it', unit: 'ms', floor: 'transport' },
  cost: {
    row: 4,
    name: "… server's processor time for each",
    unit: 'µs',
    floor: 'transport',
  },
  burst: {
    row: 4,
    name: '100 subscribers, 200 tokens at once: delivered',
    unit: 'per s',
    floor: 'transport',
  },
  idle: { row: 4, name: 'memory of an idle subscriber', unit: 'KiB', floor: 'transport' },
} as const satisfies Record<string, Measure>;

export async function measureTokens(bench: Bench): Promise<void> {
  const names = ['pg', 'rest', 'embedded', 'peer', 'embed', 'graph', 'transport'] as const;
  await using fleet = await startFleet(bench, names);
  bench.results.note(
    4,
    'Subscribers have a connection each; of the peer they join a resumable run. The embed server has no runs to join.',
  );
  for (let round = 0; round <= bench.rounds; round++) {
    await measureStreams(bench, fleet, round);
  }
  bench.say('streams');
  for (let round = 0; round < Math.min(bench.rounds, SUBSCRIBER_ROUNDS); round++) {
    for (const server of fleet.inTurn(round)) {
      if (server.name !== 'embed') await measureSubscribers(bench, server);
    }
  }
  bench.say('subscribers');
  await measureIdles(bench);
  bench.say('idle subscribers');
}

async function measureStreams({ results }: Bench, fleet: Fleet, round: number): Promise<void> {
  for (const { name, client } of fleet.inTurn(round)) {
    const count = name === 'peer' ? PEER_STREAMS : STREAMS;
    const ids = await client.freshThreads(count + AT_ONCE);
    const follow = (id: string) => client.follow('tokens', id, 'websocket');
    const spans: number[] = [];
    const countChunks = (chunks: number) => {
      if (chunks >= CHUNKS) return;
      results.note(4, `${name} lost tokens: of 200, ${chunks} came at the least.`);
    };
    for (const id of ids.slice(AT_ONCE)) {
      const { chunks, chunksMs } = await follow(id);
      countChunks(chunks);
      spans.push(chunksMs);
    }
    const tookMs = await timed(async () => {
      const followed = await Promise.all(ids.slice(0, AT_ONCE).map(follow));
      countChunks(Math.min(...followed.map(({ chunks }) => chunks)));
    });
    if (round === 0) continue;
    results.add(MEASURES.one, name, spans);
    results.add(MEASURES.many, name, [tokensPerSecond(tookMs)]);
  }
  const task = { graph: 'tokens', count: AT_ONCE, concurrency: AT_ONCE, stream: true } as const;
  const times = await fleet.graph?.run(task);
  if (round > 0 && times) results.add(MEASURES.many, 'graph', [tokensPerSecond(times.totalMs)]);
}

function tokensPerSecond(tookMs: number): number {
  return ((AT_ONCE * CHUNKS) / tookMs) * 1000;
}

async function measureSubscribers({ results }: Bench, server: Server): Promise<void> {
  const { name, process } = server;
  const cpuMs = await process.cpuMs();
  const paced = await subscribeMany(server, PACED);
  const spentMs = (await process.cpuMs()) - cpuMs;
  results.add(MEASURES.delivered, name, [paced.perSecond]);
  results.add(MEASURES.delay, name, paced.delays);
  results.add(MEASURES.cost, name, [(spentMs * 1000) / paced.delays.length]);
  const burst = await subscribeMany(server, UNPACED);
  results.add(MEASURES.burst, name, [burst.perSecond]);
}

/** All clients subscribe to a run with a later start, and follow it to its end. */
async function subscribeMany(
  { name, client }: Server,
  input: typeof PACED,
): Promise<{ perSecond: number; delays: number[] }> {
  const [threadId = ''] = await client.freshThreads(1);
  const run = await client.start('tokens', threadId, { input, afterSeconds: AFTER_SECONDS });
  const delays: number[] = [];
  let [first, last] = [Infinity, 0];
  const subscriptions = await Promise.all(
    Array.from({ length: SUBSCRIBERS }, () =>
      client.subscribe(run, (text) => {
        const now = Date.now();
        delays.push(now - Number(text));
        first = Math.min(first, performance.now());
        last = performance.now();
      }),
    ),
  );
  await Promise.all(subscriptions.map(({ ended }) => ended));
  await Promise.all(subscriptions.map(({ close }) => close()));
  if (delays.length < SUBSCRIBERS * input.count) {
    throw new Error(`${name} delivered ${delays.length} of ${SUBSCRIBERS * input.count} tokens.`);
  }
  return { perSecond: (delays.length / (last - first)) * 1000, delays };
}

/** On new servers, so there is no other load. */
async function measureIdles(bench: Bench): Promise<void> {
  await using fleet = await startFleet(bench, ['pg', 'rest', 'embedded', 'peer', 'transport']);
  for (const server of fleet.inTurn(0)) await measureIdle(bench, server);
}

async function measureIdle({ results }: Bench, { name, client, process }: Server): Promise<void> {
  const [threadId = ''] = await client.freshThreads(1);
  const run = await client.start('echo', threadId, { afterSeconds: IDLE_SECONDS, input: {} });
  const subscribe = () => client.subscribe(run, () => {});
  const few = await Promise.all(Array.from({ length: SUBSCRIBERS }, subscribe));
  const before = await process.heldMiB();
  const subscriptions = await Promise.all(Array.from({ length: IDLE }, subscribe));
  // The server does not acknowledge a subscription to an idle run.
  await sleep(SETTLE_MS);
  const after = await process.heldMiB();
  results.add(MEASURES.idle, name, [((after - before) * 1024) / IDLE]);
  const all = [...few, ...subscriptions];
  for (const { ended } of all) ended.catch(() => {});
  await Promise.all(all.map(({ close }) => close()));
}
