import { Link } from '@tanstack/react-router';
import { Button, buttonClass } from '../../ui/Button.tsx';
import { Empty } from '../../ui/Notes.tsx';

/** Stands in place of an empty list: says what a run is, or that the filters exclude all. */
export function NoRuns({ onClear }: { onClear: (() => void) | undefined }) {
  if (onClear) {
    return (
      <Empty icon="search" title="No run matches">
        <p>The filters exclude every run.</p>
        <Button onClick={onClear}>Remove the filters</Button>
      </Empty>
    );
  }
  return (
    <Empty icon="runs" title="No runs yet">
      <p>
        A <strong>run</strong> is one execution of a graph on a thread. It waits in a queue until a
        worker claims it. If the worker is lost, another one continues it as a new{' '}
        <strong>attempt</strong>.
      </p>
      <p>Write a message in a thread, and its run appears here.</p>
      <Link to="/threads" className={buttonClass({ look: 'primary' })}>
        Go to the threads
      </Link>
    </Empty>
  );
}
