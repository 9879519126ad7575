import type { Operation } from '../db/operation.ts';
import type { Sql } from '../db/query.ts';
import { sql } from '../db/sql.ts';
import { configurationOf, type Configured } from '../graphs/configuration.ts';
import { assistantIdOf, type CompiledGraph, type Graphs } from '../graphs/load.ts';
import type { Logger } from '../log.ts';
import type { CheckpointRow } from './find.ts';

/** Graphs made by functions, by configuration; undefined after a failure. */
export type MadeGraphs = Map<string, Promise<CompiledGraph | undefined>>;

/** The parts of the app for reading checkpoints. All reads of an operation share its `made` graphs and its limits. */
export type Reading = { sql: Sql; graphs: Graphs } & Partial<{
  log: Logger;
  made?: MadeGraphs | undefined;
  operation?: Operation | undefined;
}>;

/** An operation reads and revives one state at a time. */
export function inTurn<T>({ operation }: Reading, work: () => Promise<T>): Promise<T> {
  return operation ? operation.inTurn(work) : work();
}

/** A checkpoint and its graph, or an empty namespace and its first graph. */
export interface Place {
  threadId: string;
  namespace: string;
  /** Null before the first checkpoint. */
  checkpointId: string | null;
  graphId: string;
}

/** Of a checkpoint. */
export function placeOf({
  threadId,
  namespace,
  checkpointId,
  metadata,
}: Pick<CheckpointRow, 'threadId' | 'namespace' | 'checkpointId' | 'metadata'>): Place {
  return { threadId, namespace, checkpointId, graphId: String(metadata['graph_id']) };
}

/**
 * The graphs of places in one namespace, with the configuration of each place. Undefined for a graph missing in
 * langgraph.json, and for a function in error.
 */
export async function graphsOf(
  app: Reading,
  places: readonly Place[],
): Promise<(CompiledGraph | undefined)[]> {
  const isMade = ({ graphId }: Place) => app.graphs.has(graphId) && app.graphs.isMade(graphId);
  const configured = await findConfigured(app, places.filter(isMade));
  const made: MadeGraphs = app.made ?? new Map();
  return Promise.all(
    places.map((place) => {
      const by = configured.get(place);
      return by ? makeOnce(app, made, by) : servedGraph(app, place);
    }),
  );
}

/** The graph, if it needs no configuration. Undefined for a graph made by a function, and for a missing one. */
export async function fixedGraph(
  { graphs }: Reading,
  graphId: string | null,
): Promise<CompiledGraph | undefined> {
  if (graphId === null || !graphs.has(graphId) || graphs.isMade(graphId)) return undefined;
  return graphs.resolve(graphId);
}

async function servedGraph(
  { graphs }: Reading,
  { graphId }: Place,
): Promise<CompiledGraph | undefined> {
  return graphs.has(graphId) ? graphs.resolve(graphId) : undefined;
}

function makeOnce(
  { graphs, log }: Reading,
  made: MadeGraphs,
  by: Configured,
): Promise<CompiledGraph | undefined> {
  const { graphId, threadId, assistantId, config, context, metadata } = by;
  const key = JSON.stringify([graphId, threadId, assistantId, config, context, metadata]);
  const graph =
    made.get(key) ??
    graphs.resolve(graphId, configurationOf(by)).catch((error: unknown) => {
      log?.warn({ graphId, err: error }, 'a graph could not be made to read a checkpoint');
      return undefined;
    });
  made.set(key, graph);
  return graph;
}

interface Line {
  checkpointId: string;
  parentId: string | null;
  runId: string | null;
}

type Row = Line & Configured;

/** The longest series of hand edits to search for a run. */
const LONGEST_LINE = 1000;

/**
 * The configurations of places in one namespace: each place has the configuration of its run. A hand edit has no run, and a
 * deleted run no row: then the nearest run before the checkpoint counts, else the last run of the same graph on the thread,
 * else the default assistant of the graph. One statement reads them all.
 */
async function findConfigured(
  { sql: { query } }: { sql: Sql },
  places: readonly Place[],
): Promise<Map<Place, Configured>> {
  const [first] = places;
  if (!first) return new Map();
  const graphIds = [...new Set(places.map(({ graphId }) => graphId))];
  const checkpointIds = places.flatMap(({ checkpointId }) => checkpointId ?? []);
  const rows = await query<Row>(sql`WITH RECURSIVE line AS (
      SELECT c."checkpointId", c."parentId", r."id" AS "runId" FROM "Checkpoint" c LEFT JOIN "Run" r ON r."id" = c."runId"
      WHERE c."threadId" = ${first.threadId} AND c."namespace" = ${first.namespace}
        AND c."checkpointId" = ANY(${checkpointIds}::uuid[])
      UNION
      SELECT c."checkpointId", c."parentId", r."id" FROM line JOIN "Checkpoint" c
        ON c."threadId" = ${first.threadId} AND c."namespace" = ${first.namespace} AND c."checkpointId" = line."parentId"
        LEFT JOIN "Run" r ON r."id" = c."runId"
      WHERE line."runId" IS NULL
    ), near AS (SELECT * FROM line LIMIT ${places.length + LONGEST_LINE})
    SELECT near.*, r."graphId", r."assistantId", r."config", r."context", r."metadata"
      FROM near LEFT JOIN "Run" r ON r."id" = near."runId"
    UNION ALL SELECT NULL, NULL, last.* FROM unnest(${graphIds}::text[]) AS graphs(id), LATERAL (
      SELECT "id", "graphId", "assistantId", "config", "context", "metadata" FROM "Run"
      WHERE "threadId" = ${first.threadId} AND "graphId" = graphs.id ORDER BY "seq" DESC LIMIT 1) last
    UNION ALL SELECT NULL, NULL, NULL, "graphId", "id", "config", "context", "metadata" - 'created_by' FROM "Assistant"
      WHERE "id" = ANY(${graphIds.map(assistantIdOf)}::uuid[])`);
  const near = new Map(rows.map((row) => [row.checkpointId, row]));
  // Runs come before assistants.
  const others = rows.filter(({ checkpointId }) => checkpointId === null);
  const found = places.map((place): [Place, Configured] => {
    const { threadId, graphId } = place;
    const by =
      runBefore(place, near) ??
      others.find((other) => other.graphId === graphId) ??
      unconfigured(place);
    return [place, { ...by, threadId }];
  });
  return new Map(found);
}

/** The configuration of one place. */
export async function configuredAt(app: { sql: Sql }, place: Place): Promise<Configured> {
  return (await findConfigured(app, [place])).get(place) ?? unconfigured(place);
}

/** The row of the nearest run at or before a place; undefined for a run of another graph. */
function runBefore(
  { checkpointId, graphId }: Place,
  rows: ReadonlyMap<string, Row>,
): Row | undefined {
  let row = checkpointId === null ? undefined : rows.get(checkpointId);
  while (row && row.runId === null) {
    row = row.parentId === null ? undefined : rows.get(row.parentId);
  }
  return row?.graphId === graphId ? row : undefined;
}

function unconfigured({ graphId }: Place): Configured {
  return { graphId, assistantId: assistantIdOf(graphId), config: {}, context: null, metadata: {} };
}
