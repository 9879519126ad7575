import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { sql } from '../src/db/sql.ts';
import { until, type Document, type TestApp } from './support/app.ts';
import { CREATE_RUN, type Client, type RunInput } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation } from './support/graphql.ts';
import {
  busy,
  isHeld,
  possibleEnds,
  restsOf,
  stop,
  surelyActive,
  type Action,
  type End,
  type Kind,
  type Model,
  type ModelRun,
  type ModelThread,
  type Rest,
  type Strategy,
} from './support/run-model.ts';

// Random sequences of operations on two threads, while workers execute the runs. A model names the right answers and ends.
// If a race allows several, the server may choose.

/** The number of sequences. */
const RUNS = Number(process.env['MODEL_RUNS'] || 15);
/** The same seed gives the same sequences. */
const SEED = Number(process.env['MODEL_SEED'] || 2026);
const MOST_COMMANDS = 12;
const THREADS = 2;
const A_YEAR_SECONDS = 31_536_000;

// ── Commands ─────────────────────────────────────────────────────────────────────────────────

interface NewRun {
  thread: number;
  kind: Kind;
  strategy: Strategy;
  delayed: boolean;
}

/** The server of the sequences. */
interface Real {
  server: TestApp;
  client: Client;
}

type Command = fc.AsyncCommand<Model, Real>;

interface Answer<Data> {
  /** 'accepted', or the code of the error. */
  outcome: string;
  /** Undefined after an error. */
  data: Data | undefined;
}

async function ask<Data>(
  client: Client,
  document: Document<Data>,
  variables: Record<string, unknown>,
): Promise<Answer<Data>> {
  const { data, errors } = await client.request(document, variables);
  return errors
    ? { outcome: String(errors[0]?.extensions['code']), data: undefined }
    : { outcome: 'accepted', data };
}

function isOneOf(allowed: readonly string[], answer: string, about: string): void {
  expect(allowed, about).toContain(answer);
}

/** Starts a run, or several at once. */
class Create implements Command {
  readonly news: readonly NewRun[];

  constructor(news: readonly NewRun[]) {
    this.news = news;
  }

  check = () => true;

  async run(model: Model, { server, client }: Real): Promise<void> {
    const asked = this.news.map((wanted) => request(model, wanted));
    const wereBusy = new Map(model.threads.map((thread) => [thread, busy(thread)]));
    const answers = await Promise.all(
      asked.map(async ({ run, input, strategy }) => {
        const { outcome, data } = await ask(client, CREATE_RUN, { input });
        return { run, strategy, outcome, id: data?.createRun?.id };
      }),
    );

    for (const [i, answer] of answers.entries()) {
      const { run, strategy, outcome } = answer;
      const others = answers.some(
        (other) => other !== answer && other.id && other.run.thread === run.thread,
      );
      const wasBusy = wereBusy.get(run.thread) ?? 'no';
      const expected = expectedAnswers(run, strategy, { wasBusy, others });
      isOneOf(expected, outcome, `${String(this)}, of run ${i + 1}`);
    }
    const accepted = answers.flatMap(({ id, ...answer }) => (id ? [{ ...answer, id }] : []));
    for (const { run, id, strategy } of await inOrder(server, accepted)) {
      addRun(model, Object.assign(run, { id }), strategy);
    }
  }

  toString = () =>
    `Create(${this.news.map(({ thread, kind, strategy, delayed }) => `${kind} on ${thread}, ${strategy}${delayed ? ', delayed' : ''}`).join('; ')})`;
}

/** Adds an accepted run to the model. Its strategy stops the earlier runs of the thread. */
function addRun(model: Model, run: ModelRun, strategy: Strategy): void {
  const { thread, kind } = run;
  if (kind !== 'answer' && (strategy === 'INTERRUPT' || strategy === 'ROLLBACK')) {
    const earlier = thread.runs.filter(({ delayed }) => !delayed);
    // From the last to the first: a run behind a held run is surely active only while the held run is.
    for (const old of earlier.toReversed()) {
      stop(old, strategy === 'INTERRUPT' ? 'KEEP' : 'ROLLBACK');
    }
  }
  thread.runs.push(run);
  model.runs.push(run);
}

