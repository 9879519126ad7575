import { spawnSync } from 'node:child_process';
import { pino } from 'pino';
import { describe, expect, inject } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { createLeaseRenewer, type Claim } from '../src/runs/lease-renewer.ts';
import { randomId, until } from './support/app.ts';
import { openTestDatabase } from './support/databases.ts';
import { it as base } from './support/fixture.ts';
import { connectBeside } from './support/pg-clients.ts';
import { startCode } from './support/processes.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';

const CONNECTIONS = sql`SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'threadql leases'`;

/** `leases` is a lease renewer on `ownDatabase`, with the calls of its handlers and the lines of its log. */
const it = base.extend('leases', async ({ ownDatabase }, { onCleanup }) => {
  const { sql: database, close } = await openTestDatabase(ownDatabase);
  const [lost, cancelled]: [string[], string[]] = [[], []];
  const logged: { level: number; msg: string }[] = [];
  const renewer = createLeaseRenewer({
    databaseUrl: ownDatabase.databaseUrl,
    // Renewed every second.
    leaseSeconds: 3,
    maxBlockedSeconds: 0,
    log: pino({ level: 'debug' }, { write: (line) => logged.push(JSON.parse(line)) }),
    onLost: (id) => lost.push(id),
    onCancel: (id) => cancelled.push(id),
  });
  onCleanup(async () => {
    await renewer.stop();
    await close();
  });

  /** The end of its lease, in seconds since 1970. */
  async function leaseOf({ id }: Claim): Promise<number> {
    const [row] = await database.query<{ at: number }>(
      sql`SELECT extract(epoch FROM "leaseExpiresAt")::float8 AS "at" FROM "Run" WHERE "id" = ${id}`,
    );
    return row?.at ?? Number.NaN;
  }

  return {
    database,
    renewer,
    lost,
    cancelled,
    logged,
    leaseOf,
    /** A claimed run with an expired lease. */
    async claimedRun(): Promise<Claim> {
      const [id, threadId, claimToken] = [randomId(), randomId(), randomId()];
      await database.query(sql`INSERT INTO "Thread" ("id") VALUES (${threadId})`);
      await database.query(
        sql`INSERT INTO "Run" ("id", "status", "threadId", "assistantId", "graphId", "claimToken", "leaseExpiresAt")
         VALUES (${id}, 'RUNNING', ${threadId}, gen_random_uuid(), 'echo', ${claimToken}, now())`,
      );
      return { id, claimToken };
    },
    async renewed(claim: Claim): Promise<void> {
      const before = await leaseOf(claim);
      await until(async () => (await leaseOf(claim)) > before);
    },
  };
});

