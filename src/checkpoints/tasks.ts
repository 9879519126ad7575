import type { StateSnapshot } from '@langchain/langgraph';
import { readErrorSummary } from '../errors.ts';
import { isRecord } from '../json.ts';
import type { Reading } from './graphs.ts';
import { namesIn } from './namespace.ts';
import { findState, type State } from './states.ts';

/** A task of a snapshot. */
export type GraphTask = StateSnapshot['tasks'][number] & { result?: unknown };

/** The namespace of the task's subgraph; undefined for a node without a subgraph. */
export function subgraphNamespace({ state }: GraphTask): string | undefined {
  const config =
    state && ('configurable' in state ? state : 'config' in state ? state.config : undefined);
  const namespace: unknown = config?.configurable?.['checkpoint_ns'];
  return typeof namespace === 'string' ? namespace : undefined;
}

/** The state of the task's subgraph; undefined for a node without a subgraph. */
export async function subgraphState(
  app: Reading,
  task: GraphTask,
  { row: { threadId } }: State,
): Promise<State | undefined> {
  const namespace = subgraphNamespace(task);
  if (namespace === undefined) return undefined;
  const own = await findState(app, threadId, { namespace });
  if (own || task.interrupts.length === 0) return own;
  // A subgraph with its own persistent state stores the state in a namespace without task ids.
  return findState(app, threadId, { namespace: namesIn(namespace) });
}

/** The message of a task's error, cut at 2,000 characters. */
export function taskError({ error }: GraphTask): string | null {
  if (error === undefined || error === null) return null;
  const message = isRecord(error) ? (error['message'] ?? error) : error;
  return readErrorSummary({ message }).message;
}
