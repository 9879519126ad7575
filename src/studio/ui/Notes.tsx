import type { ReactNode } from 'react';
import type { CombinedError } from 'urql';
import { Icon, type IconName } from './Icon.tsx';
import classes from './Notes.module.css';

interface EmptyProps {
  icon: IconName;
  title: string;
  /** What this place will show, and how to get there. */
  children: ReactNode;
}

/** Stands where there is nothing to show yet. */
export function Empty({ icon, title, children }: EmptyProps) {
  return (
    <div className={classes['empty']}>
      <span className={classes['picture']}>
        <Icon name={icon} size={24} />
      </span>
      <h2>{title}</h2>
      {children}
    </div>
  );
}

interface ErrorNoteProps {
  error: Error | CombinedError | undefined;
  className?: string | undefined;
}

/** An error of the server or of the network, in its own words. */
export function ErrorNote({ error, className = '' }: ErrorNoteProps) {
  if (!error) return null;
  return (
    <div className={`${classes['error']} ${className}`} role="alert">
      <Icon name="error" />
      <span>{messageOf(error)}</span>
    </div>
  );
}

/** The message of an error, without the prefixes of urql. */
function messageOf(error: Error | CombinedError): string {
  const { graphQLErrors = [], networkError } = error as Partial<CombinedError>;
  if (networkError) return `The server does not answer: ${networkError.message}.`;
  return graphQLErrors.map(({ message }) => message).join(' ') || error.message;
}

/** Grey lines in place of data on its way. */
export function Loading({ lines = 6 }: { lines?: number }) {
  return (
    <div className={classes['loading']} role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, index) => (
        <div key={index} className={classes['bar']} />
      ))}
    </div>
  );
}
