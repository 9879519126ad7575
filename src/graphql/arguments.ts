import {
  getNullableType,
  isInputObjectType,
  isListType,
  isObjectType,
  type GraphQLArgument,
  type GraphQLFieldResolver,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLSchema,
} from 'graphql';
import { BadInputError } from '../errors.ts';

const DEEPEST_JSON = 100;

/** Because of the u flag, complete pairs do not match. */
const HALF_PAIR = /\p{Surrogate}/u;

/**
 * Adds a check to every resolver with arguments. It refuses values PostgreSQL cannot store: null bytes and unpaired
 * surrogates in texts, JSON with infinite numbers or NaN, and JSON deeper than 100 levels. Throws a BadInputError with the
 * path of the value. Variables and literals are treated alike.
 */
export function checkArguments(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    for (const field of Object.values(type.getFields())) {
      if (field.args.length === 0) continue;
      if (field.resolve) field.resolve = checked(field.args, field.resolve);
      if (field.subscribe) field.subscribe = checked(field.args, field.subscribe);
    }
  }
  return schema;
}

type AnyResolver = GraphQLFieldResolver<unknown, unknown>;

function checked(declared: readonly GraphQLArgument[], resolve: AnyResolver): AnyResolver {
  return (root, args, context, info) => {
    checkFields(declared, args, '');
    return resolve(root, args, context, info);
  };
}

function checkFields(
  declared: Iterable<GraphQLArgument | GraphQLInputField>,
  values: Record<string, unknown>,
  prefix: string,
): void {
  for (const { name, type } of declared) checkValue(type, values[name], `${prefix}${name}`);
}

function checkValue(declared: GraphQLInputType, value: unknown, path: string): void {
  if (value === null || value === undefined) return;
  const type = getNullableType(declared);
  if (isListType(type)) {
    for (const [index, item] of (value as unknown[]).entries()) {
      checkValue(type.ofType, item, `${path}[${index}]`);
    }
  } else if (isInputObjectType(type)) {
    checkFields(Object.values(type.getFields()), value as Record<string, unknown>, `${path}.`);
  } else if (type.name === 'JSON' || type.name === 'JSONObject') {
    checkJson(value, path);
  } else if (typeof value === 'string') {
    checkText(value, () => path);
  }
}

/** A part of a JSON value, with its path. */
interface Part {
  value: unknown;
  depth: number;
  key: string | number;
  parent: Part | undefined;
}

/** Uses an explicit stack, because the client controls the depth. */
function checkJson(root: unknown, path: string): void {
  const open: Part[] = [{ value: root, depth: 0, key: path, parent: undefined }];
  for (let part = open.pop(); part; part = open.pop()) {
    const { value, depth } = part;
    if (typeof value === 'string') checkText(value, pathOf(part));
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw badInput(pathOf(part), 'is not a finite number');
    }
    if (typeof value !== 'object' || value === null) continue;
    if (depth === DEEPEST_JSON) {
      throw new BadInputError(path, `${path} is nested deeper than ${DEEPEST_JSON} levels.`);
    }
    const isList = Array.isArray(value);
    for (const [key, item] of Object.entries(value)) {
      const inner = {
        value: item,
        depth: depth + 1,
        key: isList ? Number(key) : key,
        parent: part,
      };
      if (!isList) checkText(key, pathOf(part));
      open.push(inner);
    }
  }
}

function checkText(text: string, path: () => string): void {
  if (text.includes('\0')) throw badInput(path, 'holds a null byte');
  if (HALF_PAIR.test(text)) throw badInput(path, 'holds half of a surrogate pair');
}

function badInput(path: () => string, problem: string): BadInputError {
  const argument = path();
  return new BadInputError(argument, `${argument} ${problem}.`);
}

function pathOf(part: Part): () => string {
  return () => {
    let path = '';
    for (let at: Part | undefined = part; at; at = at.parent) {
      const step = typeof at.key === 'number' ? `[${at.key}]` : at.key;
      path = path === '' || path.startsWith('[') ? `${step}${path}` : `${step}.${path}`;
    }
    return path;
  };
}
