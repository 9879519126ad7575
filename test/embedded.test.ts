import { randomBytes } from 'node:crypto';
import { chmod, chown, lstat, mkdir, readdir, rename, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import pg from 'pg';
import { describe, expect, inject, onTestFinished } from 'vitest';
import { openEmbedded } from '../src/db/embedded.ts';
import type { Database } from '../src/db/open.ts';
import { param, sql } from '../src/db/sql.ts';
import { createLogger } from '../src/log.ts';
import { until } from './support/app.ts';
import { createTestDatabase, openTestDatabase, type TestDatabase } from './support/databases.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';
import { copyToDisk, mountSmallDisk } from './support/small-disk.ts';

const onPostgres = inject('database') === 'postgres';

/** Creates the files of a database and deletes them when the test ends. */
async function createFiles(): Promise<TestDatabase> {
  const files = await createTestDatabase();
  onTestFinished(() => files.dispose());
  return files;
}

async function open(): Promise<{ files: TestDatabase; database: Database }> {
  const files = await createFiles();
  const database = await openTestDatabase(files);
  onTestFinished(() => database.close());
  return { files, database };
}

describe.skipIf(onPostgres)('a value of the embedded database', () => {
  it('of many megabytes arrives as it was sent, both ways', async () => {
    const { database } = await open();
    const sent = randomBytes(20_000_000);
    const bytes = param(sent);
    const [row] = await database.sql.query<{ value: Buffer; bytes: number }>(
      sql`SELECT ${bytes}::bytea AS "value", octet_length(${bytes}::bytea) AS "bytes"`,
    );
    expect(row?.bytes).toBe(sent.length);
    expect(row?.value.equals(sent)).toBe(true);
  });

  it('arrives with its own answer among many that are asked for at once', async () => {
    const { database } = await open();
    const lengths = Array.from({ length: 200 }, (_, i) => (i * 7919) % 200_000);
    const rows = await Promise.all(
      lengths.map((length) =>
        database.sql.query<{ text: string }>(sql`SELECT repeat('x', ${length}::int) AS "text"`),
      ),
    );
    expect(rows.map(([row]) => row?.text.length)).toEqual(lengths);
  });
});

describe.skipIf(onPostgres)('a connection to the embedded database', () => {
  async function connectTwice(): Promise<[pg.Client, pg.Client]> {
    const files = await createFiles();
    const embedded = await openEmbedded(files.dataDir, createLogger('silent'));
    const clients: [pg.Client, pg.Client] = [
      new pg.Client(embedded.poolConfig),
      new pg.Client(embedded.poolConfig),
    ];
    onTestFinished(async () => {
      await Promise.all(clients.map((client) => client.end()));
      await embedded.close();
    });
    for (const client of clients) await client.connect();
    return clients;
  }

  const INSERT = `INSERT INTO "Thread" ("id") VALUES (gen_random_uuid())`;
  const COUNT = `SELECT count(*)::int AS "count" FROM "Thread"`;

  it('waits while another one has a transaction open', async () => {
    const [first, second] = await connectTwice();
    await first.query('BEGIN');
    const counted = second.query(COUNT);
    await first.query(INSERT);
    await first.query('COMMIT');
    expect((await counted).rows).toEqual([{ count: 1 }]);
  });

  it('takes back what it did when it breaks in a transaction, and others go on', async () => {
    const [first, second] = await connectTwice();
    first.on('error', () => {});
    await first.query('BEGIN');
    await first.query(INSERT);
    const counted = second.query(COUNT);
    first.connection.stream.destroy();
    expect((await counted).rows).toEqual([{ count: 0 }]);
  });
});

describe.skipIf(onPostgres)('the embedded engine', () => {
  // Fills the first file of the write-ahead log.
  const WRITE_ON = sql`SELECT pg_logical_emit_message(true, 'test', repeat(md5(random()::text), 700000))`;

  it('that broke is started again, with all that was committed, once its storage works', async () => {
    const { files, database } = await open();
    const { query } = database.sql;
    const log = path.join(files.dataDir, 'database/pg_wal');
    await query(sql`INSERT INTO "Thread" ("id") VALUES (gen_random_uuid())`);
    await rename(log, `${log}.away`);
    await expect(query(WRITE_ON)).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    // The next statement does not wait for the engine.
    await expect(query(sql`SELECT 1`)).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    await rename(`${log}.away`, log);
    const rows = await until(() => query(sql`SELECT * FROM "Thread"`).catch(() => undefined));
    expect(rows).toHaveLength(1);
    await query(WRITE_ON);
  });

  it('that broke does not keep the database from being closed', async () => {
    const { files, database } = await open();
    const log = path.join(files.dataDir, 'database/pg_wal');
    await rename(log, `${log}.away`);
    await expect(database.sql.query(WRITE_ON)).rejects.toThrow('cannot be reached');
    await database.close();
    expect(await readdir(files.dataDir)).toEqual(['database']);
  });
});

describe.skipIf(onPostgres)('a disk that is full', { timeout: SEVERAL_STARTS_MS }, () => {
  const WRITE_MUCH = sql`SELECT pg_logical_emit_message(true, 'test', repeat(md5(random()::text), 300000))`;

  it('holds runs back until there is room, and keeps all that was accepted', async ({
    skip,
    startServer,
  }) => {
    using disk = mountSmallDisk(200) ?? skip('Only root may mount a disk.');
    const files = await createFiles();
    const dataDir = copyToDisk(disk, files.dataDir);
    const { server, client } = await startServer({}, { ...files, dataDir });
    const gate = createGate();
    const { id } = await client.startRun({
      assistantId: 'gate',
      input: { log: [], file: gate.file },
    });
    const queued = await client.startRun({
      assistantId: 'slow',
      input: { ms: 1 },
      afterSeconds: 2,
    });
    await client.untilRunning(id);
    disk.fill();
    const isReady = async () => (await fetch(`${server.url}/ready`)).ok;
    // The database still has room in its own files, and fills them first.
    await until(async () => {
      await server.app.sql.query(WRITE_MUCH).catch(() => {});
      return !(await isReady());
    });
    await gate.open();
    disk.free();
    await until(isReady);
    expect(await client.untilEnded(id)).toMatchObject({ status: 'SUCCESS', error: null });
    expect(await client.untilEnded(queued.id)).toMatchObject({ status: 'SUCCESS', error: null });
    await server.stop();
  });

  it('does not keep the server from stopping, and what was accepted goes on after a start', async ({
    skip,
    startServer,
  }) => {
    using disk = mountSmallDisk(200) ?? skip('Only root may mount a disk.');
    const files = await createFiles();
    const database = { ...files, dataDir: copyToDisk(disk, files.dataDir) };
    const first = await startServer({}, database);
    const gate = createGate();
    const { id } = await first.client.startRun({
      assistantId: 'gate',
      input: { log: [], file: gate.file },
    });
    await first.client.untilRunning(id);
    disk.fill();
    await until(async () => !(await first.server.app.sql.query(WRITE_MUCH).catch(() => undefined)));
    await first.server.stop();
    disk.free();
    await gate.open();
    const second = await startServer({ leaseSeconds: 1 }, database);
    expect(await second.client.untilEnded(id)).toMatchObject({ status: 'SUCCESS' });
    await second.server.stop();
  });
});

describe.skipIf(onPostgres || process.platform === 'win32')('the data directory', () => {
  /** Returns the permissions of a directory and its contents, without repetitions. */
  async function permissionsIn(directory: string): Promise<string[]> {
    const names = ['.', ...(await readdir(directory, { recursive: true }))];
    const found = await Promise.all(names.map(async (name) => lstat(path.join(directory, name))));
    return [...new Set(found.map(({ mode }) => (mode & 0o777).toString(8)))].toSorted();
  }

  it('is for its owner only, with all that is in it, also where it was for everybody', async () => {
    const files = await createFiles();
    const file = path.join(files.dataDir, 'database/PG_VERSION');
    await chmod(files.dataDir, 0o755);
    await chmod(file, 0o644);
    const database = await openTestDatabase(files);
    await database.sql.query(sql`CREATE TABLE "new" AS SELECT 1`);
    expect(await permissionsIn(files.dataDir)).toEqual(['600', '700']);
    await database.close();
    expect(await permissionsIn(files.dataDir)).toEqual(['600', '700']);
  });

  it('is not opened where it belongs to another user', async ({ skip }) => {
    if (process.getuid?.() !== 0) skip('only root can give a directory away');
    const files = await createFiles();
    await chown(files.dataDir, 12_345, 0);
    await expect(openTestDatabase(files)).rejects.toThrow(
      /belongs to user 12345, and threadql runs as user 0/,
    );
  });

  it('leaves what is linked in it as it is', async () => {
    const files = await createFiles();
    const elsewhere = path.join(files.dataDir, '../elsewhere');
    await mkdir(elsewhere, { mode: 0o755 });
    await writeFile(path.join(elsewhere, 'file'), '', { mode: 0o644 });
    await symlink(elsewhere, path.join(files.dataDir, 'database/link'));
    const database = await openTestDatabase(files);
    await database.close();
    expect(await permissionsIn(elsewhere)).toEqual(['644', '755']);
  });
});
