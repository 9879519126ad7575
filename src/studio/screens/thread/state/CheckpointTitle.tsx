import { Id } from '../../../ui/Id.tsx';
import { Time } from '../../../ui/Time.tsx';
import { namesOfNamespace, titleOfRow } from '../timeline/rows.ts';
import type { ShownCheckpoint } from './documents.ts';
import classes from './State.module.css';

interface CheckpointTitleProps {
  checkpoint: Pick<
    ShownCheckpoint,
    'checkpointId' | 'namespace' | 'step' | 'source' | 'ran' | 'createdAt'
  >;
  /** Nothing is selected: this is the state of the thread. */
  isCurrent?: boolean;
}

/** Names a checkpoint: its step and what made it. */
export function CheckpointTitle({ checkpoint, isCurrent = false }: CheckpointTitleProps) {
  const { checkpointId, namespace, step, createdAt } = checkpoint;
  return (
    <span className={classes['name']}>
      <strong>
        {isCurrent ? 'Current state: step' : 'Step'} {step}, {titleOfRow(checkpoint)}
      </strong>
      {namespace !== '' && <span>in {namesOfNamespace(namespace).join(' › ')}</span>}
      <Time value={createdAt} />
      <Id id={checkpointId} name="checkpoint" />
    </span>
  );
}
