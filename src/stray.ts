import { AsyncLocalStorage } from 'node:async_hooks';
import type { Logger } from './log.ts';

/** Who answers for errors that nobody caught. */
export interface Owner {
  /** For the log. */
  runId?: string;
  fail(error: unknown): void;
}

const FLUSH_MS = 1000;

const owners = new AsyncLocalStorage<Owner>();

/** What `work` starts belongs to `owner`, also what outlives it: an error there that nobody catches fails the owner. */
export function runAttributed<T>(owner: Owner, work: () => Promise<T>): Promise<T> {
  return owners.run(owner, work);
}

/**
 * Handles, for the whole process, rejections that nobody awaited and throws that nobody can catch: in a timer, say. An
 * owner's error fails its owner. Without one a rejection is logged, and a throw ends the process with status 1.
 */
export function handleStrayErrors(log: Logger): void {
  process.on('unhandledRejection', (reason) => {
    if (!failOwner(reason, log)) log.error({ err: reason }, 'A rejection was not handled.');
  });
  process.on('uncaughtException', (error) => {
    if (failOwner(error, log)) return;
    log.fatal({ err: error }, 'An exception was not caught: the process ends.');
    log.flush(() => process.exit(1));
    // A log that does not answer must not keep a process in an unknown state.
    setTimeout(() => process.exit(1), FLUSH_MS);
  });
}

/** False when nobody answers for what is going on here. */
function failOwner(error: unknown, log: Logger): boolean {
  const owner = owners.getStore();
  if (!owner) return false;
  log.warn({ err: error, run: owner.runId }, 'a run left an error that nobody caught');
  owner.fail(error);
  return true;
}
