import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CHAOS_TABLES, describeRuns, findViolations, type Violation } from './check.ts';
import { startClients, type Story } from './clients.ts';
import { createFaults, LEASE_SECONDS } from './faults.ts';
import { openChaosDatabase, type ChaosDatabase } from './postgres.ts';
import { createRandom } from './random.ts';
import { createChaosServer } from './servers.ts';

export interface ChaosOptions {
  cycles: number;
  seed: number;
  /** The PostgreSQL server for a database, if this machine cannot start a new server. */
  databaseUrl: string | undefined;
  signal: AbortSignal;
  /** Called for every fault. */
  onProgress?: (what: string) => void;
}

export interface ChaosReport {
  /** One line. */
  summary: string;
  /** More lines: the events, and the violations. */
  details: string[];
  violations: Violation[];
}

const GRAPHS_FILE = path.join(import.meta.dirname, 'langgraph.json');
const THREADS = 10;
const CLIENTS = 12;
/** The time for runs to end after the last fault. */
const DRAIN_MS = 180_000;
const LOOK_MS = 50;
const RUNS_PER_CYCLE = 5;
const PROGRESS_MS = 10_000;

/** Breaks parts of the system in sequence while clients work, and reports violated promises. */
export async function runChaos({
  cycles,
  seed,
  databaseUrl,
  signal: given,
  onProgress = () => {},
}: ChaosOptions): Promise<ChaosReport> {
  const over = new AbortController();
  const signal = AbortSignal.any([given, over.signal]);
  const stopping = new AbortController();
  const surprises: string[] = [];

  await using database = await openChaosDatabase(databaseUrl);
  const env = {
    DATABASE_URL: database.url,
    CHAOS_DATABASE_URL: database.url,
    THREADQL_CONFIG: GRAPHS_FILE,
    LEASE_SECONDS: String(LEASE_SECONDS),
    LOG_LEVEL: 'warn',
    SHUTDOWN_GRACE_SECONDS: '2',
  };
  const onDeath = (reason: string) => surprises.push(reason);
  // The API process has a few slots: the followers of its own runs read from memory.
  await using api = await createChaosServer({
    name: 'the API process',
    env: { ...env, WORKER_CONCURRENCY: '2' },
    onDeath,
  });
  await using worker1 = await createChaosServer({ name: 'worker 1', env, onDeath });
  await using worker2 = await createChaosServer({ name: 'worker 2', env, onDeath });
  const workers = [worker1, worker2];
  await api.start();
  await database.query(CHAOS_TABLES);
  await Promise.all(workers.map((worker) => worker.start()));
  onProgress('all processes are up');

  const { story, ended } = await startClients({
    url: api.url,
    seed,
    clients: CLIENTS,
    threads: THREADS,
    stopping: stopping.signal,
    signal,
  });
  ended.catch(() => {}); // it is awaited below
  const faults = createFaults(
    { database, api, workers, onSurprise: (what) => surprises.push(what) },
    createRandom(seed),
  );
  const counts = new Map<string, number>();
  for (let cycle = 1; cycle <= cycles; cycle++) {
    given.throwIfAborted();
    await progress(story);
    const fault = await faults.next();
    counts.set(fault, (counts.get(fault) ?? 0) + 1);
    onProgress(`${cycle}: ${fault}`);
  }
  stopping.abort();
  await faults.whenHealed();
  onProgress('nothing is broken any more');

  const stuck = setTimeout(() => over.abort(new Error('Runs did not end.')), DRAIN_MS);
  await ended.finally(() => clearTimeout(stuck));
  await drain(database);
  onProgress('all runs have ended');

  const logs = await readLogs(api.url, story);
  const violations = await findViolations(database, story, logs);
  violations.push(...surprises.map((what): Violation => ({ kind: 'other', what })));
  const ends = await describeRuns(database);
  return report({ cycles, counts, ends, story, violations, servers: [api, ...workers] });
}

/** Waits for a few more runs as targets of the next fault. */
async function progress({ runs }: Story): Promise<void> {
  const enough = runs.length + RUNS_PER_CYCLE;
  for (const end = Date.now() + PROGRESS_MS; Date.now() < end; await sleep(LOOK_MS)) {
    if (runs.length >= enough) return;
  }
}

async function drain(database: ChaosDatabase): Promise<void> {
  for (const end = Date.now() + DRAIN_MS; Date.now() < end; await sleep(LOOK_MS)) {
    const rows = await database.query(
      `SELECT 1 FROM "Run" WHERE "status" IN ('PENDING', 'RUNNING') LIMIT 1`,
    );
    if (rows.length === 0) return;
  }
}

/** Reads the threads' logs through the API. */
async function readLogs(url: string, { threadIds }: Story): Promise<Map<string, string[]>> {
  const logs = new Map<string, string[]>();
  for (const id of threadIds) {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        query: `query ($id: ID!) { thread(id: $id) { values } }`,
        variables: { id },
      }),
    });
    const { data } = (await response.json()) as { data: any };
    logs.set(id, data.thread.values.log ?? []);
  }
  return logs;
}

interface Outcome {
  cycles: number;
  counts: Map<string, number>;
  ends: string;
  story: Story;
  violations: Violation[];
  servers: { name: string; output(): string }[];
}

function report({ cycles, counts, ends, story, violations, servers }: Outcome): ChaosReport {
  const count = (kind: Violation['kind']) => violations.filter((each) => each.kind === kind).length;
  const other = count('other');
  const { runs, cancels, followed, reconnects } = story;
  const answers = runs.filter(({ answer }) => answer).length;
  return {
    summary: `${cycles} kills, ${runs.length} runs, ${count('lost')} lost, ${count('repeated')} repeated, ${count('gap')} gaps${other > 0 ? `, ${other} other` : ''}`,
    details: [
      ...Array.from(counts, ([fault, times]) => `${times} × ${fault}`),
      ends,
      `${answers} answers, ${cancels.length} cancellations, ${followed.length} followers, ${reconnects} reconnects`,
      ...violations.map(({ kind, what }) => `${kind.toUpperCase()}: ${what}`),
      ...(violations.length > 0 ? servers.map(({ name, output }) => `${name}:\n${output()}`) : []),
    ],
    violations,
  };
}
