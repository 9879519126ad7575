import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import type { BaseCheckpointSaver, LangGraphRunnableConfig, Pregel } from '@langchain/langgraph';
import { v5 as uuidv5 } from 'uuid';
import { BadInputError, summarizeError } from '../errors.ts';
import { isRecord } from '../json.ts';
import type { Logger } from '../log.ts';
import { createClassFinder, shareClasses } from './classes.ts';
import { findSource, importExport } from './exports.ts';
import { checkLangGraphVersion } from './langgraph-version.ts';
import { readGraphsFile, type GraphsFile } from './settings.ts';
import { checkUnusedKeys } from './unused-keys.ts';

/** A compiled graph with any state. */
// oxlint-disable-next-line typescript/no-explicit-any -- the author of the graph defines its nodes and channels
export type CompiledGraph = Pregel<any, any>;

/** The graphs of langgraph.json. */
export interface Graphs {
  /** In the order of the file. */
  readonly ids: readonly string[];
  has(id: string): boolean;
  /** Whether langgraph.json names a function of the configuration instead of a graph. */
  isMade(id: string): boolean;
  /**
   * The graph for a run with this config. Runs share a graph, so no run may change it. A graph function of langgraph.json
   * makes a new graph for each call. Throws BadInputError for `argument` if the graph does not exist, and the errors of the
   * graph function.
   */
  resolve(id: string, config?: LangGraphRunnableConfig, argument?: string): Promise<CompiledGraph>;
}

/** Variables for all graphs. By default, LangChain runs callbacks in the background: concurrent runs then lose tokens. */
const REQUIRED_VARIABLES = { LANGCHAIN_CALLBACKS_BACKGROUND: 'false' };

/**
 * Loads the graphs of `file`, in the format of langgraph.json. Paths are relative to the file. The variables of its `env`
 * are set before the code of a graph runs, and replace the variables of the environment. A key without effect is a warning;
 * `auth` throws. Throws for the first graph with an error at load; the message has its name, its file and the cause.
 */
export async function loadGraphs(
  file: string,
  { env, log }: { env: NodeJS.ProcessEnv; log: Pick<Logger, 'warn'> },
): Promise<Graphs> {
  const path = resolve(file);
  const settings = await readGraphsFile(path);
  checkUnusedKeys(settings, { file: path, log });
  Object.assign(env, await readVariables(settings.env, { path, log }), REQUIRED_VARIABLES);

  const makers = new Map<string, GraphMaker>();
  for (const [id, entry] of Object.entries(settings.graphs)) {
    const source = typeof entry === 'string' ? entry : entry.path;
    makers.set(id, await loadGraph(`Graph "${id}" (${source} in ${path})`, source, path));
  }

  return {
    ids: [...makers.keys()],
    has: (id) => makers.has(id),
    isMade: (id) => makers.get(id)?.isFunction === true,
    async resolve(id, config = { configurable: {} }, argument = 'graphId') {
      const maker = makers.get(id);
      if (maker) return maker.make(config);
      const ids = [...makers.keys()].join(', ') || 'none';
      throw new BadInputError(argument, `There is no graph "${id}". The graphs are: ${ids}.`);
    },
  };
}

/** The UUID of a graph's default assistant: the same on every LangGraph server. */
export function assistantIdOf(graphId: string): string {
  return uuidv5(graphId, '6ba7b821-9dad-11d1-80b4-00c04fd430c8');
}

/** A copy of the graph with `saver` for its checkpoints. The graph itself stays unchanged: other runs share it. */
export function withCheckpointer(graph: CompiledGraph, saver: BaseCheckpointSaver): CompiledGraph {
  const Graph = graph.constructor as new (fields: object) => CompiledGraph;
  // Like Pregel.withConfig, but without a second validation: it would change the map of triggers of both copies.
  // oxlint-disable-next-line typescript/no-misused-spread -- the constructor takes the fields
  const copy = new Graph({ ...graph, checkpointer: saver, autoValidate: false });
  shareClasses(graph, copy);
  return copy;
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

interface GraphMaker {
  /** Whether each call makes a new graph. */
  isFunction: boolean;
  make(config: LangGraphRunnableConfig): Promise<CompiledGraph>;
}

/** `source` is `path:export`, or a path without an export for the default export. */
async function loadGraph(title: string, source: string, path: string): Promise<GraphMaker> {
  try {
    const { file, name } = findSource(source, path);
    checkLangGraphVersion(file);
    const exported = await importExport({ file, name });
    const findClasses = createClassFinder(file);
    if (typeof exported === 'function') {
      const make: GraphMaker['make'] = async (config) => {
        const made = toGraph(await exported(config), `${title}: what it returns is`);
        await findClasses(made);
        return made;
      };
      return { isFunction: true, make };
    }
    const graph = toGraph(exported, `its export "${name}" is`);
    await findClasses(graph);
    return { isFunction: false, make: async () => graph };
  } catch (cause) {
    throw new Error(`${title} does not load: ${summarizeError(cause).message}`, { cause });
  }
}

/** `subject` is the beginning of the error message. */
function toGraph(value: unknown, subject: string): CompiledGraph {
  // Not instanceof: the author's graphs may come from another copy of LangGraph.
  if (isCompiled(value)) return value;
  if (isRecord(value)) {
    if (isCompiled(value['graph'])) return value['graph']; // createAgent of the langchain package returns such an object
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
