import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { Bench } from './bench.ts';
import { renderGoals } from './goals.ts';
import { calibrate, describeMachine, loadAverage } from './machine.ts';
import { installPeer } from './peer.ts';
import { number, renderRow, writeReport } from './report.ts';
import { createResults } from './results.ts';
import { measureProcesses } from './rows/processes.ts';
import { measureStores } from './rows/store.ts';
import { measureSubscriptions } from './rows/subscription.ts';
import { measureThreads } from './rows/threads.ts';
import { measureThroughput } from './rows/throughput.ts';
import { measureTokens } from './rows/tokens.ts';
import { measureWaits } from './rows/wait.ts';
import type { ServerName } from './servers.ts';

// npm run bench -- --rows 1,3 --rounds 5 --only pg,peer --out test/bench/RESULTS.md

const ROWS: Record<number, (bench: Bench) => Promise<void>> = {
  1: measureWaits,
  2: measureThroughput,
  3: measureSubscriptions,
  4: measureTokens,
  5: measureThreads,
  6: measureStores,
  7: measureProcesses,
};
const SERVERS: readonly ServerName[] = ['pg', 'rest', 'embedded', 'peer', 'embed'];
const FLOORS: readonly ServerName[] = ['graph', 'transport'];

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: Object.keys(ROWS).join(',') },
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: '200000' },
    runs: { type: 'string', default: '10000' },
    only: { type: 'string', default: SERVERS.join(',') },
    out: { type: 'string' },
    profile: { type: 'string' },
  },
});
const say = (line: string) => process.stderr.write(`${line}\n`);
const rows = values.rows.split(',').map(Number);
const only = values.only.split(',') as ServerName[];
const unknown = [
  ...rows.filter((row) => !ROWS[row]),
  ...only.filter((name) => ![...SERVERS, ...FLOORS].includes(name)),
];
if (unknown.length > 0) throw new Error(`There is no ${unknown.join(', ')}.`);

// A killed benchmark also kills its servers. Each server listens for this signal.
process.setMaxListeners(0);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(1));

installPeer(say);
if (values.profile) await mkdir(values.profile, { recursive: true });

const results = createResults();
const bench: Bench = {
  results,
  rounds: Number(values.rounds),
  threads: Number(values.threads),
  runs: Number(values.runs),
  only: [...only, ...FLOORS],
  profileDir: values.profile && path.resolve(values.profile),
  say,
};
const began = Date.now();
const loadBefore = loadAverage();
const calibrations = [calibrate(), calibrate()];
const durations: string[] = [];
const tables: string[] = [];
for (const row of rows) {
  const rowBegan = performance.now();
  try {
    await ROWS[row]?.(bench);
  } catch (error) {
    // The remaining rows are still useful.
    results.note(row, `**Not measured to its end**: ${String(error)}`);
    process.exitCode = 1;
  }
  durations.push(`row ${row} ${Math.round((performance.now() - rowBegan) / 1000)} s`);
  calibrations.push(calibrate());
  const table = renderRow(results, row);
  tables.push(table);
  process.stdout.write(`${table}\n`);
}

const command = `npm run bench${['', ...process.argv.slice(2)].join(' ').replace(/^ /, ' -- ')}`;
const head = [
  '# Speed\n',
  `\`${command}\`, ${new Date(began).toISOString().slice(0, 10)}, ${Math.round((Date.now() - began) / 1000)} s\n`,
  ...(await describeMachine()).map((line) => `- ${line}`),
  `- Load average before: ${loadBefore}. A calibrating loop, before and after each row: ${calibrations.map(number).join(', ')} ms`,
  `- ${durations.join(', ')}`,
  '',
].join('\n');
const goals = renderGoals(results);
const report = [head, ...tables, goals].join('\n');
if (values.out) await writeReport(values.out, report);
process.stdout.write(`${goals}\n${head}\n`);
