import { SYSTEM } from '../auth/viewer.ts';
import type { Config } from '../config.ts';
import type { Operation } from '../db/operation.ts';
import type { Sql } from '../db/query.ts';
import { AppError } from '../errors.ts';
import type { EventTail } from '../events/tail.ts';
import type { Run } from '../generated/prisma/client.ts';
import type { EndedRun } from './end.ts';
import { findRun } from './search.ts';
import { isFinal } from './status.ts';

/** The requests of this process with `wait: true`. */
export interface Waits {
  /** Counts a request until the returned function is called. Throws SERVICE_UNAVAILABLE above the limit. */
  take(): () => void;
  /** Expects the end of the run. The returned function ends the expectation, and returns the run if this process has ended it. */
  expect(runId: string): () => EndedRun | undefined;
  /** Hands a run ended by this process to the expecting requests: they then need not read its row and values. */
  handOver(run: EndedRun): void;
}

export function createWaits(limit: number): Waits {
  let taken = 0;
  const expected = new Map<string, Set<{ run?: EndedRun }>>();
  return {
    expect(runId) {
      const own: { run?: EndedRun } = {};
      const all = expected.get(runId) ?? new Set();
      expected.set(runId, all.add(own));
      return () => {
        all.delete(own);
        if (all.size === 0) expected.delete(runId);
        return own.run;
      };
    },
    handOver(run) {
      for (const each of expected.get(run.id) ?? []) each.run = run;
    },
    take() {
      if (taken >= limit) throw new TooManyWaitsError(limit);
      taken += 1;
      return () => {
        taken -= 1;
      };
    },
  };
}

class TooManyWaitsError extends AppError {
  constructor(limit: number) {
    super(
      'SERVICE_UNAVAILABLE',
      `Limit of ${limit} requests with wait: true exceeded; this request did nothing. WAITING_LIMIT sets the limit.`,
    );
  }
}

/**
 * Does the work on a run, and waits for the run, at most WAIT_SECONDS. Does nothing if too many requests wait. Returns the run
 * before and after its end. `left`: aborted when the client leaves; the wait then ends, and the work does not.
 */
export async function workAndWait<R extends Run>(
  app: {
    sql: Sql;
    tail: EventTail;
    config: Config;
    waits: Waits;
    operation?: Operation | undefined;
  },
  work: () => Promise<R>,
  left: AbortSignal | undefined = app.operation?.signal,
): Promise<{ run: R; ended: EndedRun }> {
  const free = app.waits.take();
  try {
    const run = await work();
    const limit = { closed: left, seconds: app.config.waitSeconds };
    const wait = () => waitForRun(app, run, limit);
    return { run, ended: await (app.operation?.untimed(wait) ?? wait()) };
  } finally {
    free();
  }
}

interface WaitLimit {
  /** Aborted when the client closes the request. */
  closed?: AbortSignal | undefined;
  /** Undefined: no limit. */
  seconds?: number | undefined;
}

/** The run after its end. Returns earlier after the limit of time, or when the client closes the request. */
export async function waitForRun(
  { sql, tail, waits }: { sql: Sql; tail: EventTail; waits: Waits },
  run: Run,
  limit: WaitLimit,
): Promise<EndedRun> {
  const take = waits.expect(run.id);
  let handedOver: EndedRun | undefined;
  try {
    await untilEnded(tail, run, limit);
  } finally {
    handedOver = take();
  }
  // A run may be deleted right after its end.
  return handedOver ?? (await findRun({ sql }, SYSTEM, run.id)) ?? run;
}

async function untilEnded(
  tail: EventTail,
  { id: runId, threadId, status }: Run,
  { closed, seconds }: WaitLimit,
): Promise<void> {
  if (threadId === null || isFinal(status) || closed?.aborted) return;
  const end = tail.follow({ runId, threadId }, { after: 'now', types: ['FINISHED'] });
  const stop = (): void => void end.return?.();
  const timer = seconds === undefined ? undefined : setTimeout(stop, seconds * 1000);
  closed?.addEventListener('abort', stop);
  try {
    await end.next();
  } finally {
    clearTimeout(timer);
    closed?.removeEventListener('abort', stop);
    await end.return?.();
  }
}
