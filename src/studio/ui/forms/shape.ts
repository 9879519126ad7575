/** A JSON Schema, as a graph gives it. */
export type JsonSchema = Record<string, unknown>;

interface Described {
  schema: JsonSchema;
  title: string | undefined;
  description: string | undefined;
  /** Null is a value of the field. */
  isNullable: boolean;
}

export interface Property {
  name: string;
  schema: JsonSchema;
  isRequired: boolean;
}

/** What a form shows for a schema. */
export type Shape = Described &
  (
    | { kind: 'text' | 'number' | 'boolean' | 'null' | 'any' }
    | { kind: 'constant'; value: unknown }
    | { kind: 'choice'; options: readonly unknown[] }
    | { kind: 'object'; properties: readonly Property[] }
    | { kind: 'record'; values: JsonSchema }
    | { kind: 'list'; items: JsonSchema }
    | { kind: 'tuple'; items: readonly JsonSchema[] }
    | { kind: 'union'; options: readonly JsonSchema[] }
  );

const LONGEST_PATH = 20;

/** The shape of a schema. References are relative to `root`. A schema that no field fits has the kind `any`. */
export function shapeOf(given: unknown, root: JsonSchema): Shape {
  const schema = resolve(given, root);
  const { title, description } = schema;
  const types = typesOf(schema);
  return {
    schema,
    title: text(title),
    description: text(description),
    isNullable:
      (types.includes('null') && types.length > 1) ||
      (isList(schema['enum']) && schema['enum'].includes(null)),
    ...kindOf(
      schema,
      types.filter((type, _at, all) => type !== 'null' || all.length === 1),
    ),
  };
}

/** Splits `{type: [a, b]}` and `anyOf` with null, so that one kind remains. */
function kindOf(schema: JsonSchema, types: readonly string[]): KindOf {
  if ('const' in schema) return { kind: 'constant', value: schema['const'] };
  if (isList(schema['enum'])) {
    return { kind: 'choice', options: schema['enum'].filter((option) => option !== null) };
  }
  const options = optionsOf(schema);
  if (options) return { kind: 'union', options };
  const [type, ...more] = types;
  if (more.length > 0) {
    return { kind: 'union', options: types.map((each) => ({ ...schema, type: each })) };
  }
  switch (type ?? '') {
    case 'string':
      return { kind: 'text' };
    case 'number':
    case 'integer':
      return { kind: 'number' };
    case 'boolean':
      return { kind: 'boolean' };
    case 'null':
      return { kind: 'null' };
    case 'array':
      return listOf(schema);
    case 'object':
      return objectOf(schema);
    default:
      return { kind: 'any' };
  }
}

type KindOf = Shape extends infer Each
  ? Each extends Shape
    ? Omit<Each, keyof Described>
    : never
  : never;

function listOf({ prefixItems, items }: JsonSchema): KindOf {
  if (isList(prefixItems) && !isSchema(items)) {
    return { kind: 'tuple', items: prefixItems.map(schemaOf) };
  }
  return prefixItems === undefined && isSchema(items) ? { kind: 'list', items } : { kind: 'any' };
}

function objectOf(schema: JsonSchema): KindOf {
  const { properties, additionalProperties: others } = schema;
  if (isSchema(properties) && Object.keys(properties).length > 0) {
    const required = isList(schema['required']) ? schema['required'] : [];
    return {
      kind: 'object',
      properties: Object.entries(properties).map(([name, each]) => ({
        name,
        schema: schemaOf(each),
        isRequired: required.includes(name),
      })),
    };
  }
  if (others === false) return { kind: 'object', properties: [] };
  return { kind: 'record', values: schemaOf(others) };
}

/** Follows references, joins `allOf`, and takes null out of a union. */
function resolve(given: unknown, root: JsonSchema, depth = 0): JsonSchema {
  const schema = schemaOf(given);
  if (depth > LONGEST_PATH) return {};
  const { $ref: reference, ...own } = schema;
  if (typeof reference === 'string') {
    return resolve({ ...found(reference, root), ...own }, root, depth + 1);
  }
  if (isList(schema['allOf'])) {
    const { allOf, ...rest } = schema;
    const parts = allOf.map((each) => resolve(each, root, depth + 1));
    return resolve(joined([...parts, rest]), root, depth + 1);
  }
  for (const keyword of ['anyOf', 'oneOf'] as const) {
    const options = schema[keyword];
    if (!isList(options)) continue;
    const { [keyword]: _options, ...rest } = schema;
    const some = options.map(schemaOf).filter((each) => each['type'] !== 'null');
    const [only] = some;
    if (some.length === 1 && only && options.length === 2) {
      const one = resolve({ ...only, ...rest }, root, depth + 1);
      return { ...one, type: [...typesOf(one), 'null'] };
    }
  }
  return schema;
}

/** The schema at `#/$defs/Name`. */
function found(reference: string, root: JsonSchema): JsonSchema {
  if (!reference.startsWith('#')) return {};
  const keys = reference.slice(1).split('/').slice(1);
  return keys.reduce<JsonSchema>((each, key) => {
    const name = decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~');
    return schemaOf(each[name]);
  }, root);
}

function joined(parts: readonly JsonSchema[]): JsonSchema {
  return parts.reduce((all, part) => ({
    ...all,
    ...part,
    ...(isSchema(all['properties']) && {
      properties: { ...all['properties'], ...schemaOf(part['properties']) },
    }),
    ...(isList(all['required']) && {
      required: [...all['required'], ...(isList(part['required']) ? part['required'] : [])],
    }),
  }));
}

function optionsOf(schema: JsonSchema): JsonSchema[] | undefined {
  for (const keyword of ['anyOf', 'oneOf']) {
    const options = schema[keyword];
    if (isList(options) && options.length > 0) return options.map(schemaOf);
  }
  return undefined;
}

function typesOf(schema: JsonSchema): string[] {
  const { type } = schema;
  if (isList(type)) return type.filter((each) => typeof each === 'string');
  if (typeof type === 'string') return [type];
  if ('properties' in schema) return ['object'];
  return 'items' in schema || 'prefixItems' in schema ? ['array'] : [];
}

function isList(value: unknown): value is unknown[] {
  return Array.isArray(value);
}

/** Whether a value is an object, such as a schema or the properties of one. */
export function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The schemas `true` and `undefined` allow everything. */
function schemaOf(value: unknown): JsonSchema {
  return isSchema(value) ? value : {};
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
