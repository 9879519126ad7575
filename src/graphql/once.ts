import {
  isObjectType,
  type GraphQLFieldResolver,
  type GraphQLResolveInfo,
  type GraphQLSchema,
} from 'graphql';
import type { ClientApp } from '../app.ts';

type Resolver = GraphQLFieldResolver<unknown, ClientApp>;

/**
 * Resolves a field of an object once for all aliases with the same arguments, and starts no resolver after the end of its
 * operation. Mutations are resolved for each alias. A started mutation runs to its end.
 */
export function resolveOnce(schema: GraphQLSchema): GraphQLSchema {
  const mutations = schema.getMutationType();
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    for (const field of Object.values(type.getFields())) {
      const { resolve } = field as { resolve?: Resolver };
      if (!resolve) continue;
      const name = `${type.name}.${field.name}`;
      field.resolve = type === mutations ? whileGoingOn(resolve) : shared(name, resolve);
    }
  }
  return schema;
}

function whileGoingOn(resolve: Resolver): Resolver {
  return (parent, args, app, info) => {
    app.operation?.check();
    return resolve(parent, args, { ...app, sql: app.unlimitedSql ?? app.sql }, info);
  };
}

function shared(name: string, resolve: Resolver): Resolver {
  return (parent, args, app, info) => {
    const { operation } = app;
    if (!operation) return resolve(parent, args, app, info);
    operation.check();
    const object = typeof parent === 'object' && parent !== null ? parent : operation;
    const key = hasArguments(args) ? `${name} ${JSON.stringify(args)}` : name;
    const known = operation.results.get(object);
    if (known?.has(key)) return known.get(key);
    const result: unknown = resolve(parent, args, app, info);
    if (result instanceof Promise || isAlias(info)) {
      const results = known ?? new Map<string, unknown>();
      operation.results.set(object, results.set(key, result));
    }
    return result;
  };
}

function hasArguments(args: object): boolean {
  for (const _ in args) return true;
  return false;
}

function isAlias({ path, fieldName }: GraphQLResolveInfo): boolean {
  return path.key !== fieldName;
}
