import { describe, expect } from 'vitest';
import type { Sql } from '../src/db/query.ts';
import { raw, sql } from '../src/db/sql.ts';
import type { StoredEvent } from '../src/events/event.ts';
import { createEventTail, type EventTail } from '../src/events/tail.ts';
import { createLogger } from '../src/log.ts';
import { human, until, type TestApp } from './support/app.ts';
import { createClient } from './support/client.ts';
import { it } from './support/fixture.ts';
import { intercept } from './support/queries.ts';

it.override('settings', { workerConcurrency: 0 });

/** A thread with a waiting run. The test stores and publishes events of this run, in place of a worker. */
async function createWriter(server: TestApp) {
  const client = createClient(server);
  const threadId = await client.createThread();
  const { id: runId } = await client.startRun({ threadId, assistantId: 'echo', input: human('x') });
  let last = 0;
  return {
    threadId,
    runId,
    /** Stores `count` events {n} of `size` bytes, like another process, and returns them for `publish`. */
    async write(count: number, size: number): Promise<StoredEvent[]> {
      const first = last + 1;
      last += count;
      return server.app.sql.query<StoredEvent>(
        sql`INSERT INTO "RunEvent" ("threadId", "runId", "number", "type", "namespace", "data")
         SELECT ${threadId}, ${runId}, n, 'CUSTOM', '{}', json_build_object('data', json_build_object('n', n, 'text', repeat('x', ${size})))
         FROM generate_series(${first}::bigint, ${last}::bigint) AS n RETURNING *, ${raw(size)} AS "size"`,
      );
    },
  };
}

/** Stores an event, like another process, and returns it. */
async function writeOne({ write }: Awaited<ReturnType<typeof createWriter>>): Promise<StoredEvent> {
  const [event] = await write(1, 10);
  return event ?? expect.fail('No event was stored.');
}

/** The same database, and a count of the statements sent to it. */
function counted(database: Sql): { sql: Sql; statements: () => number } {
  let statements = 0;
  const query = intercept(database.query, (_statement, send) => {
    statements += 1;
    return send();
  });
  return { sql: { ...database, query }, statements: () => statements };
}

async function withTail<T>(database: Sql, work: (tail: EventTail) => Promise<T>): Promise<T> {
  const tail = createEventTail(database, createLogger('silent'));
  try {
    return await work(tail);
  } finally {
    tail.close();
  }
}

/** A database without notifications. */
const withoutListen = (database: Sql): Sql => ({ ...database, listen: () => () => {} });

