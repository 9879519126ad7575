import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CREATE_RUN, createTestApp, until, type TestApp } from './support/app.ts';
import { openRunDoor, type RunDoor } from './support/run-door.ts';

// Random sequences of operations on two threads, while workers execute what they start. A model says which answers and
// which ends are right; where two of them are, because a worker may or may not have been faster, the server may choose.

/** Sequences to try. */
const RUNS = Number(process.env['MODEL_RUNS'] || 15);
/** What a run of this file began with, so that it can be had again. */
const SEED = Number(process.env['MODEL_SEED'] || 2026);
const MOST_COMMANDS = 12;
const THREADS = 2;
const A_YEAR_SECONDS = 31_536_000;

let server: TestApp;
let door: RunDoor;
beforeAll(async () => {
  server = await createTestApp();
  door = await openRunDoor(server);
});
afterAll(async () => {
  await server.stop();
  await door[Symbol.asyncDispose]();
});

// ── The model ────────────────────────────────────────────────────────────────────────────────

type Kind = 'work' | 'fail' | 'ask' | 'gate' | 'answer';
type Strategy = 'REJECT' | 'ENQUEUE' | 'INTERRUPT' | 'ROLLBACK';
type Action = 'KEEP' | 'ROLLBACK';
/** GONE: rolled back, or deleted with its thread. */
type End = 'SUCCESS' | 'INTERRUPTED' | 'ERROR' | 'CANCELLED' | 'GONE';

/** How a run ends that nobody stops, and what it has then written to its thread's log. */
const KINDS: Record<Kind, { end: End; log: (tag: string) => string[] }> = {
  work: { end: 'SUCCESS', log: (tag) => [tag, 'a', 'b'] },
  fail: { end: 'ERROR', log: (tag) => [tag, 'a'] },
  ask: { end: 'INTERRUPTED', log: (tag) => [tag, 'before'] },
  gate: { end: 'SUCCESS', log: (tag) => [tag, 'before', 'hold', 'after'] },
  answer: { end: 'SUCCESS', log: () => ['ask'] },
};

interface ModelRun {
  id: string;
  /** What it writes into its thread, so that everybody sees that it was there. */
  tag: string;
  kind: Kind;
  delayed: boolean;
  thread: ModelThread;
  gate?: { isOpen: boolean; open(): Promise<void> };
  /** Requests to stop it that came in time. */
  stopped: Set<Action>;
  /** Requests to stop it that may have come too late. */
  maybeStopped: Set<Action>;
  /** Once it is known. */
  end?: End;
  /** Once it has ended: whether a worker ever had it. */
  started?: boolean;
  /** Deleted by itself: what it wrote stays. */
  deleted: boolean;
}

/** What a thread may hold after its runs. */
interface Rest {
  log: string[];
  /** Of the run that asked what is open. */
  askedBy: string | null;
  answer: string | null;
  status: 'IDLE' | 'INTERRUPTED' | 'ERROR';
}

interface ModelThread {
  id: string;
  exists: boolean;
  /** In the order in which they were accepted. */
  runs: ModelRun[];
}

interface Model {
  threads: ModelThread[];
  /** Every run that was accepted, whatever became of it. */
  runs: ModelRun[];
  tags: number;
}

const NEW_THREAD: Rest = { log: [], askedBy: null, answer: null, status: 'IDLE' };

/** It waits for its gate and nobody has stopped it, or it waits for such a run; a delayed one waits for its time. */
function surelyActive(run: ModelRun): boolean {
  if (run.end || run.stopped.size + run.maybeStopped.size > 0) return false;
  return run.delayed || run.thread.runs.slice(0, run.thread.runs.indexOf(run) + 1).some(isHeld);
}

function isHeld({ end, gate, delayed, stopped, maybeStopped }: ModelRun): boolean {
  return !end && gate?.isOpen === false && !delayed && stopped.size + maybeStopped.size === 0;
}

