import type { ThreadRun } from '../../../../client/types.ts';
import { Button } from '../../../ui/Button.tsx';
import { Icon } from '../../../ui/Icon.tsx';
import type { ThreadSearch } from '../search.ts';
import classes from './Conversation.module.css';

interface FailureProps {
  run: ThreadRun | undefined;
  onShow: (change: Partial<ThreadSearch>) => void;
}

/** Why the last run failed. */
export function Failure({ run, onShow }: FailureProps) {
  if (!run || (run.status !== 'ERROR' && run.status !== 'TIMEOUT')) return null;
  return (
    <div className={classes['failure']} role="status">
      <Icon name="error" />
      <span>
        <strong>{run.error?.name ?? 'The run timed out'}</strong> {run.error?.message}
      </span>
      <Button isSmall onClick={() => onShow({ view: 'runs', run: run.id })}>
        Show the run
      </Button>
    </div>
  );
}
