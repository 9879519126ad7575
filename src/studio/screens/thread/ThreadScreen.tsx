import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { Suspense, useId, useState } from 'react';
import { useQuery } from 'urql';
import { useReload } from '../../data/feed.tsx';
import { useMayWrite } from '../../data/viewer.ts';
import { Button, buttonClass } from '../../ui/Button.tsx';
import { Icon } from '../../ui/Icon.tsx';
import { Id } from '../../ui/Id.tsx';
import { Empty, ErrorNote, Loading } from '../../ui/Notes.tsx';
import { useDocumentTitle } from '../../ui/Screen.tsx';
import { StatusBadge } from '../../ui/Status.tsx';
import { Tabs } from '../../ui/Tabs.tsx';
import { ThreadMenu } from '../threads/ThreadMenu.tsx';
import { titleOf } from '../threads/title.ts';
import { Conversation } from './conversation/Conversation.tsx';
import { READ_THREAD, type ListedAssistant, type ThreadHead } from './documents.ts';
import type { ThreadSearch } from './search.ts';
import classes from './ThreadScreen.module.css';
import { VIEWS, type ViewProps } from './views.ts';

/** A thread: its conversation, and beside it one of the views. */
export function ThreadScreen() {
  const { threadId } = useParams({ from: '/threads/$threadId' });
  const [{ data, error }, read] = useQuery({
    query: READ_THREAD,
    variables: { id: threadId },
    requestPolicy: 'cache-and-network',
  });
  useReload(
    read,
    (change) => change.__typename === 'ThreadRemoved' && change.threadId === threadId,
  );
  if (error && !data) return <ErrorNote error={error} />;
  if (!data) return <Loading />;
  if (!data.thread) return <NoThread id={threadId} />;
  return <Panes key={threadId} thread={data.thread} assistants={data.assistants?.nodes ?? []} />;
}

function NoThread({ id }: { id: string }) {
  return (
    <Empty icon="search" title="This thread does not exist">
      <p>
        No thread has the id <code>{id}</code>. It may have been deleted, or belong to someone else.
      </p>
      <Link to="/threads" className={buttonClass()}>
        All threads
      </Link>
    </Empty>
  );
}

function Panes({ thread, assistants }: { thread: ThreadHead; assistants: ListedAssistant[] }) {
  const search = useSearch({ from: '/threads/$threadId' });
  const navigate = useNavigate({ from: '/threads/$threadId' });
  const [shown, setShown] = useState<'conversation' | 'view'>(
    search.view ? 'view' : 'conversation',
  );
  const title = titleOf(thread) ?? 'New thread';
  useDocumentTitle(title);

  function change(next: Partial<ThreadSearch>): void {
    void navigate({ search: (now) => ({ ...now, ...next }) });
  }

  return (
    <div className={classes['screen']}>
      <Head thread={thread} title={title}>
        {VIEWS.length > 0 && (
          <Button
            className={classes['switch']}
            onClick={() => setShown(shown === 'view' ? 'conversation' : 'view')}
          >
            {shown === 'view' ? 'Conversation' : 'Details'}
          </Button>
        )}
      </Head>
      <div
        className={`${classes['panes']} ${VIEWS.length === 0 ? classes['single'] : ''}`}
        data-shown={shown}
      >
        <section className={classes['pane']} aria-label="Conversation">
          <Conversation thread={thread} assistants={assistants} onShow={change} />
        </section>
        {VIEWS.length > 0 && <Views thread={thread} search={search} onChange={change} />}
      </div>
    </div>
  );
}

interface HeadProps {
  thread: ThreadHead;
  title: string;
  children: React.ReactNode;
}

function Head({ thread, title, children }: HeadProps) {
  const navigate = useNavigate();
  const mayWrite = useMayWrite();
  return (
    <header className={classes['head']}>
      <Link
        to="/threads"
        className={buttonClass({ look: 'plain', isSmall: true })}
        aria-label="All threads"
        title="All threads"
      >
        <Icon name="left" />
      </Link>
      <h1 title={title}>{title}</h1>
      <StatusBadge status={thread.status} />
      <span className={classes['optional']}>
        <Id id={thread.id} name="thread" />
      </span>
      <div className={classes['right']}>
        {children}
        {mayWrite && (
          <ThreadMenu thread={thread} onChanged={() => void navigate({ to: '/threads' })} />
        )}
      </div>
    </header>
  );
}

/** The view of the URL, under its tabs. */
function Views(props: ViewProps) {
  const panelId = useId();
  const selected = VIEWS.find(({ name }) => name === props.search.view) ?? VIEWS[0];
  if (!selected) return null;
  const { component: View } = selected;
  return (
    <section className={classes['pane']} aria-label="Details">
      <Tabs
        label="Views of the thread"
        tabs={VIEWS}
        selected={selected.name}
        onSelect={(view) => props.onChange({ view })}
        panelId={panelId}
      />
      <div id={panelId} role="tabpanel" aria-label={selected.label} className={classes['panel']}>
        <Suspense fallback={<Loading />}>
          <View {...props} />
        </Suspense>
      </div>
    </section>
  );
}
