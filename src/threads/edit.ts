import { setTimeout as sleep } from 'node:timers/promises';
import { EditSaver } from '../checkpoints/edit-saver.ts';
import type { Reading } from '../checkpoints/graphs.ts';
import { serdeOf } from '../checkpoints/serde.ts';
import { findState, type State } from '../checkpoints/states.ts';
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
  /** The node as which the update is made; inferred where it is not given. */
  asNode?: string | null | undefined;
  checkpointId?: string | null | undefined;
  checkpointNamespace: string;
}

/** Every try that fails means that another edit has succeeded, so that this many at once all stand. */
const MOST_TRIES = 20;
const LONGEST_PAUSE_MS = 20;

/**
 * Writes a state by hand, on top of the newest checkpoint or of the one named: the thread goes on from there. Reducers and
 * edges are the graph author's code, so they run before the transaction; where the state has changed meanwhile, they run
 * again. Throws ThreadBusyError while a run is due or running.
 */
export async function updateThreadState(
  app: Reading & { config: Config },
  threadId: string,
  { values, asNode, checkpointId, checkpointNamespace: namespace }: ThreadStateUpdate,
): Promise<State> {
  const place = {
    threadId: parseUuid('id', threadId),
    namespace,
    checkpointId: checkpointId == null ? undefined : parseUuid('input.checkpointId', checkpointId),
  };
  for (let tries = 1; tries <= MOST_TRIES; tries++) {
    const base = await readBase(app.sql.query, place);
    const { edit, made } = await applyEdit(app, { place, base }, { values, asNode });
    if (await storeEdit(app, edit, { place, base })) {
      app.sql.notify(THREADS_CHANNEL, place.threadId);
      const state = await findState(app, place.threadId, { namespace, checkpointId: made });
      if (!state) throw new NotFoundError('Thread', place.threadId); // deleted since
      return state;
    }
    await sleep(Math.random() * LONGEST_PAUSE_MS);
  }
  throw new ConflictError(`Thread ${place.threadId} changed whenever this edit was to be stored.`);
}

interface Place {
  threadId: string;
  namespace: string;
  checkpointId: string | undefined;
}

/** What an edit is made on: it may be stored only where this is still so. */
interface Base {
  graphId: string;
  /** Null before the thread's first checkpoint. */
  checkpointId: string | null;
  /** Grows with every run that ends: one may leave writes without a checkpoint. */
  lastEvent: number;
}

