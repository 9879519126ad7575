import { describe, expect } from 'vitest';
import { randomId, until } from './support/app.ts';
import type { Client } from './support/client.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { operation } from './support/graphql.ts';
import { FIRST_HALF, untilReaders } from './support/streams.ts';
import { connectThreads, isDone, linesOf, watch } from './support/thread-clients.ts';

const SECOND_HALF = 'four five six ';
const endpointOf = ({ url }: { url: string }) => `${url}/graphql`;

const STORED = operation(`query ($id: ID!) {
  thread(id: $id) { messages { messageId text } runs { totalCount } }
}`);
const DELETE_THREAD = operation(`mutation ($id: ID!) { deleteThread(id: $id) }`);

async function readStored(client: Client, id: string) {
  return (await client.gql(STORED, { id })).thread ?? expect.fail('There is no thread.');
}

/** Opens a thread in a client of its own, as a tab does. */
function openThread(
  client: Pick<Client, 'url'>,
  assistantId: string,
  threadId = randomId(),
  options: { versions?: boolean } = {},
) {
  const threads = connectThreads(endpointOf(client));
  return { threadId, ...watch(threads.thread(threadId, { assistantId, ...options })) };
}

/** The input of graph `halves`, which waits between its two messages. */
const halves = (gate: { file: string }) => ({
  file: gate.file,
  messages: [{ role: 'user', content: 'Count!' }],
});

describe('a store of a thread', () => {
  it('shows a message at once, then the answer as it is written, then the state of the thread', async ({
    client,
  }) => {
    const gate = createGate();
    const thread = openThread(client, 'halves');
    await thread.until(({ connection }) => connection === 'live');

    void thread.store.send(halves(gate));
    expect(linesOf(thread.now())).toEqual(['HUMAN Count! (sending)']);
    const half = await thread.until(({ messages }) => messages.at(-1)?.text === FIRST_HALF);
    expect(half).toMatchObject({ isRunning: true, runs: [{ status: 'RUNNING', attempt: 1 }] });
    await gate.open();
    const end = await thread.until(isDone);

    expect(linesOf(end)).toEqual(['HUMAN Count!', `AI ${FIRST_HALF}`, `AI ${SECOND_HALF}`]);
    expect(end).toMatchObject({ runs: [], lastRun: { status: 'SUCCESS' }, error: undefined });
    const { messages } = await readStored(client, thread.threadId);
    expect(end.messages.map(({ id }) => id)).toEqual(messages.map(({ messageId }) => messageId));
    // No state between shows a message twice, and no text becomes shorter.
    for (const { messages } of thread.seen) {
      expect(new Set(messages.map(({ id }) => id)).size).toBe(messages.length);
    }
    const lengths = thread.seen.map((state) =>
      linesOf(state)
        .join('')
        .replaceAll(/ \(\w+\)/g, ''),
    );
    expect(lengths.map(({ length }) => length)).toEqual(
      lengths.map(({ length }) => length).toSorted((one, other) => one - other),
    );
  });

  it('keeps the objects of unchanged messages, and its state between changes', async ({
    client,
  }) => {
    const thread = openThread(client, 'echo');
    await thread.store.send('one');
    const first = await thread.until(isDone);
    expect(thread.now()).toBe(thread.now());
    await thread.store.send('two');
    const second = await thread.until(({ messages }) => messages.length === 4);
    expect(second.messages[0]).toBe(first.messages[0]);
    expect(second.messages[1]).toBe(first.messages[1]);
  });

  it('joins the tool calls of chunks', async ({ client }) => {
    // Before the first message, a store waits for its thread: it could find the whole answer in the state.
    const thread = openThread(client, 'toolCalls', await client.createThread());
    await thread.until(({ connection }) => connection === 'live');
    await thread.store.send('Weather?');
    const end = await thread.until(isDone);
    const calls = [
      { toolCallId: 'call-0', name: 'weather', args: { city: 'Paris' } },
      { toolCallId: 'call-1', name: 'weather', args: { city: 'Rome' } },
    ];
    expect(end.messages[1]).toMatchObject({ text: 'Let me look.', toolCalls: calls });
    const streamed = thread.seen
      .flatMap(({ messages }) => messages)
      .findLast(({ type, status }) => type === 'AI' && status === 'streaming');
    expect(streamed).toMatchObject({ text: 'Let me look.', toolCalls: calls });
    expect(end.messages.slice(2)).toMatchObject([
      { type: 'TOOL', toolCallId: 'call-0', text: 'Rain in Paris.' },
      { type: 'TOOL', toolCallId: 'call-1', text: 'Rain in Rome.' },
    ]);
  });

  it('agrees with the store of another tab, which also sees the question while it is answered', async ({
    client,
  }) => {
    const gate = createGate();
    const one = openThread(client, 'halves');
    const other = openThread(client, 'halves', one.threadId);
    await other.until(({ connection }) => connection === 'live');
    await one.store.send(halves(gate));
    await other.until(({ messages }) => messages.at(-1)?.text === FIRST_HALF);
    expect(other.now().messages[0]).toMatchObject({ type: 'HUMAN', text: 'Count!' });
    await gate.open();
    for (const tab of [one, other]) await tab.until(isDone);
    expect(other.now().messages).toEqual(one.now().messages);
  });

  it('shows an unfinished answer whole when it is opened later', async ({ client }) => {
    const gate = createGate();
    const first = openThread(client, 'halves');
    await first.store.send(halves(gate));
    await first.until(({ messages }) => messages.at(-1)?.text === FIRST_HALF);
    const later = openThread(client, 'halves', first.threadId);
    const state = await later.until(({ messages }) => messages.at(-1)?.text === FIRST_HALF);
    expect(linesOf(state)[0]).toMatch('HUMAN Count!');
    expect(state).toMatchObject({ isRunning: true });
    await gate.open();
    await later.until(isDone);
  });

  it('leaves the server when its last listener leaves, and continues later', async ({
    client,
    server,
  }) => {
    await untilReaders(server, 0);
    const thread = openThread(client, 'echo', await client.createThread());
    await untilReaders(server, 1);
    const leave = thread.store.subscribe(() => {});
    thread.leave();
    leave();
    await untilReaders(server, 0);
    expect(thread.now().connection).toBe('closed');

    await client.runToEnd({ threadId: thread.threadId, assistantId: 'echo', input: {} });
    const again = watch(thread.store);
    await again.until(({ lastRun, connection }) => lastRun && connection === 'live');
  });

  it('is empty again when its thread is deleted, and shows the next thread with the id', async ({
    client,
  }) => {
    const thread = openThread(client, 'echo');
    await thread.store.send('one');
    await thread.until(isDone);
    await client.gql(DELETE_THREAD, { id: thread.threadId });
    await thread.until(({ messages }) => messages.length === 0);
    await thread.store.send('two');
    const state = await thread.until(isDone);
    expect(linesOf(state)).toEqual(['HUMAN two', 'AI echo: two']);
  });
});

