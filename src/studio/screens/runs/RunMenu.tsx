import { useState } from 'react';
import { useMutation } from 'urql';
import type { RunStatus } from '../../../client/types.ts';
import { useMayWrite } from '../../data/viewer.ts';
import { Button } from '../../ui/Button.tsx';
import { Dialog, DialogActions } from '../../ui/Dialog.tsx';
import { Menu, type MenuItem } from '../../ui/Menu.tsx';
import { ErrorNote } from '../../ui/Notes.tsx';
import { CANCEL_RUN, DELETE_RUN } from './documents.ts';
import { RunAgain } from './RunAgain.tsx';
import { IN_FLIGHT } from './search.ts';

interface RunMenuProps {
  run: { id: string; status: RunStatus };
  onChanged: () => void;
}

type Act = 'KEEP' | 'ROLLBACK' | 'delete' | 'again';

/** What a person can do with a run: cancel it while it is in flight, delete it afterwards, or make it again. */
export function RunMenu({ run, onChanged }: RunMenuProps) {
  const [act, setAct] = useState<Act | undefined>(undefined);
  const [{ error: refusal }, cancel] = useMutation(CANCEL_RUN);
  const mayWrite = useMayWrite();
  if (!mayWrite) return null;
  const isInFlight = (IN_FLIGHT as readonly RunStatus[]).includes(run.status);
  const close = () => setAct(undefined);

  async function stop(): Promise<void> {
    await cancel({ id: run.id, action: 'KEEP' });
    onChanged();
  }

  const again: MenuItem = {
    label: 'Run again…',
    icon: 'refresh',
    onSelect: () => setAct('again'),
  };
  const items: MenuItem[] = isInFlight
    ? [
        { label: 'Cancel, keep its steps', icon: 'stop', onSelect: () => void stop() },
        {
          label: 'Cancel and undo…',
          icon: 'trash',
          isDangerous: true,
          onSelect: () => setAct('ROLLBACK'),
        },
        again,
      ]
    : [
        again,
        { label: 'Delete…', icon: 'trash', isDangerous: true, onSelect: () => setAct('delete') },
      ];

  return (
    <>
      <Menu label={`Actions for run ${run.id.slice(-8)}`} items={items} />
      <ErrorNote error={refusal} />
      {act === 'again' && <RunAgain id={run.id} onClose={close} />}
      {act === 'delete' && <DeleteRun id={run.id} onClose={close} onDone={onChanged} />}
      {act === 'ROLLBACK' && <UndoRun id={run.id} onClose={close} onDone={onChanged} />}
    </>
  );
}

interface AskProps {
  id: string;
  onClose: () => void;
  onDone: () => void;
}

function DeleteRun({ id, onClose, onDone }: AskProps) {
  const [{ error, fetching }, remove] = useMutation(DELETE_RUN);

  async function deleteNow(): Promise<void> {
    const { error: refusal } = await remove({ id });
    if (refusal) return;
    onClose();
    onDone();
  }

  return (
    <Dialog title="Delete the run?" onClose={onClose}>
      <p>Its events go with it. The checkpoints that it made stay in the thread.</p>
      <ErrorNote error={error} />
      <DialogActions>
        <Button onClick={onClose}>Keep it</Button>
        <Button look="danger" icon="trash" disabled={fetching} onClick={() => void deleteNow()}>
          Delete the run
        </Button>
      </DialogActions>
    </Dialog>
  );
}

function UndoRun({ id, onClose, onDone }: AskProps) {
  const [{ error, fetching }, cancel] = useMutation(CANCEL_RUN);

  async function undo(): Promise<void> {
    const { error: refusal } = await cancel({ id, action: 'ROLLBACK' });
    if (refusal) return;
    onClose();
    onDone();
  }

  return (
    <Dialog title="Cancel the run and undo it?" onClose={onClose}>
      <p>The thread keeps no trace of the run: its steps and its messages are removed.</p>
      <ErrorNote error={error} />
      <DialogActions>
        <Button onClick={onClose}>Let it run</Button>
        <Button look="danger" icon="stop" disabled={fetching} onClick={() => void undo()}>
          Cancel and undo
        </Button>
      </DialogActions>
    </Dialog>
  );
}
