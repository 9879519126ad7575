import type { Story } from './clients.ts';
import type { ChaosDatabase } from './postgres.ts';

/** A violated promise. */
export interface Violation {
  kind: 'lost' | 'repeated' | 'gap' | 'other';
  what: string;
}

interface RunRow {
  id: string;
  seq: number;
  status: string;
  threadId: string | null;
  label: string | null;
  durability: string;
  delayed: boolean;
  answers: boolean;
  attempt: number;
  cancelAction: string | null;
  tombstone: boolean;
  errorName: string | null;
  errorMessage: string | null;
  startedAt: Date | null;
  finishedAt: Date | null;
}

interface EventRow {
  runId: string;
  threadId: string;
  number: number;
  type: string;
  node: string | null;
  attempt: number | null;
}

/** The server's tables, and the rows of the graph's nodes and of a trigger. */
interface Remains {
  story: Story;
  runs: RunRow[];
  byId: Map<string, RunRow>;
  events: Map<string, EventRow[]>;
  database: ChaosDatabase;
  /** The log of each thread in the view of a client. */
  logs: Map<string, string[]>;
}

/** The tables for the effects of nodes and for all claims. */
export const CHAOS_TABLES = `
CREATE SCHEMA chaos;
CREATE TABLE chaos."Effect" ("id" uuid PRIMARY KEY, "seq" bigint GENERATED ALWAYS AS IDENTITY, "runId" uuid NOT NULL,
  "node" text NOT NULL, "step" int NOT NULL, "pid" int NOT NULL, "startedAt" timestamptz NOT NULL);
CREATE TABLE chaos."Claim" ("seq" bigint GENERATED ALWAYS AS IDENTITY, "runId" uuid NOT NULL, "pid" int NOT NULL,
  "attempt" int NOT NULL, "at" timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE FUNCTION chaos.record_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO chaos."Claim" ("runId", "pid", "attempt")
  VALUES (NEW."id", split_part(NEW."worker", '/', -1)::int, NEW."attempt");
  RETURN NULL;
END $$;
CREATE TRIGGER record_claim AFTER UPDATE ON public."Run" FOR EACH ROW
  WHEN (NEW."claimToken" IS DISTINCT FROM OLD."claimToken" AND NEW."claimToken" IS NOT NULL)
  EXECUTE FUNCTION chaos.record_claim();
`;

/** The origins of a run's entries in the log, in order. */
const ENTRIES = ['in', 'one', 'left', 'right', 'ask', 'last'];

/** Summarizes the ends of the runs and the repeated work: one line. */
export async function describeRuns({ query }: ChaosDatabase): Promise<string> {
  const [row] = await query<Record<string, number>>(
    `SELECT count(*) FILTER (WHERE "status" = 'SUCCESS')::int AS "succeeded",
       count(*) FILTER (WHERE "status" = 'INTERRUPTED')::int AS "asked",
       count(*) FILTER (WHERE "status" = 'CANCELLED' AND NOT "tombstone")::int AS "cancelled",
       count(*) FILTER (WHERE "tombstone")::int AS "rolled back",
       count(*) FILTER (WHERE "status" = 'ERROR')::int AS "failed",
       count(*) FILTER (WHERE (SELECT count(*) FROM chaos."Claim" c WHERE c."runId" = r."id") > 1)::int AS "claimed again",
       (SELECT count(*) FROM (SELECT 1 FROM chaos."Effect" GROUP BY "runId", "node" HAVING count(*) > 1) e)::int AS "nodes begun again"
     FROM "Run" r`,
  );
  return Object.entries(row ?? {})
    .map(([what, count]) => `${count} ${what}`)
    .join(', ');
}

/** Compares the final rows with all promises. */
export async function findViolations(
  database: ChaosDatabase,
  story: Story,
  logs: Map<string, string[]>,
): Promise<Violation[]> {
  const runs = await database.query<RunRow>(
    `SELECT "id", "seq"::int, "status", "threadId", "input" ->> 'label' AS "label", "durability", "command" IS NOT NULL AS "answers",
       "dueAt" > "createdAt" + interval '100 ms' AS "delayed", "attempt", "cancelAction", "tombstone", "error" ->> 'name' AS "errorName", "error" ->> 'message' AS "errorMessage", "startedAt", "finishedAt" FROM "Run" ORDER BY "seq"`,
  );
  const events = await database.query<EventRow>(
    `SELECT "runId", "threadId", "number"::int, "type", "data" ->> 'node' AS "node", ("data" ->> 'attempt')::int AS "attempt"
     FROM "RunEvent" ORDER BY "threadId", "number"`,
  );
  const remains: Remains = {
    story,
    database,
    logs,
    runs,
    byId: new Map(runs.map((run) => [run.id, run])),
    events: groupBy(events, ({ runId }) => runId),
  };
  return [
    ...checkAcknowledged(remains),
    ...checkCancels(remains),
    ...(await checkEffects(remains)),
    ...(await checkCheckpoints(remains)),
    ...checkLogs(remains),
    ...checkOverlaps(remains),
    ...checkEvents(remains),
    ...checkFollowed(remains),
    ...(await checkThreads(remains)),
    ...story.surprises.map((what): Violation => ({ kind: 'other', what })),
  ];
}

