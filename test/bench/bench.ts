import type { Client } from './client.ts';
import { concurrently } from './concurrently.ts';
import type { GraphName } from './graphs/factory.ts';
import type { GraphFloor, Server, ServerName } from './servers.ts';
import { startGraphFloor, startServer } from './servers.ts';
import type { Results } from './results.ts';

/** The settings of the measurements. */
export interface Bench {
  results: Results;
  rounds: number;
  /** Threads in the large store of row 5. */
  threads: number;
  /** Runs in the large store of row 6. */
  runs: number;
  /** The measured servers. */
  only: readonly ServerName[];
  profileDir: string | undefined;
  say(line: string): void;
}

/** The servers of a row, warm, each with its own process and its own store. */
export interface Fleet extends AsyncDisposable {
  /** In the order of measurement of this round. The order changes each round. */
  inTurn(round: number): Server[];
  /** Undefined if it is not requested. */
  graph: GraphFloor | undefined;
}

type Served = Exclude<ServerName, 'graph'>;

/** The work before a measurement. Until then, the compiler takes a large part of a server's time. */
const WARM_UP = [
  { graph: 'echo', seconds: 5, floorRuns: 1500 },
  { graph: 'steps10', seconds: 2, floorRuns: 150 },
] as const;
const WARM_UP_CONCURRENCY = 16;
/** More runs than any server completes in a second. */
const MOST_PER_SECOND = 250;

export async function startFleet(
  { only, profileDir }: Bench,
  names: readonly ServerName[],
): Promise<Fleet> {
  const wanted = names.filter((name) => only.includes(name));
  const served = wanted.filter((name): name is Served => name !== 'graph');
  const servers: Server[] = [];
  let graph: GraphFloor | undefined;
  const end = async () => {
    await Promise.all([...servers, ...(graph ? [graph] : [])].map((s) => s[Symbol.asyncDispose]()));
  };
  try {
    // In sequence, because each preparation uses the whole machine.
    for (const name of served) servers.push(await startServer(name, { profileDir }));
    if (wanted.includes('graph')) graph = await startGraphFloor();
    for (const { graph: name, seconds, floorRuns } of WARM_UP) {
      const concurrency = WARM_UP_CONCURRENCY;
      for (const { client } of servers) await runsPerSecond(client, name, { concurrency, seconds });
      await graph?.run({ graph: name, count: floorRuns, concurrency });
    }
  } catch (error) {
    await end();
    throw error;
  }
  return {
    inTurn: (round) => servers.map((_, i) => servers[(i + round) % servers.length] as Server),
    graph,
    [Symbol.asyncDispose]: end,
  };
}

/** Waits for runs, with a number of runs in parallel, for a period. */
export async function runsPerSecond(
  client: Client | readonly Client[],
  graph: GraphName,
  { concurrency, seconds }: { concurrency: number; seconds: number },
): Promise<number> {
  const clients = [client].flat();
  const [first] = clients;
  if (!first) return NaN;
  const ids = await first.freshThreads(Math.ceil(seconds * MOST_PER_SECOND));
  const end = performance.now() + seconds * 1000;
  let done = 0;
  const tookMs = await timed(() =>
    concurrently(concurrency, async (i) => {
      const id = ids[i];
      if (performance.now() >= end || !id) return false;
      await (clients[i % clients.length] ?? first).wait(graph, id);
      done++;
      return true;
    }),
  );
  return (done / tookMs) * 1000;
}

/** Returns the milliseconds of `act`. */
export async function timed(act: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await act();
  return performance.now() - began;
}

/** Returns the milliseconds of each of `count` acts in sequence. */
export async function timedEach(
  count: number,
  act: (i: number) => Promise<unknown>,
): Promise<number[]> {
  const samples: number[] = [];
  for (let i = 0; i < count; i++) samples.push(await timed(() => act(i)));
  return samples;
}