function request(model: Model, { thread: n, kind, strategy, delayed }: NewRun) {
  const thread = model.threads[n] as ModelThread;
  const tag = `run ${++model.tags}`;
  const gate = kind === 'gate' ? createGate() : undefined;
  const more: Partial<Record<Kind, object>> = {
    work: { fail: false },
    fail: { fail: true },
    gate: { file: gate?.file },
  };
  const input: RunInput = {
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
    ...(gate && { gate: { isOpen: false, open: gate.open } }),
  };
  return { run, input, strategy };
}

function expectedAnswers(
  { thread, kind }: ModelRun,
  strategy: Strategy,
  { wasBusy, others }: { wasBusy: 'yes' | 'no' | 'maybe'; others: boolean },
): string[] {
  if (!thread.exists) return ['NOT_FOUND'];
  if (kind !== 'answer' && strategy !== 'REJECT') return ['accepted'];
  if (wasBusy === 'yes' && !others) return ['THREAD_BUSY'];
  const calm = wasBusy === 'no' && !others;
  const free: string[] = [];
  if (kind !== 'answer') free.push('accepted');
  else {
    const questions = restsOf(thread.runs).map(({ askedBy }) => askedBy !== null);
    if (!calm || questions.includes(true)) free.push('accepted');
    if (!calm || questions.includes(false)) free.push('CONFLICT');
  }
  return calm ? free : [...free, 'THREAD_BUSY'];
}

/** The accepted runs of simultaneous requests, in the order of their acceptance. */
async function inOrder<T extends { id: string }>(server: TestApp, accepted: T[]): Promise<T[]> {
  if (accepted.length < 2) return accepted;
  const rows = await server.app.sql.query<{ id: string }>(
    sql`SELECT "id" FROM "Run" WHERE "id" = ANY(${accepted.map(({ id }) => id)}::uuid[]) ORDER BY "seq"`,
  );
  const ids = rows.map(({ id }) => id);
  return accepted.toSorted((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id));
}

/** A command about an accepted run. */
abstract class OnRun implements Command {
  protected readonly pick: number;

  constructor(pick: number) {
    this.pick = pick;
  }

  check = ({ runs }: Readonly<Model>): boolean => runs.length > 0;

  run = ({ runs }: Model, { client }: Real): Promise<void> =>
    this.on(runs[this.pick % runs.length] as ModelRun, client);

  abstract on(run: ModelRun, client: Client): Promise<void>;

  toString = (): string => `${this.constructor.name}(${this.pick})`;
}

const CANCEL = operation(`mutation ($id: ID!, $action: CancelAction!, $wait: Boolean!) {
  cancelRun(id: $id, action: $action, wait: $wait) { id status }
}`);

class Cancel extends OnRun {
  readonly action: Action;
  readonly wait: boolean;

  constructor(pick: number, action: Action, wait: boolean) {
    super(pick);
    this.action = action;
    this.wait = wait;
  }

  async on(run: ModelRun, client: Client): Promise<void> {
    const was = surelyActive(run);
    const ends = possibleEnds(run);
    const { action, wait } = this;
    const { outcome, data } = await ask(client, CANCEL, { id: run.id, action, wait });
    isOneOf(
      [
        ...(run.end ? [] : ['accepted']),
        ...(!was && !run.deleted && ends.some((end) => end !== 'GONE') ? ['CONFLICT'] : []),
        ...(run.deleted || ends.includes('GONE') ? ['NOT_FOUND'] : []),
      ],
      outcome,
      `${String(this)} of ${run.tag}`,
    );
    if (!data?.cancelRun) return;
    run.stopped.add(action);
    if (wait) isOneOf(['CANCELLED'], data.cancelRun.status, String(this));
  }

