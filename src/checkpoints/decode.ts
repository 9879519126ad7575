import type { SerializerProtocol } from '@langchain/langgraph-checkpoint';
import { createTurns } from '../turns.ts';
import type { StoredItem } from './items.ts';
import { ELEMENTS, PART, type SerializedValue } from './units.ts';
import type { StoredValue } from './values.ts';

/**
 * Decodes a stored value into new objects. An element at several positions is decoded for each of them. `items` must have the
 * items in the value's ranges.
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

/** The bytes of a stored value. `items` must have the bytes of the items in its ranges. */
export function storedSize(
  items: ReadonlyMap<number, number>,
  { value, ranges }: Pick<StoredValue, 'value' | 'ranges'>,
): number {
  if (!ranges) return sizeOfContent(value);
  let bytes = 0;
  for (const number of toNumbers(ranges)) bytes += items.get(number) ?? 0;
  return bytes;
}

/** The bytes of a row. */
export function sizeOfContent(value: StoredValue['value']): number {
  return typeof value === 'string' ? Buffer.byteLength(value) : (value?.byteLength ?? 0);
}

/** Decodes a serialized value, before it is stored, into new objects. */
export function loadSerialized(
  serde: SerializerProtocol,
  value: SerializedValue,
): Promise<unknown> {
  if ('bytes' in value) return serde.loadsTyped(value.type, value.bytes) as Promise<unknown>;
  const items = value.units.map(({ type, bytes }, i) => [i + 1, { type, value: bytes }] as const);
  const ranges = [1, items.length];
  return loadValue(serde, new Map(items), { type: value.type, value: null, ranges });
}

/** The items with these numbers, in their order. Parts are joined with the item after them. */
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

/** The numbers in ranges, in their order. */
export function* toNumbers(ranges: readonly number[]): Generator<number> {
  for (let i = 0; i + 1 < ranges.length; i += 2) {
    for (let number = Number(ranges[i]); number <= Number(ranges[i + 1]); number++) yield number;
  }
}

/** The last numbers in ranges, in their order. Fewer if the ranges have no more. */
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
