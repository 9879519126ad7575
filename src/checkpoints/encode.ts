import { types } from 'node:util';
import { isDeltaSnapshot } from '@langchain/langgraph-checkpoint';
import { DEEPEST_VALUE, isRecord, setKey } from '../json.ts';
import { classOfHidden, isPlain } from './hidden-content.ts';
import { VIEWS } from './views.ts';

/** Turns values into JSON, in new objects. */
export type Encode = (value: unknown) => unknown;

/** The state of an encoder. */
interface Pass {
  /** The objects around the value under work. */
  above: Set<object>;
  /** How messages describe themselves, by class and by the names of their fields. */
  shapes: Map<unknown, Map<string, Shape>>;
}

/** `within` are lists or objects around all values. */
export function createEncoder(...within: object[]): Encode {
  const pass: Pass = { above: new Set(within), shapes: new Map() };
  return (value) => encode(value, pass);
}

function encode(value: unknown, pass: Pass): unknown {
  if (typeof value === 'object') return value === null ? null : encodeWithin(value, pass);
  if (typeof value === 'number')
    return isJsonNumber(value) ? value : made('Number', numberText(value));
  if (value === undefined) return { lc: 2, type: 'undefined' };
  if (typeof value === 'bigint') return made('BigInt', String(value));
  if (typeof value === 'function' || typeof value === 'symbol') throw refusal(`a ${typeof value}`);
  return value;
}

function encodeWithin(value: object, pass: Pass): unknown {
  const { above } = pass;
  if (above.has(value)) throw refusal('an object within itself');
  if (above.size === DEEPEST_VALUE)
    throw refusal(`values that nest deeper than ${DEEPEST_VALUE.toLocaleString('en')} levels`);
  above.add(value);
  const encoded = encodeObject(value, pass);
  above.delete(value);
  return encoded;
}

/** Neither NaN nor infinite nor -0. */
function isJsonNumber(value: unknown): value is number {
  return typeof value === 'number' && value - value === 0 && (value !== 0 || 1 / value > 0);
}

function numberText(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

function refusal(what: string): Error {
  return new Error(`it holds ${what}`);
}

function withArticle(name: string): string {
  return `${/^[AEIOU]/i.test(name) ? 'an' : 'a'} ${name}`;
}

/** LangGraph's record of an object that a built-in class made. */
function made(name: string, ...args: unknown[]) {
  return { lc: 2, type: 'constructor', id: [name], method: null, args, kwargs: {} };
}

// Most objects are lists, literals and messages: they take the fewest checks.
function encodeObject(value: object, pass: Pass): unknown {
  if (Array.isArray(value)) return encodeList(value, pass);
  const describesItself = 'toJSON' in value && typeof value.toJSON === 'function';
  if (describesItself && 'lc_namespace' in value) return encodeSerializable(value, pass);
  if (!isPlain(value) || Symbol.toStringTag in value) {
    const builtIn = encodeBuiltIn(value, pass);
    if (builtIn !== undefined) return builtIn;
    const hidden = isDeltaSnapshot(value) ? undefined : classOfHidden(value);
    if (hidden !== undefined)
      throw refusal(`${withArticle(hidden)}, with content outside of its properties`);
  }
  if (isDeltaSnapshot(value))
    return { lc: 2, type: 'delta_snapshot', value: encode(value.value, pass) };
  if ('lg_name' in value && value.lg_name === 'Send') return encodeSend(value, pass);
  if (describesItself) return encodeSerializable(value, pass);
  const entries = encodeEntries(value, pass);
  // Otherwise a reader, or LangChain inside of a message, would decode it as an object of a class.
  const looksSerialized = 'lc' in value || '__lc_escaped__' in value;
  return looksSerialized ? { lc: 2, type: 'object', value: entries } : entries;
}

function encodeList(list: readonly unknown[], pass: Pass): unknown[] {
  if (areJsonNumbers(list)) return list.slice();
  const encoded: unknown[] = [];
  for (const each of list) encoded.push(encode(each, pass));
  return encoded;
}

export function areJsonNumbers(list: readonly unknown[]): list is number[] {
  for (let i = 0; i < list.length; i++) if (!isJsonNumber(list[i])) return false;
  return true;
}

/** An object's own properties. A function in an object of a class is a method. */
function encodeEntries(value: object, pass: Pass): object {
  const plain = isPlain(value);
  const entries: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const each: unknown = Reflect.get(value, key);
    if (plain || typeof each !== 'function') setKey(entries, key, encode(each, pass));
  }
  return entries;
}

