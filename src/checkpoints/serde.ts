import { randomUUID } from 'node:crypto';
import { load } from '@langchain/core/load';
import type { SerializerProtocol } from '@langchain/langgraph-checkpoint';
import { DeltaSnapshot, isDeltaSnapshot } from '@langchain/langgraph-checkpoint';
import { isRecord } from '../json.ts';

/**
 * How values are stored: in LangGraph's JSON, read as LangGraph reads it, with what its own serialiser loses: dates,
 * big integers, NaN, typed arrays, and plain objects that only look like serialised ones, which stay plain. What cannot
 * be stored throws: a function, a symbol, a promise, an object within itself.
 */
export const serde: SerializerProtocol = {
  async dumpsTyped(value) {
    return value instanceof Uint8Array ? ['bytes', value] : jsonSerde.dumpsTyped(value);
  },
  async loadsTyped(type, data) {
    if (type === 'json') return jsonSerde.loadsTyped(type, data);
    if (type !== 'bytes') throw new Error(`Unknown serialization type: ${type}`);
    return typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data);
  },
};

/** The same with one type alone, as LangGraph's MemorySaver needs it. */
export const jsonSerde: SerializerProtocol = {
  async dumpsTyped(value) {
    return ['json', new TextEncoder().encode(JSON.stringify(encode(value, new Set())))];
  },
  async loadsTyped(_type, data) {
    const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
    const parsed: unknown = JSON.parse(text);
    return text.includes('"lc":') ? revive(parsed) : parsed;
  },
};

/** A value as it would be read once it was stored. */
export async function asRead(value: unknown): Promise<unknown> {
  return serde.loadsTyped(...(await serde.dumpsTyped(value)));
}

// ── Writing ──────────────────────────────────────────────────────────────────────────────────

const TYPED_ARRAYS = [
  Uint8Array,
  Uint8ClampedArray,
  Int8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const;

/** The value as JSON has it. `above` are the objects around it. */
function encode(value: unknown, above: Set<object>): unknown {
  if (value === undefined) return { lc: 2, type: 'undefined' };
  if (typeof value === 'number')
    return isJsonNumber(value) ? value : made('Number', numberText(value));
  if (typeof value === 'bigint') return made('BigInt', String(value));
  if (typeof value === 'function' || typeof value === 'symbol') throw refusal(`a ${typeof value}`);
  if (typeof value !== 'object' || value === null) return value;
  if (above.has(value)) throw refusal('an object within itself');
  above.add(value);
  const encoded = encodeObject(value, above);
  above.delete(value);
  return encoded;
}

function isJsonNumber(value: number): boolean {
  return Number.isFinite(value) && !Object.is(value, -0);
}

function numberText(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

function refusal(what: string): Error {
  return new Error(`it holds ${what}`);
}

/** LangGraph's record of an object that a built-in class made. */
function made(name: string, ...args: unknown[]) {
  return { lc: 2, type: 'constructor', id: [name], method: null, args, kwargs: {} };
}

function encodeObject(value: object, above: Set<object>): unknown {
  const within = (each: unknown) => encode(each, above);
  if (Array.isArray(value)) return Array.from(value, within);
  if (value instanceof Date)
    return made('Date', Number.isNaN(value.getTime()) ? null : value.toISOString());
  if (value instanceof Set) return made('Set', Array.from(value, within));
  if (value instanceof Map)
    return made(
      'Map',
      Array.from(value, (entry) => entry.map(within)),
    );
  if (value instanceof RegExp) return made('RegExp', value.source, value.flags);
  if (value instanceof Error) return made('Error', value.message);
  if (ArrayBuffer.isView(value)) return encodeBytes(value);
  if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet) {
    throw refusal(`a ${value.constructor.name}`);
  }
  if (isDeltaSnapshot(value)) return { lc: 2, type: 'delta_snapshot', value: within(value.value) };
  if ('lg_name' in value && value.lg_name === 'Send') return encodeSend(value, within);
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    const json: unknown = value.toJSON();
    if (isRecord(json) && json['lc'] === 1) return encodeSerialized(value, json, within);
    return json === value ? encodeEntries(value, within) : within(json);
  }
  const entries = encodeEntries(value, within);
  // What would be taken for an object of a class, here or, in a message, by LangChain.
  const looksSerialized = 'lc' in value || '__lc_escaped__' in value;
  return looksSerialized ? { lc: 2, type: 'object', value: entries } : entries;
}

/** An object of LangChain's as it describes itself, its properties as they are: its own way loses some of what they hold. */
function encodeSerialized(
  value: object,
  { type, id, kwargs, ...json }: Record<string, unknown>,
  within: (value: unknown) => unknown,
): unknown {
  const path: unknown[] = Array.isArray(id) ? id : [];
  // Of all others, only a description would come back.
  if (type !== 'constructor' || path[0] !== 'langchain_core' || !isRecord(kwargs)) {
    throw refusal(`an object of the class ${String(path.at(-1))}`);
  }
  const properties = Object.entries(kwargs).map(([key, each]) => [
    key,
    within(key in value ? Reflect.get(value, key) : each),
  ]);
  return { ...json, type, id, kwargs: Object.fromEntries(properties) as object };
}

