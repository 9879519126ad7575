import { resolve } from 'node:path';
import { readHandlers, uncoveredActions, unknownEvents, type Handlers } from '../auth/handlers.ts';
import { summarizeError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { findSource, importExport } from './exports.ts';
import { readGraphsFile } from './settings.ts';

/**
 * Loads the handlers of `auth.path` in langgraph.json; undefined without this key. Called after `loadGraphs`: the handlers may
 * use the variables of the project. Throws an error with the path and the reason.
 */
export async function loadHandlers(
  file: string,
  { log, uncovered }: { log: Pick<Logger, 'warn'>; uncovered: 'refuse' | 'allow' },
): Promise<Handlers | undefined> {
  const path = resolve(file);
  const { auth } = await readGraphsFile(path);
  if (!auth) return undefined;
  const handlers = await load(auth.path, path);
  const unknown = unknownEvents(handlers);
  if (unknown.length > 0) log.warn({ events: unknown }, 'no action calls these handlers');
  const actions = handlers.callbacks.size > 0 ? uncoveredActions(handlers) : [];
  if (actions.length > 0) {
    const effect = uncovered === 'refuse' ? 'refused' : 'allowed for every user';
    log.warn({ actions }, `these actions have no handler, and are ${effect}`);
  }
  return handlers;
}

async function load(source: string, path: string): Promise<Handlers> {
  try {
    return readHandlers(await importExport(findSource(source, path)));
  } catch (cause) {
    throw new Error(
      `The auth of ${path} (${source}) does not load: ${summarizeError(cause).message}`,
      {
        cause,
      },
    );
  }
}
