import { useState } from 'react';
import type { ThreadMessage } from '../../../../client/types.ts';
import { nodeOf } from '../../../data/namespaces.ts';
import { Button, IconButton } from '../../../ui/Button.tsx';
import { CopyButton } from '../../../ui/CopyButton.tsx';
import { Icon, type IconName } from '../../../ui/Icon.tsx';
import type { Author } from './authors.ts';
import classes from './Conversation.module.css';
import { EditMessage } from './EditMessage.tsx';
import { MessageText } from './MessageText.tsx';
import type { ConversationState } from './state.ts';
import { ToolCall } from './ToolCall.tsx';

interface MessageItemProps {
  message: ThreadMessage;
  results: ReadonlyMap<string, ThreadMessage>;
  author: Author | undefined;
  conversation: ConversationState;
  mayWrite: boolean;
}

const ROLES: Record<ThreadMessage['type'], { name: string; icon: IconName }> = {
  HUMAN: { name: 'You', icon: 'person' },
  AI: { name: 'Assistant', icon: 'assistants' },
  TOOL: { name: 'Tool', icon: 'tool' },
  SYSTEM: { name: 'System', icon: 'system' },
  OTHER: { name: 'Other', icon: 'threads' },
};

/** A message with its tool calls, its versions, and what a person can do with it. */
export function MessageItem(props: MessageItemProps) {
  const { message, results, author, conversation, mayWrite } = props;
  const [isEditing, setEditing] = useState(false);
  const { name, icon } = ROLES[message.type];
  const who = message.name ?? (message.type === 'AI' && author?.assistant) ?? '';
  return (
    <article className={classes['message']} data-type={message.type} data-status={message.status}>
      <header className={classes['who']}>
        <Icon name={icon} size={14} />
        <strong>{who || name}</strong>
        {message.namespace.length > 0 && (
          <span className={classes['namespace']}>
            in {message.namespace.map(nodeOf).join(' › ')}
          </span>
        )}
        {message.status === 'streaming' && <span className={classes['writing']}>writing…</span>}
        {author?.tokens && (
          <span className={classes['tokens']}>
            {author.tokens.input} → {author.tokens.output} tokens
          </span>
        )}
        {message.status === 'stored' && (
          <Tools {...props} onEdit={mayWrite ? () => setEditing(true) : undefined} />
        )}
      </header>
      {isEditing ? (
        <EditMessage
          message={message}
          conversation={conversation}
          onClose={() => setEditing(false)}
        />
      ) : (
        <MessageText message={message} />
      )}
      {message.toolCalls.map((call, index) => (
        <ToolCall
          key={call.toolCallId ?? index}
          call={call}
          result={results.get(call.toolCallId ?? '')}
        />
      ))}
      {message.status === 'failed' && (
        <FailedMessage message={message} conversation={conversation} />
      )}
    </article>
  );
}

interface ToolsProps extends MessageItemProps {
  onEdit: (() => void) | undefined;
}

function Tools({ message, conversation, onEdit }: ToolsProps) {
  const { versions, text } = message;
  const at = versions.findIndex(({ isCurrent }) => isCurrent);
  const show = (index: number) => {
    const version = versions[index];
    if (version) void conversation.showVersion(version);
  };
  return (
    <span className={classes['tools']}>
      {versions.length > 1 && (
        <span className={classes['versions']}>
          <IconButton
            icon="left"
            isSmall
            label="The version before"
            disabled={!onEdit || at <= 0}
            onClick={() => show(at - 1)}
          />
          {at + 1} of {versions.length}
          <IconButton
            icon="right"
            isSmall
            label="The next version"
            disabled={!onEdit || at === versions.length - 1}
            onClick={() => show(at + 1)}
          />
        </span>
      )}
      {text && <CopyButton text={text} label="Copy the text" />}
      {onEdit && message.type === 'HUMAN' && (
        <IconButton icon="edit" isSmall label="Edit, and answer anew" onClick={onEdit} />
      )}
      {onEdit && message.type === 'AI' && (
        <IconButton
          icon="refresh"
          isSmall
          label="Answer anew"
          onClick={() => void conversation.regenerate(message.id)}
        />
      )}
    </span>
  );
}

type FailedMessageProps = Pick<MessageItemProps, 'message' | 'conversation'>;

function FailedMessage({ message, conversation }: FailedMessageProps) {
  return (
    <div className={classes['failure']} role="alert">
      <Icon name="error" />
      <span>Not sent. {message.error?.message}</span>
      <Button isSmall onClick={() => void conversation.retry(message.id)}>
        Send again
      </Button>
      <Button isSmall look="plain" onClick={() => conversation.dismiss(message.id)}>
        Remove
      </Button>
    </div>
  );
}
