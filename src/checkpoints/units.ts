import { createHash } from 'node:crypto';
import { StateLimitError } from '../errors.ts';
import { createTurns, type Turns } from '../turns.ts';
import { areJsonNumbers, createEncoder, type Encode } from './encode.ts';

// This file cuts a list into units. A unit becomes one row, or each of its elements does (see values.ts).
//
// - A unit of small elements has a few kilobytes of consecutive elements. Only their content decides its end. So two versions of
// a list share all units except for one or two at each difference.
//
// - A large element is a unit of its own. A very large element takes several units, its parts.

/** The type of a row with several elements of a list: a JSON array. */
export const ELEMENTS = 'elements';

/** The type of a row with a part of the bytes of a value. The next row of the value continues them. */
export const PART = 'part';

/** The least size of a large element. */
const LARGE_CHARS = 2048;
/** A unit is never smaller, unless a large element or the end of the list follows. */
const LEAST_CHARS = 2048;
/** The average size above the least size. */
const MEAN_CHARS = 6144;
/** The largest unit, as in a list of zeros. */
const MOST_CHARS = 32_768;
/** The most bytes of one row: a row must fit into a statement. */
const PART_BYTES = 1_048_576;

/** A value in bytes, as a whole or in units. */
export type SerializedValue = { type: string } & ({ bytes: Uint8Array } | { units: Unit[] });

/** Some elements of a list, or a part of a value, in bytes. */
export interface Unit {
  type: string;
  bytes: Uint8Array;
  /** Of type and bytes. */
  hash: Buffer;
  /** The unit is the last part of a value. */
  endsParts?: boolean;
  /** Small elements. Undefined for a unit with a large element or a part. */
  elements?: SmallElements;
}

/** Small elements of a list: arrays, because there may be a hundred thousand of them. */
export interface SmallElements {
  /** As JSON. */
  texts: string[];
  /** Cheap hashes of the texts. Different texts may share one. */
  marks: number[];
}

export interface SerializeOptions {
  /** Throws StateLimitError as soon as the value has more bytes. */
  mostBytes?: number;
  /** The value does not change during the serialization, so the event loop can do other work in between. */
  isStill?: boolean;
}

/**
 * Turns a value into bytes. Unless `isStill` is set, the function reads the value before it returns the promise: later changes
 * have no effect.
 */
export async function serializeValue(
  value: unknown,
  { mostBytes = Infinity, isStill = false }: SerializeOptions = {},
): Promise<SerializedValue> {
  const work = createWork(mostBytes);
  if (!Array.isArray(value)) return toBytes(capture(value, createEncoder()), work);
  return cutList(isStill ? captured(value) : captureList(value), work);
}

/** The bytes of a value. */
export function sizeOf(value: SerializedValue): number {
  return 'bytes' in value
    ? value.bytes.byteLength
    : sum(value.units.map(({ bytes }) => bytes.byteLength));
}

export function sum(numbers: Iterable<number>): number {
  let all = 0;
  for (const number of numbers) all += number;
  return all;
}

/** Work on one value, in turns of the event loop. */
interface Work {
  turns: Turns;
  /** Counts characters of the value. A character has at least one byte. */
  count(chars: number): void;
}

function createWork(mostBytes: number): Work {
  let counted = 0;
  return {
    turns: createTurns(),
    count(chars) {
      counted += chars;
      if (counted > mostBytes)
        throw new StateLimitError(`A value of the state has ${counted} bytes or more`, mostBytes);
    },
  };
}

/** SHA-256 of type and bytes, cut to 16 bytes. */
export function hashUnit(type: string, bytes: Uint8Array | string): Buffer {
  const digest = createHash('sha256').update(type).update('\0').update(bytes).digest();
  return digest.subarray(0, HASH_BYTES);
}

export const HASH_BYTES = 16;

// ── Capturing ────────────────────────────────────────────────────────────────────────────────

/** A copy of bytes, beside copies of values as JSON. */
class Binary {
  readonly type: string;
  readonly bytes: Uint8Array;

