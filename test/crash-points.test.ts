import pg from 'pg';
import { describe, expect, inject, it } from 'vitest';
import { CREATE_RUN, CREATE_THREAD, until, type TestApp } from './support/app.ts';
import { createTestDatabase } from './support/databases.ts';
import { startServerProcess, type ServerProcess } from './support/processes.ts';

/** Each durable step costs the start of a server. */
const MANY_STARTS_MS = 1_800_000;

/** More than any run here has. */
const MOST_STEPS = 40;

const GATE = 4711;

/** Counts the transactions in which a run leaves something; the one whose number is armed waits at a gate. */
const CRASH_POINTS = `
CREATE SEQUENCE durable_steps;
CREATE TABLE armed (step int);
CREATE FUNCTION count_step() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF current_setting('test.counted', true) IS DISTINCT FROM txid_current()::text THEN
    PERFORM set_config('test.counted', txid_current()::text, false);
    IF nextval('durable_steps') = (SELECT step FROM armed) THEN PERFORM pg_advisory_xact_lock(${GATE}); END IF;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER step AFTER UPDATE ON "Run" FOR EACH ROW
  WHEN (NEW."status" <> OLD."status" OR NEW."attempt" <> OLD."attempt") EXECUTE FUNCTION count_step();
CREATE TRIGGER step AFTER INSERT ON "RunEvent" FOR EACH ROW EXECUTE FUNCTION count_step();
CREATE TRIGGER step AFTER INSERT ON "Checkpoint" FOR EACH ROW EXECUTE FUNCTION count_step();
CREATE TRIGGER step AFTER INSERT OR UPDATE ON "CheckpointWrite" FOR EACH ROW EXECUTE FUNCTION count_step();
CREATE TRIGGER step AFTER INSERT ON "Interrupt" FOR EACH ROW EXECUTE FUNCTION count_step();
`;

/** What a thread shows in the end. */
interface Told {
  thread: Record<string, unknown>;
  /** What each run told, one list for each of its attempts. */
  events: unknown[][][];
}

/** What one run after the other is asked to do on a thread. */
type Script = readonly Record<string, unknown>[];

/** A database with crash points, and the process at work on it: another one after each crash. */
interface CrashSite extends AsyncDisposable {
  /**
   * Plays a script on a thread of its own, and kills the process of its run `crashing` at that run's durable step number
   * `step`. Undefined where the run has no such step.
   */
  play(script: Script, at?: { crashing: number; step: number }): Promise<Told | undefined>;
}

