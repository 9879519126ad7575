import { setMaxListeners } from 'node:events';
import { RunControl, isGraphDrained, type StateSnapshot } from '@langchain/langgraph';
import { copyCheckpoint, uuid6 } from '@langchain/langgraph-checkpoint';
import type { App } from '../app.ts';
import { pendingInterrupts, QuestionReader } from '../checkpoints/interrupts.ts';
import { toPlain } from '../checkpoints/plain.ts';
import { RunSaver, type InTurn } from '../checkpoints/saver.ts';
import { stateLeft } from '../checkpoints/states.ts';
import { findCheckpoint, type CheckpointRow } from '../checkpoints/store.ts';
import { ClaimLostError, DatabaseAwayError, summarizeError } from '../errors.ts';
import type { Writer } from '../events/log.ts';
import type { CancelAction } from '../generated/prisma/client.ts';
import { withCheckpointer, type CompiledGraph } from '../graphs/load.ts';
import { commandOf } from './command.ts';
import type { Ended, Outcome, Rest } from './end.ts';
import { executeRun, runConfig, type StartingPoint } from './execute.ts';
import { MAX_ATTEMPTS, type ClaimedRun } from './queue.ts';

/** One try of a run. */
export interface Attempt extends Writer {
  readonly claim: ClaimedRun;
  /** Lets the graph reach the end of its step. */
  readonly control: RunControl;
  /** Aborted when the attempt is to stop at once. */
  readonly signal: AbortSignal;
  /** Why it stopped, the first reason of all: one of the errors below, or what went wrong outside the graph. */
  readonly failure: unknown;
}

/** Ends the attempt, and not the run: another one goes on. */
export class GivenBackError extends Error {}

/** Somebody wants the run to stop. */
export class CancelledError extends Error {
  readonly action: CancelAction;

  constructor(action: CancelAction) {
    super('The run was cancelled.');
    this.name = 'CancelledError';
    this.action = action;
  }
}

/** The run has taken longer than it was given. */
class TimeoutError extends Error {
  constructor(seconds: number | null) {
    super(`The run took longer than the ${seconds} s that it was given.`);
    this.name = 'TimeoutError';
  }
}

/** The run lost its worker as often as is allowed. */
class AttemptsExhaustedError extends Error {
  constructor(attempts: number) {
    super(`The run was tried ${attempts} times and lost its worker each time.`);
    this.name = 'AttemptsExhaustedError';
  }
}

/** The checkpoint that the run was to start from went away while it waited. */
class CheckpointGoneError extends Error {
  constructor(checkpointId: string) {
    super(`Checkpoint ${checkpointId}, which the run was to start from, does not exist any more.`);
    this.name = 'CheckpointGoneError';
  }
}

export function createAttempt(claim: ClaimedRun): Attempt {
  const aborting = new AbortController();
  // As many nodes as run at once listen, and what they call.
  setMaxListeners(0, aborting.signal);
  let failure: unknown;
  return {
    claim,
    runId: claim.id,
    threadId: claim.threadId,
    claimToken: claim.claimToken,
    control: new RunControl(),
    signal: aborting.signal,
    get failure() {
      return failure;
    },
    fail(error) {
      failure ??= error;
      aborting.abort(error);
    },
  };
}

export interface Executing {
  /** What the run need not wait for is stored when it is its turn. */
  inTurn?: InTurn;
  /** Ends a run that has succeeded, with what is not stored yet. Undefined, with nothing changed, where that is not to be. */
  end(outcome: Outcome, rest: Rest): Promise<Ended | undefined>;
}

/**
 * Executes the run. How it ended, or that it has been ended; undefined where it goes on in another attempt. Never throws for
 * what a graph does.
 */
