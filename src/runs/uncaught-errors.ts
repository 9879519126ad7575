import { AsyncLocalStorage } from 'node:async_hooks';
import type { Logger } from '../log.ts';

/** The part of the server to which an uncaught error belongs, for example an attempt. */
export interface Owner {
  /** For the log. */
  runId?: string;
  fail(error: unknown): void;
}

const FLUSH_MS = 1000;

const owners = new AsyncLocalStorage<Owner>();

/** Assigns `work` to `owner`, including asynchronous work after its end. An uncaught error in it fails the owner. */
export function runAttributed<T>(owner: Owner, work: () => Promise<T>): Promise<T> {
  return owners.run(owner, work);
}

/** The id of the run around the calling code. */
export function currentRunId(): string | undefined {
  return owners.getStore()?.runId;
}

/**
 * Handles unhandled rejections and uncaught exceptions of the process, for example in a timer. An error of an owner fails
 * its owner. Without an owner, a rejection is logged, and an exception ends the process with status 1.
 */
export function handleUncaughtErrors(log: Logger): void {
  process.on('unhandledRejection', (reason) => {
    if (!failOwner(reason, log)) log.error({ err: reason }, 'A rejection was not handled.');
  });
  process.on('uncaughtException', (error) => {
    if (failOwner(error, log)) return;
    log.fatal({ err: error }, 'An exception was not caught: the process ends.');
    log.flush(() => process.exit(1));
    // Also ends the process if the log does not answer: its state is unknown.
    setTimeout(() => process.exit(1), FLUSH_MS);
  });
}

/** False without an owner. */
function failOwner(error: unknown, log: Logger): boolean {
  const owner = owners.getStore();
  if (!owner) return false;
  log.warn({ err: error, run: owner.runId }, 'a run left an uncaught error');
  owner.fail(error);
  return true;
}