/** Each acknowledged run has exactly one final status and exactly one final event with it. */
function* checkAcknowledged({ story, byId, runs, events }: Remains): Generator<Violation> {
  for (const { id, key, endedAs } of story.runs) {
    const run = byId.get(id);
    if (!run) {
      yield { kind: 'lost', what: `run ${id} (${key}) was acknowledged, and does not exist` };
      continue;
    }
    if (endedAs !== undefined && endedAs !== run.status) {
      yield { kind: 'other', what: `run ${id} ended as ${endedAs}, and is now ${run.status}` };
    }
  }
  for (const run of runs) {
    if (run.finishedAt === null) {
      yield { kind: 'lost', what: `run ${run.id} is still ${run.status}` };
      continue;
    }
    const ends = events.get(run.id)?.filter(({ type }) => type === 'FINISHED') ?? [];
    if (ends.length !== 1) {
      yield { kind: 'lost', what: `run ${run.id} has ${ends.length} final events` };
    }
    if (run.status === 'ERROR' && run.errorName !== 'AttemptsExhaustedError') {
      yield {
        kind: 'other',
        what: `run ${run.id} ended with ${run.errorName}: ${run.errorMessage}`,
      };
    }
  }
  const exhausted = runs.filter(({ errorName }) => errorName === 'AttemptsExhaustedError').length;
  if (exhausted > 2 + runs.length / 4) {
    yield { kind: 'other', what: `${exhausted} of ${runs.length} runs lost all their workers` };
  }
}

/** After an acknowledged cancel, the run is cancelled. */
function* checkCancels({ story, byId, runs }: Remains): Generator<Violation> {
  for (const { runId, action } of story.cancels) {
    const run = byId.get(runId);
    if (run?.status !== 'CANCELLED' || (action === 'ROLLBACK' && !run.tombstone)) {
      yield {
        kind: 'other',
        what: `run ${runId} was to be cancelled (${action}), and is ${run?.status}`,
      };
    }
  }
  for (const { id, cancelAction, status, tombstone } of runs) {
    if (cancelAction !== null && status !== 'CANCELLED') {
      yield { kind: 'other', what: `run ${id} was to be stopped, and is ${status}` };
    }
    if (cancelAction === 'ROLLBACK' && !tombstone) {
      yield { kind: 'other', what: `run ${id} was to be rolled back, and is there` };
    }
  }
}

interface EffectRow {
  runId: string;
  node: string;
  step: number;
  pid: number;
  startedAt: Date;
  /** The process with the run's newest claim at the start of the node. */
  holder: number | null;
}

/**
 * Under SYNC, a finished step is not repeated: no node of an earlier step starts after a node of a later step. Starts in a
 * process without the claim do not count. After the stop of a run, no node starts.
 */
async function checkEffects({ story, byId, database }: Remains): Promise<Violation[]> {
  const rows = await database.query<EffectRow>(
    `SELECT e."runId", e."node", e."step", e."pid", e."startedAt", (SELECT c."pid" FROM chaos."Claim" c
       WHERE c."runId" = e."runId" AND c."at" <= e."startedAt" ORDER BY c."seq" DESC LIMIT 1) AS "holder"
     FROM chaos."Effect" e ORDER BY e."startedAt", e."seq"`,
  );
  const held = rows.filter(({ pid, holder }) => pid === holder);
  const violations: Violation[] = [];
  for (const [runId, effects] of groupBy(held, (effect) => effect.runId)) {
    if (byId.get(runId)?.durability !== 'SYNC') continue;
    const told = effects.map(({ node, pid }) => `${node}@${pid}`).join(' ');
    const isBack = effects.some(({ step }, i) => step < (effects[i - 1]?.step ?? 0));
    if (isBack) violations.push({ kind: 'repeated', what: `run ${runId}: ${told}` });
  }
  for (const { runId, stoppedAt } of story.cancels) {
    const late = held.find(
      (effect) => effect.runId === runId && stoppedAt && effect.startedAt > stoppedAt,
    );
    if (late)
      violations.push({ kind: 'other', what: `run ${runId} had stopped, and began ${late.node}` });
  }
  return violations;
}

