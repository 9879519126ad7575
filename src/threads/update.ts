import { checkMetadata } from '../assistants/limits.ts';
import { authorize } from '../auth/authorize.ts';
import { canWrite } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Config } from '../config.ts';
import { THREADS_CHANNEL } from '../db/channels.ts';
import type { Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import { NotFoundError } from '../errors.ts';
import type { Thread } from '../generated/prisma/client.ts';

/** Merges metadata into the metadata of a thread, key by key; a null value removes its key. Refuses a result above the limits. */
export async function updateThread(
  { config, sql: database }: { config: Config; sql: Sql },
  asking: Viewer,
  threadId: string,
  given: { metadata: Record<string, unknown> },
): Promise<Thread> {
  const id = parseUuid('id', threadId);
  const { viewer, value } = await authorize(asking, 'threads:update', { thread_id: id, ...given });
  const metadata = value.metadata ?? {};
  const removed = Object.keys(metadata).filter((key) => metadata[key] === null);
  const thread = await database.transaction(async (query) => {
    const [updated] = await query<Thread>(
      sql`UPDATE "Thread" SET "metadata" = ("metadata" || ${JSON.stringify(metadata)}::jsonb) - ${removed}::text[],
         "updatedAt" = now() WHERE "id" = ${id} AND ${canWrite(viewer)} RETURNING *`,
    );
    if (!updated) throw new NotFoundError('Thread', id);
    const { graph_id: _, assistant_id: __, ...own } = updated.metadata as Record<string, unknown>;
    checkMetadata(config, 'input.metadata', own);
    return updated;
  });
  database.notify(THREADS_CHANNEL, id);
  return thread;
}
