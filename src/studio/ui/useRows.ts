import { useState } from 'react';
import { useShortcuts } from '../frame/shortcuts.ts';

/** Moves a selection over rows with j and k; Enter opens the selected row. Returns the index of the row, or -1. */
export function useRows(count: number, open: (index: number) => void): number {
  const [at, setAt] = useState(-1);
  const selected = Math.min(at, count - 1);
  function move(step: number): void {
    const next = Math.max(0, Math.min(count - 1, selected + step));
    setAt(next);
    document.querySelector(`[data-row="${next}"]`)?.scrollIntoView({ block: 'nearest' });
  }
  useShortcuts({
    j: () => move(1),
    k: () => move(-1),
    Enter: () => selected >= 0 && open(selected),
  });
  return selected;
}
