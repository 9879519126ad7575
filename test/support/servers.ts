import path from 'node:path';
import { inject } from 'vitest';
import { readConfig, type Config } from '../../src/config.ts';
import { createLogger } from '../../src/log.ts';
import { startServer } from '../../src/server.ts';
import { createClients, type TestApp } from './app.ts';
import { createTestDatabase, type TestDatabase } from './databases.ts';

const GRAPHS_FILE = path.join(import.meta.dirname, 'langgraph.json');

/** How long a test may take that starts several: each takes seconds on a machine that is busy. */
export const SEVERAL_STARTS_MS = 120_000;

/** Whether several servers can share a database. */
const canShare = inject('database') === 'postgres';

/** A server on a database that may have been another's before. */
export async function startTestServer(
  { databaseUrl, dataDir }: TestDatabase,
  settings: Partial<Config> = {},
): Promise<TestApp> {
  const config: Config = {
    ...readConfig({}),
    port: 0,
    graphsFile: GRAPHS_FILE,
    databaseUrl,
    dataDir,
    poolSize: 5,
    shutdownGraceSeconds: 1,
    ...settings,
  };
  return createClients(
    await startServer(config, { log: createLogger('silent'), env: process.env }),
  );
}

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
