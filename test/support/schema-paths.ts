import { readFileSync } from 'node:fs';
import path from 'node:path';
import {
  buildSchema,
  getNamedType,
  isAbstractType,
  isCompositeType,
  isLeafType,
  isObjectType,
  isRequiredArgument,
  type GraphQLField,
  type GraphQLInterfaceType,
  type GraphQLNamedType,
  type GraphQLObjectType,
} from 'graphql';

/** schema.graphql, from which the cases of the matrix come. */
const schema = buildSchema(
  readFileSync(path.join(import.meta.dirname, '../../schema.graphql'), 'utf8'),
);

/** A field on the way from a root field to an object. `on`: the type of an abstract type that has the field. */
interface Step {
  field: string;
  on?: string;
}

/** The way from a root field of Query to a field that has objects. */
export interface SchemaPath {
  /** `Type.field`. */
  name: string;
  root: string;
  steps: Step[];
  /** The named type of the field. */
  type: GraphQLNamedType;
}

type RootType = 'Query' | 'Mutation' | 'Subscription';

/** The names of the fields of a root type. */
export function rootFields(root: RootType): string[] {
  return Object.keys((schema.getType(root) as GraphQLObjectType).getFields());
}

/** The named type of a field of a root type. */
export function typeOfField(root: RootType, name: string): GraphQLNamedType {
  const field = (schema.getType(root) as GraphQLObjectType).getFields()[name];
  if (!field) throw new Error(`${root} has no field ${name}.`);
  return getNamedType(field.type);
}

/** The types with `node(id)`. */
export function nodeTypes(): readonly GraphQLObjectType[] {
  return schema.getPossibleTypes(schema.getType('Node') as GraphQLInterfaceType);
}

/** All `Type.field` with objects that the API can return, except fields of root types. */
export function objectFields(without: ReadonlySet<string>): string[] {
  const types = Object.values(schema.getTypeMap()).filter(
    (type) => isObjectType(type) && !type.name.startsWith('__'),
  ) as GraphQLObjectType[];
  const roots = ['Query', 'Mutation', 'Subscription'];
  return types
    .filter(({ name }) => !roots.includes(name))
    .flatMap((type) =>
      Object.values(type.getFields())
        .filter((field) => hasObjects(field, without))
        .map((field) => `${type.name}.${field.name}`),
    );
}

function hasObjects(field: GraphQLField<unknown, unknown>, without: ReadonlySet<string>): boolean {
  const type = getNamedType(field.type);
  return isCompositeType(type) && !without.has(type.name);
}

/**
 * The shortest path from the root fields to each field with objects. The paths do not lead through `leaves`, and types of `without`
 * have no objects.
 */
export function pathsFrom(
  roots: readonly string[],
  { without, leaves }: { without: ReadonlySet<string>; leaves: ReadonlySet<string> },
): SchemaPath[] {
  const found = new Map<string, SchemaPath>();
  const queue: SchemaPath[] = roots.map((root) => ({
    name: `Query.${root}`,
    root,
    steps: [],
    type: typeOfField('Query', root),
  }));
  for (const at of queue) {
    for (const type of concreteTypes(at.type)) {
      for (const field of Object.values(type.getFields())) {
        const name = `${type.name}.${field.name}`;
        if (!hasObjects(field, without) || found.has(name)) continue;
        const step = { field: field.name, ...(isAbstractType(at.type) && { on: type.name }) };
        const next = {
          name,
          root: at.root,
          steps: [...at.steps, step],
          type: getNamedType(field.type),
        };
        found.set(name, next);
        if (!leaves.has(name)) queue.push(next);
      }
    }
  }
  return [...found.values()];
}

function concreteTypes(type: GraphQLNamedType): readonly GraphQLObjectType[] {
  if (isAbstractType(type)) return schema.getPossibleTypes(type);
  return isObjectType(type) ? [type] : [];
}

/** The selection of a path, with all plain fields of its end. */
export function selectionOf({ steps, type }: Pick<SchemaPath, 'steps' | 'type'>): string {
  const [step, ...rest] = steps;
  if (!step) return `{ ${plainFields(type)} }`;
  const inner = `${step.field} ${selectionOf({ steps: rest, type })}`;
  return step.on ? `{ ... on ${step.on} { ${inner} } }` : `{ ${inner} }`;
}

/** The fields without objects that need no argument, each with a name of its own in each type. */
function plainFields(type: GraphQLNamedType): string {
  const fields = concreteTypes(type).map((each) => {
    const plain = Object.values(each.getFields())
      .filter(
        (field) => isLeafType(getNamedType(field.type)) && !field.args.some(isRequiredArgument),
      )
      .map(({ name }) => (isAbstractType(type) ? `${each.name}_${name}: ${name}` : name))
      .join(' ');
    return isAbstractType(type) ? `... on ${each.name} { ${plain} }` : plain;
  });
  return ['__typename', ...fields].join(' ');
}

/** The values at the end of the path, in an answer for its root field. Without nulls. */
export function valuesAt(value: unknown, steps: readonly Step[]): unknown[] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.flatMap((each) => valuesAt(each, steps));
  const [step, ...rest] = steps;
  return step ? valuesAt((value as Record<string, unknown>)[step.field], rest) : [value];
}

/** A value as it is written in a document. */
function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  if (value instanceof Enum) return value.name;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{ ${fieldsOf(value)} }`;
}

/** Arguments as they are written in a document. */
export function argumentsOf(args: object): string {
  const text = fieldsOf(args);
  return text === '' ? '' : `(${text})`;
}

function fieldsOf(object: object): string {
  return Object.entries(object)
    .map(([key, value]) => `${key}: ${literal(value)}`)
    .join(', ');
}

/** The value of an enum, for `literal`. */
export class Enum {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}