describe('the readers of a process', () => {
  it.for<[string, number, number, number]>([
    ['100,000 small events', 100_000, 10, 500],
    ['300 large ones', 300, 100_000, 10],
    ['one that is larger than the buffer', 1, 3_000_000, 1],
  ])(
    'that stopped reading while %s pass hold at most 1 MiB each, and get all of them',
    { timeout: 180_000 },
    async ([, count, size, batch], { server }) => {
      const writer = await createWriter(server);
      await withTail(server.app.sql, async (tail) => {
        const reader = tail.follow({ threadId: writer.threadId }, { after: 0 });
        const first = await writeOne(writer);
        expect((await reader.next()).value).toMatchObject({ number: first.number });
        let most = 0;
        // Deliveries start when the reader has reached the end of the table.
        const second = reader.next();
        tail.publish([await writeOne(writer)]);
        await second;
        for (let written = 0; written < count; written += batch) {
          tail.publish(await writer.write(batch, size));
          most = Math.max(most, tail.bufferedBytes);
        }
        expect(most).toBeLessThanOrEqual(1_048_576);
        for (let n = 3; n <= count + 2; n++) {
          const { value } = await reader.next();
          if (value?.number !== n) throw new Error(`${value?.number} came in place of ${n}`);
        }
        await reader.return?.();
        expect(tail.bufferedBytes).toBe(0);
      });
    },
  );

  it('of the same thread share what another process has written: one statement, however many they are', async ({
    server,
  }) => {
    const READERS = 50;
    const writer = await createWriter(server);
    await writeOne(writer);
    const { sql: database, statements } = counted(server.app.sql);
    await withTail(database, async (tail) => {
      const readers = Array.from({ length: READERS }, () =>
        tail.follow({ threadId: writer.threadId }, { after: 0 }),
      );
      await Promise.all(readers.map((reader) => reader.next()));
      // Each reader has read the table to its end.
      const nexts = readers.map((reader) => reader.next());
      const before = statements();
      expect(before).toBeGreaterThanOrEqual(READERS);
      const began = performance.now();
      await writer.write(5, 10);
      database.notify('threadql_events', writer.threadId);
      for (const { value } of await Promise.all(nexts)) expect(value).toMatchObject({ number: 2 });
      for (let n = 3; n <= 6; n++) {
        for (const reader of readers)
          expect((await reader.next()).value).toMatchObject({ number: n });
      }
      const polls = (performance.now() - began) / 1000 + 1;
      expect(statements() - before).toBeLessThanOrEqual(2 + 2 * polls);
      for (const reader of readers) await reader.return?.();
    });
  });

  it('cost at most one statement a second while nothing happens, a hundred of them together', async ({
    server,
  }) => {
    const writers = await Promise.all(Array.from({ length: 20 }, () => createWriter(server)));
    const { sql: database, statements } = counted(server.app.sql);
    await withTail(database, async (tail) => {
      const readers = writers.flatMap(({ threadId, runId }) =>
        [{ threadId }, { threadId, runId }, { threadId }, { threadId, runId }, { threadId }].map(
          (followed) => tail.follow(followed, { after: 0 }),
        ),
      );
      const waiting = readers.map((reader) => reader.next());
      await until(() => statements() >= readers.length);
      const [before, began] = [statements(), performance.now()];
      await until(() => statements() > before + 2);
      // The first statement may follow at once.
      const most = Math.ceil((performance.now() - began) / 1000) + 1;
      expect(statements() - before).toBeLessThanOrEqual(most);
      for (const reader of readers) await reader.return?.();
      await Promise.all(waiting);
      expect(tail.readers).toBe(0);
    });
  });

  it('that wait for an end see it within a second where other events of the thread were told first', async ({
    server,
  }) => {
    const { threadId, runId, write } = await createWriter(server);
    const { sql: database } = server.app;
    await withTail(withoutListen(database), async (tail) => {
      const reader = tail.follow({ threadId, runId }, { after: 'now', types: ['FINISHED'] });
      const end = reader.next();
      await database.query(sql`UPDATE "Run" SET "status" = 'CANCELLED' WHERE "id" = ${runId}`);
      const events = await write(2, 10);
      tail.publish(events.slice(1));
      expect(await end).toEqual({ done: true, value: undefined });
    });
  });

  it.for<[string, number, boolean]>([
    ['from memory while that is little', 10, true],
    ['from the table where that is more', 10_000, false],
  ])(
    'get all that a run has told which has begun here, %s, and then what it tells',
    async ([, size, isAtHand], { server }) => {
      const writer = await createWriter(server);
      const { threadId, runId } = writer;
      await withTail(server.app.sql, async (tail) => {
        const started: StoredEvent = { ...(await writeOne(writer)), type: 'STARTED' };
        tail.begin({ ...started, data: { attempt: 1 } });
        tail.publish(await writer.write(10, size));
        expect(tail.threadOf(runId)).toBe(isAtHand ? threadId : undefined);
        const readers = [0, 3].map((after) => tail.follow({ threadId, runId }, { after }));
        for (const [i, after] of [0, 3].entries()) {
          for (let n = after + 1; n <= 11; n++)
            expect((await readers[i]?.next())?.value).toMatchObject({ number: n });
        }
        const nexts = readers.map((reader) => reader.next());
        tail.publish([{ ...(await writeOne(writer)), type: 'FINISHED' }]);
        for (const { value } of await Promise.all(nexts))
          expect(value).toMatchObject({ number: 12 });
        for (const reader of readers) expect(await reader.next()).toMatchObject({ done: true });
        // Later readers of the run read the table.
        expect(tail.threadOf(runId)).toBeUndefined();
        tail.begin(started);
        tail.leave(runId);
        expect(tail.threadOf(runId)).toBeUndefined();
      });
    },
  );

  it('find what was written without a hint', async ({ server }) => {
    const writer = await createWriter(server);
    await withTail(withoutListen(server.app.sql), async (tail) => {
      const reader = tail.follow({ threadId: writer.threadId }, { after: 0 });
      await writer.write(3, 10);
      for (let n = 1; n <= 3; n++) expect((await reader.next()).value).toMatchObject({ number: n });
      const next = reader.next();
      await writer.write(2, 10);
      expect((await next).value).toMatchObject({ number: 4 });
      await reader.return?.();
    });
  });
});