  constructor(source: Uint8Array) {
    this.type = Buffer.isBuffer(source) ? 'buffer' : 'bytes';
    this.bytes = new Uint8Array(source);
  }
}

function captureList(list: readonly unknown[]): unknown[] {
  return areJsonNumbers(list) ? list.slice() : Array.from(captured(list));
}

/** The elements, each captured on demand. */
function* captured(list: readonly unknown[]): Generator {
  const encode = createEncoder(list);
  for (const each of list) yield capture(each, encode);
}

function capture(value: unknown, encode: Encode): unknown {
  return value instanceof Uint8Array ? new Binary(value) : encode(value);
}

// ── Cutting ──────────────────────────────────────────────────────────────────────────────────

async function cutList(elements: Iterable<unknown>, work: Work): Promise<SerializedValue> {
  const { turns } = work;
  const units: Unit[] = [];
  let open: SmallElements = { texts: [], marks: [] };
  let size = 0;
  function close(): void {
    if (size > 0) units.push(unitOf(open));
    open = { texts: [], marks: [] };
    size = 0;
  }
  for (const each of elements) {
    if (size === 0 && turns.isOver()) await turns.next();
    const light = lightContent(each, work);
    const content = light ?? (await longJson(each, work));
    if (typeof content === 'string' && isSmall(content)) {
      const mark = markOf(content);
      open.texts.push(content);
      open.marks.push(mark);
      size += content.length + 1;
      if (isEnd(content, mark, size)) close();
    } else {
      close();
      for (const unit of await cutBytes(bytesOf(content), turns)) units.push(unit);
    }
  }
  close();
  return { type: 'list', units };
}

function unitOf(elements: SmallElements): Unit {
  const { texts } = elements;
  const [first = ''] = texts;
  const type = texts.length > 1 ? ELEMENTS : 'json';
  const bytes = Buffer.from(texts.length > 1 ? `[${texts.join(',')}]` : first);
  return { type, bytes, hash: hashUnit(type, bytes), elements };
}

const MARKS = 2 ** 32;

/** True if a unit of this size ends with this element. A longer element is more likely to be the end. */
function isEnd(text: string, mark: number, size: number): boolean {
  if (size < LEAST_CHARS) return false;
  return size >= MOST_CHARS || mark < MARKS * ((text.length + 1) / MEAN_CHARS);
}

/** FNV-1a over the characters, then the finalizer of MurmurHash3: each bit depends on each character. */
export function markOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** True if an element with this JSON may share a unit. */
export function isSmall(text: string): boolean {
  return text.length < LARGE_CHARS;
}

async function toBytes(captured: unknown, work: Work): Promise<SerializedValue> {
  const { turns } = work;
  const light = lightContent(captured, work);
  const { type, bytes } = bytesOf(light ?? (await longJson(captured, work)));
  if (bytes.byteLength <= PART_BYTES) return { type, bytes };
  return { type, units: await cutBytes({ type, bytes }, turns) };
}

type Bytes = Pick<Unit, 'type' | 'bytes'>;

function bytesOf(content: Binary | string): Bytes {
  return typeof content === 'string' ? { type: 'json', bytes: Buffer.from(content) } : content;
}

/** One unit, or several parts followed by a unit of the type itself. */
async function cutBytes({ type, bytes }: Bytes, turns: Turns): Promise<Unit[]> {
  const units: Unit[] = [];
  let start = 0;
  while (bytes.byteLength - start > PART_BYTES) {
    const end = beginOfCharacter(bytes, start + PART_BYTES);
    const part = bytes.subarray(start, end);
    units.push({ type: PART, bytes: part, hash: hashUnit(PART, part) });
    start = end;
    if (turns.isOver()) await turns.next();
  }
  const last = bytes.subarray(start);
  const unit = { type, bytes: last, hash: hashUnit(type, last) };
  return start === 0 ? [unit] : [...units, { ...unit, endsParts: true }];
}

