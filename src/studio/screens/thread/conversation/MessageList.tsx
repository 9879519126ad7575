import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef, useState } from 'react';
import type { ThreadMessage } from '../../../../client/types.ts';
import { Button } from '../../../ui/Button.tsx';
import { Empty, Loading } from '../../../ui/Notes.tsx';
import type { ThreadHead } from '../documents.ts';
import { useAuthors } from './authors.ts';
import classes from './Conversation.module.css';
import { MessageItem } from './MessageItem.tsx';
import { resultsOf } from './results.ts';
import type { ConversationState } from './state.ts';

interface MessageListProps {
  thread: ThreadHead;
  conversation: ConversationState;
  mayWrite: boolean;
}

const ESTIMATED_HEIGHT = 90;
const NEAR_END = 80;

/** The messages of a thread. Only those in view are in the page. */
export function MessageList({ thread, conversation, mayWrite }: MessageListProps) {
  const { messages, connection, hasOlder, loadOlder, isRunning } = conversation;
  const { rest, results } = resultsOf(messages);
  const authors = useAuthors(thread.id, thread.stateUpdatedAt);
  const box = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: rest.length,
    getScrollElement: () => box.current,
    estimateSize: () => ESTIMATED_HEIGHT,
    getItemKey: (index) => rest[index]?.id ?? index,
    overscan: 6,
  });
  useStayAtEnd(box, rows.getTotalSize());
  const announced = useAnnouncement(messages, isRunning);

  if (messages.length === 0 && connection === 'connecting') return <Loading />;
  return (
    <div
      ref={box}
      className={classes['list']}
      role="log"
      aria-live="off"
      aria-label="Messages"
      tabIndex={0}
    >
      <span className="visually-hidden" role="status">
        {announced}
      </span>
      {messages.length === 0 && <NoMessages hasState={thread.lastRun !== null} />}
      {hasOlder && <Older onLoad={loadOlder} />}
      <div className={classes['rows']} style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map(({ key, index, start }) => {
          const message = rest[index];
          if (!message) return null;
          return (
            <div
              key={key}
              ref={rows.measureElement}
              data-index={index}
              className={classes['row']}
              style={{ transform: `translateY(${start}px)` }}
            >
              <MessageItem
                message={message}
                results={results}
                author={authors.get(message.id)}
                conversation={conversation}
                mayWrite={mayWrite}
              />
            </div>
          );
        })}
      </div>
    </div>
  );
}

function Older({ onLoad }: { onLoad: () => Promise<void> }) {
  return (
    <div className={classes['older']}>
      <Button isSmall onClick={() => void onLoad()}>
        Show older messages
      </Button>
    </div>
  );
}

function NoMessages({ hasState }: { hasState: boolean }) {
  return (
    <Empty icon="threads" title={hasState ? 'This state has no messages' : 'Say something'}>
      <p>
        {hasState
          ? 'The graph keeps its state in other channels: the views beside show them.'
          : 'Your message starts a run. Its answer comes here word by word, and each step leaves a checkpoint.'}
      </p>
    </Empty>
  );
}

/** Keeps the end in view while the list grows, unless the person has scrolled up. */
function useStayAtEnd(box: React.RefObject<HTMLDivElement | null>, height: number): void {
  const isAtEnd = useRef(true);
  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const note = () => {
      const { scrollTop, scrollHeight, clientHeight } = element;
      isAtEnd.current = scrollHeight - scrollTop - clientHeight < NEAR_END;
    };
    element.addEventListener('scroll', note, { passive: true });
    return () => element.removeEventListener('scroll', note);
  });
  useEffect(() => {
    if (isAtEnd.current) box.current?.scrollTo({ top: box.current.scrollHeight });
  }, [box, height]);
}

/** The text of a finished answer, for readers of the screen: not each word of it. */
function useAnnouncement(messages: readonly ThreadMessage[], isRunning: boolean): string {
  const [text, setText] = useState('');
  const wasRunning = useRef(isRunning);
  useEffect(() => {
    const last = messages.at(-1);
    if (wasRunning.current && !isRunning && last) setText(`Answer: ${last.text}`);
    wasRunning.current = isRunning;
  }, [messages, isRunning]);
  return text;
}
