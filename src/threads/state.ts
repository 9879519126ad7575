import type { App } from '../app.ts';
import { findState, type State } from '../checkpoints/states.ts';
import type { Thread } from '../generated/prisma/client.ts';

/** Finds a thread's state of now once for all fields of one object that show a part of it. */
const found = new WeakMap<object, Promise<State | undefined>>();

/** The thread to show. Where it has no state, none will be looked for. */
export async function showThread(
  { sql }: Pick<App, 'sql'>,
  id: string,
): Promise<Thread | undefined> {
  const [row] = await sql.query<Thread & { hasState: boolean }>(
    `SELECT t.*, EXISTS (SELECT 1 FROM "CheckpointHead" h WHERE h."threadId" = t."id" AND h."namespace" = '') AS "hasState"
     FROM "Thread" t WHERE t."id" = $1`,
    [id],
  );
  if (!row) return undefined;
  const { hasState, ...thread } = row;
  if (!hasState) found.set(thread, Promise.resolve(undefined));
  return thread;
}

export function currentState(
  app: Pick<App, 'sql' | 'graphs'>,
  thread: { id: string },
): Promise<State | undefined> {
  const known = found.get(thread);
  if (known) return known;
  const state = findState(app, thread.id);
  found.set(thread, state);
  return state;
}

/** Bytes that the rows of a thread's checkpoints, writes, values and items take, as PostgreSQL stores them. */
export async function storageBytes({ sql }: Pick<App, 'sql'>, threadId: string): Promise<number> {
  const tables = ['Checkpoint', 'CheckpointHead', 'CheckpointWrite', 'ChannelValue', 'ChannelItem'];
  const sums = tables.map(
    (table) =>
      `(SELECT coalesce(sum(pg_column_size(r.*)), 0) FROM "${table}" r WHERE r."threadId" = $1)`,
  );
  const [row] = await sql.query<{ bytes: number }>(
    `SELECT (${sums.join(' + ')})::bigint AS "bytes"`,
    [threadId],
  );
  return row?.bytes ?? 0;
}
