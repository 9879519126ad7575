import { randomUUID } from 'node:crypto';
import { DeltaSnapshot } from '@langchain/langgraph-checkpoint';
import type { Classes } from '../graphs/classes.ts';
import { isRecord } from '../json.ts';
import { decodeBytes } from './views.ts';

/** Turns parsed JSON of serde.ts into the stored value. */
export type Revive = (parsed: unknown) => Promise<unknown>;

type JsonRecord = Record<string, unknown>;

/** One pass over a value. */
interface Pass {
  makeMessage(record: JsonRecord, pass: Pass): object | undefined;
  /** Objects loaded by LangChain, by record. A refused record maps to itself. */
  loaded: ReadonlyMap<JsonRecord, unknown>;
  /** Found records for LangChain to load. */
  wanted: JsonRecord[];
  /** Whether the pass is inside a message. LangChain marks plain objects there. */
  inMessage?: boolean;
}

/**
 * Constructs messages directly. LangChain loads its other objects asynchronously; a second pass inserts them.
 */
export function createRevive({ messages, load }: Pick<Classes, 'messages' | 'load'>): Revive {
  const makeMessage = createMessageMaker(messages);
  return async function reviveAll(parsed) {
    const loaded = new Map<JsonRecord, unknown>();
    for (;;) {
      const wanted: JsonRecord[] = [];
      const value = revive(parsed, { makeMessage, loaded, wanted });
      if (wanted.length === 0) return value;
      await Promise.all(
        wanted.map(async (record) => {
          // An unknown class must not make its thread unreadable.
          const object = await loadSerialized(record, load, reviveAll).catch(() => record);
          loaded.set(record, object);
        }),
      );
    }
  };
}

function revive(value: unknown, pass: Pass): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((each) => revive(each, pass));
  const record = value as JsonRecord;
  if (record['lc'] === 2) return reviveRecord(record, pass);
  if (isSerialized(record)) return reviveSerialized(record, pass);
  return pass.inMessage && isEscaped(record)
    ? record['__lc_escaped__']
    : reviveEntries(record, pass);
}

function reviveEntries(record: JsonRecord, pass: Pass): JsonRecord {
  return Object.fromEntries(Object.entries(record).map(([key, each]) => [key, revive(each, pass)]));
}

/** A record written by serde.ts or by LangGraph. */
function reviveRecord(record: JsonRecord, pass: Pass): unknown {
  const { type, value } = record;
  if (type === 'undefined') return undefined;
  if (type === 'object' && isRecord(value)) return reviveEntries(value, pass);
  if (type === 'delta_snapshot' && 'value' in record) return new DeltaSnapshot(revive(value, pass));
  const revived = reviveEntries(record, pass);
  return type === 'constructor' ? (construct(revived) ?? revived) : revived;
}

/** An object of a built-in class. Undefined for an unknown record. */
function construct({ id, method, args, kwargs }: JsonRecord): unknown {
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
  if (name === 'Error') return constructError(first, isRecord(kwargs) ? kwargs : {});
  if (name === 'DOMException') return new DOMException(first, String(second));
  if (name === 'URL' && URL.canParse(first)) return new URL(first);
  if (name === 'URLSearchParams') return new URLSearchParams(first);
  if (name === 'RegExp' && typeof second === 'string') return new RegExp(first, second);
  return undefined;
}

function isByte(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 255;
}

const ERRORS = [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError] as const;

/** Makes an error of the built-in class with this name, or an Error with this name. */
function constructError(message: string, { name, ...held }: JsonRecord): Error {
  const error = Array.isArray(held['errors'])
    ? new AggregateError(held['errors'], message)
    : new (ERRORS.find((each) => each.name === name) ?? Error)(message);
  // Not enumerable, as the class itself sets them.
  if (typeof name === 'string' && name !== error.name) setHidden(error, 'name', name);
  if ('cause' in held) setHidden(error, 'cause', held['cause']);
  return error;
}

function setHidden(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, writable: true, configurable: true });
}

// ── Objects of LangChain ─────────────────────────────────────────────────────────────────────

function isSerialized({ lc, type, id }: JsonRecord): boolean {
  return lc === 1 && type === 'constructor' && Array.isArray(id);
}

function isEscaped(record: JsonRecord): boolean {
  return '__lc_escaped__' in record && Object.keys(record).length === 1;
}

function reviveSerialized(record: JsonRecord, pass: Pass): unknown {
  if (!pass.loaded.has(record)) {
    const message = pass.makeMessage(record, pass);
    if (message) return message;
    pass.wanted.push(record);
    return record;
  }
  const object = pass.loaded.get(record);
  return object === record ? reviveEntries(record, pass) : object;
}

type MessageClass = new (fields: JsonRecord) => object;

/** Constructs messages like LangChain's `load`. Returns undefined for other objects, and for fields refused by the class. */
function createMessageMaker(messages: object): Pass['makeMessage'] {
  const makers = new Map<string, (fields: JsonRecord) => object>();
  return ({ id, kwargs }, pass) => {
    const [library, module, ...rest] = id as unknown[];
    const name = rest.at(-1);
    if (library !== 'langchain_core' || module !== 'messages') return undefined;
    if (typeof name !== 'string' || !isRecord(kwargs)) return undefined;
    const known = makers.get(name);
    const Message: unknown = known ? undefined : Reflect.get(messages, name);
    if (!known && !isMessageClass(Message)) return undefined;
    const make = known ?? makerOf(Message as MessageClass);
    makers.set(name, make);
    try {
      return make(reviveEntries(kwargs, { ...pass, inMessage: true }));
    } catch {
      return undefined;
    }
  };
}

function isMessageClass(value: unknown): value is MessageClass {
  return typeof value === 'function' && '_getType' in (value.prototype as object);
}

function makerOf(Message: MessageClass): (fields: JsonRecord) => object {
  const aliases = aliasesOf(Message);
  const example = new Message({ id: '', content: '' });
  const nameOf = (key: string) => aliases.get(key) ?? (key in example ? key : camelCase(key));
  return (stored) => {
    const given = Object.entries(stored).filter(([, value]) => value !== undefined);
    return new Message(Object.fromEntries(given.map(([key, value]) => [nameOf(key), value])));
  };
}

/** Field names of a class, by the names in LangChain's JSON. */
function aliasesOf(Message: MessageClass): Map<string, string> {
  const aliases = new Map<string, string>();
  let prototype: object | null = Message.prototype as object;
  for (; prototype !== null; prototype = Reflect.getPrototypeOf(prototype)) {
    const own = (Reflect.get(prototype, 'lc_aliases') ?? {}) as Record<string, string>;
    for (const [name, stored] of Object.entries(own)) aliases.set(stored, name);
  }
  return aliases;
}

/** The field name of a JSON name without an alias. */
function camelCase(key: string): string {
  return key.replaceAll(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** LangChain loads plain JSON only: marks stand for all other values, and give way to them in the loaded object. */
async function loadSerialized(
  record: JsonRecord,
  load: Classes['load'],
  reviveAll: Revive,
): Promise<unknown> {
  const mark = randomUUID();
  const held: unknown[] = [];
  const text = JSON.stringify(record, (_key, value: unknown) => {
    if (!isRecord(value) || value['lc'] !== 2) return value;
    return value['type'] === 'undefined' ? undefined : `${mark}:${held.push(value) - 1}`;
  });
  const object: unknown = await load(text, { maxDepth: Number.MAX_SAFE_INTEGER });
  if (held.length > 0) {
    const revived = await Promise.all(held.map(reviveAll));
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
