import { BadInputError } from '../errors.ts';
import { isRecord } from '../json.ts';

/** Set by the server for every run, whatever a client sends. */
const SERVER_KEYS = ['run_id', 'thread_id', 'graph_id', 'assistant_id'];

/**
 * Refuses a configuration that LangGraph could not run with: `configurable` and `metadata` are objects, `tags` a list
 * of strings, `recursion_limit` a whole number from 1. Keys that choose a checkpoint or are LangGraph's own are no
 * configuration.
 */
export function checkConfig(
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
  const foreign = Object.keys(configurableOf(config)).find(
    (key) => key.startsWith('__') || key.startsWith('checkpoint_'),
  );
  if (foreign) {
    throw new BadInputError(
      `${argument}.configurable.${foreign}`,
      `configurable.${foreign} is not a client's to set.`,
    );
  }
}

/** A configuration with another one on top: `configurable` key by key, everything else as a whole. */
export function mergeConfig(
  below: unknown,
  above: Record<string, unknown>,
): Record<string, unknown> {
  const lower = isRecord(below) ? below : {};
  const configurable = { ...configurableOf(lower), ...configurableOf(above) };
  for (const key of SERVER_KEYS) delete configurable[key];
  const merged: Record<string, unknown> = { ...lower, ...above };
  if (Object.keys(configurable).length > 0) merged['configurable'] = configurable;
  else delete merged['configurable'];
  return merged;
}

function configurableOf({ configurable }: Record<string, unknown>): Record<string, unknown> {
  return isRecord(configurable) ? configurable : {};
}
