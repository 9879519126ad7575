import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { load } from '@langchain/core/load';
import { Serializable } from '@langchain/core/load/serializable';
import * as messages from '@langchain/core/messages';
import { Send } from '@langchain/langgraph';
import { moduleResolve } from 'import-meta-resolve';

/** The classes imported by the code of a graph. A project may bring its own copies of LangChain and LangGraph. */
export interface Classes {
  /** The module `@langchain/core/messages`. */
  messages: object;
  /** The function of `@langchain/core/load`. */
  load(text: string, options: { maxDepth: number }): Promise<unknown>;
  /** The class of `@langchain/langgraph`. */
  Send: typeof Send;
}

/** The classes of the server. */
export const OWN_CLASSES: Classes = { messages, load, Send };

/** Holds only graphs from other copies. */
const classes = new WeakMap<object, Classes>();

export function classesOf(graph: object): Classes {
  return classes.get(graph) ?? OWN_CLASSES;
}

/** Gives a changed copy of a graph the same classes. */
export function shareClasses(graph: object, copy: object): void {
  const shared = classes.get(graph);
  if (shared) classes.set(copy, shared);
}

/** Finds the classes of the graphs in a file. */
export function createClassFinder(file: string): (graph: object) => Promise<void> {
  const path = realpathSync(file);
  const found = new Map<Way, Promise<Classes>>();
  return async function findClasses(graph) {
    if (classes.has(graph)) return;
    const way = await wayTo(graph, path);
    const made = found.get(way) ?? loadClasses(path, way);
    found.set(way, made);
    const own = await made;
    if (own !== OWN_CLASSES) classes.set(graph, own);
  };
}

/** How a module loads its dependencies. Packages with two builds have every class twice. */
type Way = 'import' | 'require';

const SERIALIZABLE = '@langchain/core/load/serializable';

/** The way in which the code of a graph loaded LangChain: the graph is an instance of the class from that build. */
async function wayTo(graph: object, file: string): Promise<Way> {
  for (const way of ['import', 'require'] as const) {
    const module = await loadFrom<{ Serializable?: typeof Serializable }>(file, SERIALIZABLE, way);
    if (isObjectOf(graph, module?.Serializable)) return way;
  }
  // LangGraph and the file have different copies of LangChain.
  return file in createRequire(file).cache ? 'require' : 'import';
}

/** Like `instanceof`, but ignores Symbol.hasInstance. */
function isObjectOf(object: object, Class: typeof Serializable | undefined): boolean {
  if (!Class) return false;
  let prototype = Reflect.getPrototypeOf(object);
  while (prototype !== null && prototype !== Class.prototype) {
    prototype = Reflect.getPrototypeOf(prototype);
  }
  return prototype !== null;
}

async function loadClasses(file: string, way: Way): Promise<Classes> {
  const get = <Module>(specifier: string) => loadFrom<Partial<Module>>(file, specifier, way);
  const base = await get<{ Serializable: typeof Serializable }>(SERIALIZABLE);
  const langGraph = await get<Classes>('@langchain/langgraph');
  const isOwn = !base?.Serializable || base.Serializable === Serializable;
  const foundSend = langGraph?.Send ?? Send;
  if (isOwn && foundSend === Send) return OWN_CLASSES;
  if (isOwn) return { ...OWN_CLASSES, Send: foundSend };
  const foundMessages = await get<object>('@langchain/core/messages');
  const loader = await get<Classes>('@langchain/core/load');
  return {
    messages: foundMessages ?? messages,
    load: loader?.load ?? load,
    Send: foundSend,
  };
}

/** Loads a module for the file; undefined if the file cannot resolve it. */
async function loadFrom<Module>(
  file: string,
  specifier: string,
  way: Way,
): Promise<Module | undefined> {
  const path = resolveFrom(file, specifier, way);
  if (path === undefined) return undefined;
  const module: unknown =
    way === 'require' ? createRequire(file)(path) : await import(pathToFileURL(path).href);
  return module as Module;
}

/** Packages with LangChain among their dependencies: a strict package manager hides it from the project itself. */
const CARRIERS = ['@langchain/langgraph', 'langchain'];

function resolveFrom(file: string, specifier: string, way: Way): string | undefined {
  const direct = resolveDirectly(file, specifier, way);
  if (direct !== undefined) return direct;
  for (const carrier of CARRIERS) {
    const from = resolveDirectly(file, carrier, way);
    const carried = from && resolveDirectly(from, specifier, way);
    if (carried) return carried;
  }
  return undefined;
}

function resolveDirectly(file: string, specifier: string, way: Way): string | undefined {
  try {
    return way === 'require'
      ? createRequire(file).resolve(specifier)
      : fileURLToPath(moduleResolve(specifier, pathToFileURL(file)));
  } catch {
    return undefined; // not installed
  }
}
