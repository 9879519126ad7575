import { inject } from 'vitest';
import type { Config } from '../../src/config.ts';
import { startTestServer, type TestApp } from './app.ts';
import { createTestDatabase } from './databases.ts';

/** How long a test may take that starts several: each takes seconds on a machine that is busy. */
export const SEVERAL_STARTS_MS = 120_000;

/** Whether several servers can share a database. */
const canShare = inject('database') === 'postgres';

/** Two servers on one database of their own; twice the same one where the database cannot be shared. */
export async function createTwoServers(
  settings: Partial<Config> = {},
): Promise<{ servers: [TestApp, TestApp] } & AsyncDisposable> {
  const database = await createTestDatabase();
  const first = await startTestServer(database, settings);
  const second = canShare ? await startTestServer(database, settings) : first;
  return {
    servers: [first, second],
    async [Symbol.asyncDispose]() {
      await first.stop();
      await second.stop();
      await database.dispose();
    },
  };
}
