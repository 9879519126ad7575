import { USER_PREFIX } from '../auth/graph-user.ts';
import { BadInputError } from '../errors.ts';
import { isRecord, recordOf } from '../json.ts';
import { checkConfigSize, type InputLimits } from './limits.ts';

/** The server sets these keys for each run. Values of a client are ignored. */
const SERVER_KEYS = ['run_id', 'thread_id', 'graph_id', 'assistant_id'];

/** Beginnings of keys that only the server sets. */
const RESERVED = ['__', 'checkpoint_', USER_PREFIX];

/**
 * Refuses a bad configuration: `configurable` and `metadata` must be objects, `tags` a list of strings, `recursion_limit` a
 * whole number from 1. Also refuses keys of LangGraph itself, such as the choice of a checkpoint, and exceeded limits.
 */
export function checkConfig(
  limits: InputLimits,
  argument: string,
  config: Record<string, unknown> | null | undefined,
): void {
  if (!config) return;
  for (const key of ['configurable', 'metadata']) {
    const value = config[key];
    if (value !== undefined && !isRecord(value)) {
      throw new BadInputError(`${argument}.${key}`, `${key} must be an object.`);
    }
  }
  const { tags } = config;
  if (
    tags !== undefined &&
    !(Array.isArray(tags) && tags.every((tag) => typeof tag === 'string'))
  ) {
    throw new BadInputError(`${argument}.tags`, 'tags must be a list of strings.');
  }
  for (const key of ['recursion_limit', 'recursionLimit']) {
    const limit = config[key];
    if (limit !== undefined && !(Number.isInteger(limit) && Number(limit) >= 1)) {
      throw new BadInputError(`${argument}.${key}`, `${key} must be a whole number from 1.`);
    }
  }
  const foreign = Object.keys(recordOf(config['configurable'])).find((key) =>
    RESERVED.some((prefix) => key.startsWith(prefix)),
  );
  if (foreign) {
    throw new BadInputError(
      `${argument}.configurable.${foreign}`,
      `configurable.${foreign} is reserved for the server.`,
    );
  }
  checkConfigSize(limits, argument, config);
}

/** Merges two configurations: `configurable` key by key. Replaces each other key as a whole. */
export function mergeConfig(
  below: unknown,
  above: Record<string, unknown>,
): Record<string, unknown> {
  const lower = recordOf(below);
  const configurable = { ...recordOf(lower['configurable']), ...recordOf(above['configurable']) };
  for (const key of SERVER_KEYS) delete configurable[key];
  const merged: Record<string, unknown> = { ...lower, ...above };
  if (Object.keys(configurable).length > 0) merged['configurable'] = configurable;
  else delete merged['configurable'];
  return merged;
}

/** Merges two contexts key by key. Null: neither is given. An empty context counts as given. */
export function mergeContext(
  below: unknown,
  above: Record<string, unknown> | null | undefined,
): Record<string, unknown> | null {
  return isRecord(below) || above ? { ...recordOf(below), ...above } : null;
}
