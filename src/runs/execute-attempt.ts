import { isGraphDrained, type StateSnapshot } from '@langchain/langgraph';
import { toPlain } from '../checkpoints/plain.ts';
import { serdeOf } from '../checkpoints/serde.ts';
import { createStateLimit } from '../checkpoints/sizes.ts';
import { stateOfFinal } from '../checkpoints/states.ts';
import { forgetStep } from '../checkpoints/store.ts';
import { createItemsOf } from '../checkpoints/items.ts';
import type { Config } from '../config.ts';
import type { Sql } from '../db/query.ts';
import { ClaimLostError, DatabaseAwayError, StateLimitError } from '../errors.ts';
import type { EventBatches } from '../events/batches.ts';
import type { EventTail } from '../events/tail.ts';
import { withCheckpointer, type CompiledGraph, type Graphs } from '../graphs/load.ts';
import { NodeGoneError } from '../interrupts/answers.ts';
import { InterruptReader, pendingInterrupts } from '../interrupts/pending.ts';
import { AttemptSaver } from './attempt-saver.ts';
import {
  endingOf,
  GivenBackError,
  readable,
  refuseToBegin,
  startTimer,
  type Attempt,
} from './attempt.ts';
import { afterEnd, type Ended, type EndedRun, type Outcome } from './end.ts';
import { runConfiguration } from './execute.ts';
import type { InTurn } from './journal-storing.ts';
import { createJournal, type Journal } from './journal.ts';
import { toLimitedJson } from './limits.ts';
import { runGraph } from './run-graph.ts';

/** The parts of the server for an attempt. */
export interface ExecuteNeeds {
  config: Config;
  /** Its queries are repeated while the database is away. */
  sql: Sql;
  graphs: Graphs;
  events: EventBatches;
  tail: EventTail;
}

/** An attempt with its journal and saver. */
interface Execution extends ExecuteNeeds {
  attempt: Attempt;
  journal: Journal;
  saver: AttemptSaver;
}

/** The result of an attempt: the journal has already ended the run, or the worker must settle the outcome. */
export type AttemptResult = { ended: Ended; run: EndedRun } | { outcome: Outcome };

/**
 * Executes a run. Undefined: another attempt continues the run. Does not throw errors of the graph: they are in the outcome. All
 * events are stored, or dropped after a failure.
 */
export async function executeAttempt(
  app: ExecuteNeeds,
  attempt: Attempt,
  inTurn: InTurn,
): Promise<AttemptResult | undefined> {
  const execution = openExecution(app, attempt, inTurn);
  const stopTimer = startTimer(attempt);
  let graph: CompiledGraph | undefined;
  try {
    refuseToBegin(attempt.claim);
    graph = await resolveGraph(execution);
    execution.saver.serde = serdeOf(graph);
    const { mayWait } = await runGraph(execution, graph);
    return mayWait ? await stopped(execution, graph) : await finished(execution, graph);
  } catch (error) {
    return await failed(execution, graph, attempt.failure ?? readable(error));
  } finally {
    stopTimer();
  }
}

function openExecution(app: ExecuteNeeds, attempt: Attempt, inTurn: InTurn): Execution {
  const { claim, threadId } = attempt;
  const limit = createStateLimit(app.config.stateLimitBytes);
  const itemsOf = createItemsOf();
  const journal = createJournal({
    query: app.sql.query,
    writer: attempt,
    run: claim,
    batches: app.events,
    tail: app.tail,
    limit,
    itemsOf,
    inTurn: claim.durability === 'SYNC' ? undefined : inTurn,
    signal: attempt.signal,
    onFailure: attempt.fail,
  });
  const saver = new AttemptSaver(app.sql.query, {
    journal,
    limit,
    itemsOf,
    threadId,
    metadata: {
      ...(claim.metadata as object),
      run_id: claim.id,
      graph_id: claim.graphId,
      assistant_id: claim.assistantId,
    },
    ...(claim.isFresh && { freshThreadId: threadId }),
  });
  return { ...app, attempt, journal, saver };
}

function resolveGraph({ graphs, attempt: { claim } }: Execution): Promise<CompiledGraph> {
  return graphs.resolve(claim.graphId, runConfiguration(claim));
}

