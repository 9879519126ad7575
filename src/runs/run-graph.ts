import { copyCheckpoint, uuid6 } from '@langchain/langgraph-checkpoint';
import { findCheckpoint, type CheckpointRow } from '../checkpoints/find.ts';
import type { Config } from '../config.ts';
import type { Query, Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { storedBytes } from '../events/append.ts';
import { createEventMeasure, measureEvent, type MeasureEvent } from '../events/measure.ts';
import type { CompiledGraph } from '../graphs/load.ts';
import type { AttemptSaver } from './attempt-saver.ts';
import { CheckpointGoneError, type Attempt } from './attempt.ts';
import { commandOf } from './command.ts';
import { executeRun, type Ending, type StartingPoint } from './execute.ts';
import type { Journal } from './journal.ts';
import type { ClaimedRun } from './queue.ts';

interface RunNeeds {
  config: Config;
  sql: Sql;
  attempt: Attempt;
  journal: Journal;
  saver: AttemptSaver;
}

/** Executes the graph from the starting point of the attempt, and appends its events to the journal. Throws the errors of the graph. */
export async function runGraph(needs: RunNeeds, graph: CompiledGraph): Promise<Ending> {
  const { sql: database, attempt, journal, saver } = needs;
  const { claim, signal, control } = attempt;
  const ownCheckpointId = claim.retried
    ? await newestCheckpointOf(database.query, claim)
    : undefined;
  if (claim.retried) await appendStarted(needs, ownCheckpointId);
  // The first checkpoint of the run contains its input.
  const begins = ownCheckpointId === undefined;
  const execution = executeRun(graph, claim, {
    saver,
    control,
    signal,
    input: begins ? await inputOf(database.query, claim, graph) : null,
    start: begins ? await startingPoint(database.query, claim, saver) : undefined,
    keepsCheckpoints: claim.durability !== 'EXIT' && claim.onCompletion !== 'DELETE',
    measure: await eventMeasure(needs),
  });
  let step = await execution.next();
  while (!step.done) {
    await journal.append(step.value);
    step = await execution.next();
  }
  return step.value;
}

/** For a retried run. The claim has stored the STARTED event of the first attempt. */
async function appendStarted(
  { attempt: { claim }, journal }: RunNeeds,
  checkpointId: string | undefined,
): Promise<void> {
  if (checkpointId !== undefined) journal.noteStored(checkpointId);
  const data = { attempt: claim.attempt };
  await journal.append(measureEvent({ type: 'STARTED', namespace: [], data, checkpointId }));
}

/** Stops the attempt if the events of the run exceed their limit. */
async function eventMeasure({ config, sql: database, attempt }: RunNeeds): Promise<MeasureEvent> {
  const { claim } = attempt;
  const before = claim.retried ? await storedBytes(database.query, claim.id) : 0;
  const measure = createEventMeasure(config, before);
  return (event) => {
    try {
      return measure(event);
    } catch (error) {
      attempt.fail(error);
      throw error;
    }
  };
}

async function newestCheckpointOf(
  query: Query,
  { id, threadId }: ClaimedRun,
): Promise<string | undefined> {
  const [row] = await query<{ checkpointId: string }>(
    sql`SELECT "checkpointId" FROM "Checkpoint" WHERE "threadId" = ${threadId} AND "namespace" = '' AND "runId" = ${id}
      ORDER BY "seq" DESC LIMIT 1`,
    { onlyReads: true },
  );
  return row?.checkpointId;
}

/** A copy: the graph may change its input, and clients read the row of the run. */
function inputOf(query: Query, run: ClaimedRun, graph: CompiledGraph): unknown {
  if (run.command === null) return structuredClone(run.input);
  return commandOf(query, { ...run, command: structuredClone(run.command) }, graph);
}

async function startingPoint(
  query: Query,
  run: ClaimedRun,
  saver: AttemptSaver,
): Promise<StartingPoint | undefined> {
  const { threadId, checkpointId, checkpointNamespace: namespace } = run;
  if (checkpointId === null) return undefined;
  const row = await findCheckpoint(query, threadId, { namespace, checkpointId });
  if (!row) throw new CheckpointGoneError(checkpointId);
  const isWithoutInput = run.input === null && run.command === null;
  if (isWithoutInput && (await needsFork(query, row))) return fork(row, saver);
  const start = { checkpoint_id: checkpointId, checkpoint_ns: namespace };
  if (namespace === '') return start;
  const parents = row.metadata['parents'] as Record<string, string> | undefined;
  return { ...start, checkpoint_map: { ...parents, [namespace]: checkpointId } };
}

/**
 * True if the run must fork the thread itself. LangGraph forks only from checkpoints of runs. From a checkpoint of an edit, a graph
 * without a next node would put no checkpoint, and the thread would stay on its old branch.
 */
async function needsFork(
  query: Query,
  { threadId, namespace, checkpointId, source }: CheckpointRow,
): Promise<boolean> {
  if (namespace !== '' || source === 'LOOP' || source === 'INPUT') return false;
  const head = await findCheckpoint(query, threadId, { namespace });
  return head?.checkpointId !== checkpointId;
}

/** Puts a copy of the checkpoint, as the newest checkpoint of the thread. The graph then starts from the copy. */
async function fork(
  { threadId, checkpointId }: CheckpointRow,
  saver: AttemptSaver,
): Promise<undefined> {
  const configurable = { thread_id: threadId, checkpoint_ns: '', checkpoint_id: checkpointId };
  const tuple = await saver.getTuple({ configurable });
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
