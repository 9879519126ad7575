import { inside } from '../../../ui/json/tree.ts';

/** A value that differs between two states. */
export interface Change {
  kind: 'added' | 'removed' | 'changed' | 'moved';
  /** JSON pointer into the new state; of a removed value into the old one. */
  pointer: string;
  /** Of a moved value its index in the old list. */
  before?: unknown;
  after?: unknown;
}

/** The differences of two values, in order. Items of lists belong together by their `id`, otherwise by their index. */
export async function differences(before: unknown, after: unknown): Promise<Change[]> {
  const { create } = await import('jsondiffpatch');
  const patcher = create({ objectHash: keyOf, arrays: { detectMove: true } });
  return listChanges(patcher.diff(withoutPrototypes(before), withoutPrototypes(after)), '');
}

/** A copy whose objects inherit nothing: otherwise a missing name such as `toString` would be a function. */
function withoutPrototypes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutPrototypes);
  if (typeof value !== 'object' || value === null) return value;
  const copy = Object.create(null) as Record<string, unknown>;
  for (const [name, inner] of Object.entries(value)) copy[name] = withoutPrototypes(inner);
  return copy;
}

function keyOf(item: object | null, index?: number): string {
  const { id } = (item ?? {}) as { id?: unknown };
  return typeof id === 'string' || typeof id === 'number' ? `id ${id}` : `index ${index}`;
}

/** Reads the format of jsondiffpatch: lists for changes, objects for what is inside of objects and lists. */
function listChanges(delta: unknown, pointer: string): Change[] {
  if (delta === undefined) return [];
  if (Array.isArray(delta)) return [changeOf(delta, pointer)];
  const { _t: type, ...items } = delta as Record<string, unknown>;
  if (type !== 'a') {
    return Object.entries(delta as object).flatMap(([name, each]) =>
      listChanges(each, inside(pointer, name)),
    );
  }
  return Object.entries(items)
    .toSorted(([a], [b]) => indexOf(a) - indexOf(b))
    .flatMap(([key, each]) => listItem(key, each, pointer));
}

/** Keys with an underscore are indexes in the old list, the others in the new list. */
function listItem(key: string, delta: unknown, pointer: string): Change[] {
  const isMove = Array.isArray(delta) && delta[2] === MOVED;
  if (!isMove) return listChanges(delta, inside(pointer, indexOf(key)));
  const [, to] = delta as [unknown, number];
  return [{ kind: 'moved', pointer: inside(pointer, to), before: indexOf(key), after: to }];
}

const REMOVED = 0;
const MOVED = 3;

function changeOf(delta: readonly unknown[], pointer: string): Change {
  const [first, second, third] = delta;
  if (delta.length === 1) return { kind: 'added', pointer, after: first };
  if (third === REMOVED) return { kind: 'removed', pointer, before: first };
  return { kind: 'changed', pointer, before: first, after: second };
}

function indexOf(key: string): number {
  return Number(key.replace('_', ''));
}
