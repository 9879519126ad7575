import type { Reading } from '../checkpoints/graphs.ts';
import { findState, type State } from '../checkpoints/states.ts';
import type { Sql } from '../db/query.ts';
import { join, param, raw, sql } from '../db/sql.ts';
import type { Thread } from '../generated/prisma/client.ts';

/** Finds a thread's state of now once for all fields of one object that show a part of it. */
const found = new WeakMap<object, Promise<State | undefined>>();

/** The thread to show. Where it has no state, none will be looked for. */
export async function showThread(app: { sql: Sql }, id: string): Promise<Thread | undefined> {
  const [row] = await app.sql.query<Thread & { hasState: boolean }>(
    sql`SELECT t.*, EXISTS (SELECT 1 FROM "CheckpointHead" h WHERE h."threadId" = t."id" AND h."namespace" = '') AS "hasState"
     FROM "Thread" t WHERE t."id" = ${id}`,
  );
  if (!row) return undefined;
  const { hasState, ...thread } = row;
  if (!hasState) found.set(thread, Promise.resolve(undefined));
  return thread;
}

export function currentState(app: Reading, thread: { id: string }): Promise<State | undefined> {
  const known = found.get(thread);
  if (known) return known;
  const state = findState(app, thread.id);
  found.set(thread, state);
  return state;
}

/** Bytes that the rows of a thread's checkpoints, writes, values and items take, as PostgreSQL stores them. */
export async function storageBytes(app: { sql: Sql }, threadId: string): Promise<number> {
  const tables = ['Checkpoint', 'CheckpointHead', 'CheckpointWrite', 'ChannelValue', 'ChannelItem'];
  const id = param(threadId);
  const sums = tables.map(
    (table) =>
      sql`(SELECT coalesce(sum(pg_column_size(r.*)), 0) FROM ${raw(`"${table}"`)} r WHERE r."threadId" = ${id})`,
  );
  const [row] = await app.sql.query<{ bytes: number }>(
    sql`SELECT (${join(sums, ' + ')})::bigint AS "bytes"`,
  );
  return row?.bytes ?? 0;
}
