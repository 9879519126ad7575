import { permit } from '../auth/authorize.ts';
import type { Viewer } from '../auth/viewer.ts';
import { STOPS_CHANNEL, THREADS_CHANNEL } from '../db/channels.ts';
import type { Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import type { EventTail } from '../events/tail.ts';
import { endRunsOfThread } from '../runs/cancel.ts';
import { lockThread } from '../runs/lock.ts';

/**
 * Deletes a thread with all its rows. Active runs end CANCELLED, and their attempts lose the claim. Each run stays as a hidden
 * tombstone without content; its final event remains for subscribers.
 */
export async function deleteThread(
  { sql: database, tail }: { sql: Sql; tail: EventTail },
  asking: Viewer,
  threadId: string,
): Promise<string> {
  const id = parseUuid('id', threadId);
  const viewer = await permit(asking, 'threads:delete', { thread_id: id });
  const finalEvents = await database.transaction(async (query) => {
    await lockThread(query, viewer, id);
    const events = await endRunsOfThread(query, id);
    await query(
      sql`DELETE FROM "RunEvent" e USING "Run" r
        WHERE r."threadId" = ${id} AND e."runId" = r."id" AND e."type" <> 'FINISHED'`,
    );
    // A new finishedAt: the retention sweep has already passed old ones (runs/retention.ts).
    await query(
      sql`UPDATE "Run" SET "tombstone" = true, "finishedAt" = now(), "threadId" = NULL, "input" = NULL, "command" = NULL,
          "output" = NULL, "config" = '{}', "context" = '{}', "metadata" = '{}', "cancelReason" = NULL
        WHERE "threadId" = ${id}`,
    );
    await query(sql`DELETE FROM "Thread" WHERE "id" = ${id}`);
    return events;
  });
  for (const event of finalEvents) {
    tail.publish([event]);
    database.notify(STOPS_CHANNEL, event.runId);
  }
  tail.end(id);
  database.notify(THREADS_CHANNEL, id);
  return id;
}
