import type { VariablesOf } from 'gql.tada';
import { print } from 'graphql';
import { createClient as createWsClient } from 'graphql-ws';
import { describe, expect } from 'vitest';
import { WebSocket } from 'ws';
import { ANONYMOUS, type Viewer } from '../src/auth/viewer.ts';
import { sql } from '../src/db/sql.ts';
import { createLogger } from '../src/log.ts';
import { createThreadChanges } from '../src/threads/changed.ts';
import { human, randomId, until, type TestApp, type Transport } from './support/app.ts';
import { createClient, type Client, type ThreadInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { contentsOf, operation, valuesOf, type AnswerTo } from './support/graphql.ts';
import { intercept } from './support/queries.ts';
import { socketUrl } from './support/refusals.ts';
import { createTwoServers } from './support/servers.ts';

const TRANSPORTS: Transport[] = ['websocket', 'sse'];
const WATCH = operation(`subscription ($ids: [ID!]) {
  threadChanged(ids: $ids) { id status metadata values updatedAt }
}`);
const UPDATE = operation(`mutation ($id: ID!, $metadata: JSONObject!) {
  updateThread(id: $id, input: { metadata: $metadata }) { id }
}`);
const DELETE = operation(`mutation ($id: ID!) { deleteThread(id: $id) }`);

type Changed = AnswerTo<typeof WATCH>['threadChanged'];

const update = (client: Client, id: string, metadata: NonNullable<ThreadInput['metadata']>) =>
  client.gql(UPDATE, { id, metadata });

/** Subscribes to the changes of these threads, or of all threads. */
function watch(client: Client, ids: string[] | null, transport?: Transport) {
  const source = client.subscribe(WATCH, { ids }, transport);
  /** Returns the next thread; undefined after the end of the subscription. */
  const next = async (): Promise<Changed | undefined> => {
    const { value, done } = await source.next();
    return done ? undefined : value.threadChanged;
  };
  return {
    next,
    /** Returns all threads up to the first match. */
    async until(matches: (thread: Changed) => boolean): Promise<[...Changed[], Changed]> {
      const seen: Changed[] = [];
      for (;;) {
        const thread = await next();
        if (!thread) throw new Error(`It ended after ${JSON.stringify(seen)}`);
        if (matches(thread)) return [...seen, thread];
        seen.push(thread);
      }
    },
    leave: () => source.return?.(),
  };
}

/** Returns the extensions of the error for a refused subscription. */
async function codeOf(
  client: Client,
  variables: VariablesOf<typeof WATCH>,
  transport: Transport,
): Promise<unknown> {
  try {
    for await (const _changed of client.subscribe(WATCH, variables, transport)) break;
  } catch (error) {
    const { errors = [error as Refusal] } = error as { errors?: Refusal[] };
    const [first] = Array.isArray(error) ? (error as Refusal[]) : errors;
    if (!first?.extensions) throw error;
    return first.extensions;
  }
  return expect.fail('No error came.');
}

interface Refusal {
  extensions?: Record<string, unknown>;
}

/** Creates thread changes for this server, and records their statements. */
function countedChanges({ app }: TestApp) {
  const { sql: database } = app;
  const statements: { text: string; params: readonly unknown[] }[] = [];
  const changes = createThreadChanges(
    {
      ...database,
      query: intercept(database.query, ({ text, values }, send) => {
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

/** Inserts threads and returns their ids. */
async function insertThreads({ app }: TestApp, count: number, owner = ''): Promise<string[]> {
  const rows = await app.sql.query<{ id: string }>(
    sql`INSERT INTO "Thread" ("id", "owner", "updatedAt")
      SELECT gen_random_uuid(), ${owner}, now() FROM generate_series(1, ${count}) RETURNING "id"`,
  );
  return rows.map(({ id }) => id);
}

describe.each(TRANSPORTS)('threadChanged over %s', (transport) => {
  it('tells each thread as it is now, then its metadata, status and state as they change', async ({
    client,
  }) => {
    const [a, b] = [
      await client.createThread({ metadata: { name: 'a' } }),
      await client.createThread({ metadata: { name: 'b' } }),
    ];
    const watched = watch(client, [b, a, b], transport);
    expect(await watched.next()).toMatchObject({ id: b, status: 'IDLE', metadata: { name: 'b' } });
    expect(await watched.next()).toMatchObject({ id: a, values: {} });

    await update(client, a, { name: 'A' });
    expect(await watched.next()).toMatchObject({ id: a, metadata: { name: 'A' } });

    const gate = createGate();
    await client.startRun({ threadId: b, assistantId: 'gate', input: { file: gate.file } });
    const running = await watched.until(({ values }) => valuesOf(values).log?.length === 1);
    expect(running.at(-1)).toMatchObject({ id: b, status: 'BUSY', values: { log: ['before'] } });
    await gate.open();
    const ended = await watched.until(({ status }) => status === 'IDLE');
    expect(valuesOf(ended.at(-1)?.values).log).toEqual(['before', 'hold', 'after']);
    expect([...running, ...ended].every(({ id }) => id === b)).toBe(true);
    await watched.leave();
  });

  it('tells without ids every thread that changes, and none that does not', async ({
    client,
    server,
  }) => {
    const quiet = await client.createThread({ metadata: { name: 'quiet' } });
    const changing = await client.createThread({ metadata: { name: 'changing' } });
    const watched = watch(client, null, transport);
    const first = watched.next();
    await until(() => server.app.changes.watchers === 1);
    // The subscription has started when a change of another thread arrives.
    const probe = await client.createThread({ metadata: { name: 'probe' } });
    const begun = first.then(() => true);
    await until(async () => {
      await update(client, probe, { at: randomId() });
      return Promise.race([begun, Promise.resolve(false)]);
    });
    await update(client, changing, { name: 'changed' });
    const fresh = await client.createThread({ metadata: { name: 'fresh' } });
    const told = [await first];
    const missing = new Set([changing, fresh]);
    while (missing.size > 0) {
      const thread = await watched.next();
      told.push(thread);
      missing.delete(thread?.id ?? expect.fail('The subscription ended.'));
    }
    expect(told.map((thread) => thread?.id)).not.toContain(quiet);
    expect(told.find((thread) => thread?.id === changing)?.metadata).toEqual({ name: 'changed' });
    await watched.leave();
  });

  it('refuses lists that are too long, empty or of no UUIDs', async ({ client, server }) => {
    const id = await client.createThread();
    const codes = async (ids: string[]) => codeOf(client, { ids }, transport);
    const bad = { code: 'BAD_USER_INPUT', argument: 'ids' };
    expect(await codes([])).toMatchObject(bad);
    expect(await codes(Array.from({ length: 101 }, () => id))).toMatchObject(bad);
    expect(await codes([id, 'x'])).toMatchObject({ ...bad, argument: 'ids[1]' });
    expect(server.app.changes.watchers).toBe(0);
  });

  it('waits for a thread that does not exist yet', async ({ client }) => {
    const [existing, id] = [await client.createThread(), randomId()];
    const watched = watch(client, [id, existing], transport);
    expect(await watched.next()).toMatchObject({ id: existing });
    await client.createThread({ id, metadata: { name: 'late' } });
    expect(await watched.next()).toMatchObject({ id, metadata: { name: 'late' } });
    await watched.leave();
  });

  it('tells no more of a thread that is deleted, and completes when all are', async ({
    client,
    server,
  }) => {
    const [a, b] = [await client.createThread(), await client.createThread()];
    const watched = watch(client, [a, b], transport);
    await watched.next();
    await watched.next();
    await client.gql(DELETE, { id: a });
    await update(client, b, { still: 'here' });
    expect(await watched.next()).toMatchObject({ id: b, metadata: { still: 'here' } });
    const end = watched.next();
    await client.gql(DELETE, { id: b });
    expect(await end).toBeUndefined();
    expect(server.app.changes.watchers).toBe(0);
  });

  it('tells of a burst at least the newest, and never an older one after a newer one', async ({
    client,
  }) => {
    const id = await client.createThread({ metadata: { n: 0 } });
    const watched = watch(client, [id], transport);
    await watched.next();
    const LAST = 100;
    void (async () => {
      for (let n = 1; n <= LAST; n++) await update(client, id, { n });
    })();
    const told = await watched.until(({ metadata }) => metadata['n'] === LAST);
    const numbers = told.map(({ metadata }) => metadata['n'] as number);
    expect(numbers).toEqual([...new Set(numbers)].toSorted((x, y) => x - y));
    await watched.leave();
  });
});

describe('threadChanged', () => {
  it('tells what another server has changed', async () => {
    await using pair = await createTwoServers();
    const [first, second] = pair.servers;
    const [here, there] = [createClient(first), createClient(second)];
    const id = await here.createThread();
    const watched = watch(here, [id]);
    const all = watch(here, null);
    await watched.next();
    const firstOfAll = all.next();
    await until(() => first.app.changes.watchers === 2);
    for (let n = 1; n <= 5; n++) {
      await update(there, id, { n });
      await watched.until(({ metadata }) => metadata['n'] === n);
    }
    expect(await firstOfAll).toMatchObject({ id });
    await there.startRun({ threadId: id, assistantId: 'echo', input: human('x') });
    const ended = await watched.until(
      ({ values, status }) => contentsOf(values).length === 2 && status === 'IDLE',
    );
    expect(contentsOf(ended.at(-1)?.values)[1]).toBe('echo: x');
    await watched.leave();
    await all.leave();
  });

  it('tells what changed without a hint', async ({ client, server }) => {
    const id = await client.createThread();
    const watched = watch(client, [id]);
    await watched.next();
    const all = watch(client, null);
    const first = all.next();
    await until(() => server.app.changes.watchers === 2);
    const { sql: database } = server.app;
    const change = (n: number) =>
      database.query(
        sql`UPDATE "Thread" SET "metadata" = jsonb_build_object('n', ${n}::int), "updatedAt" = now() WHERE "id" = ${id}`,
      );
    await change(1);
    expect(await watched.next()).toMatchObject({ id, metadata: { n: 1 } });
    await change(2);
    expect(await watched.next()).toMatchObject({ id, metadata: { n: 2 } });
    expect(await first).toMatchObject({ id });
    const end = watched.next();
    await database.query(sql`DELETE FROM "Thread" WHERE "id" = ${id}`);
    expect(await end).toBeUndefined();
    await all.leave();
  });

  it('costs at most one statement a second while nothing happens, for a hundred watchers together', async ({
    client,
    server,
  }) => {
    const ids = await Promise.all(Array.from({ length: 20 }, () => client.createThread()));
    let statements = 0;
    const { sql: database } = server.app;
    const changes = createThreadChanges(
      {
        ...database,
        query: (...asked) => {
          statements += 1;
          return database.query(...asked);
        },
      },
      createLogger('silent'),
    );
    const watchers = Array.from({ length: 100 }, (_, n) => {
      const watched = n % 5 === 0 ? [] : ids.slice(0, 1 + (n % 20));
      return { watched, ...changes.watch(watched.length > 0 ? { ids: watched } : {}) };
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

  it('reads a thread once for all that watch it, and hands all of them one row', async ({
    client,
    server,
  }) => {
    using counted = countedChanges(server);
    const [id = '', other = ''] = await insertThreads(server, 2);
    const watchers = Array.from({ length: 500 }, () => counted.changes.watch({ ids: [id] }));
    const elsewhere = counted.changes.watch({ ids: [other] });
    await Promise.all([...watchers, elsewhere].map((watcher) => watcher.next()));
    expect(counted.reads()).toBeLessThan(10);

    const before = counted.reads();
    let isElsewhere = false;
    const quiet = elsewhere.next().then(() => (isElsewhere = true));
    const next = watchers.map((watcher) => watcher.next());
    await update(client, id, { changed: true });
    const rows = new Set((await Promise.all(next)).map(({ value }) => value));
    expect(rows.size).toBe(1);
    expect([...rows][0]).toMatchObject({ id, metadata: { changed: true } });
    expect(counted.reads()).toBe(before + 1);
    expect(isElsewhere).toBe(false);
    for (const watcher of [...watchers, elsewhere]) await watcher.return?.();
    await quiet;
  });

  it('looks at a bounded number of threads in each poll, and finds each change in the end', async ({
    server,
  }) => {
    using counted = countedChanges(server);
    const ids = await insertThreads(server, 2500);
    const watchers = Array.from({ length: 25 }, (_, n) =>
      counted.changes.watch({ ids: ids.slice(n * 100, n * 100 + 100) }),
    );
    for (const watcher of watchers) for (let n = 0; n < 100; n++) await watcher.next();
    const next = watchers.map((watcher) => watcher.next());
    await server.app.sql.query(
      sql`UPDATE "Thread" SET "metadata" = '{"n":1}' WHERE "id" = ANY(${ids.filter((_, n) => n % 100 === 7)})`,
    );
    for (const { value } of await Promise.all(next))
      expect(value).toMatchObject({ metadata: { n: 1 } });
    const polls = counted.statements.filter(({ text }) => text.includes('unnest'));
    expect(Math.max(...polls.map(({ params }) => (params[0] as string[]).length))).toBe(1000);
    for (const watcher of watchers) await watcher.return?.();
  });

  it('keeps few rows for a watcher of all threads that reads late, and tells it of each thread', async ({
    client,
    server,
  }) => {
    using counted = countedChanges(server);
    const watcher = counted.changes.watch();
    const first = watcher.next();
    await until(() => counted.statements.length > 0);
    const begun = first.then(() => true);
    const probe = await client.createThread();
    await until(async () => {
      await update(client, probe, { at: randomId() });
      return Promise.race([begun, Promise.resolve(false)]);
    });
    const ids = await insertThreads(server, 150);
    const reads = counted.reads();
    await until(() => counted.reads() > reads + 1);
    const missing = new Set(ids);
    while (missing.size > 0) {
      const { value } = await watcher.next();
      if (value && 'id' in value) missing.delete(value.id);
    }
    await watcher.return?.();
  });

  it('ends for a watcher with more than 10,000 changed threads before it', async ({ server }) => {
    using counted = countedChanges(server);
    const watcher = counted.changes.watch();
    const first = watcher.next();
    await until(() => counted.statements.length > 0);
    await insertThreads(server, 10_200);
    await first;
    await until(() => counted.reads() > 101);
    await expect(
      (async () => {
        for (let n = 0; n < 20_000; n++) await watcher.next();
      })(),
    ).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    expect(counted.changes.watchers).toBe(0);
  });

  it('goes on for a watcher with more than 10,000 changed threads of other owners before it', async ({
    server,
  }) => {
    using counted = countedChanges(server);
    const own = randomId();
    const viewer: Viewer = { ...ANONYMOUS, identity: own, sees: 'own' };
    const watcher = counted.changes.watch({ viewer });
    const begun = watcher.next().then(() => true);
    await until(async () => {
      await insertThreads(server, 1, own);
      return Promise.race([begun, Promise.resolve(false)]);
    });
    const reads = counted.reads();
    await insertThreads(server, 10_200);
    await until(() => counted.reads() > reads + 101);
    await insertThreads(server, 1, own);
    expect(await watcher.next()).toMatchObject({ value: { owner: own } });
    await watcher.return?.();
  });

  it('leaves nothing behind when a client unsubscribes while it waits, or its connection breaks', async ({
    client,
    server,
  }) => {
    const id = await client.createThread();
    const url = socketUrl(client);
    const query = print(WATCH);
    for (const ids of [[id], null]) {
      const leaver = createWsClient({ url, webSocketImpl: WebSocket, lazy: false });
      const watched = leaver.iterate({ query, variables: { ids } });
      const next = watched.next();
      await until(() => server.app.changes.watchers === 1);
      if (ids) await next;
      await watched.return?.();
      await until(() => server.app.changes.watchers === 0);
      await leaver.dispose();

      const breaking = createWsClient({ url, webSocketImpl: WebSocket, retryAttempts: 0 });
      const broken = breaking.iterate({ query, variables: { ids } });
      const told = broken.next().catch(() => {});
      await until(() => server.app.changes.watchers === 1);
      if (ids) await told;
      breaking.terminate();
      await until(() => server.app.changes.watchers === 0);
      await told;
    }
    const leaving = new AbortController();
    const response = await fetch(`${client.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query, variables: { ids: [id] } }),
      signal: leaving.signal,
    });
    await response.body?.getReader().read();
    await until(() => server.app.changes.watchers === 1);
    leaving.abort();
    await until(() => server.app.changes.watchers === 0);
  });

  it('does not keep a server from stopping', async ({ startServer }) => {
    const { server, client } = await startServer();
    const watched = watch(client, [await client.createThread()]);
    await watched.next();
    const end = watched.next().catch(() => undefined);
    await server.stop();
    expect(await end).toBeUndefined();
  });
});
