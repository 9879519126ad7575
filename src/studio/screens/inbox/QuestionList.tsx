import { Link } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import { Time } from '../../ui/Time.tsx';
import { firstLine } from '../thread/questions/question.ts';
import { titleOf } from '../threads/title.ts';
import type { ListedQuestion } from './documents.ts';
import classes from './inbox.module.css';
import type { InboxSearch } from './search.ts';

interface QuestionListProps {
  questions: readonly ListedQuestion[];
  selected: string | undefined;
  search: InboxSearch;
}

/** The questions, each as a link that selects it. */
export function QuestionList({ questions, selected, search }: QuestionListProps) {
  const current = useRef<HTMLAnchorElement>(null);
  useEffect(() => {
    current.current?.scrollIntoView({ block: 'nearest' });
  }, [selected]);
  return (
    <ul className={classes['list']} aria-label="Open questions">
      {questions.map(({ id, value, node, createdAt, thread }) => (
        <li key={id}>
          <Link
            ref={id === selected ? current : undefined}
            to="/inbox"
            search={{ ...search, q: id }}
            className={classes['row']}
            aria-current={id === selected ? 'true' : undefined}
          >
            <span className={classes['first']}>{firstLine(value)}</span>
            <span className={classes['age']}>
              <Time value={createdAt} />
            </span>
            <span className={classes['origin']}>
              {thread.graphId} · {node}
              {titleOf(thread) && ` · ${titleOf(thread)}`}
            </span>
          </Link>
        </li>
      ))}
    </ul>
  );
}
