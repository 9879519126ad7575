import {
  getNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isSpecifiedScalarType,
  type GraphQLArgument,
  type GraphQLInputType,
  type GraphQLNamedType,
  type GraphQLOutputType,
} from 'graphql';
import { describe, expect, it } from 'vitest';
import { schema } from '../src/graphql/index.ts';

// schema.graphql is the manual. It explains every name, unless name and type are clear.

/** Names with the same meaning everywhere. The name of an id contains its type. */
const WORDS = /^(createdAt|name|description|orderBy|[a-z]\w*Ids?)$/;

const PLACES = [
  // Names of GraphQL and of Relay.
  /^(Query|Mutation|Subscription)$/,
  /^PageInfo(\.\w+)?$/,
  /^\w+Connection(\.(edges|nodes|pageInfo))?$/,
  /^\w+Edge(\.(cursor|node))?$/,
  // The names explain orders and inputs.
  /^OrderDirection(\.(ASC|DESC))?$/,
  /^\w+Order(Field\.\w+)?$/,
  /^(Create|Update)\w+Input$/,
  // An operation on a single object takes its id.
  /^(Query|Mutation)\.\w+\(id:\)$/,
  /^MessageType\.(HUMAN|AI|SYSTEM)$/,
  /^MediaKind\.\w+$/,
  /^TokenUsage\.(input|output|total)Tokens$/,
];

interface Described {
  /** For example Thread, Thread.history, Thread.history(first:), ThreadStatus.IDLE. */
  place: string;
  name: string;
  description: string | null | undefined;
  /** The type of a field or an argument. */
  type?: string;
  /** The description of the argument's field, or of the field's type. */
  around?: string | null | undefined;
}

function describedIn(type: GraphQLNamedType): Described[] {
  const own = { place: type.name, name: type.name, description: type.description };
  if (isEnumType(type)) {
    const values = type.getValues();
    return [own, ...values.map((value) => ({ ...value, place: `${type.name}.${value.name}` }))];
  }
  if (!isInputObjectType(type) && !isObjectType(type) && !isInterfaceType(type)) return [own];
  const fields = Object.values(type.getFields()).flatMap((field) => {
    const place = `${type.name}.${field.name}`;
    const args: readonly GraphQLArgument[] = 'args' in field ? field.args : [];
    return [
      typed(field, place, type.description),
      ...args.map((arg) => typed(arg, `${place}(${arg.name}:)`, field.description)),
    ];
  });
  return [own, ...fields];
}

type Typed = Pick<GraphQLArgument, 'name' | 'description'> & {
  type: GraphQLInputType | GraphQLOutputType;
};

function typed(
  { name, description, type }: Typed,
  place: string,
  around: string | null | undefined,
): Described {
  return { place, name, description, type: getNamedType(type).name, around };
}

const everything = Object.values(schema.getTypeMap())
  .filter((type) => !type.name.startsWith('__') && !isSpecifiedScalarType(type))
  .flatMap(describedIn);
const places = new Map(everything.map((one) => [one.place, one]));

function isClear(one: Described): boolean {
  return Boolean(one.description) || explainsItself(one);
}

function explainsItself({ place, name, type, around }: Described): boolean {
  if (WORDS.test(name) || PLACES.some((pattern) => pattern.test(place))) return true;
  if (around && new RegExp(`\\b${name}\\b`).test(around)) return true;
  const named = type === undefined ? undefined : places.get(type);
  return named !== undefined && isNamedAfter(named.name, name) && isClear(named);
}

/** Whether the name of the field is the name of its type: status of ThreadStatus, interrupts of Interrupt. */
function isNamedAfter(type: string, name: string): boolean {
  const singular = name.replace(/s$/, '').toLowerCase();
  return [type, type.replace(/Input$/, '')].some((each) =>
    [name.toLowerCase(), singular].some((ending) => each.toLowerCase().endsWith(ending)),
  );
}

describe('The schema', () => {
  it('describes what does not explain itself', () => {
    const silent = everything.filter((one) => !isClear(one));
    expect(silent.map(({ place }) => place)).toEqual([]);
  });

  it('is described in sentences, none of which is the name once more', () => {
    const idle = everything.filter(
      ({ name, description }) =>
        description &&
        (!/[.…]$/.test(description) ||
          description.replace(/[^a-z]/gi, '').toLowerCase() === name.toLowerCase()),
    );
    expect(idle.map(({ place }) => place)).toEqual([]);
  });

  it('has no rule for what is not there', () => {
    const used = (pattern: RegExp) => everything.some(({ place }) => pattern.test(place));
    expect(PLACES.filter((pattern) => !used(pattern))).toEqual([]);
  });
});
