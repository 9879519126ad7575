import { useState, type ReactNode } from 'react';
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
  /** More buttons before these. */
  children?: ReactNode;
}

/** What a person can do with a checkpoint: compare it, edit it, run again from it. */
export function CheckpointActions(props: CheckpointActionsProps) {
  const { thread, search, onChange, checkpoint, children } = props;
  const { checkpointId, parentCheckpointId } = checkpoint;
  const mayWrite = useMayWrite();
  /** The dialog keeps its checkpoint, also when the thread continues. */
  const [open, setOpen] = useState<{ dialog: 'edit' | 'run'; checkpoint: ShownCheckpoint }>();
  const isComparing = search.vs !== undefined;

  function compare(): void {
    if (isComparing) onChange({ vs: undefined });
    else if (parentCheckpointId !== null) {
      onChange({ view: 'state', cp: checkpointId, vs: parentCheckpointId });
    }
  }

  function show(dialog: 'edit' | 'run'): void {
    if (mayWrite) setOpen({ dialog, checkpoint });
  }

  useShortcuts({ d: compare, e: () => show('edit'), r: () => show('run') });
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
        onClick={compare}
      >
        {isComparing ? 'End comparison' : 'Compare with parent'}
      </Button>
      {mayWrite && (
        <>
          <Button isSmall icon="edit" title="Key e" onClick={() => show('edit')}>
            Edit
          </Button>
          <Button isSmall icon="play" title="Key r" onClick={() => show('run')}>
            Run from here
          </Button>
        </>
      )}
      {dialog && open.dialog === 'edit' && <EditState {...dialog} onChange={onChange} />}
      {dialog && open.dialog === 'run' && <RunAgain {...dialog} onChange={onChange} />}
    </span>
  );
}
