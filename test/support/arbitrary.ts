import fc from 'fast-check';
import {
  getNamedType,
  getNullableType,
  isAbstractType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLOutputType,
  type GraphQLSchema,
} from 'graphql';

// Makes requests from the schema. Every argument gets valid, invalid and absurd values.

/** A field with arguments, and the document around it. */
export interface Operation {
  /** For example Query.threads or Thread.history. */
  name: string;
  kind: 'query' | 'mutation' | 'subscription';
  args: readonly GraphQLArgument[];
  /** The document before and after the field. */
  open: string;
  close: string;
  field: string;
  /** The selection of fields of the field's type. */
  selection: string;
  /** The text of a failed request in the report of fast-check. */
  [fc.toStringMethod](): string;
}

/** Valid values by the name of their argument or input field. */
export type Known = Record<string, readonly unknown[]>;

export interface Request {
  operation: Operation;
  args: Record<string, unknown>;
  /** Whether the document contains the arguments as literals, if GraphQL has literals for them. */
  inline: boolean;
}

type Declared = GraphQLArgument | GraphQLInputField;

/** Lists within lists, deeper than the stack. */
class Nested {
  readonly levels: number;

  constructor(levels: number) {
    this.levels = levels;
  }

  write(): string {
    return `${'['.repeat(this.levels)}${']'.repeat(this.levels)}`;
  }

  [fc.toStringMethod](): string {
    return `${this.levels} levels`;
  }
}

