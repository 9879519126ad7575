import { BadInputError } from './errors.ts';

const DEEPEST_JSON = 100;

/** Because of the u flag, complete pairs do not match. */
const HALF_PAIR = /\p{Surrogate}/u;

/** An object or a list in a JSON value, with its path. */
interface Part {
  value: object;
  depth: number;
  key: string | number;
  parent: Part | undefined;
}

/**
 * Refuses JSON that PostgreSQL cannot store: null bytes and unpaired surrogates in texts, infinite numbers, and more than 100
 * levels. Throws a BadInputError with the path of the value. Uses an explicit stack, because the client controls the depth.
 */
export function checkJson(root: unknown, path: string): void {
  if (typeof root !== 'object' || root === null) return checkScalar(root, undefined, path);
  const open: Part[] = [{ value: root, depth: 0, key: path, parent: undefined }];
  for (let part = open.pop(); part; part = open.pop()) {
    const { value, depth } = part;
    if (depth === DEEPEST_JSON) {
      throw new BadInputError(
        path,
        (name) => `${name(path)} is nested deeper than ${DEEPEST_JSON} levels.`,
      );
    }
    const check = (item: unknown, key: string | number, parent: Part): void => {
      if (typeof item !== 'object' || item === null) checkScalar(item, parent, key);
      else open.push({ value: item, depth: depth + 1, key, parent });
    };
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) check(value[i], i, part);
      continue;
    }
    for (const key of Object.keys(value)) {
      if (!isStorable(key)) checkText(key, pathOf(part));
      check((value as Record<string, unknown>)[key], key, part);
    }
  }
}

function checkScalar(value: unknown, parent: Part | undefined, key: string | number): void {
  if (typeof value === 'string') {
    if (!isStorable(value)) checkText(value, pathOf({ key, parent }));
  } else if (typeof value === 'number' && !Number.isFinite(value)) {
    throw badInput(pathOf({ key, parent }), 'is not a finite number');
  }
}

function isStorable(text: string): boolean {
  return !text.includes('\0') && !HALF_PAIR.test(text);
}

/** Refuses a text with null bytes or unpaired surrogates. */
export function checkText(text: string, path: () => string): void {
  if (text.includes('\0')) throw badInput(path, 'holds a null byte');
  if (HALF_PAIR.test(text)) throw badInput(path, 'holds half of a surrogate pair');
}

function badInput(path: () => string, problem: string): BadInputError {
  const argument = path();
  return new BadInputError(argument, (name) => `${name(argument)} ${problem}.`);
}

function pathOf(part: Pick<Part, 'key' | 'parent'>): () => string {
  return () => {
    let path = '';
    for (let at: typeof part | undefined = part; at; at = at.parent) {
      const step = typeof at.key === 'number' ? `[${at.key}]` : at.key;
      path = path === '' || path.startsWith('[') ? `${step}${path}` : `${step}.${path}`;
    }
    return path;
  };
}
