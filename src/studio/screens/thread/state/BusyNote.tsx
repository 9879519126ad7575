import type { ReactNode } from 'react';
import { StatusBadge } from '../../../ui/Status.tsx';
import type { ViewProps } from '../views.ts';
import classes from './State.module.css';

interface BusyNoteProps extends Pick<ViewProps, 'thread'> {
  /** What follows from it. */
  children: ReactNode;
}

/** Says that a run of the thread executes. */
export function BusyNote({ thread, children }: BusyNoteProps) {
  if (thread.status !== 'BUSY') return null;
  return (
    <p role="status" className={classes['busy']}>
      <StatusBadge status="BUSY" /> {children}
    </p>
  );
}