describe('a message that the server refuses', () => {
  it('stays with the reason, until it is dismissed', async ({ client }) => {
    const thread = openThread(client, 'nobody');
    await thread.store.send('Hello?');
    expect(thread.now().messages).toMatchObject([
      { text: 'Hello?', status: 'failed', error: { code: 'BAD_USER_INPUT' } },
    ]);
    expect(thread.now()).toMatchObject({ isRunning: false, error: { code: 'BAD_USER_INPUT' } });
    thread.store.dismiss(thread.now().messages[0]?.id ?? '');
    expect(thread.now().messages).toEqual([]);
  });

  it('can be sent again', async ({ client }) => {
    const threadId = await client.createThread();
    const gate = createGate();
    await client.startRun({ threadId, assistantId: 'gate', input: { log: [], file: gate.file } });
    const threads = connectThreads(endpointOf(client));
    const options = { assistantId: 'echo', run: { multitaskStrategy: 'REJECT' } } as const;
    const thread = watch(threads.thread(threadId, options));
    await thread.store.send('Hello?');
    const [message] = thread.now().messages;
    expect(message).toMatchObject({ status: 'failed', error: { code: 'THREAD_BUSY' } });
    await gate.open();
    await thread.until(isDone);
    await thread.store.retry(message?.id ?? '');
    const end = await thread.until(({ messages }) => messages.length === 2);
    expect(end.messages[0]).toMatchObject({ id: message?.id });
  });
});

describe('stop', () => {
  it('cancels the executing run and those behind it; a message that was not read stays, as failed', async ({
    client,
  }) => {
    const gate = createGate();
    const thread = openThread(client, 'halves');
    await thread.store.send(halves(gate));
    await thread.until(({ messages }) => messages.at(-1)?.text === FIRST_HALF);
    await thread.store.send('And then?');
    await thread.until(({ runs }) => runs.length === 2);
    await thread.store.stop();
    const end = await thread.until(({ runs, isRunning }) => !isRunning && runs.length === 0);
    expect(end.error).toBeUndefined();
    const state = await thread.until(({ messages }) => messages.length === 2);
    expect(linesOf(state)).toEqual(['HUMAN Count!', 'HUMAN And then? (failed)']);
  });

  it('also stops a message that is on its way', async ({ client }) => {
    const gate = createGate();
    const thread = openThread(client, 'halves');
    await thread.until(({ connection }) => connection === 'live');
    const sent = thread.store.send(halves(gate));
    await thread.store.stop();
    await sent;
    const end = await thread.until(isDone);
    expect(end.lastRun).toMatchObject({ status: 'CANCELLED' });
  });
});

