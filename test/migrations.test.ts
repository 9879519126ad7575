import { appendFile, cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { CheckpointReader } from '../src/checkpoints/reader.ts';
import { openEmbedded } from '../src/db/embedded.ts';
import { migrate, MIGRATIONS } from '../src/db/migrate.ts';
import { empty, raw, sql } from '../src/db/sql.ts';
import { createLogger } from '../src/log.ts';
import { createEmptyDatabase, createTestDatabase, openTestDatabase } from './support/databases.ts';
import type { TestDatabase } from './support/databases.ts';
import { diffFromSchema } from './support/schema-diff.ts';

/** Differences in Prisma alone: it does not recognize the default of a uuid column. */
const ALLOWED = [
  `ALTER TABLE "CheckpointWrite" ALTER COLUMN "runId" SET DEFAULT '00000000-0000-0000-0000-000000000000'`,
];

describe('migrations', () => {
  let database: TestDatabase;
  let pool: pg.Pool;
  let folder: string;
  let closeServer: () => Promise<void>;

  /** Copies the migrations to a folder for changes by the test. */
  beforeEach(async () => {
    database = await createTestDatabase();
    const { databaseUrl, dataDir } = database;
    const embedded = databaseUrl ? undefined : await openEmbedded(dataDir, createLogger('silent'));
    pool = new pg.Pool(embedded?.poolConfig ?? { connectionString: databaseUrl });
    pool.on('error', () => {}); // the end of the test drops the database
    closeServer = async () => embedded?.close();
    folder = await mkdtemp(path.join(os.tmpdir(), 'threadql-migrations-'));
    await cp(MIGRATIONS, folder, { recursive: true });
  });

  afterEach(async () => {
    await pool.end();
    await closeServer();
    await database.dispose();
    await rm(folder, { recursive: true });
  });

  async function addMigration(name: string, script: string): Promise<void> {
    await mkdir(path.join(folder, name));
    await writeFile(path.join(folder, name, 'migration.sql'), script);
  }

  async function applyAll(): Promise<string[]> {
    const client = await pool.connect();
    try {
      return await migrate(client, folder);
    } finally {
      client.release();
    }
  }

  async function tableExists(name: string): Promise<boolean> {
    const { rows } = await pool.query('SELECT to_regclass($1) IS NOT NULL AS found', [name]);
    return rows[0].found;
  }

  it('build what schema.prisma says', async () => {
    expect((await diffFromSchema(pool)).filter((each) => !ALLOWED.includes(each))).toEqual([]);
  });

  it('keep the rule that one run of a thread executes at a time', async () => {
    const { rows } = await pool.query(
      `SELECT indexdef FROM pg_indexes WHERE tablename = 'Run' AND indexdef LIKE '%UNIQUE%WHERE%'`,
    );
    expect(rows.map(({ indexdef }) => indexdef)).toEqual([
      expect.stringContaining(`("threadId") WHERE (status = 'RUNNING'`),
    ]);
  });

  it('are applied once', async () => {
    expect(await applyAll()).toEqual([]);
    await addMigration('29990101000000_later', 'CREATE TABLE later (id int);');
    expect(await applyAll()).toEqual(['29990101000000_later']);
    expect(await applyAll()).toEqual([]);
    expect(await tableExists('later')).toBe(true);
  });

  it('stop the start when one has changed since it was applied', async () => {
    await addMigration('29990101000000_later', 'CREATE TABLE later (id int);');
    await applyAll();
    await appendFile(path.join(folder, '29990101000000_later/migration.sql'), '-- changed');
    await expect(applyAll()).rejects.toThrow(/29990101000000_later .* its file has changed/);
  });

  it('are the same with the line ends of Windows', async () => {
    await addMigration('29990101000000_later', 'CREATE TABLE later (\n  id int\n);');
    await applyAll();
    const file = path.join(folder, '29990101000000_later/migration.sql');
    await writeFile(file, 'CREATE TABLE later (\r\n  id int\r\n);');
    expect(await applyAll()).toEqual([]);
  });

  it('stop the start when a newer version has been at the database', async () => {
    await addMigration('29990101000000_later', 'CREATE TABLE later (id int);');
    await applyAll();
    await rm(path.join(folder, '29990101000000_later'), { recursive: true });
    await expect(applyAll()).rejects.toThrow(/29990101000000_later.*newer version/);
  });

  it('change nothing when one of them fails', async () => {
    await addMigration('29990101000000_good', 'CREATE TABLE good (id int);');
    await addMigration('29990101000001_bad', 'CREATE TABLE bad (id int); SELECT 1 / 0;');
    await expect(applyAll()).rejects.toThrow(/29990101000001_bad failed.*division by zero/);
    expect(await tableExists('good')).toBe(false);
    expect(await tableExists('bad')).toBe(false);
  });
});

describe('a database of the first version', () => {
  const THREADS = [
    ['00000000-0000-7000-8000-000000000001', 'IDLE'],
    ['00000000-0000-7000-8000-000000000002', 'BUSY'],
    ['00000000-0000-7000-8000-000000000003', 'INTERRUPTED'],
    ['00000000-0000-7000-8000-000000000004', 'ERROR'],
  ] as const;
  const [[THREAD_ID]] = THREADS;
  const CONTEXTS = ['{}', '{"a": {}}'];
  const CHECKPOINT_ID = '1f1e592c-b778-6670-8000-3cbc1a89c4e5';

  it(
    'is upgraded with all that it holds, and its threads can be read',
    { timeout: 120_000 },
    async () => {
      const database = await createEmptyDatabase();
      const { databaseUrl, dataDir } = database;
      const embedded = databaseUrl
        ? undefined
        : await openEmbedded(dataDir, createLogger('silent'));
      const pool = new pg.Pool(embedded?.poolConfig ?? { connectionString: databaseUrl });
      // The end of the test drops the database and breaks open connections.
      pool.on('error', () => {});
      const [first, ...later] = (await readdir(MIGRATIONS))
        .filter((name) => /^\d/.test(name))
        .toSorted();
      const folder = await mkdtemp(path.join(os.tmpdir(), 'threadql-migrations-'));
      await cp(path.join(MIGRATIONS, String(first)), path.join(folder, String(first)), {
        recursive: true,
      });
      const client = await pool.connect();
      expect(await migrate(client, folder)).toEqual([first]);
      for (const [id, status] of THREADS) {
        await client.query(`INSERT INTO "Thread" ("id", "status") VALUES ($1, $2)`, [id, status]);
      }
      await client.query(
        `INSERT INTO "Run" ("id", "threadId", "assistantId", "graphId", "status") VALUES ($1, $1, $1, 'echo', 'SUCCESS')`,
        [THREAD_ID],
      );
      for (const [i, context] of CONTEXTS.entries()) {
        const id = THREADS[i]?.[0];
        await client.query(
          `INSERT INTO "Assistant" ("id", "graphId", "name", "context") VALUES ($1, 'echo', 'a', $2)`,
          [id, context],
        );
        await client.query(
          `INSERT INTO "AssistantVersion" ("assistantId", "version", "graphId", "name", "context")
           VALUES ($1, 1, 'echo', 'a', $2)`,
          [id, context],
        );
        await client.query(
          `INSERT INTO "Run" ("id", "threadId", "assistantId", "graphId", "status", "context")
           VALUES (gen_random_uuid(), $1, $1, 'echo', 'PENDING', $2)`,
          [id, context],
        );
      }
      await client.query(
        `INSERT INTO "RunEvent" ("threadId", "number", "runId", "type") VALUES ($1, 1, $1, 'FINISHED')`,
        [THREAD_ID],
      );
      await client.query(
        `INSERT INTO "Checkpoint" ("threadId", "namespace", "checkpointId", "source", "step", "metadata", "format",
         "versions", "versionsSeen", "createdAt")
       VALUES ($1, '', $2, 'LOOP', 1, '{"graph_id": "gone"}', 4, '{"list": 4294967297}', '{}', now())`,
        [THREAD_ID, CHECKPOINT_ID],
      );
      await client.query(`INSERT INTO "CheckpointHead" VALUES ($1, '', $2)`, [
        THREAD_ID,
        CHECKPOINT_ID,
      ]);
      await client.query(
        `INSERT INTO "ChannelValue" ("threadId", "namespace", "channel", "version", "type", "ranges")
       VALUES ($1, '', 'list', 4294967297, 'list', '{1,1}')`,
        [THREAD_ID],
      );
      await client.query(
        `INSERT INTO "ChannelItem" ("threadId", "number", "hash", "type", "value") VALUES ($1, 1, '\\x00', 'json', '"kept"')`,
        [THREAD_ID],
      );

      expect(await migrate(client, MIGRATIONS)).toEqual(later);
      client.release();
      expect((await diffFromSchema(pool)).filter((each) => !ALLOWED.includes(each))).toEqual([]);
      await pool.end();
      await embedded?.close();

      const opened = await openTestDatabase(database);
      const threads = await opened.sql.query(
        sql`SELECT "id", "status" FROM "Thread" ORDER BY "id"`,
      );
      expect(threads).toEqual(THREADS.map(([id, status]) => ({ id, status })));
      expect(await opened.sql.query(sql`SELECT "restStatus" FROM "Thread" ORDER BY "id"`)).toEqual(
        ['IDLE', 'IDLE', 'INTERRUPTED', 'ERROR'].map((restStatus) => ({ restStatus })),
      );
      expect(
        await opened.sql.query(sql`SELECT 1 FROM "Run" JOIN "RunEvent" ON "runId" = "id"`),
      ).toHaveLength(1);
      // An empty context was equal to no context.
      for (const [table, order] of [
        ['Assistant', 'id'],
        ['AssistantVersion', 'assistantId'],
        ['Run', 'threadId'],
      ]) {
        const pending = table === 'Run' ? sql`WHERE "status" = 'PENDING'` : empty;
        expect(
          await opened.sql.query(
            sql`SELECT "context" FROM ${raw(`"${table}"`)} ${pending} ORDER BY ${raw(`"${order}"`)}`,
          ),
        ).toEqual([{ context: null }, { context: { a: {} } }]);
      }
      const tuple = await new CheckpointReader(opened.sql.query).getTuple({
        configurable: { thread_id: THREAD_ID },
      });
      expect(tuple?.checkpoint).toMatchObject({
        id: CHECKPOINT_ID,
        channel_values: { list: ['kept'] },
      });
      await opened.close();
      await database.dispose();
      await rm(folder, { recursive: true });
    },
  );
});

describe('a fresh database', () => {
  it.skipIf(inject('database') === 'embedded')(
    'is built once by servers that start at the same time',
    async () => {
      const database = await createEmptyDatabase();
      const opened = await Promise.all([openTestDatabase(database), openTestDatabase(database)]);
      const applied = await opened[0].sql.query<{ migration_name: string }>(
        sql`SELECT "migration_name" FROM _prisma_migrations ORDER BY 1`,
      );
      const folders = await readdir(MIGRATIONS, { withFileTypes: true });
      expect(applied.map(({ migration_name: name }) => name)).toEqual(
        folders.filter((each) => each.isDirectory()).map(({ name }) => name),
      );
      await Promise.all(opened.map((each) => each.close()));
      await database.dispose();
    },
  );
});
