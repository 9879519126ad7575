import type { ErrorComponentProps } from '@tanstack/react-router';
import { Button } from '../ui/Button.tsx';
import { Empty } from '../ui/Notes.tsx';

/** Stands in place of a screen with an error in its code. */
export function Broken({ error, reset }: ErrorComponentProps) {
  return (
    <Empty icon="error" title="This screen failed">
      <p>{error instanceof Error ? error.message : String(error)}</p>
      <p>The thread and its runs are not affected.</p>
      <Button icon="refresh" onClick={reset}>
        Show it again
      </Button>
    </Empty>
  );
}
