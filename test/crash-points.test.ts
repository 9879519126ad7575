import { describe, expect, inject } from 'vitest';
import { until, type FollowedEvent } from './support/app.ts';
import type { Client, RunInput } from './support/client.ts';
import type { TestDatabase } from './support/databases.ts';
import { it, type StartProcess } from './support/fixture.ts';
import { operation, type AnswerTo } from './support/graphql.ts';
import { connect } from './support/pg-clients.ts';

/** Each durable step costs the start of a server. */
const MANY_STARTS_MS = 1_800_000;

/** The runs have fewer steps. */
const MOST_STEPS = 40;

const GATE = 4711;

/** Counts the transactions that store data of a run. The transaction with the armed number waits at a gate. */
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

/** The answers about a thread at its end. */
interface Outcome {
  thread: AnswerTo<typeof THREAD>['thread'];
  /** For each run, the events of each of its attempts. */
  events: unknown[][][];
}

/** The requests for the runs of a thread, one after the other. */
type Script = readonly Omit<RunInput, 'threadId'>[];

/** A database with crash points, and a server on it: a new one after each crash. */
interface CrashSite extends AsyncDisposable {
  /**
   * Executes a script on a new thread, and kills the server at durable step number `step` of its run `crashing`. Undefined if
   * the run has no such step.
   */
  play(script: Script, at?: { crashing: number; step: number }): Promise<Outcome | undefined>;
}

interface Site {
  ownDatabase: TestDatabase;
  startProcess: StartProcess;
}

