import { useNavigate, useSearch } from '@tanstack/react-router';
import { useRef, useState } from 'react';
import { useQuery } from 'urql';
import { useReload } from '../../data/feed.tsx';
import { useShortcuts } from '../../frame/shortcuts.ts';
import { Empty, ErrorNote, Loading } from '../../ui/Notes.tsx';
import { countOf, list, Pager, Screen } from '../../ui/Screen.tsx';
import { readMetadata } from '../filters/metadata.ts';
import { pageOf } from '../filters/page.ts';
import { LIST_QUESTIONS, type ListedQuestion } from './documents.ts';
import { InboxFilters } from './InboxFilters.tsx';
import classes from './inbox.module.css';
import { QuestionList } from './QuestionList.tsx';
import type { InboxSearch } from './search.ts';
import { SelectedQuestion } from './SelectedQuestion.tsx';

/** The open questions of all threads, oldest first, beside the selected one. */
export function InboxScreen() {
  const search = useSearch({ from: '/inbox' });
  const navigate = useNavigate({ from: '/inbox' });
  const { data, error } = useQuestions(search);
  const questions = data?.pendingInterrupts?.nodes ?? [];
  const selected = useSelected(search, questions);
  const pane = useRef<HTMLDivElement>(null);
  const change = (next: Partial<InboxSearch>) => void navigate({ search: { ...search, ...next } });
  const isFiltered = Boolean(search.graph ?? search.meta);

  useKeys(questions, selected, {
    select: (q) => void navigate({ search: { ...search, q }, replace: true }),
    answer: () => pane.current?.querySelector<HTMLElement>('input, textarea, select')?.focus(),
  });

  return (
    <Screen
      title="Inbox"
      count={data?.pendingInterrupts && countOf(data.pendingInterrupts.totalCount)}
    >
      <InboxFilters
        search={search}
        onChange={(next) => change({ after: undefined, before: undefined, ...next })}
      />
      <ErrorNote error={error} className={list.note} />
      {!data && !error && <Loading />}
      {data && questions.length === 0 && !selected && <NoQuestions isFiltered={isFiltered} />}
      {data && (questions.length > 0 || selected) && (
        <div className={classes['panes']} data-shown={search.q ? 'question' : 'list'}>
          <div className={classes['side']}>
            <QuestionList questions={questions} selected={selected} search={search} />
            <Pager
              page={data.pendingInterrupts?.pageInfo}
              isFirst={!search.after && !search.before}
              onMove={(to) => change({ after: undefined, before: undefined, q: undefined, ...to })}
            />
          </div>
          <div ref={pane} className={classes['pane']}>
            {selected && (
              <SelectedQuestion
                key={selected}
                id={selected}
                next={questions.find(({ id }) => id !== selected)?.id}
                onSelect={(q) => change({ q })}
              />
            )}
          </div>
        </div>
      )}
    </Screen>
  );
}

function useQuestions(search: InboxSearch) {
  const [{ data, error }, read] = useQuery({
    query: LIST_QUESTIONS,
    variables: variablesOf(search),
    requestPolicy: 'cache-and-network',
  });
  useReload(read);
  return { data, error };
}

interface Moves {
  select: (id: string) => void;
  answer: () => void;
}

/** j and k select the next and the previous question; Enter goes to its form. */
function useKeys(
  questions: readonly ListedQuestion[],
  selected: string | undefined,
  { select, answer }: Moves,
): void {
  function move(step: number): void {
    const at = questions.findIndex(({ id }) => id === selected);
    const next = questions[Math.max(0, Math.min(questions.length - 1, at + step))];
    if (next) select(next.id);
  }
  useShortcuts({ j: () => move(1), k: () => move(-1), Enter: answer });
}

function variablesOf({ graph, meta, ...cursors }: InboxSearch) {
  return {
    graphId: graph ?? null,
    metadata: readMetadata(meta ?? '').value ?? null,
    ...pageOf(cursors),
  };
}

/** The question of the URL, or the oldest one. It stays selected after its answer, so that nothing moves under a person's hands. */
function useSelected(
  { q, ...filters }: InboxSearch,
  questions: readonly ListedQuestion[],
): string | undefined {
  const key = JSON.stringify(filters);
  const [first, setFirst] = useState<{ key: string; id: string } | undefined>(undefined);
  const oldest = questions[0]?.id;
  if (oldest !== undefined && first?.key !== key) setFirst({ key, id: oldest });
  return q ?? (first?.key === key ? first.id : undefined);
}

function NoQuestions({ isFiltered }: { isFiltered: boolean }) {
  if (isFiltered) {
    return (
      <Empty icon="search" title="No question matches">
        <p>The filters exclude every open question.</p>
      </Empty>
    );
  }
  return (
    <Empty icon="inbox" title="No open questions">
      <p>
        A node that calls <code>interrupt()</code> stops its thread and asks. The question waits
        here, with a form if the node gave a schema, until a person answers.
      </p>
    </Empty>
  );
}
