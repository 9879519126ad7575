import type { Config } from '../config.ts';
import { LimitError } from '../errors.ts';
import { isRecord } from '../json.ts';

export type InputLimits = Pick<
  Config,
  | 'metadataKeyLimit'
  | 'metadataLimitBytes'
  | 'configKeyLimit'
  | 'configLimitBytes'
  | 'configDepthLimit'
  | 'recursionLimit'
>;

/** LangChain copies metadata key by key for every callback of a run: each key costs time. */
export function checkMetadata(limits: InputLimits, argument: string, metadata: unknown): void {
  if (!isRecord(metadata)) return;
  checkCount(argument, 'keys', Object.keys(metadata).length, {
    most: limits.metadataKeyLimit,
    variable: 'METADATA_KEY_LIMIT',
  });
  checkDepth(limits, argument, metadata);
  checkBytes(argument, metadata, {
    most: limits.metadataLimitBytes,
    variable: 'METADATA_LIMIT_BYTES',
  });
}

/** Checks the sizes of a configuration. `checkConfig` checks its form. */
export function checkConfigSize(
  limits: InputLimits,
  argument: string,
  config: Record<string, unknown>,
): void {
  const { configurable, metadata, tags } = config;
  const keys = { most: limits.configKeyLimit, variable: 'CONFIG_KEY_LIMIT' };
  if (isRecord(configurable)) {
    checkCount(`${argument}.configurable`, 'keys', Object.keys(configurable).length, keys);
  }
  if (Array.isArray(tags)) checkCount(`${argument}.tags`, 'entries', tags.length, keys);
  checkMetadata(limits, `${argument}.metadata`, metadata);
  for (const key of ['recursion_limit', 'recursionLimit']) {
    checkCount(`${argument}.${key}`, 'steps', Number(config[key] ?? 0), {
      most: limits.recursionLimit,
      variable: 'RECURSION_LIMIT',
    });
  }
  checkObject(limits, argument, config);
}

/** Checks depth and bytes of a configuration or a context. */
export function checkObject(limits: InputLimits, argument: string, object: unknown): void {
  if (!isRecord(object)) return;
  checkDepth(limits, argument, object);
  checkBytes(argument, object, { most: limits.configLimitBytes, variable: 'CONFIG_LIMIT_BYTES' });
}

interface Limit {
  most: number;
  variable: string;
}

function checkCount(
  argument: string,
  unit: string,
  count: number,
  { most, variable }: Limit,
): void {
  if (count <= most) return;
  throw new LimitError(
    (name) => `${name(argument)} has ${count} ${unit}; at most ${most} are allowed.`,
    variable,
    argument,
  );
}

function checkBytes(argument: string, value: unknown, { most, variable }: Limit): void {
  const bytes = Buffer.byteLength(JSON.stringify(value));
  checkCount(argument, 'bytes as JSON', bytes, { most, variable });
}

function checkDepth({ configDepthLimit: most }: InputLimits, argument: string, value: unknown) {
  checkCount(argument, 'levels', depthOf(value, most + 1), {
    most,
    variable: 'CONFIG_DEPTH_LIMIT',
  });
}

/** Levels of objects and lists, counted up to `most`. */
function depthOf(value: unknown, most: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (most === 0) return 1;
  return Object.values(value).reduce(
    (deepest: number, each) => Math.max(deepest, 1 + depthOf(each, most - 1)),
    1,
  );
}
