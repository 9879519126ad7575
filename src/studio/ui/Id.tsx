import { CopyButton } from './CopyButton.tsx';
import classes from './Id.module.css';

/** The end of an id. The pointer shows all of it, and a button copies it. */
export function Id({ id, name }: { id: string; name: string }) {
  return (
    <span className={classes['id']} title={id}>
      …{id.slice(-8)}
      <CopyButton text={id} label={`Copy the id of the ${name}`} />
    </span>
  );
}
