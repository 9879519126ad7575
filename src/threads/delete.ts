import type { App } from '../app.ts';
import { STOPS_CHANNEL, THREADS_CHANNEL } from '../channels.ts';
import type { Query } from '../db/open.ts';
import type { StoredEvent } from '../events/event.ts';
import { appendEvents, eventColumns, toPending } from '../events/log.ts';
import { parseUuid } from '../uuid.ts';
import { lockThread } from './lock.ts';

/**
 * Deletes a thread with all that belongs to it. Runs that have not ended end CANCELLED; what their attempts would still
 * write finds the claim gone. Every run leaves a tombstone: hidden, empty, with its final event for those that follow it.
 */
export async function deleteThread(
  { sql, tail }: Pick<App, 'sql' | 'tail'>,
  threadId: string,
): Promise<string> {
  const id = parseUuid('id', threadId);
  const ends = await sql.transaction(async (query) => {
    await lockThread(query, id);
    const events = await cancelRuns(query, id);
    await query(
      `DELETE FROM "RunEvent" e USING "Run" r WHERE r."threadId" = $1 AND e."runId" = r."id" AND e."type" <> 'FINISHED'`,
      [id],
    );
    // Kept from now on: what ended long ago, retention has passed by (runs/retention.ts).
    await query(
      `UPDATE "Run" SET "tombstone" = true, "finishedAt" = now(), "threadId" = NULL, "input" = NULL, "command" = NULL, "output" = NULL,
         "config" = '{}', "context" = '{}', "metadata" = '{}' WHERE "threadId" = $1`,
      [id],
    );
    await query(`DELETE FROM "Thread" WHERE "id" = $1`, [id]);
    return events;
  });
  for (const event of ends) {
    tail.publish([event]);
    sql.notify(STOPS_CHANNEL, event.runId);
  }
  tail.end(id);
  sql.notify(THREADS_CHANNEL, id);
  return id;
}

/** Under the thread's lock. */
const APPEND = appendEvents('(SELECT) locked', { threadId: '$1', runId: '$2', columns: 3 });

async function cancelRuns(query: Query, threadId: string): Promise<StoredEvent[]> {
  const runs = await query<{ id: string }>(
    `WITH active AS (SELECT "id" FROM "Run" WHERE "threadId" = $1 AND "status" IN ('PENDING', 'RUNNING') ORDER BY "id" FOR UPDATE)
     UPDATE "Run" r SET "status" = 'CANCELLED', "finishedAt" = now(), "claimToken" = NULL, "leaseExpiresAt" = NULL
     FROM active WHERE r."id" = active."id" RETURNING r."id"`,
    [threadId],
  );
  const events: StoredEvent[] = [];
  for (const { id } of runs) {
    const end = toPending({ type: 'FINISHED', data: { status: 'CANCELLED', error: null } });
    events.push(...(await query<StoredEvent>(APPEND, [threadId, id, ...eventColumns([end])])));
  }
  return events;
}
