import { setTimeout as sleep } from 'node:timers/promises';
import { permit } from '../auth/authorize.ts';
import { canWrite } from '../auth/scope.ts';
import type { Viewer } from '../auth/viewer.ts';
import { EditSaver } from '../checkpoints/edit-saver.ts';
import type { Reading } from '../checkpoints/graphs.ts';
import { serdeOf } from '../checkpoints/serde.ts';
import { findState, type State } from '../checkpoints/states.ts';
import { measureStorage, refuseStorage } from '../checkpoints/storage.ts';
import type { Config } from '../config.ts';
import { THREADS_CHANNEL } from '../db/channels.ts';
import type { Query, Sql } from '../db/query.ts';
import { raw, sql } from '../db/sql.ts';
import { parseUuid } from '../db/uuid.ts';
import {
  AppError,
  BadInputError,
  ConflictError,
  NotFoundError,
  StateLimitError,
  summarizeError,
  ThreadBusyError,
} from '../errors.ts';
import { shareClasses } from '../graphs/classes.ts';
import { withCheckpointer, type CompiledGraph, type Graphs } from '../graphs/load.ts';
import { findSubgraph } from '../graphs/subgraphs.ts';
import { closeInterrupts } from '../interrupts/store.ts';
import { isBusy } from '../runs/busy.ts';
import { lockThread } from '../runs/lock.ts';
import { applyUpdates, graphToEdit, unknownNode } from './supersteps.ts';

export interface ThreadStateUpdate {
  values?: unknown;
  /** The update counts as an output of this node. Default: the last executed node. */
  asNode?: string | null | undefined;
  checkpointId?: string | null | undefined;
  checkpointNamespace: string;
  /**
   * True: a delayed run counts as a due one. Clients of REST expect it of LangGraph's servers, whose threads are busy until the
   * start of a delayed run. In GraphQL a delayed run blocks nothing.
   */
  refusesDelayed?: boolean;
}

/** A try fails only if a concurrent edit succeeds. So up to this number of concurrent edits all succeed. */
const MOST_TRIES = 20;
const LONGEST_PAUSE_MS = 20;

/**
 * Creates a checkpoint on top of the newest or the given checkpoint, and the thread continues from it. Reducers and edges are the
 * code of the graph's author, so they run before the transaction. If the state has changed since, they run again. Throws
 * ThreadBusyError while a run is due or running.
 */
export async function updateThreadState(
  app: Reading & { config: Config },
  asking: Viewer,
  givenId: string,
  { values, asNode, checkpointId, ...update }: ThreadStateUpdate,
): Promise<State> {
  const threadId = parseUuid('id', givenId);
  const { checkpointNamespace: namespace } = update;
  const viewer = await permit(asking, 'threads:update', { thread_id: threadId });
  const target = {
    viewer,
    threadId,
    namespace,
    refusesDelayed: update.refusesDelayed ?? false,
    checkpointId: checkpointId == null ? undefined : parseUuid('input.checkpointId', checkpointId),
  };
  for (let tries = 1; tries <= MOST_TRIES; tries++) {
    const base = await readBase(app.sql.query, target);
    const { edit, newId } = await applyEdit(app, { target, base }, { values, asNode });
    if (await storeEdit(app, edit, { target, base })) {
      app.sql.notify(THREADS_CHANNEL, target.threadId);
      const state = await findState(app, target.threadId, { namespace, checkpointId: newId });
      // The thread was deleted after the edit.
      if (!state) throw new NotFoundError('Thread', target.threadId);
      return state;
    }
    await sleep(Math.random() * LONGEST_PAUSE_MS);
  }
  throw new ConflictError(
    `Thread ${target.threadId} changed during each of ${MOST_TRIES} tries to edit it. Repeat the request.`,
  );
}

/** The thread and the checkpoint to edit. Without `checkpointId`: the newest of the namespace. */
interface Target {
  viewer: Viewer;
  threadId: string;
  namespace: string;
  refusesDelayed: boolean;
  checkpointId: string | undefined;
}

