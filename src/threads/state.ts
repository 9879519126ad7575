import { permit } from '../auth/authorize.ts';
import { canRead } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Reading } from '../checkpoints/graphs.ts';
import { findState, type State } from '../checkpoints/states.ts';
import { bytesOf } from '../checkpoints/storage.ts';
import type { Sql } from '../db/query.ts';
import { param, sql } from '../db/sql.ts';
import type { Thread } from '../generated/prisma/client.ts';

/** The current state of a thread, by the thread's object: the fields of an object share a single read. */
const states = new WeakMap<object, Promise<State | undefined>>();

/** The thread for its fields. Without a state, no field reads the state. */
export async function showThread(
  app: { sql: Sql },
  asking: Viewer,
  id: string,
): Promise<Thread | undefined> {
  const viewer = await permit(asking, 'threads:read', { thread_id: id });
  const [row] = await app.sql.query<Thread & { hasState: boolean }>(
    sql`SELECT t.*, EXISTS (SELECT 1 FROM "CheckpointHead" h WHERE h."threadId" = t."id" AND h."namespace" = '') AS "hasState"
     FROM "Thread" t WHERE t."id" = ${id} AND ${canRead(viewer, 't')}`,
  );
  if (!row) return undefined;
  const { hasState, ...thread } = row;
  if (!hasState) states.set(thread, Promise.resolve(undefined));
  return thread;
}

export function currentState(app: Reading, thread: { id: string }): Promise<State | undefined> {
  const known = states.get(thread);
  if (known) return known;
  const state = findState(app, thread.id);
  states.set(thread, state);
  return state;
}

/** The bytes of a thread's checkpoints, writes, values and items, after the compression by PostgreSQL. */
export async function storageBytes(app: { sql: Sql }, threadId: string): Promise<number> {
  const [row] = await app.sql.query<{ bytes: number }>(
    sql`SELECT ${bytesOf(param(threadId))} AS "bytes"`,
  );
  return row?.bytes ?? 0;
}