/** Whether the thread has a run that is due or running. */
function busy({ runs }: ModelThread): 'yes' | 'no' | 'maybe' {
  const due = runs.filter((run) => !run.delayed);
  if (due.some(surelyActive)) return 'yes';
  return due.every(({ end }) => end) ? 'no' : 'maybe';
}

function stop(run: ModelRun, action: Action): void {
  if (run.end) return;
  (surelyActive(run) ? run.stopped : run.maybeStopped).add(action);
}

function possibleEnds(run: ModelRun): End[] {
  if (run.end) return [run.end];
  const { stopped, maybeStopped } = run;
  const asked = (action: Action) => stopped.has(action) || maybeStopped.has(action);
  return [
    ...(stopped.size === 0 ? [KINDS[run.kind].end] : []),
    ...(asked('KEEP') && !stopped.has('ROLLBACK') ? ['CANCELLED' as const] : []),
    ...(asked('ROLLBACK') ? ['GONE' as const] : []),
  ];
}

/** All that the thread may hold once its runs have ended. */
function restsOf({ runs }: ModelThread): Rest[] {
  let rests = [NEW_THREAD];
  // A delayed one never has its turn here.
  for (const run of runs.filter(({ delayed }) => !delayed)) {
    const next = rests.flatMap((rest) => possibleEnds(run).flatMap((end) => after(rest, run, end)));
    rests = [...new Map(next.map((rest) => [JSON.stringify(rest), rest])).values()];
  }
  return rests;
}

function after(rest: Rest, run: ModelRun, end: End): Rest[] {
  const { kind, tag, started } = run;
  // An answer was accepted, so there was something to answer.
  if (kind === 'answer' && end !== 'GONE' && rest.askedBy === null) return [];
  if (end === 'GONE') return [rest];
  if (end !== 'CANCELLED') return [ended(rest, run)];
  const untouched = started === true ? [] : [rest];
  if (started === false) return untouched;
  const wrote = KINDS[kind].log(tag);
  const nothing = { ...rest, status: rest.askedBy === null ? 'IDLE' : 'INTERRUPTED' } as const;
  const some = wrote.map((_entry, n) => ({
    log: [...rest.log, ...wrote.slice(0, n + 1)],
    askedBy: null,
    answer: kind === 'answer' ? tag : rest.answer,
    status: 'IDLE' as const,
  }));
  // Its input may be there, and none of its steps.
  const input = { ...rest, askedBy: null, status: 'IDLE' } as const;
  return [
    ...untouched,
    nothing,
    ...(kind === 'answer' ? [] : [input]),
    ...some,
    // It may have been stopped when it had already asked.
    ...(kind === 'ask' ? [ended(rest, run)] : []),
  ];
}

function ended(rest: Rest, { id, kind, tag }: ModelRun): Rest {
  const end = KINDS[kind].end;
  return {
    log: [...rest.log, ...KINDS[kind].log(tag)],
    askedBy: kind === 'ask' ? id : null,
    answer: kind === 'answer' ? tag : rest.answer,
    status: end === 'SUCCESS' ? 'IDLE' : (end as 'INTERRUPTED' | 'ERROR'),
  };
}

// ── Commands ─────────────────────────────────────────────────────────────────────────────────

interface NewRun {
  thread: number;
  kind: Kind;
  strategy: Strategy;
  delayed: boolean;
}

type Command = fc.AsyncCommand<Model, RunDoor>;

/** Gives the data, or the code of the error. */
async function ask(document: string, variables: Record<string, unknown>): Promise<any> {
  const { data, errors } = await server.request(document, variables);
  return errors ? { refused: errors[0]?.extensions['code'] } : data;
}

function isOneOf(allowed: readonly string[], answer: string, what: string): void {
  expect(allowed, what).toContain(answer);
}

/** Starts a run, or several at once. */
class Create implements Command {
  readonly news: readonly NewRun[];

  constructor(news: readonly NewRun[]) {
    this.news = news;
  }

  check = () => true;

