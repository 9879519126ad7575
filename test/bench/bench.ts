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

/** The servers of a row, each in a process of its own, with an empty store. */
export interface Fleet extends AsyncDisposable {
  /** In the order in which this round measures them: another one each time. */
  inTurn(round: number): Server[];
  /** Undefined where it is not asked for. */
  graph: GraphFloor | undefined;
}

type Served = Exclude<ServerName, 'graph'>;

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