export async function execute(
  app: Pick<App, 'sql' | 'graphs' | 'events'>,
  attempt: Attempt,
  { inTurn, end }: Executing,
): Promise<Outcome | { ended: Ended } | undefined> {
  const { claim } = attempt;
  const saver = new RunSaver(app.sql.query, {
    fence: { runId: claim.id, claimToken: claim.claimToken },
    metadata: {
      ...(claim.metadata as object),
      run_id: claim.id,
      graph_id: claim.graphId,
      assistant_id: claim.assistantId,
    },
    ...(claim.isFresh && { freshThreadId: claim.threadId }),
    ...(claim.durability !== 'SYNC' && { inTurn }),
    events: { log: app.events, writer: attempt },
    onFailure: attempt.fail,
  });
  const stopTimer = startTimer(attempt);
  let graph: CompiledGraph | undefined;
  try {
    refuseToBegin(claim);
    graph = await app.graphs.resolve(claim.graphId, runConfig(claim, saver));
    const { mayWait } = await drive(app, attempt, { graph, saver });
    if (mayWait) {
      await storeAll();
      const state = await readState(graph);
      const interrupts = await pendingInterrupts(app.sql.query, state);
      const status = state.next.length > 0 ? 'INTERRUPTED' : 'SUCCESS';
      return { status, interrupts, output: outputOf(claim, state) };
    }
    const outcome = await success(graph);
    const ended = await endWithRest(outcome);
    if (ended) return { ended };
    await storeAll();
    return outcome;
  } catch (error) {
    const reason = attempt.failure ?? error;
    await saver.flush();
    if (isGraphDrained(reason) || reason instanceof GivenBackError) return undefined;
    if (reason instanceof ClaimLostError || reason instanceof DatabaseAwayError) return undefined;
    await saver.close();
    return { ...endingOf(reason), ...(await whatIsLeft()) };
  } finally {
    stopTimer();
  }

  /** A run of which something could not be stored has not succeeded. */
  async function storeAll(): Promise<void> {
    await saver.flush();
    await app.events.flush(attempt);
    if (attempt.failure !== undefined) throw attempt.failure;
  }

  async function success(graph: CompiledGraph): Promise<Outcome> {
    const left = saver.newestOf(claim.threadId);
    const outcome: Outcome = { status: 'SUCCESS', interrupts: [], left };
    if (claim.onCompletion !== 'DELETE') return outcome;
    if (!left) await storeAll();
    const state = await (left ? stateLeft(app.sql.query, graph, left) : readState(graph));
    return { ...outcome, output: outputOf(claim, state) };
  }

  /** Undefined where it is to be settled in the longer way, which tells what is wrong. */
  async function endWithRest(outcome: Outcome): Promise<Ended | undefined> {
    const rest = await saver.rest(claim.threadId);
    if (!rest || attempt.failure !== undefined) return undefined;
    let ended: Ended | undefined;
    await app.events.endWith(attempt, async (events) => {
      ended = await end(outcome, { ...rest, events });
      return ended?.firstEvent;
    });
    return ended;
  }

  async function readState(graph: CompiledGraph): Promise<StateSnapshot> {
    const reader = new QuestionReader(app.sql.query);
    const config = { configurable: { thread_id: claim.threadId } };
    const readable = withCheckpointer(graph, reader);
    try {
      return await readable.getState(config, { subgraphs: true });
    } catch (error) {
      // What the tasks of a step wrote may not fit together, which is what the run failed with: then the step has not been.
      const head = await reader.getTuple(config);
      if (!head) throw error;
      return readable.getState(head.config);
    }
  }

  /** Of a run that did not end by itself; nothing where its state cannot be read, which is not why it failed. */
  async function whatIsLeft(): Promise<Pick<Outcome, 'interrupts' | 'output'>> {
    try {
      graph ??= await app.graphs.resolve(claim.graphId, runConfig(claim, saver));
      const state = await readState(graph);
      return {
        interrupts: await pendingInterrupts(app.sql.query, state),
        output: outputOf(claim, state),
      };
    } catch {
      return {};
    }
  }
}

/** Needed only where the thread goes with its run. */
function outputOf({ onCompletion }: ClaimedRun, state: StateSnapshot | undefined): unknown {
  return onCompletion === 'DELETE' && state ? toPlain(state.values ?? null) : undefined;
}

/** What is decided before the graph is asked: a run that was cancelled, tried or waited for long enough. */
function refuseToBegin({ cancelAction, attempt, secondsLeft, timeoutSeconds }: ClaimedRun): void {
  if (cancelAction) throw new CancelledError(cancelAction);
  if (secondsLeft !== null && secondsLeft <= 0) throw new TimeoutError(timeoutSeconds);
  if (attempt > MAX_ATTEMPTS) throw new AttemptsExhaustedError(attempt - 1);
}

function startTimer({ claim, fail }: Attempt): () => void {
  if (claim.secondsLeft === null) return () => {};
  const onTimeout = () => fail(new TimeoutError(claim.timeoutSeconds));
  const timer = setTimeout(onTimeout, Math.max(claim.secondsLeft, 0) * 1000).unref();
  return () => clearTimeout(timer);
}