  async run(model: Model): Promise<void> {
    const asked = this.news.map((wanted) => request(model, wanted));
    const wereBusy = new Map(model.threads.map((thread) => [thread, busy(thread)]));
    const answers = await Promise.all(asked.map(({ input }) => ask(CREATE_RUN, { input })));
    const made = asked.map(({ run }, i) => ({ run, id: answers[i].createRun?.id as string }));

    for (const [i, { run, strategy }] of asked.entries()) {
      const others = made.some(
        ({ id, ...other }, j) => j !== i && id && other.run.thread === run.thread,
      );
      const expected = expectedAnswers(run, strategy, {
        wasBusy: wereBusy.get(run.thread) ?? 'no',
        others,
      });
      isOneOf(expected, answers[i].refused ?? 'accepted', `${String(this)}, of run ${i + 1}`);
    }
    const accepted = made.filter(({ id }) => id);
    for (const { run, id } of await inOrder(accepted)) {
      const { strategy } = asked.find((each) => each.run === run) as (typeof asked)[number];
      run.id = id;
      if (strategy === 'INTERRUPT' || strategy === 'ROLLBACK') {
        const inTheWay = run.thread.runs.filter(({ delayed }) => !delayed);
        // From the last to the first: one that waits for another is surely there while the other one is.
        for (const old of inTheWay.toReversed()) {
          if (run.kind !== 'answer') stop(old, strategy === 'INTERRUPT' ? 'KEEP' : 'ROLLBACK');
        }
      }
      run.thread.runs.push(run);
      model.runs.push(run);
    }
  }

  toString = () =>
    `Create(${this.news.map(({ thread, kind, strategy, delayed }) => `${kind} on ${thread}, ${strategy}${delayed ? ', delayed' : ''}`).join('; ')})`;
}

function request(model: Model, { thread: n, kind, strategy, delayed }: NewRun) {
  const thread = model.threads[n] as ModelThread;
  const tag = `run ${++model.tags}`;
  const closed = kind === 'gate' ? door.closedGate() : undefined;
  const more: Partial<Record<Kind, object>> = {
    work: { fail: false },
    fail: { fail: true },
    gate: { file: closed?.file },
  };
  const input = {
    threadId: thread.id,
    assistantId: { work: 'fail', fail: 'fail', ask: 'ask', gate: 'gate', answer: 'ask' }[kind],
    multitaskStrategy: strategy,
    ...(kind === 'answer'
      ? { command: { resume: [{ value: tag }] } }
      : { input: { log: [tag], ...more[kind] } }),
    ...(delayed && { afterSeconds: A_YEAR_SECONDS }),
  };
  const run: ModelRun = {
    id: '',
    tag,
    kind,
    delayed,
    thread,
    stopped: new Set(),
    maybeStopped: new Set(),
    deleted: false,
    ...(closed && { gate: { isOpen: false, open: closed.open } }),
  };
  return { run, input, strategy };
}

function expectedAnswers(
  run: ModelRun,
  strategy: Strategy,
  { wasBusy, others }: { wasBusy: 'yes' | 'no' | 'maybe'; others: boolean },
): string[] {
  const { thread, kind } = run;
  if (!thread.exists) return ['NOT_FOUND'];
  if (kind !== 'answer' && strategy !== 'REJECT') return ['accepted'];
  if (wasBusy === 'yes' && !others) return ['THREAD_BUSY'];
  const calm = wasBusy === 'no' && !others;
  const free: string[] = [];
  if (kind !== 'answer') free.push('accepted');
  else {
    const questions = restsOf(thread).map(({ askedBy }) => askedBy !== null);
    if (!calm || questions.includes(true)) free.push('accepted');
    if (!calm || questions.includes(false)) free.push('CONFLICT');
  }
  return calm ? free : [...free, 'THREAD_BUSY'];
}

