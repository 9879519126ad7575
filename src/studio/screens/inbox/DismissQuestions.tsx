import { useMutation } from 'urql';
import { Button } from '../../ui/Button.tsx';
import { Dialog, DialogActions } from '../../ui/Dialog.tsx';
import { ErrorNote } from '../../ui/Notes.tsx';
import { DISMISS, type SelectedThread } from './documents.ts';

interface DismissQuestionsProps {
  thread: SelectedThread;
  onClose: () => void;
}

/** Ends the turn of a thread without an answer, after a warning. */
export function DismissQuestions({ thread, onClose }: DismissQuestionsProps) {
  const [{ error, fetching }, dismiss] = useMutation(DISMISS);
  const { length: count } = thread.interrupts;

  async function dismissNow(): Promise<void> {
    const { error: refusal } = await dismiss({ threadId: thread.id });
    if (!refusal) onClose();
  }

  return (
    <Dialog
      title={count > 1 ? `Dismiss ${count} questions?` : 'Dismiss the question?'}
      onClose={onClose}
    >
      <p>
        The graph ends here, as if its last node had run. The node that asks gets no answer and
        never finishes, and the next run starts anew from this state.
        {count > 1 && ` All ${count} questions of the thread close.`}
      </p>
      <p>The state before stays in the history: a run from there asks again.</p>
      <ErrorNote error={error} />
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button look="danger" disabled={fetching} onClick={() => void dismissNow()}>
          Dismiss
        </Button>
      </DialogActions>
    </Dialog>
  );
}
