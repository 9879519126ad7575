import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import {
  createTestApp,
  CREATE_RUN,
  human,
  startTestServer,
  until,
  type TestApp,
} from './support/app.ts';
import { createTestDatabase, openTestDatabase } from './support/databases.ts';
import { openRunDoor, type RunDoor } from './support/run-door.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';
import { openSilentWay } from './support/silent-way.ts';
import { prepareTrouble, WORDS, type Table, type Trouble } from './support/trouble.ts';

const onPostgres = inject('database') === 'postgres';
const LONG = { timeout: SEVERAL_STARTS_MS };

const statusOf = async (url: string) => (await fetch(`${url}/ready`)).status;

/** A client beside the server. */
async function connect(url: string | undefined) {
  const client = new pg.Client(url);
  client.on('error', () => {}); // its database goes with the test
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

/** The name of the database that the URL leads to, and a client of another one on the same server. */
async function connectBeside(databaseUrl: string | undefined) {
  const url = new URL(String(databaseUrl));
  const name = url.pathname.slice(1);
  const client = await connect(Object.assign(url, { pathname: '/postgres' }).href);
  return Object.assign(client, {
    set: (setting: string) => client.query(`ALTER DATABASE "${name}" ${setting}`),
    terminate: () =>
      client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, [
        name,
      ]),
  });
}