/** The thread as read before the edit. The edit is stored only if the thread still has these values. */
interface Base {
  graphId: string;
  /** Null before the thread's first checkpoint. */
  checkpointId: string | null;
  /** Each ended run increases the number: a run may leave writes without a new checkpoint. */
  lastEvent: number;
}

async function readBase(
  query: Query,
  { viewer, threadId, namespace, checkpointId, refusesDelayed }: Target,
): Promise<Base> {
  const [found] = await query<{
    graphId: string | null;
    lastEvent: number;
    busy: boolean;
    headId: string | null;
    namedId: string | null;
  }>(
    sql`SELECT t."graphId", t."lastEvent", ${isBusy(raw('t."id"'))} OR ${refusesDelayed}::boolean
          AND EXISTS (SELECT 1 FROM "Run" r WHERE r."threadId" = t."id" AND r."status" = 'PENDING') AS "busy",
        (SELECT "checkpointId" FROM "CheckpointHead" WHERE "threadId" = t."id" AND "namespace" = ${namespace}) AS "headId",
        (SELECT "checkpointId" FROM "Checkpoint" WHERE "threadId" = t."id" AND "namespace" = ${namespace}
          AND "checkpointId" = ${checkpointId ?? null}::uuid) AS "namedId"
      FROM "Thread" t WHERE t."id" = ${threadId} AND ${canWrite(viewer, 't')}`,
  );
  if (!found) throw new NotFoundError('Thread', threadId);
  const { graphId, lastEvent, busy, headId, namedId } = found;
  if (busy) throw new ThreadBusyError(threadId);
  if (graphId === null) {
    throw new BadInputError(
      'id',
      `Thread ${threadId} has no graph to apply the update: its first run or superstep sets the graph.`,
    );
  }
  if (namespace !== '' && headId === null) {
    throw new BadInputError(
      'input.checkpointNamespace',
      `Thread ${threadId} has no checkpoint in the namespace "${namespace}".`,
    );
  }
  if (checkpointId !== undefined && namedId === null) {
    throw new BadInputError(
      'input.checkpointId',
      `${checkpointId} is not a checkpoint of thread ${threadId} in the namespace "${namespace}".`,
    );
  }
  return { graphId, lastEvent, checkpointId: checkpointId === undefined ? headId : namedId };
}

/** Creates the checkpoint in the memory of the saver `edit`. */
async function applyEdit(
  { config: { stateLimitBytes }, sql, graphs }: { config: Config; sql: Sql; graphs: Graphs },
  { target, base }: { target: Target; base: Base },
  { values, asNode }: Edit,
): Promise<{ edit: EditSaver; newId: string }> {
  const { threadId, namespace, checkpointId } = target;
  const { graphId } = base;
  if (!graphs.has(graphId)) {
    throw new BadInputError(
      'id',
      `The server no longer has the graph "${graphId}" of this thread.`,
    );
  }
  const at = { threadId, namespace, checkpointId: base.checkpointId, graphId };
  const { graph: whole, config: configuration } = await graphToEdit({ sql, graphs }, at, 'id');
  const part = findSubgraph(whole, namespace);
  if (!part) {
    throw new BadInputError(
      'input.checkpointNamespace',
      `The graph "${graphId}" has no subgraph "${namespace}".`,
    );
  }
  const saving = { by: serdeOf(whole), stateLimitBytes };
  const edit = new EditSaver(sql.query, { graph_id: graphId }, saving);
  const graph = withCheckpointer(part, edit);
  shareClasses(whole, graph);
  const unknown = unknownNode(graph, [asNode]);
  if (unknown)
    throw new BadInputError('input.asNode', (name) => `${name('input.asNode')}: ${unknown}.`);
  const config = {
    ...configuration,
    configurable: {
      ...configuration.configurable,
      checkpoint_ns: namespace,
      ...(checkpointId !== undefined && { checkpoint_id: checkpointId }),
      // The graph is already the graph of the namespace: with a saver of its own, LangGraph does not search its subgraphs.
      __pregel_checkpointer: edit,
    },
  };
  // Without values and node, the new checkpoint is a copy.
  const node =
    asNode == null && values != null ? await inferNode(graph, edit, config) : (asNode ?? undefined);
  try {
    const { configurable } = await applyUpdates(graph, edit, config, [{ values, asNode: node }]);
    return { edit, newId: String(configurable?.['checkpoint_id']) };
  } catch (error) {
    throw edit.failure ?? refused(error);
  }
}

