import type { App } from '../app.ts';
import { checkGraphId } from '../assistants/input.ts';
import { THREADS_CHANNEL } from '../channels.ts';
import { EditSaver } from '../checkpoints/saver.ts';
import type { Query } from '../db/open.ts';
import { BadInputError, IdTakenError } from '../errors.ts';
import type { Thread } from '../generated/prisma/client.ts';
import { newId, parseUuid } from '../uuid.ts';
import { lockId } from '../node-id.ts';
import { findThread } from './search.ts';
import { applySupersteps, type Superstep } from './supersteps.ts';

export interface NewThread {
  id?: string | null | undefined;
  metadata?: Record<string, unknown> | null | undefined;
  /** The graph that applies the supersteps. */
  graphId?: string | null | undefined;
  supersteps?: readonly Superstep[] | null | undefined;
  ifExists: 'RAISE' | 'DO_NOTHING';
}

/** Creates a thread, with the state that its supersteps build: all of it or nothing. */
export async function createThread(
  app: Pick<App, 'sql' | 'graphs'>,
  { id: givenId, metadata, graphId, supersteps, ifExists }: NewThread,
): Promise<Thread> {
  const id = givenId == null ? newId() : parseUuid('input.id', givenId);
  if (graphId != null) checkGraphId(app, 'input.graphId', graphId);
  const existing = givenId == null ? undefined : await findThread(app.sql.query, id);
  if (existing) return giveExisting(existing, ifExists); // before its state gets in the way of the supersteps

  const edit = new EditSaver(app.sql.query, { graph_id: graphId });
  if (supersteps) {
    await applySupersteps(app, edit, { threadId: id, graphId: requireGraph(graphId), supersteps });
  }

  const store = async (query: Query): Promise<Thread> => {
    const owner = givenId == null ? undefined : await lockId(query, id);
    const existing = owner === 'Thread' ? await findThread(query, id) : undefined;
    if (existing) return giveExisting(existing, ifExists);
    if (owner) throw new IdTakenError(id);
    const [thread] = await query<Thread>(
      `INSERT INTO "Thread" ("id", "metadata", "graphId") VALUES ($1, $2::jsonb, $3) RETURNING *`,
      [
        id,
        JSON.stringify({ ...metadata, ...(graphId != null && { graph_id: graphId }) }),
        graphId ?? null,
      ],
    );
    if (!thread) throw new Error(`Thread ${id} was not stored.`);
    await edit.store(query);
    return thread;
  };
  const isOneStatement = givenId == null && !supersteps;
  const thread = await (isOneStatement ? store(app.sql.query) : app.sql.transaction(store));
  app.sql.notify(THREADS_CHANNEL, thread.id);
  return thread;
}

function giveExisting(thread: Thread, ifExists: NewThread['ifExists']): Thread {
  if (ifExists === 'DO_NOTHING') return thread;
  throw new IdTakenError(thread.id);
}

function requireGraph(graphId: string | null | undefined): string {
  if (graphId != null) return graphId;
  throw new BadInputError(
    'input.graphId',
    'Supersteps need the graphId of the graph that applies them.',
  );
}
