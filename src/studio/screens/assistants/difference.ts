/** A value that differs between two objects. Undefined: the object does not have it. */
export interface Change {
  /** The keys to the value, with dots. */
  path: string;
  before: unknown;
  after: unknown;
}

/** The values that differ between two JSON objects, by their keys. Lists are compared as a whole. */
export function changesBetween(before: object, after: object, path = ''): Change[] {
  const [one, other] = [before as Record<string, unknown>, after as Record<string, unknown>];
  const keys = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  return keys.flatMap((key) => {
    const [left, right] = [one[key], other[key]];
    const at = path ? `${path}.${key}` : key;
    if (isObject(left) && isObject(right)) return changesBetween(left, right, at);
    return isSame(left, right) ? [] : [{ path: at, before: left, after: right }];
  });
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, index) => isSame(item, other[index]));
  }
  return isObject(one) && isObject(other) && changesBetween(one, other).length === 0;
}
