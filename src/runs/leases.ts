import { STOPS_CHANNEL } from '../db/channels.ts';
import type { Sql } from '../db/query.ts';
import { ClaimLostError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { remember } from '../remember.ts';
import { CancelledError, type Attempt } from './attempt.ts';
import type { LeaseRenewer, LeaseRenewerOptions } from './lease-renewer.ts';
import type { RunQueue } from './queue.ts';

/** Renews the leases of this worker's attempts. Fails an attempt if its claim is lost or its run is cancelled. */
export interface Leases {
  hold(attempt: Attempt): void;
  drop(attempt: Attempt): void;
  stop(): Promise<void>;
}

/** Creates the thread that renews leases. */
export type CreateRenewer = (
  handlers: Pick<LeaseRenewerOptions, 'onLost' | 'onCancel'>,
) => LeaseRenewer;

const MOST_EARLY_STOPS = 1000;

export function createLeases(
  { sql, log }: { sql: Sql; log: Logger },
  { queue, createRenewer }: { queue: RunQueue; createRenewer: CreateRenewer },
): Leases {
  const held = new Set<Attempt>();
  /** Ids of runs with a stop request and no attempt here: the answer of their claim may be on its way. */
  const earlyStops = new Map<string, true>();

  function checkRun(runId: string): void {
    const attempts = Array.from(held).filter((attempt) => attempt.runId === runId);
    if (attempts.length === 0) remember(earlyStops, runId, true, MOST_EARLY_STOPS);
    for (const attempt of attempts) void renewLease(attempt, { queue, log });
  }

  const renewer = createRenewer({ onLost: checkRun, onCancel: checkRun });
  const unlisten = sql.listen(STOPS_CHANNEL, checkRun);

  return {
    hold(attempt) {
      held.add(attempt);
      renewer.hold(attempt.claim);
      if (earlyStops.delete(attempt.runId)) void renewLease(attempt, { queue, log });
    },
    drop(attempt) {
      held.delete(attempt);
      renewer.drop(attempt.claim);
    },
    async stop() {
      await renewer.stop();
      unlisten();
    },
  };
}

/** Renews the lease and reads the cancellation request of the run. Never rejects: the renewer tries again. */
async function renewLease(
  attempt: Attempt,
  { queue, log }: { queue: RunQueue; log: Logger },
): Promise<void> {
  try {
    const { lost, cancelAction } = await queue.renew(attempt.claim);
    if (lost) attempt.fail(new ClaimLostError());
    else if (cancelAction) attempt.fail(new CancelledError(cancelAction));
  } catch (error) {
    log.warn({ err: error, run: attempt.runId }, 'a claim could not be renewed');
  }
}
