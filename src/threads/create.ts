import { checkGraphId } from '../assistants/input.ts';
import { checkMetadata } from '../assistants/limits.ts';
import { authorize, readChoice } from '../auth/authorize.ts';
import { ownerOf } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import { measureStorage, refuseStorage } from '../checkpoints/storage.ts';
import type { Config } from '../config.ts';
import { THREADS_CHANNEL } from '../db/channels.ts';
import { IF_EXISTS, lockId, type Created, type IfExists } from '../db/node-id.ts';
import type { Query, Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { newId, parseUuid } from '../db/uuid.ts';
import { BadInputError, IdTakenError } from '../errors.ts';
import type { Thread } from '../generated/prisma/client.ts';
import type { Graphs } from '../graphs/load.ts';
import type { Superstep } from './limits.ts';
import { findThread } from './search.ts';
import { applySupersteps } from './supersteps.ts';

export interface NewThread {
  id?: string | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
  /** Applies the supersteps. */
  graphId?: string | null | undefined;
  supersteps?: readonly Superstep[] | null | undefined;
  ifExists: IfExists;
}

/** Creates a thread, with the state from its supersteps. Stores all or nothing. */
export async function createThread(
  app: { config: Config; sql: Sql; graphs: Graphs },
  asking: Viewer,
  { id: givenId, metadata: given, graphId, supersteps, ifExists: asked }: NewThread,
): Promise<Created<Thread>> {
  const ownId = newId();
  const { viewer, value } = await authorize(asking, 'threads:create', {
    thread_id: givenId ?? ownId,
    metadata: given ?? {},
    if_exists: asked.toLowerCase(),
  });
  const { metadata } = value;
  const ifExists = readChoice('if_exists', value.if_exists, IF_EXISTS);
  const { tenant, owner } = ownerOf(viewer);
  const id = parseUuid('input.id', value.thread_id);
  // A client or a handler has chosen the id, so it may be taken.
  const isChosen = id !== ownId;
  if (graphId != null) checkGraphId(app, 'input.graphId', graphId);
  checkMetadata(app.config, 'input.metadata', metadata);
  const existing = isChosen ? await findThread(app.sql.query, viewer, id) : undefined;
  // Before the supersteps: they would fail on the state of the existing thread.
  if (existing) return returnExisting(existing, ifExists);
  // The graph of the supersteps would read the state of another viewer's thread.
  if (isChosen && supersteps && (await lockId(app.sql.query, id))) throw new IdTakenError(id);

  const edit =
    supersteps == null
      ? undefined
      : await applySupersteps(app, { threadId: id, graphId: requireGraph(graphId), supersteps });

  const limit = app.config.ownerStorageLimit;
  const store = async (query: Query): Promise<Created<Thread>> => {
    const type = isChosen ? await lockId(query, id) : undefined;
    const existing = type === 'Thread' ? await findThread(query, viewer, id) : undefined;
    if (existing) return returnExisting(existing, ifExists);
    if (type) throw new IdTakenError(id);
    if (edit) await refuseStorage(query, { argument: 'input.supersteps', tenant, owner }, limit);
    const stored = { ...metadata, ...(graphId != null && { graph_id: graphId }) };
    const [thread] = await query<Thread>(
      sql`INSERT INTO "Thread" ("id", "tenant", "owner", "metadata", "graphId")
       VALUES (${id}, ${tenant}, ${owner}, ${JSON.stringify(stored)}::jsonb, ${graphId ?? null}) RETURNING *`,
    );
    if (!thread) throw new Error(`Thread ${id} was not stored.`);
    if (edit) {
      await edit.store(query);
      await measureStorage(query, id, limit);
    }
    return { ...thread, isNew: true };
  };
  const isOneStatement = !isChosen && !supersteps;
  const thread = await (isOneStatement ? store(app.sql.query) : app.sql.transaction(store));
  app.sql.notify(THREADS_CHANNEL, thread.id);
  return thread;
}

function returnExisting(thread: Thread, ifExists: IfExists): Created<Thread> {
  if (ifExists === 'DO_NOTHING') return { ...thread, isNew: false };
  throw new IdTakenError(thread.id);
}

function requireGraph(graphId: string | null | undefined): string {
  if (graphId != null) return graphId;
  throw new BadInputError(
    'input.graphId',
    (name) => `Supersteps need the ${name('graphId')} of a graph to apply them.`,
  );
}
