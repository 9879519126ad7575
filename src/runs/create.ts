import type { App } from '../app.ts';
import { checkConfig, mergeConfig } from '../assistants/config.ts';
import { readAssistantId } from '../assistants/input.ts';
import { AssistantChangedError, isStill, type KnownAssistant } from '../assistants/known.ts';
import { RUNS_CHANNEL, THREADS_CHANNEL } from '../channels.ts';
import type { Query } from '../db/open.ts';
import { readSize } from '../db/page.ts';
import { BadInputError, ConflictError, IdTakenError, NotFoundError } from '../errors.ts';
import type { StreamMode } from '../events/event.ts';
import { lastNumberOf } from '../events/log.ts';
import type {
  Assistant,
  Durability,
  MultitaskStrategy,
  OnCompletion,
  Run,
} from '../generated/prisma/client.ts';
import { inputRefusal } from '../graphs/input.ts';
import type { CompiledGraph } from '../graphs/load.ts';
import { isRecord } from '../json.ts';
import { isForThread, lockId } from '../node-id.ts';
import { isBusy, lockThread, lockThreads } from '../threads/lock.ts';
import { newId, parseUuid } from '../uuid.ts';
import { acceptAnswers } from './answers.ts';
import { announceStops, type Stops } from './cancel.ts';
import { checkCommand, type Command, type StoredCommand } from './command.ts';
import { findRepeated, lockKey, repeatable, type Repeatable } from './idempotency.ts';
import { makeWay, refuseBusy } from './multitask.ts';
import type { Place } from './places.ts';
import { leaseEnd, tellStart, type ClaimedRun, type Claimer } from './queue.ts';

export interface NewRun {
  /** Undefined: a stateless run, on a thread of its own. */
  threadId?: string | null | undefined;
  /** An assistant's UUID, or a graph's name. */
  assistantId: string;
  input?: unknown;
  /** Instead of input. */
  command?: Command | null | undefined;
  /** The checkpoint to start from: the thread forks. */
  checkpointId?: string | null | undefined;
  checkpointNamespace: string;
  config?: Record<string, unknown> | null | undefined;
  context?: Record<string, unknown> | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
  streamModes: readonly StreamMode[];
  streamSubgraphs: boolean;
  /** Node names, or "*" for every node. */
  interruptBefore?: readonly string[] | null | undefined;
  interruptAfter?: readonly string[] | null | undefined;
  multitaskStrategy: MultitaskStrategy;
  ifThreadMissing: 'REJECT' | 'CREATE';
  onCompletion: OnCompletion;
  durability: Durability;
  /** Seconds from now before which it does not start. */
  afterSeconds?: number | null | undefined;
  /** Seconds after its start when it ends in TIMEOUT. */
  timeoutSeconds?: number | null | undefined;
  idempotencyKey?: string | null | undefined;
}

/** Ten years: later than anybody means. */
const LONGEST_DELAY_SECONDS = 315_360_000;
/** What a timer can wait for: 24 days. */
const LONGEST_TIMEOUT_SECONDS = 2_000_000;

/**
 * Inserts a run. Inserting is enqueueing: a worker can claim it once this commits. Where nothing goes on in its thread and
 * this process has a place for it, it is claimed already.
 */
export async function createRun(app: Needs, request: NewRun): Promise<Run> {
  const [run] = await whileKnown(app, async () =>
    storeRuns(app, [await prepareRun(app, 'input', request)]),
  );
  return run as Run;
}

/** Inserts several runs in their order, all or none. */
export async function createRuns(app: Needs, requests: readonly NewRun[]): Promise<Run[]> {
  readSize('inputs', requests.length);
  return whileKnown(app, async () => {
    const prepared: PreparedRun[] = [];
    for (const [i, request] of requests.entries()) {
      prepared.push(await prepareRun(app, `inputs[${i}]`, request));
    }
    return storeRuns(app, prepared);
  });
}

type Needs = Pick<App, 'sql' | 'graphs' | 'assistants' | 'places' | 'tail'>;

/** Does it anew, with the assistant as it is now, where that has changed since it was read. */
async function whileKnown<T>({ assistants }: Needs, store: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await store();
    } catch (error) {
      if (!(error instanceof AssistantChangedError)) throw error;
      assistants.forget(error.assistantId);
    }
  }
}

