import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import type { Database } from '../src/db/open.ts';
import { raw, sql } from '../src/db/sql.ts';
import { vacuum } from '../src/db/vacuum.ts';
import { createEmptyDatabase, createTestDatabase, openTestDatabase } from './support/databases.ts';
import type { TestDatabase } from './support/databases.ts';

const onPostgres = inject('database') === 'postgres';
/** A timeout for operations of milliseconds. */
const SOON = { timeout: 10_000 };

/** Opens a database for all tests of a `describe`. */
function useDatabase(): { database: TestDatabase; opened: Database } {
  const used = {} as { database: TestDatabase; opened: Database };
  beforeAll(async () => {
    used.database = await createTestDatabase();
    used.opened = await openTestDatabase(used.database);
  });
  afterAll(async () => {
    await used.opened.close();
    await used.database.dispose();
  });
  return used;
}

/** A process with the data directory open. */
function holdDatabase(dataDir: string) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'test/support/hold-database.ts'], {
    env: { ...process.env, DATABASE_URL: '', THREADQL_DATA_DIR: dataDir },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  onTestFinished(async () => kill(child));
  const opened = Promise.race([
    once(child.stdout, 'data').then(() => true),
    once(child, 'exit').then(() => false),
  ]);
  return Object.assign(child, { opened, errors: text(child.stderr) });
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

const newAssistant = () => ({ id: randomUUID(), graphId: 'agent', name: 'agent' });

describe('a database', () => {
  const used = useDatabase();

  it('is one behind both doors', async () => {
    const { db, sql: database } = used.opened;
    const written = await db.assistant.create({ data: newAssistant() });
    const [read] = await database.query(sql`SELECT * FROM "Assistant" WHERE "id" = ${written.id}`);
    expect(read).toEqual({ ...written });
  });

  it('tells the same time at both doors, whatever the time zone of the server', async () => {
    const [{ name } = { name: '' }] = await used.opened.sql.query<{ name: string }>(
      sql`SELECT current_database() AS name`,
    );
    await used.opened.sql.query(
      sql`ALTER DATABASE ${raw(`"${name}"`)} SET TimeZone TO 'America/New_York'`,
    );
    await used.opened.close();
    used.opened = await openTestDatabase(used.database);

    const { db, sql: database } = used.opened;
    const { id, createdAt } = await db.assistant.create({ data: newAssistant() });
    const [read] = await database.query(
      sql`SELECT "createdAt" FROM "Assistant" WHERE "id" = ${id}`,
    );
    expect(read).toEqual({ createdAt });
    expect(Math.abs(Date.now() - createdAt.getTime())).toBeLessThan(60_000);
  });

  it('gives int8 as a number', async () => {
    const rows = await used.opened.sql.query(sql`SELECT 9007199254740991::int8 AS n`);
    expect(rows).toEqual([{ n: Number.MAX_SAFE_INTEGER }]);
  });

  it('goes on after a statement that failed, at either door', async () => {
    const { db, sql: database } = used.opened;
    const assistant = newAssistant();
    await db.assistant.create({ data: assistant });
    for (let round = 0; round < 3; round++) {
      await expect(db.assistant.create({ data: assistant })).rejects.toMatchObject({
        code: 'P2002',
      });
      await expect(database.query(sql`SELECT 1 / ${0}::int AS n`)).rejects.toMatchObject({
        code: '22012',
      });
      expect(await database.query(sql`SELECT 1 / ${1}::int AS n`)).toEqual([{ n: 1 }]);
    }
  });

  it('answers many statements at once', async () => {
    const asked = Array.from({ length: 100 }, (_, n) => n);
    const rows = await Promise.all(
      asked.map((n) => used.opened.sql.query<{ n: number }>(sql`SELECT ${n}::int AS n`)),
    );
    expect(rows.map(([row]) => row?.n)).toEqual(asked);
  });

  it.runIf(onPostgres)('survives the loss of its connections', async () => {
    const { sql: database, db } = used.opened;
    const admin = new pg.Client(used.database.databaseUrl);
    await admin.connect();
    const sleeping = database.query(sql`SELECT pg_sleep(30)`);
    const failure = sleeping.catch((error: unknown) => error);
    await vi.waitFor(async () => {
      const { rowCount } = await admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE '%pg_sleep(30)' AND pid <> pg_backend_pid()`,
      );
      expect(rowCount).toBe(1);
    }, SOON);
    expect(await failure).toMatchObject({
      message: 'The database cannot be reached.',
      cause: { message: expect.stringMatching(/terminat/i) },
    });
    await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    );
    await admin.end();
    await vi.waitFor(async () => {
      expect(await database.query(sql`SELECT 1 AS n`)).toEqual([{ n: 1 }]);
      expect(await db.thread.count()).toBe(0);
    }, SOON);
  });

  it('that cannot be reached is named by host and port, without the password', async () => {
    const databaseUrl = 'postgres://someone:secret@127.0.0.1:1/threads';
    const failure: unknown = await openTestDatabase({ ...used.database, databaseUrl }).catch(
      (error: unknown) => error,
    );
    expect(String(failure)).toMatch(/"threads" at 127\.0\.0\.1:1: .*ECONNREFUSED/);
    expect(String(failure)).not.toContain('secret');
  });
});

describe('a connection', () => {
  const used = useDatabase();
  const ONE = sql`SELECT 1 AS "one"`;

  it.runIf(onPostgres)('is shared by statements that are sent together', async () => {
    const { sql: database } = used.opened;
    const pids = await Promise.all(
      Array.from({ length: 10 }, () => database.query(sql`SELECT pg_backend_pid()`)),
    );
    expect(new Set(pids.map(([row]) => row?.['pg_backend_pid'])).size).toBe(1);
  });

  it('gives each statement that shares it its own answer, or its own error', async () => {
    const { sql: database } = used.opened;
    const numbers = [0, 1, 2, 3, 0, 4, 5];
    const answers = await Promise.allSettled(
      numbers.map((number) => database.query(sql`SELECT 60 / ${number}::int AS "answer"`)),
    );
    expect(answers).toMatchObject(
      numbers.map((number) =>
        number === 0
          ? { reason: { message: 'division by zero' } }
          : { value: [{ answer: 60 / number }] },
      ),
    );
  });

  it.runIf(onPostgres)('is not shared by those who come while it does not answer', async () => {
    const { sql: database } = used.opened;
    let isOver = false;
    let blocked: Promise<unknown> | undefined;
    await database.transaction(async (query) => {
      await query(sql`SELECT pg_advisory_xact_lock(7)`);
      blocked = database.query(sql`SELECT pg_advisory_xact_lock(7)`).then(() => (isOver = true));
      // The first of these statements may wait behind it.
      const answers: unknown[] = [];
      await vi.waitFor(() => {
        void database.query(ONE).then((rows) => answers.push(rows));
        expect(answers).not.toEqual([]);
      }, SOON);
      expect(isOver).toBe(false);
    });
    await blocked;
  });

  it('comes free for a transaction, however many go on sharing it', async () => {
    const { sql: database } = used.opened;
    const done = new AbortController();
    const askOnAndOn = async () => {
      while (!done.signal.aborted) await database.query(sql`SELECT pg_sleep(0.005)`);
    };
    // Enough loops for a constant number of running statements.
    const asking = Array.from({ length: 8 }, askOnAndOn);
    const counts = await Promise.all(
      Array.from({ length: 20 }, () => database.transaction((query) => query(ONE))),
    );
    done.abort();
    await Promise.all(asking);
    expect(counts).toEqual(Array.from({ length: 20 }, () => [{ one: 1 }]));
  });
});

describe('a transaction', () => {
  const used = useDatabase();
  const insert = (id: string) => sql`INSERT INTO "Thread" ("id") VALUES (${id})`;

  async function threadExists(id: string): Promise<boolean> {
    const rows = await used.opened.sql.query(sql`SELECT 1 FROM "Thread" WHERE "id" = ${id}`);
    return rows.length > 0;
  }

  it('keeps what it did', async () => {
    const id = randomUUID();
    const result = await used.opened.sql.transaction(async (query) => {
      await query(insert(id));
      return 'done';
    });
    expect(result).toBe('done');
    expect(await threadExists(id)).toBe(true);
  });

  it('does nothing when it throws', async () => {
    const id = randomUUID();
    const transaction = used.opened.sql.transaction(async (query) => {
      await query(insert(id));
      throw new Error('changed my mind');
    });
    await expect(transaction).rejects.toThrow('changed my mind');
    expect(await threadExists(id)).toBe(false);
  });

  it('does not pass for done when the error of a statement in it was swallowed', async () => {
    const id = randomUUID();
    const transaction = used.opened.sql.transaction(async (query) => {
      await query(insert(id));
      await query(sql`SELECT 1 / 0`).catch(() => {});
    });
    await expect(transaction).rejects.toThrow('had failed');
    expect(await threadExists(id)).toBe(false);
  });

  it('is tried again after a serialization failure, from its beginning', async () => {
    const id = randomUUID();
    let tries = 0;
    await used.opened.sql.transaction(async (query) => {
      tries += 1;
      await query(insert(id));
      if (tries < 3) await query(sql`DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$`);
    });
    expect(tries).toBe(3);
    expect(await threadExists(id)).toBe(true);
  });
});

describe('a hint', () => {
  const used = useDatabase();

  it('reaches the listeners of its process until they leave', async () => {
    const { sql: database } = used.opened;
    const heard: string[] = [];
    const leave = database.listen('runs', (payload) => heard.push(`first ${payload}`));
    const leaveSecond = database.listen('runs', (payload) => heard.push(`second ${payload}`));
    onTestFinished(leaveSecond);
    database.notify('runs', 'a');
    await vi.waitFor(() => expect(heard).toEqual(['first a', 'second a']), SOON);
    leave();
    database.notify('runs', 'b');
    await vi.waitFor(() => expect(heard).toEqual(['first a', 'second a', 'second b']), SOON);
  });

  it('reaches the other listeners when one fails', async () => {
    const { sql: database } = used.opened;
    const heard: string[] = [];
    onTestFinished(
      database.listen('failing', () => {
        throw new Error('not today');
      }),
    );
    onTestFinished(database.listen('failing', (payload) => void heard.push(payload)));
    database.notify('failing', 'a');
    await vi.waitFor(() => expect(heard).toEqual(['a']), SOON);
  });

  describe.runIf(onPostgres)('to another process', () => {
    let other: Database;
    beforeAll(async () => {
      other = await openTestDatabase(used.database);
    });
    afterAll(async () => other.close());

    /** Returns the notifications of the second listener after its first notification. */
    async function connect(channel: string): Promise<string[]> {
      const heard: string[] = [];
      let greeted = false;
      const leave = other.sql.listen(channel, (payload) => {
        if (payload === 'hello') greeted = true;
        else heard.push(payload);
      });
      onTestFinished(leave);
      await vi.waitFor(
        () => {
          used.opened.sql.notify(channel, 'hello');
          expect(greeted).toBe(true);
        },
        { timeout: 10_000, interval: 100 },
      );
      return heard;
    }

    it('arrives, and is not heard twice by the one that gave it', async () => {
      const heard = await connect('arrives');
      const own: string[] = [];
      onTestFinished(
        used.opened.sql.listen('arrives', (payload) => {
          if (payload !== 'hello') own.push(payload);
        }),
      );
      for (const payload of ['a', 'b', 'c']) used.opened.sql.notify('arrives', payload);
      await vi.waitFor(() => expect(heard).toEqual(['a', 'b', 'c']), SOON);
      expect(own).toEqual(['a', 'b', 'c']);
    });

    it('may be for the other processes alone', async () => {
      const heard = await connect('others');
      const own: string[] = [];
      onTestFinished(used.opened.sql.listen('others', (payload) => void own.push(payload)));
      used.opened.sql.notifyOthers('others', 'for the others');
      used.opened.sql.notify('others', 'for all');
      await vi.waitFor(() => expect(heard).toEqual(['for the others', 'for all']), SOON);
      expect(own).toEqual(['for all']);
    });

    it('travels with others where there are many, 20 statements a second at most', async () => {
      const heard = await connect('many');
      const listener = new pg.Client(used.database.databaseUrl);
      const statements: string[] = [];
      await listener.connect();
      await listener.query('LISTEN many');
      listener.on('notification', ({ payload = '' }) => statements.push(payload));

      const ids = Array.from({ length: 1000 }, () => randomUUID());
      for (const id of ids) used.opened.sql.notify('many', id);
      await vi.waitFor(() => expect(heard).toEqual(ids), SOON);
      await listener.end();
      expect(statements.length).toBeLessThan(10);
      expect(Math.max(...statements.map((each) => each.length))).toBeLessThan(8000);
    });

    it('arrives again after the connection that listens was lost', async () => {
      await connect('lost');
      const { sql: database } = used.opened;
      const lost = await database.query<{ pid: number }>(
        sql`SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'LISTEN%'`,
      );
      expect(lost).toHaveLength(2);
      const pids = lost.map(({ pid }) => pid);
      // Until then, these sessions still listen.
      await vi.waitFor(async () => {
        const left = await database.query(
          sql`SELECT FROM pg_stat_activity WHERE pid = ANY(${pids})`,
        );
        expect(left).toEqual([]);
      }, SOON);
      const heard = await connect('lost');
      used.opened.sql.notify('lost', 'found');
      await vi.waitFor(() => expect(heard).toEqual(['found']), SOON);
    });
  });
});

describe.skipIf(onPostgres)('the embedded database', () => {
  it('keeps what it has over a restart', async () => {
    const database = await createTestDatabase();
    const first = await openTestDatabase(database);
    const { id } = await first.db.assistant.create({ data: newAssistant() });
    await first.close();
    const second = await openTestDatabase(database);
    expect(await second.db.assistant.findUnique({ where: { id } })).toMatchObject({ id });
    await second.close();
    expect(await readdir(database.dataDir)).toEqual(['database']);
    await database.dispose();
  });

  describe('when it is vacuumed', () => {
    const used = useDatabase();

    it('gives the space of rows that are gone to new ones', async () => {
      const { query } = used.opened.sql;
      const sizes: number[] = [];
      for (let i = 0; i < 6; i++) {
        await query(sql`DELETE FROM "Thread"`);
        await query(
          sql`INSERT INTO "Thread" ("id") SELECT gen_random_uuid() FROM generate_series(1, 3000)`,
        );
        await vacuum(query);
        const [row] = await query<{ size: number }>(
          sql`SELECT pg_relation_size('"Thread"') AS "size"`,
        );
        sizes.push(row?.size ?? 0);
      }
      expect(sizes.at(-1)).toBeLessThan(3 * Number(sizes[0]));
    });

    it('plans for what it holds', async () => {
      const { query } = used.opened.sql;
      await query(sql`DELETE FROM "Thread"`);
      await vacuum(query);
      const counted = sql`SELECT "reltuples" AS "rows" FROM "pg_class" WHERE "relname" = 'Thread'`;
      expect(await query(counted)).toEqual([{ rows: 0 }]);
      await query(
        sql`INSERT INTO "Thread" ("id") SELECT gen_random_uuid() FROM generate_series(1, 60)`,
      );
      await vacuum(query);
      expect(await query(counted)).toEqual([{ rows: 60 }]);
    });
  });

  it('is open once in a process, too', async () => {
    const database = await createTestDatabase();
    const first = await openTestDatabase(database);
    await expect(openTestDatabase(database)).rejects.toThrow(`in use by process ${process.pid}`);
    await first.close();
    await database.dispose();
  });

  it('is refused to a second process, which is told of the first, and free once that was killed', async () => {
    const database = await createTestDatabase();
    const holder = holdDatabase(database.dataDir);
    expect(await holder.opened).toBe(true);
    await expect(openTestDatabase(database)).rejects.toThrow(
      `The data directory ${database.dataDir} is in use by process ${holder.pid}.`,
    );
    await kill(holder);
    const opened = await openTestDatabase(database);
    expect(await opened.db.assistant.count()).toBe(0);
    await opened.close();
    await database.dispose();
  });

  it('goes to one of two processes that succeed a dead one at once', async () => {
    const database = await createTestDatabase();
    await writeFile(path.join(database.dataDir, `owner.${2 ** 22 - 1}.1`), '');
    const both = [holdDatabase(database.dataDir), holdDatabase(database.dataDir)];
    const opened = await Promise.all(both.map((each) => each.opened));
    expect(opened.filter(Boolean)).toHaveLength(1);
    const refused = both[opened.indexOf(false)];
    const winner = both[opened.indexOf(true)];
    expect(await refused?.errors).toContain(`in use by process ${winner?.pid}.`);
    await Promise.all(both.map(kill));
    await database.dispose();
  });

  it('takes a process that has the number of a dead owner for another one', async () => {
    const database = await createTestDatabase();
    // The parent of this process is alive. It did not start with the computer.
    await writeFile(path.join(database.dataDir, `owner.${process.ppid}.1`), '');
    const opened = await openTestDatabase(database);
    await opened.close();
    await database.dispose();
  });

  it('is created anew where its creation was cut short', async () => {
    const database = await createEmptyDatabase();
    const unfinished = path.join(database.dataDir, 'database.unfinished');
    await mkdir(unfinished, { recursive: true });
    await writeFile(path.join(unfinished, 'PG_VERSION'), '18');
    const opened = await openTestDatabase(database);
    expect(await opened.db.assistant.count()).toBe(0);
    await opened.close();
    expect(await readdir(database.dataDir)).toEqual(['database']);
    await database.dispose();
  });
});