/** A run never applies its input twice and never makes a step twice. */
async function checkCheckpoints({ database }: Remains): Promise<Violation[]> {
  const rows = await database.query<{ runId: string; what: string; count: number }>(
    `SELECT "runId", 'step ' || "step" AS "what", count(*)::int AS "count" FROM "Checkpoint" WHERE "runId" IS NOT NULL
     GROUP BY "threadId", "namespace", "runId", "step" HAVING count(*) > 1
     UNION ALL
     SELECT "runId", 'its input', count(*)::int FROM "Checkpoint" WHERE "runId" IS NOT NULL AND "source" = 'INPUT'
     GROUP BY "threadId", "namespace", "runId" HAVING count(*) > 1`,
  );
  return rows.map(({ runId, what, count }) => ({
    kind: 'repeated',
    what: `run ${runId} has ${count} checkpoints of ${what}`,
  }));
}

const labelOf = (entry: string) => entry.slice(0, entry.indexOf(':'));

/** Each finished run has its entries in its thread's log, once, in order, and after the entries of earlier runs. */
function* checkLogs(remains: Remains): Generator<Violation> {
  for (const [threadId, log] of remains.logs) {
    yield* checkOrder(remains, threadId, log);
    yield* checkEntries(remains, threadId, log);
    yield* checkSuccesses(remains, threadId, log);
  }
}

/** The entries of each run are together, and the runs are in the order of their insertion. */
function* checkOrder(
  { story, byId }: Remains,
  threadId: string,
  log: string[],
): Generator<Violation> {
  const requests = new Map(story.runs.map((run) => [run.label, run]));
  const labels = log.map(labelOf).filter((label, i, all) => label !== all[i - 1]);
  if (new Set(labels).size < labels.length) {
    yield {
      kind: 'repeated',
      what: `thread ${threadId} has entries of one run in two places: ${log.join(' ')}`,
    };
  }
  // A delayed run has its position at its due time.
  const seqs = labels.flatMap((label) => {
    const run = byId.get(requests.get(label)?.id ?? '');
    return run && !run.delayed ? run.seq : [];
  });
  if (seqs.some((seq, i) => seq < (seqs[i - 1] ?? 0))) {
    yield {
      kind: 'other',
      what: `thread ${threadId} has runs in another order: ${labels.join(' ')}`,
    };
  }
}

/** The entries of each run are in order and without repetition. Their run, and the run of the answer in them, exist. */
function* checkEntries(
  { story, byId }: Remains,
  threadId: string,
  log: string[],
): Generator<Violation> {
  const requests = new Map(story.runs.map((run) => [run.label, run]));
  const answers = new Map(story.runs.map((run) => [run.answer?.value, run]));
  for (const [label, own] of groupBy(log, labelOf)) {
    const run = byId.get(requests.get(label)?.id ?? '');
    const names = own.map((entry) => entry.slice(label.length + 1));
    const places = names.map((name) => ENTRIES.indexOf(name.replace(/=.*/, '')));
    const what = `run ${run?.id} (${run?.status}) left ${own.join(' ')} in thread ${threadId}`;
    if (!run || run.tombstone) yield { kind: 'other', what: `${what}, and should not be there` };
    if (places.some((place, i) => i > 0 && place <= (places[i - 1] ?? 0))) {
      yield { kind: 'repeated', what };
    }
    const answer = names.find((name) => name.startsWith('ask='))?.slice(4);
    const answering = answers.get(answer);
    if (answer !== undefined && (!answering || byId.get(answering.id)?.tombstone)) {
      yield { kind: 'other', what: `${what}, with an answer that nobody gave` };
    }
  }
}

/** Each successful run of the thread has all its entries, and its answer. */
function* checkSuccesses(
  { story, byId }: Remains,
  threadId: string,
  log: string[],
): Generator<Violation> {
  const entries = groupBy(log, labelOf);
  for (const { id, label, answer, threadId: at } of story.runs) {
    if (at !== threadId || byId.get(id)?.status !== 'SUCCESS') continue;
    const count = label === undefined ? ENTRIES.length : (entries.get(label)?.length ?? 0);
    if (count !== ENTRIES.length) {
      yield {
        kind: 'lost',
        what: `run ${id} succeeded, and left ${count} entries in thread ${threadId}`,
      };
    }
    if (answer && !log.some((entry) => entry.endsWith(`:ask=${answer.value}`))) {
      yield { kind: 'lost', what: `the answer of run ${id} is not in thread ${threadId}` };
    }
  }
}

