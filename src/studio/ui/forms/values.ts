import { isSchema, shapeOf, type JsonSchema, type Shape } from './shape.ts';

/** The value with which a form begins: the defaults, and what the schema requires without a choice. */
export function initialValue(given: JsonSchema, root: JsonSchema, isRequired = true): unknown {
  const shape = shapeOf(given, root);
  const { schema, isNullable } = shape;
  if ('default' in schema) return structuredClone(schema['default']);
  if (!isRequired) return undefined;
  if (isNullable) return null;
  switch (shape.kind) {
    case 'constant':
      return shape.value;
    case 'null':
      return null;
    case 'object':
      return Object.fromEntries(
        shape.properties.map((each) => [
          each.name,
          initialValue(each.schema, root, each.isRequired),
        ]),
      );
    case 'record':
      return {};
    case 'list':
      return firstItems(shape, root);
    case 'tuple':
      return shape.items.map((item) => initialValue(item, root));
    case 'union':
      return shape.options[0] && initialValue(shape.options[0], root);
    case 'text':
    case 'number':
    case 'boolean':
    case 'choice':
    case 'any':
    default:
      return undefined;
  }
}

/** A list that needs an item begins with it. */
function firstItems({ schema, items }: Shape & { kind: 'list' }, root: JsonSchema): unknown[] {
  const { minItems } = schema;
  const length = typeof minItems === 'number' ? Math.min(minItems, 20) : 0;
  return Array.from({ length }, () => initialValue(items, root));
}

/** The value of a field that a person adds or selects. It is neither undefined nor null where the type has an empty value. */
export function chosenValue(given: JsonSchema, root: JsonSchema): unknown {
  const shape = shapeOf(given, root);
  const { default: standard, type, ...schema } = shape.schema;
  const own = {
    ...schema,
    ...(standard !== null && standard !== undefined && { default: standard }),
    ...(type !== undefined && { type: [type].flat().filter((each) => each !== 'null') }),
  };
  const value = shape.isNullable ? initialValue(own, root) : initialValue(shape.schema, root);
  return value === undefined ? EMPTY[shape.kind] : value;
}

const EMPTY: Partial<Record<Shape['kind'], unknown>> = { text: '', number: 0, boolean: false };

/** The index of the option of a union that fits the value best. */
export function optionAt(
  { options }: Shape & { kind: 'union' },
  value: unknown,
  root: JsonSchema,
): number {
  const scores = options.map((option) => fit(shapeOf(option, root), value, root));
  return Math.max(0, scores.indexOf(Math.max(...scores)));
}

/** How well a value fits: 0 is another type, and each property with a fixed value that differs excludes the shape. */
function fit(shape: Shape, value: unknown, root: JsonSchema): number {
  if (value === null) return shape.kind === 'null' || shape.isNullable ? 2 : 0;
  switch (shape.kind) {
    case 'constant':
      return Object.is(shape.value, value) ? 2 : 0;
    case 'choice':
      return shape.options.includes(value) ? 2 : 0;
    case 'text':
      return typeof value === 'string' ? 1 : 0;
    case 'number':
    case 'boolean':
      return typeof value === shape.kind ? 1 : 0;
    case 'list':
    case 'tuple':
      return Array.isArray(value) ? 1 : 0;
    case 'record':
      return isSchema(value) ? 1 : 0;
    case 'object':
      return isSchema(value) ? fitObject(shape, value, root) : 0;
    case 'union':
      return Math.max(...shape.options.map((each) => fit(shapeOf(each, root), value, root)));
    case 'null':
      return 0;
    case 'any':
    default:
      return 0.5;
  }
}

function fitObject(
  { properties }: Shape & { kind: 'object' },
  value: JsonSchema,
  root: JsonSchema,
): number {
  let score = 1;
  for (const { name, schema } of properties) {
    const shape = shapeOf(schema, root);
    if (name in value) score += 1;
    if (shape.kind === 'constant' && !Object.is(shape.value, value[name])) return 0.25;
  }
  return score - Object.keys(value).filter((key) => !properties.some((p) => p.name === key)).length;
}
