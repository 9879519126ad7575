import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { createThreadClient } from '../../src/client/client.ts';
import { ThreadClientProvider, useThread, useThreads } from '../../src/client/react.ts';

interface Shown {
  topic: string;
  threadId: string;
}

/** Shows the messages of a thread, and the number of threads with a topic. */
function Threads({ topic, threadId }: Shown) {
  const { threads, connection } = useThreads({ metadata: { topic } });
  const { messages } = useThread(threadId, { assistantId: 'echo' });
  return (
    <>
      <p>{connection}</p>
      <p>{`${threads.length} threads`}</p>
      {messages.map(({ id, text }) => (
        <p key={id}>{text}</p>
      ))}
    </>
  );
}

export function openThreads(element: Element, url: string, shown: Shown) {
  const root = createRoot(element);
  root.render(
    <StrictMode>
      <ThreadClientProvider client={createThreadClient({ url })}>
        <Threads {...shown} />
      </ThreadClientProvider>
    </StrictMode>,
  );
  return root;
}