/** The graph may wait for an answer: its stored state contains the pending interrupts. */
async function stopped(execution: Execution, graph: CompiledGraph): Promise<AttemptResult> {
  await flush(execution);
  const state = await readState(execution, graph);
  const interrupts = await pendingInterrupts(execution.sql.query, state);
  const status = state.next.length > 0 ? 'INTERRUPTED' : 'SUCCESS';
  return { outcome: { status, interrupts, output: outputOf(execution, state) } };
}

/** The graph has reached its end. */
async function finished(execution: Execution, graph: CompiledGraph): Promise<AttemptResult> {
  const { attempt, journal } = execution;
  const outcome = await successOf(execution, graph);
  const ended = attempt.failure === undefined ? await journal.finish(outcome) : undefined;
  if (ended) return { ended, run: afterEnd(attempt.claim, outcome, ended) };
  await flush(execution);
  return { outcome };
}

/** Waits until everything is stored: only then has the run succeeded. */
async function flush({ attempt, journal }: Execution): Promise<void> {
  await journal.flush();
  if (attempt.failure !== undefined) throw attempt.failure;
}

async function successOf(execution: Execution, graph: CompiledGraph): Promise<Outcome> {
  const { attempt, saver, sql } = execution;
  const finalCheckpoint = saver.newestOf(attempt.threadId);
  const outcome: Outcome = { status: 'SUCCESS', interrupts: [], finalCheckpoint };
  if (attempt.claim.onCompletion !== 'DELETE') return outcome;
  if (!finalCheckpoint) await flush(execution);
  const state = await (finalCheckpoint
    ? stateOfFinal(sql.query, graph, finalCheckpoint)
    : readState(execution, graph));
  return { ...outcome, output: outputOf(execution, state) };
}

async function failed(
  execution: Execution,
  graph: CompiledGraph | undefined,
  reason: unknown,
): Promise<AttemptResult | undefined> {
  const { journal } = execution;
  await journal.flush();
  if (isGraphDrained(reason) || reason instanceof GivenBackError) return undefined;
  if (reason instanceof ClaimLostError || reason instanceof DatabaseAwayError) return undefined;
  await journal.close();
  // The state of the graph no longer shows the interrupt. Without `interrupts` in the outcome, the end of the run reopens it.
  if (reason instanceof NodeGoneError) return { outcome: endingOf(reason) };
  return { outcome: { ...endingOf(reason), ...(await finalState(execution, graph, reason)) } };
}

/** Empty if the state cannot be read: the run then ends with the original reason alone. */
async function finalState(
  execution: Execution,
  graph: CompiledGraph | undefined,
  reason: unknown,
): Promise<Pick<Outcome, 'interrupts' | 'output'>> {
  const { sql, attempt } = execution;
  try {
    if (reason instanceof StateLimitError) {
      await forgetStep(sql.query, attempt.threadId, attempt);
    }
    const state = await readState(execution, graph ?? (await resolveGraph(execution)));
    return {
      interrupts: await pendingInterrupts(sql.query, state),
      output: outputOf(execution, state),
    };
  } catch {
    return {};
  }
}

async function readState(
  { sql, attempt }: Execution,
  graph: CompiledGraph,
): Promise<StateSnapshot> {
  const reader = new InterruptReader(sql.query, serdeOf(graph));
  const config = { configurable: { thread_id: attempt.threadId } };
  const readableGraph = withCheckpointer(graph, reader);
  try {
    return await readableGraph.getState(config, { subgraphs: true });
  } catch (error) {
    // The reducers may have refused the writes of the step, and the run failed for this reason: read the state before the step.
    const head = await reader.getTuple(config);
    if (!head) throw error;
    return readableGraph.getState(head.config);
  }
}

/** Only for a run with deletion of its thread. Throws StateLimitError. */
function outputOf({ attempt, config }: Execution, state: StateSnapshot): Outcome['output'] {
  if (attempt.claim.onCompletion !== 'DELETE') return undefined;
  const values = toPlain(state.values ?? null);
  const limit = { what: 'The output of the run', mostBytes: config.stateLimitBytes };
  return { values, json: toLimitedJson(values, limit) };
}
