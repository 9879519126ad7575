import type { SerializerProtocol } from '@langchain/langgraph-checkpoint';
import { createTurns } from '../turns.ts';
import {
  ELEMENTS,
  hashUnit,
  isSmall,
  markOf,
  PART,
  type SerializedValue,
  type SmallElements,
  type Unit,
} from './units.ts';

// A list is stored as ranges of numbered items of its thread. Versions of a list share their items. An item holds one element,
// several small ones, or a part of a large value:
//
// - A conversation grows by one message at a time. Each message becomes one item, is stored once, and the ranges stay one pair
//   of numbers.
// - Many new elements at once, such as an embedding or imported messages, become one item for each unit of units.ts.

/** A value as its row holds it: serialised, or, where `ranges` is not null, as ranges of item numbers. */
export interface StoredValue {
  type: string;
  /** JSON may come as text. */
  value: Uint8Array | string | null;
  ranges: number[] | null;
}

/** An item as its row holds it. */
export type StoredItem = Pick<StoredValue, 'type' | 'value'>;

/** An item to store. */
export interface Item {
  number: number;
  hash: Buffer;
  type: string;
  value: Uint8Array;
}

/** An item as the database gives it. */
export type KnownItem = Pick<Item, 'hash' | 'number'> & Partial<StoredItem>;

/** The content of a new or known item. */
interface Content extends Omit<Item, 'number'> {
  mark?: number;
  /** A write and a channel may have the same item. */
  isShared?: boolean;
}

/**
 * The numbers of a thread's items, as far as they are known here. Those of channels count up from 1, those of writes down from
 * -1. A node writes a message without an id, and the channel has it with an id: if both were counted together, no two
 * messages of a channel would have consecutive numbers. Holds hashes only, no content.
 */
export interface ItemNumbers {
  /** The number of the item with this content. */
  find(content: Pick<Content, 'hash'>, use: ItemUse): number | undefined;
  /** Whether an item may hold a small element with this mark alone. False: none does. */
  mayHold(mark: number): boolean;
  /** The numbers of these contents: known ones, or the next free ones in their order. */
  number(contents: readonly Content[], use: ItemUse): number[];
  /** The items that got a number here and are not stored yet; once taken, they count as stored. */
  takeNew(): Item[];
  /** Learns items of the thread, and its lowest and highest number if they are given. */
  learn(stored: Iterable<KnownItem>, bounds?: ItemBounds): void;
  /** Items that were taken could not be stored: they have no number again. */
  forget(items: readonly Item[]): void;
  /** The same knowledge, to be changed apart from this one. */
  copy(): ItemNumbers;
}

export type ItemUse = 'channel' | 'write';

export interface ItemBounds {
  lowest: number;
  highest: number;
}

interface Known extends ItemBounds {
  numbers: ReadonlyMap<string, number>;
  marks: ReadonlySet<number>;
}

export function createItemNumbers(known?: Known): ItemNumbers {
  const numbers = new Map(known?.numbers);
  /** Of small elements with an item of their own. */
  const marks = new Set(known?.marks);
  let { lowest, highest } = known ?? { lowest: 0, highest: 0 };
  let fresh: Item[] = [];

  function find({ hash }: Pick<Content, 'hash'>, use: ItemUse): number | undefined {
    const number = numbers.get(keyOf(hash));
    return number === undefined && use === 'write' ? numbers.get(keyOf(ofWrite(hash))) : number;
  }

  function add({ type, value, ...content }: Content, number: number, use: ItemUse): void {
    const hash = use === 'write' && !content.isShared ? ofWrite(content.hash) : content.hash;
    numbers.set(keyOf(hash), number);
    if (content.mark !== undefined) marks.add(content.mark);
    fresh.push({ number, hash, type, value });
  }

  return {
    find,
    mayHold: (mark) => marks.has(mark),
    number(contents, use) {
      const added = new Map<string, Content>();
      for (const content of contents)
        if (find(content, use) === undefined) added.set(keyOf(content.hash), content);
      let next = use === 'channel' ? highest + 1 : lowest - added.size;
      highest = Math.max(highest, next + added.size - 1);
      lowest = Math.min(lowest, next);
      for (const content of added.values()) add(content, next++, use);
      return contents.map((content) => Number(find(content, use)));
    },
    takeNew() {
      const taken = fresh;
      fresh = [];
      return taken;
    },
    learn(stored, bounds = { lowest, highest }) {
      for (const { hash, number, type, value } of stored) {
        numbers.set(keyOf(hash), number);
        if (type === 'json' && typeof value === 'string' && isSmall(value))
          marks.add(markOf(value));
      }
      lowest = Math.min(lowest, bounds.lowest);
      highest = Math.max(highest, bounds.highest);
    },
    forget(items) {
      for (const { hash } of items) numbers.delete(keyOf(hash));
    },
    copy: () => createItemNumbers({ numbers, marks, lowest, highest }),
  };
}

