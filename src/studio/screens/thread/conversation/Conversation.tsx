import { lazy, Suspense, useState } from 'react';
import { useThread } from '../../../../client/react.ts';
import { useMayWrite } from '../../../data/viewer.ts';
import { ErrorNote } from '../../../ui/Notes.tsx';
import type { ListedAssistant, ThreadHead } from '../documents.ts';
import type { ThreadSearch } from '../search.ts';
import { Composer } from './Composer.tsx';
import classes from './Conversation.module.css';
import { Failure } from './Failure.tsx';
import { MessageList } from './MessageList.tsx';
import { Paused } from './Paused.tsx';
import { DEFAULT_OPTIONS, runFields, type RunOptions } from './run-options.ts';

const Questions = lazy(async () => ({
  default: (await import('../questions/Questions.tsx')).Questions,
}));

interface ConversationProps {
  thread: ThreadHead;
  assistants: readonly ListedAssistant[];
  onShow: (change: Partial<ThreadSearch>) => void;
}

/** The messages of a thread as they come, its questions, and the field for the next message. */
export function Conversation({ thread, assistants, onShow }: ConversationProps) {
  const [chosen, setChosen] = useState<string | undefined>(undefined);
  const [options, setOptions] = useState<RunOptions>(DEFAULT_OPTIONS);
  const mayWrite = useMayWrite();
  const assistant = chosen ?? thread.lastRun?.assistantId ?? assistantFor(thread, assistants);
  const target = {
    threadId: thread.id,
    assistantId: assistant ?? '',
    run: runFields(options),
  };
  const conversation = useThread(thread.id, { ...target, versions: true });
  const { error, lastRun, isRunning, interrupts } = conversation;
  const isPaused = thread.status === 'INTERRUPTED' && interrupts.length === 0 && !isRunning;

  return (
    <>
      <MessageList thread={thread} conversation={conversation} mayWrite={mayWrite} />
      <div className={classes['foot']}>
        <ErrorNote error={error} />
        {!isRunning && <Failure run={lastRun} onShow={onShow} />}
        <Suspense>
          <Questions {...target} questions={interrupts} className={classes['questions']} />
        </Suspense>
        {isPaused && mayWrite && <Paused {...target} />}
        {mayWrite && (
          <Composer
            assistants={assistants}
            assistant={assistant}
            onAssistant={setChosen}
            options={options}
            onOptions={setOptions}
            conversation={conversation}
            threadId={thread.id}
          />
        )}
      </div>
    </>
  );
}

/** The assistant in the metadata of the thread, the default assistant of its graph, or the first one. */
function assistantFor(
  { graphId, metadata }: ThreadHead,
  assistants: readonly ListedAssistant[],
): string | undefined {
  const named = assistants.find(({ id }) => id === metadata['assistant_id']);
  if (named) return named.id;
  const ofGraph = assistants.filter((each) => each.graphId === graphId);
  const isDefault = ({ metadata }: ListedAssistant) => metadata['created_by'] === 'system';
  return (ofGraph.find(isDefault) ?? ofGraph[0] ?? assistants[0])?.id;
}
