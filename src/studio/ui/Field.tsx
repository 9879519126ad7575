import { useId, type ReactNode } from 'react';
import classes from './Field.module.css';

interface FieldProps {
  label: string;
  hint?: ReactNode;
  /** Renders the control with the ids of its label and hint. */
  children: (ids: { id: string; 'aria-describedby': string | undefined }) => ReactNode;
}

/** A control with its label. */
export function Field({ label, hint, children }: FieldProps) {
  const id = useId();
  const hintId = `${id}-hint`;
  return (
    <div className={classes['field']}>
      <label htmlFor={id} className={classes['label']}>
        {label}
      </label>
      {children({ id, 'aria-describedby': hint ? hintId : undefined })}
      {hint && (
        <span id={hintId} className={classes['hint']}>
          {hint}
        </span>
      )}
    </div>
  );
}
