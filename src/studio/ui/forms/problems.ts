import { Validator, type OutputUnit } from '@cfworker/json-schema';
import { labelOf } from './labels.ts';
import { isSchema, shapeOf, type JsonSchema, type Shape } from './shape.ts';
import { optionAt } from './values.ts';

export interface Problem {
  /** The field, as a JSON pointer. */
  path: string;
  /** The names of the field and of the fields around it. */
  field: string;
  message: string;
}

/** What is wrong with a value, field by field. Empty: the value fits the schema. */
export function problemsOf(schema: JsonSchema, value: unknown): Problem[] {
  const problems = walk(schema, value, { root: schema, path: '', field: [] });
  if (problems.length > 0) return problems;
  // Rules between fields, and keywords without a field of the form. A property without a value is not sent.
  const sent: unknown = JSON.parse(JSON.stringify(value ?? null));
  const { valid, errors } = new Validator(schema, '2020-12', false).validate(sent);
  return valid ? [] : deepest(errors).map(problemOf);
}

interface Place {
  root: JsonSchema;
  path: string;
  field: readonly string[];
}

function walk(given: JsonSchema, value: unknown, place: Place): Problem[] {
  const shape = shapeOf(given, place.root);
  if (value === undefined) return [problem(place, 'A value is required.')];
  if (value === null && shape.isNullable) return [];
  switch (shape.kind) {
    case 'object':
      return isSchema(value)
        ? shape.properties.flatMap((each) => {
            const own = value[each.name];
            if (own === undefined && !each.isRequired) return [];
            const label = labelOf(each.name, shapeOf(each.schema, place.root));
            return walk(each.schema, own, below(place, each.name, label));
          })
        : [problem(place, 'Must be an object.')];
    case 'record':
      return isSchema(value)
        ? Object.entries(value).flatMap(([name, each]) =>
            walk(shape.values, each, below(place, name, name)),
          )
        : [problem(place, 'Must be an object.')];
    case 'list':
    case 'tuple':
      return walkList(shape, value, place);
    case 'union':
      return walk(shape.options[optionAt(shape, value, place.root)] ?? {}, value, place);
    case 'any':
      return [];
    case 'text':
    case 'number':
    case 'boolean':
    case 'null':
    case 'constant':
    case 'choice':
    default:
      return walkLeaf(shape, value, place);
  }
}

function walkList(
  shape: Shape & { kind: 'list' | 'tuple' },
  value: unknown,
  place: Place,
): Problem[] {
  if (!Array.isArray(value)) return [problem(place, 'Must be a list.')];
  const { minItems: least = 0, maxItems: most = Infinity } = shape.schema as {
    minItems?: number;
    maxItems?: number;
  };
  const own =
    value.length < least
      ? [problem(place, `Needs at least ${counted(least, 'item')}.`)]
      : value.length > most
        ? [problem(place, `At most ${counted(most, 'item')}.`)]
        : [];
  const items = value.flatMap((item, index) => {
    const schema = shape.kind === 'list' ? shape.items : shape.items[index];
    return schema ? walk(schema, item, below(place, String(index), String(index + 1))) : [];
  });
  return [...own, ...items];
}

function walkLeaf({ schema }: Shape, value: unknown, place: Place): Problem[] {
  const { valid, errors } = new Validator(schema, '2020-12', false).validate(value);
  const [first] = errors.map(({ keyword, error }) => wordsOf(keyword, schema) ?? error);
  return valid ? [] : [problem(place, first ?? 'Does not fit the schema.')];
}

const NUMBER = 'Must be a number.';

/** What a rule of a schema asks for. */
function wordsOf(keyword: string, schema: JsonSchema): string | undefined {
  const limit = schema[keyword];
  switch (keyword) {
    case 'type': {
      const [type] = [limit].flat();
      if (type === 'number') return NUMBER;
      return type === 'integer' ? 'Must be a whole number.' : `Must be a ${String(type)}.`;
    }
    case 'const':
      return `Must be ${JSON.stringify(limit)}.`;
    case 'enum':
      return 'Must be one of the choices.';
    case 'minimum':
      return `Must be at least ${String(limit)}.`;
    case 'maximum':
      return `Must be at most ${String(limit)}.`;
    case 'exclusiveMinimum':
      return `Must be more than ${String(limit)}.`;
    case 'exclusiveMaximum':
      return `Must be less than ${String(limit)}.`;
    case 'multipleOf':
      return `Must be a multiple of ${String(limit)}.`;
    case 'minLength':
      return `Needs at least ${counted(Number(limit), 'character')}.`;
    case 'maxLength':
      return `At most ${counted(Number(limit), 'character')}.`;
    case 'format':
      return `This is not a valid ${String(limit)}.`;
    case 'pattern':
      return typeof schema['format'] === 'string'
        ? `This is not a valid ${schema['format']}.`
        : `Must match ${String(limit)}.`;
    default:
      return undefined;
  }
}

/** The errors without those of the schemas around them. */
function deepest(errors: readonly OutputUnit[]): OutputUnit[] {
  const lengths = errors.map(({ instanceLocation }) => instanceLocation.length);
  const longest = Math.max(...lengths);
  return errors.filter((_error, index) => lengths[index] === longest).slice(-1);
}

function problemOf({ instanceLocation, error }: OutputUnit): Problem {
  const path = instanceLocation.slice(1);
  return { path, field: path.split('/').slice(1).join(', '), message: error };
}

function problem({ path, field }: Place, message: string): Problem {
  return { path, field: field.join(', '), message };
}

function below({ root, path, field }: Place, key: string, label: string): Place {
  return { root, path: pathOf(path, key), field: [...field, label] };
}

/** The JSON pointer of a value inside of another one. */
export function pathOf(path: string, key: string | number): string {
  return `${path}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
