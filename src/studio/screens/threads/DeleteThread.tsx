import { useMutation } from 'urql';
import { Button } from '../../ui/Button.tsx';
import { Dialog, DialogActions } from '../../ui/Dialog.tsx';
import { ErrorNote } from '../../ui/Notes.tsx';
import { DELETE_THREAD } from './documents.ts';

interface DeleteThreadProps {
  id: string;
  name: string;
  onClose: () => void;
  onDeleted: () => void;
}

/** Asks before the deletion of a thread, and names its parts. */
export function DeleteThread({ id, name, onClose, onDeleted }: DeleteThreadProps) {
  const [{ error, fetching }, remove] = useMutation(DELETE_THREAD);

  async function deleteNow(): Promise<void> {
    const { error: refusal } = await remove({ id });
    if (refusal) return;
    onClose();
    onDeleted();
  }

  return (
    <Dialog title="Delete the thread?" onClose={onClose}>
      <p>
        <strong>{name}</strong> goes with its messages, its checkpoints and its runs. Runs in
        progress are cancelled. There is no way back.
      </p>
      <ErrorNote error={error} />
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button look="danger" icon="trash" disabled={fetching} onClick={() => void deleteNow()}>
          Delete the thread
        </Button>
      </DialogActions>
    </Dialog>
  );
}
