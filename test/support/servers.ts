import { inject } from 'vitest';
import type { Config } from '../../src/config.ts';
import { startTestServer, type TestApp } from './app.ts';
import { createTestDatabase } from './databases.ts';

/** The timeout of a test with several servers. Each start takes seconds on a busy machine. */
export const SEVERAL_STARTS_MS = 120_000;

/** Whether several servers can share a database. */
const canShare = inject('database') === 'postgres';

/** Starts two servers on one new database. On the embedded engine, both are the same server. */
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