function endingOf(reason: unknown): Pick<Outcome, 'status' | 'error' | 'rollback'> {
  if (reason instanceof CancelledError) {
    return { status: 'CANCELLED', rollback: reason.action === 'ROLLBACK' };
  }
  const status = reason instanceof TimeoutError ? 'TIMEOUT' : 'ERROR';
  return { status, error: summarizeError(reason) };
}

/** Drives the graph from where the run stands, and appends what clients should see. */
async function drive(
  { sql, events }: Pick<App, 'sql' | 'events'>,
  attempt: Attempt,
  { graph, saver }: { graph: CompiledGraph; saver: RunSaver },
) {
  const { claim, signal, control } = attempt;
  const ownCheckpointId = claim.retried ? await newestCheckpointOf(claim) : undefined;
  // A run that begins for the first time was told with its claim.
  if (claim.retried) {
    await events.append(attempt, {
      type: 'STARTED',
      namespace: [],
      data: { attempt: claim.attempt },
      checkpointId: ownCheckpointId,
    });
  }
  // Once the run has a checkpoint of its own, its input is in it.
  const begins = ownCheckpointId === undefined;
  const execution = executeRun(graph, claim, {
    saver,
    control,
    signal,
    input: begins ? await inputOf(claim) : null,
    start: begins ? await startingPoint(claim) : undefined,
    keepsCheckpoints: claim.durability !== 'EXIT' && claim.onCompletion !== 'DELETE',
  });
  let step = await execution.next();
  while (!step.done) {
    // What is put before an event is stored with it or before it: whoever reads the event finds its checkpoint.
    const { checkpointId } = step.value;
    if (checkpointId) await saver.whenPut(checkpointId, signal);
    await events.append(attempt, step.value);
    step = await execution.next();
  }
  return step.value;

  async function newestCheckpointOf({ id, threadId }: ClaimedRun): Promise<string | undefined> {
    const [row] = await sql.query<{ checkpointId: string }>(
      `SELECT "checkpointId" FROM "Checkpoint" WHERE "threadId" = $1 AND "namespace" = '' AND "runId" = $2
       ORDER BY "seq" DESC LIMIT 1`,
      [threadId, id],
    );
    return row?.checkpointId;
  }

  function inputOf(run: ClaimedRun): unknown {
    return run.command === null ? run.input : commandOf(sql.query, run);
  }

  async function startingPoint(run: ClaimedRun): Promise<StartingPoint | undefined> {
    const { threadId, checkpointId, checkpointNamespace: namespace } = run;
    if (checkpointId === null) return undefined;
    const row = await findCheckpoint(sql.query, threadId, { namespace, checkpointId });
    if (!row) throw new CheckpointGoneError(checkpointId);
    if (run.input === null && run.command === null && (await isLeftOut(row))) return fork(row);
    const start = { checkpoint_id: checkpointId, checkpoint_ns: namespace };
    if (namespace === '') return start;
    const parents = row.metadata['parents'] as Record<string, string> | undefined;
    return { ...start, checkpoint_map: { ...parents, [namespace]: checkpointId } };
  }

  /** A graph that stops at once makes no checkpoint; where it forks none itself, the thread would stay on its other branch. */
  async function isLeftOut({ threadId, namespace, checkpointId, source }: CheckpointRow) {
    if (namespace !== '' || source === 'LOOP' || source === 'INPUT') return false;
    const head = await findCheckpoint(sql.query, threadId, { namespace });
    return head?.checkpointId !== checkpointId;
  }

  /** Makes the checkpoint the thread's newest once more, as LangGraph does with one that a run made. The graph starts from there. */
  async function fork({ threadId, checkpointId }: CheckpointRow): Promise<undefined> {
    const place = { thread_id: threadId, checkpoint_ns: '', checkpoint_id: checkpointId };
    const tuple = await saver.getTuple({ configurable: place });
    if (!tuple) throw new CheckpointGoneError(checkpointId);
    const step = (tuple.metadata?.step ?? -1) + 1;
    const copy = {
      ...copyCheckpoint(tuple.checkpoint),
      id: uuid6(step),
      ts: new Date().toISOString(),
    };
    const parents = tuple.metadata?.parents ?? {};
    await saver.put(tuple.config, copy, { source: 'fork', step, parents }, {});
  }
}
