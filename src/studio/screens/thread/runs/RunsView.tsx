import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useQuery } from 'urql';
import { isOfThread, useReload } from '../../../data/feed.tsx';
import { Button } from '../../../ui/Button.tsx';
import { Empty, ErrorNote, Loading } from '../../../ui/Notes.tsx';
import { list } from '../../../ui/Screen.tsx';
import { StatusBadge } from '../../../ui/Status.tsx';
import { duration, Time, useNow } from '../../../ui/Time.tsx';
import { Attempt } from '../../runs/Attempt.tsx';
import { executionTime, queueWait } from '../../runs/times.ts';
import type { ViewProps } from '../views.ts';
import { LIST_THREAD_RUNS, type ThreadRun } from './documents.ts';
import { RunDetails } from './RunDetails.tsx';
import classes from './RunsView.module.css';

const AT_ONCE = 20;
const MOST = 100;

/** The runs of a thread, and the selected one with its events. */
export function RunsView({ thread, search, onChange }: ViewProps) {
  const [first, setFirst] = useState(AT_ONCE);
  const [{ data, error }, read] = useQuery({
    query: LIST_THREAD_RUNS,
    variables: { id: thread.id, first },
    requestPolicy: 'cache-and-network',
  });
  const readAgain = () => read({ requestPolicy: 'network-only' });
  useReload(readAgain, isOfThread(thread.id));
  if (error && !data) return <ErrorNote error={error} />;
  if (!data) return <Loading />;
  const runs = data.thread?.runs;
  const selected = search.run ?? runs?.nodes[0]?.id;
  if (!runs || !selected) return <NoRunsYet />;
  return (
    <div className={classes['view']}>
      <RunList runs={runs.nodes} selected={selected} onSelect={(run) => onChange({ run })} />
      {runs.totalCount > runs.nodes.length && (
        <div className={classes['more']}>
          {first < MOST && <Button onClick={() => setFirst(MOST)}>Older runs</Button>}
          <Link to="/runs" search={{ thread: thread.id }}>
            All {runs.totalCount} runs of the thread
          </Link>
        </div>
      )}
      <RunDetails
        key={selected}
        id={selected}
        onChanged={() => {
          onChange({ run: undefined });
          readAgain();
        }}
      />
    </div>
  );
}

function NoRunsYet() {
  return (
    <Empty icon="runs" title="No runs yet">
      <p>
        Each message starts a <strong>run</strong>: one execution of the graph. Here you will see
        when its nodes ran, how long they took, and why it failed.
      </p>
    </Empty>
  );
}

interface RunListProps {
  runs: readonly ThreadRun[];
  selected: string;
  onSelect: (id: string) => void;
}

function RunList({ runs, selected, onSelect }: RunListProps) {
  const now = useNow(1000);
  return (
    <div className={classes['list']}>
      <table className={list.table}>
        <thead>
          <tr>
            <th>Run</th>
            <th>Status</th>
            <th className={list.wide}>Waited</th>
            <th>Took</th>
            <th>Created</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => {
            const wait = queueWait(run, now);
            const took = executionTime(run, now);
            return (
              <tr key={run.id} data-selected={run.id === selected}>
                <td>
                  <button
                    type="button"
                    className={classes['pick']}
                    aria-pressed={run.id === selected}
                    onClick={() => onSelect(run.id)}
                  >
                    …{run.id.slice(-8)}
                  </button>
                </td>
                <td>
                  <StatusBadge status={run.status} />
                  <Attempt number={run.attempt} />
                </td>
                <td className={`${list.number} ${list.wide}`}>
                  {wait === undefined ? '–' : duration(wait)}
                </td>
                <td className={list.number}>{took === undefined ? '–' : duration(took)}</td>
                <td className={list.number}>
                  <Time value={run.createdAt} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