async function openCrashSite(): Promise<CrashSite> {
  const database = await createTestDatabase();
  const gate = new pg.Client(database.databaseUrl);
  await gate.connect();
  await gate.query(CRASH_POINTS);
  await gate.query(`SELECT pg_advisory_lock(${GATE})`);
  let server = await start();

  /** Nobody but us takes a claim away. */
  function start(): Promise<ServerProcess> {
    return startServerProcess(database, { LEASE_SECONDS: '3600' });
  }

  async function arm(step: number | null): Promise<void> {
    await gate.query(`DELETE FROM armed`);
    await gate.query(`ALTER SEQUENCE durable_steps RESTART`);
    await gate.query(`INSERT INTO armed VALUES ($1)`, [step]);
  }

  /** The connection that waits at the gate, if one does. */
  async function waiting(): Promise<number | undefined> {
    const { rows } = await gate.query<{ pid: number }>(
      `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = ${GATE} AND NOT granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    return rows[0]?.pid;
  }

  /** Whether so many runs of the thread have ended. The server may not answer: it may have asked behind what waits at the gate. */
  async function areOver(threadId: string, count: number): Promise<boolean> {
    const { rows } = await gate.query(
      `SELECT FROM "Run" WHERE "threadId" = $1 AND "finishedAt" IS NOT NULL`,
      [threadId],
    );
    return rows.length === count;
  }

  /** Ends the process where its run waits at the gate. Nothing of that step is kept. Another process takes over. */
  async function crash(connection: number): Promise<void> {
    await server[Symbol.asyncDispose]();
    await gate.query(`SELECT pg_terminate_backend($1)`, [connection]);
    await until(async () => (await waiting()) === undefined);
    await arm(null);
    await gate.query(`UPDATE "Run" SET "leaseExpiresAt" = now() WHERE "status" = 'RUNNING'`);
    server = await start();
  }

  return {
    async play(script, at) {
      const threadId: string = (await server.client.gql(CREATE_THREAD)).createThread.id;
      const runIds: string[] = [];
      for (const [i, input] of script.entries()) {
        if (i === at?.crashing) await arm(at.step);
        const request = async (): Promise<string> =>
          (await server.client.gql(CREATE_RUN, { input: { threadId, ...input } })).createRun.id;
        // Its first step may be the one that accepts it: then it is not answered, and asked again.
        let accepted: Promise<string | undefined> = request();
        if (i === at?.crashing) {
          accepted = accepted.catch(() => undefined);
          const connection = await until(async () => {
            return (await waiting()) ?? ((await areOver(threadId, i + 1)) ? 'over' : null);
          });
          if (connection === 'over') return undefined;
          await crash(connection);
        }
        const runId = (await accepted) ?? (await request());
        runIds.push(runId);
        await server.client.follow(runId);
      }
      return told(server.client, threadId, runIds);
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await gate.end();
      await database.dispose();
    },
  };
}

/** Plays it undisturbed, and then once for each durable step of its run `crashing`. Gives how many that has. */
async function expectSameAtEveryStep(
  script: Script,
  { crashing = 0, repeatable }: { crashing?: number; repeatable?: number } = {},
): Promise<number> {
  await using site = await openCrashSite();
  const undisturbed = await site.play(script);
  if (!undisturbed) throw new Error('It was not played.');
  for (let step = 1; step < MOST_STEPS; step++) {
    const disturbed = await site.play(script, { crashing, step });
    if (!disturbed) return step - 1;
    const where = `run ${crashing + 1}, killed at its durable step ${step}`;
    expect(disturbed.thread, where).toEqual(undisturbed.thread);
    expectSameEvents(disturbed.events, undisturbed.events, { where, repeatable });
  }
  throw new Error('There is no end to its steps.');
}

const IS_POSTGRES = inject('database') === 'postgres';

// At once: most of the time goes into starting servers.
describe.runIf(IS_POSTGRES)(
  'a run whose process is killed at one of its durable steps',
  { timeout: MANY_STARTS_MS, concurrent: true },
  () => {
    it('ends as if nobody had disturbed it, under SYNC', async () => {
      const script = [{ assistantId: 'parallel', input: { log: ['in'] }, durability: 'SYNC' }];
      const steps = await expectSameAtEveryStep(script, { repeatable: 2 });
      // Its acceptance, which is its start; its input, and where it begins; what the nodes told and wrote, and a checkpoint, twice; its end.
      expect(steps).toBeGreaterThanOrEqual(5);
    });

    it.each(['ASYNC', 'EXIT'])(
      'ends as if nobody had disturbed it, under %s',
      async (durability) => {
        const script = [{ assistantId: 'ask', input: { log: ['in'] }, durability }];
        const steps = await expectSameAtEveryStep(script);
        // It waits for an answer: what it told and put is stored before its end.
        expect(steps).toBeGreaterThanOrEqual(3);
      },
    );

    const answer = (value: string) => ({
      assistantId: 'questions',
      command: { resume: [{ value }] },
      durability: 'SYNC',
    });
    const conversation = [
      { assistantId: 'questions', input: { log: ['in'] }, durability: 'SYNC' },
      answer('a'),
      answer('b'),
      answer('c'),
    ];

    it.each([
      ['to a node that then asks on', 1, 3],
      ['with which a node ends', 2, 3],
    ])('takes an answer once, %s', async (_, crashing, least) => {
      const steps = await expectSameAtEveryStep(conversation, {
        crashing,
        repeatable: 1,
      });
      expect(steps).toBeGreaterThanOrEqual(least);
    });
  },
);

const THREAD = `query ($id: ID!) {
  thread(id: $id) {
    status values error { name } interrupts { value node }
    runs { nodes { status output error { name } interrupts { value node } } }
    history { nodes { source step values next writes interrupts { value node } } }
  }
}`;

async function told(client: TestApp, threadId: string, runIds: readonly string[]): Promise<Told> {
  const { thread } = await client.gql(THREAD, { id: threadId });
  const events: unknown[][][] = [];
  for (const runId of runIds) {
    const attempts: unknown[][] = [];
    for (const event of await client.follow(runId)) {
      if (event.__typename === 'RunStartedEvent') attempts.push([]);
      else attempts.at(-1)?.push(shown(event));
    }
    events.push(attempts);
  }
  return { thread, events };
}

/** An event without what differs from run to run. */
function shown({ __typename, node, update, status, interrupts }: any): unknown {
  const asked = interrupts?.map(({ value, node }: any) => ({ value, node }));
  return { __typename, node, update, status, asked };
}

/**
 * The first attempt told how the undisturbed run begins, the last one how it ends; under SYNC they told all of it
 * together, and no more than the step that was under way, of so many nodes, twice.
 */
function expectSameEvents(
  disturbed: Told['events'],
  undisturbed: Told['events'],
  { where, repeatable }: { where: string; repeatable: number | undefined },
): void {
  for (const [i, attempts] of disturbed.entries()) {
    const all = undisturbed[i]?.flat() ?? [];
    expect(attempts.length, where).toBeLessThanOrEqual(2);
    const last = attempts.at(-1) ?? [];
    const first = attempts.length > 1 ? (attempts[0] ?? []) : [];
    expect(first, where).toEqual(all.slice(0, first.length));
    expect(last, where).toEqual(all.slice(all.length - last.length));
    if (repeatable === undefined) continue;
    expect(first.length + last.length, where).toBeGreaterThanOrEqual(all.length);
    expect(first.length + last.length, where).toBeLessThanOrEqual(all.length + repeatable);
  }
}