function encodeSend(send: object, pass: Pass): unknown {
  const { node, args, timeout } = send as Record<string, unknown>;
  return encodeEntries({ node, args, ...(timeout !== undefined && { timeout }) }, pass);
}

// ── Built-in classes ─────────────────────────────────────────────────────────────────────────

/** The record of an object of a built-in class. Undefined for every other object. */
function encodeBuiltIn(value: object, pass: Pass): unknown {
  if (types.isDate(value))
    return made('Date', Number.isNaN(value.getTime()) ? null : value.toISOString());
  if (types.isSet(value)) return made('Set', encodeList([...value], pass));
  if (types.isMap(value))
    return made(
      'Map',
      Array.from(value, (entry) => encodeList(entry, pass)),
    );
  if (types.isRegExp(value)) return made('RegExp', value.source, value.flags);
  if (value instanceof DOMException) return made('DOMException', value.message, value.name);
  if (types.isNativeError(value) || value instanceof Error) return encodeError(value, pass);
  if (types.isArrayBuffer(value)) return encodeBytes('ArrayBuffer', new Uint8Array(value));
  if (ArrayBuffer.isView(value)) return encodeView(value);
  if (value instanceof URL) return made('URL', value.href);
  if (value instanceof URLSearchParams) return made('URLSearchParams', String(value));
  return undefined;
}

/** Keeps an error's name, message, cause, and gathered errors. */
function encodeError(error: Error, pass: Pass): unknown {
  // The class of an error may set them to any value.
  const { name, message } = error as { name: unknown; message: unknown };
  const kwargs = {
    ...(typeof name === 'string' && name !== 'Error' && { name }),
    ...('cause' in error && { cause: encode(error.cause, pass) }),
    ...('errors' in error && Array.isArray(error.errors) && { errors: encode(error.errors, pass) }),
  };
  return { ...made('Error', String(message)), kwargs };
}

function encodeView(view: ArrayBufferView): unknown {
  if (Buffer.isBuffer(view)) return encodeBytes('Buffer', view);
  const type = VIEWS.find((each) => view instanceof each);
  if (!type) throw refusal(withArticle(view.constructor.name));
  return encodeBytes(type.name, view);
}

function encodeBytes(name: string, view: ArrayBufferView): unknown {
  const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  return { ...made(name, bytes.toString('base64')), method: 'base64' };
}

// ── Objects with toJSON ──────────────────────────────────────────────────────────────────────

/** The common part of messages of one class with the same fields: everything except for the values of the fields. */
interface Shape {
  json: Record<string, unknown>;
  keys: readonly string[];
}

function encodeSerializable(value: object, pass: Pass): unknown {
  const known = shapesOf(value, pass).get(namesOf(value));
  if (known) return encodeShape(value, known, pass);
  const json: unknown = (value as { toJSON(): unknown }).toJSON();
  if (isRecord(json) && json['lc'] === 1) return encodeSerialized(value, json, pass);
  return json === value ? encodeEntries(value, pass) : encode(json, pass);
}

/** The known shapes of the value's class. */
function shapesOf({ constructor }: object, { shapes }: Pass): Map<string, Shape> {
  const known = shapes.get(constructor) ?? new Map<string, Shape>();
  shapes.set(constructor, known);
  return known;
}

/** The names of the fields that a LangChain object was made with. */
function namesOf(value: object): string {
  const fields: unknown = 'lc_kwargs' in value ? value.lc_kwargs : undefined;
  return isRecord(fields) ? Object.keys(fields).join('\0') : '';
}

/**
 * An object of LangChain in its own description, but with its properties unchanged: LangChain's own serialization loses parts of
 * them.
 */
function encodeSerialized(
  value: object,
  { type, id, kwargs, ...json }: Record<string, unknown>,
  pass: Pass,
): unknown {
  const path: unknown[] = Array.isArray(id) ? id : [];
  // LangChain could not load other objects again.
  if (type !== 'constructor' || path[0] !== 'langchain_core' || !isRecord(kwargs))
    throw refusal(`an object of the class ${String(path.at(-1))}`);
  const shape = { json: { ...json, type, id }, keys: Object.keys(kwargs) };
  // LangChain is slow to compute this for each message.
  if (path[1] === 'messages' && shape.keys.every((key) => key in value))
    shapesOf(value, pass).set(namesOf(value), shape);
  return encodeShape(value, shape, pass, kwargs);
}

function encodeShape(
  value: object,
  { json, keys }: Shape,
  pass: Pass,
  others: Record<string, unknown> = {},
): unknown {
  const kwargs: Record<string, unknown> = {};
  for (const key of keys)
    setKey(kwargs, key, encode(Reflect.get(key in value ? value : others, key), pass));
  return { ...json, kwargs };
}
