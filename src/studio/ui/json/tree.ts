import { shorten } from '../shorten.ts';

/** A value of JSON in a list of rows. */
export interface TreeRow {
  /** JSON pointer, such as /messages/0/content. */
  pointer: string;
  /** From 1. */
  level: number;
  /** Name in the object above, or index in the list. Empty for a value without a parent. */
  name: string;
  value: unknown;
  /** Number of values inside. Undefined: neither an object nor a list. */
  size: number | undefined;
  isOpen: boolean;
  /** Position among the values beside it, from 1. */
  position: number;
  siblings: number;
}

/** Strings above this length are folded. */
const LONG_STRING = 1024;

export type IsOpen = (pointer: string, level: number) => boolean;

/** The rows of a value, in order. `shown` leaves out the other values. */
export function flatten(value: unknown, isOpen: IsOpen, shown?: ReadonlySet<string>): TreeRow[] {
  const rows: TreeRow[] = [];
  function addAll(container: object, above: string, level: number): void {
    const entries = entriesOf(container, above).filter(
      ({ pointer }) => !shown || shown.has(pointer),
    );
    entries.forEach(({ pointer, name, value: inner }, index) => {
      const size = sizeOf(inner);
      const opened = size !== undefined && size > 0 && isOpen(pointer, level);
      const place = { position: index + 1, siblings: entries.length };
      rows.push({ pointer, level, name, value: inner, size, isOpen: opened, ...place });
      if (opened) addAll(inner as object, pointer, level + 1);
    });
  }
  if (isContainer(value)) addAll(value, '', 1);
  else {
    const place = { position: 1, siblings: 1 };
    rows.push({ pointer: '', level: 1, name: '', value, size: undefined, isOpen: false, ...place });
  }
  return rows;
}

/** The pointers of values whose name or text contains `text`, in order, at most `limit`. */
export function search(value: unknown, text: string, limit = 1000): string[] {
  const wanted = text.toLowerCase();
  const found: string[] = [];
  function look(container: object, above: string): void {
    for (const { pointer, name, value: inner } of entriesOf(container, above)) {
      if (found.length >= limit) return;
      const isMatch =
        (!Array.isArray(container) && name.toLowerCase().includes(wanted)) ||
        (!isContainer(inner) && String(inner).toLowerCase().includes(wanted));
      if (isMatch) found.push(pointer);
      if (isContainer(inner)) look(inner, pointer);
    }
  }
  if (isContainer(value)) look(value, '');
  return found;
}

/** These pointers and all above them. */
export function withAncestors(pointers: Iterable<string>): Set<string> {
  const all = new Set<string>();
  for (const pointer of pointers) {
    for (let each = pointer; each !== '' && !all.has(each); each = above(each)) all.add(each);
  }
  return all;
}

/** The pointer of the value around a value. */
export function above(pointer: string): string {
  return pointer.slice(0, Math.max(0, pointer.lastIndexOf('/')));
}

/** The pointer of a value inside another one. */
export function inside(pointer: string, name: string | number): string {
  return `${pointer}/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** The names on the way to a value. */
export function namesOf(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The value at a pointer; undefined without one. */
export function valueAt(value: unknown, pointer: string): unknown {
  return namesOf(pointer).reduce<unknown>(
    (inner, name) =>
      isContainer(inner) && Object.hasOwn(inner, name)
        ? (inner as Record<string, unknown>)[name]
        : undefined,
    value,
  );
}

const PREVIEW = 90;

/** One short line for a value. */
export function preview(value: unknown): string {
  if (typeof value === 'string') return previewText(value);
  if (!isContainer(value)) return String(value);
  if (Array.isArray(value)) return value.length === 1 ? '1 item' : `${value.length} items`;
  const scalars = Object.entries(value)
    .filter(([, inner]) => inner !== '' && inner !== null && !isContainer(inner))
    .map(([name, inner]) => `${name}: ${shorten(String(inner), 40)}`);
  return scalars.length > 0 ? shorten(scalars.join(', '), PREVIEW) : `${sizeOf(value)} fields`;
}

function previewText(text: string): string {
  const media = /^data:([\w.+-]+\/[\w.+-]+)?[;,]/.exec(text.slice(0, 100));
  if (media) return `data URI, ${media[1] ?? 'text'}, ${bytesOf(text.length)}`;
  if (text.length <= LONG_STRING) return JSON.stringify(text);
  return `${JSON.stringify(text.slice(0, PREVIEW))}… ${bytesOf(text.length)}`;
}

/** "340 B", "12 kB", "5.2 MB". */
export function bytesOf(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1000)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function entriesOf(container: object, pointer: string) {
  return Object.entries(container).map(([name, value]) => ({
    name,
    value: value as unknown,
    pointer: inside(pointer, name),
  }));
}

function sizeOf(value: unknown): number | undefined {
  if (!isContainer(value)) return undefined;
  return Array.isArray(value) ? value.length : Object.keys(value).length;
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
