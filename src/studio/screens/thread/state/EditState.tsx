import { useState } from 'react';
import { useMutation } from 'urql';
import { useApi } from '../../../data/provider.tsx';
import { Button } from '../../../ui/Button.tsx';
import { Dialog, DialogActions } from '../../../ui/Dialog.tsx';
import { JsonEditor } from '../../../ui/json/JsonEditor.tsx';
import { parseJson, parseObject, showJson } from '../../../ui/json/parse.ts';
import { bytesOf } from '../../../ui/json/tree.ts';
import { ErrorNote } from '../../../ui/Notes.tsx';
import { useKeptText } from '../../../ui/useKeptText.ts';
import type { ViewProps } from '../views.ts';
import { Became } from './Became.tsx';
import { BusyNote } from './BusyNote.tsx';
import {
  READ_CHANNELS,
  UPDATE_STATE,
  type EditedState,
  type ShownCheckpoint,
} from './documents.ts';
import { NodeField } from './NodeField.tsx';
import classes from './State.module.css';

export interface CheckpointDialogProps extends Pick<ViewProps, 'thread' | 'onChange'> {
  checkpoint: ShownCheckpoint;
  onClose: () => void;
}

/** Changes channels of a state by hand, and then shows what their reducers have made of it. */
export function EditState({ thread, checkpoint, onChange, onClose }: CheckpointDialogProps) {
  const [edited, setEdited] = useState<{ state: EditedState; sent: unknown }>();

  function close(): void {
    onClose();
    if (edited) onChange({ cp: edited.state.checkpointId, vs: undefined });
  }

  return (
    <Dialog title={`Edit the state of step ${checkpoint.step}`} isWide onClose={close}>
      {edited ? (
        <Became threadId={thread.id} {...edited} onClose={close} />
      ) : (
        <EditForm thread={thread} checkpoint={checkpoint} onEdited={setEdited} />
      )}
    </Dialog>
  );
}

interface EditFormProps extends Pick<CheckpointDialogProps, 'thread' | 'checkpoint'> {
  onEdited: (edited: { state: EditedState; sent: unknown }) => void;
}

function EditForm({ thread, checkpoint, onEdited }: EditFormProps) {
  const { checkpointId, namespace } = checkpoint;
  const [text, setText] = useKeptText(`edit ${thread.id} ${checkpointId}`);
  const [node, setNode] = useState('');
  const [{ error, fetching }, update] = useMutation(UPDATE_STATE);
  const parsed = parseJson(text, null);

  async function send(): Promise<void> {
    const { value: values } = parsed;
    const input = {
      checkpointId,
      checkpointNamespace: namespace,
      values,
      asNode: node || undefined,
    };
    const { data } = await update({ id: thread.id, input });
    if (!data?.updateThreadState) return;
    setText('');
    onEdited({ state: data.updateThreadState, sent: values });
  }

  return (
    <form
      className={classes['form']}
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <BusyNote thread={thread}>The server refuses edits until its run has ended.</BusyNote>
      <ChannelButtons threadId={thread.id} checkpoint={checkpoint} text={text} onText={setText} />
      <JsonEditor label="Changed channels" text={text} onChange={setText} />
      <p className={classes['hint']}>
        {parsed.error ??
          'Only channels in this object change. A channel with a reducer takes its value as an update: a message with a known id replaces that message, others are appended.'}
      </p>
      <NodeField graphId={thread.graphId} namespace={namespace} node={node} onNode={setNode} />
      <ErrorNote error={error} />
      <DialogActions>
        <Button type="submit" look="primary" disabled={fetching || parsed.error !== undefined}>
          Save as a new checkpoint
        </Button>
      </DialogActions>
    </form>
  );
}

interface ChannelButtonsProps {
  threadId: string;
  checkpoint: ShownCheckpoint;
  text: string;
  onText: (text: string) => void;
}

/** Puts the value of a channel into the text, as a start. */
function ChannelButtons({ threadId, checkpoint, text, onText }: ChannelButtonsProps) {
  const api = useApi();
  const { checkpointId, namespace, channels } = checkpoint;
  const { value: object = {}, error } = parseObject(text);

  async function add(name: string): Promise<void> {
    const variables = { id: threadId, checkpointId, namespace, channels: [name] };
    const { data } = await api.query(READ_CHANNELS, variables).toPromise();
    const values = data?.thread?.state?.values as Record<string, unknown> | undefined;
    if (values) onText(showJson({ ...object, ...values }));
  }

  return (
    <div className={classes['chips']} role="group" aria-label="Channels to change">
      {channels.map(({ name, bytes }) => (
        <Button
          key={name}
          isSmall
          icon="plus"
          disabled={error !== undefined || name in object}
          onClick={() => void add(name)}
        >
          {name} <span className={classes['soft']}>{bytesOf(bytes)}</span>
        </Button>
      ))}
    </div>
  );
}
