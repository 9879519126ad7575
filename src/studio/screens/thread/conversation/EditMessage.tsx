import { useState } from 'react';
import type { ThreadMessage } from '../../../../client/types.ts';
import { Button } from '../../../ui/Button.tsx';
import classes from './Conversation.module.css';
import type { ConversationState } from './state.ts';

interface EditMessageProps {
  message: ThreadMessage;
  conversation: ConversationState;
  onClose: () => void;
}

/** Changes a message. The thread continues from the state before it, on a new branch. */
export function EditMessage({ message, conversation, onClose }: EditMessageProps) {
  const [text, setText] = useState(message.text);
  return (
    <form
      className={classes['edit']}
      onSubmit={(event) => {
        event.preventDefault();
        void conversation.edit(message.id, text);
        onClose();
      }}
    >
      <textarea
        aria-label="The message"
        autoFocus
        rows={Math.min(10, text.split('\n').length + 1)}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <span className={classes['editActions']}>
        <span className={classes['hint']}>The branch with the old message stays.</span>
        <Button isSmall onClick={onClose}>
          Cancel
        </Button>
        <Button isSmall look="primary" type="submit" disabled={text.trim() === ''}>
          Send
        </Button>
      </span>
    </form>
  );
}
