import { describe, expect } from 'vitest';
import { randomId, until } from './support/app.ts';
import { freePort } from './support/free-port.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { dataOf, openEvents, type ProtocolEvent } from './support/protocol.ts';
import { gather, human, sdkClient } from './support/sdk.ts';
import { SEVERAL_STARTS_MS } from './support/servers.ts';

/** The stream of a thread by LangGraph's SDK. */
function streamOf(target: { url: string }, assistantId: string, threadId = randomId()) {
  return sdkClient(target).threads.stream(threadId, {
    assistantId,
    maxReconnectAttempts: 1000,
    reconnectDelayMs: () => 20,
  });
}

/** The statuses of the run. */
const statusesIn = (events: readonly any[]) =>
  events.flatMap(({ method, params: { namespace, data } }) =>
    method === 'lifecycle' && namespace.length === 0 ? [data.event] : [],
  );

describe('client.threads.stream()', () => {
  it('starts a run on a new thread and streams the tokens of its message', async ({ client }) => {
    const thread = streamOf(client, 'tokens');
    const messages = thread.messages;
    const { run_id: runId } = await thread.run.start({ input: { messages: [human('go')] } });
    const pieces: string[] = [];
    const whole: string[] = [];
    for await (const message of messages) {
      for await (const piece of message.text) pieces.push(piece);
      whole.push(await message.text);
    }
    const output: any = await thread.output;
    await thread.close();
    expect(pieces).toHaveLength(200);
    expect(whole).toEqual([pieces.join('')]);
    expect(output.messages.map(({ text }: any) => text)).toEqual(['go', ...whole]);
    expect(await client.getRun(String(runId))).toMatchObject({
      status: 'SUCCESS',
      threadId: thread.threadId,
    });
  });

  it('has the arguments of tool calls and the results of the tools', async ({ client }) => {
    const thread = streamOf(client, 'toolRun');
    const [messages, toolCalls] = [thread.messages, thread.toolCalls];
    await thread.run.start({ input: { messages: [human('go')] } });
    const [[message, answer], calls] = await Promise.all([gather(messages), gather(toolCalls)]);
    expect(await message?.text).toBe('Let me look.');
    expect((await answer?.toolCalls)?.map(({ name, args }) => [name, args])).toEqual(
      ['forecast', 'closed', 'secret'].map((name) => [name, { city: 'Rome' }]),
    );
    const [forecast, closed] = calls;
    expect(forecast).toMatchObject({ name: 'forecast', callId: 'call-0', args: { city: 'Rome' } });
    expect(await forecast?.output).toBe('Rain in Rome.');
    await expect(closed?.output).rejects.toThrow('Rome is closed.');
    await thread.close();
  });

  it('asks a question, and answers it on the same stream', async ({ client }) => {
    const thread = streamOf(client, 'ask');
    const events = await (async () => {
      const values = thread.values;
      await thread.run.start({ input: {} });
      return gather(values);
    })();
    expect(events.at(-1)).toEqual({ log: ['before'] });
    expect(thread.interrupted).toBe(true);
    const [question] = thread.interrupts;
    expect(question).toMatchObject({ payload: { question: 'Go on?' }, namespace: [] });
    const before = thread.ordering.lastSeenSeq;
    const later = await thread.subscribe({ channels: ['values', 'lifecycle', 'input'] });
    await thread.input.respond({
      namespace: [],
      interrupt_id: String(question?.interruptId),
      response: 'yes',
    });
    const answered = await untilCompleted(later);
    expect(dataOf(answered, 'input.answered')).toEqual([
      { interrupt_ids: [question?.interruptId] },
    ]);
    expect(dataOf(answered, 'values').at(-1)).toEqual({ log: ['before', 'ask'], answer: 'yes' });
    expect(thread.ordering.lastAppliedThroughSeq).toBeGreaterThanOrEqual(Number(before));
    await thread.close();
  });

  it('answers several questions at once', async ({ client }) => {
    const thread = streamOf(client, 'panel');
    const values = thread.values;
    await thread.run.start({ input: {} });
    await gather(values);
    await until(async () => thread.interrupts.length === 3);
    const responses = thread.interrupts.map(({ interruptId, payload }) => ({
      namespace: [],
      interrupt_id: interruptId,
      response: payload,
    }));
    const later = await thread.subscribe({ channels: ['values', 'lifecycle'] });
    await thread.input.respond({ responses });
    const answered = await untilCompleted(later);
    expect(dataOf(answered, 'values').at(-1).log.toSorted()).toEqual([
      'done',
      'one: "one"',
      'three: "three"',
      'two: "two"',
    ]);
    await thread.close();
  });

  it('follows a second run on the same open stream', async ({ client }) => {
    const thread = streamOf(client, 'echo');
    const started = thread.run.start({ input: { messages: [human('one')] } });
    const events = await thread.subscribe({ channels: ['values', 'lifecycle'] });
    await started;
    const first = await gather(events);
    await thread.run.start({ input: { messages: [human('two')] } });
    const second = await gather(events);
    expect([statusesIn(first), statusesIn(second)]).toEqual([
      ['running', 'completed'],
      ['running', 'completed'],
    ]);
    const texts = (all: readonly any[]) =>
      dataOf(all, 'values')
        .at(-1)
        .messages.map(({ content }: any) => content);
    expect(texts(first)).toEqual(['one', 'echo: one']);
    expect(texts(second)).toEqual(['one', 'echo: one', 'two', 'echo: two']);
    await thread.close();
  });

  it('of a second client gives only the current run', async ({ client }) => {
    const threadId = randomId();
    for (const text of ['one', 'two']) {
      const thread = streamOf(client, 'echo', threadId);
      const messages = thread.messages;
      await thread.run.start({ input: { messages: [human(text)] } });
      const shown = await Promise.all((await gather(messages)).map(({ text }) => text));
      await thread.close();
      expect(shown).toEqual([`echo: ${text}`]);
    }
  });

  it('finds subgraphs', async ({ client }) => {
    const thread = streamOf(client, 'nested');
    const subgraphs = thread.subgraphs;
    await thread.run.start({ input: {} });
    const [inner] = await gather(subgraphs);
    expect(inner?.name).toBe('inner');
    await thread.close();
  });

  it('has the events that a writer gave a name', async ({ client }) => {
    const thread = streamOf(client, 'says');
    const progress = thread.extensions['progress'] as AsyncIterable<unknown>;
    const json = [1, 2].map((n) => JSON.stringify({ name: 'progress', payload: n }));
    await thread.run.start({ input: { json: [...json, '{"name":"other"}'] } });
    expect(await gather(progress)).toEqual([1, 2]);
    await thread.close();
  });

  it('refuses an answer to a question that is not open', async ({ client }) => {
    const thread = streamOf(client, 'ask');
    const values = thread.values;
    await thread.run.start({ input: {} });
    await gather(values);
    await expect(
      thread.input.respond({ namespace: [], interrupt_id: '0'.repeat(32), response: 'yes' }),
    ).rejects.toMatchObject({ code: 'no_such_interrupt' });
    await thread.close();
  });

  it(
    'loses no event and repeats none when the server is restarted',
    { timeout: SEVERAL_STARTS_MS },
    async ({ ownDatabase, startServer }) => {
      const port = await freePort();
      const first = await startServer({ port }, ownDatabase);
      const gate = createGate();
      const thread = streamOf(first.client, 'gate');
      const started = thread.run.start({ input: { log: ['in'], file: gate.file } });
      const events = await thread.subscribe({ channels: ['updates', 'values', 'lifecycle'] });
      await started;
      const seen: ProtocolEvent[] = [];
      const reading = (async () => {
        for await (const event of events) seen.push(event as ProtocolEvent);
      })();
      await until(async () => dataOf(seen, 'updates').length === 1);
      await first.server.stop();
      const { client } = await startServer({ port }, ownDatabase);
      await until(
        async () => statusesIn(seen).filter((status) => status === 'running').length === 2,
      );
      await gate.open();
      await reading;
      await thread.close();
      expect(dataOf(seen, 'updates').map(({ node }) => node)).toEqual(['before', 'hold', 'after']);
      expect(dataOf(seen, 'values').at(-1).log).toEqual(['in', 'before', 'hold', 'after']);
      const filter = { channels: ['updates', 'values', 'lifecycle'], since: 0 };
      const stored = await (await openEvents(client, thread.threadId, filter)).upToEnd();
      expect(seen).toEqual(stored);
    },
  );
});

/** The events of a subscription up to the end of a run. */
async function untilCompleted(events: AsyncIterable<unknown>): Promise<ProtocolEvent[]> {
  const seen: ProtocolEvent[] = [];
  for await (const event of events as AsyncIterable<ProtocolEvent>) {
    seen.push(event);
    if (statusesIn([event])[0] === 'completed') break;
  }
  return seen;
}
