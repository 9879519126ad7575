import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createLogger } from '../src/log.ts';
import { createThreadChanges } from '../src/threads/changed.ts';
import {
  CREATE_RUN,
  CREATE_THREAD,
  createTestApp,
  human,
  randomId,
  until,
  type TestApp,
  type Transport,
} from './support/app.ts';
import { createTwoServers } from './support/servers.ts';
import { intercept } from './support/queries.ts';

const TRANSPORTS: Transport[] = ['websocket', 'sse'];
const WATCH = `subscription ($ids: [ID!]) {
  threadChanged(ids: $ids) { id status metadata values updatedAt }
}`;
const UPDATE = `mutation ($id: ID!, $metadata: JSONObject!) {
  updateThread(id: $id, input: { metadata: $metadata }) { id }
}`;
const DELETE = `mutation ($id: ID!) { deleteThread(id: $id) }`;

let server: TestApp;
let folder: string;
beforeAll(async () => {
  server = await createTestApp();
  folder = await mkdtemp(path.join(os.tmpdir(), 'threadql-changed-'));
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

async function createThread(metadata: Record<string, unknown> = {}, app = server): Promise<string> {
  return (await app.gql(CREATE_THREAD, { input: { metadata } })).createThread.id;
}

const update = (id: string, metadata: Record<string, unknown>, app = server) =>
  app.gql(UPDATE, { id, metadata });

/** What a subscription tells, one after the other. */
function watch(
  ids?: string[],
  { app = server, transport }: { app?: TestApp; transport?: Transport } = {},
) {
  const source = app.subscribe(WATCH, { ids: ids ?? null }, transport);
  const next = async (): Promise<any> => {
    const { value, done } = await source.next();
    return done ? undefined : value.threadChanged;
  };
  return {
    next,
    /** The first that is so, and what came before it. */
    async until(isSo: (thread: any) => boolean): Promise<any[]> {
      const told: any[] = [];
      for (;;) {
        const thread = await next();
        if (!thread) throw new Error(`It ended after ${JSON.stringify(told)}`);
        told.push(thread);
        if (isSo(thread)) return told;
      }
    },
    leave: () => source.return?.(),
  };
}

async function codeOf(variables: Record<string, unknown>, transport: Transport): Promise<any> {
  try {
    for await (const _told of server.subscribe(WATCH, variables, transport)) break;
  } catch (error) {
    const [first] = Array.isArray(error) ? error : ((error as any).errors ?? [error]);
    if (!first.extensions) throw error;
    return first.extensions;
  }
  return expect.fail('No error came.');
}

describe.each(TRANSPORTS)('threadChanged over %s', (transport) => {
  it('tells each thread as it is now, then its metadata, status and state as they change', async () => {
    const [a, b] = [await createThread({ name: 'a' }), await createThread({ name: 'b' })];
    const watched = watch([b, a, b], { transport });
    expect(await watched.next()).toMatchObject({ id: b, status: 'IDLE', metadata: { name: 'b' } });
    expect(await watched.next()).toMatchObject({ id: a, values: {} });

    await update(a, { name: 'A' });
    expect(await watched.next()).toMatchObject({ id: a, metadata: { name: 'A' } });

    const file = path.join(folder, randomId());
    const input = { threadId: b, assistantId: 'gate', input: { file } };
    await server.gql(CREATE_RUN, { input });
    const running = await watched.until(({ values }) => values.log?.length === 1);
    expect(running.at(-1)).toMatchObject({ id: b, status: 'BUSY', values: { log: ['before'] } });
    await writeFile(file, '');
    const ended = await watched.until(({ status }) => status === 'IDLE');
    expect(ended.at(-1).values.log).toEqual(['before', 'hold', 'after']);
    expect([...running, ...ended].every(({ id }) => id === b)).toBe(true);
    await watched.leave();
  });

  it('tells without ids every thread that changes, and none that does not', async () => {
    const quiet = await createThread({ name: 'quiet' });
    const changing = await createThread({ name: 'changing' });
    const watched = watch(undefined, { transport });
    const first = watched.next();
    await until(() => server.app.changes.watchers === 1);
    // Whether the watcher has begun to listen, another thread's change tells.
    const probe = await createThread({ name: 'probe' });
    const begun = first.then(() => true);
    await until(async () => {
      await update(probe, { at: randomId() });
      return Promise.race([begun, Promise.resolve(false)]);
    });
    await update(changing, { name: 'changed' });
    const fresh = await createThread({ name: 'fresh' });
    const told = [await first];
    const missing = new Set([changing, fresh]);
    while (missing.size > 0) {
      const thread = await watched.next();
      told.push(thread);
      missing.delete(thread.id);
    }
    expect(told.map(({ id }) => id)).not.toContain(quiet);
    expect(told.find(({ id }) => id === changing).metadata).toEqual({ name: 'changed' });
    await watched.leave();
  });

  it('refuses a thread that does not exist, and lists that are too long, empty or of no UUIDs', async () => {
    const id = await createThread();
    const codes = async (ids: string[]) => codeOf({ ids }, transport);
    expect(await codes([id, randomId()])).toMatchObject({ code: 'NOT_FOUND' });
    const bad = { code: 'BAD_USER_INPUT', argument: 'ids' };
    expect(await codes([])).toMatchObject(bad);
    expect(await codes(Array.from({ length: 101 }, () => id))).toMatchObject(bad);
    expect(await codes([id, 'x'])).toMatchObject({ ...bad, argument: 'ids[1]' });
    expect(server.app.changes.watchers).toBe(0);
  });

  it('tells no more of a thread that is deleted, and completes when all are', async () => {
    const [a, b] = [await createThread(), await createThread()];
    const watched = watch([a, b], { transport });
    await watched.next();
    await watched.next();
    await server.gql(DELETE, { id: a });
    await update(b, { still: 'here' });
    expect(await watched.next()).toMatchObject({ id: b, metadata: { still: 'here' } });
    const end = watched.next();
    await server.gql(DELETE, { id: b });
    expect(await end).toBeUndefined();
    expect(server.app.changes.watchers).toBe(0);
  });

  it('tells of a burst at least the newest, and never an older one after a newer one', async () => {
    const id = await createThread({ n: 0 });
    const watched = watch([id], { transport });
    await watched.next();
    const LAST = 100;
    void (async () => {
      for (let n = 1; n <= LAST; n++) await update(id, { n });
    })();
    const told = await watched.until(({ metadata }) => metadata.n === LAST);
    const numbers = told.map(({ metadata }) => metadata.n as number);
    expect(numbers).toEqual([...new Set(numbers)].toSorted((x, y) => x - y));
    await watched.leave();
  });
});

describe('threadChanged', () => {
  it('tells what another server has changed', async () => {
    await using pair = await createTwoServers();
    const { servers } = pair;
    const [here, there] = servers;
    const id = await createThread({}, here);
    const watched = watch([id], { app: here });
    const all = watch(undefined, { app: here });
    await watched.next();
    const first = all.next();
    await until(() => here.app.changes.watchers === 2);
    for (let n = 1; n <= 5; n++) {
      await update(id, { n }, there);
      await watched.until(({ metadata }) => metadata.n === n);
    }
    expect(await first).toMatchObject({ id });
    await there.gql(CREATE_RUN, {
      input: { threadId: id, assistantId: 'echo', input: human('x') },
    });
    const ended = await watched.until(
      ({ values, status }) => values.messages?.length === 2 && status === 'IDLE',
    );
    expect(ended.at(-1).values.messages[1].content).toBe('echo: x');
    await watched.leave();
    await all.leave();
  });

  it('tells what changed without a hint', async () => {
    const id = await createThread();
    const watched = watch([id]);
    await watched.next();
    const all = watch();
    const first = all.next();
    await until(() => server.app.changes.watchers === 2);
    const { sql } = server.app;
    const change = (n: number) =>
      sql.query(
        `UPDATE "Thread" SET "metadata" = jsonb_build_object('n', $2::int), "updatedAt" = now() WHERE "id" = $1`,
        [id, n],
      );
    await change(1);
    expect(await watched.next()).toMatchObject({ id, metadata: { n: 1 } });
    await change(2);
    expect(await watched.next()).toMatchObject({ id, metadata: { n: 2 } });
    expect(await first).toMatchObject({ id });
    const end = watched.next();
    await sql.query(`DELETE FROM "Thread" WHERE "id" = $1`, [id]);
    expect(await end).toBeUndefined();
    await all.leave();
  });

  it('costs at most one statement a second while nothing happens, for a hundred watchers together', async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, () => createThread()));
    let statements = 0;
    const { sql } = server.app;
    const changes = createThreadChanges(
      {
        ...sql,
        query: (...asked) => {
          statements += 1;
          return sql.query(...asked);
        },
      },
      createLogger('silent'),
    );
    const watchers = Array.from({ length: 100 }, (_, n) => {
      const watched = n % 5 === 0 ? [] : ids.slice(0, 1 + (n % 20));
      return { watched, ...changes.watch(watched.length > 0 ? watched : undefined) };
    });
    for (const { watched, next } of watchers) for (const _id of watched) await next();
    const waiting = watchers.map((watcher) => watcher.next());
    await until(() => changes.watchers === 100);
    const [before, began] = [statements, performance.now()];
    await until(() => statements > before + 2);
    expect(statements - before).toBeLessThanOrEqual((performance.now() - began) / 1000 + 1);
    for (const watcher of watchers) await watcher.return?.();
    await Promise.all(waiting);
    expect(changes.watchers).toBe(0);
    changes.close();
  });

  /** Changes of the server's own, and the parameters of its statements. */
  function countedChanges() {
    const { sql } = server.app;
    const statements: { text: string; params: readonly unknown[] }[] = [];
    const changes = createThreadChanges(
      {
        ...sql,
        query: intercept(sql.query, ({ text, values }, send) => {
          statements.push({ text, params: values });
          return send();
        }),
      },
      createLogger('silent'),
    );
    return {
      changes,
      statements,
      reads: () => statements.filter(({ text }) => text.includes('SELECT t.*')).length,
      [Symbol.dispose]: () => changes.close(),
    };
  }

  /** Inserts threads and gives their ids. */
  async function insertThreads(count: number): Promise<string[]> {
    const rows = await server.app.sql.query<{ id: string }>(
      `INSERT INTO "Thread" ("id", "updatedAt") SELECT gen_random_uuid(), now() FROM generate_series(1, $1) RETURNING "id"`,
      [count],
    );
    return rows.map(({ id }) => id);
  }

  it('reads a thread once for all that watch it, and hands all of them one row', async () => {
    using counted = countedChanges();
    const [id = '', other = ''] = await insertThreads(2);
    const watchers = Array.from({ length: 500 }, () => counted.changes.watch([id]));
    const elsewhere = counted.changes.watch([other]);
    await Promise.all([...watchers, elsewhere].map((watcher) => watcher.next()));
    expect(counted.reads()).toBeLessThan(10);

    const before = counted.reads();
    let isElsewhere = false;
    const quiet = elsewhere.next().then(() => (isElsewhere = true));
    const next = watchers.map((watcher) => watcher.next());
    await update(id, { changed: true });
    const rows = new Set((await Promise.all(next)).map(({ value }) => value));
    expect(rows.size).toBe(1);
    expect([...rows][0]).toMatchObject({ id, metadata: { changed: true } });
    expect(counted.reads()).toBe(before + 1);
    expect(isElsewhere).toBe(false);
    for (const watcher of [...watchers, elsewhere]) await watcher.return?.();
    await quiet;
  });

  it('looks at a bounded number of threads in each poll, and finds each change in the end', async () => {
    using counted = countedChanges();
    const ids = await insertThreads(2500);
    const watchers = Array.from({ length: 25 }, (_, n) =>
      counted.changes.watch(ids.slice(n * 100, n * 100 + 100)),
    );
    for (const watcher of watchers) for (let n = 0; n < 100; n++) await watcher.next();
    const next = watchers.map((watcher) => watcher.next());
    await server.app.sql.query(`UPDATE "Thread" SET "metadata" = '{"n":1}' WHERE "id" = ANY($1)`, [
      ids.filter((_, n) => n % 100 === 7),
    ]);
    for (const { value } of await Promise.all(next)) expect(value?.metadata).toEqual({ n: 1 });
    const polls = counted.statements.filter(({ text }) => text.includes('unnest'));
    expect(Math.max(...polls.map(({ params }) => (params[0] as string[]).length))).toBe(1000);
    for (const watcher of watchers) await watcher.return?.();
  });

  it('keeps few rows for a watcher of all threads that reads late, and tells it of each thread', async () => {
    using counted = countedChanges();
    const watcher = counted.changes.watch();
    const first = watcher.next();
    await until(() => counted.statements.length > 0);
    const begun = first.then(() => true);
    const probe = await createThread();
    await until(async () => {
      await update(probe, { at: randomId() });
      return Promise.race([begun, Promise.resolve(false)]);
    });
    const ids = await insertThreads(150);
    const reads = counted.reads();
    await until(() => counted.reads() > reads + 1);
    const missing = new Set(ids);
    while (missing.size > 0) {
      const { value } = await watcher.next();
      if (value) missing.delete(value.id);
    }
    await watcher.return?.();
  });

  it('ends for a watcher with more than 10,000 changed threads before it', async () => {
    using counted = countedChanges();
    const watcher = counted.changes.watch();
    const first = watcher.next();
    await until(() => counted.statements.length > 0);
    await insertThreads(10_200);
    await first;
    await until(() => counted.reads() > 101);
    await expect(
      (async () => {
        for (let n = 0; n < 20_000; n++) await watcher.next();
      })(),
    ).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    expect(counted.changes.watchers).toBe(0);
  });

  it('leaves nothing behind when a client unsubscribes while it waits, or its connection breaks', async () => {
    const id = await createThread();
    const url = `${server.url.replace('http', 'ws')}/graphql`;
    for (const ids of [[id], null]) {
      const client = createClient({ url, webSocketImpl: WebSocket, lazy: false });
      const watched = client.iterate({ query: WATCH, variables: { ids } });
      const next = watched.next();
      await until(() => server.app.changes.watchers === 1);
      if (ids) await next;
      await watched.return?.();
      await until(() => server.app.changes.watchers === 0);
      await client.dispose();

      const breaking = createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0 });
      const broken = breaking.iterate({ query: WATCH, variables: { ids } });
      const told = broken.next().catch(() => {});
      await until(() => server.app.changes.watchers === 1);
      if (ids) await told;
      breaking.terminate();
      await until(() => server.app.changes.watchers === 0);
      await told;
    }
    const leaving = new AbortController();
    const response = await fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query: WATCH, variables: { ids: [id] } }),
      signal: leaving.signal,
    });
    await response.body?.getReader().read();
    await until(() => server.app.changes.watchers === 1);
    leaving.abort();
    await until(() => server.app.changes.watchers === 0);
  });

  it('does not keep a server from stopping', async () => {
    const own = await createTestApp();
    const id = await createThread({}, own);
    const watched = watch([id], { app: own });
    await watched.next();
    const end = watched.next().catch(() => undefined);
    await own.stop();
    expect(await end).toBeUndefined();
  });
});
