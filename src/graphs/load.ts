import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseEnv } from 'node:util';
import type { BaseCheckpointSaver, LangGraphRunnableConfig, Pregel } from '@langchain/langgraph';
import { v5 as uuidv5 } from 'uuid';
import { z } from 'zod';
import { BadInputError, summarizeError } from '../errors.ts';
import { isRecord } from '../json.ts';
import type { Logger } from '../log.ts';

/** A graph that is ready to run, whatever its state is made of. */
// oxlint-disable-next-line typescript/no-explicit-any -- which nodes and channels there are is the graph author's
export type CompiledGraph = Pregel<any, any>;

/** The graphs that langgraph.json names. */
export interface Graphs {
  /** In the order of the file. */
  readonly ids: readonly string[];
  has(id: string): boolean;
  /**
   * The graph that a run with this config executes. Runs share it, so nothing of a run may be written onto it; only where
   * langgraph.json names a function is it made anew by each call. Throws BadInputError for `argument` where there is no
   * such graph, and whatever the function throws.
   */
  resolve(id: string, config?: LangGraphRunnableConfig, argument?: string): Promise<CompiledGraph>;
}

/**
 * Loads every graph that `file` names, as LangGraph defines langgraph.json: paths start at the file, unknown keys are
 * ignored, and before any graph's code runs, what `env` sets is added to the environment, without replacing anything.
 * Throws on the first graph that does not load; the message names it, its file and the cause.
 */
export async function loadGraphs(
  file: string,
  { env, log }: { env: NodeJS.ProcessEnv; log: Pick<Logger, 'warn'> },
): Promise<Graphs> {
  const path = resolve(file);
  const settings = await readGraphsFile(path);
  const variables = await readVariables(settings.env, { path, log });
  for (const [name, value] of Object.entries(variables)) env[name] ??= value;

  const makers = new Map<string, GraphMaker>();
  for (const [id, entry] of Object.entries(settings.graphs)) {
    const source = typeof entry === 'string' ? entry : entry.path;
    makers.set(id, await loadGraph(`Graph "${id}" (${source} in ${path})`, source, path));
  }

  return {
    ids: [...makers.keys()],
    has: (id) => makers.has(id),
    async resolve(id, config = { configurable: {} }, argument = 'graphId') {
      const make = makers.get(id);
      if (make) return make(config);
      const ids = [...makers.keys()].join(', ') || 'none';
      throw new BadInputError(argument, `There is no graph "${id}". The graphs are: ${ids}.`);
    },
  };
}

/** The UUID of a graph's default assistant: the same on every LangGraph server. */
export function assistantIdOf(graphId: string): string {
  return uuidv5(graphId, '6ba7b821-9dad-11d1-80b4-00c04fd430c8');
}

/** A copy of the graph that keeps its checkpoints in `saver`; the graph itself, which other runs share, stays as it is. */
export function withCheckpointer(graph: CompiledGraph, saver: BaseCheckpointSaver): CompiledGraph {
  const Graph = graph.constructor as new (fields: object) => CompiledGraph;
  // This is how Pregel.withConfig copies itself, but validating again would add to the map of triggers, which is shared.
  // oxlint-disable-next-line typescript/no-misused-spread -- the fields are what the constructor takes
  return new Graph({ ...graph, checkpointer: saver, autoValidate: false });
}

const GraphsFile = z.object({
  graphs: z.record(z.string(), z.union([z.string(), z.object({ path: z.string() })])),
  // A list names variables that have to be set already.
  env: z.union([z.string(), z.record(z.string(), z.string()), z.array(z.string())]).optional(),
});
type GraphsFile = z.infer<typeof GraphsFile>;

async function readGraphsFile(path: string): Promise<GraphsFile> {
  try {
    return GraphsFile.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (cause) {
    const reason =
      cause instanceof z.ZodError ? z.prettifyError(cause) : summarizeError(cause).message;
    throw new Error(`${path} does not tell which graphs to serve: ${reason}`, { cause });
  }
}

async function readVariables(
  env: GraphsFile['env'],
  { path, log }: { path: string; log: Pick<Logger, 'warn'> },
): Promise<NodeJS.Dict<string>> {
  if (env === undefined || Array.isArray(env)) return {};
  if (typeof env !== 'string') return env;
  const file = resolve(dirname(path), env);
  if (existsSync(file)) return parseEnv(await readFile(file, 'utf8'));
  log.warn({ file }, 'the env file that langgraph.json names does not exist');
  return {};
}

type GraphMaker = (config: LangGraphRunnableConfig) => Promise<CompiledGraph>;

/** `source` is `path:export`, or a path alone for its default export. */
async function loadGraph(title: string, source: string, path: string): Promise<GraphMaker> {
  try {
    const [, module = source, name = 'default'] = /^(.+?)(?::([^:/\\]+))?$/.exec(source) ?? [];
    const file = resolve(dirname(path), module);
    if (!existsSync(file)) throw new Error(`there is no file ${file}.`);
    const exported = readExport(await import(pathToFileURL(file).href), name);
    if (typeof exported === 'function') {
      return async (config) => toGraph(await exported(config), `${title}: what it returns is`);
    }
    const graph = toGraph(exported, `its export "${name}" is`);
    return async () => graph;
  } catch (cause) {
    throw new Error(`${title} does not load: ${summarizeError(cause).message}`, { cause });
  }
}

function readExport(module: Record<string, unknown>, name: string): unknown {
  // What a CommonJS file exports may stand under `default` alone.
  const whole = module['default'];
  const exports = isPlainObject(whole) ? { ...module, ...whole } : module;
  if (exports[name] !== undefined) return exports[name];
  const names = Object.keys(exports).filter((key) => key !== 'module.exports');
  throw new Error(`it has no export "${name}"; its exports are: ${names.join(', ') || 'none'}.`);
}

/** `subject` begins the sentence that says why the value is no graph. */
function toGraph(value: unknown, subject: string): CompiledGraph {
  // Not instanceof: the author's graphs may come from another copy of LangGraph.
  if (isCompiled(value)) return value;
  if (isRecord(value)) {
    if (isCompiled(value['graph'])) return value['graph']; // what createAgent of the langchain package returns
    if (isBuilder(value)) return value.compile();
  }
  const kind = Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value;
  throw new Error(`${subject} of type ${kind}; it must be a StateGraph or a compiled graph.`);
}

function isCompiled(value: unknown): value is CompiledGraph {
  return isRecord(value) && value['lg_is_pregel'] === true;
}

function isBuilder(value: object): value is { compile(): CompiledGraph } {
  return 'compile' in value && typeof value.compile === 'function';
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return isRecord(value) && Object.getPrototypeOf(value) === Object.prototype;
}
