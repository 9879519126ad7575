import pLimit from 'p-limit';
import type { Config } from '../config.ts';
import { THREADS_CHANNEL } from '../db/channels.ts';
import type { Sql } from '../db/query.ts';
import { patientQuery, retryUntilStored } from '../db/retry.ts';
import { ClaimLostError, DatabaseAwayError } from '../errors.ts';
import type { EventBatches } from '../events/batches.ts';
import type { StoredEvent } from '../events/event.ts';
import type { EventTail } from '../events/tail.ts';
import type { Graphs } from '../graphs/load.ts';
import { reasonOf, type Logger } from '../log.ts';
import { remember } from '../remember.ts';
import type { Attempt } from './attempt.ts';
import type { Ended, Outcome } from './end.ts';
import { executeAttempt } from './execute-attempt.ts';
import type { RunQueue } from './queue.ts';
import type { Waits } from './wait.ts';

/** A limit, because waiting checkpoints of an attempt share a statement: more statements at a time would be smaller. */
export const STORES_AT_A_TIME = 3;

const MOST_BROKEN_RUNS = 1000;
/** Up to this number for a run, attempts with a broken connection do not count. */
const MOST_UNCOUNTED = 5;
/** Tries to settle a run while the database answers with an error. After them, the lease expires. */
const MOST_SETTLE_TRIES = 8;

/** The state that the attempts of a worker share. */
export interface AttemptContext {
  queue: RunQueue;
  /** Limits the statements that store checkpoints in the background. */
  inTurn: <T>(work: () => Promise<T>) => Promise<T>;
  /** By run: its number of broken connections during a statement with an unknown outcome. */
  brokenConnections: Map<string, number>;
  /** Aborted at the end of the grace period of a shutdown: no further tries of a statement. */
  leaving: AbortSignal;
}

export function createAttemptContext(queue: RunQueue, leaving: AbortSignal): AttemptContext {
  return { queue, leaving, inTurn: pLimit(STORES_AT_A_TIME), brokenConnections: new Map() };
}

export interface AttemptNeeds {
  config: Config;
  sql: Sql;
  graphs: Graphs;
  events: EventBatches;
  tail: EventTail;
  log: Logger;
  waits: Waits;
}

/** The end of a claim: the run ended, the claim was released, or the claim was lost to another worker. */
type Settled = Ended | 'released' | 'lost';

/** Executes the graph, stores the end of the run and publishes it. Undefined if the run has not ended here. */
export async function runAttempt(
  app: AttemptNeeds,
  context: AttemptContext,
  attempt: Attempt,
): Promise<Ended | undefined> {
  const names = namesOf(attempt);
  const began = performance.now();
  app.log.info(names, 'run started');
  const settled = await executeAndSettle(app, context, attempt);
  if (settled === 'released') {
    app.log.info(names, 'run released');
    return undefined;
  }
  if (settled === 'lost') {
    app.log.warn(names, 'the claim of a run is lost');
    return undefined;
  }
  app.tail.publish(settled.events);
  app.sql.notify(THREADS_CHANNEL, attempt.threadId);
  const ms = Math.round(performance.now() - began);
  app.log.info({ ...names, ...finalStatus(settled.events), ms }, 'run ended');
  return settled;
}

/** The fields of an attempt in each of its log entries. */
function namesOf({ claim }: Attempt) {
  return { run: claim.id, thread: claim.threadId, attempt: claim.attempt };
}

async function executeAndSettle(
  app: AttemptNeeds,
  context: AttemptContext,
  attempt: Attempt,
): Promise<Settled> {
  const { inTurn } = context;
  const query = patientQuery(app.sql.query, {
    isWanted: () => !attempt.isOver,
    onAway: (error) =>
      app.log.warn({ ...namesOf(attempt), ...reasonOf(error) }, 'a run waits for the database'),
  });
  const patient = { ...app, sql: { ...app.sql, query } };
  const result = await executeAttempt(patient, attempt, inTurn);
  if (result && 'ended' in result) {
    app.waits.handOver(result.run);
    return result.ended;
  }
  return settle(app, context, { attempt, outcome: result?.outcome });
}

/** Stores the outcome. Without an outcome, releases the claim: another attempt continues the run. */
async function settle(
  { tail, log }: AttemptNeeds,
  context: AttemptContext,
  { attempt, outcome }: { attempt: Attempt; outcome: Outcome | undefined },
): Promise<Settled> {
  const { queue, leaving } = context;
  const { claim, runId } = attempt;
  // From now on, another worker may settle the run.
  tail.leave(runId);
  if (attempt.failure instanceof ClaimLostError) return 'lost';

  const patience = {
    isWanted: () => !leaving.aborted,
    onAway: (error: unknown) =>
      log.warn({ err: error, run: runId }, 'a run could not be settled yet'),
  };
  if (outcome) {
    const ended = await retryUntilStored(
      () => queue.settle(claim, outcome),
      maySettleAgain,
      patience,
    );
    return ended ?? 'lost';
  }
  const counts =
    attempt.failure instanceof DatabaseAwayError && isSuspect(context.brokenConnections, runId);
  await retryUntilStored(() => queue.release(claim, { counts }), maySettleAgain, patience);
  return 'released';
}

function maySettleAgain(error: unknown, tries: number): boolean {
  return error instanceof DatabaseAwayError || tries < MOST_SETTLE_TRIES;
}

/** True if the run itself may break the connections, for example with a value that crashes PostgreSQL. */
function isSuspect(brokenConnections: Map<string, number>, runId: string): boolean {
  const times = (brokenConnections.get(runId) ?? 0) + 1;
  remember(brokenConnections, runId, times, MOST_BROKEN_RUNS);
  return times > MOST_UNCOUNTED;
}

/** The status in the run's final event. A cancellation request may have replaced the status of the outcome. */
function finalStatus(events: readonly StoredEvent[]): { status?: unknown } {
  const { status } = (events.at(-1)?.data ?? {}) as { status?: unknown };
  return { status };
}