interface Edit {
  values: unknown;
  asNode: string | null | undefined;
}

type GraphConfig = Parameters<CompiledGraph['getState']>[0];

/** The last executed node, if there is a single last node. LangGraph infers the same node, but does not return its name. */
async function inferNode(
  graph: CompiledGraph,
  edit: EditSaver,
  config: GraphConfig,
): Promise<string> {
  const nodes = await lastNodes(graph, edit, config);
  if (nodes.length === 1 && nodes[0] !== undefined) return nodes[0];
  const candidates = nodes.length > 0 ? nodes : Object.keys(graph.nodes);
  throw new BadInputError(
    'input.asNode',
    (name) =>
      `${name('input.asNode')} is required, because several nodes are possible: ${candidates.join(', ')}.`,
  );
}

async function lastNodes(
  graph: CompiledGraph,
  edit: EditSaver,
  config: GraphConfig,
): Promise<string[]> {
  const tuple = await edit.getTuple(config);
  if (config.configurable?.['checkpoint_id'] === undefined && tuple?.pendingWrites?.length) {
    // In an unfinished step, the nodes of the finished tasks count.
    const { tasks } = await graph.getState(config);
    const ended = tasks.filter((task) => (task as { result?: unknown }).result !== undefined);
    if (ended.length > 0) return [...new Set(ended.map(({ name }) => name))];
  }
  const seen = Object.entries(tuple?.checkpoint.versions_seen ?? {})
    .filter(([node]) => node !== '__interrupt__')
    .flatMap(([node, versions]) => Object.values(versions).map((version) => ({ node, version })));
  if (seen.length === 0) return Object.keys(graph.nodes).filter((node) => node === '__start__');
  const newest = Math.max(...seen.map(({ version }) => Number(version)));
  return [...new Set(seen.filter(({ version }) => version === newest).map(({ node }) => node))];
}

/** The error of the graph as an error for the client. */
function refused(error: unknown): AppError {
  if (error instanceof StateLimitError) return error.at('input.values');
  if (error instanceof AppError) return error;
  const { message } = summarizeError(error);
  const isAboutNode = /asNode|No writers found|Cannot copy/.test(message);
  return new BadInputError(isAboutNode ? 'input.asNode' : 'input.values', message);
}

/** Stores the edit in a transaction. False, with nothing stored, if the thread has changed since `base`. */
function storeEdit(
  app: { sql: Sql; config: Config },
  edit: EditSaver,
  { target, base }: { target: Target; base: Base },
): Promise<boolean> {
  const { viewer, threadId, namespace } = target;
  const limit = app.config.ownerStorageLimit;
  return app.sql.transaction(async (query) => {
    // A statement of its own: the snapshot of the next statement then includes all commits before the lock.
    await lockThread(query, viewer, threadId);
    const now = await readBase(query, target);
    if (now.checkpointId !== base.checkpointId || now.lastEvent !== base.lastEvent) return false;
    const owner = sql`(SELECT "owner" FROM "Thread" WHERE "id" = ${threadId})`;
    await refuseStorage(query, { argument: 'input', tenant: viewer.tenant, owner }, limit);
    await edit.store(query);
    await closeInterrupts(query, { threadId, namespace });
    await query(
      sql`UPDATE "Thread" t SET "status" = resting.status, "restStatus" = resting.status, "error" = NULL,
         "updatedAt" = now(), "stateUpdatedAt" = now()
       FROM (SELECT (CASE WHEN EXISTS (SELECT 1 FROM "Interrupt" WHERE "threadId" = ${threadId} AND "pending")
         THEN 'INTERRUPTED' ELSE 'IDLE' END)::"ThreadStatus" AS status) resting
       WHERE t."id" = ${threadId}`,
    );
    await measureStorage(query, threadId, limit);
    return true;
  });
}