  override toString = () => `Cancel(${this.pick}, ${this.action}${this.wait ? ', wait' : ''})`;
}

const DELETE_RUN = operation(`mutation ($id: ID!) { deleteRun(id: $id) }`);

class DeleteRun extends OnRun {
  async on(run: ModelRun, client: Client): Promise<void> {
    const was = surelyActive(run);
    const ends = possibleEnds(run);
    const { outcome } = await ask(client, DELETE_RUN, { id: run.id });
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
    // A rolled back run is not found.
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

const DELETE_THREAD = operation(`mutation ($id: ID!) { deleteThread(id: $id) }`);

/** Deletes a thread, or creates the deleted thread again. */
class DeleteThread implements Command {
  readonly thread: number;

  constructor(thread: number) {
    this.thread = thread;
  }

  check = ({ threads }: Readonly<Model>) => {
    const { exists, runs } = threads[this.thread] as ModelThread;
    return !exists || runs.length > 0;
  };

  async run({ threads }: Model, { client }: Real): Promise<void> {
    const thread = threads[this.thread] as ModelThread;
    if (!thread.exists) {
      await client.createThread({ id: thread.id });
      thread.exists = true;
      return;
    }
    await client.gql(DELETE_THREAD, { id: thread.id });
    for (const run of thread.runs) run.end = 'GONE';
    thread.exists = false;
    thread.runs = [];
  }

  toString = () => `DeleteThread(${this.thread})`;
}

/** Waits until all runs have ended or are held, and compares the server with the model. */
class Settle implements Command {
  check = () => true;

  async run({ threads }: Model, { client }: Real): Promise<void> {
    for (const thread of threads) await settle(client, thread);
  }

  toString = () => 'Settle';
}

// ── The answers of the server ────────────────────────────────────────────────────────────────

async function settle(client: Client, thread: ModelThread): Promise<void> {
  const { id, runs } = thread;
  if (!thread.exists) {
    expect(await client.findThread(id)).toBeNull();
    return;
  }
  const due = runs.filter(({ delayed, end }) => !delayed && !end);
  const held = due.find(isHeld);
  const ending = held ? due.slice(0, due.indexOf(held)) : due;
  // Some of them waited behind the held run.
  const stopped = due.filter((run) => run.stopped.size > 0);
  await until(async () => {
    const shown = await Promise.all([...ending, ...stopped].map((run) => client.findRun(run.id)));
    if (shown.some((run) => run?.status === 'PENDING' || run?.status === 'RUNNING')) return false;
    return !held || (await client.getThread(id)).state?.next.includes('hold');
  });
  for (const run of runs) await learn(client, run);
  await compare(client, thread, held);
}

/** Reads the end of a run. It must be a possible one. */
async function learn(client: Client, run: ModelRun): Promise<void> {
  const shown = await client.findRun(run.id);
  if (run.deleted) {
    expect(shown, `${run.tag}, deleted`).toBeNull();
    return;
  }
  const status = shown?.status ?? 'GONE';
  if (surelyActive(run)) {
    expect(['PENDING', 'RUNNING'], run.tag).toContain(status);
    return;
  }
  expect(possibleEnds(run), `${run.tag}, ${run.kind}`).toContain(status);
  run.end = status as End;
  run.started = shown ? shown.startedAt !== null : false;
}

async function compare(
  client: Client,
  { id, runs }: ModelThread,
  held: ModelRun | undefined,
): Promise<void> {
  const shown = await client.getThread(id);
  const there = runs.filter((run) => run.end !== 'GONE' && !run.deleted);
  // Newest first.
  expect(shown.runs.nodes.map((run) => run.id)).toEqual(there.map((run) => run.id).toReversed());
  const rolledBack = new Set(runs.filter((run) => run.end === 'GONE').map((run) => run.id));
  expect(shown.history.nodes.filter(({ runId }) => rolledBack.has(runId ?? ''))).toEqual([]);

  // A held run has made its first step. The runs behind it have changed nothing.
  const past = runs.filter((run) => run.end && (!held || runs.indexOf(run) < runs.indexOf(held)));
  const rests = restsOf(past);
  const log = shown.values.log ?? [];
  if (held) {
    expect(shown.status).toBe('BUSY');
    expect((await client.getRun(held.id)).status).toBe('RUNNING');
    expect(rests.map((rest) => [...rest.log, held.tag, 'before'])).toContainEqual(log);
    return;
  }
  expect(shown.interrupts.length).toBeLessThanOrEqual(1);
  const deleted = runs.filter((run) => run.deleted).map((run) => run.id);
  const expected = rests.map((each) => ({
    ...each,
    // A thread shows only the channels of the graph of its last run.
    answer: shown.metadata['graph_id'] === 'ask' ? each.answer : null,
    askedBy: deleted.includes(each.askedBy ?? '') ? 'deleted' : each.askedBy,
  }));
  expect(expected).toContainEqual({
    log,
    askedBy: shown.interrupts.length > 0 ? await askerOf(client, id) : null,
    answer: (shown.values['answer'] ?? null) as Rest['answer'],
    status: shown.status as Rest['status'],
  } satisfies Rest);
}

const ASKER = operation(`query ($id: ID!) { thread(id: $id) { interrupts { run { id } } } }`);

/** The run with the pending interrupt. */
async function askerOf(client: Client, id: string): Promise<string> {
  const { thread } = await client.gql(ASKER, { id });
  return thread?.interrupts[0]?.run?.id ?? 'deleted';
}

async function drain(model: Model, real: Real): Promise<void> {
  for (const { gate } of model.runs) {
    if (gate) {
      gate.isOpen = true;
      await gate.open();
    }
  }
  await new Settle().run(model, real);
  for (const run of model.runs) await expectFinalEvent(real.client, run);
}

/** A run has a single final event, also a rolled back run. */
async function expectFinalEvent(client: Client, run: ModelRun): Promise<void> {
  if (run.delayed && !run.end) return;
  if (run.deleted) return;
  const events = await client.follow(run.id, { modes: [] });
  const finished = events.flatMap((event) =>
    event.__typename === 'RunFinishedEvent' ? [event] : [],
  );
  expect(finished, run.tag).toHaveLength(1);
  expect(events.at(-1)).toBe(finished[0]);
  if (run.end !== 'GONE') expect(finished[0]?.status).toBe(run.end);
}

// ── The property ─────────────────────────────────────────────────────────────────────────────

const newRun = fc.record({
  thread: fc.nat(THREADS - 1),
  kind: fc.constantFrom<Kind[]>('work', 'gate', 'gate', 'ask', 'ask', 'fail', 'answer', 'answer'),
  strategy: fc.constantFrom<Strategy[]>('REJECT', 'ENQUEUE', 'ENQUEUE', 'INTERRUPT', 'ROLLBACK'),
  delayed: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});

/** The tests of delayed answers are in resume.test.ts. */
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
    async ({ server, client }) => {
      const real = { server, client };
      const createModelThread = async (): Promise<ModelThread> => ({
        id: await client.createThread(),
        exists: true,
        runs: [],
      });
      const property = fc.asyncProperty(commands, async (sequence) => {
        const threads = await Promise.all(Array.from({ length: THREADS }, createModelThread));
        const model: Model = { threads, runs: [], tags: 0 };
        await fc.asyncModelRun(() => ({ model, real }), sequence);
        await drain(model, real);
      });
      // Without a shrink: a race need not repeat in a shorter sequence.
      await fc.assert(property, { numRuns: RUNS, seed: SEED, endOnFailure: true });
    },
  );
});
