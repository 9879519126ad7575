import type { Client } from './client.ts';
import { concurrently } from './concurrently.ts';
import type { GraphName } from './graphs/factory.ts';
import type { GraphFloor, Server, ServerName } from './servers.ts';
import { startGraphFloor, startServer } from './servers.ts';
import type { Results } from './results.ts';

/** What a row's measurements need. */
export interface Bench {
  results: Results;
  rounds: number;
  /** Threads in the large store of row 5. */
  threads: number;
  /** Runs in the large store of row 6. */
  runs: number;
  /** The servers to measure. */
  only: readonly ServerName[];
  profileDir: string | undefined;
  say(line: string): void;
}

/** The servers of a row, each in a process of its own, with a store of its own, and warm. */
export interface Fleet extends AsyncDisposable {
  /** In the order in which this round measures them: another one each time. */
  inTurn(round: number): Server[];
  /** Undefined where it is not asked for. */
  graph: GraphFloor | undefined;
}

type Served = Exclude<ServerName, 'graph'>;

/** What a server does before it is measured: until then a good part of its time is the compiler's. */
const WARM_UP = [
  { graph: 'echo', seconds: 5, floorRuns: 1500 },
  { graph: 'steps10', seconds: 2, floorRuns: 150 },
] as const;
const WARM_UP_CONCURRENCY = 16;
/** More runs than any server makes of a second. */
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
    // One after the other: each of them loads with all there is.
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

/** Waits for runs, so many at a time, for so long. */
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

/** Milliseconds that `act` takes. */
export async function timed(act: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await act();
  return performance.now() - began;
}

/** Milliseconds of each of `count` acts, one after the other. */
export async function timedEach(
  count: number,
  act: (i: number) => Promise<unknown>,
): Promise<number[]> {
  const samples: number[] = [];
  for (let i = 0; i < count; i++) samples.push(await timed(() => act(i)));
  return samples;
}
