import { createRoot } from 'react-dom/client';
import { createThreadClient } from '../../src/client/client.ts';
import { ThreadClientProvider, useThread } from '../../src/client/react.ts';

function Chat({ threadId }: { threadId: string }) {
  const chat = useThread(threadId, { assistantId: 'agent' });
  return (
    <form action={(form: FormData) => void chat.send(form.get('text') as string)}>
      {chat.messages.map((message) => (
        <p key={message.id}>
          {message.type}: {message.text} {message.error?.message}
        </p>
      ))}
      {chat.interrupts.map(({ id, value }) => (
        <p key={id}>
          {JSON.stringify(value)}
          <button formAction={() => void chat.answer(id, { approved: true })}>Approve</button>
        </p>
      ))}
      <p>{chat.connection === 'live' ? chat.error?.message : chat.connection}</p>
      <input name="text" />
      <button>Send</button>
      {chat.isRunning && <button formAction={() => void chat.stop()}>Stop</button>}
    </form>
  );
}

export function openChat(element: Element, url: string, threadId: string) {
  const root = createRoot(element);
  root.render(
    <ThreadClientProvider client={createThreadClient({ url })}>
      <Chat threadId={threadId} />
    </ThreadClientProvider>,
  );
  return root;
}