/** The item numbers of a thread. */
export type ItemsOf = (threadId: string) => ItemNumbers;

/** One ItemNumbers for each thread. */
export function createItemsOf(): ItemsOf {
  const known = new Map<string, ItemNumbers>();
  return (threadId) => {
    const items = known.get(threadId) ?? createItemNumbers();
    known.set(threadId, items);
    return items;
  };
}

function keyOf(hash: Buffer): string {
  return hash.toString('latin1');
}

/** The hash of an item for writes alone. A channel gets another item, with the content's own hash. */
function ofWrite(hash: Buffer): Buffer {
  return hashUnit('in a write', hash);
}

// ── Storing ──────────────────────────────────────────────────────────────────────────────────

/** A value with more new elements than these is stored unit by unit. */
const MOST_ALONE = 32;

/**
 * A unit takes no more pairs of numbers in a value's ranges than these. Otherwise it becomes one item, although its elements
 * have items: every version of the list has its ranges.
 */
const MOST_RANGES = 4;

export interface Storing {
  use: ItemUse;
  /** Each element of a list has an item of its own: the ranges tell their number. */
  alone?: boolean;
}

/** What to store for a value. */
export function storedValue(
  items: ItemNumbers,
  serialized: SerializedValue,
  { use, alone = false }: Storing,
): StoredValue {
  const { type } = serialized;
  if ('bytes' in serialized) return { type, value: serialized.bytes, ranges: null };
  const last = serialized.units.at(-1);
  const plans = serialized.units.map((unit) => {
    const plan = planUnit(items, unit, { use, isLast: unit === last });
    return alone && unit.elements ? { ...plan, isOneItem: false } : plan;
  });
  const isBulk = plans.reduce((sum, { fresh }) => sum + fresh, 0) > MOST_ALONE;
  const contents = plans.flatMap(({ unit, isOneItem, fresh, marked }) =>
    (isOneItem ?? (isBulk && fresh * 2 > countElements(unit)))
      ? { ...unitContent(unit), isShared: isBulk || !isElement(unit) }
      : elementContents(unit, marked).map((content) => ({ ...content, isShared: isBulk })),
  );
  return { type, value: null, ranges: toRanges(items.number(contents, use)) };
}

/** How to store a unit: as one item or element by element. Undefined: that depends on the other units of the value. */
interface Plan {
  unit: Unit;
  isOneItem: boolean | undefined;
  /** How many elements have no item. */
  fresh: number;
  /** The small elements with a known mark, by their place. */
  marked: readonly (Content | undefined)[];
}

function planUnit(
  items: ItemNumbers,
  unit: Unit,
  { use, isLast }: { use: ItemUse; isLast: boolean },
): Plan {
  const isKnown = items.find(unit, use) !== undefined;
  const count = countElements(unit);
  if (count === 1) return { unit, isOneItem: true, fresh: isKnown ? 0 : 1, marked: [] };
  const marked = markedContents(items, unit);
  const numbers = marked.flatMap((content) => (content && items.find(content, use)) ?? []);
  const fresh = count - numbers.length;
  if (isKnown && fresh > 0) return { unit, isOneItem: true, fresh: 0, marked };
  if (fresh > 0) return { unit, isOneItem: undefined, fresh, marked };
  const isScattered = toRanges(numbers).length > 2 * MOST_RANGES;
  return { unit, isOneItem: isScattered && !isLast, fresh, marked };
}

function markedContents(items: ItemNumbers, { elements }: Unit): (Content | undefined)[] {
  return (
    elements?.marks.map((mark, i) =>
      items.mayHold(mark) ? elementContent(elements, i) : undefined,
    ) ?? []
  );
}

function countElements({ elements }: Unit): number {
  return elements?.texts.length ?? 1;
}

/** Whether the unit holds a whole element and nothing else. */
function isElement({ type, endsParts = false }: Unit): boolean {
  return type !== ELEMENTS && type !== PART && !endsParts;
}

function unitContent(unit: Unit): Content {
  const { type, bytes, hash, elements } = unit;
  const mark = countElements(unit) === 1 ? elements?.marks[0] : undefined;
  return { type, hash, value: bytes, ...(mark !== undefined && { mark }) };
}

function elementContents({ elements }: Unit, marked: Plan['marked']): Content[] {
  return elements?.texts.map((_, i) => marked[i] ?? elementContent(elements, i)) ?? [];
}

