import { GraphQLError, valueFromASTUntyped, type ValueNode } from 'graphql';
import { GraphQLDateTimeISO } from 'graphql-scalars';
import { isRecord } from '../json.ts';
import { builder } from './builder.ts';

// What comes in is checked where arguments are: arguments.ts.

const LIMITS =
  'What comes in nests at most 100 levels deep and holds no null bytes and no half surrogate pairs.';

builder.scalarType('JSON', {
  description: `Any JSON value. \`JSON!\` stands only where null cannot come. ${LIMITS}`,
  serialize: (value) => toJson(value),
});

builder.scalarType('JSONObject', {
  description: `A JSON object. ${LIMITS}`,
  serialize: (value) => toJson(value),
  parseValue: readObject,
  // A literal may hold variables; what is wrong with it is told with its place.
  parseLiteral: (node, variables) => readObject(valueFromASTUntyped(node, variables), node),
});

builder.scalarType('DateTime', {
  description: 'An instant, RFC 3339 in UTC, with milliseconds.',
  serialize: (date) => GraphQLDateTimeISO.serialize(date),
  parseValue: (value) => GraphQLDateTimeISO.parseValue(value),
});

function readObject(value: unknown, node?: ValueNode): Record<string, unknown> {
  if (isRecord(value)) return value;
  throw new GraphQLError('Expected a JSON object.', { nodes: node });
}

const DEEPEST_OUTPUT = 1000;

/** The value as JSON.stringify takes it: the same one, unless a BigInt is somewhere in it. */
function toJson(value: unknown): unknown {
  return holdsBigInt(value) ? JSON.parse(JSON.stringify(value, showBigInt)) : value;
}

function holdsBigInt(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint';
  // Deeper ones, and cycles, would overflow JSON.stringify's stack.
  if (depth > DEEPEST_OUTPUT)
    throw new Error(`A value nests deeper than ${DEEPEST_OUTPUT} levels.`);
  for (const inner of Array.isArray(value) ? value : Object.values(value)) {
    if (holdsBigInt(inner, depth + 1)) return true;
  }
  return false;
}

/** A number where it is exact, its digits otherwise. */
function showBigInt(_key: string, value: unknown): unknown {
  if (typeof value !== 'bigint') return value;
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
}