/** Runs that were asked for at the same time, in the order in which they were accepted. */
async function inOrder<T extends { run: ModelRun; id: string }>(accepted: T[]): Promise<T[]> {
  if (accepted.length < 2) return accepted;
  const rows = await server.app.sql.query<{ id: string }>(
    `SELECT "id" FROM "Run" WHERE "id" = ANY($1::uuid[]) ORDER BY "seq"`,
    [accepted.map(({ id }) => id)],
  );
  const ids = rows.map(({ id }) => id);
  return accepted.toSorted((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id));
}

/** What tells of a run that was accepted. */
abstract class OnRun implements Command {
  protected readonly pick: number;

  constructor(pick: number) {
    this.pick = pick;
  }

  check = ({ runs }: Readonly<Model>): boolean => runs.length > 0;

  run = ({ runs }: Model): Promise<void> => this.on(runs[this.pick % runs.length] as ModelRun);

  abstract on(run: ModelRun): Promise<void>;

  toString = (): string => `${this.constructor.name}(${this.pick})`;
}

const CANCEL = `mutation ($id: ID!, $action: CancelAction!, $wait: Boolean!) {
  cancelRun(id: $id, action: $action, wait: $wait) { id status }
}`;

class Cancel extends OnRun {
  readonly action: Action;
  readonly wait: boolean;

  constructor(pick: number, action: Action, wait: boolean) {
    super(pick);
    this.action = action;
    this.wait = wait;
  }

  async on(run: ModelRun): Promise<void> {
    const was = surelyActive(run);
    const ends = possibleEnds(run);
    const { action, wait } = this;
    const answer = await ask(CANCEL, { id: run.id, action, wait });
    const outcome = answer.refused ?? 'accepted';
    isOneOf(
      [
        ...(run.end ? [] : ['accepted']),
        ...(!was && !run.deleted && ends.some((end) => end !== 'GONE') ? ['CONFLICT'] : []),
        ...(run.deleted || ends.includes('GONE') ? ['NOT_FOUND'] : []),
      ],
      outcome,
      `${String(this)} of ${run.tag}`,
    );
    if (outcome !== 'accepted') return;
    run.stopped.add(action);
    if (wait) isOneOf(['CANCELLED'], answer.cancelRun.status, String(this));
  }

  override toString = () => `Cancel(${this.pick}, ${this.action}${this.wait ? ', wait' : ''})`;
}

class DeleteRun extends OnRun {
  async on(run: ModelRun): Promise<void> {
    const was = surelyActive(run);
    const ends = possibleEnds(run);
    const answer = await ask(`mutation ($id: ID!) { deleteRun(id: $id) }`, { id: run.id });
    const outcome = answer.refused ?? 'accepted';
    const known = run.end !== undefined;
    const there = !run.deleted && ends.some((end) => end !== 'GONE');
    isOneOf(
      [
        ...(!was && there ? ['accepted'] : []),
        ...(!known ? ['CONFLICT'] : []),
        ...(run.deleted || ends.includes('GONE') ? ['NOT_FOUND'] : []),
      ],
      outcome,
      `${String(this)} of ${run.tag}`,
    );
    if (outcome !== 'accepted') return;
    run.deleted = true;
    // Rolled back it would not have been found.
    const [end, ...more] = ends.filter((each) => each !== 'GONE');
    if (end && more.length === 0) run.end = end;
  }
}

class OpenGate extends OnRun {
  override check = ({ runs }: Readonly<Model>) => runs.some(isHeld);

  override run = async ({ runs }: Model): Promise<void> => {
    const held = runs.filter(isHeld);
    await this.on(held[this.pick % held.length] as ModelRun);
  };

  async on({ gate }: ModelRun): Promise<void> {
    if (!gate) return;
    gate.isOpen = true;
    await gate.open();
  }
}

/** Deletes a thread; makes it again where it is not there. */
class DeleteThread implements Command {
  readonly thread: number;

  constructor(thread: number) {
    this.thread = thread;
  }

  check = ({ threads }: Readonly<Model>) => {
    const { exists, runs } = threads[this.thread] as ModelThread;
    return !exists || runs.length > 0;
  };

