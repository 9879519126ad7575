import { useEffect, type ReactNode } from 'react';
import { Button } from './Button.tsx';
import { Icon } from './Icon.tsx';
import classes from './Screen.module.css';

interface ScreenProps {
  title: string;
  /** Beside the title, such as the number of rows. */
  count?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

/** A screen with its title, which is also the title of the tab. */
export function Screen({ title, count, actions, children }: ScreenProps) {
  useDocumentTitle(title);
  return (
    <div className={classes['screen']}>
      <header className={classes['head']}>
        <h1>{title}</h1>
        {count !== undefined && <span className={classes['count']}>{count}</span>}
        {actions && <div className={classes['actions']}>{actions}</div>}
      </header>
      {children}
    </div>
  );
}

export function useDocumentTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · threadql`;
  }, [title]);
}

/** The filters above a list. */
export function Toolbar({ children }: { children: ReactNode }) {
  return (
    <div className={classes['toolbar']} role="search">
      {children}
    </div>
  );
}

interface ChipProps {
  isOn: boolean;
  onToggle: () => void;
  /** How many rows have it. */
  number?: number | undefined;
  children: ReactNode;
}

/** A filter that is on or off. */
export function Chip({ isOn, onToggle, number, children }: ChipProps) {
  return (
    <button type="button" className={classes['chip']} aria-pressed={isOn} onClick={onToggle}>
      {children}
      {number !== undefined && <span className={classes['number']}>{countOf(number)}</span>}
    </button>
  );
}

/** The server counts up to 10,000. */
export function countOf(number: number): string {
  return number > 10_000 ? '10,000+' : number.toLocaleString('en');
}

interface SortHeaderProps<Field extends string> {
  field: Field;
  sorted: { field: string; direction: 'ASC' | 'DESC' };
  onSort: (sort: Field, direction: 'ASC' | 'DESC') => void;
  className?: string | undefined;
  children: ReactNode;
}

/** The head of a column by which the server can sort. */
export function SortHeader<Field extends string>(props: SortHeaderProps<Field>) {
  const { field, sorted, onSort, className, children } = props;
  const isSorted = sorted.field === field;
  const isDescending = sorted.direction === 'DESC';
  const order = isDescending ? 'descending' : 'ascending';
  return (
    <th aria-sort={isSorted ? order : 'none'} className={className}>
      <button
        type="button"
        className={classes['sort']}
        onClick={() => onSort(field, isSorted && isDescending ? 'ASC' : 'DESC')}
      >
        {children}
        {isSorted && <Icon name={isDescending ? 'down' : 'up'} size={12} />}
      </button>
    </th>
  );
}

interface PageInfo {
  startCursor: string | null;
  endCursor: string | null;
  hasNextPage: boolean;
  hasPreviousPage: boolean;
}

interface PagerProps {
  page: PageInfo | undefined;
  /** Whether the list starts at its first row. */
  isFirst: boolean;
  onMove: (to: { after?: string | undefined; before?: string | undefined }) => void;
}

/** Goes to the pages before and after. */
export function Pager({ page, isFirst, onMove }: PagerProps) {
  if (!page || (isFirst && !page.hasNextPage)) return null;
  return (
    <nav className={classes['pager']} aria-label="Pages">
      {!isFirst && (
        <Button look="plain" onClick={() => onMove({})}>
          First page
        </Button>
      )}
      <Button
        icon="left"
        disabled={isFirst || !page.hasPreviousPage}
        onClick={() => onMove({ before: page.startCursor ?? undefined })}
      >
        Previous
      </Button>
      <Button
        icon="right"
        disabled={!page.hasNextPage}
        onClick={() => onMove({ after: page.endCursor ?? undefined })}
      >
        Next
      </Button>
    </nav>
  );
}

/** Classes of the parts of a list, for tables. */
export const list = {
  box: classes['tableBox'],
  table: classes['table'],
  number: classes['number'],
  soft: classes['soft'],
  /** Not on a phone. */
  wide: classes['wide'],
  note: classes['note'],
  chips: classes['chips'],
};