/** At most one run of a thread executes at a time. */
function* checkOverlaps({ runs }: Remains): Generator<Violation> {
  const started = runs.filter(({ threadId, startedAt }) => threadId !== null && startedAt !== null);
  for (const [threadId, own] of groupBy(started, (run) => run.threadId)) {
    const inOrder = own.toSorted((a, b) => Number(a.startedAt) - Number(b.startedAt));
    for (const [i, run] of inOrder.entries()) {
      const before = inOrder[i - 1];
      const overlapMs = Number(before?.finishedAt ?? 0) - Number(run.startedAt);
      if (before && overlapMs > 0) {
        yield {
          kind: 'other',
          what: `runs ${before.id} and ${run.id} overlap by ${overlapMs} ms on thread ${threadId}`,
        };
      }
    }
  }
}

/** A run's events begin with its start and end with its final event. The events of each finished step are stored. */
function* checkEvents({ runs, events }: Remains): Generator<Violation> {
  for (const { id, status, tombstone, startedAt, durability, threadId, answers } of runs) {
    if (tombstone || startedAt === null) continue;
    const own = events.get(id) ?? [];
    const told = own.map(({ type, node, attempt }) => `${type} ${node ?? attempt ?? ''}`.trim());
    // A run with a stop before the start of its worker has only its final event.
    const isEmpty = status === 'CANCELLED' && own.length === 1;
    if ((own[0]?.type !== 'STARTED' && !isEmpty) || own.at(-1)?.type !== 'FINISHED') {
      yield { kind: 'gap', what: `run ${id} tells ${told.join(', ')}` };
    }
    if (status !== 'SUCCESS' || durability !== 'SYNC' || threadId === null || answers) continue;
    const missing = ENTRIES.slice(1).filter((node) => !own.some((event) => event.node === node));
    if (missing.length > 0) {
      yield {
        kind: 'gap',
        what: `run ${id} tells nothing of ${missing.join(', ')}: ${told.join(', ')}`,
      };
    }
  }
  for (const [threadId, own] of groupBy([...events.values()].flat(), (event) => event.threadId)) {
    const isWhole = !runs.some(
      (run) => run.tombstone && events.get(run.id)?.[0]?.threadId === threadId,
    );
    const last = Math.max(...own.map(({ number }) => number));
    if (isWhole && last !== own.length) {
      yield {
        kind: 'gap',
        what: `thread ${threadId} has ${own.length} events, the last of which is number ${last}`,
      };
    }
  }
}

/**
 * A follower of a run got all its events, once, in order. The follower of a rolled back run got the stored events and its end.
 */
function* checkFollowed({ story, byId, events }: Remains): Generator<Violation> {
  for (const { runId, events: got } of story.followed) {
    const numbers = got.map(({ id }) => numberOf(id));
    const stored = (events.get(runId) ?? []).map(({ number }) => number);
    const isOrdered = numbers.every((number, i) => i === 0 || number > (numbers[i - 1] ?? 0));
    const isComplete = byId.get(runId)?.tombstone
      ? numbers.at(-1) === stored.at(-1)
      : numbers.join() === stored.join();
    if (!isOrdered || !isComplete) {
      yield {
        kind: 'gap',
        what: `a reader of run ${runId} got ${numbers.join()} of ${stored.join()}`,
      };
    }
  }
}

/** An event's id ends with its number in its thread. */
function numberOf(id: string): number {
  return Buffer.from(id, 'base64url').readUIntBE(16, 6);
}

/** A thread at rest has the right status: it has open questions only if it is INTERRUPTED, and each question has one answer. */
async function checkThreads({ database, byId }: Remains): Promise<Violation[]> {
  const threads = await database.query<{
    id: string;
    status: string;
    restStatus: string;
    open: number;
  }>(
    `SELECT t."id", t."status", t."restStatus",
       (SELECT count(*)::int FROM "Interrupt" i WHERE i."threadId" = t."id" AND i."pending") AS "open" FROM "Thread" t`,
  );
  const answered = await database.query<{ id: string; answeredById: string }>(
    `SELECT "id", "answeredById" FROM "Interrupt" WHERE "answeredById" IS NOT NULL`,
  );
  return [
    ...threads
      .filter(
        ({ status, open }) =>
          status === 'BUSY' ||
          (status === 'IDLE' && open > 0) ||
          ((status === 'INTERRUPTED') !== open > 0 && status !== 'ERROR'),
      )
      .map(({ id, status, open }): Violation => ({
        kind: 'other',
        what: `thread ${id} is ${status}, with ${open} open questions`,
      })),
    ...answered
      .filter(({ answeredById }) => byId.get(answeredById)?.tombstone)
      .map(({ id }): Violation => ({
        kind: 'other',
        what: `question ${id} was answered by a run that was rolled back`,
      })),
  ];
}

function groupBy<T, Key>(list: readonly T[], keyOf: (element: T) => Key): Map<Key, T[]> {
  const groups = new Map<Key, T[]>();
  for (const element of list) {
    const key = keyOf(element);
    const group = groups.get(key);
    if (group) group.push(element);
    else groups.set(key, [element]);
  }
  return groups;
}
