import { lazy, Suspense, type KeyboardEvent } from 'react';
import { useMutation } from 'urql';
import { CANCEL_RUNS } from '../../../data/runs.ts';
import { Button } from '../../../ui/Button.tsx';
import { useKeptText } from '../../../ui/useKeptText.ts';
import type { ListedAssistant } from '../documents.ts';
import classes from './Conversation.module.css';
import type { ConversationState } from './state.ts';
import { useInputSchema } from './input-schema.ts';
import { RunOptionFields } from './RunOptionFields.tsx';
import type { RunOptions } from './run-options.ts';

const InputField = lazy(async () => ({
  default: (await import('./InputField.tsx')).InputField,
}));

interface ComposerProps {
  assistants: readonly ListedAssistant[];
  assistant: string | undefined;
  onAssistant: (id: string) => void;
  options: RunOptions;
  onOptions: (options: RunOptions) => void;
  conversation: ConversationState;
  threadId: string;
}

/** The field for the next message, or for the input of a graph without messages, and the assistant that takes it. */
export function Composer(props: ComposerProps) {
  const { assistants, assistant, onAssistant, options, onOptions, conversation, threadId } = props;
  const graphId = assistants.find(({ id }) => id === assistant)?.graphId;
  const input = useInputSchema(graphId);
  return (
    <div className={classes['composer']}>
      {input?.takesMessages === false ? (
        <Suspense>
          <InputField
            key={graphId}
            schema={input.schema}
            onSend={(value) => void conversation.send(value)}
          />
        </Suspense>
      ) : (
        <MessageField threadId={threadId} onSend={(text) => void conversation.send(text)} />
      )}
      <div className={classes['composerFoot']}>
        <select
          aria-label="Assistant"
          value={assistant ?? ''}
          onChange={(event) => onAssistant(event.target.value)}
        >
          {assistants.map(({ id, name, graphId: graph }) => (
            <option key={id} value={id}>
              {name === graph ? name : `${name} (${graph})`}
            </option>
          ))}
        </select>
        <RunOptionFields options={options} onChange={onOptions} />
        <span className={classes['send']}>
          {conversation.isRunning && (
            <StopButtons threadId={threadId} conversation={conversation} />
          )}
        </span>
      </div>
    </div>
  );
}

interface MessageFieldProps {
  threadId: string;
  onSend: (text: string) => void;
}

function MessageField({ threadId, onSend }: MessageFieldProps) {
  const [text, setText] = useKeptText(threadId);
  const isEmpty = text.trim() === '';

  function send(): void {
    if (isEmpty) return;
    onSend(text);
    setText('');
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  }

  return (
    <form
      className={classes['messageField']}
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        aria-label="Message"
        placeholder="Message (Enter sends, Shift Enter is a new line)"
        rows={Math.min(8, Math.max(2, text.split('\n').length))}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <Button type="submit" look="primary" icon="send" disabled={isEmpty}>
        Send
      </Button>
    </form>
  );
}

type StopButtonsProps = Pick<ComposerProps, 'threadId' | 'conversation'>;

function StopButtons({ threadId, conversation }: StopButtonsProps) {
  const [, undo] = useMutation(CANCEL_RUNS);
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
        onClick={() =>
          void undo({ filter: { threadId, status: ['PENDING', 'RUNNING'] }, action: 'ROLLBACK' })
        }
      >
        Undo
      </Button>
    </>
  );
}
