import type { RunStatus, ThreadStatus } from '../generated/prisma/enums.ts';

export type FinalStatus = Exclude<RunStatus, 'PENDING' | 'RUNNING'>;

/** The remaining statuses are final. */
export const ACTIVE: readonly RunStatus[] = ['PENDING', 'RUNNING'];

export function isFinal(status: RunStatus): status is FinalStatus {
  return !ACTIVE.includes(status);
}

/** The status of a thread after the end of a run. Order of precedence: an error, a pending interrupt, a queued run. */
export function threadStatusAfter(
  run: FinalStatus,
  { waits, nextIsDue }: { waits: boolean; nextIsDue: boolean },
): ThreadStatus {
  if (run === 'ERROR' || run === 'TIMEOUT') return 'ERROR';
  if (run === 'INTERRUPTED' || waits) return 'INTERRUPTED';
  return nextIsDue ? 'BUSY' : 'IDLE';
}