function encodeBytes(view: ArrayBufferView): unknown {
  const type = TYPED_ARRAYS.find((each) => view instanceof each);
  if (!type) throw refusal(`a ${view.constructor.name}`);
  const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  return { ...made(type.name, bytes.toString('base64')), method: 'base64' };
}

function encodeSend(send: object, within: (value: unknown) => unknown): unknown {
  const { node, args, timeout } = send as Record<string, unknown>;
  return encodeEntries({ node, args, ...(timeout !== undefined && { timeout }) }, within);
}

/** An object's own properties. A function among those of a class's object is one of its methods. */
function encodeEntries(value: object, within: (value: unknown) => unknown): object {
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null;
  const entries = Object.entries(value).filter(([, each]) => isPlain || typeof each !== 'function');
  return Object.fromEntries(entries.map(([key, each]) => [key, within(each)]));
}

// ── Reading ──────────────────────────────────────────────────────────────────────────────────

async function revive(value: unknown): Promise<unknown> {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return Promise.all(value.map(revive));
  const record = value as Record<string, unknown>;
  if (record['lc'] === 2) return reviveRecord(record);
  if (record['lc'] === 1 && record['type'] === 'constructor' && Array.isArray(record['id'])) {
    // What claims to be of a class that LangChain does not know must not make its thread unreadable.
    return loadSerialized(record).catch(() => reviveEntries(record));
  }
  return reviveEntries(record);
}

async function reviveEntries(record: Record<string, unknown>): Promise<Record<string, unknown>> {
  const entries = Object.entries(record);
  const values = await Promise.all(entries.map(([, each]) => revive(each)));
  return Object.fromEntries(entries.map(([key], i) => [key, values[i]]));
}

async function reviveRecord(record: Record<string, unknown>): Promise<unknown> {
  const { type, value } = record;
  if (type === 'undefined') return undefined;
  if (type === 'object' && isRecord(value)) return reviveEntries(value);
  if (type === 'delta_snapshot' && 'value' in record) return new DeltaSnapshot(await revive(value));
  const revived = await reviveEntries(record);
  return type === 'constructor' ? (construct(revived) ?? revived) : revived;
}

/** An object of a built-in class; undefined where the record is none that is written here or by LangGraph. */
function construct({ id, method, args }: Record<string, unknown>): unknown {
  if (!Array.isArray(id) || id.length !== 1 || !Array.isArray(args)) return undefined;
  const [name] = id as unknown[];
  const [first, second] = args as unknown[];
  if (Array.isArray(first)) {
    if (name === 'Set') return new Set(first);
    if (name === 'Map' && first.every(Array.isArray)) return new Map(first as [unknown, unknown][]);
    if (name === 'Uint8Array' && first.every(isByte)) return new Uint8Array(first);
  }
  if (name === 'Date' && first === null) return new Date(Number.NaN);
  if (typeof first !== 'string') return undefined;
  if (method === 'base64') return decodeBytes(name, first);
  if (name === 'Date') return new Date(first);
  if (name === 'BigInt' && /^-?\d+$/.test(first)) return BigInt(first);
  if (name === 'Number') return Number(first);
  if (name === 'Error') return new Error(first);
  if (name === 'RegExp' && typeof second === 'string') return new RegExp(first, second);
  return undefined;
}

function isByte(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 255;
}

function decodeBytes(name: unknown, base64: string): unknown {
  const type = TYPED_ARRAYS.find((each) => each.name === name);
  // Copied, so that it begins where an element of any size may.
  return type && new type(new Uint8Array(Buffer.from(base64, 'base64')).buffer);
}

/** LangChain reads plain JSON alone: what is more than that is put into the object that it made. */
async function loadSerialized(record: Record<string, unknown>): Promise<unknown> {
  const mark = randomUUID();
  const held: unknown[] = [];
  const text = JSON.stringify(record, (_key, value: unknown) => {
    if (!isRecord(value) || value['lc'] !== 2) return value;
    return value['type'] === 'undefined' ? undefined : `${mark}:${held.push(value) - 1}`;
  });
  const object: unknown = await load(text, { maxDepth: Number.MAX_SAFE_INTEGER });
  if (held.length > 0) {
    const revived = await Promise.all(held.map(revive));
    const byMark = new Map(revived.map((value, i) => [`${mark}:${i}`, value] as const));
    replaceMarks(object, byMark, new Set());
  }
  return object;
}

function replaceMarks(
  within: unknown,
  byMark: ReadonlyMap<string, unknown>,
  seen: Set<object>,
): void {
  if (typeof within !== 'object' || within === null || seen.has(within)) return;
  seen.add(within);
  for (const [key, value] of Object.entries(within)) {
    if (typeof value === 'string' && byMark.has(value)) Reflect.set(within, key, byMark.get(value));
    else replaceMarks(value, byMark, seen);
  }
}