describe('while the database fails, a run', () => {
  let server: TestApp;
  let door: RunDoor;
  let trouble: Trouble;
  beforeAll(async () => {
    server = await createTestApp();
    door = await openRunDoor(server);
    trouble = await prepareTrouble(server.app.sql);
  });
  afterAll(async () => {
    await server.stop();
    await door[Symbol.asyncDispose]();
  });

  /** A run whose statements fail from the middle on, until some of them have. */
  async function runThroughTrouble(
    table: Table,
    state: string,
    input: Record<string, unknown> = {},
  ) {
    const gate = door.closedGate();
    const threadId = await door.createThread();
    const { id } = await door.start({
      threadId,
      assistantId: 'gate',
      input: { log: ['in'], file: gate.file },
      ...input,
    });
    const held = async () => (await door.thread(threadId)).state?.next.includes('hold');
    if (input['durability'] !== 'EXIT') await until(held);
    else await door.running(id);
    await trouble.begin(table, state);
    await gate.open();
    await until(async () => (await trouble.count()) >= 3);
    expect((await door.run(id)).status).toBe('RUNNING');
    await trouble.end();
    const events = await server.follow(id);
    return { run: await door.run(id), events };
  }

  it.each([
    ['a lock timeout', '55P03'],
    ['a statement that was cancelled', '57014'],
    ['a database that is read only', '25006'],
    ['a full disk', '53100'],
    ['no memory', '53200'],
    ['too many connections', '53300'],
    ['an error of the operating system', '58030'],
    ['a deadlock', '40P01'],
    ['a right that is missing', '42501'],
    ['a row that was changed at the same time', 'XX000'],
  ])('waits, and goes on where it was: %s', async (_, state) => {
    const { run, events } = await runThroughTrouble('Checkpoint', state, { durability: 'SYNC' });
    expect(run).toMatchObject({ status: 'SUCCESS', attempt: 1, error: null });
    expect(run.output.log).toEqual(['in', 'before', 'hold', 'after']);
    const nodes = events.flatMap(({ __typename, node }) =>
      __typename === 'UpdatesEvent' ? [node] : [],
    );
    expect(nodes).toEqual(['before', 'hold', 'after']);
  });

  it.each([
    ['RunEvent', 'SYNC'],
    ['RunEvent', 'ASYNC'],
    ['CheckpointWrite', 'SYNC'],
    ['Checkpoint', 'ASYNC'],
    ['Checkpoint', 'EXIT'],
    ['Run', 'SYNC'],
    ['Run', 'ASYNC'],
    ['Thread', 'ASYNC'],
  ] as const)('waits for the table %s under %s', async (table, durability) => {
    const { run, events } = await runThroughTrouble(table, '53100', { durability });
    expect(run).toMatchObject({ status: 'SUCCESS', attempt: 1, error: null });
    const told = events.map(({ __typename }) => __typename);
    expect(told.filter((name) => name === 'RunStartedEvent')).toHaveLength(1);
    expect(told.filter((name) => name === 'UpdatesEvent')).toHaveLength(3);
  });

  it('that asks a question asks it once', async () => {
    const gate = door.closedGate();
    const threadId = await door.createThread();
    const input = { threadId, assistantId: 'askAtGate', input: { file: gate.file } };
    const { id } = await door.start(input);
    await door.running(id);
    await trouble.begin('Interrupt', '53100');
    await gate.open();
    await until(async () => (await trouble.count()) >= 3);
    await trouble.end();
    expect(await door.ended(id)).toMatchObject({ status: 'INTERRUPTED', attempt: 1 });
    expect((await door.thread(threadId)).interrupts).toHaveLength(1);
  });

  it('that has failed itself ends with its own error', async () => {
    const { id } = await door.start({ assistantId: 'slow', input: { ms: 300 } });
    await door.running(id);
    const failing = await door.start({ assistantId: 'fail', input: { log: [], fail: true } });
    await trouble.begin('Run', '57014');
    await until(async () => (await trouble.count()) >= 3);
    await trouble.end();
    expect(await door.ended(failing.id)).toMatchObject({ status: 'ERROR' });
    expect((await door.run(failing.id)).error.message).not.toContain(WORDS);
    expect(await door.ended(id)).toMatchObject({ status: 'SUCCESS' });
  });

  it.each(['Checkpoint', 'RunEvent', 'CheckpointWrite'] as const)(
    'that the database refuses for good says so in our words: %s',
    async (table) => {
      const gate = door.closedGate();
      const { id } = await door.start({
        threadId: await door.createThread(),
        assistantId: 'gate',
        input: { log: [], file: gate.file },
        durability: 'SYNC',
      });
      await door.running(id);
      await trouble.begin(table, '22P05');
      await gate.open();
      // Refused with other records, by themselves, and with the end of the run.
      const refusals = table === 'RunEvent' ? 6 : 1;
      await until(async () => (await trouble.count()) >= refusals);
      if (table !== 'RunEvent') await until(async () => (await door.run(id)).status === 'ERROR');
      await trouble.end();
      const { status, error } = await door.ended(id);
      expect(status).toBe('ERROR');
      expect(error.message).toMatch(/the database refused it, .*SQLSTATE 22P05/);
      expect(error.message).not.toContain(WORDS);
    },
  );

  it('that nobody has claimed is claimed afterwards', async () => {
    await trouble.begin('Run', '53100');
    const [refused] = await server.errors(CREATE_RUN, {
      input: { assistantId: 'echo', input: human('x') },
    });
    expect(refused?.extensions).toEqual({ code: 'SERVICE_UNAVAILABLE' });
    expect(refused?.message).not.toContain(WORDS);
    await trouble.end();
    const run = await door.runToEnd({ assistantId: 'echo', input: human('x') });
    expect(run.status).toBe('SUCCESS');
  });

  it.each(['websocket', 'sse'] as const)(
    'that is asked for over %s is refused with SERVICE_UNAVAILABLE',
    async (transport) => {
      await trouble.begin('Run', '57014');
      const variables = { input: { assistantId: 'echo', input: human('x') } };
      const answer = server.subscribe(CREATE_RUN, variables, transport).next();
      await expect(answer).rejects.toMatchObject({
        errors: [{ extensions: { code: 'SERVICE_UNAVAILABLE' } }],
      });
      await trouble.end();
    },
  );

  it.each(['25006', '53100', '58030'])(
    'leaves the server not ready, until nothing fails any more: %s',
    async (state) => {
      await until(async () => (await statusOf(server.url)) === 200);
      await trouble.begin('Run', state);
      await server.errors(CREATE_RUN, { input: { assistantId: 'echo', input: human('x') } });
      expect(await statusOf(server.url)).toBe(503);
      expect((await fetch(`${server.url}/health`)).status).toBe(200);
      await trouble.end();
      await until(async () => (await statusOf(server.url)) === 200);
    },
  );
});

