import classes from './runs.module.css';

/** Marks a run whose worker was lost: another one continued it. */
export function Attempt({ number }: { number: number }) {
  if (number <= 1) return null;
  return (
    <span
      className={classes['attempt']}
      title={`Attempt ${number}: a worker was lost, and another one continued the run.`}
    >
      attempt {number}
    </span>
  );
}