/** A request that has been checked as far as it can be without its thread, or the run that it made before. */
type PreparedRun = Awaited<ReturnType<typeof prepareNewRun>> | { repeated: Run };
type PreparedNewRun = Exclude<PreparedRun, { repeated: Run }>;

/** `argument` is where the request stands in what the client sent. */
async function prepareRun(app: Needs, argument: string, request: NewRun): Promise<PreparedRun> {
  // Before anything else is checked: what was right once may be refused now.
  const key = repeatable(`${argument}.idempotencyKey`, request);
  const repeated = key && (await findRepeated(app.sql.query, key));
  return repeated ? { repeated } : prepareNewRun(app, argument, request, key);
}

async function prepareNewRun(
  app: Needs,
  argument: string,
  request: NewRun,
  key: Repeatable | undefined,
) {
  const { threadId, checkpointId, onCompletion, ifThreadMissing } = request;
  const place = {
    argument,
    threadId: threadId == null ? undefined : parseUuid(`${argument}.threadId`, threadId),
    checkpointId: checkpointId == null ? null : parseUuid(`${argument}.checkpointId`, checkpointId),
  };
  checkTogether(argument, request);
  checkConfig(`${argument}.config`, request.config);
  const assistant = await findRunAssistant(app, `${argument}.assistantId`, request.assistantId);
  const run = newRun(assistant, request);
  await checkAgainstGraph(app, argument, run);
  return {
    ...run,
    ...place,
    onCompletion: place.threadId === undefined ? onCompletion : null,
    ifThreadMissing,
    repeatable: key,
  };
}

/** What does not go together, and numbers that mean nothing. */
function checkTogether(argument: string, request: NewRun): void {
  const { threadId, input, command, checkpointId, checkpointNamespace } = request;
  if (command && input != null) {
    throw new BadInputError(`${argument}.command`, 'Give input or a command, not both.');
  }
  if (threadId == null && checkpointId != null) {
    throw new BadInputError(`${argument}.checkpointId`, 'A checkpoint needs its threadId.');
  }
  if (checkpointId == null && checkpointNamespace !== '') {
    throw new BadInputError(
      `${argument}.checkpointNamespace`,
      'checkpointNamespace goes with checkpointId.',
    );
  }
  if (threadId == null && command?.resume) {
    throw new BadInputError(
      `${argument}.command.resume`,
      'A stateless run has no question to answer: give the threadId.',
    );
  }
  if (checkpointId != null && command?.resume) {
    throw new BadInputError(
      `${argument}.command.resume`,
      'Questions are answered where the thread stands: leave out checkpointId, or the answers.',
    );
  }
  checkSeconds(`${argument}.afterSeconds`, request.afterSeconds, {
    min: 0,
    max: LONGEST_DELAY_SECONDS,
  });
  checkSeconds(`${argument}.timeoutSeconds`, request.timeoutSeconds, {
    min: 0.001,
    max: LONGEST_TIMEOUT_SECONDS,
  });
}

function checkSeconds(
  argument: string,
  seconds: number | null | undefined,
  { min, max }: { min: number; max: number },
): void {
  if (seconds == null || (seconds >= min && seconds <= max)) return;
  throw new BadInputError(argument, `${argument} is ${seconds}; it must be from ${min} to ${max}.`);
}

/** A run as it is stored, and its claim where it was claimed with its insertion. */
interface StoredRun {
  run: Run;
  claim?: ClaimedRun | undefined;
}

