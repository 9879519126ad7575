import { useEffect, useState, type ReactNode } from 'react';
import { useMayWrite } from '../../../data/viewer.ts';
import { useShortcuts } from '../../../frame/shortcuts.ts';
import { Button } from '../../../ui/Button.tsx';
import type { ViewProps } from '../views.ts';
import type { ShownCheckpoint } from './documents.ts';
import { EditState } from './EditState.tsx';
import { RunAgain } from './RunAgain.tsx';
import classes from './State.module.css';

interface CheckpointActionsProps extends ViewProps {
  checkpoint: ShownCheckpoint;
  /** The id of the selected checkpoint. `checkpoint` may still be the one before. */
  selected: string | undefined;
  /** More buttons before these. */
  children?: ReactNode;
}

type Action = 'compare' | 'edit' | 'run';

/** What a person can do with a checkpoint: compare it, edit it, run again from it. */
export function CheckpointActions(props: CheckpointActionsProps) {
  const { thread, search, onChange, checkpoint, selected, children } = props;
  const { checkpointId, parentCheckpointId } = checkpoint;
  const mayWrite = useMayWrite();
  /** The dialog keeps its checkpoint, also when the thread continues. */
  const [open, setOpen] = useState<{ dialog: Action; checkpoint: ShownCheckpoint }>();
  const isComparing = search.vs !== undefined;

  function act(action: Action): void {
    if (action !== 'compare') {
      if (mayWrite) setOpen({ dialog: action, checkpoint });
    } else if (isComparing) onChange({ vs: undefined });
    else if (parentCheckpointId !== null) {
      onChange({ view: 'state', cp: checkpointId, vs: parentCheckpointId });
    }
  }

  const want = useWhenRead(checkpointId, selected, act);
  useShortcuts({ d: () => want('compare'), e: () => want('edit'), r: () => want('run') });
  const dialog = open && { thread, checkpoint: open.checkpoint, onClose: () => setOpen(undefined) };
  return (
    <span className={classes['actions']}>
      {children}
      <Button
        isSmall
        icon="compare"
        title="Key d"
        aria-pressed={isComparing}
        disabled={!isComparing && parentCheckpointId === null}
        onClick={() => want('compare')}
      >
        {isComparing ? 'End comparison' : 'Compare with parent'}
      </Button>
      {mayWrite && (
        <>
          <Button isSmall icon="edit" title="Key e" onClick={() => want('edit')}>
            Edit
          </Button>
          <Button isSmall icon="play" title="Key r" onClick={() => want('run')}>
            Run from here
          </Button>
        </>
      )}
      {dialog && open.dialog === 'edit' && <EditState {...dialog} onChange={onChange} />}
      {dialog && open.dialog === 'run' && <RunAgain {...dialog} onChange={onChange} />}
    </span>
  );
}

/** Acts once the selected checkpoint has been read: a quick key after a move must not reach the one before. */
function useWhenRead(
  read: string,
  selected: string | undefined,
  act: (action: Action) => void,
): (action: Action) => void {
  const [wanted, setWanted] = useState<{ action: Action; of: string | undefined }>();
  useEffect(() => {
    if (!wanted || (wanted.of === selected && wanted.of !== read)) return;
    setWanted(undefined);
    if (wanted.of === read) act(wanted.action);
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- `act` is new with each render
  }, [wanted, read, selected]);
  return (action) => setWanted({ action, of: selected });
}
