import { useState } from 'react';
import { useMutation } from 'urql';
import { Button } from '../../ui/Button.tsx';
import { Dialog, DialogActions } from '../../ui/Dialog.tsx';
import { Field } from '../../ui/Field.tsx';
import { ErrorNote } from '../../ui/Notes.tsx';
import { UPDATE_THREAD } from './documents.ts';

interface RenameThreadProps {
  thread: { id: string; metadata: Record<string, unknown> };
  onClose: () => void;
}

/** Changes the title in the metadata of a thread. */
export function RenameThread({ thread, onClose }: RenameThreadProps) {
  const { title: before } = thread.metadata;
  const [title, setTitle] = useState(typeof before === 'string' ? before : '');
  const [{ error, fetching }, update] = useMutation(UPDATE_THREAD);

  async function rename(): Promise<void> {
    const { error: refusal } = await update({ id: thread.id, input: { metadata: { title } } });
    if (!refusal) onClose();
  }

  return (
    <Dialog title="Rename the thread" onClose={onClose}>
      <form
        style={{ display: 'contents' }}
        onSubmit={(event) => {
          event.preventDefault();
          void rename();
        }}
      >
        <Field label="Title" hint="Stored in the metadata of the thread, as title.">
          {(ids) => (
            <input
              {...ids}
              autoFocus
              value={title}
              onChange={(event) => setTitle(event.target.value)}
            />
          )}
        </Field>
        <ErrorNote error={error} />
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" disabled={fetching}>
            Rename
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}
