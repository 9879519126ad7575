import { useRef, type KeyboardEvent } from 'react';
import { useMutation } from 'urql';
import { graphql } from '../../../data/graphql.ts';
import { Button } from '../../../ui/Button.tsx';
import { useKeptText } from '../../../ui/useKeptText.ts';
import type { ListedAssistant } from '../documents.ts';
import classes from './Conversation.module.css';
import type { ConversationState } from './state.ts';
import { RunOptionFields } from './RunOptionFields.tsx';
import type { RunOptions } from './run-options.ts';

const UNDO_RUNS = graphql(`
  mutation UndoRuns($threadId: ID!) {
    cancelRuns(filter: { threadId: $threadId, status: [PENDING, RUNNING] }, action: ROLLBACK) {
      id
      status
    }
  }
`);

interface ComposerProps {
  assistants: readonly ListedAssistant[];
  assistant: string | undefined;
  onAssistant: (id: string) => void;
  options: RunOptions;
  onOptions: (options: RunOptions) => void;
  conversation: ConversationState;
  threadId: string;
}

/** The field for the next message, with the assistant that answers it. */
export function Composer(props: ComposerProps) {
  const { assistants, assistant, onAssistant, options, onOptions, conversation, threadId } = props;
  const [text, setText] = useKeptText(threadId);
  const field = useRef<HTMLTextAreaElement>(null);

  function send(): void {
    if (text.trim() === '' || !assistant) return;
    void conversation.send(text);
    setText('');
    field.current?.focus();
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  }

  return (
    <form
      className={classes['composer']}
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        ref={field}
        aria-label="Message"
        placeholder="Message (Enter sends, Shift Enter is a new line)"
        rows={Math.min(8, Math.max(2, text.split('\n').length))}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <div className={classes['composerFoot']}>
        <select
          aria-label="Assistant"
          value={assistant ?? ''}
          onChange={(event) => onAssistant(event.target.value)}
        >
          {assistants.map(({ id, name, graphId }) => (
            <option key={id} value={id}>
              {name === graphId ? name : `${name} (${graphId})`}
            </option>
          ))}
        </select>
        <RunOptionFields options={options} onChange={onOptions} />
        <span className={classes['send']}>
          {conversation.isRunning && (
            <StopButtons threadId={threadId} conversation={conversation} />
          )}
          <Button type="submit" look="primary" icon="send" disabled={text.trim() === ''}>
            Send
          </Button>
        </span>
      </div>
    </form>
  );
}

type StopButtonsProps = Pick<ComposerProps, 'threadId' | 'conversation'>;

function StopButtons({ threadId, conversation }: StopButtonsProps) {
  const [, undo] = useMutation(UNDO_RUNS);
  return (
    <>
      <Button
        icon="stop"
        title="Stop; finished steps stay"
        onClick={() => void conversation.stop()}
      >
        Stop
      </Button>
      <Button
        look="plain"
        title="Stop, and remove the steps of the run"
        onClick={() => void undo({ threadId })}
      >
        Undo
      </Button>
    </>
  );
}