/** Writes JSON text. An infinite number becomes a number that is too large. */
function toJson(value: unknown): string {
  if (value instanceof Nested) return value.write();
  if (typeof value === 'number' && !Number.isFinite(value)) return value > 0 ? '1e999' : '-1e999';
  if (Array.isArray(value)) return `[${value.map(toJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return `{${fields.map(([key, inner]) => `${JSON.stringify(key)}:${toJson(inner)}`).join(',')}}`;
}

const NAME = /^[_A-Za-z]\w*$/;

/** Writes a value as a literal of a document. Undefined: an object has a key with characters that are not allowed in names. */
function toLiteral(type: GraphQLInputType | undefined, value: unknown): string | undefined {
  const nullable = type && getNullableType(type);
  if (Array.isArray(value)) {
    const items = value.map((item) =>
      toLiteral(isListType(nullable) ? nullable.ofType : undefined, item),
    );
    return items.includes(undefined) ? undefined : `[${items.join(', ')}]`;
  }
  if (typeof value === 'object' && value !== null && !(value instanceof Nested)) {
    const declared = isInputObjectType(nullable) ? nullable.getFields() : {};
    const fields = Object.entries(value).map(([key, inner]) => {
      const literal = NAME.test(key) ? toLiteral(declared[key]?.type, inner) : undefined;
      return literal && `${key}: ${literal}`;
    });
    return fields.includes(undefined) ? undefined : `{ ${fields.join(', ')} }`;
  }
  const isName = typeof value === 'string' && NAME.test(value);
  return isName && isEnumType(type && getNamedType(type)) ? value : toJson(value);
}

/** Returns the document and the JSON text of its variables. */
export function write({ operation, args, inline }: Request): { query: string; variables: string } {
  const { kind, open, close, field, selection } = operation;
  const given = operation.args.filter(({ name }) => args[name] !== undefined);
  const literals = given.map(({ name, type }) => inline && toLiteral(type, args[name]));
  const isInline = literals.every((literal) => typeof literal === 'string');
  const values = given.map(({ name }, i) => `${name}: ${isInline ? literals[i] : `$${name}`}`);
  const list = values.length > 0 ? `(${values.join(', ')})` : '';
  const declared = isInline ? [] : given.map(({ name, type }) => `$${name}: ${String(type)}`);
  const variables = declared.length > 0 ? ` (${declared.join(', ')})` : '';
  const shown = Object.fromEntries(given.map(({ name }) => [name, args[name]]));
  return {
    query: `${kind}${variables} { ${open} ${field}${list} ${selection} ${close} }`,
    variables: isInline ? '{}' : toJson(shown),
  };
}

const KINDS = { Query: 'query', Mutation: 'mutation', Subscription: 'subscription' } as const;

/**
 * Returns every field of the schema with arguments. A path from Query leads to each type, through fields with arguments from
 * `known`.
 */
export function operationsOf(schema: GraphQLSchema, known: Known): Operation[] {
  const ways = waysOf(schema, known);
  return Object.values(schema.getTypeMap()).flatMap((type) => {
    if (!isObjectType(type) || type.name.startsWith('__')) return [];
    const kind = Object.entries(KINDS).find(([name]) => name === type.name)?.[1];
    const fields = Object.values(type.getFields()).filter(({ args }) => args.length > 0);
    return fields.map((field) => {
      const way = kind ? '' : ways.get(type.name);
      if (way === undefined) throw new Error(`No query leads to ${type.name}.${field.name}.`);
      return {
        name: `${type.name}.${field.name}`,
        kind: kind ?? ('query' as const),
        args: field.args,
        open: way,
        close: '}'.repeat(way.split('{').length - way.split('}').length),
        field: field.name,
        selection: selectionOf(schema, field.type, 1),
        [fc.toStringMethod]: () => `${type.name}.${field.name}`,
      };
    });
  });
}

/** For each object type, the beginning of a query that ends in it. */
function waysOf(schema: GraphQLSchema, known: Known): Map<string, string> {
  const ways = new Map<string, string>();
  const open = [{ type: schema.getQueryType(), way: '' }];
  for (let next = open.shift(); next; next = open.shift()) {
    for (const field of Object.values(next.type?.getFields() ?? {})) {
      const type = getNamedType(field.type);
      const args = isObjectType(type) && !ways.has(type.name) && literalArgs(field, known);
      if (!isObjectType(type) || typeof args !== 'string') continue;
      const way = `${next.way} ${field.name}${args} {`;
      ways.set(type.name, way);
      open.push({ type, way });
    }
  }
  return ways;
}

/** Returns the required arguments, each with its first known value. Undefined: an argument without a known value. */
function literalArgs(field: GraphQLField<unknown, unknown>, known: Known): string | undefined {
  const required = field.args.filter(isRequiredArgument);
  if (required.length === 0) return '';
  const own = known[`${getNamedType(field.type).name}.id`];
  const values = required.map(({ name, type }) => {
    const [value] = own ?? known[name] ?? [];
    return value === undefined ? undefined : `${name}: ${toLiteral(type, value)}`;
  });
  return values.includes(undefined) ? undefined : `(${values.join(', ')})`;
}

/** Selects all leaves and the leaves of objects up to `depth` levels below. Of abstract types it selects only the names. */
function selectionOf(schema: GraphQLSchema, output: GraphQLOutputType, depth: number): string {
  const type = getNamedType(output);
  if (isLeafType(type)) return '';
  if (isAbstractType(type)) return '{ __typename }';
  const fields = Object.values(type.getFields())
    .filter(({ args, type }) => !args.some(isRequiredArgument) && (depth > 0 || isLeaf(type)))
    .map((field) => `${field.name} ${selectionOf(schema, field.type, depth - 1)}`.trim());
  return `{ ${fields.join(' ') || '__typename'} }`;
}

function isLeaf(type: GraphQLOutputType): boolean {
  return isLeafType(getNamedType(type));
}

const HOSTILE: readonly unknown[] = [
  null,
  '',
  'x',
  [],
  [null],
  {},
  true,
  -1,
  1.5,
  2 ** 31,
  1e308,
  Infinity,
  '\0',
  'a\ud83d',
  { a: ['\0'] },
  { '\ude00': 1 },
  { a: -Infinity },
  'x'.repeat(3000),
  new Nested(101),
  new Nested(100_000),
];

/** Returns requests with a single bad value, in each argument and in each field of an input. */
export function badRequestOf(
  operations: readonly Operation[],
  known: Known,
): fc.Arbitrary<Request> {
  const places = operations.flatMap((operation) =>
    placesIn(operation.args, known).map((place) => ({ operation, place })),
  );
  return fc
    .record({
      at: fc.constantFrom(...places),
      value: fc.constantFrom(...HOSTILE),
      inline: fc.boolean(),
    })
    .map(({ at: { operation, place }, value, inline }) => ({
      operation,
      args: place(value),
      inline,
    }));
}

type Place = (value: unknown) => Record<string, unknown>;

function placesIn(declared: readonly Declared[], known: Known): Place[] {
  const rest = leastOf(declared, known);
  return declared.flatMap(({ name, type }) => {
    const named = getNamedType(type);
    const inner = isInputObjectType(named) ? placesIn(fieldsOf(named), known) : [];
    const isList = isListType(getNullableType(type));
    return [
      (value: unknown) => ({ ...rest, [name]: value }),
      ...(isList ? [(value: unknown) => ({ ...rest, [name]: [value] })] : []),
      ...inner.map((place) => (value: unknown) => ({
        ...rest,
        [name]: isList ? [place(value)] : place(value),
      })),
    ];
  });
}

function fieldsOf(type: { getFields(): Record<string, GraphQLInputField> }): GraphQLInputField[] {
  return Object.values(type.getFields());
}

/** Returns valid values for the required arguments. */
function leastOf(declared: readonly Declared[], known: Known): Record<string, unknown> {
  return Object.fromEntries(
    declared
      .filter(isRequiredInputField)
      .map(({ name, type }) => [name, leastValue(name, type, known)]),
  );
}

function leastValue(name: string, type: GraphQLInputType, known: Known): unknown {
  const nullable = getNullableType(type);
  if (isListType(nullable)) return [leastValue(name, nullable.ofType, known)];
  if (isInputObjectType(nullable)) return leastOf(fieldsOf(nullable), known);
  if (isEnumType(nullable)) return nullable.getValues()[0]?.name;
  return known[name]?.[0] ?? LEAST[nullable.name];
}

const LEAST: Record<string, unknown> = {
  Boolean: true,
  Float: 1,
  ID: 'x',
  Int: 1,
  JSON: {},
  JSONObject: {},
  String: 'x',
};

/** Returns mostly valid requests. An operation with more arguments gets more requests. */
export function anyRequestOf(
  operations: readonly Operation[],
  known: Known,
): fc.Arbitrary<Request> {
  return fc.oneof(
    ...operations.map((operation) => ({
      weight: placesIn(operation.args, known).length,
      arbitrary: fc.record({
        operation: fc.constant(operation),
        args: inputOf(operation.args, known),
        inline: fc.boolean(),
      }),
    })),
  );
}

const hostile = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...HOSTILE) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }) },
);

function inputOf(
  declared: readonly Declared[],
  known: Known,
): fc.Arbitrary<Record<string, unknown>> {
  const fields = declared.map((one) => [one.name, mostly(one, valueOf(one.name, one.type, known))]);
  return fc
    .record(Object.fromEntries(fields) as Record<string, fc.Arbitrary<unknown>>)
    .map((input) =>
      Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined)),
    );
}

/** Required fields are usually present, optional fields are usually absent, and values are usually valid. */
function mostly(declared: Declared, fitting: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 12, arbitrary: fitting },
    { weight: 1, arbitrary: hostile },
    { weight: isRequiredInputField(declared) ? 1 : 30, arbitrary: fc.constant(undefined) },
  );
}

function valueOf(name: string, type: GraphQLInputType, known: Known): fc.Arbitrary<unknown> {
  const nullable = getNullableType(type);
  const fitting = fittingValue(name, nullable, known);
  return isNonNullType(type)
    ? fitting
    : fc.oneof({ weight: 9, arbitrary: fitting }, { weight: 1, arbitrary: fc.constant(null) });
}

function fittingValue(name: string, type: GraphQLInputType, known: Known): fc.Arbitrary<unknown> {
  if (isListType(type)) {
    const item = valueOf(name, type.ofType, known);
    return fc.oneof(
      { weight: 8, arbitrary: fc.array(item, { maxLength: 3 }) },
      { weight: 1, arbitrary: item },
      { weight: 1, arbitrary: item.map((same) => Array.from({ length: 101 }, () => same)) },
    );
  }
  if (isInputObjectType(type)) return inputOf(fieldsOf(type), known);
  if (isEnumType(type)) return fc.constantFrom(...type.getValues().map((value) => value.name));
  const any = ANY[getNamedType(type).name] ?? fc.jsonValue();
  const own = known[name] ?? [];
  if (own.length === 0) return any;
  return fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...own) }, { weight: 1, arbitrary: any });
}

const number = fc.constantFrom(-1, 0, 1, 2, 3, 20, 100, 101, 1000, 1001, 2 ** 31 - 1, -(2 ** 31));
const text = fc.oneof(
  fc.uuid(),
  fc.string({ maxLength: 30 }),
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.constantFrom('__proto__', 'constructor', '%', "'; --", '*', '|', '$1', '1e9', 'null'),
);
const json = fc.jsonValue({ maxDepth: 4, stringUnit: 'grapheme' });

const ANY: Record<string, fc.Arbitrary<unknown>> = {
  Boolean: fc.boolean(),
  Float: fc.oneof(number, fc.double({ noNaN: true }), fc.constantFrom(1e-9, 0.5, 1e9, 1e21)),
  ID: fc.oneof(text, number),
  Int: number,
  JSON: json,
  JSONObject: fc.dictionary(fc.string({ maxLength: 10 }), json, { maxKeys: 4 }),
  String: text,
};