// The embedded database has no leases.
describe.skipIf(inject('database') === 'embedded')('a claim that is kept', () => {
  it('is renewed again and again', async ({ leases }) => {
    const { renewer, lost, cancelled, logged, claimedRun, renewed } = leases;
    const claim = await claimedRun();
    renewer.hold(claim);
    for (let times = 0; times < 3; times++) await renewed(claim);
    expect([lost, cancelled, logged]).toEqual([[], [], []]);
  });

  it('is renewed while something blocks the event loop', async ({ leases, ownDatabase }) => {
    const { renewer, claimedRun, renewed } = leases;
    const claim = await claimedRun();
    renewer.hold(claim);
    await renewed(claim);
    // Blocks this process until another process has seen two changes of the lease.
    const look = `
      import pg from 'pg';
      const client = new pg.Client(process.env.URL);
      await client.connect();
      const seen = new Set();
      while (seen.size < 3) {
        const { rows } = await client.query('SELECT "leaseExpiresAt"::text AS "at" FROM "Run"');
        seen.add(rows[0].at);
      }
      await client.end();`;
    const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', look], {
      env: { URL: ownDatabase.databaseUrl },
      timeout: 50_000,
    });
    expect(status).toBe(0);
  });

  it('is no longer renewed when it has been dropped', async ({ leases }) => {
    const { database, renewer, lost, leaseOf, claimedRun, renewed } = leases;
    const [dropped, kept] = [await claimedRun(), await claimedRun()];
    renewer.hold(dropped);
    renewer.hold(kept);
    await renewed(dropped);
    renewer.drop(dropped);
    // A renewal may not have ended.
    await renewed(kept);
    const before = await leaseOf(dropped);
    for (let times = 0; times < 2; times++) await renewed(kept);
    expect(await leaseOf(dropped)).toBe(before);
    await database.query(sql`UPDATE "Run" SET "claimToken" = gen_random_uuid()`);
    await until(() => lost.includes(kept.id));
    expect(lost).toEqual([kept.id]);
  });

  it('is told of once when it is lost, and the next claim of the same run is kept', async ({
    leases,
  }) => {
    const { database, renewer, lost, claimedRun, renewed } = leases;
    const [first, other] = [await claimedRun(), await claimedRun()];
    renewer.hold(first);
    renewer.hold(other);
    await renewed(other);
    const second = { id: first.id, claimToken: randomId() };
    await database.query(
      sql`UPDATE "Run" SET "claimToken" = ${second.claimToken} WHERE "id" = ${second.id}`,
    );
    await until(() => lost.length > 0);
    for (let times = 0; times < 2; times++) await renewed(other);
    expect(lost).toEqual([first.id]);
    renewer.hold(second);
    // From the attempt with the lost claim.
    renewer.drop(first);
    for (let times = 0; times < 2; times++) await renewed(second);
    expect(lost).toEqual([first.id]);
  });

  it('is lost when its run has ended or is gone', async ({ leases }) => {
    const { database, renewer, lost, claimedRun } = leases;
    const [ended, gone] = [await claimedRun(), await claimedRun()];
    renewer.hold(ended);
    renewer.hold(gone);
    await database.query(sql`UPDATE "Run" SET "status" = 'SUCCESS' WHERE "id" = ${ended.id}`);
    await database.query(sql`DELETE FROM "Run" WHERE "id" = ${gone.id}`);
    await until(() => lost.length === 2);
    expect(lost.toSorted()).toEqual([ended.id, gone.id].toSorted());
  });

  it('is told of when its run is to be cancelled, once for each way', async ({ leases }) => {
    const { database, renewer, lost, cancelled, claimedRun, renewed } = leases;
    const claim = await claimedRun();
    renewer.hold(claim);
    const cancel = (action: string) =>
      database.query(sql`UPDATE "Run" SET "cancelAction" = ${action}::text::"CancelAction"`);
    await cancel('KEEP');
    await until(() => cancelled.length > 0);
    for (let times = 0; times < 2; times++) await renewed(claim);
    expect(cancelled).toEqual([claim.id]);
    await cancel('ROLLBACK');
    await until(() => cancelled.length > 1);
    expect([cancelled, lost]).toEqual([[claim.id, claim.id], []]);
  });

  it('is renewed while the row of another one is locked, which is not lost', async ({ leases }) => {
    const { database, renewer, lost, claimedRun, renewed } = leases;
    const [locked, free] = [await claimedRun(), await claimedRun()];
    renewer.hold(locked);
    renewer.hold(free);
    await renewed(locked);
    await database.transaction(async (query) => {
      await query(sql`SELECT 1 FROM "Run" WHERE "id" = ${locked.id} FOR UPDATE`);
      for (let times = 0; times < 2; times++) await renewed(free);
    });
    await renewed(locked);
    expect(lost).toEqual([]);
  });

  it('is renewed over another connection when one has broken', async ({ leases }) => {
    const { database, renewer, lost, claimedRun, renewed } = leases;
    const claim = await claimedRun();
    renewer.hold(claim);
    await renewed(claim);
    await database.query(sql`SELECT pg_terminate_backend(pid) FROM (${CONNECTIONS}) AS c`);
    await renewed(claim);
    expect(lost).toEqual([]);
  });

  it('survives a database that refuses connections, and says so once', async ({
    leases,
    ownDatabase,
  }) => {
    const { database, renewer, lost, logged, claimedRun, renewed } = leases;
    const claim = await claimedRun();
    renewer.hold(claim);
    await renewed(claim);
    await using beside = await connectBeside(ownDatabase.databaseUrl);
    await beside.set('ALLOW_CONNECTIONS false');
    await database.query(sql`SELECT pg_terminate_backend(pid) FROM (${CONNECTIONS}) AS c`);
    await until(() => logged.length > 0);
    await beside.set('ALLOW_CONNECTIONS true');
    await renewed(claim);
    await until(() => logged.length > 1);
    expect(logged.map(({ level, msg }) => [level, msg])).toEqual([
      [40, 'claims cannot be renewed'],
      [30, 'claims are renewed again'],
    ]);
    expect(lost).toEqual([]);
  });

  it('leaves no connection behind when the lease renewer stops', async ({ leases }) => {
    const { database, renewer, claimedRun, renewed } = leases;
    const claim = await claimedRun();
    renewer.hold(claim);
    await renewed(claim);
    expect(await database.query(CONNECTIONS)).toHaveLength(1);
    await renewer.stop();
    await until(async () => (await database.query(CONNECTIONS)).length === 0);
  });
});