describe('answer', () => {
  it('answers an interrupt, with its id or without', async ({ client }) => {
    const thread = openThread(client, 'approval');
    await thread.store.send('Tell ada@example.com that it works.');
    const asked = await thread.until(({ interrupts }) => interrupts.length > 0);
    expect(asked).toMatchObject({ isRunning: false, lastRun: { status: 'INTERRUPTED' } });
    expect(asked.interrupts[0]).toMatchObject({
      node: 'tools',
      responseSchema: { required: ['approved'] },
    });
    await thread.store.answer({ approved: true });
    await thread.until(({ lastRun }) => lastRun?.status === 'SUCCESS');
    expect(thread.now().interrupts).toEqual([]);
    expect(thread.now().messages.at(-1)?.text).toContain('E-mail sent to ada@example.com.');

    await thread.store.send('Tell bob@example.com too.');
    const [interrupt] = (await thread.until(({ interrupts }) => interrupts.length > 0)).interrupts;
    await thread.store.answer(interrupt?.id ?? '', { approved: false, reason: 'No.' });
    const end = await thread.until(({ messages }) =>
      messages.at(-1)?.text.includes('Not sent: No.'),
    );
    expect(end.error).toBeUndefined();
  });

  it('says why an answer is refused', async ({ client }) => {
    const thread = openThread(client, 'approval', await client.createThread());
    await thread.store.answer({ approved: true });
    expect(thread.now()).toMatchObject({ isRunning: false, error: { name: 'RefusedError' } });
  });
});

describe('edit and regenerate', () => {
  it('replace a message and all messages after it', async ({ client }) => {
    const thread = openThread(client, 'echo');
    for (const text of ['one', 'two']) {
      await thread.store.send(text);
      await thread.until(isDone);
    }
    const other = openThread(client, 'echo', thread.threadId);
    const before = await other.until(({ messages }) => messages.length === 4);

    const edited = thread.store.edit(before.messages[0]?.id ?? '', 'three');
    expect(linesOf(thread.now())).toEqual(['HUMAN three (sending)']);
    await edited;
    for (const tab of [thread, other]) {
      const state = await tab.until(
        ({ messages, isRunning }) => messages.at(-1)?.text === 'echo: three' && !isRunning,
      );
      expect(linesOf(state)).toEqual(['HUMAN three', 'AI echo: three']);
    }

    const answer = thread.now().messages[1]?.id ?? '';
    const regenerated = thread.store.regenerate(answer);
    expect(linesOf(thread.now())).toEqual(['HUMAN three']);
    await regenerated;
    const end = await thread.until(isDone);
    expect(linesOf(end)).toEqual(['HUMAN three', 'AI echo: three']);
    expect(end.messages[1]?.id).not.toBe(answer);
  });

  it('show the old messages again when the edit is refused', async ({ client }) => {
    const thread = openThread(client, 'echo');
    await thread.store.send('one');
    await thread.until(isDone);
    await thread.store.edit('no message', 'three');
    expect(linesOf(thread.now())).toEqual(['HUMAN one', 'AI echo: one', 'HUMAN three (failed)']);
  });
});

