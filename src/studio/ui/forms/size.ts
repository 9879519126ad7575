import { shapeOf, type JsonSchema } from './shape.ts';

const MOST_FIELDS = 200;

/** Whether a form can show the schema: the root is no free JSON, and the fields are fewer than 200. */
export function canShow(schema: JsonSchema): boolean {
  return shapeOf(schema, schema).kind !== 'any' && countFields(schema) < MOST_FIELDS;
}

/** The number of fields of a form with one item in each list. A schema inside of itself counts once. */
export function countFields(root: JsonSchema): number {
  return count(root, root, new Set());
}

function count(given: JsonSchema, root: JsonSchema, above: ReadonlySet<JsonSchema>): number {
  const shape = shapeOf(given, root);
  if (above.has(given)) return 1;
  const below = new Set([...above, given, shape.schema]);
  const sum = (schemas: readonly JsonSchema[]) =>
    schemas.reduce((total, each) => total + count(each, root, below), 0);
  switch (shape.kind) {
    case 'object':
      return sum(shape.properties.map(({ schema }) => schema));
    case 'list':
      return sum([shape.items]);
    case 'record':
      return 1 + sum([shape.values]);
    case 'tuple':
      return sum(shape.items);
    case 'union':
      return 1 + Math.max(...shape.options.map((option) => sum([option])));
    case 'text':
    case 'number':
    case 'boolean':
    case 'null':
    case 'any':
    case 'constant':
    case 'choice':
    default:
      return 1;
  }
}