async function readBase(query: Query, { threadId, namespace, checkpointId }: Place): Promise<Base> {
  const [found] = await query<{
    graphId: string | null;
    lastEvent: number;
    busy: boolean;
    headId: string | null;
    namedId: string | null;
  }>(
    sql`SELECT t."graphId", t."lastEvent", ${isBusy(raw('t."id"'))} AS "busy",
        (SELECT "checkpointId" FROM "CheckpointHead" WHERE "threadId" = t."id" AND "namespace" = ${namespace}) AS "headId",
        (SELECT "checkpointId" FROM "Checkpoint" WHERE "threadId" = t."id" AND "namespace" = ${namespace}
          AND "checkpointId" = ${checkpointId ?? null}::uuid) AS "namedId"
      FROM "Thread" t WHERE t."id" = ${threadId}`,
  );
  if (!found) throw new NotFoundError('Thread', threadId);
  const { graphId, lastEvent, busy, headId, namedId } = found;
  if (busy) throw new ThreadBusyError(threadId);
  if (graphId === null) {
    throw new BadInputError(
      'id',
      `Thread ${threadId} has no graph yet that could apply an update.`,
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

/** Makes the new checkpoint in the saver `edit`. */
async function applyEdit(
  { config: { stateLimitBytes }, sql, graphs }: { config: Config; sql: Sql; graphs: Graphs },
  { place, base }: { place: Place; base: Base },
  { values, asNode }: Edit,
): Promise<{ edit: EditSaver; made: string }> {
  const { threadId, namespace, checkpointId } = place;
  const { graphId } = base;
  if (!graphs.has(graphId)) {
    throw new BadInputError('id', `The thread's graph "${graphId}" is not served any more.`);
  }
  const at = { threadId, namespace, checkpointId: base.checkpointId, graphId };
  const { graph: whole, config: configuration } = await graphToEdit({ sql, graphs }, at, 'id');
  const part = findSubgraph(whole, namespace);
  if (!part) {
    throw new BadInputError(
      'input.checkpointNamespace',
      `No node of the graph "${graphId}" is the subgraph "${namespace}".`,
    );
  }
  const saving = { by: serdeOf(whole), stateLimitBytes };
  const edit = new EditSaver(sql.query, { graph_id: graphId }, saving);
  const graph = withCheckpointer(part, edit);
  shareClasses(whole, graph);
  const unknown = unknownNode(graph, [asNode]);
  if (unknown) throw new BadInputError('input.asNode', `As ${asNode}: ${unknown}.`);
  const config = {
    ...configuration,
    configurable: {
      ...configuration.configurable,
      checkpoint_ns: namespace,
      ...(checkpointId !== undefined && { checkpoint_id: checkpointId }),
      __pregel_checkpointer: edit, // the graph is the namespace's own: it need not look for it
    },
  };
  // With neither, the state is taken up again as it is.
  const node =
    asNode == null && values != null ? await inferNode(graph, edit, config) : (asNode ?? undefined);
  try {
    const { configurable } = await applyUpdates(graph, edit, config, [{ values, asNode: node }]);
    return { edit, made: String(configurable?.['checkpoint_id']) };
  } catch (error) {
    throw edit.failure ?? refused(error);
  }
}

interface Edit {
  values: unknown;
  asNode: string | null | undefined;
}

type GraphConfig = Parameters<CompiledGraph['getState']>[0];

/** The one node that ran last; LangGraph infers the same, and does not say which it found. */
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
    `As which node is the update made? Any of these may be meant: ${candidates.join(', ')}.`,
  );
}

async function lastNodes(
  graph: CompiledGraph,
  edit: EditSaver,
  config: GraphConfig,
): Promise<string[]> {
  const tuple = await edit.getTuple(config);
  if (config.configurable?.['checkpoint_id'] === undefined && tuple?.pendingWrites?.length) {
    // Of a step that has not ended, what has ended counts.
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

/** What the graph made of the update tells the client what is wrong with it. */
function refused(error: unknown): AppError {
  if (error instanceof StateLimitError) return error.at('input.values');
  if (error instanceof AppError) return error;
  const { message } = summarizeError(error);
  const isAboutNode = /asNode|No writers found|Cannot copy/.test(message);
  return new BadInputError(isAboutNode ? 'input.asNode' : 'input.values', message);
}

/** All of it in one transaction. False, with nothing stored, where the edit was made on what is not so any more. */
function storeEdit(
  app: { sql: Sql },
  edit: EditSaver,
  { place, base }: { place: Place; base: Base },
): Promise<boolean> {
  const { threadId, namespace } = place;
  return app.sql.transaction(async (query) => {
    // The lock first, in a statement of its own: the next one sees what was committed while this one waited.
    await lockThread(query, threadId);
    const now = await readBase(query, place);
    if (now.checkpointId !== base.checkpointId || now.lastEvent !== base.lastEvent) return false;
    await edit.store(query);
    await closeInterrupts(query, { threadId, namespace });
    await query(
      sql`UPDATE "Thread" t SET "status" = rest.status, "restStatus" = rest.status, "error" = NULL, "updatedAt" = now()
       FROM (SELECT (CASE WHEN EXISTS (SELECT 1 FROM "Interrupt" WHERE "threadId" = ${threadId} AND "pending")
         THEN 'INTERRUPTED' ELSE 'IDLE' END)::"ThreadStatus" AS status) rest
       WHERE t."id" = ${threadId}`,
    );
    return true;
  });
}
