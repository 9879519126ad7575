import type { RunStatus, ThreadStatus } from '../generated/prisma/enums.ts';

export type FinalStatus = Exclude<RunStatus, 'PENDING' | 'RUNNING'>;

/** Statuses of a run that has not ended: every other one is final. */
export const ACTIVE: readonly RunStatus[] = ['PENDING', 'RUNNING'];

export function isFinal(status: RunStatus): status is FinalStatus {
  return !ACTIVE.includes(status);
}

/** What a thread's status is when a run has ended: a failure says more than a question, and that more than a queue. */
export function threadStatusAfter(
  run: FinalStatus,
  { waits, nextIsDue }: { waits: boolean; nextIsDue: boolean },
): ThreadStatus {
  if (run === 'ERROR' || run === 'TIMEOUT') return 'ERROR';
  if (run === 'INTERRUPTED' || waits) return 'INTERRUPTED';
  return nextIsDue ? 'BUSY' : 'IDLE';
}
