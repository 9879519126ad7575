import { useQuery } from 'urql';
import { isOfThread, useReload } from '../../../data/feed.tsx';
import { Button } from '../../../ui/Button.tsx';
import { Empty, ErrorNote, Loading } from '../../../ui/Notes.tsx';
import type { ViewProps } from '../views.ts';
import { CheckpointActions } from './CheckpointActions.tsx';
import { CheckpointTitle } from './CheckpointTitle.tsx';
import { Comparison } from './Comparison.tsx';
import { READ_CHECKPOINT } from './documents.ts';
import { Facts } from './Facts.tsx';
import classes from './State.module.css';
import { Values } from './Values.tsx';

/** The selected state of a thread, or its current one: values, tasks, metadata; or its difference to another state. */
export function StateView(props: ViewProps) {
  const { thread, search, onChange } = props;
  const { cp, ns, vs } = search;
  const [{ data, error, fetching }, read] = useQuery({
    query: READ_CHECKPOINT,
    variables: { id: thread.id, checkpointId: cp, namespace: ns ?? '' },
    requestPolicy: 'cache-and-network',
  });
  useReload(read, isOfThread(thread.id));
  const checkpoint = data?.thread?.state;
  const isOther = cp !== undefined && checkpoint?.checkpointId !== cp;
  if (error && !checkpoint) return <ErrorNote error={error} />;
  if (fetching && (!checkpoint || isOther)) return <Loading />;
  if (!checkpoint) return <NoState isSelected={cp !== undefined} onChange={onChange} />;
  return (
    <div className={classes['state']}>
      <header className={classes['head']}>
        <CheckpointTitle checkpoint={checkpoint} isCurrent={cp === undefined} />
        <CheckpointActions {...props} checkpoint={checkpoint} selected={checkpoint.checkpointId}>
          {cp !== undefined && (
            <Button
              isSmall
              onClick={() => onChange({ cp: undefined, ns: undefined, vs: undefined })}
            >
              Current state
            </Button>
          )}
        </CheckpointActions>
      </header>
      {vs === undefined ? (
        <>
          <Values {...props} checkpoint={checkpoint} />
          <Facts key={checkpoint.checkpointId} checkpoint={checkpoint} onChange={onChange} />
        </>
      ) : (
        <Comparison {...props} checkpoint={checkpoint} vs={vs} />
      )}
    </div>
  );
}

function NoState({ isSelected, onChange }: { isSelected: boolean } & Pick<ViewProps, 'onChange'>) {
  if (!isSelected) {
    return (
      <Empty icon="graphs" title="No state yet">
        <p>The first run of this thread makes its first state.</p>
      </Empty>
    );
  }
  return (
    <Empty icon="search" title="This checkpoint does not exist">
      <p>It may have been removed with its run, or with the history of the thread.</p>
      <Button onClick={() => onChange({ cp: undefined, ns: undefined, vs: undefined })}>
        Current state
      </Button>
    </Empty>
  );
}