/** A character has at most four bytes in UTF-8. All bytes except for the first start with these two bits. */
function beginOfCharacter(bytes: Uint8Array, at: number): number {
  let begin = at;
  while (begin > at - 3 && (Number(bytes[begin]) & 0xc0) === 0x80) begin--;
  return begin;
}

// ── JSON ─────────────────────────────────────────────────────────────────────────────────────

/** The most values and pieces of text for one call of JSON.stringify: a few milliseconds of work. */
const PIECE_WEIGHT = 20_000;
/** The length of a text with the weight of one value. */
const TEXT_CHARS = 64;

/** Bytes, or the JSON of a small captured value; undefined for a larger one. */
function lightContent(captured: unknown, { count }: Work): Binary | string | undefined {
  const content = captured instanceof Binary ? captured : lightJson(captured);
  if (content !== undefined)
    count(typeof content === 'string' ? content.length : content.bytes.byteLength);
  return content;
}

/** The JSON of a small captured value; undefined for a larger one. */
function lightJson(captured: unknown): string | undefined {
  if (typeof captured === 'number') return String(captured);
  return weigh(captured) <= PIECE_WEIGHT ? JSON.stringify(captured) : undefined;
}

async function longJson(captured: unknown, { turns, count }: Work): Promise<string> {
  const pieces: string[] = [];
  for (const piece of jsonPieces(captured)) {
    count(piece.length);
    pieces.push(piece);
    if (turns.isOver()) await turns.next();
  }
  return pieces.join('');
}

/** Exact up to PIECE_WEIGHT. */
function weigh(value: unknown): number {
  if (typeof value === 'string') return 1 + value.length / TEXT_CHARS;
  if (typeof value !== 'object' || value === null) return 1;
  const inner: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
  if (inner.length > PIECE_WEIGHT) return inner.length;
  let weight = 1;
  for (const each of inner) {
    weight += weigh(each);
    if (weight > PIECE_WEIGHT) break;
  }
  return weight;
}

function* jsonPieces(value: unknown): Generator<string> {
  if (weigh(value) <= PIECE_WEIGHT) yield JSON.stringify(value);
  else if (typeof value === 'string') yield* textPieces(value);
  else if (Array.isArray(value)) yield* listPieces(value);
  else yield* objectPieces(value as Record<string, unknown>);
}

/** Half of a surrogate pair is escaped: JSON.parse joins the halves again. */
function* textPieces(text: string): Generator<string> {
  const step = PIECE_WEIGHT * TEXT_CHARS;
  yield '"';
  for (let at = 0; at < text.length; at += step)
    yield JSON.stringify(text.slice(at, at + step)).slice(1, -1);
  yield '"';
}

function* listPieces(list: readonly unknown[]): Generator<string> {
  let comma = '[';
  for (const [from, to] of lightRuns(list)) {
    yield comma;
    comma = ',';
    if (to - from === 1) yield* jsonPieces(list[from]);
    else yield JSON.stringify(list.slice(from, to)).slice(1, -1);
  }
  yield ']';
}

function* objectPieces(object: Record<string, unknown>): Generator<string> {
  let comma = '{';
  const entries = Object.entries(object);
  for (const [from, to] of lightRuns(Object.values(object))) {
    yield comma;
    comma = ',';
    const [name, value] = entries[from] ?? [];
    if (to - from > 1)
      yield JSON.stringify(Object.fromEntries(entries.slice(from, to))).slice(1, -1);
    else {
      yield `${JSON.stringify(name)}:`;
      yield* jsonPieces(value);
    }
  }
  yield '}';
}

/** The bounds of consecutive values up to PIECE_WEIGHT, or of one heavier value. */
function* lightRuns(values: readonly unknown[]): Generator<[from: number, to: number]> {
  let from = 0;
  let weight = 0;
  for (const [at, each] of values.entries()) {
    const own = weigh(each);
    if (at > from && weight + own > PIECE_WEIGHT) {
      yield [from, at];
      from = at;
      weight = 0;
    }
    weight += own;
  }
  if (from < values.length) yield [from, values.length];
}
