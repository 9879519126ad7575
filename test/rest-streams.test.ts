import { describe, expect } from 'vitest';
import { until } from './support/app.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { gather, human, sdkClient } from './support/sdk.ts';

const names = (chunks: readonly { event: string }[]) => chunks.map(({ event }) => event);
const post = (url: string, body: unknown) =>
  fetch(url, { method: 'POST', body: JSON.stringify(body) });

describe('A stream over REST', () => {
  it('begins with the run and has a number for each event', async ({ client }) => {
    const threadId = await client.createThread();
    const response = await post(`${client.url}/threads/${threadId}/runs/stream`, {
      assistant_id: 'echo',
      input: { messages: [human('hi')] },
      stream_mode: 'updates',
    });
    const text = await response.text();
    const [, runId] = /"run_id":"([^"]+)"/.exec(text) ?? [];
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': expect.stringContaining('text/event-stream'),
      'content-location': `/threads/${threadId}/runs/${runId}`,
      location: `/threads/${threadId}/runs/${runId}/stream`,
      'x-accel-buffering': 'no',
    });
    expect(text).toMatch(
      /^id: 0\nevent: metadata\ndata: \{"run_id":"[^"]+","attempt":1\}\n\nid: 1\nevent: updates\ndata: \{"echo":\{"messages":.*\n\n$/,
    );
  });

  it('has the whole state after each step without a mode', async ({ client }) => {
    const stream = sdkClient(client).runs.stream(await client.createThread(), 'steps', {
      input: { log: ['in'] },
      streamMode: [],
    });
    const chunks = await gather(stream);
    expect(new Set(names(chunks))).toEqual(new Set(['metadata', 'values']));
    expect(chunks.at(1)?.data).toMatchObject({ log: ['in'] });
  });

  it('has each token with its origin in the mode messages-tuple', async ({ client }) => {
    const threadId = await client.createThread();
    const chunks = await gather(
      sdkClient(client).runs.stream(threadId, 'tokens', {
        input: {},
        streamMode: 'messages-tuple',
      }),
    );
    const messages = chunks
      .filter(({ event }) => event === 'messages')
      .map(({ data }) => data as any);
    expect(messages).toHaveLength(200);
    const runId = (chunks[0]?.data as any)?.run_id;
    for (const [message, metadata] of messages) {
      expect(message).toMatchObject({ type: 'ai', id: expect.any(String) });
      expect(metadata).toMatchObject({
        langgraph_node: 'llm',
        run_id: runId,
        thread_id: threadId,
        graph_id: 'tokens',
        checkpoint_ns: metadata.langgraph_checkpoint_ns,
      });
    }
  });

  it('has the messages so far and the whole messages in the mode messages', async ({ client }) => {
    const chunks = await gather(
      sdkClient(client).runs.stream(await client.createThread(), 'tokens', {
        input: { messages: [human('go')] },
        streamMode: 'messages',
      }),
    );
    const partial = chunks.filter(({ event }) => event === 'messages/partial');
    const complete = chunks.filter(({ event }) => event === 'messages/complete');
    const contents = partial.map(({ data }) => (data as any)[0].content);
    expect(contents).toHaveLength(200);
    expect(contents.every((text, i) => text.length === i + 1)).toBe(true);
    expect(complete.map(({ data }) => (data as any)[0].content)).toEqual(['go', contents.at(-1)]);
    expect(chunks.filter(({ event }) => event === 'messages/metadata')).toHaveLength(1);
    expect(chunks.at(-1)?.event).toBe('messages/complete');
  });

  it('has the ids of messages in updates that the state has', async ({ client }) => {
    const threadId = await client.createThread();
    const chunks = await gather(
      sdkClient(client).runs.stream(threadId, 'echo', {
        input: { messages: [human('hi')] },
        streamMode: 'updates',
      }),
    );
    const { values } = await sdkClient(client).threads.getState<any>(threadId);
    const update = chunks.at(-1)?.data as any;
    expect(update.echo.messages[0].id).toBe(values.messages.at(-1).id);
  });

  it('names the subgraph of an event', async ({ client }) => {
    const chunks = await gather(
      sdkClient(client).runs.stream(await client.createThread(), 'weather', {
        input: { messages: [human('weather in Paris')] },
        streamMode: ['updates', 'values'],
        streamSubgraphs: true,
      }),
    );
    expect(names(chunks)).toContainEqual(expect.stringMatching(/^updates\|weather:[0-9a-f-]+$/));
    expect(chunks.filter(({ data }) => '__interrupt__' in (data as object))).toMatchObject([
      { event: 'values', data: { __interrupt__: [] } },
      { event: 'updates', data: { __interrupt__: [] } },
    ]);
  });

  it('ends with the question of the graph', async ({ client }) => {
    const chunks = await gather(
      sdkClient(client).runs.stream(await client.createThread(), 'ask', {
        input: {},
        streamMode: 'updates',
      }),
    );
    expect(chunks.at(-1)?.data).toEqual({
      __interrupt__: [{ id: expect.any(String), value: { question: 'Go on?' } }],
    });
  });

  it('ends with the error of the graph', async ({ client }) => {
    const chunks = await gather(
      sdkClient(client).runs.stream(await client.createThread(), 'fail', { input: { fail: true } }),
    );
    expect(chunks.at(-1)).toMatchObject({
      event: 'error',
      data: { error: expect.any(String), message: expect.any(String) },
    });
  });

  it('has the event end on request only', async ({ client }) => {
    const url = `${client.url}/runs/stream`;
    const body = { assistant_id: 'echo', input: { messages: [human('hi')] } };
    expect(await (await post(url, body)).text()).not.toContain('event: end');
    const text = await (await post(`${url}?end=1`, body)).text();
    expect(text).toMatch(/event: end\ndata: \{"run_id":"[^"]+","status":"success"\}\n\n$/);
  });

  it('accepts all modes of the SDK', async ({ client }) => {
    const chunks = await gather(
      sdkClient(client).runs.stream(await client.createThread(), 'echo', {
        input: { messages: [human('hi')] },
        streamMode: [
          ...(['values', 'updates', 'messages', 'messages-tuple', 'custom', 'tasks'] as const),
          ...(['checkpoints', 'debug', 'events', 'tools', 'lifecycle'] as any[]),
        ],
      }),
    );
    expect(names(chunks)).toEqual(
      expect.arrayContaining(['values', 'updates', 'tasks', 'checkpoints', 'lifecycle']),
    );
  });
});

