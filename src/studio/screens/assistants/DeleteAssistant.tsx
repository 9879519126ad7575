import { useNavigate } from '@tanstack/react-router';
import { useMutation } from 'urql';
import { Button } from '../../ui/Button.tsx';
import { Dialog, DialogActions } from '../../ui/Dialog.tsx';
import { ErrorNote } from '../../ui/Notes.tsx';
import { DELETE_ASSISTANT, type ShownAssistant } from './documents.ts';

interface DeleteAssistantProps {
  assistant: ShownAssistant;
  onClose: () => void;
}

/** Asks before an assistant is deleted. */
export function DeleteAssistant({ assistant, onClose }: DeleteAssistantProps) {
  const [{ error, fetching }, remove] = useMutation(DELETE_ASSISTANT);
  const navigate = useNavigate();
  const isRefused = error?.graphQLErrors.some(
    ({ extensions }) => extensions['code'] === 'CONFLICT',
  );

  async function deleteNow(): Promise<void> {
    const { error: refusal } = await remove({ id: assistant.id });
    if (!refusal) await navigate({ to: '/assistants' });
  }

  return (
    <Dialog title="Delete the assistant?" onClose={onClose}>
      <p>
        <strong>{assistant.name}</strong> goes with all its versions. Its threads and runs stay.
        There is no way back.
      </p>
      <ErrorNote error={error} />
      {isRefused && (
        <p>
          Each graph keeps its default assistant: clients start runs with the name of the graph. To
          change how it answers, edit it as a new version. To remove it, take the graph out of
          langgraph.json.
        </p>
      )}
      <DialogActions>
        <Button onClick={onClose}>{isRefused ? 'Close' : 'Cancel'}</Button>
        {!isRefused && (
          <Button look="danger" icon="trash" disabled={fetching} onClick={() => void deleteNow()}>
            Delete the assistant
          </Button>
        )}
      </DialogActions>
    </Dialog>
  );
}