async function openCrashSite({ ownDatabase, startProcess }: Site): Promise<CrashSite> {
  const gate = await connect(ownDatabase.databaseUrl);
  await gate.query(CRASH_POINTS);
  await gate.query(`SELECT pg_advisory_lock(${GATE})`);
  let server = await start();

  /** With this lease, only the test takes a claim away. */
  function start() {
    return startProcess(ownDatabase, { LEASE_SECONDS: '3600' });
  }

  async function arm(step: number | null): Promise<void> {
    await gate.query(`DELETE FROM armed`);
    await gate.query(`ALTER SEQUENCE durable_steps RESTART`);
    await gate.query(`INSERT INTO armed VALUES ($1)`, [step]);
  }

  /** The connection at the gate. */
  async function waiting(): Promise<number | undefined> {
    const { rows } = await gate.query<{ pid: number }>(
      `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = ${GATE} AND NOT granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    return rows[0]?.pid;
  }

  /** Whether so many runs of the thread have ended. A request to the server could wait behind the connection at the gate. */
  async function areOver(threadId: string, count: number): Promise<boolean> {
    const { rows } = await gate.query(
      `SELECT FROM "Run" WHERE "threadId" = $1 AND "finishedAt" IS NOT NULL`,
      [threadId],
    );
    return rows.length === count;
  }

  /** Kills the server while its run waits at the gate, and undoes that step. Another server takes over. */
  async function crash(connection: number): Promise<void> {
    await server.end('SIGKILL');
    await gate.query(`SELECT pg_terminate_backend($1)`, [connection]);
    await until(async () => (await waiting()) === undefined);
    await arm(null);
    await gate.query(`UPDATE "Run" SET "leaseExpiresAt" = now() WHERE "status" = 'RUNNING'`);
    server = await start();
  }

  /** Requests a run and crashes at its step. Undefined if the run has no such step. */
  async function crashAt(
    step: number,
    request: () => Promise<string>,
    isOver: () => Promise<boolean>,
  ): Promise<string | undefined> {
    await arm(step);
    // If the armed step is the acceptance of the run, the request fails with the server.
    const accepted = request().catch(() => undefined);
    const connection = await until(
      async () => (await waiting()) ?? ((await isOver()) ? 'over' : null),
    );
    if (connection === 'over') return undefined;
    await crash(connection);
    return (await accepted) ?? request();
  }

  return {
    async play(script, at) {
      const threadId = await server.client.createThread();
      const runIds: string[] = [];
      for (const [i, input] of script.entries()) {
        const request = async () => (await server.client.startRun({ threadId, ...input })).id;
        const runId =
          i === at?.crashing
            ? await crashAt(at.step, request, () => areOver(threadId, i + 1))
            : await request();
        if (runId === undefined) return undefined;
        runIds.push(runId);
        await server.client.follow(runId);
      }
      return outcomeOf(server.client, threadId, runIds);
    },
    [Symbol.asyncDispose]: () => gate.end(),
  };
}

/** Plays a script undisturbed, and then once for each durable step of its run `crashing`. Returns the number of these steps. */
async function expectSameAtEveryStep(
  place: Site,
  script: Script,
  { crashing = 0, repeatable }: { crashing?: number; repeatable?: number } = {},
): Promise<number> {
  await using site = await openCrashSite(place);
  const undisturbed = await site.play(script);
  if (!undisturbed) throw new Error('The script was not played.');
  for (let step = 1; step < MOST_STEPS; step++) {
    const disturbed = await site.play(script, { crashing, step });
    if (!disturbed) return step - 1;
    const where = `run ${crashing + 1}, killed at its durable step ${step}`;
    expect(disturbed.thread, where).toEqual(undisturbed.thread);
    expectSameEvents(disturbed.events, undisturbed.events, { where, repeatable });
  }
  throw new Error('The steps have no end.');
}

const IS_POSTGRES = inject('database') === 'postgres';

// Concurrent: the start of the servers takes most of the time.
describe.runIf(IS_POSTGRES)(
  'a run whose process is killed at one of its durable steps',
  { timeout: MANY_STARTS_MS, concurrent: true },
  () => {
    it('ends as if nobody had disturbed it, under SYNC', async ({ ownDatabase, startProcess }) => {
      const place = { ownDatabase, startProcess };
      const script: Script = [
        { assistantId: 'parallel', input: { log: ['in'] }, durability: 'SYNC' },
      ];
      const steps = await expectSameAtEveryStep(place, script, { repeatable: 2 });
      // Its acceptance and start; its input; twice, the events and writes of the nodes with a checkpoint; its end.
      expect(steps).toBeGreaterThanOrEqual(5);
    });

    it.for(['ASYNC', 'EXIT'] as const)(
      'ends as if nobody had disturbed it, under %s',
      async (durability, { ownDatabase, startProcess }) => {
        const place = { ownDatabase, startProcess };
        const script: Script = [{ assistantId: 'ask', input: { log: ['in'] }, durability }];
        const steps = await expectSameAtEveryStep(place, script);
        // The run waits for an answer: its events and records are stored before its end.
        expect(steps).toBeGreaterThanOrEqual(3);
      },
    );

    const answer = (value: string): Script[number] => ({
      assistantId: 'questions',
      command: { resume: [{ value }] },
      durability: 'SYNC',
    });
    const conversation: Script = [
      { assistantId: 'questions', input: { log: ['in'] }, durability: 'SYNC' },
      answer('a'),
      answer('b'),
      answer('c'),
    ];

    it.for([
      ['to a node that then asks on', 1, 3],
      ['with which a node ends', 2, 3],
    ] as const)(
      'takes an answer once, %s',
      async ([, crashing, least], { ownDatabase, startProcess }) => {
        const place = { ownDatabase, startProcess };
        const steps = await expectSameAtEveryStep(place, conversation, {
          crashing,
          repeatable: 1,
        });
        expect(steps).toBeGreaterThanOrEqual(least);
      },
    );
  },
);

const THREAD = operation(`query ($id: ID!) {
  thread(id: $id) {
    status values error { name } interrupts { value node }
    runs { nodes { status output error { name } interrupts { value node } } }
    history { nodes { source step values next writes interrupts { value node } } }
  }
}`);

async function outcomeOf(
  client: Client,
  threadId: string,
  runIds: readonly string[],
): Promise<Outcome> {
  const { thread } = await client.gql(THREAD, { id: threadId });
  const events: unknown[][][] = [];
  for (const runId of runIds) {
    const attempts: unknown[][] = [];
    for (const event of await client.follow(runId)) {
      if (event.__typename === 'RunStartedEvent') attempts.push([]);
      else attempts.at(-1)?.push(withoutIds(event));
    }
    events.push(attempts);
  }
  return { thread, events };
}

/** The data of an event that are the same in each run of a script. */
function withoutIds(event: FollowedEvent): unknown {
  const { __typename } = event;
  if (__typename === 'UpdatesEvent') {
    return { __typename, node: event.node, update: event.update };
  }
  if (__typename === 'InterruptEvent') {
    return { __typename, asked: event.interrupts.map(({ value, node }) => ({ value, node })) };
  }
  return __typename === 'RunFinishedEvent' ? { __typename, status: event.status } : { __typename };
}

/**
 * The first attempt has the first events of the undisturbed run, the last attempt its last events. Under SYNC they have all
 * events together. Only the nodes of the interrupted step, at most `repeatable`, may have two events.
 */
function expectSameEvents(
  disturbed: Outcome['events'],
  undisturbed: Outcome['events'],
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
