import { setMaxListeners } from 'node:events';
import { RunControl } from '@langchain/langgraph';
import { ClaimLostError, summarizeError } from '../errors.ts';
import type { Writer } from '../events/batches.ts';
import type { CancelAction } from '../generated/prisma/client.ts';
import type { Outcome } from './end.ts';
import { MAX_ATTEMPTS, type ClaimedRun } from './queue.ts';

/** The execution of a run by a worker, after its claim. */
export interface Attempt extends Writer {
  readonly claim: ClaimedRun;
  /** A drain request stops the graph at the end of its step. */
  readonly control: RunControl;
  /** Aborted when the attempt must stop at once. */
  readonly signal: AbortSignal;
  /** The first reason to stop: an error of this file, or a failure outside the graph. */
  readonly failure: unknown;
  /** Stops the attempt. The first error counts. */
  fail(error: unknown): void;
  /** The claim is lost or released: the attempt stores nothing more. */
  readonly isOver: boolean;
}

/** Ends the attempt, but not the run: another attempt continues it. */
export class GivenBackError extends Error {}

/** A client has cancelled the run. */
export class CancelledError extends Error {
  readonly action: CancelAction;

  constructor(action: CancelAction) {
    super('The run was cancelled.');
    this.name = 'CancelledError';
    this.action = action;
  }
}

/** The run has exceeded its timeout. */
class TimeoutError extends Error {
  constructor(seconds: number | null) {
    super(`The run exceeded its timeout of ${seconds} s.`);
    this.name = 'TimeoutError';
  }
}

/** The run has lost its worker at each attempt. */
class AttemptsExhaustedError extends Error {
  constructor(attempts: number) {
    super(`The run was tried ${attempts} times and lost its worker each time.`);
    this.name = 'AttemptsExhaustedError';
  }
}

/** The checkpoint to start from was deleted while the run waited. */
export class CheckpointGoneError extends Error {
  constructor(checkpointId: string) {
    super(`The run starts from checkpoint ${checkpointId}, but this checkpoint no longer exists.`);
    this.name = 'CheckpointGoneError';
  }
}

export function createAttempt(claim: ClaimedRun): Attempt {
  const aborting = new AbortController();
  // Each executing node adds listeners: no warning about their number.
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
    get isOver() {
      return failure instanceof GivenBackError || failure instanceof ClaimLostError;
    },
    fail(error) {
      failure ??= readable(error);
      aborting.abort(failure);
    },
  };
}

/** Throws if the run must end without an execution: it is cancelled, has timed out, or has used all its attempts. */
export function refuseToBegin({
  cancelAction,
  isExhausted,
  secondsLeft,
  timeoutSeconds,
}: ClaimedRun): void {
  if (cancelAction) throw new CancelledError(cancelAction);
  if (secondsLeft !== null && secondsLeft <= 0) throw new TimeoutError(timeoutSeconds);
  if (isExhausted) throw new AttemptsExhaustedError(MAX_ATTEMPTS);
}

export function startTimer({ claim, fail }: Attempt): () => void {
  if (claim.secondsLeft === null) return () => {};
  const onTimeout = () => fail(new TimeoutError(claim.timeoutSeconds));
  const timer = setTimeout(onTimeout, Math.max(claim.secondsLeft, 0) * 1000).unref();
  return () => clearTimeout(timer);
}

/** The outcome of a run, from the reason of its stop. */
export function endingOf(reason: unknown): Pick<Outcome, 'status' | 'error' | 'rollback'> {
  if (reason instanceof CancelledError) {
    return { status: 'CANCELLED', rollback: reason.action === 'ROLLBACK' };
  }
  const status = reason instanceof TimeoutError ? 'TIMEOUT' : 'ERROR';
  return { status, error: summarizeError(reason) };
}

/** The thrown value as an error with a readable name. Reading the class or name of some objects throws. */
export function readable(thrown: unknown): Error {
  try {
    if (thrown instanceof Error && typeof thrown.name === 'string') return thrown;
  } catch {
    // The summary follows.
  }
  const { name, message } = summarizeError(thrown);
  return Object.assign(new Error(message), { name });
}
