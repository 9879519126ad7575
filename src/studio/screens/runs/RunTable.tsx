import { Link, useNavigate } from '@tanstack/react-router';
import { Id } from '../../ui/Id.tsx';
import { list } from '../../ui/Screen.tsx';
import { StatusBadge } from '../../ui/Status.tsx';
import { duration, Time, useNow } from '../../ui/Time.tsx';
import { useRows } from '../../ui/useRows.ts';
import { titleOf } from '../threads/title.ts';
import { Attempt } from './Attempt.tsx';
import type { ListedRun } from './documents.ts';
import { RunMenu } from './RunMenu.tsx';
import classes from './runs.module.css';
import { executionTime, queueWait } from './times.ts';

interface RunTableProps {
  groups: { title: string | undefined; runs: readonly ListedRun[] }[];
  /** A run was cancelled, deleted or repeated. */
  onChanged: () => void;
}

export function RunTable({ groups, onChanged }: RunTableProps) {
  const navigate = useNavigate();
  const shown = groups.filter(({ runs }) => runs.length > 0);
  const rows = shown.flatMap(({ runs }) => runs);
  const now = useNow(1000);
  const selected = useRows(rows.length, (index) => {
    const run = rows[index];
    if (run?.threadId) void navigate(placeOf(run, run.threadId));
  });
  if (rows.length === 0) return null;
  return (
    <div className={list.box}>
      <table className={`${list.table} ${classes['table']}`}>
        <thead>
          <tr>
            <th>Status</th>
            <th>Thread</th>
            <th className={list.wide}>Assistant</th>
            <th className={list.wide}>Graph</th>
            <th className={list.wide}>Waited</th>
            <th>Took</th>
            <th className={list.wide}>Created</th>
            <th className={list.wide}>Id</th>
            <th className={classes['menu']}>
              <span className="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        {shown.map(({ title, runs }) => (
          <tbody key={title ?? ''}>
            {title && shown.length > 1 && (
              <tr className={classes['group']}>
                <th colSpan={9} scope="rowgroup">
                  {title}
                </th>
              </tr>
            )}
            {runs.map((run) => (
              <Row
                key={run.id}
                run={run}
                index={rows.indexOf(run)}
                isSelected={rows[selected] === run}
                now={now}
                onChanged={onChanged}
              />
            ))}
          </tbody>
        ))}
      </table>
    </div>
  );
}

/** The view of a run in its thread. */
function placeOf({ id }: { id: string }, threadId: string) {
  return {
    to: '/threads/$threadId',
    params: { threadId },
    search: { view: 'runs', run: id },
  } as const;
}

interface RowProps {
  run: ListedRun;
  index: number;
  isSelected: boolean;
  now: number;
  onChanged: () => void;
}

function Row({ run, index, isSelected, now, onChanged }: RowProps) {
  return (
    <tr data-row={index} data-selected={isSelected}>
      <td>
        <StatusBadge status={run.status} />
        <Attempt number={run.attempt} />
      </td>
      <td className={classes['name']}>
        <ThreadLink run={run} />
      </td>
      <td className={list.wide}>{run.assistant?.name ?? `…${run.assistantId.slice(-8)}`}</td>
      <td className={list.wide}>{run.assistant?.graphId}</td>
      <td className={`${list.number} ${list.wide}`}>{spanOf(queueWait(run, now))}</td>
      <td className={list.number}>{spanOf(executionTime(run, now))}</td>
      <td className={`${list.number} ${list.wide}`}>
        <Time value={run.createdAt} />
      </td>
      <td className={list.wide}>
        <Id id={run.id} name="run" />
      </td>
      <td>
        <RunMenu run={run} onChanged={onChanged} />
      </td>
    </tr>
  );
}

function spanOf(ms: number | undefined) {
  return ms === undefined ? <span className={list.soft}>–</span> : duration(ms);
}

/** The thread of a run, and below it why the run failed or was cancelled. */
function ThreadLink({ run }: { run: ListedRun }) {
  const { thread, threadId, error, cancelReason } = run;
  const title = thread ? titleOf(thread) : undefined;
  return (
    <>
      {threadId ? (
        <Link {...placeOf(run, threadId)} className={classes['title']}>
          {title ?? <span className={list.soft}>Thread …{threadId.slice(-8)}</span>}
        </Link>
      ) : (
        <span className={list.soft}>Without a thread</span>
      )}
      {error && (
        <span className={classes['failure']} title={error.message}>
          <strong>{error.name}</strong>: {error.message}
        </span>
      )}
      {cancelReason && <span className={classes['reason']}>{cancelReason}</span>}
    </>
  );
}