/** Also on a busy machine. */
const NEVER_BLOCKED_SECONDS = 60;

/** Starts a process with a renewer and one claim, and then executes `then`. */
function startRenewer(then: string, maxBlockedSeconds = 2) {
  const code = `
    import { execSync } from 'node:child_process';
    import { createLeaseRenewer } from './src/runs/lease-renewer.ts';
    import { createLogger } from './src/log.ts';
    const log = createLogger('debug');
    const renewer = createLeaseRenewer({
      databaseUrl: undefined, leaseSeconds: 15, maxBlockedSeconds: ${maxBlockedSeconds}, log, onLost() {}, onCancel() {},
    });
    renewer.hold({ id: '${HELD}', claimToken: '${randomId()}' });
    ${then}`;
  return startCode(code);
}

const HELD = randomId();

describe('a process with a lease renewer', { timeout: SEVERAL_STARTS_MS }, () => {
  it.for([
    ['a loop', 'while (true) {}'],
    ['promises', '(async () => { for (;;) await 1; })()'],
    ['an expression', `/^(a+)+$/.test('a'.repeat(100) + 'b')`],
    ['a wait for a thread', 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)'],
  ])('ends with status 70 when its event loop is blocked for too long: by %s', async ([, code]) => {
    await using blocked = startRenewer(`setTimeout(() => { ${code} });`);
    expect(await blocked.ended).toBe(70);
    const lines = blocked.output().split('\n');
    expect(lines.filter((line) => line.includes('threadql'))).toEqual([
      expect.stringMatching(`has blocked the event loop for 2 s.*these runs continue: ${HELD}`),
    ]);
  });

  it('is killed when not even its inspector answers, and says what it ran', async () => {
    await using blocked = startRenewer(`setTimeout(() => execSync('sleep 20'));`);
    expect(await blocked.ended).toBe('SIGKILL');
    expect(blocked.output()).toMatch(`a system call has blocked the event loop for 2 s`);
    expect(blocked.output()).toContain(HELD);
  });

  it('goes on when the event loop is free again in time', async () => {
    await using free = startRenewer(
      `let times = 0;
       setInterval(() => {
         const end = performance.now() + 500;
         while (performance.now() < end);
         if (++times === 12) process.exit(3);
       }, 100);`,
      5,
    );
    expect(await free.ended).toBe(3);
    expect(free.output()).toBe('');
  });

  it('ends by itself when there is nothing else to do, whether it stops the lease renewer or not', async () => {
    await using left = startRenewer('', NEVER_BLOCKED_SECONDS);
    await using stopped = startRenewer(
      `await renewer.stop(); log.info('stopped');`,
      NEVER_BLOCKED_SECONDS,
    );
    expect(await Promise.all([left.ended, stopped.ended])).toEqual([0, 0]);
    expect(stopped.output()).toContain('stopped');
  });
});
