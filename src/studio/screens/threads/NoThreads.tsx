import { Button } from '../../ui/Button.tsx';
import { Empty } from '../../ui/Notes.tsx';

interface NoThreadsProps {
  /** Removes the filters, if there are any. */
  onClear: (() => void) | undefined;
  /** Absent: the person may not create threads. */
  onCreate: (() => void) | undefined;
}

/** Stands in place of an empty list: says what a thread is, or that the filters exclude all. */
export function NoThreads({ onClear, onCreate }: NoThreadsProps) {
  if (onClear) {
    return (
      <Empty icon="search" title="No thread matches">
        <p>The filters exclude every thread.</p>
        <Button onClick={onClear}>Remove the filters</Button>
      </Empty>
    );
  }
  return (
    <Empty icon="threads" title="No threads yet">
      <p>
        A <strong>thread</strong> is a conversation. Each question to a graph is a{' '}
        <strong>run</strong>, and each step of a run leaves a <strong>checkpoint</strong>: a state
        that you can look at, change, and continue from.
      </p>
      {onCreate && (
        <Button look="primary" icon="plus" onClick={onCreate}>
          Start a thread
        </Button>
      )}
    </Empty>
  );
}
