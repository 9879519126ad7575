import { useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { isOfThread, useReload } from '../../../data/feed.tsx';
import { Button } from '../../../ui/Button.tsx';
import { ErrorNote, Loading } from '../../../ui/Notes.tsx';
import { CheckpointActions } from '../state/CheckpointActions.tsx';
import { CheckpointTitle } from '../state/CheckpointTitle.tsx';
import { READ_CHECKPOINT } from '../state/documents.ts';
import { Tasks } from '../state/Tasks.tsx';
import type { ViewProps } from '../views.ts';
import classes from './Timeline.module.css';

const REST_MS = 200;

interface SelectedProps extends ViewProps {
  /** The current state, if nothing is selected. */
  head: string | undefined;
}

/** The selected checkpoint below the timeline: its tasks, and what a person can do with it. */
export function Selected(props: SelectedProps) {
  const { thread, search, onChange, head } = props;
  const selected = search.cp ?? head;
  const checkpointId = useAtRest(selected);
  const [{ data, error, fetching }, read] = useQuery({
    query: READ_CHECKPOINT,
    variables: { id: thread.id, checkpointId, namespace: search.ns ?? '' },
    requestPolicy: 'cache-and-network',
  });
  useReload(read, isOfThread(thread.id));
  const isMoving = data?.thread?.state?.checkpointId !== selected;
  const checkpoint = data?.thread?.state;
  if (!checkpoint) {
    return (
      <section className={classes['selected']} aria-label="Selected checkpoint">
        <ErrorNote error={error} />
        {fetching ? <Loading lines={2} /> : <p>This checkpoint does not exist.</p>}
      </section>
    );
  }
  return (
    <section
      className={classes['selected']}
      aria-label="Selected checkpoint"
      aria-busy={isMoving || fetching}
    >
      <div className={classes['selectedHead']}>
        <CheckpointTitle checkpoint={checkpoint} isCurrent={search.cp === undefined} />
        <CheckpointActions {...props} checkpoint={checkpoint} selected={selected}>
          <Button isSmall onClick={() => onChange({ view: 'state' })}>
            {search.vs === undefined ? 'Show state' : 'Show comparison'}
          </Button>
        </CheckpointActions>
      </div>
      <Tasks checkpoint={checkpoint} onChange={onChange} />
    </section>
  );
}

/** A value after it has not changed for a moment: a held key reads no state on its way. */
function useAtRest<Value>(value: Value): Value {
  const [rested, setRested] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setRested(value), REST_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return rested;
}
