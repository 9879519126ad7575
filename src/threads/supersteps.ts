import type { RunnableConfig } from '@langchain/core/runnables';
import { Command } from '@langchain/langgraph';
import type { App } from '../app.ts';
import type { EditSaver } from '../checkpoints/saver.ts';
import { readSize } from '../db/page.ts';
import { AppError, BadInputError, summarizeError } from '../errors.ts';
import { toCommandFields, type Instruction } from '../graphs/command.ts';
import { withCheckpointer } from '../graphs/load.ts';
import type { CompiledGraph } from '../graphs/load.ts';

/** One round of updates: it makes one checkpoint. */
export interface Superstep {
  updates: readonly StateUpdate[];
}

export interface StateUpdate {
  values?: unknown;
  /** The node as which the update is made; it decides which node comes next. */
  asNode?: string | null | undefined;
  command?: CommandUpdate | null | undefined;
}

/** Nobody is asked anything here: there is nothing to resume. */
export interface CommandUpdate extends Instruction {
  resume?: unknown;
}

/** LangGraph's names for what is not a node: the input, the start, the end (clears what is next), a fork. */
const SPECIAL_NODES = ['__input__', '__start__', '__end__', '__copy__'];

/** Applies the supersteps, in order, to a thread's state as `edit` sees it. Throws for the first that is refused. */
export async function applySupersteps(
  { graphs }: Pick<App, 'graphs'>,
  edit: EditSaver,
  {
    threadId,
    graphId,
    supersteps,
  }: { threadId: string; graphId: string; supersteps: readonly Superstep[] },
): Promise<void> {
  const graph = withCheckpointer(await makeGraph(graphs, graphId, 'input.graphId'), edit);
  readSize('input.supersteps', supersteps.length);
  for (const [i, { updates }] of supersteps.entries()) checkUpdates(graph, i, updates);

  const config = { configurable: { thread_id: threadId } };
  for (const [i, { updates }] of supersteps.entries()) {
    try {
      await applyUpdates(graph, edit, config, updates);
    } catch (error) {
      throw edit.failure ?? refused(i, updates.length === 1 ? 0 : undefined, error);
    }
  }
}

/** One superstep: makes one checkpoint in `edit`, and returns the config that names it. */
export function applyUpdates(
  graph: CompiledGraph,
  edit: EditSaver,
  config: RunnableConfig,
  updates: readonly StateUpdate[],
): Promise<RunnableConfig> {
  edit.writes = writesOf(updates);
  return graph.bulkUpdateState(config, [{ updates: updates.map(toLangGraph) }]);
}

/** Where langgraph.json names a function, what it throws is the client's to know: it asked for that graph. */
export async function makeGraph(
  graphs: App['graphs'],
  graphId: string,
  argument: string,
): Promise<CompiledGraph> {
  try {
    return await graphs.resolve(graphId);
  } catch (error) {
    const why = summarizeError(error).message;
    throw new BadInputError(argument, `The graph "${graphId}" cannot be made: ${why}`);
  }
}

/** What is wrong with names where one of them can be no node of the graph. */
export function unknownNode(
  graph: CompiledGraph,
  names: readonly (string | null | undefined)[],
): string | undefined {
  const nodes = Object.keys(graph.nodes).filter((name) => !SPECIAL_NODES.includes(name));
  const known = [...SPECIAL_NODES, ...nodes];
  const unknown = names.find((name) => name != null && !known.includes(name));
  return unknown == null
    ? undefined
    : `there is no node "${unknown}"; there are ${known.join(', ')}`;
}

function checkUpdates(
  graph: CompiledGraph,
  superstep: number,
  updates: readonly StateUpdate[],
): void {
  readSize(`input.supersteps[${superstep}].updates`, updates.length);
  for (const [i, { values, asNode, command }] of updates.entries()) {
    const targets = (command?.goto ?? []).map(({ node }) => node);
    const unknown = unknownNode(graph, [asNode, ...targets]);
    if (unknown) throw refused(superstep, i, unknown);
    if (values != null && command)
      throw refused(superstep, i, 'give values or a command, not both');
    if (command?.resume != null)
      throw refused(superstep, i, 'resume answers what a run asks, and this is no run');
    if (updates.length > 1 && asNode == null) {
      throw refused(superstep, i, 'asNode is required where there are several updates');
    }
  }
}

function toLangGraph({ values, asNode, command }: StateUpdate) {
  return {
    values: command ? new Command(toCommandFields(command)) : (values ?? null),
    ...(asNode != null && { asNode }),
  } as { values: Record<string, unknown>; asNode?: string };
}

/** What the checkpoint's metadata keeps of the updates, as they were given: LangGraph forgets as which node they were made. */
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

function refused(superstep: number, update: number | undefined, reason: unknown): AppError {
  if (reason instanceof AppError) return reason;
  const at = `input.supersteps[${superstep}]${update === undefined ? '' : `.updates[${update}]`}`;
  const which = `Superstep ${superstep + 1}${update === undefined ? '' : `, update ${update + 1}`}`;
  const why = reason instanceof Error ? reason.message : String(reason);
  return new BadInputError(at, `${which}: ${why}`);
}