  async run({ threads }: Model): Promise<void> {
    const thread = threads[this.thread] as ModelThread;
    if (!thread.exists) {
      const input = { id: thread.id };
      await server.gql(
        `mutation ($input: CreateThreadInput) { createThread(input: $input) { id } }`,
        { input },
      );
      thread.exists = true;
      return;
    }
    await server.gql(`mutation ($id: ID!) { deleteThread(id: $id) }`, { id: thread.id });
    for (const run of thread.runs) run.end = 'GONE';
    thread.exists = false;
    thread.runs = [];
  }

  toString = () => `DeleteThread(${this.thread})`;
}

/** Waits until nothing moves any more, and compares. */
class Settle implements Command {
  check = () => true;

  async run({ threads }: Model): Promise<void> {
    for (const thread of threads) await settle(thread);
  }

  toString = () => 'Settle';
}

// ── What the server says ─────────────────────────────────────────────────────────────────────

async function settle(thread: ModelThread): Promise<void> {
  const { id, runs } = thread;
  if (!thread.exists) {
    expect(await door.thread(id)).toBeNull();
    return;
  }
  const due = runs.filter(({ delayed, end }) => !delayed && !end);
  const held = due.findIndex(isHeld);
  const ending = held < 0 ? due : due.slice(0, held);
  const known = due[held]?.id;
  await until(async () => {
    const shown = await Promise.all(ending.map((run) => door.run(run.id)));
    if (shown.some((run) => run?.status === 'PENDING' || run?.status === 'RUNNING')) return false;
    // Those that were stopped while they waited for the held one.
    const stopped = due.filter(({ stopped }) => stopped.size > 0);
    const rest = await Promise.all(stopped.map((run) => door.run(run.id)));
    if (rest.some((run) => run?.status === 'PENDING' || run?.status === 'RUNNING')) return false;
    return known === undefined || (await door.thread(id)).state?.next.includes('hold');
  });
  for (const run of runs) await learn(run);
  await compare(thread, due[held]);
}

/** Looks how a run ended, and whether it may have. */
async function learn(run: ModelRun): Promise<void> {
  const shown = await door.run(run.id);
  if (run.deleted) {
    expect(shown, `${run.tag}, which was deleted`).toBeNull();
    return;
  }
  const status = shown?.status ?? 'GONE';
  if (surelyActive(run)) {
    expect(['PENDING', 'RUNNING'], run.tag).toContain(status);
    return;
  }
  expect(possibleEnds(run), `${run.tag}, ${run.kind}`).toContain(status);
  run.end = status;
  run.started = shown ? shown.startedAt !== null : false;
}

async function compare({ id, runs }: ModelThread, held: ModelRun | undefined): Promise<void> {
  const shown = await door.thread(id);
  const there = runs.filter((run) => run.end !== 'GONE' && !run.deleted);
  // Newest first.
  expect(shown.runs.nodes.map((run: any) => run.id)).toEqual(
    there.map((run) => run.id).toReversed(),
  );
  const rolledBack = new Set(runs.filter((run) => run.end === 'GONE').map((run) => run.id));
  expect(shown.history.nodes.filter(({ runId }: any) => rolledBack.has(runId))).toEqual([]);

  // A run that is held, or that waits, has changed nothing yet, but for the held one's first step.
  const past = runs.filter((run) => run.end && (!held || runs.indexOf(run) < runs.indexOf(held)));
  const rests = restsOf({ id, exists: true, runs: past });
  const log = shown.values.log ?? [];
  if (held) {
    expect(shown.status).toBe('BUSY');
    expect((await door.run(held.id)).status).toBe('RUNNING');
    expect(rests.map((rest) => [...rest.log, held.tag, 'before'])).toContainEqual(log);
    return;
  }
  expect(shown.interrupts.length).toBeLessThanOrEqual(1);
  const answered = shown.values.answer ?? null;
  const askedBy = shown.interrupts[0] ? await askerOf(id) : null;
  const rest: Rest = { log, askedBy, answer: answered, status: shown.status };
  const deleted = runs.filter((run) => run.deleted).map((run) => run.id);
  const expected = rests.map((each) => ({
    ...each,
    // A thread shows what the graph of its last run knows.
    answer: shown.metadata.graph_id === 'ask' ? each.answer : null,
    askedBy: deleted.includes(each.askedBy ?? '') ? 'deleted' : each.askedBy,
  }));
  expect(expected).toContainEqual(rest);
}

