import { BadInputError } from './errors.ts';

const DEEPEST_JSON = 100;

/** Because of the u flag, complete pairs do not match. */
const HALF_PAIR = /\p{Surrogate}/u;

/** A part of a JSON value, with its path. */
interface Part {
  value: unknown;
  depth: number;
  key: string | number;
  parent: Part | undefined;
}

/**
 * Refuses JSON that PostgreSQL cannot store: null bytes and unpaired surrogates in texts, infinite numbers, and more than 100
 * levels. Throws a BadInputError with the path of the value. Uses an explicit stack, because the client controls the depth.
 */
export function checkJson(root: unknown, path: string): void {
  const open: Part[] = [{ value: root, depth: 0, key: path, parent: undefined }];
  for (let part = open.pop(); part; part = open.pop()) {
    const { value, depth } = part;
    if (typeof value === 'string') checkText(value, pathOf(part));
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw badInput(pathOf(part), 'is not a finite number');
    }
    if (typeof value !== 'object' || value === null) continue;
    if (depth === DEEPEST_JSON) {
      throw new BadInputError(path, `${path} is nested deeper than ${DEEPEST_JSON} levels.`);
    }
    const isList = Array.isArray(value);
    for (const [key, item] of Object.entries(value)) {
      const inner = {
        value: item,
        depth: depth + 1,
        key: isList ? Number(key) : key,
        parent: part,
      };
      if (!isList) checkText(key, pathOf(part));
      open.push(inner);
    }
  }
}

/** Refuses a text with null bytes or unpaired surrogates. */
export function checkText(text: string, path: () => string): void {
  if (text.includes('\0')) throw badInput(path, 'holds a null byte');
  if (HALF_PAIR.test(text)) throw badInput(path, 'holds half of a surrogate pair');
}

function badInput(path: () => string, problem: string): BadInputError {
  const argument = path();
  return new BadInputError(argument, `${argument} ${problem}.`);
}

function pathOf(part: Part): () => string {
  return () => {
    let path = '';
    for (let at: Part | undefined = part; at; at = at.parent) {
      const step = typeof at.key === 'number' ? `[${at.key}]` : at.key;
      path = path === '' || path.startsWith('[') ? `${step}${path}` : `${step}.${path}`;
    }
    return path;
  };
}
