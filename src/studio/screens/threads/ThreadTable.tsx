import { Link, useNavigate } from '@tanstack/react-router';
import { useMayWrite } from '../../data/viewer.ts';
import { Id } from '../../ui/Id.tsx';
import { list, SortHeader } from '../../ui/Screen.tsx';
import { StatusBadge } from '../../ui/Status.tsx';
import { Time } from '../../ui/Time.tsx';
import { useRows } from '../../ui/useRows.ts';
import type { ListedThread } from './documents.ts';
import type { SORTS } from './search.ts';
import { ThreadMenu } from './ThreadMenu.tsx';
import classes from './threads.module.css';
import { titleOf } from './title.ts';

type Sort = (typeof SORTS)[number];

interface ThreadTableProps {
  threads: readonly ListedThread[];
  sorted: { field: Sort; direction: 'ASC' | 'DESC' };
  onSort: (sort: Sort, direction: 'ASC' | 'DESC') => void;
  /** A thread was copied or deleted. */
  onChanged: () => void;
}

export function ThreadTable({ threads, sorted, onSort, onChanged }: ThreadTableProps) {
  const navigate = useNavigate();
  const mayWrite = useMayWrite();
  const selected = useRows(threads.length, (index) => {
    const thread = threads[index];
    if (thread) void navigate({ to: '/threads/$threadId', params: { threadId: thread.id } });
  });
  return (
    <div className={list.box}>
      <table className={list.table}>
        <thead>
          <tr>
            <SortHeader field="STATUS" sorted={sorted} onSort={onSort}>
              Status
            </SortHeader>
            <th>Conversation</th>
            <th className={list.wide}>Graph</th>
            <SortHeader field="UPDATED_AT" sorted={sorted} onSort={onSort} className={list.wide}>
              Updated
            </SortHeader>
            <SortHeader field="CREATED_AT" sorted={sorted} onSort={onSort} className={list.wide}>
              Created
            </SortHeader>
            <SortHeader field="ID" sorted={sorted} onSort={onSort} className={list.wide}>
              Id
            </SortHeader>
            <th className={classes['menu']}>
              <span className="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {threads.map((thread, index) => (
            <tr key={thread.id} data-row={index} data-selected={index === selected}>
              <td>
                <StatusBadge status={thread.status} />
              </td>
              <td className={classes['name']}>
                <Conversation thread={thread} />
              </td>
              <td className={list.wide}>
                {thread.graphId ?? <span className={list.soft}>none yet</span>}
              </td>
              <td className={`${list.number} ${list.wide}`}>
                <Time value={thread.updatedAt} />
              </td>
              <td className={`${list.number} ${list.wide}`}>
                <Time value={thread.createdAt} />
              </td>
              <td className={list.wide}>
                <Id id={thread.id} name="thread" />
              </td>
              <td>{mayWrite && <ThreadMenu thread={thread} onChanged={onChanged} />}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The name of a thread, and below it why it failed or what was said last. */
function Conversation({ thread }: { thread: ListedThread }) {
  const title = titleOf(thread);
  const { error, preview, interrupts } = thread;
  return (
    <>
      <Link
        to="/threads/$threadId"
        params={{ threadId: thread.id }}
        className={`${classes['title']} ${title ? '' : classes['untitled']}`}
      >
        {title ?? 'No messages'}
      </Link>
      {thread.status === 'ERROR' && error ? (
        <span className={`${classes['last']} ${classes['failure']}`}>
          {error.name}: {error.message}
        </span>
      ) : (
        (preview?.lastText ?? interrupts.length > 0) && (
          <span className={classes['last']}>
            {interrupts.length > 0 && `${interrupts.length} open · `}
            {preview?.lastText}
          </span>
        )
      )}
    </>
  );
}
