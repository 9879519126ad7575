import { describe, expect } from 'vitest';
import { createGate } from './support/gates.ts';
import { it } from './support/fixture.ts';
import { human, sdkClient } from './support/sdk.ts';
import { until } from './support/app.ts';

const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(url, { method: 'POST', body: JSON.stringify(body), headers });

describe('A run over REST', () => {
  it('is created in the background, and its path is in Content-Location', async ({ client }) => {
    const threadId = await client.createThread();
    const response = await post(`${client.url}/threads/${threadId}/runs`, {
      assistant_id: 'echo',
      input: { messages: [human('hi')] },
      metadata: { from: 'test' },
      stream_mode: ['updates'],
    });
    const run = await response.json();
    expect(response.headers.get('content-location')).toBe(
      `/threads/${threadId}/runs/${run.run_id}`,
    );
    expect(run).toMatchObject({
      thread_id: threadId,
      status: 'pending',
      metadata: { from: 'test' },
      multitask_strategy: 'enqueue',
      kwargs: { input: { messages: [human('hi')] }, stream_mode: ['updates'] },
    });
    const sdk = sdkClient(client);
    await sdk.runs.join(threadId, run.run_id);
    expect(await sdk.runs.get(threadId, run.run_id)).toMatchObject({ status: 'success' });
  });

  it('answers with its final values', async ({ client }) => {
    const values = await sdkClient(client).runs.wait(await client.createThread(), 'echo', {
      input: { messages: [human('hi')] },
    });
    expect(values).toEqual({
      messages: [
        expect.objectContaining({ type: 'human', content: 'hi' }),
        {
          type: 'ai',
          content: 'echo: hi',
          id: expect.any(String),
          additional_kwargs: {},
          response_metadata: {},
          tool_calls: [],
          invalid_tool_calls: [],
        },
      ],
    });
  });

  it('that fails has its error in the answer, with status 200', async ({ client }) => {
    const threadId = await client.createThread();
    const url = `${client.url}/threads/${threadId}/runs/wait`;
    const response = await post(url, { assistant_id: 'fail', input: { fail: true } });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      __error__: { error: expect.any(String), message: expect.any(String) },
    });
    await expect(
      sdkClient(client).runs.wait(threadId, 'fail', { input: { fail: true } }),
    ).rejects.toThrow('Boo');
  });

  it('that asks answers with its values and its question', async ({ client }) => {
    const threadId = await client.createThread();
    const values: any = await sdkClient(client).runs.wait(threadId, 'ask', {
      input: { log: ['in'] },
    });
    expect(values).toMatchObject({
      log: ['in', 'before'],
      __interrupt__: [
        { id: expect.stringMatching(/^[0-9a-f]{32}$/), value: { question: 'Go on?' } },
      ],
    });
  });

  it('that waits longer keeps the connection open with line breaks', async ({ client }) => {
    const gate = createGate();
    const threadId = await client.createThread();
    const response = await post(`${client.url}/threads/${threadId}/runs/wait`, {
      assistant_id: 'gate',
      input: { log: ['in'], file: gate.file },
    });
    expect(response.headers.get('location')).toMatch(/^\/threads\/[^/]+\/runs\/[^/]+\/join$/);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = String((await reader?.read())?.value);
    await gate.open();
    for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
      text += next.value;
    }
    expect(text).toMatch(/^\n+\{/);
    expect(JSON.parse(text)).toMatchObject({ file: gate.file });
  });

  it('is listed newest first, by status and in parts', async ({ client }) => {
    const sdk = sdkClient(client);
    const threadId = await client.createThread();
    for (const text of ['a', 'b', 'c']) {
      await sdk.runs.wait(threadId, 'echo', { input: { messages: [human(text)] } });
    }
    const later = await sdk.runs.create(threadId, 'echo', { input: null, afterSeconds: 600 });
    const all = await sdk.runs.list(threadId);
    expect(all.map(({ status }) => status)).toEqual(['pending', 'success', 'success', 'success']);
    const [, second] = all;
    expect(await sdk.runs.list(threadId, { limit: 1, offset: 1 })).toEqual([second]);
    expect(await sdk.runs.list(threadId, { status: 'pending' })).toMatchObject([
      { run_id: later.run_id },
    ]);
    expect(await sdk.runs.list(threadId, { select: ['run_id'], limit: 1 })).toEqual([
      { run_id: later.run_id },
    ]);
  });

  it('is cancelled, and is then interrupted', async ({ client }) => {
    const sdk = sdkClient(client);
    const threadId = await client.createThread();
    const gate = createGate();
    const input = { log: ['in'], file: gate.file };
    const run = await sdk.runs.create(threadId, 'gate', { input });
    await sdk.runs.cancel(threadId, run.run_id, true);
    expect(await sdk.runs.get(threadId, run.run_id)).toMatchObject({ status: 'interrupted' });
    await expect(sdk.runs.cancel(threadId, run.run_id)).rejects.toThrow('409');
    expect(await sdk.runs.list(threadId, { status: 'interrupted' })).toHaveLength(1);
  });

  it('is deleted after its end, and not before', async ({ client }) => {
    const sdk = sdkClient(client);
    const threadId = await client.createThread();
    const run = await sdk.runs.create(threadId, 'echo', { input: null, afterSeconds: 600 });
    await expect(sdk.runs.delete(threadId, run.run_id)).rejects.toThrow('409');
    await sdk.runs.cancel(threadId, run.run_id, true);
    await sdk.runs.delete(threadId, run.run_id);
    await expect(sdk.runs.get(threadId, run.run_id)).rejects.toThrow('404');
  });

  it('of another thread is not found', async ({ client }) => {
    const sdk = sdkClient(client);
    const run = await sdk.runs.create(await client.createThread(), 'echo', { input: null });
    const other = await client.createThread();
    await expect(sdk.runs.get(other, run.run_id)).rejects.toThrow('404');
    await expect(sdk.runs.join(other, run.run_id)).rejects.toThrow('404');
  });

  it('follows the idempotency key of a repeated request', async ({ client }) => {
    const url = `${client.url}/threads/${await client.createThread()}/runs`;
    const body = { assistant_id: 'echo', input: { messages: [human('once')] } };
    const headers = { 'idempotency-key': crypto.randomUUID() };
    const first = await (await post(url, body, headers)).json();
    const second = await (await post(url, body, headers)).json();
    expect(second.run_id).toBe(first.run_id);
  });
});

