import { describe, expect, inject, it } from 'vitest';
import { runChaos } from './chaos/chaos.ts';

/** The test takes a minute and a half on a quiet machine. */
const LONGEST_MS = 1_800_000;

const CYCLES = 20;

describe.runIf(inject('database') === 'postgres')('what is promised of runs', () => {
  it(
    'is kept while processes are killed, connections broken and PostgreSQL restarted',
    { timeout: LONGEST_MS },
    async ({ signal }) => {
      // A new seed each time. The failure names it for `npm run chaos -- --seed`.
      const seed = Date.now() % 1_000_000;
      const databaseUrl = inject('testDatabaseUrl');
      const { summary, details } = await runChaos({ cycles: CYCLES, seed, databaseUrl, signal });
      expect(summary, [`seed ${seed}`, ...details].join('\n')).toMatch(
        /^20 kills, \d+ runs, 0 lost, 0 repeated, 0 gaps$/,
      );
    },
  );
});