describe('showVersion', () => {
  it('continues the thread on the branch of an earlier version, in all tabs', async ({
    client,
  }) => {
    const thread = openThread(client, 'echo', randomId(), { versions: true });
    for (const text of ['one', 'two']) {
      await thread.store.send(text);
      await thread.until(isDone);
    }
    expect(thread.now().messages.flatMap(({ versions }) => versions)).toEqual([]);
    const other = openThread(client, 'echo', thread.threadId);
    await other.until(({ messages }) => messages.length === 4);

    await thread.store.edit(thread.now().messages[0]?.id ?? '', 'three');
    const edited = await thread.until(({ messages }) => messages[0]?.versions.length === 2);
    const [first, second] = edited.messages[0]?.versions ?? [];
    expect([first?.isCurrent, second?.isCurrent]).toEqual([false, true]);

    await thread.store.showVersion(first ?? expect.fail('There is no first version.'));
    const lines = ['HUMAN one', 'AI echo: one', 'HUMAN two', 'AI echo: two'];
    for (const tab of [thread, other]) {
      const shown = await tab.until(({ messages }) => messages.length === 4);
      expect(linesOf(shown)).toEqual(lines);
    }
    const { messages } = await thread.until((state) => state.messages[0]?.versions[0]?.isCurrent);
    expect(messages[0]?.versions[1]).toEqual({ ...second, isCurrent: false });
    expect(other.now().messages.flatMap(({ versions }) => versions)).toEqual([]);

    await thread.store.send('four');
    const end = await thread.until((state) => state.messages.length === 6 && isDone(state));
    expect(linesOf(end)).toEqual([...lines, 'HUMAN four', 'AI echo: four']);
  });

  it('is refused while a run executes', async ({ client }) => {
    const gate = createGate();
    const thread = openThread(client, 'halves');
    await thread.store.send(halves(gate));
    await thread.until(({ messages }) => messages.at(-1)?.text === FIRST_HALF);
    await thread.store.showVersion({ checkpointId: randomId(), isCurrent: false });
    expect(thread.now().error).toMatchObject({ code: 'THREAD_BUSY' });
    await gate.open();
    await thread.until(isDone);
  });
});

describe('loadOlder', () => {
  it('adds the messages before the newest 1,000, and keeps them while the thread goes on', async ({
    client,
  }) => {
    const messages = Array.from({ length: 2500 }, (_, i) => ({
      id: `m${i}`,
      type: 'human',
      content: `text ${i}`,
    }));
    const supersteps = [{ updates: [{ values: { messages }, asNode: 'echo' }] }];
    const threadId = await client.createThread({ graphId: 'echo', supersteps });
    const thread = openThread(client, 'echo', threadId);
    const newest = await thread.until(({ connection }) => connection === 'live');
    expect(newest).toMatchObject({ hasOlder: true });
    expect(newest.messages).toHaveLength(1000);
    expect(newest.messages[0]).toMatchObject({ id: 'm1500', text: 'text 1500' });

    await Promise.all([thread.store.loadOlder(), thread.store.loadOlder()]);
    expect(thread.now().messages).toHaveLength(2000);
    expect(thread.now().hasOlder).toBe(true);
    await thread.store.loadOlder();
    expect(thread.now().hasOlder).toBe(false);
    await thread.store.send('the end');
    const end = await thread.until(isDone);
    expect(end.messages.map(({ id }) => id).slice(0, 2500)).toEqual(messages.map(({ id }) => id));
    expect(linesOf(end).slice(2500)).toEqual(['HUMAN the end', 'AI echo: the end']);
    expect(end).toMatchObject({ hasOlder: false, error: undefined });
  });

  it('changes nothing in a thread with fewer messages', async ({ client }) => {
    const thread = openThread(client, 'echo');
    await thread.store.send('one');
    const before = await thread.until(isDone);
    expect(before).toMatchObject({ hasOlder: false });
    await thread.store.loadOlder();
    expect(thread.now().messages).toEqual(before.messages);
  });
});

describe('a list of threads', () => {
  it('follows new, changed and deleted threads, and reads more pages', async ({ client }) => {
    const topic = randomId();
    const create = (n: number) => client.createThread({ metadata: { topic, n } });
    for (let n = 0; n < 22; n++) await create(n);
    const list = watch(connectThreads(endpointOf(client)).threads({ metadata: { topic } }));
    const first = await list.until(({ threads }) => threads.length === 20);
    expect(first).toMatchObject({ hasMore: true });
    expect(first.threads[0]?.metadata).toEqual({ topic, n: 21 });
    await list.store.loadMore();
    expect(list.now()).toMatchObject({ hasMore: false });
    expect(list.now().threads).toHaveLength(22);

    const oldest = list.now().threads.at(-1)?.id ?? '';
    await client.runToEnd({
      threadId: oldest,
      assistantId: 'echo',
      input: { messages: [{ role: 'user', content: 'hello' }] },
    });
    await list.until(({ threads }) => threads[0]?.preview?.lastText === 'echo: hello');
    expect(list.now().threads.filter(({ id }) => id === oldest)).toHaveLength(1);
    const added = await create(22);
    await list.until(({ threads }) => threads[0]?.id === added);
    await client.gql(DELETE_THREAD, { id: added });
    await list.until(({ threads }) => !threads.some(({ id }) => id === added));
  });

  it('leaves the server when its last listener leaves', async ({ client, server }) => {
    await until(() => server.app.changes.watchers === 0);
    const list = watch(connectThreads(endpointOf(client)).threads());
    await until(() => server.app.changes.watchers === 1);
    list.leave();
    await until(() => server.app.changes.watchers === 0);
  });
});
