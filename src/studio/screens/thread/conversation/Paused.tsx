import { useMutation } from 'urql';
import { START_RUN, type RunInput } from '../../../data/runs.ts';
import { Button } from '../../../ui/Button.tsx';
import { Icon } from '../../../ui/Icon.tsx';
import { ErrorNote } from '../../../ui/Notes.tsx';
import classes from './Conversation.module.css';

interface PausedProps {
  threadId: string;
  assistantId: string;
  run: Omit<RunInput, 'threadId' | 'assistantId'>;
}

/** The thread stopped at a breakpoint. It has no question, and a run without input continues it. */
export function Paused({ threadId, assistantId, run }: PausedProps) {
  const [{ error, fetching }, send] = useMutation(START_RUN);
  const input = { ...run, threadId, assistantId, input: null };
  return (
    <>
      <div className={classes['paused']} role="status">
        <Icon name="pause" />
        <span>The thread stopped at a breakpoint.</span>
        <Button isSmall icon="play" disabled={fetching} onClick={() => void send({ input })}>
          Continue
        </Button>
      </div>
      <ErrorNote error={error} />
    </>
  );
}
