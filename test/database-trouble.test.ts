import { describe, expect, inject } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { human, until } from './support/app.ts';
import { CREATE_RUN, nodesOf, type Client, type RunInput } from './support/client.ts';
import { openTestDatabase } from './support/databases.ts';
import { it as base } from './support/fixture.ts';
import { createGate, type Gate } from './support/gates.ts';
import { operation } from './support/graphql.ts';
import { connect, connectBeside } from './support/pg-clients.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';
import { openSilentWay } from './support/silent-way.ts';
import { prepareTrouble, WORDS, type Table, type Trouble } from './support/trouble.ts';

const onPostgres = inject('database') === 'postgres';
const LONG = { timeout: SEVERAL_STARTS_MS };

/** `trouble` is in the database of `server`. */
const it = base.extend('trouble', { scope: 'file' }, ({ server }) =>
  prepareTrouble(server.app.sql),
);

const statusOf = async (url: string) => (await fetch(`${url}/ready`)).status;

type Durability = NonNullable<RunInput['durability']>;

const ECHO: RunInput = { assistantId: 'echo', input: human('x') };

const atGate = ({ file }: Gate): RunInput => ({
  assistantId: 'gate',
  input: { log: ['in'], file },
  onCompletion: 'KEEP',
});

/** Starts runs with the same gate. Returns when all are running. */
async function startManyAtGate(
  client: Client,
  count: number,
): Promise<{ ids: string[]; gate: Gate }> {
  const gate = createGate();
  const runs = await Promise.all(
    Array.from({ length: count }, () => client.startRun(atGate(gate))),
  );
  for (const { id } of runs) await client.untilRunning(id);
  return { ids: runs.map(({ id }) => id), gate };
}

describe('while the database fails, a run', () => {
  /** Runs graph `gate`. In its middle, three statements for the table fail, or more. */
  async function runThroughTrouble(
    { client, trouble }: { client: Client; trouble: Trouble },
    table: Table,
    { state = '53100', durability }: { state?: string; durability: Durability },
  ) {
    const gate = createGate();
    const threadId = await client.createThread();
    const { id } = await client.startRun({
      threadId,
      assistantId: 'gate',
      input: { log: ['in'], file: gate.file },
      durability,
    });
    // Under EXIT, the run stores no checkpoint before its end.
    if (durability === 'EXIT') await client.untilRunning(id);
    else await until(async () => (await client.getThread(threadId)).state?.next.includes('hold'));
    await trouble.begin(table, state);
    await gate.open();
    await until(async () => (await trouble.count()) >= 3);
    expect((await client.getRun(id)).status).toBe('RUNNING');
    await trouble.end();
    const events = await client.follow(id);
    return { run: await client.getRun(id), events };
  }

  it.for([
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
  ] as const)('waits, and goes on where it was: %s', async ([, state], { client, trouble }) => {
    const { run, events } = await runThroughTrouble({ client, trouble }, 'Checkpoint', {
      state,
      durability: 'SYNC',
    });
    expect(run).toMatchObject({ status: 'SUCCESS', attempt: 1, error: null });
    expect(run.output.log).toEqual(['in', 'before', 'hold', 'after']);
    expect(nodesOf(events)).toEqual(['before', 'hold', 'after']);
  });

  it.for([
    ['RunEvent', 'SYNC'],
    ['RunEvent', 'ASYNC'],
    ['CheckpointWrite', 'SYNC'],
    ['Checkpoint', 'ASYNC'],
    ['Checkpoint', 'EXIT'],
    ['Run', 'SYNC'],
    ['Run', 'ASYNC'],
    ['Thread', 'ASYNC'],
  ] as const)(
    'waits for the table %s under %s',
    async ([table, durability], { client, trouble }) => {
      const { run, events } = await runThroughTrouble({ client, trouble }, table, { durability });
      expect(run).toMatchObject({ status: 'SUCCESS', attempt: 1, error: null });
      const types = events.map(({ __typename }) => __typename);
      expect(types.filter((name) => name === 'RunStartedEvent')).toHaveLength(1);
      expect(types.filter((name) => name === 'UpdatesEvent')).toHaveLength(3);
    },
  );

  it('that asks a question asks it once', async ({ client, trouble }) => {
    const threadId = await client.createThread();
    await trouble.begin('Interrupt', '53100');
    const { id } = await client.startRun({ threadId, assistantId: 'ask', input: {} });
    await until(async () => (await trouble.count()) >= 3);
    await trouble.end();
    expect(await client.untilEnded(id)).toMatchObject({ status: 'INTERRUPTED', attempt: 1 });
    expect((await client.getThread(threadId)).interrupts).toHaveLength(1);
  });

  it('that has failed itself ends with its own error', async ({ client, trouble }) => {
    const { ids, gate } = await startManyAtGate(client, 1);
    const [running = ''] = ids;
    const failing = await client.startRun({
      assistantId: 'fail',
      input: { log: [], fail: true },
    });
    await trouble.begin('Run', '57014');
    await gate.open();
    await until(async () => (await trouble.count()) >= 3);
    await trouble.end();
    const { status, error } = await client.untilEnded(failing.id);
    expect(status).toBe('ERROR');
    expect(error?.message).not.toContain(WORDS);
    expect(await client.untilEnded(running)).toMatchObject({ status: 'SUCCESS' });
  });

  it.for(['Checkpoint', 'RunEvent', 'CheckpointWrite'] as const)(
    'that the database refuses for good says so in our words: %s',
    async (table, { client, trouble }) => {
      const gate = createGate();
      const { id } = await client.startRun({
        threadId: await client.createThread(),
        assistantId: 'gate',
        input: { log: [], file: gate.file },
        durability: 'SYNC',
      });
      await client.untilRunning(id);
      await trouble.begin(table, '22P05');
      await gate.open();
      // With further records, alone, and with the end of the run.
      const refusals = table === 'RunEvent' ? 6 : 1;
      await until(async () => (await trouble.count()) >= refusals);
      if (table !== 'RunEvent') {
        await until(async () => (await client.getRun(id)).status === 'ERROR');
      }
      await trouble.end();
      const { status, error } = await client.untilEnded(id);
      expect(status).toBe('ERROR');
      expect(error?.message).toMatch(/the database refused it, .*SQLSTATE 22P05/);
      expect(error?.message).not.toContain(WORDS);
    },
  );

  it('that nobody has claimed is claimed afterwards', async ({ client, trouble }) => {
    await trouble.begin('Run', '53100');
    const [refused] = await client.errors(CREATE_RUN, { input: ECHO });
    expect(refused?.extensions).toEqual({ code: 'SERVICE_UNAVAILABLE' });
    expect(refused?.message).not.toContain(WORDS);
    await trouble.end();
    expect((await client.runToEnd(ECHO)).status).toBe('SUCCESS');
  });

  it.for(['websocket', 'sse'] as const)(
    'that is asked for over %s is refused with SERVICE_UNAVAILABLE',
    async (transport, { client, trouble }) => {
      await trouble.begin('Run', '57014');
      const answer = client.subscribe(CREATE_RUN, { input: ECHO }, transport).next();
      await expect(answer).rejects.toMatchObject({
        errors: [{ extensions: { code: 'SERVICE_UNAVAILABLE' } }],
      });
      await trouble.end();
    },
  );

  it.for(['25006', '53100', '58030'])(
    'leaves the server not ready, until nothing fails any more: %s',
    async (state, { client, trouble }) => {
      await until(async () => (await statusOf(client.url)) === 200);
      await trouble.begin('Run', state);
      await client.errors(CREATE_RUN, { input: ECHO });
      expect(await statusOf(client.url)).toBe(503);
      expect((await fetch(`${client.url}/health`)).status).toBe(200);
      await trouble.end();
      await until(async () => (await statusOf(client.url)) === 200);
    },
  );
});

