type Schema = Record<string, unknown>;

/** A field of a schema, as a row of a table. */
export interface SchemaField {
  /** The way to the field, such as `items[].name`. */
  path: string;
  name: string;
  depth: number;
  type: string;
  isRequired: boolean;
  /** JSON of the default value. */
  fallback: string | undefined;
  description: string | undefined;
}

const DEEPEST = 8;

/** The fields of a JSON Schema, nested ones after the field around them. */
export function schemaFields(schema: Schema): SchemaField[] {
  return fieldsOf(schema, { root: schema, path: '', depth: 0, seen: [] });
}

interface Place {
  root: Schema;
  path: string;
  depth: number;
  /** The references on the way: a schema may contain itself. */
  seen: readonly string[];
}

function fieldsOf(schema: Schema, place: Place): SchemaField[] {
  if (place.depth > DEEPEST) return [];
  const { target, seen } = resolved(schema, place);
  const inside = { ...place, seen };
  const required = listOf(target['required']);
  const properties = Object.entries(objectOf(target['properties'])).flatMap(([name, value]) =>
    fieldAndInside(name, objectOf(value), required.includes(name), inside),
  );
  const parts = ['allOf', 'anyOf', 'oneOf'].flatMap((key) => listOf(target[key]).map(objectOf));
  const items = objectOf(target['items']);
  return [
    ...properties,
    ...parts.flatMap((part) => fieldsOf(part, inside)),
    ...(Object.keys(items).length > 0
      ? fieldsOf(items, { ...inside, path: `${place.path}[]` })
      : []),
  ];
}

function fieldAndInside(
  name: string,
  schema: Schema,
  isRequired: boolean,
  place: Place,
): SchemaField[] {
  const { target, seen } = resolved(schema, place);
  const path = place.path ? `${place.path}.${name}` : name;
  const { description = target['description'], default: fallback = target['default'] } = schema;
  const field = {
    path,
    name,
    depth: place.depth,
    type: typeOf(schema, place),
    isRequired,
    fallback: fallback === undefined ? undefined : JSON.stringify(fallback),
    description: typeof description === 'string' ? description : undefined,
  };
  const isRepeated = seen === place.seen && '$ref' in schema;
  const inside = { ...place, path, depth: place.depth + 1, seen };
  return [field, ...(isRepeated ? [] : fieldsOf(target, inside))];
}

/** The schema behind a reference. A reference that is on the way already leads nowhere. */
function resolved(schema: Schema, { root, seen }: Pick<Place, 'root' | 'seen'>) {
  const reference = schema['$ref'];
  if (typeof reference !== 'string') return { target: schema, seen };
  if (!reference.startsWith('#') || seen.includes(reference)) return { target: {}, seen };
  const target = reference
    .split('/')
    .slice(1)
    .map((part) => decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<Schema>((found, part) => objectOf(found[part]), root);
  return { target, seen: [...seen, reference] };
}

/** The type of a schema in words: `string`, `list of number`, `"a" or "b"`. */
function typeOf(schema: Schema, place: Pick<Place, 'root' | 'seen'>): string {
  const { target, seen } = resolved(schema, place);
  if (target !== schema && Object.keys(target).length === 0) return nameOf(schema['$ref']);
  if (target['langgraph_type'] === 'messages') return 'messages';
  if ('const' in target) return JSON.stringify(target['const']);
  const values = listOf(target['enum']);
  if (values.length > 0) return values.map((value) => JSON.stringify(value)).join(' or ');
  const parts = ['anyOf', 'oneOf'].flatMap((key) => listOf(target[key]));
  if (parts.length > 0) {
    const types = parts.map((part) => typeOf(objectOf(part), { ...place, seen }));
    return [...new Set(types)].join(' or ');
  }
  const types = [target['type']].flat().filter((type) => typeof type === 'string');
  if (types.includes('array')) {
    const item = typeOf(objectOf(target['items']), { ...place, seen });
    return types.map((type) => (type === 'array' ? `list of ${item}` : type)).join(' or ');
  }
  return types.join(' or ') || ('properties' in target ? 'object' : 'any');
}

function nameOf(reference: unknown): string {
  return String(reference).split('/').at(-1) ?? 'any';
}

function objectOf(value: unknown): Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Schema)
    : {};
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
