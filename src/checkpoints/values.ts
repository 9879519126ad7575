import { createHash } from 'node:crypto';
import type { SerializerProtocol } from '@langchain/langgraph-checkpoint';

type Serialized = [type: string, bytes: Uint8Array];

/** A value turned into bytes: a list element by element, anything else as a whole. */
export type SerializedValue = { whole: Serialized } | { elements: Serialized[] };

/** A value as its row holds it: serialised, or, where type is "list", as ranges of item numbers. */
export interface StoredValue {
  type: string;
  value: Uint8Array | null;
  ranges: number[] | null;
}

/** An element of a list, stored once per thread. */
export interface Item {
  number: number;
  hash: Buffer;
  type: string;
  value: Uint8Array;
}

/**
 * The numbers of a thread's items, as far as they are known here. Those of lists in channels count up from 1, those of lists
 * in writes down from -1: a node writes a message that gets its id only in the channel, and were they counted together,
 * no two messages of a channel would follow each other.
 */
export interface ItemNumbers {
  /** The number of the item with this content: the one it has, or the next free one. */
  numberOf(serialized: Serialized, use: ItemUse): number;
  /** The items that got a number here and are not stored yet; once taken, they count as stored. */
  takeNew(): Item[];
  /** Learns what the thread holds, and its lowest and highest number. */
  learn(stored: Iterable<Pick<Item, 'hash' | 'number'>>, bounds: ItemBounds): void;
  /** Items that were taken could not be stored: they have no number again. */
  forget(items: Item[]): void;
}

export type ItemUse = 'channel' | 'write';

export interface ItemBounds {
  lowest: number;
  highest: number;
}

export function createItemNumbers(): ItemNumbers {
  const numbers = new Map<string, number>();
  let fresh: Item[] = [];
  let lowest = 0;
  let highest = 0;
  return {
    numberOf([type, value], use) {
      const hash = hashItem(type, value);
      const known = numbers.get(keyOf(hash));
      if (known !== undefined) return known;
      if (use === 'channel') return add({ number: ++highest, hash, type, value });
      // The same content may come to stand in a channel, too: there it is another item.
      const ownHash = hashItem(`${type} in a write`, value);
      return numbers.get(keyOf(ownHash)) ?? add({ number: --lowest, hash: ownHash, type, value });
    },
    takeNew() {
      const taken = fresh;
      fresh = [];
      return taken;
    },
    learn(stored, bounds) {
      for (const { hash, number } of stored) numbers.set(keyOf(hash), number);
      lowest = Math.min(lowest, bounds.lowest);
      highest = Math.max(highest, bounds.highest);
    },
    forget(items) {
      for (const { hash } of items) numbers.delete(keyOf(hash));
    },
  };

  function add(item: Item): number {
    numbers.set(keyOf(item.hash), item.number);
    fresh.push(item);
    return item.number;
  }
}

function keyOf(hash: Buffer): string {
  return hash.toString('latin1');
}

const HASH_BYTES = 16;

function hashItem(type: string, value: Uint8Array): Buffer {
  return createHash('sha256')
    .update(type)
    .update('\0')
    .update(value)
    .digest()
    .subarray(0, HASH_BYTES);
}

/** Turns a value into bytes. The value is read before this returns, so later changes to it do not matter. */
export async function serializeValue(
  serde: SerializerProtocol,
  value: unknown,
): Promise<SerializedValue> {
  if (!Array.isArray(value)) return { whole: await serde.dumpsTyped(value) };
  return { elements: await Promise.all(Array.from(value, (element) => serde.dumpsTyped(element))) };
}

/** What to store for a value. A list becomes ranges of items, so that appending costs what was appended. */
export function storedValue(
  items: ItemNumbers,
  serialized: SerializedValue,
  use: ItemUse,
): StoredValue {
  if ('whole' in serialized) {
    const [type, value] = serialized.whole;
    return { type, value, ranges: null };
  }
  const numbers = serialized.elements.map((element) => items.numberOf(element, use));
  return { type: 'list', value: null, ranges: toRanges(numbers) };
}

/** [1,2,3,7] → [1,3,7,7]: pairs of first and last. */
function toRanges(numbers: number[]): number[] {
  const ranges: number[] = [];
  for (const number of numbers) {
    if (ranges.at(-1) === number - 1) ranges[ranges.length - 1] = number;
    else ranges.push(number, number);
  }
  return ranges;
}

/** The value that was stored. `items` holds, decoded, at least the items that its ranges name. */
export async function loadValue(
  serde: SerializerProtocol,
  items: ReadonlyMap<number, unknown>,
  { type, value, ranges }: StoredValue,
): Promise<unknown> {
  if (type !== 'list') return serde.loadsTyped(type, value ?? new Uint8Array());
  return toNumbers(ranges ?? []).map((number) => {
    if (!items.has(number)) throw new Error(`Item ${number} of a stored list is missing.`);
    return items.get(number);
  });
}

function toNumbers(ranges: number[]): number[] {
  const numbers: number[] = [];
  for (let i = 0; i + 1 < ranges.length; i += 2) {
    for (let number = ranges[i] as number; number <= (ranges[i + 1] as number); number++) {
      numbers.push(number);
    }
  }
  return numbers;
}