describe('a server that stops while the database fails', () => {
  it('stops all the same; its run goes on with the next server', LONG, async () => {
    const files = await createTestDatabase();
    const first = await startTestServer(files);
    await using door = await openRunDoor(first);
    const trouble = await prepareTrouble(first.app.sql);
    const gate = door.closedGate();
    const input = { assistantId: 'gate', input: { log: [], file: gate.file } };
    const { id } = await door.start({ ...input, onCompletion: 'KEEP' });
    await door.running(id);
    await trouble.begin('Checkpoint', '53100');
    await gate.open();
    await until(async () => (await trouble.count()) >= 2);
    await first.stop();

    const second = await startTestServer(files, { leaseSeconds: 1 });
    await second.app.sql.query(`DELETE FROM trouble`);
    await second.follow(id);
    await using later = await openRunDoor(second);
    expect(await later.run(id)).toMatchObject({ status: 'SUCCESS', attempt: 1 });
    await second.stop();
    await files.dispose();
  });
});

describe.runIf(onPostgres)('a PostgreSQL', () => {
  const SETTINGS = `SELECT "name", "setting" FROM pg_settings WHERE "name" = ANY($1)`;
  const HOSTILE: Record<string, string> = {
    lock_timeout: '1',
    statement_timeout: '1',
    idle_in_transaction_session_timeout: '1',
    idle_session_timeout: '500',
    DateStyle: 'SQL, DMY',
    IntervalStyle: 'sql_standard',
    TimeZone: 'America/New_York',
    bytea_output: 'escape',
    extra_float_digits: '-15',
    array_nulls: 'off',
    standard_conforming_strings: 'off',
    default_transaction_isolation: 'serializable',
  };

  it('may have any defaults for sessions: the server sets what it needs', LONG, async () => {
    const files = await createTestDatabase();
    await using beside = await connectBeside(files.databaseUrl);
    for (const [name, value] of Object.entries(HOSTILE)) {
      await beside.set(`SET ${name} = '${value}'`);
    }
    await using server = await startTestServer(files);
    await using door = await openRunDoor(server);
    const names = Object.keys(HOSTILE);
    const rows = await server.app.sql.query<{ name: string; setting: string }>(SETTINGS, [names]);
    for (const { name, setting } of rows) expect(setting, name).not.toBe(HOSTILE[name]);
    const listeners = `SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()`;
    const [listener] = await until(async () => {
      const found = await server.app.sql.query(listeners);
      return found.length > 0 ? found : undefined;
    });
    const runs = await Promise.all(
      Array.from({ length: 5 }, () =>
        door.runToEnd({ assistantId: 'steps', input: {}, durability: 'SYNC' }),
      ),
    );
    for (const run of runs) expect(run).toMatchObject({ status: 'SUCCESS', error: null });
    const { startedAt } = await door.run(runs[0].id);
    expect(Math.abs(Date.now() - Date.parse(startedAt))).toBeLessThan(120_000);
    // It has been idle for longer than the database allows.
    await until(async () => {
      const idle = await server.app.sql.query(
        `${listeners} AND state_change < now() - interval '1 second'`,
      );
      return idle.length > 0;
    });
    expect(await server.app.sql.query(listeners)).toEqual([listener]);
    await server.stop();
    await files.dispose();
  });

  it('of another encoding than UTF-8 stops the start with a sentence', async () => {
    const files = await createTestDatabase();
    await using beside = await connectBeside(files.databaseUrl);
    const url = new URL(String(files.databaseUrl));
    const name = `${url.pathname.slice(1)}_latin1`;
    await beside.query(
      `CREATE DATABASE "${name}" ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`,
    );
    const databaseUrl = Object.assign(url, { pathname: `/${name}` }).href;
    await expect(openTestDatabase({ ...files, databaseUrl })).rejects.toThrow(
      `The database "${name}" has the encoding LATIN1, and threadql needs UTF8.`,
    );
    await beside.query(`DROP DATABASE "${name}"`);
    await files.dispose();
  });

  it(
    'that becomes read only fails no run, and is not ready until it takes writes again',
    LONG,
    async () => {
      const files = await createTestDatabase();
      await using server = await startTestServer(files);
      await using door = await openRunDoor(server);
      const gate = door.closedGate();
      const started = await Promise.all(
        Array.from({ length: 10 }, () =>
          door.start({
            assistantId: 'gate',
            input: { log: [], file: gate.file },
            onCompletion: 'KEEP',
          }),
        ),
      );
      for (const { id } of started) await door.running(id);
      await using beside = await connectBeside(files.databaseUrl);
      await beside.set('SET default_transaction_read_only = on');
      await beside.terminate();
      await until(async () => (await statusOf(server.url)) === 503);
      await gate.open();
      const { errors } = await until(async () => {
        const answer = await server.request(CREATE_RUN, {
          input: { assistantId: 'echo', input: human('x') },
        });
        return answer.errors && answer;
      });
      expect(errors?.[0]?.extensions).toEqual({ code: 'SERVICE_UNAVAILABLE' });
      await beside.set('RESET default_transaction_read_only');
      await until(async () => (await statusOf(server.url)) === 200);
      for (const { id } of started) {
        expect(await door.ended(id)).toMatchObject({ status: 'SUCCESS', error: null });
      }
      await server.stop();
      await files.dispose();
    },
  );

  it(
    'that answers nothing is not ready and has no client wait for ever; runs go on when it answers',
    LONG,
    async () => {
      const files = await createTestDatabase();
      await using way = await openSilentWay(String(files.databaseUrl));
      await using server = await startTestServer(
        { ...files, databaseUrl: way.databaseUrl },
        { operationSeconds: 5 },
      );
      await using door = await openRunDoor(server);
      const gate = door.closedGate();
      const input = { log: [], file: gate.file };
      const { id } = await door.start({ assistantId: 'gate', input, onCompletion: 'KEEP' });
      await door.running(id);
      expect(await statusOf(server.url)).toBe(200);

      way.silence();
      await gate.open();
      await until(async () => (await statusOf(server.url)) === 503);
      const asked = Array.from({ length: 10 }, () =>
        server.errors(`query ($id: ID!) { run(id: $id) { status } }`, { id }),
      );
      const answers = await Promise.all(asked);
      way.speak();
      const codes = answers.map(([error]) => error?.extensions['code']);
      expect(new Set(codes)).toEqual(new Set(['SERVICE_UNAVAILABLE']));
      await until(async () => (await statusOf(server.url)) === 200);
      expect(await door.ended(id)).toMatchObject({ status: 'SUCCESS', error: null, attempt: 1 });
      await server.stop();
      await files.dispose();
    },
  );

  it('that was away for longer than a lease costs no run an attempt', LONG, async () => {
    const files = await createTestDatabase();
    await using first = await startTestServer(files, { leaseSeconds: 3 });
    await using second = await startTestServer(files, { leaseSeconds: 3 });
    await using door = await openRunDoor(first);
    const gate = door.closedGate();
    const started = await Promise.all(
      Array.from({ length: 6 }, () =>
        door.start({
          assistantId: 'gate',
          input: { log: [], file: gate.file },
          onCompletion: 'KEEP',
        }),
      ),
    );
    for (const { id } of started) await door.running(id);
    await using beside = await connectBeside(files.databaseUrl);
    await beside.set('ALLOW_CONNECTIONS false');
    await beside.terminate();
    const { rows: begin } = await beside.query(`SELECT clock_timestamp() AS "at"`);
    await until(async () => {
      const { rows } = await beside.query(
        `SELECT clock_timestamp() > $1::timestamptz + interval '8 seconds' AS "isOver"`,
        [begin[0].at],
      );
      return rows[0].isOver;
    });
    await beside.set('ALLOW_CONNECTIONS true');
    await until(async () => (await statusOf(first.url)) === 200);
    await gate.open();
    for (const { id } of started) {
      expect(await door.ended(id)).toMatchObject({ status: 'SUCCESS', attempt: 1 });
    }
    await second.stop();
    await first.stop();
    await files.dispose();
  });

  it(
    'that cancels a statement of any part of the server is away, for its client',
    LONG,
    async () => {
      const files = await createTestDatabase();
      await using server = await startTestServer(files);
      await using door = await openRunDoor(server);
      const { id } = await door.runToEnd({ assistantId: 'echo', input: human('x') });
      await using client = await connect(files.databaseUrl);
      await client.query(`BEGIN; LOCK TABLE "Assistant" IN ACCESS EXCLUSIVE MODE`);
      const asked = server.errors(`query ($id: ID!) { run(id: $id) { assistant { name } } }`, {
        id,
      });
      await until(async () => {
        const { rowCount } = await client.query(
          `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
        );
        return (rowCount ?? 0) > 0;
      });
      expect((await asked)[0]?.extensions).toEqual({ code: 'SERVICE_UNAVAILABLE' });
      await client.query('ROLLBACK');
      await server.stop();
      await files.dispose();
    },
  );
});
