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
import { checkJson, checkText } from '../check-json.ts';

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
