import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { useMutation } from 'urql';
import { useGraphIds } from '../../data/graphs.ts';
import { Button } from '../../ui/Button.tsx';
import { Dialog, DialogActions } from '../../ui/Dialog.tsx';
import { Field } from '../../ui/Field.tsx';
import { ErrorNote } from '../../ui/Notes.tsx';
import { CREATE_ASSISTANT } from './documents.ts';

/** Creates an assistant. Its screen then edits the configuration. */
export function NewAssistant({ onClose }: { onClose: () => void }) {
  const graphs = useGraphIds();
  const [name, setName] = useState('');
  const [chosen, setGraph] = useState<string | undefined>(undefined);
  const graph = chosen ?? graphs[0] ?? '';
  const [{ error, fetching }, create] = useMutation(CREATE_ASSISTANT);
  const navigate = useNavigate();

  async function createNow(): Promise<void> {
    const { data } = await create({ input: { graphId: graph, ...(name && { name }) } });
    const id = data?.createAssistant?.id;
    if (!id) return;
    onClose();
    await navigate({
      to: '/assistants/$assistantId',
      params: { assistantId: id },
      search: { edit: 'yes' },
    });
  }

  return (
    <Dialog title="New assistant" onClose={onClose}>
      <form
        style={{ display: 'contents' }}
        onSubmit={(event) => {
          event.preventDefault();
          void createNow();
        }}
      >
        <Field label="Name">
          {(ids) => (
            <input
              {...ids}
              autoFocus
              maxLength={255}
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        <Field label="Graph">
          {(ids) => (
            <select {...ids} value={graph} onChange={(event) => setGraph(event.target.value)}>
              {graphs.map((id) => (
                <option key={id}>{id}</option>
              ))}
            </select>
          )}
        </Field>
        <ErrorNote error={error} />
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" disabled={fetching || !graph}>
            Create the assistant
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}
