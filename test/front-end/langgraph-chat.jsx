import { useStream } from '@langchain/react';
import { createRoot } from 'react-dom/client';

/** A chat with LangGraph's own hook. Sends `input` with each message. */
function Chat({ input, ...options }) {
  const chat = useStream(options);
  const send = (form) =>
    void chat.submit({ messages: [{ type: 'human', content: form.get('text') }], ...input });
  return (
    <form action={send}>
      {chat.messages.map((message) => (
        <p key={message.id}>
          {message.type}: {message.text}
        </p>
      ))}
      {chat.interrupts.map(({ id, value }) => (
        <button key={id} formAction={() => void chat.respond('yes', { interruptId: id })}>
          {value}
        </button>
      ))}
      <p>{chat.error?.message}</p>
      <input name="text" />
      <button disabled={chat.isLoading}>Send</button>
    </form>
  );
}

export function openChat(element, options) {
  createRoot(element).render(<Chat {...options} />);
}
