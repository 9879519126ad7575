import { GraphQLError, valueFromASTUntyped, type ValueNode } from 'graphql';
import { GraphQLDateTimeISO } from 'graphql-scalars';
import { DEEPEST_SHOWN, isRecord, setKey, TOO_DEEP } from '../json.ts';
import { builder } from './builder.ts';

// Input is checked with the arguments: arguments.ts.

const LIMITS = 'Input has at most 100 levels of nesting, no null bytes and no unpaired surrogates.';

const SHOWN =
  'In output, bytes appear in base64, typed arrays as lists of numbers, arrays of 64-bit integers as lists of strings.';

builder.scalarType('JSON', {
  description: `Any JSON value. A field of type \`JSON!\` is never null. ${SHOWN} ${LIMITS}`,
  serialize: (value) => toJson(value),
});

builder.scalarType('JSONObject', {
  description: `A JSON object. ${LIMITS}`,
  serialize: (value) => toJson(value),
  parseValue: readObject,
  // A literal may contain variables. The node gives errors their place in the document.
  parseLiteral: (node, variables) => readObject(valueFromASTUntyped(node, variables), node),
});

builder.scalarType('DateTime', {
  description:
    'An instant, RFC 3339. In output: UTC with milliseconds. Input may have any offset from UTC.',
  serialize: (date) => GraphQLDateTimeISO.serialize(date),
  parseValue: readInstant,
});

/** The errors of graphql-scalars contain the whole value. */
function readInstant(value: unknown): Date {
  try {
    if (typeof value === 'string') return GraphQLDateTimeISO.parseValue(value);
  } catch {
    // The error below tells what is allowed.
  }
  throw new GraphQLError('Expected an RFC 3339 text, such as "2026-01-31T12:00:00Z".');
}

function readObject(value: unknown, node?: ValueNode): Record<string, unknown> {
  if (isRecord(value)) return value;
  throw new GraphQLError('Expected a JSON object.', { nodes: node });
}

/** The value for JSON.stringify: a copy if it contains a BigInt, a cycle or too many levels. */
function toJson(value: unknown): unknown {
  return isJson(value, 0) ? value : copyJson(value, new Set());
}

function isJson(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'bigint';
  if (depth === DEEPEST_SHOWN) return false;
  for (const inner of Array.isArray(value) ? value : Object.values(value)) {
    if (!isJson(inner, depth + 1)) return false;
  }
  return true;
}

/** `above` holds the enclosing objects of the value. */
function copyJson(value: unknown, above: Set<object>): unknown {
  if (typeof value === 'bigint') return showBigInt(value);
  if (typeof value !== 'object' || value === null) return value;
  if (above.has(value)) return '[Circular]';
  if (above.size === DEEPEST_SHOWN) return TOO_DEEP;
  if ('toJSON' in value && typeof value.toJSON === 'function') return value.toJSON();
  above.add(value);
  const copy = Array.isArray(value)
    ? value.map((each) => copyJson(each, above))
    : copyEntries(value, above);
  above.delete(value);
  return copy;
}

function copyEntries(value: object, above: Set<object>): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  for (const [key, each] of Object.entries(value)) setKey(copy, key, copyJson(each, above));
  return copy;
}

/** A number if it is exact, otherwise a string of its digits. */
function showBigInt(value: bigint): number | string {
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
}