describe('An answer over REST', () => {
  /** A thread at the question of graph `ask`. */
  async function asked(
    client: Parameters<typeof sdkClient>[0] & { createThread(): Promise<string> },
  ) {
    const threadId = await client.createThread();
    const sdk = sdkClient(client);
    const values: any = await sdk.runs.wait(threadId, 'ask', { input: { log: ['in'] } });
    return { sdk, threadId, interrupt: values.__interrupt__[0] };
  }

  it.for([
    ['a text', 'yes'],
    ['false', false],
    ['a list', ['yes', 'no']],
    ['an object', { decisions: [{ type: 'approve' }] }],
  ] as const)('may be %s', async ([, resume], { client }) => {
    const { sdk, threadId } = await asked(client);
    const values = await sdk.runs.wait(threadId, 'ask', { command: { resume } });
    expect(values).toMatchObject({ answer: resume });
  });

  it('may name its question by id', async ({ client }) => {
    const { sdk, threadId, interrupt } = await asked(client);
    const resume = { [interrupt.id]: 'named' };
    expect(await sdk.runs.wait(threadId, 'ask', { command: { resume } })).toMatchObject({
      answer: 'named',
    });
  });

  it('may come with the newest checkpoint and an empty input, as useStream sends it', async ({
    client,
  }) => {
    const { sdk, threadId } = await asked(client);
    const { state } = await client.getThread(threadId);
    const values = await sdk.runs.wait(threadId, 'ask', {
      input: {},
      command: { resume: 'go' },
      checkpoint: { checkpoint_id: state?.checkpointId, checkpoint_ns: '', checkpoint_map: {} },
    });
    expect(values).toMatchObject({ answer: 'go' });
  });

  it('to a question that is not open is refused, and starts no run', async ({ client }) => {
    const { sdk, threadId } = await asked(client);
    const unknown = sdk.runs.create(threadId, 'ask', {
      command: { resume: { ['0'.repeat(32)]: 'x' } },
    });
    await expect(unknown).rejects.toThrow('409');
    expect(await sdk.runs.list(threadId)).toHaveLength(1);
    expect(await sdk.runs.wait(threadId, 'ask', { command: { resume: 'go' } })).toMatchObject({
      answer: 'go',
    });
  });
});

