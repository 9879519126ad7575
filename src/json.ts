/** Whether a value is a JSON object: neither null nor a list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value if it is a JSON object, otherwise an empty one. */
export function recordOf(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

/** Whether a value is a JSON object with a key. */
export function hasKeys(value: unknown): value is Record<string, unknown> {
  return isRecord(value) && Object.keys(value).length > 0;
}

/** The most levels of lists and objects in a stored value. */
export const DEEPEST_VALUE = 1000;

/** The most levels in an answer: a stored value, and the objects around it. */
export const DEEPEST_SHOWN = DEEPEST_VALUE + 100;

/** Replaces a list or an object below DEEPEST_SHOWN. */
export const TOO_DEEP = `[Nested deeper than ${DEEPEST_SHOWN.toLocaleString('en')} levels]`;

/** Sets an object's own property. Assigning to `__proto__` would change the object's prototype instead. */
export function setKey(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') object[key] = value;
  else
    Object.defineProperty(object, key, {
      value,
      enumerable: true,
      writable: true,
      configurable: true,
    });
}

/** The value for a json column: its JSON, or null for undefined. */
export function toJsonColumn(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