describe('a server that stops while the database fails', () => {
  it(
    'stops all the same; its run goes on with the next server',
    LONG,
    async ({ ownDatabase, startServer }) => {
      const first = await startServer({}, ownDatabase);
      const trouble = await prepareTrouble(first.server.app.sql);
      const { ids, gate } = await startManyAtGate(first.client, 1);
      const [id = ''] = ids;
      await trouble.begin('Checkpoint', '53100');
      await gate.open();
      await until(async () => (await trouble.count()) >= 2);
      await first.server.stop();

      const { server, client } = await startServer({}, ownDatabase);
      await server.app.sql.query(sql`DELETE FROM trouble`);
      expect(await client.untilEnded(id)).toMatchObject({ status: 'SUCCESS', attempt: 1 });
    },
  );
});

describe.runIf(onPostgres)('a PostgreSQL', LONG, () => {
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

  it('may have any defaults for sessions: the server sets what it needs', async ({
    ownDatabase,
    startServer,
  }) => {
    await using beside = await connectBeside(ownDatabase.databaseUrl);
    for (const [name, value] of Object.entries(HOSTILE)) {
      await beside.set(`SET ${name} = '${value}'`);
    }
    const { server, client } = await startServer({}, ownDatabase);
    const { sql: database } = server.app;
    const names = Object.keys(HOSTILE);
    const rows = await database.query<{ name: string; setting: string }>(
      sql`SELECT "name", "setting" FROM pg_settings WHERE "name" = ANY(${names})`,
    );
    for (const { name, setting } of rows) expect(setting, name).not.toBe(HOSTILE[name]);
    const listeners = sql`SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()`;
    const [listener] = await until(async () => {
      const found = await database.query(listeners);
      return found.length > 0 ? found : undefined;
    });
    const steps = { assistantId: 'steps', input: {}, durability: 'SYNC' as const };
    const runs = await Promise.all(Array.from({ length: 5 }, () => client.runToEnd(steps)));
    for (const run of runs) expect(run).toMatchObject({ status: 'SUCCESS', error: null });
    const { startedAt } = await client.getRun(runs[0]?.id ?? '');
    expect(Math.abs(Date.now() - Date.parse(String(startedAt)))).toBeLessThan(120_000);
    // The connection is idle for longer than the database allows.
    await until(async () => {
      const idle = await database.query(
        sql`${listeners} AND state_change < now() - interval '1 second'`,
      );
      return idle.length > 0;
    });
    expect(await database.query(listeners)).toEqual([listener]);
  });

  it('of another encoding than UTF-8 stops the start with a sentence', async ({ ownDatabase }) => {
    await using beside = await connectBeside(ownDatabase.databaseUrl);
    const url = new URL(String(ownDatabase.databaseUrl));
    const name = `${url.pathname.slice(1)}_latin1`;
    await beside.query(
      `CREATE DATABASE "${name}" ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`,
    );
    const databaseUrl = Object.assign(url, { pathname: `/${name}` }).href;
    await expect(openTestDatabase({ ...ownDatabase, databaseUrl })).rejects.toThrow(
      `The database "${name}" has the encoding LATIN1, and threadql needs UTF8.`,
    );
    await beside.query(`DROP DATABASE "${name}"`);
  });

  it('that becomes read only fails no run, and is not ready until it takes writes again', async ({
    ownDatabase,
    startServer,
  }) => {
    const { client } = await startServer({}, ownDatabase);
    const { ids, gate } = await startManyAtGate(client, 10);
    await using beside = await connectBeside(ownDatabase.databaseUrl);
    await beside.set('SET default_transaction_read_only = on');
    await beside.terminate();
    await until(async () => (await statusOf(client.url)) === 503);
    await gate.open();
    const { errors } = await until(async () => {
      const answer = await client.request(CREATE_RUN, { input: ECHO });
      return answer.errors && answer;
    });
    expect(errors?.[0]?.extensions).toEqual({ code: 'SERVICE_UNAVAILABLE' });
    await beside.set('RESET default_transaction_read_only');
    await until(async () => (await statusOf(client.url)) === 200);
    for (const id of ids) {
      expect(await client.untilEnded(id)).toMatchObject({ status: 'SUCCESS', error: null });
    }
  });

  it('that answers nothing is not ready and has no client wait for ever; runs go on when it answers', async ({
    ownDatabase,
    startServer,
  }) => {
    await using way = await openSilentWay(String(ownDatabase.databaseUrl));
    const { server, client } = await startServer(
      { operationSeconds: 5 },
      { ...ownDatabase, databaseUrl: way.databaseUrl },
    );
    const { ids, gate } = await startManyAtGate(client, 1);
    const [id = ''] = ids;
    expect(await statusOf(client.url)).toBe(200);

    way.silence();
    await gate.open();
    await until(async () => (await statusOf(client.url)) === 503);
    const asked = Array.from({ length: 10 }, () =>
      client.errors(operation(`query ($id: ID!) { run(id: $id) { status } }`), { id }),
    );
    const answers = await Promise.all(asked);
    way.speak();
    const codes = answers.map(([error]) => error?.extensions['code']);
    expect(new Set(codes)).toEqual(new Set(['SERVICE_UNAVAILABLE']));
    await until(async () => (await statusOf(client.url)) === 200);
    expect(await client.untilEnded(id)).toMatchObject({
      status: 'SUCCESS',
      error: null,
      attempt: 1,
    });
    // Before `way` closes.
    await server.stop();
  });

  it('that was away for longer than a lease costs no run an attempt', async ({
    ownDatabase,
    startServer,
  }) => {
    const { client } = await startServer({ leaseSeconds: 8 }, ownDatabase);
    await startServer({ leaseSeconds: 8 }, ownDatabase);
    const { ids, gate } = await startManyAtGate(client, 6);
    await using beside = await connectBeside(ownDatabase.databaseUrl);
    await beside.set('ALLOW_CONNECTIONS false');
    await beside.terminate();
    const { rows: begin } = await beside.query(`SELECT clock_timestamp() AS "at"`);
    await until(async () => {
      const { rows } = await beside.query(
        `SELECT clock_timestamp() > $1::timestamptz + interval '12 seconds' AS "isOver"`,
        [begin[0].at],
      );
      return rows[0].isOver;
    });
    await beside.set('ALLOW_CONNECTIONS true');
    await until(async () => (await statusOf(client.url)) === 200);
    await gate.open();
    for (const id of ids) {
      expect(await client.untilEnded(id)).toMatchObject({ status: 'SUCCESS', attempt: 1 });
    }
  });

  it('that cancels a statement of any part of the server is away, for its client', async ({
    ownDatabase,
    startServer,
  }) => {
    const { client } = await startServer({}, ownDatabase);
    const { id } = await client.runToEnd(ECHO);
    await using locking = await connect(ownDatabase.databaseUrl);
    await locking.query(`BEGIN; LOCK TABLE "Assistant" IN ACCESS EXCLUSIVE MODE`);
    const asked = client.errors(
      operation(`query ($id: ID!) { run(id: $id) { assistant { name } } }`),
      { id },
    );
    await until(async () => {
      const { rowCount } = await locking.query(
        `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
      );
      return (rowCount ?? 0) > 0;
    });
    expect((await asked)[0]?.extensions).toEqual({ code: 'SERVICE_UNAVAILABLE' });
    await locking.query('ROLLBACK');
  });
});