describe('A command over REST', () => {
  it('to jump to the end leaves a question open, as LangGraph does', async ({ client }) => {
    const sdk = sdkClient(client);
    const threadId = await client.createThread();
    await sdk.runs.wait(threadId, 'ask', { input: { log: ['in'] } });
    const head = await sdk.threads.getState(threadId);
    const { checkpoint_ns, checkpoint_id } = head.checkpoint;
    const values: any = await sdk.runs.wait(threadId, 'ask', {
      input: {},
      command: { goto: '__end__' },
      checkpoint: { checkpoint_ns, checkpoint_id, checkpoint_map: null },
    });
    expect(values).toMatchObject({ log: ['in', 'before'], __interrupt__: [{}] });
    expect(await sdk.threads.get(threadId)).toMatchObject({ status: 'interrupted' });
    expect(await sdk.runs.wait(threadId, 'ask', { command: { resume: 'go' } })).toMatchObject({
      answer: 'go',
    });
  });
});

describe('A stateless run over REST', () => {
  it('answers with its values', async ({ client }) => {
    const values = await sdkClient(client).runs.wait(null, 'echo', {
      input: { messages: [human('hi')] },
    });
    expect(values).toMatchObject({ messages: [{}, { content: 'echo: hi' }] });
  });

  it('is one of a batch', async ({ client }) => {
    const runs = await sdkClient(client).runs.createBatch([
      { assistantId: 'echo', input: { messages: [human('a')] } },
      { assistantId: 'echo', input: { messages: [human('b')] } },
    ]);
    const ids = runs.map(({ run_id }) => run_id);
    await until(async () => {
      const found = await Promise.all(
        ids.map(async (id) => (await fetch(`${client.url}/runs/${id}`)).json() as any),
      );
      return found.every(({ status }) => status === 'success');
    });
  });

  it('is created with the path of earlier SDKs', async ({ client }) => {
    const response = await post(`${client.url}/threads/null/runs`, {
      assistant_id: 'echo',
      input: { messages: [human('hi')] },
    });
    const { run_id: id } = await response.json();
    expect(response.headers.get('content-location')).toBe(`/runs/${id}`);
    const joined = await fetch(`${client.url}/runs/${id}/join`);
    expect(await joined.json()).toMatchObject({ messages: [{}, { content: 'echo: hi' }] });
  });
});

describe('A breakpoint over REST', () => {
  it('at a node that the graph does not have stops nothing', async ({ client }) => {
    const values = await sdkClient(client).runs.wait(null, 'echo', {
      input: { messages: [human('hi')] },
      interruptBefore: ['elsewhere'],
    });
    expect(values).toMatchObject({ messages: [{}, { content: 'echo: hi' }] });
  });
});