async function storeRuns(
  { sql, places, tail }: Needs,
  prepared: readonly PreparedRun[],
): Promise<Run[]> {
  const fresh = prepared.flatMap((run) => ('repeated' in run ? [] : run));
  // Threads in one order: two requests that share several must not wait for each other in a circle.
  const inLockOrder = fresh.toSorted((a, b) => (a.threadId ?? '').localeCompare(b.threadId ?? ''));
  const taken = new Map<PreparedRun, Place>();
  for (const run of inLockOrder) {
    const place = run.afterSeconds > 0 ? undefined : places.take();
    if (place) taken.set(run, place);
  }
  let stored = new Map<PreparedRun, StoredRun>();
  const stops: Stops[] = [];
  const storeAll = async (query: Query): Promise<Map<PreparedRun, StoredRun>> => {
    stops.length = 0; // of an attempt of the transaction that was undone
    if (inLockOrder.length > 1) await lockTogether(query, inLockOrder);
    const all = new Map<PreparedRun, StoredRun>();
    for (const run of inLockOrder) {
      all.set(run, await storeRun(query, run, { claimer: taken.get(run)?.claimer, stops }));
    }
    return all;
  };
  try {
    if (fresh.length === 1 && fresh.every(isPlain)) {
      const storing = storeAll(sql.query);
      // The worker's claim follows on the same connection, and is answered with the insertion.
      if (taken.size === 0) sql.notifyHere(RUNS_CHANNEL, '');
      stored = await storing;
    } else stored = await sql.transaction(storeAll);
  } finally {
    for (const run of fresh) {
      const claim = stored.get(run)?.claim;
      taken.get(run)?.fill(claim);
      // Also when it was refused: a worker that met the thread's lock has passed by the run that it was refused for.
      if (!claim) sql.notify(RUNS_CHANNEL, run.id);
    }
  }
  for (const stop of stops) announceStops({ sql, tail }, stop);
  for (const { run } of stored.values()) sql.notify(THREADS_CHANNEL, String(run.threadId));
  return prepared.map((run) =>
    'repeated' in run ? run.repeated : (stored.get(run) as StoredRun).run,
  );
}

/** Keys before ids before threads, as a single run takes them. */
async function lockTogether(query: Query, runs: readonly PreparedNewRun[]): Promise<void> {
  const keys = runs.flatMap(({ repeatable: key }) => key ?? []);
  for (const key of keys.toSorted((a, b) => (a.key < b.key ? -1 : 1))) await lockKey(query, key);
  const named = runs.flatMap(({ threadId, ifThreadMissing }) =>
    threadId === undefined ? [] : { threadId, ifThreadMissing },
  );
  const made = named.filter(({ ifThreadMissing }) => ifThreadMissing === 'CREATE');
  for (const id of new Set(made.map(({ threadId }) => threadId))) await lockId(query, id);
  await lockThreads(
    query,
    named.map(({ threadId }) => threadId),
  );
}

async function findRunAssistant(
  app: Pick<App, 'graphs' | 'assistants'>,
  argument: string,
  idOrGraphId: string,
): Promise<KnownAssistant> {
  const assistant = await app.assistants.find(readAssistantId(app, argument, idOrGraphId));
  if (!assistant) throw new NotFoundError('Assistant', idOrGraphId);
  if (!app.graphs.has(assistant.graphId)) {
    throw new BadInputError(
      argument,
      `Assistant ${assistant.id} runs the graph "${assistant.graphId}", which is not served any more.`,
    );
  }
  return assistant;
}

/** The assistant's configuration with the request's on top. Nothing comes from the thread or its earlier runs. */
function newRun(assistant: KnownAssistant, request: NewRun) {
  return {
    id: newId(),
    assistantId: assistant.id,
    assistantVersion: assistant.rowVersion,
    graphId: assistant.graphId,
    input: request.input ?? null,
    command: request.command ?? null,
    checkpointNamespace: request.checkpointNamespace,
    config: mergeConfig(assistant.config, request.config ?? {}),
    context: { ...asRecord(assistant.context), ...request.context },
    metadata: { ...ownMetadata(assistant), ...request.metadata },
    streamModes: [...new Set(request.streamModes)],
    streamSubgraphs: request.streamSubgraphs,
    interruptBefore: request.interruptBefore ?? [],
    interruptAfter: request.interruptAfter ?? [],
    multitaskStrategy: request.multitaskStrategy,
    durability: request.durability,
    afterSeconds: request.afterSeconds ?? 0,
    timeoutSeconds: request.timeoutSeconds ?? null,
  };
}

/** That the server made an assistant says nothing about its runs. */
function ownMetadata({ metadata }: Assistant): Record<string, unknown> {
  const { created_by: _, ...own } = asRecord(metadata);
  return own;
}

