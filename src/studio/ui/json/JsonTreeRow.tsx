import { Icon } from '../Icon.tsx';
import classes from './JsonTree.module.css';
import { preview, type TreeRow } from './tree.ts';

interface JsonTreeRowProps {
  id: string;
  /** Undefined: the list has become shorter. */
  row: TreeRow | undefined;
  /** Distance from the top of the list, in pixels. */
  top: number;
  isActive: boolean;
  isSelected: boolean;
}

const INDENT = 16;

/** A name with its value, or with a summary of what is inside. The tree around it takes keys and clicks. */
export function JsonTreeRow({ id, row, top, isActive, isSelected }: JsonTreeRowProps) {
  if (!row) return null;
  const { level, name, value, size, isOpen, position, siblings } = row;
  const hasInner = size !== undefined && size > 0;
  return (
    <div
      id={id}
      role="treeitem"
      aria-level={level}
      aria-posinset={position}
      aria-setsize={siblings}
      aria-expanded={hasInner ? isOpen : undefined}
      aria-selected={isSelected}
      data-active={isActive}
      data-pointer={row.pointer}
      tabIndex={-1}
      className={classes['row']}
      style={{ transform: `translateY(${top}px)`, paddingLeft: (level - 1) * INDENT }}
    >
      <span className={classes['fold']} data-fold aria-hidden="true">
        {hasInner && <Icon name={isOpen ? 'down' : 'right'} size={12} />}
      </span>
      {name !== '' && <span className={classes['name']}>{name}</span>}
      <span className={classes['value']} data-kind={kindOf(value)}>
        {preview(value)}
      </span>
    </div>
  );
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return typeof value;
}