const ASKER = `query ($id: ID!) { thread(id: $id) { interrupts { run { id } } } }`;

/** The run that asked what is open. */
async function askerOf(id: string): Promise<string> {
  return (await server.gql(ASKER, { id })).thread.interrupts[0].run?.id ?? 'deleted';
}

async function drain(model: Model): Promise<void> {
  for (const { gate } of model.runs) {
    if (gate) {
      gate.isOpen = true;
      await gate.open();
    }
  }
  await new Settle().run(model);
  for (const run of model.runs) await hasTold(run);
}

/** Whoever follows a run is told its end, also of one that is gone; and only once. */
async function hasTold(run: ModelRun): Promise<void> {
  if (run.delayed && !run.end) return;
  if (run.deleted) return;
  const events = await server.follow(run.id, { modes: [] });
  const finished = events.filter(({ __typename }) => __typename === 'RunFinishedEvent');
  expect(finished, run.tag).toHaveLength(1);
  expect(events.at(-1)).toBe(finished[0]);
  if (run.end !== 'GONE') expect(finished[0].status).toBe(run.end);
}

// ── The property ─────────────────────────────────────────────────────────────────────────────

const newRun = fc.record({
  thread: fc.nat(THREADS - 1),
  kind: fc.constantFrom<Kind[]>('work', 'gate', 'gate', 'ask', 'ask', 'fail', 'answer', 'answer'),
  strategy: fc.constantFrom<Strategy[]>('REJECT', 'ENQUEUE', 'ENQUEUE', 'INTERRUPT', 'ROLLBACK'),
  delayed: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});

/** An answer that is given later is told in resume.test.ts. */
const wanted = newRun.map((run) => (run.kind === 'answer' ? { ...run, delayed: false } : run));

const creates = wanted.map((run) => new Create([run]));
const one = fc.nat(99);

const commands = fc.commands(
  [
    creates,
    creates,
    creates,
    creates,
    fc.array(wanted, { minLength: 2, maxLength: 3 }).map((news) => new Create(news)),
    fc
      .tuple(one, fc.constantFrom<Action[]>('KEEP', 'ROLLBACK'), fc.boolean())
      .map(([pick, action, wait]) => new Cancel(pick, action, wait)),
    fc
      .tuple(one, fc.constantFrom<Action[]>('KEEP', 'ROLLBACK'))
      .map(([pick, action]) => new Cancel(pick, action, false)),
    one.map((pick) => new DeleteRun(pick)),
    one.map((pick) => new OpenGate(pick)),
    one.map((pick) => new OpenGate(pick)),
    fc.nat(THREADS - 1).map((thread) => new DeleteThread(thread)),
    fc.constant(new Settle()),
    fc.constant(new Settle()),
  ],
  { maxCommands: MOST_COMMANDS, size: 'max' },
);

describe('Runs of a thread, whatever is asked of them and when', () => {
  it(
    `answer, end and leave behind what the model says (MODEL_SEED=${SEED})`,
    { timeout: 60_000 + RUNS * 10_000 },
    async () => {
      const property = fc.asyncProperty(commands, async (sequence) => {
        const model: Model = {
          threads: await Promise.all(
            Array.from({ length: THREADS }, async () => ({
              id: await door.createThread(),
              exists: true,
              runs: [],
            })),
          ),
          runs: [],
          tags: 0,
        };
        await fc.asyncModelRun(() => ({ model, real: door }), sequence);
        await drain(model);
      });
      // What a race made may not come again: a shorter sequence would be another one.
      await fc.assert(property, { numRuns: RUNS, seed: SEED, endOnFailure: true });
    },
  );
});