describe('A request over REST', () => {
  it('without a free slot for a wait creates no run', async ({ startServer }) => {
    const { client } = await startServer({ waitingLimit: 1 });
    const sdk = sdkClient(client);
    const gate = createGate();
    const threadId = await client.createThread();
    const input = { log: ['in'], file: gate.file };
    const waiting = sdk.runs.wait(threadId, 'gate', { input });
    await until(async () => (await sdk.runs.list(threadId)).length === 1);
    await expect(sdk.runs.wait(threadId, 'gate', { input })).rejects.toThrow('503');
    expect(await sdk.runs.list(threadId)).toHaveLength(1);
    await gate.open();
    await waiting;
  });

  it('with HEAD starts no wait', async ({ client }) => {
    const run = await sdkClient(client).runs.create(null, 'echo', { input: null });
    const response = await fetch(`${client.url}/runs/${run.run_id}/join`, { method: 'HEAD' });
    expect(response.status).toBe(405);
  });

  it('with a key __proto__ is refused', async ({ client }) => {
    const response = await fetch(`${client.url}/threads/search`, {
      method: 'POST',
      body: '{"metadata":{"__proto__":{"a":1}}}',
    });
    expect(response.status).toBe(422);
  });

  it('for a batch has an idempotency key for each run', async ({ client }) => {
    const body = [1, 2].map(() => ({ assistant_id: 'echo', input: { messages: [human('hi')] } }));
    const headers = { 'idempotency-key': crypto.randomUUID() };
    const send = async () => {
      const runs: any = await (await post(`${client.url}/runs/batch`, body, headers)).json();
      return runs.map((run: any) => run.run_id);
    };
    const first = await send();
    expect(new Set(first).size).toBe(2);
    expect(await send()).toEqual(first);
  });
});

describe('Many runs', () => {
  it('are cancelled by ids, and not found when none is unfinished', async ({ client }) => {
    const sdk = sdkClient(client);
    const threadId = await client.createThread();
    const runs = [];
    for (const _ of [1, 2]) {
      runs.push(await sdk.runs.create(threadId, 'echo', { input: null, afterSeconds: 600 }));
    }
    const runIds = runs.map(({ run_id }) => run_id);
    await sdk.runs.cancelMany({ threadId, runIds });
    expect(await sdk.runs.list(threadId, { status: 'interrupted' })).toHaveLength(2);
    await expect(sdk.runs.cancelMany({ threadId, runIds })).rejects.toThrow('404');
  });
});

describe('A bad request for a run', () => {
  const good = { assistant_id: 'echo', input: { messages: [human('hi')] } };
  it.for([
    ['names no assistant', { input: {} }, 422, /assistant_id/],
    [
      'names an unknown assistant',
      { assistant_id: 'nobody' },
      404,
      /No assistant found for "nobody"/,
    ],
    [
      'names a missing assistant',
      { assistant_id: '018f0000-0000-7000-8000-000000000000' },
      404,
      /018f0000/,
    ],
    ['has an unknown stream mode', { ...good, stream_mode: 'everything' }, 422, /stream_mode/],
    ['has a webhook', { ...good, webhook: 'https://example.com' }, 422, /webhook/],
    ['has feedback keys', { ...good, feedback_keys: ['likes'] }, 422, /feedback_keys/],
    ['has a negative delay', { ...good, after_seconds: -1 }, 422, /after_seconds/],
    ['has a checkpoint that is no UUID', { ...good, checkpoint_id: 'x' }, 422, /checkpoint_id/],
    [
      'has a checkpoint of another thread',
      { ...good, checkpoint_id: '1f0b6c2c-0000-6000-8000-000000000000' },
      422,
      /checkpoint/,
    ],
    ['is no object', [1, 2], 422, /object|record/i],
    ['has a metadata that is no object', { ...good, metadata: 'x' }, 422, /metadata/],
  ] as const)('%s', async ([, body, status, message], { client }) => {
    const threadId = await client.createThread();
    const response = await post(`${client.url}/threads/${threadId}/runs`, body);
    const answer = await response.json();
    expect({ status: response.status, detail: answer.detail }).toEqual({
      status,
      detail: expect.stringMatching(message),
    });
    expect(answer.message).toBe(answer.detail);
    expect(await sdkClient(client).runs.list(threadId)).toEqual([]);
  });

  it('is no JSON', async ({ client }) => {
    const response = await fetch(`${client.url}/runs`, { method: 'POST', body: '{"a":' });
    expect(response.status).toBe(400);
  });

  it('names a thread that is no UUID, or does not exist', async ({ client }) => {
    const to = (id: string) => post(`${client.url}/threads/${id}/runs`, good);
    expect((await to('x')).status).toBe(422);
    expect((await to('018f0000-0000-7000-8000-000000000000')).status).toBe(404);
  });
});
