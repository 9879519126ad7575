import { hashUnit, isSmall, markOf } from './units.ts';

/** An item as its row holds it. JSON may come as text. */
export interface StoredItem {
  type: string;
  value: Uint8Array | string | null;
}

/** An item to store. */
export interface Item {
  number: number;
  hash: Buffer;
  type: string;
  value: Uint8Array;
}

/** An item from the database. */
export type KnownItem = Pick<Item, 'hash' | 'number'> & Partial<StoredItem>;

/** The content of a new or known item. */
export interface Content extends Omit<Item, 'number'> {
  mark?: number;
  /** Writes and channels may share the item. */
  isShared?: boolean;
}

/**
 * The known numbers of a thread's items. Items of channels have the numbers 1, 2, 3, …; items of writes have -1, -2, -3, … A node
 * may write a message without an id, and the channel then stores it with an id. In a common sequence, messages of a channel would
 * not have consecutive numbers. Keeps hashes only, no content.
 */
export interface ItemNumbers {
  /** The number of the item with this content. */
  find(content: Pick<Content, 'hash'>, use: ItemUse): number | undefined;
  /** False if no item consists of a small element with this mark alone. */
  mayHold(mark: number): boolean;
  /** The numbers of these contents: the known numbers, or the next free ones in their order. */
  number(contents: readonly Content[], use: ItemUse): number[];
  /** The items with a new number that are not stored yet. After the call, they count as stored. */
  takeNew(): Item[];
  /** Learns items of the thread, and its lowest and highest number if given. */
  learn(stored: Iterable<KnownItem>, bounds?: ItemBounds): void;
  /** The items could not be stored: their numbers are unknown again. */
  forget(items: readonly Item[]): void;
  /** An independent copy. */
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
  /** The marks of small elements with an item of their own. */
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

/** The hash of an item of writes. A channel stores the same content as another item, with the content's own hash. */
function ofWrite(hash: Buffer): Buffer {
  return hashUnit('in a write', hash);
}
