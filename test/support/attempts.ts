import { RunSaver } from '../../src/checkpoints/saver.ts';
import type { Query } from '../../src/db/open.ts';
import { randomUUID } from 'node:crypto';

/** An attempt of a run, as a worker would hold it: it can be read and written with until somebody else claims the run. */
export interface TestAttempt {
  runId: string;
  threadId: string;
  claimToken: string;
  saver: RunSaver;
  /** Aborted with what the saver failed with, as a worker does it. */
  signal: AbortSignal;
  /** Another worker claims the run. */
  loseClaim(query?: Query): Promise<void>;
  /** The run ends, so that the next one of the thread may start. */
  end(): Promise<void>;
}

/** Claims a new run of a thread, which is created where it does not exist. */
export async function startAttempt(
  query: Query,
  threadId: string = randomUUID(),
  metadata: Record<string, unknown> = {},
): Promise<TestAttempt> {
  const [runId, claimToken] = [randomUUID(), randomUUID()];
  await query(`INSERT INTO "Thread" ("id") VALUES ($1) ON CONFLICT DO NOTHING`, [threadId]);
  await query(
    `INSERT INTO "Run" ("id", "threadId", "assistantId", "graphId", "status", "claimToken")
     VALUES ($1, $2, $1, 'test', 'RUNNING', $3)`,
    [runId, threadId, claimToken],
  );
  const failing = new AbortController();
  return {
    runId,
    threadId,
    claimToken,
    signal: failing.signal,
    saver: new RunSaver(query, {
      fence: { runId, claimToken },
      metadata,
      onFailure: (error) => failing.abort(error),
    }),
    async loseClaim(by = query) {
      await by(`SELECT 1 FROM "Run" WHERE "id" = $1 FOR UPDATE`, [runId]);
      await by(`UPDATE "Run" SET "claimToken" = gen_random_uuid() WHERE "id" = $1`, [runId]);
    },
    async end() {
      await query(
        `UPDATE "Run" SET "status" = 'SUCCESS', "claimToken" = NULL WHERE "id" = $1 AND "claimToken" = $2`,
        [runId, claimToken],
      );
    },
  };
}
