import { test } from 'vitest';
import type { Config } from '../../src/config.ts';
import { createTestApp, runningServers, startTestServer, type TestApp } from './app.ts';
import { createClient, type Client } from './client.ts';
import { createTestDatabase, type TestDatabase } from './databases.ts';
import { startServerProcess, type TestProcess } from './processes.ts';

interface Started {
  server: TestApp;
  client: Client;
}

/** Starts a server that stops when the test ends: on `database`, or on a database of its own. */
export type StartServer = (settings?: Partial<Config>, database?: TestDatabase) => Promise<Started>;

/** Starts a server in a process of its own, on this database. The process is killed when the test ends. */
export type StartProcess = (
  database: TestDatabase,
  env?: Record<string, string>,
) => Promise<TestProcess & { client: Client }>;

/**
 * The tests of a file share `server`, on a database of the file's own, and `client`, its client.
 * `it.override('settings', { … })` at the top of a file configures this server.
 * `it.extend('settings', { scope: 'file' }, { … })` gives a second `it` with a second server.
 * `ownDatabase` is a database for one test. It outlives the servers and processes of the test.
 */
export const it = test
  .extend('settings', { scope: 'file' }, {} as Partial<Config>)
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the names of the fixtures from the pattern
  .extend('database', { scope: 'file' }, async ({}, { onCleanup }) => {
    const database = await createTestDatabase();
    onCleanup(() => database.dispose());
    return database;
  })
  .extend('server', { scope: 'file' }, async ({ settings, database }, { onCleanup }) => {
    const server = await startTestServer(database, settings);
    sharedServers.add(server);
    onCleanup(() => server.stop());
    return server;
  })
  .extend('client', { scope: 'file' }, ({ server }) => createClient(server))
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the names of the fixtures from the pattern
  .extend('leaks', { auto: true }, ({}, { onCleanup }) => {
    const before = new Set(runningServers);
    onCleanup(async () => {
      const leaked = [...runningServers].filter(
        (server) => !before.has(server) && !sharedServers.has(server),
      );
      for (const server of leaked) await server.stop();
      if (leaked.length > 0) throw new Error(`The test left ${leaked.length} servers running.`);
    });
  })
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the names of the fixtures from the pattern
  .extend('ownDatabase', async ({}, { onCleanup }) => {
    const database = await createTestDatabase();
    onCleanup(() => database.dispose());
    return database;
  })
  .extend('startServer', ({ leaks: _ }, { onCleanup }): StartServer => {
    const started: TestApp[] = [];
    onCleanup(async () => {
      for (const server of started.toReversed()) await server.stop();
    });
    return async (settings, database) => {
      const server = await (database
        ? startTestServer(database, settings)
        : createTestApp(settings));
      started.push(server);
      return { server, client: createClient(server) };
    };
  })
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the names of the fixtures from the pattern
  .extend('startProcess', ({}, { onCleanup }): StartProcess => {
    const started: TestProcess[] = [];
    onCleanup(async () => {
      for (const each of started) await each.end('SIGKILL');
    });
    return async (database, env) => {
      const server = await startServerProcess(database, env);
      started.push(server);
      return { ...server, client: createClient(server.client) };
    };
  });

/** The servers of the `server` fixture, which stop at the end of the file. */
const sharedServers = new Set<TestApp>();