function asRecord(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

/** Refuses what the run's graph cannot do with it, before anything is stored. */
async function checkAgainstGraph(
  { graphs }: Pick<App, 'graphs'>,
  argument: string,
  run: ReturnType<typeof newRun>,
): Promise<void> {
  const config = { configurable: asRecord(run.config['configurable']) };
  // A function that makes no graph fails the run, which tells why.
  const graph = await graphs.resolve(run.graphId, config).catch(() => undefined);
  const nodes = nodeNames(graph);
  if (run.command) checkCommand(`${argument}.command`, run.command, run.graphId, graph && nodes);
  if (!graph) return;
  for (const list of ['interruptBefore', 'interruptAfter'] as const) {
    const unknown = run[list].find((name) => name !== '*' && !nodes.includes(name));
    if (unknown !== undefined) {
      throw new BadInputError(
        `${argument}.${list}`,
        `The graph "${run.graphId}" has no node "${unknown}"; it has ${nodes.join(', ')}.`,
      );
    }
  }
  const refusal = run.input === null ? undefined : await inputRefusal(graph, run.input);
  if (refusal !== undefined) {
    throw new BadInputError(
      `${argument}.input`,
      `The graph "${run.graphId}" refuses this input: ${refusal}`,
    );
  }
}

function nodeNames(graph: CompiledGraph | undefined): string[] {
  return Object.keys(graph?.nodes ?? {}).filter((name) => !name.startsWith('__'));
}

async function storeRun(
  query: Query,
  run: PreparedNewRun,
  { claimer, stops }: { claimer: Claimer | undefined; stops: Stops[] },
): Promise<StoredRun> {
  if (run.repeatable) {
    await lockKey(query, run.repeatable);
    const repeated = await findRepeated(query, run.repeatable);
    if (repeated) return { run: repeated };
  }
  const { threadId = newId() } = run;
  const place = { ...run, threadId, claimer };
  if (!waitsForItsTurn(run)) {
    const resume = await takeTurn(query, place, stops);
    return insertRun(query, { ...place, command: storable(run.command, resume) });
  }
  const makesThread = run.threadId === undefined || run.ifThreadMissing === 'CREATE';
  return insertRun(query, { ...place, command: storable(run.command) }, makesThread);
}

/** Whether the statement that inserts it, which locks the thread or makes it, is all that it takes. */
function isPlain(run: PreparedNewRun): boolean {
  return waitsForItsTurn(run) && !run.repeatable;
}

/** Whether it is accepted whatever goes on in its thread. */
function waitsForItsTurn(run: PreparedNewRun): boolean {
  const { threadId, multitaskStrategy, checkpointId, command } = run;
  if (threadId === undefined) return true;
  return multitaskStrategy === 'ENQUEUE' && checkpointId === null && !command?.resume;
}

/** Locks the thread, and decides what goes on there before the run does; gives the answers that it was accepted with. */
async function takeTurn(
  query: Query,
  run: PreparedNewRun & { threadId: string },
  stops: Stops[],
): Promise<StoredCommand['resume']> {
  const { threadId, id } = run;
  if (run.ifThreadMissing === 'CREATE') await lockOrCreate(query, threadId);
  else await lockThread(query, threadId);
  // An answer waits for nobody: what is asked may change with every run.
  if (run.command?.resume) await refuseBusy(query, threadId);
  else stops.push(...(await makeWay(query, threadId, run.multitaskStrategy)));
  if (run.checkpointId !== null) await requireCheckpoint(query, run);
  if (!run.command?.resume) return undefined;
  const argument = `${run.argument}.command.resume`;
  return acceptAnswers(query, { threadId, runId: id, argument }, run.command.resume);
}

function storable(command: Command | null, resume?: StoredCommand['resume']): StoredCommand | null {
  return command && { update: command.update, goto: command.goto, resume };
}

async function requireCheckpoint(
  query: Query,
  {
    argument,
    threadId,
    checkpointNamespace,
    checkpointId,
  }: Pick<PreparedNewRun, 'argument' | 'checkpointNamespace' | 'checkpointId'> & {
    threadId: string;
  },
): Promise<void> {
  const [checkpoint] = await query(
    `SELECT 1 FROM "Checkpoint" WHERE "threadId" = $1 AND "namespace" = $2 AND "checkpointId" = $3`,
    [threadId, checkpointNamespace, checkpointId],
  );
  if (checkpoint) return;
  const where = checkpointNamespace === '' ? '' : ` in the namespace "${checkpointNamespace}"`;
  throw new BadInputError(
    `${argument}.checkpointId`,
    `${checkpointId} is not a checkpoint of thread ${threadId}${where}.`,
  );
}

/** As `lockThread`; one that is not there is made, also where it is being deleted: that is waited for. */
async function lockOrCreate(query: Query, threadId: string): Promise<void> {
  const [thread] = await query(
    `INSERT INTO "Thread" ("id") SELECT $1 WHERE ${isForThread('$1')}
     ON CONFLICT ("id") DO UPDATE SET "updatedAt" = "Thread"."updatedAt" RETURNING "id"`,
    [threadId],
  );
  if (!thread) throw new IdTakenError(threadId);
}

// A run that is due makes its thread BUSY. Either way the thread is locked before the run gets its `seq`.
const METADATA = `jsonb_build_object('graph_id', $4::text)`;
const IS_DUE = `now() + make_interval(secs => $22) <= statement_timestamp()`;
const CHANGES = `"graphId" = $4, "metadata" = "Thread"."metadata" || ${METADATA}, "updatedAt" = now(),
    "status" = CASE WHEN ${IS_DUE} THEN 'BUSY' ELSE "Thread"."status" END`;
/** SQL: whether the thread is a stateless run's, and goes with it. */
const isTemporary = (
  threadId: string,
): string => `EXISTS (SELECT 1 FROM "Run" r WHERE r."threadId" = ${threadId}
  AND r."status" IN ('PENDING', 'RUNNING') AND r."onCompletion" = 'DELETE')`;
const MAY_BE = `${isStill('$3', '$23')} AND NOT ${isTemporary('$2')}`;
const UPDATE_THREAD = `UPDATE "Thread" SET ${CHANGES} FROM locked WHERE "Thread"."id" = locked."id" AND ${MAY_BE}
  RETURNING "Thread"."id", false AS "isNew"`;
// Of a row that an insertion has made, and not updated, xmax is 0.
const MAKE_OR_UPDATE_THREAD = `INSERT INTO "Thread" ("id", "graphId", "metadata", "status")
  SELECT $2, $4, ${METADATA}, CASE WHEN ${IS_DUE} THEN 'BUSY' ELSE 'IDLE' END::"ThreadStatus"
  FROM (SELECT count(*) FROM locked) AS "first"
  WHERE ${isForThread('$2')} AND ${MAY_BE}
  ON CONFLICT ("id") DO UPDATE SET ${CHANGES} RETURNING "id", "xmax" = 0 AS "isNew"`;

// Whoever stores, ends or changes something in a thread updates its row: where that was as this statement saw it before it
// had the lock, what the statement sees of the thread's runs and events is so. One that was deleted meanwhile has left some.
const IS_CLAIMED = `$24::text IS NOT NULL AND ${IS_DUE} AND (
    thread."isNew" AND NOT EXISTS (SELECT 1 FROM "Thread" seen WHERE seen."id" = $2)
    OR NOT ${isBusy('$2')} AND EXISTS (
      SELECT 1 FROM locked JOIN "Thread" seen ON seen."id" = locked."id" AND seen."xmin" = locked."xmin"))`;

/** Where `threadStatement` finds or makes a thread. Before that it is locked if `mayBe` holds, which may take a lock itself. */
function insertStatement(threadStatement: string, mayBe = 'true'): string {
  return `WITH locked AS (
    SELECT "id", "xmin" FROM "Thread" WHERE "id" = $2 AND ${mayBe} FOR NO KEY UPDATE
  ), thread AS (${threadStatement}), claim AS (
    SELECT gen_random_uuid() AS "token", $24::text AS "worker", ${leaseEnd('$25')} AS "leaseEnd", clock_timestamp() AS "at"
    FROM thread WHERE ${IS_CLAIMED}
  ), run AS (
    INSERT INTO "Run" ("id", "threadId", "assistantId", "graphId", "input", "config", "context", "metadata",
      "streamModes", "streamSubgraphs", "interruptBefore", "interruptAfter", "multitaskStrategy", "onCompletion",
      "durability", "command", "checkpointId", "checkpointNamespace", "timeoutSeconds", "idempotencyKey", "inputHash",
      "dueAt", "status", "attempt", "claimToken", "worker", "leaseExpiresAt", "startedAt")
    SELECT $1, thread."id", $3::uuid, $4, $5::json, $6::json, $7::json, $8::jsonb, $9::text[], $10, $11::text[], $12::text[],
      $13::"MultitaskStrategy", $14::"OnCompletion", $15::"Durability", $16::json, $17::uuid, $18, $19::float8, $20, $21::bytea,
      -- The column rounds: a time that is rounded up would not be due yet.
      date_trunc('milliseconds', now()) + make_interval(secs => $22),
      CASE WHEN claim."token" IS NULL THEN 'PENDING' ELSE 'RUNNING' END::"RunStatus", (claim."token" IS NOT NULL)::int,
      claim."token", claim."worker", claim."leaseEnd", claim."at"
    FROM thread LEFT JOIN claim ON true RETURNING *
  ), claimed AS (
    SELECT *, ${lastNumberOf('$2')} AS "before" FROM run WHERE "status" = 'RUNNING'
  ), told AS (${tellStart('claimed')} RETURNING "number")
  SELECT run.*, told."number" AS "lastNumber",
    (SELECT h."checkpointId" FROM "CheckpointHead" h WHERE h."threadId" = $2 ORDER BY h."namespace" LIMIT 1) IS NULL AS "isFresh"
  FROM run LEFT JOIN told ON true`;
}
const INSERT = insertStatement(UPDATE_THREAD);
const INSERT_WITH_THREAD = insertStatement(MAKE_OR_UPDATE_THREAD, isForThread('$2'));

/** Throws where there is no thread, or none that could be made or used, and where the assistant is no longer as it was. */
async function insertRun(
  query: Query,
  run: Omit<PreparedNewRun, 'command'> & {
    threadId: string;
    command: StoredCommand | null;
    claimer: Claimer | undefined;
  },
  makesThread = false,
): Promise<StoredRun> {
  const [stored] = await query<Inserted>(makesThread ? INSERT_WITH_THREAD : INSERT, [
    run.id,
    run.threadId,
    run.assistantId,
    run.graphId,
    run.input === null ? null : JSON.stringify(run.input),
    JSON.stringify(run.config),
    JSON.stringify(run.context),
    JSON.stringify(run.metadata),
    run.streamModes,
    run.streamSubgraphs,
    run.interruptBefore,
    run.interruptAfter,
    run.multitaskStrategy,
    run.onCompletion,
    run.durability,
    run.command && JSON.stringify(run.command),
    run.checkpointId,
    run.checkpointNamespace,
    run.timeoutSeconds,
    run.repeatable?.key ?? null,
    run.repeatable?.inputHash ?? null,
    run.afterSeconds,
    run.assistantVersion,
    run.claimer?.worker ?? null,
    run.claimer?.lease ?? null,
  ]);
  if (stored) return { run: stored, claim: claimOf(stored) };
  await requireAssistant(query, run);
  await refuseTemporary(query, run.threadId);
  throw makesThread ? new IdTakenError(run.threadId) : new NotFoundError('Thread', run.threadId);
}

async function refuseTemporary(query: Query, threadId: string): Promise<void> {
  const [thread] = await query<{ goes: boolean }>(`SELECT ${isTemporary('$1')} AS "goes"`, [
    threadId,
  ]);
  if (!thread?.goes) return;
  throw new ConflictError(
    `Thread ${threadId} belongs to a stateless run and goes with it; runs that share a state need a thread of their own.`,
  );
}

/** The row, and what a claim needs to know of its thread. */
interface Inserted extends Run {
  lastNumber: number | null;
  isFresh: boolean;
}

function claimOf(run: Inserted): ClaimedRun | undefined {
  const { threadId, claimToken, startedAt, lastNumber, timeoutSeconds } = run;
  if (threadId === null || claimToken === null || startedAt === null || lastNumber === null) {
    return undefined;
  }
  const claim = { threadId, claimToken, startedAt, lastNumber };
  return { ...run, ...claim, retried: false, secondsLeft: timeoutSeconds };
}

async function requireAssistant(
  query: Query,
  { assistantId, assistantVersion }: Pick<PreparedNewRun, 'assistantId' | 'assistantVersion'>,
): Promise<void> {
  const [found] = await query<{ isStill: boolean }>(`SELECT ${isStill('$1', '$2')} AS "isStill"`, [
    assistantId,
    assistantVersion,
  ]);
  if (!found?.isStill) throw new AssistantChangedError(assistantId);
}
