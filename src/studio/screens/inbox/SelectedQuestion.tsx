import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useQuery } from 'urql';
import { isOfThread, useReload } from '../../data/feed.tsx';
import { useMayWrite } from '../../data/viewer.ts';
import { Button, buttonClass } from '../../ui/Button.tsx';
import { Icon } from '../../ui/Icon.tsx';
import { Empty, ErrorNote, Loading } from '../../ui/Notes.tsx';
import { shorten } from '../../ui/shorten.ts';
import { StatusBadge } from '../../ui/Status.tsx';
import { DEFAULT_OPTIONS, runFields } from '../thread/conversation/run-options.ts';
import { Questions } from '../thread/questions/Questions.tsx';
import { titleOf } from '../threads/title.ts';
import { DismissQuestions } from './DismissQuestions.tsx';
import { READ_SELECTED, type SelectedThread } from './documents.ts';
import classes from './inbox.module.css';

interface SelectedQuestionProps {
  id: string;
  /** Another open question. */
  next: string | undefined;
  onSelect: (id: string | undefined) => void;
}

const RUN = runFields(DEFAULT_OPTIONS);

/** A question with the end of its conversation, and the form for the answer. */
export function SelectedQuestion({ id, next, onSelect }: SelectedQuestionProps) {
  const [{ data, error, stale }, read] = useQuery({
    query: READ_SELECTED,
    variables: { id },
    requestPolicy: 'cache-and-network',
  });
  const asked = data?.interrupt;
  useReload(read, isOfThread(asked?.thread.id));
  if (error && !data) return <ErrorNote error={error} />;
  if (!data) return <Loading />;
  if (!asked) {
    return (
      <Empty icon="search" title="This question does not exist">
        <p>Its thread may have been deleted, or belong to someone else.</p>
      </Empty>
    );
  }
  const { thread, isPending } = asked;
  return (
    <article className={classes['selected']} aria-label={titleOf(thread) ?? 'Question'}>
      <Head thread={thread} onBack={() => onSelect(undefined)} canDismiss={isPending} />
      <LastMessages thread={thread} />
      <Questions
        threadId={thread.id}
        assistantId={thread.lastRun?.assistantId ?? thread.graphId ?? ''}
        run={RUN}
        questions={ordered(thread, id)}
      />
      {!isPending && !stale && (
        <div className={classes['done']} role="status">
          <Icon name="check" />
          <span>This question no longer waits.</span>
          {next && (
            <Button look="primary" onClick={() => onSelect(next)}>
              Next question
            </Button>
          )}
        </div>
      )}
    </article>
  );
}

/** The questions of the thread, the selected one first. */
function ordered({ interrupts }: SelectedThread, id: string) {
  return [
    ...interrupts.filter((each) => each.id === id),
    ...interrupts.filter((each) => each.id !== id),
  ];
}

interface HeadProps {
  thread: SelectedThread;
  onBack: () => void;
  canDismiss: boolean;
}

function Head({ thread, onBack, canDismiss }: HeadProps) {
  const [isDismissing, setDismissing] = useState(false);
  const mayWrite = useMayWrite();
  return (
    <header className={classes['head']}>
      <Button className={classes['back']} icon="left" look="plain" onClick={onBack}>
        Questions
      </Button>
      <h2>{titleOf(thread) ?? 'Thread without messages'}</h2>
      <StatusBadge status={thread.status} />
      <span className={classes['tools']}>
        {mayWrite && canDismiss && (
          <Button look="plain" isSmall onClick={() => setDismissing(true)}>
            Dismiss…
          </Button>
        )}
        <Link
          to="/threads/$threadId"
          params={{ threadId: thread.id }}
          className={buttonClass({ isSmall: true })}
        >
          Open the thread
        </Link>
      </span>
      {isDismissing && <DismissQuestions thread={thread} onClose={() => setDismissing(false)} />}
    </header>
  );
}

const WHO: Record<string, string> = {
  HUMAN: 'Person',
  AI: 'Assistant',
  TOOL: 'Tool',
  SYSTEM: 'System',
};
const LONGEST_TEXT = 1200;

function LastMessages({ thread: { messages } }: { thread: SelectedThread }) {
  if (messages.length === 0) return null;
  return (
    <ol className={classes['messages']} aria-label="Last messages">
      {messages.map(({ messageId, type, text, name, toolCalls }, index) => (
        <li key={messageId ?? index}>
          <strong>{name ?? WHO[type] ?? type}</strong>
          <span>
            {shorten(text, LONGEST_TEXT)}
            {toolCalls.map((call) => (
              <code key={call.toolCallId ?? call.name}>{call.name}()</code>
            ))}
          </span>
        </li>
      ))}
    </ol>
  );
}
