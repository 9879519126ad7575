import { parseArgs } from 'node:util';
import { runChaos } from './chaos.ts';

// npm run chaos -- --cycles 300 --seed 7: causes faults, and reports whether the server kept its promises.

const { values } = parseArgs({ options: { cycles: { type: 'string' }, seed: { type: 'string' } } });
const cycles = Number(values.cycles ?? 20);
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const say = (line: string) => process.stdout.write(`${line}\n`);

const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => stopping.abort());

say(`seed ${seed}`);
const { summary, details, violations } = await runChaos({
  cycles,
  seed,
  databaseUrl: process.env['TEST_DATABASE_URL'],
  signal: stopping.signal,
  onProgress: say,
});
for (const line of [...details, summary]) say(line);
process.exitCode = violations.length > 0 ? 1 : 0;
