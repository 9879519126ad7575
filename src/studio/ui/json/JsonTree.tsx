import { useVirtualizer } from '@tanstack/react-virtual';
import { useDeferredValue, useEffect, useId, useMemo, useRef, useState } from 'react';
import { IconButton } from '../Button.tsx';
import classes from './JsonTree.module.css';
import { JsonTreeRow } from './JsonTreeRow.tsx';
import { JsonValue } from './JsonValue.tsx';
import { above, flatten, search, valueAt, withAncestors, type TreeRow } from './tree.ts';
import { moveInTree, type TreeAction } from './tree-keys.ts';

interface JsonTreeProps {
  /** The name of the tree. */
  label: string;
  value: unknown;
  /** JSON pointer of the selected value. */
  selected: string | undefined;
  onSelect: (pointer: string | undefined) => void;
}

/** A JSON value as a tree that a person can fold and search. */
export function JsonTree({ label, value, selected, onSelect }: JsonTreeProps) {
  const [text, setText] = useState('');
  const { rows, found, toggle, foldAll } = useTreeRows(value, text, selected);
  const isSelected = selected !== undefined && valueAt(value, selected) !== undefined;
  return (
    <div className={classes['tree']}>
      <div className={classes['tools']}>
        <input
          type="search"
          aria-label={`Search in ${label}`}
          placeholder="Search names and values"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <span role="status" className={classes['soft']}>
          {found && `${found.length} found`}
        </span>
        <IconButton icon="minus" label="Fold all" onClick={foldAll} />
      </div>
      <Rows label={label} rows={rows} selected={selected} onSelect={onSelect} onToggle={toggle} />
      {isSelected && (
        <JsonValue
          pointer={selected}
          value={valueAt(value, selected)}
          onClose={() => onSelect(undefined)}
        />
      )}
    </div>
  );
}

/** The rows in view of the search and of what a person has folded. */
function useTreeRows(value: unknown, text: string, selected: string | undefined) {
  const [opened, setOpened] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [openLevels, setOpenLevels] = useState(1);
  const wanted = useDeferredValue(text.trim());
  const found = useMemo(() => (wanted ? search(value, wanted) : undefined), [value, wanted]);
  const rows = useMemo(() => {
    const way = withAncestors((found ?? [selected ?? '']).map(above));
    const isOpen = (pointer: string, level: number) =>
      opened.get(pointer) ?? (way.has(pointer) || (!found && level <= openLevels));
    return flatten(value, isOpen, found && withAncestors(found));
  }, [value, found, selected, opened, openLevels]);
  return {
    rows,
    found,
    toggle: (row: TreeRow) => setOpened(new Map(opened).set(row.pointer, !row.isOpen)),
    foldAll() {
      setOpened(new Map());
      setOpenLevels(0);
    },
  };
}

const ROW_HEIGHT = 24;

interface RowsProps {
  label: string;
  rows: readonly TreeRow[];
  selected: string | undefined;
  onSelect: (pointer: string) => void;
  onToggle: (row: TreeRow) => void;
}

/** The rows in view. The tree has the focus, and one row is active in it. */
function Rows({ label, rows, selected, onSelect, onToggle }: RowsProps) {
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const [pointer, setPointer] = useState(selected);
  const active = Math.max(
    0,
    rows.findIndex((row) => row.pointer === pointer),
  );
  const list = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
  });
  function act({ to, toggle, select }: TreeAction): void {
    if (toggle) onToggle(toggle);
    if (select) onSelect(select.pointer);
    if (to) setPointer(to.pointer);
  }

  useEffect(() => {
    if (pointer !== undefined) list.scrollToIndex(active);
  }, [list, pointer, active]);

  return (
    <div
      ref={box}
      role="tree"
      aria-label={label}
      aria-activedescendant={rows[active] && `${id}-${active}`}
      tabIndex={0}
      className={classes['box']}
      onClick={({ target }) => act(clickInTree(target as Element, rows))}
      onKeyDown={(event) => {
        const action = moveInTree(event.key, rows, active);
        if (!action) return;
        event.preventDefault();
        event.stopPropagation();
        act(action);
      }}
    >
      <div role="presentation" style={{ height: list.getTotalSize(), position: 'relative' }}>
        {list.getVirtualItems().map(({ index, start }) => (
          <JsonTreeRow
            key={rows[index]?.pointer}
            id={`${id}-${index}`}
            row={rows[index]}
            top={start}
            isActive={index === active}
            isSelected={rows[index]?.pointer === selected}
          />
        ))}
      </div>
    </div>
  );
}

/** A click on the sign of a row folds it, and a click elsewhere selects it. */
function clickInTree(target: Element, rows: readonly TreeRow[]): TreeAction {
  const pointer = target.closest<HTMLElement>('[data-pointer]')?.dataset['pointer'];
  const row = rows.find((each) => each.pointer === pointer);
  if (!row) return {};
  return target.closest('[data-fold]') ? { toggle: row, to: row } : { select: row, to: row };
}
