import { permit } from '../auth/authorize.ts';
import { canRead } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Reading } from '../checkpoints/graphs.ts';
import { findState, type State } from '../checkpoints/states.ts';
import { readStorageDetails, type StorageDetails } from '../checkpoints/storage-details.ts';
import { bytesOf } from '../checkpoints/storage.ts';
import { namesIn } from '../checkpoints/namespace.ts';
import type { Sql } from '../db/query.ts';
import { param, sql } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import { NotFoundError } from '../errors.ts';
import type { PrismaClient, Thread } from '../generated/prisma/client.ts';

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

/**
 * The thread of a run that the viewer may read: a run has the tenant and the owner of its thread. Runs of a list share a statement,
 * unless handlers decide about each thread.
 */
export async function threadOfRun(
  app: { db: PrismaClient; sql: Sql },
  viewer: Viewer,
  { threadId: id }: { threadId: string | null },
): Promise<Thread | null | undefined> {
  if (id === null) return null;
  return viewer.ask ? showThread(app, viewer, id) : app.db.thread.findUnique({ where: { id } });
}

/** The thread of a checkpoint that the viewer may read. */
export function threadOfCheckpoint(
  { db }: { db: PrismaClient },
  { threadId: id }: { threadId: string },
): Promise<Thread> {
  return db.thread.findUniqueOrThrow({ where: { id } });
}

/** `showThread`, or throws NotFoundError. */
export async function requireThread(
  app: { sql: Sql },
  asking: Viewer,
  threadId: string,
): Promise<Thread> {
  const id = parseUuid('threadId', threadId);
  const thread = await showThread(app, asking, id);
  if (!thread) throw new NotFoundError('Thread', id);
  return thread;
}

/**
 * The state at a checkpoint of a namespace, by default the current one. Undefined before the first checkpoint. Throws
 * NotFoundError for an unknown checkpoint.
 */
export async function stateAt(
  app: Reading,
  thread: { id: string },
  { namespace, checkpointId }: { namespace: string; checkpointId?: string | null | undefined },
): Promise<State | undefined> {
  if (checkpointId != null) {
    const id = parseUuid('checkpointId', checkpointId);
    const state = await findState(app, thread.id, { namespace, checkpointId: id });
    if (!state) throw new NotFoundError('Checkpoint', id);
    return state;
  }
  if (namespace === '') return currentState(app, thread);
  // A subgraph with its own persistent state stores the state in a namespace without task ids.
  const own = await findState(app, thread.id, { namespace });
  return own ?? findState(app, thread.id, { namespace: namesIn(namespace) });
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

/** What a thread stores, in parts. */
export async function storageDetails(
  app: { sql: Sql },
  { id }: { id: string },
): Promise<StorageDetails> {
  return readStorageDetails(app.sql.query, id);
}
