import { useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { isOfThread, useReload } from '../../../data/feed.tsx';
import { useApi } from '../../../data/provider.tsx';
import { Empty, ErrorNote, Loading } from '../../../ui/Notes.tsx';
import classes from '../../graphs/Graph.module.css';
import { GraphDrawing } from '../../graphs/GraphDrawing.tsx';
import { afterEvent, NOTHING_RUNS, pathOfNamespace } from '../../graphs/marks.ts';
import type { ViewProps } from '../views.ts';
import { FOLLOW_TASKS, READ_STEP } from './documents.ts';

/** The graph of a thread: which nodes run now, and which made the selected checkpoint. */
export function GraphView({ thread, search }: ViewProps) {
  const { cp, ns = '' } = search;
  const [{ data, error }, read] = useQuery({
    query: READ_STEP,
    variables: { id: thread.id, checkpointId: cp ?? null, namespace: ns },
    requestPolicy: 'cache-and-network',
  });
  useReload(read, isOfThread(thread.id));
  const running = useRunningNodes(thread.id, data?.thread?.eventCursor);
  if (error && !data) return <ErrorNote error={error} />;
  if (!data) return <Loading />;
  const graphId = data.thread?.graphId;
  if (!graphId) return <NoGraph />;
  const above = pathOfNamespace(ns);
  const inGraph = (name: string) => [...above, name].join(':');
  const { ran = [], next = [] } = data.thread?.state ?? {};
  return (
    <>
      <p className={classes['note']}>
        {cp ? 'At the selected checkpoint: ' : 'Now: '}
        {running.length > 0 && `${[...new Set(running)].join(', ')} running. `}
        {ran.length > 0 ? `The last step was ${[...new Set(ran)].join(', ')}. ` : ''}
        {next.length > 0 ? `Next: ${[...new Set(next)].join(', ')}.` : 'No step follows.'}
      </p>
      <GraphDrawing
        key={graphId}
        graphId={graphId}
        paths={{ running, ran: ran.map(inGraph), next: next.map(inGraph) }}
      />
    </>
  );
}

function NoGraph() {
  return (
    <Empty icon="graphs" title="No graph yet">
      <p>
        The first run decides which graph the thread has. Then its drawing is here, and the nodes
        light up while they run.
      </p>
    </Empty>
  );
}

/** The paths of the nodes that run now, once for each task. */
function useRunningNodes(threadId: string, cursor: string | undefined): readonly string[] {
  const api = useApi();
  const [running, setRunning] = useState(NOTHING_RUNS);
  // The first position: the events after it tell all.
  const [after, setAfter] = useState(cursor);
  if (after === undefined && cursor !== undefined) setAfter(cursor);
  useEffect(() => {
    if (after === undefined) return undefined;
    const { unsubscribe } = api
      .subscription(FOLLOW_TASKS, { id: threadId, after })
      .subscribe(({ data }) => {
        const event = data?.threadEvents;
        if (event) setRunning((before) => afterEvent(before, event));
      });
    return unsubscribe;
  }, [api, threadId, after]);
  return [...running.tasks.values()];
}
