import type { RunnableConfig } from '@langchain/core/runnables';
import { Command } from '@langchain/langgraph';
import { EditSaver } from '../checkpoints/edit-saver.ts';
import { configuredAt, type Place } from '../checkpoints/graphs.ts';
import { serdeOf } from '../checkpoints/serde.ts';
import { withNames, type ClientText } from '../client-text.ts';
import type { Config } from '../config.ts';
import { checkLength } from '../db/page.ts';
import type { Sql } from '../db/query.ts';
import { AppError, BadInputError, StateLimitError, summarizeError } from '../errors.ts';
import { classesOf, type Classes } from '../graphs/classes.ts';
import { toCommandFields } from '../graphs/command.ts';
import { configurationOf } from '../graphs/configuration.ts';
import { withCheckpointer, type Graphs } from '../graphs/load.ts';
import type { CompiledGraph } from '../graphs/load.ts';
import { checkSuperstepWork, type StateUpdate, type Superstep } from './limits.ts';

/** LangGraph's special values of asNode: the input, the start, the end (no next step) and a fork. */
const SPECIAL_NODES = ['__input__', '__start__', '__end__', '__copy__'];

/** Applies the supersteps to the empty state of a new thread, in order, in the memory of the returned saver. Throws at the first refusal. */
export async function applySupersteps(
  app: { config: Config; sql: Sql; graphs: Graphs },
  {
    threadId,
    graphId,
    supersteps,
  }: { threadId: string; graphId: string; supersteps: readonly Superstep[] },
): Promise<EditSaver> {
  checkLength('input.supersteps', supersteps);
  checkSuperstepWork(app.config, 'input.supersteps', supersteps);
  const place = { threadId, namespace: '', checkpointId: null, graphId };
  const { graph: served, config } = await graphToEdit(app, place, 'input.graphId');
  const { stateLimitBytes } = app.config;
  const saving = { by: serdeOf(served), stateLimitBytes };
  const edit = new EditSaver(app.sql.query, { graph_id: graphId }, saving);
  const graph = withCheckpointer(served, edit);
  for (const [i, { updates }] of supersteps.entries()) checkUpdates(graph, i, updates);

  for (const [i, { updates }] of supersteps.entries()) {
    try {
      await applyUpdates(graph, edit, config, updates);
    } catch (error) {
      throw edit.failure ?? refusedBy(error, i, updates.length === 1 ? 0 : undefined);
    }
  }
  return edit;
}

/** Applies a superstep: creates a checkpoint in `edit`, and returns the configuration with its id. */
export function applyUpdates(
  graph: CompiledGraph,
  edit: EditSaver,
  config: RunnableConfig,
  updates: readonly StateUpdate[],
): Promise<RunnableConfig> {
  edit.writes = writesOf(updates);
  const classes = classesOf(graph);
  return graph.bulkUpdateState(config, [
    { updates: updates.map((each) => toLangGraph(each, classes)) },
  ]);
}

/**
 * The graph for an edit, and the configuration for its reducers and edges. If the graph is a function and throws, the client gets
 * the error.
 */
export async function graphToEdit(
  { sql, graphs }: { sql: Sql; graphs: Graphs },
  place: Place,
  argument: string,
): Promise<{ graph: CompiledGraph; config: RunnableConfig }> {
  const { threadId, graphId } = place;
  const configured = await configuredAt({ sql }, place);
  const { configurable, context } = configurationOf(configured);
  const config = { configurable: { ...configurable, thread_id: threadId }, context };
  try {
    return { graph: await graphs.resolve(graphId, configurationOf(configured)), config };
  } catch (error) {
    const why = summarizeError(error).message;
    throw new BadInputError(argument, `The graph "${graphId}" cannot be created: ${why}`);
  }
}

/** An error text if a name is not a node of the graph. */
export function unknownNode(
  graph: CompiledGraph,
  names: readonly (string | null | undefined)[],
): string | undefined {
  const nodes = Object.keys(graph.nodes).filter((name) => !SPECIAL_NODES.includes(name));
  const known = [...SPECIAL_NODES, ...nodes];
  const unknown = names.find((name) => name != null && !known.includes(name));
  return unknown == null
    ? undefined
    : `there is no node "${unknown}"; the nodes are ${known.join(', ')}`;
}

function checkUpdates(
  graph: CompiledGraph,
  superstep: number,
  updates: readonly StateUpdate[],
): void {
  checkLength(`input.supersteps[${superstep}].updates`, updates);
  for (const [i, { values, asNode, command }] of updates.entries()) {
    const targets = (command?.goto ?? []).map(({ node }) => node);
    const unknown = unknownNode(graph, [asNode, ...targets]);
    if (unknown) throw refused(superstep, i, unknown);
    if (values != null && command)
      throw refused(superstep, i, 'give values or a command, not both');
    if (command?.resume != null)
      throw refused(superstep, i, 'resume is only for runs: an update answers no interrupt');
    if (updates.length > 1 && asNode == null) {
      throw refused(
        superstep,
        i,
        (name) => `${name('asNode')} is required if a superstep has several updates`,
      );
    }
  }
}

function toLangGraph({ values, asNode, command }: StateUpdate, classes: Classes) {
  return {
    values: command ? new Command(toCommandFields(command, classes)) : (values ?? null),
    ...(asNode != null && { asNode }),
  } as { values: Record<string, unknown>; asNode?: string };
}

/** The updates by node, for the metadata of the checkpoint. LangGraph itself does not store the nodes of updates. */
function writesOf(updates: readonly StateUpdate[]): Record<string, unknown> | undefined {
  const named = updates.filter(({ asNode }) => asNode != null);
  if (named.length === 0) return undefined;
  const writes: Record<string, unknown> = {};
  for (const { asNode, values, command } of named) {
    const wrote = command ? (command.update ?? null) : (values ?? null);
    const node = String(asNode);
    writes[node] = node in writes ? [writes[node], wrote].flat() : wrote;
  }
  return writes;
}

function refused(superstep: number, update: number | undefined, why: ClientText): BadInputError {
  const which = `Superstep ${superstep + 1}${update === undefined ? '' : `, update ${update + 1}`}`;
  return new BadInputError(
    pathOf(superstep, update),
    (name) => `${which}: ${withNames(why, name)}`,
  );
}

/** The error of the graph as an error for the client. */
function refusedBy(error: unknown, superstep: number, update: number | undefined): AppError {
  if (error instanceof StateLimitError) return error.at(pathOf(superstep, update));
  if (error instanceof AppError) return error;
  return refused(superstep, update, error instanceof Error ? error.message : String(error));
}

function pathOf(superstep: number, update: number | undefined): string {
  return `input.supersteps[${superstep}]${update === undefined ? '' : `.updates[${update}]`}`;
}
