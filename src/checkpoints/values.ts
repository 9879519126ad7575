import type { Content, ItemNumbers, ItemUse, StoredItem } from './items.ts';
import {
  ELEMENTS,
  hashUnit,
  PART,
  type SerializedValue,
  type SmallElements,
  type Unit,
} from './units.ts';

// A list is stored as ranges of numbered items of its thread. Versions of a list share their items. An item has a single element,
// several small ones, or a part of a large value:
//
// - A conversation grows message by message. Each message becomes an item and is stored once. The ranges stay a single pair of
// numbers.
//
// - Many new elements at once, such as an embedding or imported messages, become one item for each unit of units.ts.

/** A value as its row holds it: serialized, or, if `ranges` is not null, as ranges of item numbers. */
export interface StoredValue extends StoredItem {
  ranges: number[] | null;
}

/** A value with more new elements is stored in units. */
const MOST_ALONE = 32;

/**
 * The most pairs of numbers for a unit in the ranges of a value. A unit with more pairs becomes one item, even if its elements
 * have items: every version of the list repeats its ranges.
 */
const MOST_RANGES = 4;

export interface Storing {
  use: ItemUse;
  /** Each element of a list gets an item of its own, so that the ranges show the number of elements. */
  alone?: boolean;
}

/** The stored form of a value. New items get numbers. */
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

/** The way to store a unit: as one item or element by element. `isOneItem` is undefined if it depends on the whole value. */
interface Plan {
  unit: Unit;
  isOneItem: boolean | undefined;
  /** The number of elements without an item. */
  fresh: number;
  /** The small elements with a known mark, by position. */
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

/** True if the unit is a single element. */
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
