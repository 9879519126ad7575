import { above, type TreeRow } from './tree.ts';

export interface TreeAction {
  /** The row that becomes active. */
  to?: TreeRow | undefined;
  toggle?: TreeRow;
  select?: TreeRow;
}

/** What a key does in a tree, as in the ARIA practices. Undefined: nothing. */
export function moveInTree(
  key: string,
  rows: readonly TreeRow[],
  active: number,
): TreeAction | undefined {
  const row = rows[active];
  if (!row) return undefined;
  const isFolded = (row.size ?? 0) > 0 && !row.isOpen;
  switch (key) {
    case 'ArrowDown':
      return { to: rows[active + 1] };
    case 'ArrowUp':
      return { to: rows[active - 1] };
    case 'Home':
      return { to: rows[0] };
    case 'End':
      return { to: rows.at(-1) };
    case 'ArrowRight':
      return isFolded ? { toggle: row } : { to: row.isOpen ? rows[active + 1] : undefined };
    case 'ArrowLeft':
      if (row.isOpen) return { toggle: row };
      return { to: rows.find(({ pointer }) => pointer === above(row.pointer)) };
    case 'Enter':
    case ' ':
      return { select: row, to: row };
    default:
      return undefined;
  }
}