function elementContent({ texts, marks }: SmallElements, i: number): Content {
  const value = Buffer.from(texts[i] ?? '');
  return { type: 'json', hash: hashUnit('json', value), value, mark: Number(marks[i]) };
}

/** [1,2,3,7] → [1,3,7,7]: pairs of first and last. */
function toRanges(numbers: readonly number[]): number[] {
  const ranges: number[] = [];
  for (const number of numbers) {
    if (ranges.at(-1) === number - 1) ranges[ranges.length - 1] = number;
    else ranges.push(number, number);
  }
  return ranges;
}

// ── Loading ──────────────────────────────────────────────────────────────────────────────────

/**
 * Decodes a stored value into new objects. An element with several places is decoded for each of them. `items` holds at least
 * the items in the value's ranges.
 */
export async function loadValue(
  serde: SerializerProtocol,
  items: ReadonlyMap<number, StoredItem>,
  { type, value, ranges }: StoredValue,
): Promise<unknown> {
  if (type !== 'list' && !ranges?.length) return serde.loadsTyped(type, value ?? '');
  const list = await loadElements(serde, items, toNumbers(ranges ?? []));
  return type === 'list' ? list : list[0];
}

/** Decodes the elements in items with these numbers into new objects. */
export async function loadElements(
  serde: SerializerProtocol,
  items: ReadonlyMap<number, StoredItem>,
  numbers: Iterable<number>,
): Promise<unknown[]> {
  const turns = createTurns();
  const list: unknown[] = [];
  for (const item of joinParts(items, numbers)) {
    if (turns.isOver()) await turns.next();
    const isPacked = item.type === ELEMENTS;
    const loaded: unknown = await serde.loadsTyped(isPacked ? 'json' : item.type, item.value ?? '');
    if (isPacked && Array.isArray(loaded)) for (const each of loaded as unknown[]) list.push(each);
    else list.push(loaded);
  }
  return list;
}

/** The bytes of a stored value. `items` holds the bytes of the items in its ranges. */
export function storedSize(
  items: ReadonlyMap<number, number>,
  { value, ranges }: Pick<StoredValue, 'value' | 'ranges'>,
): number {
  if (!ranges) return sizeOfContent(value);
  let bytes = 0;
  for (const number of toNumbers(ranges)) bytes += items.get(number) ?? 0;
  return bytes;
}

/** The bytes of the content of a row. */
export function sizeOfContent(value: StoredValue['value']): number {
  return typeof value === 'string' ? Buffer.byteLength(value) : (value?.byteLength ?? 0);
}

/** Decodes a value that is not stored yet into new objects. */
export function loadSerialized(
  serde: SerializerProtocol,
  value: SerializedValue,
): Promise<unknown> {
  if ('bytes' in value) return serde.loadsTyped(value.type, value.bytes) as Promise<unknown>;
  const items = value.units.map(({ type, bytes }, i) => [i + 1, { type, value: bytes }] as const);
  const ranges = [1, items.length];
  return loadValue(serde, new Map(items), { type: value.type, value: null, ranges });
}

/** The items with these numbers in their order. Parts are joined with the item after them. */
function* joinParts(
  items: ReadonlyMap<number, StoredItem>,
  numbers: Iterable<number>,
): Generator<StoredItem> {
  let parts: Uint8Array[] = [];
  for (const number of numbers) {
    const item = items.get(number);
    if (!item) throw new Error(`Item ${number} of a stored list is missing.`);
    if (item.type === PART) parts.push(bytesOf(item));
    else if (parts.length === 0) yield item;
    else {
      yield { type: item.type, value: Buffer.concat([...parts, bytesOf(item)]) };
      parts = [];
    }
  }
}

function bytesOf({ value }: StoredItem): Uint8Array {
  return typeof value === 'string' ? Buffer.from(value) : (value ?? new Uint8Array());
}

function* toNumbers(ranges: readonly number[]): Generator<number> {
  for (let i = 0; i + 1 < ranges.length; i += 2) {
    for (let number = Number(ranges[i]); number <= Number(ranges[i + 1]); number++) yield number;
  }
}

/** The last numbers in ranges, in their order; fewer where the ranges have no more. */
export function lastNumbers(ranges: readonly number[], most: number): number[] {
  const numbers: number[] = [];
  for (let i = ranges.length - 2; i >= 0; i -= 2) {
    for (let number = Number(ranges[i + 1]); number >= Number(ranges[i]); number--) {
      if (numbers.length === most) return numbers.toReversed();
      numbers.push(number);
    }
  }
  return numbers.toReversed();
}
