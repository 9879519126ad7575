import type { App } from '../app.ts';
import { NotFoundError } from '../errors.ts';
import type { Thread } from '../generated/prisma/client.ts';
import { THREADS_CHANNEL } from '../channels.ts';
import { parseUuid } from '../uuid.ts';

/** Merges metadata into a thread's, key by key; a null value removes its key. */
export async function updateThread(
  { sql }: Pick<App, 'sql'>,
  threadId: string,
  { metadata }: { metadata: Record<string, unknown> },
): Promise<Thread> {
  const id = parseUuid('id', threadId);
  const removed = Object.keys(metadata).filter((key) => metadata[key] === null);
  const [thread] = await sql.query<Thread>(
    `UPDATE "Thread" SET "metadata" = ("metadata" || $2::jsonb) - $3::text[], "updatedAt" = now() WHERE "id" = $1 RETURNING *`,
    [id, JSON.stringify(metadata), removed],
  );
  if (!thread) throw new NotFoundError('Thread', id);
  sql.notify(THREADS_CHANNEL, id);
  return thread;
}