describe('A reader of a stream', () => {
  it('that comes later gets the same events, whatever modes it asks for', async ({ client }) => {
    const sdk = sdkClient(client);
    const threadId = await client.createThread();
    const live = await gather(
      sdk.runs.stream(threadId, 'tokens', {
        input: {},
        streamMode: ['messages-tuple', 'updates'],
        streamResumable: true,
      }),
    );
    const runId = (live[0]?.data as any)?.run_id;
    const joined = await gather(sdk.runs.joinStream(threadId, runId, { lastEventId: '-1' }));
    expect(joined).toEqual(live);
    const updates = await gather(
      sdk.runs.joinStream(threadId, runId, { lastEventId: '-1', streamMode: 'updates' }),
    );
    expect(updates).toEqual(live.filter(({ event }) => event !== 'messages'));
    const rest = await gather(sdk.runs.joinStream(threadId, runId, { lastEventId: '150' }));
    expect(rest).toEqual(live.slice(151));
  });

  it('of a failed run gets its error', async ({ client }) => {
    const sdk = sdkClient(client);
    const threadId = await client.createThread();
    const run = await sdk.runs.create(threadId, 'fail', { input: { fail: true } });
    const chunks = await gather(sdk.runs.joinStream(threadId, run.run_id));
    expect(chunks.at(-1)?.event).toBe('error');
  });

  it('continues after a restart of the server', async ({ ownDatabase, startServer }) => {
    const first = await startServer({}, ownDatabase);
    const threadId = await first.client.createThread();
    const live = await gather(
      sdkClient(first.client).runs.stream(threadId, 'tokens', {
        input: {},
        streamMode: 'messages-tuple',
      }),
    );
    const runId = (live[0]?.data as any)?.run_id;
    await first.server.stop();
    const second = await startServer({}, ownDatabase);
    const joined = sdkClient(second.client).runs.joinStream(threadId, runId, { lastEventId: '99' });
    expect(await gather(joined)).toEqual(live.slice(100));
  });

  it('of a run of a GraphQL client gets its events', async ({ client }) => {
    const threadId = await client.createThread();
    const { id } = await client.runToEnd({
      threadId,
      assistantId: 'tokens',
      input: {},
      streamModes: ['MESSAGES', 'UPDATES'],
    });
    const chunks = await gather(sdkClient(client).runs.joinStream(threadId, id));
    expect(new Set(names(chunks))).toEqual(new Set(['metadata', 'messages', 'updates']));
  });

  it.for([
    ['stops a run that it started with on_disconnect cancel', 'cancel', 'interrupted'],
    ['leaves a run running', 'continue', 'success'],
  ] as const)('that leaves %s', async ([, onDisconnect, status], { client }) => {
    const sdk = sdkClient(client);
    const threadId = await client.createThread();
    const gate = createGate();
    const leaving = new AbortController();
    const response = await fetch(`${client.url}/threads/${threadId}/runs/stream`, {
      method: 'POST',
      signal: leaving.signal,
      body: JSON.stringify({
        assistant_id: 'gate',
        input: { log: ['in'], file: gate.file },
        on_disconnect: onDisconnect,
      }),
    });
    await response.body?.getReader().read();
    leaving.abort();
    const [run] = await sdk.runs.list(threadId);
    if (onDisconnect === 'continue') await gate.open();
    await until(async () => {
      const now = await sdk.runs.get(threadId, String(run?.run_id));
      return now.status === status;
    });
  });
});

describe('The stream of a thread', () => {
  it('has the events of all its runs, after any of them', async ({ client }) => {
    const sdk = sdkClient(client);
    const threadId = await client.createThread();
    const run = () =>
      sdk.runs.wait(threadId, 'echo', { input: { messages: [human('hi')] }, raiseError: true });
    await run();
    const leaving = new AbortController();
    const stream = sdk.threads.joinStream(threadId, { lastEventId: '-', signal: leaving.signal });
    const seen: { id?: string; event: string }[] = [];
    const reading = (async () => {
      for await (const chunk of stream) {
        seen.push(chunk);
        if (seen.filter(({ event }) => event === 'run_done').length === 2) return;
      }
    })();
    await until(async () => seen.some(({ event }) => event === 'run_done'));
    await run();
    await reading;
    leaving.abort();
    expect(names(seen)).toEqual([
      'metadata',
      'values',
      'values',
      'run_done',
      'metadata',
      'values',
      'values',
      'run_done',
    ]);
    const [second] = seen.slice(4).filter(({ id }) => id !== undefined);
    const again = new AbortController();
    const later = sdk.threads.joinStream(threadId, {
      lastEventId: String(second?.id),
      signal: again.signal,
    });
    const { value: next } = await later.next();
    again.abort();
    expect(next).toMatchObject({ event: 'values' });
  });
});
