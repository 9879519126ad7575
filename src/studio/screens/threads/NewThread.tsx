import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { useMutation } from 'urql';
import { useGraphIds } from '../../data/graphs.ts';
import { Button } from '../../ui/Button.tsx';
import { Dialog, DialogActions } from '../../ui/Dialog.tsx';
import { Field } from '../../ui/Field.tsx';
import { parseObject } from '../../ui/json/parse.ts';
import { JsonEditor } from '../../ui/json/JsonEditor.tsx';
import { ErrorNote } from '../../ui/Notes.tsx';
import { CREATE_THREAD } from './documents.ts';

/** Creates a thread: empty, or with a first state. */
export function NewThread({ onClose }: { onClose: () => void }) {
  const draft = useNewThread(onClose);
  return (
    <Dialog title="New thread" onClose={onClose}>
      <NewThreadFields draft={draft} />
      <ErrorNote error={draft.error} />
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button look="primary" disabled={!draft.isReady} onClick={() => void draft.create()}>
          Create the thread
        </Button>
      </DialogActions>
    </Dialog>
  );
}

/** What the person has entered, and its creation. */
function useNewThread(onClose: () => void) {
  const [title, setTitle] = useState('');
  const [metadata, setMetadata] = useState('');
  const [graph, setGraph] = useState('');
  const [state, setState] = useState('');
  const [{ error, fetching }, create] = useMutation(CREATE_THREAD);
  const navigate = useNavigate();
  const more = parseObject(metadata);
  const values = parseObject(state);
  const isWrong = more.error !== undefined || (graph !== '' && values.error !== undefined);

  async function createNow(): Promise<void> {
    const supersteps = [{ updates: [{ values: values.value ?? null, asNode: '__start__' }] }];
    const { data: created } = await create({
      input: {
        metadata: { ...more.value, ...(title && { title }) },
        ...(graph && { graphId: graph, ...(values.value && { supersteps }) }),
      },
    });
    const id = created?.createThread?.id;
    if (!id) return;
    onClose();
    await navigate({ to: '/threads/$threadId', params: { threadId: id } });
  }

  return {
    title,
    setTitle,
    metadata: { text: metadata, setText: setMetadata, error: more.error },
    graph,
    setGraph,
    state: { text: state, setText: setState, error: values.error },
    isReady: !isWrong && !fetching,
    error,
    create: createNow,
  };
}

function NewThreadFields({ draft }: { draft: ReturnType<typeof useNewThread> }) {
  const { title, setTitle, metadata, graph, setGraph, state } = draft;
  const graphs = useGraphIds();
  return (
    <>
      <Field label="Title">
        {(ids) => (
          <input
            {...ids}
            autoFocus
            value={title}
            onChange={(event) => setTitle(event.target.value)}
          />
        )}
      </Field>
      <Field
        label="Metadata"
        hint={metadata.error ?? 'A JSON object; lists of threads can be filtered by it.'}
      >
        {() => <JsonEditor label="Metadata" text={metadata.text} onChange={metadata.setText} />}
      </Field>
      <Field label="Graph" hint="Without a first state, the first run decides.">
        {(ids) => (
          <select {...ids} value={graph} onChange={(event) => setGraph(event.target.value)}>
            <option value="">No first state</option>
            {graphs.map((id) => (
              <option key={id} value={id}>
                First state of {id}
              </option>
            ))}
          </select>
        )}
      </Field>
      {graph && (
        <Field
          label="First state"
          hint={state.error ?? 'Values of the channels, as an input of the graph.'}
        >
          {() => <JsonEditor label="First state" text={state.text} onChange={state.setText} />}
        </Field>
      )}
    </>
  );
}
