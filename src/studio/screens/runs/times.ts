interface Times {
  status: string;
  createdAt: string;
  startedAt: string | null;
  finishedAt: string | null;
  durationMs: number | null;
}

/** Milliseconds until the first worker claimed the run; until now for a queued run. Undefined: no worker ever did. */
export function queueWait(
  { createdAt, startedAt, status }: Times,
  now: number,
): number | undefined {
  if (!startedAt && status !== 'PENDING') return undefined;
  const until = startedAt ? Date.parse(startedAt) : now;
  return Math.max(0, until - Date.parse(createdAt));
}

/** Milliseconds of the execution; until now for a running run. Undefined: the run never started. */
export function executionTime(run: Times, now: number): number | undefined {
  if (run.durationMs !== null) return run.durationMs;
  if (!run.startedAt) return undefined;
  const until = run.finishedAt ? Date.parse(run.finishedAt) : now;
  return Math.max(0, until - Date.parse(run.startedAt));
}
