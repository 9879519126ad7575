import { randomUUID } from 'node:crypto';
import { createStateLimit } from '../../src/checkpoints/sizes.ts';
import { createItemsOf } from '../../src/checkpoints/items.ts';
import type { Query } from '../../src/db/query.ts';
import { sql } from '../../src/db/sql.ts';
import type { EventBatches, Writer } from '../../src/events/batches.ts';
import type { EventTail } from '../../src/events/tail.ts';
import { AttemptSaver } from '../../src/runs/attempt-saver.ts';
import type { InTurn } from '../../src/runs/journal-storing.ts';
import { createJournal, type Journal } from '../../src/runs/journal.ts';

/** An attempt of a run, like the attempt of a worker. It reads and writes until another worker claims the run. */
export interface TestAttempt {
  runId: string;
  threadId: string;
  claimToken: string;
  saver: AttemptSaver;
  journal: Journal;
  /** Aborted with the error of the saver, as in a worker. */
  signal: AbortSignal;
  /** Another worker claims the run. */
  loseClaim(query?: Query): Promise<void>;
  /** Ends the run. The next run of the thread can start. */
  end(): Promise<void>;
}

/** Claims a new run of a thread. Creates the thread if it does not exist. */
export async function startAttempt(
  query: Query,
  threadId: string = randomUUID(),
  metadata: Record<string, unknown> = {},
): Promise<TestAttempt> {
  const [runId, claimToken] = [randomUUID(), randomUUID()];
  await query(sql`INSERT INTO "Thread" ("id") VALUES (${threadId}) ON CONFLICT DO NOTHING`);
  await query(
    sql`INSERT INTO "Run" ("id", "threadId", "assistantId", "graphId", "status", "claimToken")
     VALUES (${runId}, ${threadId}, ${runId}, 'test', 'RUNNING', ${claimToken})`,
  );
  const failing = new AbortController();
  const { journal, saver } = openJournal(query, {
    writer: { runId, threadId, claimToken },
    metadata,
    onFailure: (error) => failing.abort(error),
  });
  return {
    runId,
    threadId,
    claimToken,
    signal: failing.signal,
    saver,
    journal,
    async loseClaim(by = query) {
      await by(sql`SELECT 1 FROM "Run" WHERE "id" = ${runId} FOR UPDATE`);
      await by(sql`UPDATE "Run" SET "claimToken" = gen_random_uuid() WHERE "id" = ${runId}`);
    },
    async end() {
      await journal.flush();
      await query(
        sql`UPDATE "Run" SET "status" = 'SUCCESS', "claimToken" = NULL WHERE "id" = ${runId} AND "claimToken" = ${claimToken}`,
      );
    },
  };
}

interface Opening {
  writer: Writer;
  metadata?: Record<string, unknown>;
  onFailure: (error: unknown) => void;
  /** Only for an attempt that emits events. */
  events?: { batches: EventBatches; tail: Pick<EventTail, 'publish'> };
  inTurn?: InTurn;
  freshThreadId?: string;
}

/** Opens the journal and the saver of an attempt as a worker does, for graphs on any thread. */
export function openJournal(
  query: Query,
  { writer, metadata = {}, onFailure, events, inTurn, freshThreadId }: Opening,
): { journal: Journal; saver: AttemptSaver } {
  const limit = createStateLimit(Infinity);
  const itemsOf = createItemsOf();
  const refuse = () => Promise.reject(new Error('This attempt emits no events.'));
  const journal = createJournal({
    query,
    writer,
    run: { id: writer.runId, onCompletion: null, startedAt: new Date(), ...writer },
    batches: events?.batches ?? { store: refuse, storeAlone: refuse },
    tail: events?.tail ?? { publish() {} },
    limit,
    itemsOf,
    inTurn,
    signal: new AbortController().signal,
    onFailure,
  });
  const saver = new AttemptSaver(query, {
    journal,
    limit,
    itemsOf,
    metadata,
    ...(freshThreadId !== undefined && { freshThreadId }),
  });
  return { journal, saver };
}
