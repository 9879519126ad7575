import { describe, expect } from 'vitest';
import { createApiKey } from '../src/auth/keys.ts';
import { SYSTEM } from '../src/auth/viewer.ts';
import { randomId } from './support/app.ts';
import { it } from './support/fixture.ts';
import { createGate } from './support/gates.ts';
import { command, dataOf, openEvents, startRun } from './support/protocol.ts';
import { sendTo } from './support/rest.ts';
import { human, sdkClient } from './support/sdk.ts';
import { createViewer, it as keys } from './support/viewers.ts';

const hi = { assistant_id: 'echo', input: { messages: [human('hi')] } };
const respond = (params: object) => ({ id: 7, method: 'input.respond', params });

describe('The stream of events', () => {
  it('has the events of a run in order, each in the form of its channel', async ({ client }) => {
    const threadId = randomId();
    const runId = await startRun(client, threadId, hi);
    const events = await (await openEvents(client, threadId)).upToEnd();
    const order = events.map(({ method, params: { data } }) => data.event ?? method);
    expect(order).toEqual([
      'running',
      'checkpoints',
      'checkpoints',
      'values',
      'tasks',
      'started',
      'message-start',
      'content-block-start',
      'content-block-delta',
      'content-block-finish',
      'message-finish',
      'updates',
      'tasks',
      'completed',
      'checkpoints',
      'values',
      'completed',
    ]);
    const [running, , input, values] = events;
    expect(running).toMatchObject({
      type: 'event',
      event_id: expect.stringContaining(`synth:${runId}:`),
      params: { namespace: [], data: { event: 'running', graph_name: 'echo' } },
    });
    expect(input?.params.data).toMatchObject({
      id: expect.any(String),
      parent_id: events[1]?.params.data.id,
      step: 0,
      source: 'loop',
    });
    expect(values?.params.data.messages).toMatchObject([{ type: 'human', content: 'hi' }]);
    const [start] = dataOf(events, 'messages');
    expect(start).toMatchObject({ role: 'ai', id: expect.any(String) });
    const [update] = dataOf(events, 'updates');
    expect(update).toMatchObject({
      node: 'echo',
      values: { messages: [{ type: 'ai', id: start.id, content: 'echo: hi' }] },
    });
    expect(events.find(({ method }) => method === 'messages')?.params).toMatchObject({
      namespace: [expect.stringMatching(/^echo:/)],
      node: 'echo',
    });
  });

  it('has unique ids and rising numbers, the same for each reader and filter', async ({
    client,
  }) => {
    const threadId = randomId();
    await startRun(client, threadId, { assistant_id: 'deep', input: {} });
    const all = await (await openEvents(client, threadId)).upToEnd();
    expect(new Set(all.map(({ event_id: id }) => id)).size).toBe(all.length);
    const numbers = all.map(({ seq }) => seq);
    expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
    const again = await (await openEvents(client, threadId)).upToEnd();
    expect(again).toEqual(all);
    const filter = { channels: ['messages', 'lifecycle'] };
    const some = await (await openEvents(client, threadId, filter)).upToEnd();
    expect(some).toEqual(all.filter(({ method }) => filter.channels.includes(method)));
  });

  it('shows no event of a state before the time of the state', async ({ client }) => {
    const threadId = randomId();
    const sdk = sdkClient(client);
    await startRun(client, threadId, hi);
    const live = await (await openEvents(client, threadId)).upToEnd();
    const { created_at: createdAt } = await sdk.threads.getState(threadId);
    const times = live.map(({ params: { timestamp } }) => timestamp);
    expect(times.at(-1)).toBeGreaterThanOrEqual(Date.parse(String(createdAt)));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it('gives each of two readers all events, and stays open for later runs', async ({ client }) => {
    const threadId = await client.createThread();
    const readers = [await openEvents(client, threadId), await openEvents(client, threadId)];
    for (const text of ['one', 'two']) {
      const input = { messages: [human(text)] };
      const runId = await startRun(client, threadId, { assistant_id: 'echo', input });
      const [left = [], right] = await Promise.all(readers.map((reader) => reader.upToEnd()));
      expect(left).toEqual(right);
      expect(left[0]?.event_id).toContain(runId);
    }
  });

  it('continues after a number, also in the middle of a run', async ({ client }) => {
    const threadId = randomId();
    await startRun(client, threadId, { assistant_id: 'tokens', input: {} });
    const all = await (await openEvents(client, threadId)).upToEnd();
    const position = Math.floor(all.length / 2);
    const since = all[position]?.seq;
    const rest = await (await openEvents(client, threadId, { since })).upToEnd();
    expect(rest).toEqual(all.slice(position + 1));
  });

  it('begins with the current run, or with all stored events', async ({ client }) => {
    const threadId = randomId();
    const runIds: string[] = [];
    for (let n = 0; n < 2; n += 1) {
      runIds.push(await startRun(client, threadId, hi));
      await client.untilEnded(runIds[n] ?? '');
    }
    const current = await (await openEvents(client, threadId)).upToEnd();
    expect(current[0]?.event_id).toContain(runIds[1]);
    const stored = await openEvents(client, threadId, { since: 0 });
    expect((await stored.upToEnd())[0]?.event_id).toContain(runIds[0]);
    expect(await stored.upToEnd()).toEqual(current);
  });

  it('begins with the runs that ended while the current run waited', async ({ client }) => {
    const threadId = randomId();
    const gates = [createGate(), createGate()];
    const runIds: string[] = [];
    for (const { file } of gates) {
      const params = { assistant_id: 'gate', input: { log: [], file } };
      runIds.push(await startRun(client, threadId, params));
    }
    await gates[0]?.open();
    await client.untilEnded(runIds[0] ?? '');
    const reader = await openEvents(client, threadId);
    expect((await reader.upToEnd())[0]?.event_id).toContain(runIds[0]);
    await gates[1]?.open();
    expect((await reader.upToEnd())[0]?.event_id).toContain(runIds[1]);
  });

  const isInMiddle = ([first]: string[]) => first?.startsWith('middle:') === true;

  it.for([
    ['the run itself', { namespaces: [[]], depth: 0 }, (path) => path.length === 0],
    ['one level', { namespaces: [[]], depth: 1 }, (path) => path.length <= 1],
    ['a node and what is below it', { namespaces: [['middle']] }, isInMiddle],
    [
      'a level below a node',
      { namespaces: [['middle']], depth: 1 },
      (path) => isInMiddle(path) && path.length <= 2,
    ],
    ['every level', {}, () => true],
  ] as [string, object, (path: string[]) => boolean][])(
    'selects %s',
    async ([, filter, isSelected], { client }) => {
      const threadId = randomId();
      await startRun(client, threadId, { assistant_id: 'deep', input: {} });
      const all = await (await openEvents(client, threadId)).upToEnd();
      const selected = all.filter(({ params }) => isSelected(params.namespace));
      expect(Math.max(...all.map(({ params }) => params.namespace.length))).toBe(3);
      const reader = await openEvents(client, threadId, filter);
      const last = selected.at(-1)?.event_id;
      expect(await reader.upTo(({ event_id: id }) => id === last)).toEqual(selected);
    },
  );

  it('ends a message of a node before the next one', async ({ client }) => {
    const gate = createGate();
    await gate.open();
    const threadId = randomId();
    const params = { assistant_id: 'halves', input: { file: gate.file } };
    await startRun(client, threadId, params);
    const events = await (await openEvents(client, threadId)).upToEnd();
    const messages = dataOf(events, 'messages');
    const steps = messages.map(({ event }) => event).filter((name) => name.startsWith('message'));
    expect(steps).toEqual(['message-start', 'message-finish', 'message-start', 'message-finish']);
    const texts = messages.flatMap(({ event, content }) =>
      event === 'content-block-finish' ? content.text : [],
    );
    expect(texts).toEqual(['one two three ', 'four five six ']);
  });

  it('keeps messages apart that a node streams at the same time', async ({ client }) => {
    const threadId = randomId();
    await startRun(client, threadId, { assistant_id: 'duet', input: {} });
    const events = await (await openEvents(client, threadId)).upToEnd();
    const messages = dataOf(events, 'messages');
    const order = messages.flatMap(({ event, run_id: id, delta }) =>
      event === 'content-block-delta' ? [[id, delta.text]] : [],
    );
    const ids = [...new Set(order.map(([id]) => id))];
    expect(ids).toHaveLength(2);
    expect(order.map(([id]) => ids.indexOf(id))).not.toEqual([0, 0, 0, 1, 1, 1]);
    const texts = ids.map((own) =>
      order.flatMap(([id, text]) => (id === own ? text : [])).join(''),
    );
    expect(texts.toSorted()).toEqual(['do re mi ', 'one two three ']);
  });

  it('shows the status of each subgraph', async ({ client }) => {
    const threadId = randomId();
    await startRun(client, threadId, { assistant_id: 'nested', input: {} });
    const filter = { channels: ['lifecycle'] };
    const events = await (await openEvents(client, threadId, filter)).upToEnd();
    const shown = events.map(({ params: { namespace, data } }) => [
      namespace.map((name) => name.split(':')[0]).join('/'),
      data.event,
      data.graph_name,
    ]);
    expect(shown).toEqual([
      ['', 'running', 'nested'],
      ['inner', 'started', 'inner'],
      ['inner', 'completed', 'inner'],
      ['', 'completed', 'nested'],
    ]);
  });

  it('shows the error of a failed run when its state can be read', async ({ client }) => {
    const threadId = randomId();
    await startRun(client, threadId, { assistant_id: 'fail', input: { fail: true } });
    const events = await (await openEvents(client, threadId)).upToEnd();
    expect(events.at(-1)?.params.data).toMatchObject({
      event: 'failed',
      graph_name: 'fail',
      error: expect.any(String),
    });
    expect(await sdkClient(client).threads.get(threadId)).toMatchObject({ status: 'error' });
  });

  it('shows the question of a subgraph when the state has it', async ({ client }) => {
    const threadId = randomId();
    await startRun(client, threadId, { assistant_id: 'nestedAsk', input: {} });
    const events = await (await openEvents(client, threadId)).upToEnd();
    const { tasks } = await sdkClient(client).threads.getState(threadId);
    const asked = events.find(({ method }) => method === 'input.requested');
    expect(asked?.params).toMatchObject({
      namespace: [expect.stringMatching(/^inner:/)],
      data: { interrupt_id: tasks[0]?.interrupts[0]?.id, payload: { question: 'Really?' } },
    });
    const ends = events.filter(({ params }) => params.data.event === 'interrupted');
    expect(ends.map(({ params }) => params.namespace.length)).toEqual([1, 0]);
  });

  it('shows the runs of other clients, in the modes that they record', async ({ client }) => {
    const threadId = await client.createThread();
    const reader = await openEvents(client, threadId);
    await client.runToEnd({
      threadId,
      assistantId: 'tokens',
      input: {},
      streamModes: ['MESSAGES'],
    });
    const events = await reader.upToEnd();
    expect(new Set(events.map(({ method }) => method))).toEqual(new Set(['lifecycle', 'messages']));
    expect(dataOf(events, 'messages').at(-1)).toMatchObject({ event: 'message-finish' });
  });

  it('sends a comment before its first event', async ({ client }) => {
    const response = await fetch(
      `${client.url}/threads/${await client.createThread()}/stream/events`,
      { method: 'POST', body: '{"channels":["values"]}' },
    );
    const reader = response.body?.getReader();
    const { value } = (await reader?.read()) ?? {};
    expect(new TextDecoder().decode(value)).toBe(': heartbeat\n\n');
    await reader?.cancel();
  });
});

describe('A command', () => {
  it('run.start names the run, and the last event before it', async ({ client }) => {
    const threadId = randomId();
    const first = await command(client, threadId, { id: 0, method: 'run.start', params: hi });
    expect(first.body).toEqual({
      type: 'success',
      id: 0,
      result: { run_id: expect.any(String) },
      meta: { thread_id: threadId, applied_through_seq: 0 },
    });
    const events = await (await openEvents(client, threadId)).upToEnd();
    const second = await command(client, threadId, { id: 1, method: 'run.start', params: hi });
    const { applied_through_seq: applied } = second.body.meta;
    const later = await (await openEvents(client, threadId)).upToEnd();
    expect(applied).toBeGreaterThanOrEqual(Number(events.at(-1)?.seq));
    expect(applied).toBeLessThan(Number(later[0]?.seq));
  });

  it.for([
    ['multitask_strategy', 'reject'],
    ['multitaskStrategy', 'reject'],
    ['multitask_strategy', 'interrupt'],
  ])('run.start reads %s: %s', async ([name = '', strategy], { client }) => {
    const threadId = randomId();
    const gate = createGate();
    const busy = { assistant_id: 'gate', input: { log: [], file: gate.file } };
    const runId = await startRun(client, threadId, busy);
    const params = { ...hi, [name]: strategy };
    const { body } = await command(client, threadId, { id: 2, method: 'run.start', params });
    if (strategy === 'reject') {
      expect(body).toMatchObject({ type: 'error', id: 2, error: 'invalid_argument' });
      await gate.open();
    } else expect(await client.untilEnded(runId)).toMatchObject({ status: 'CANCELLED' });
    await client.untilEnded(body.result?.run_id ?? runId);
  });

  it('run.start answers the question of the thread with its input', async ({ client }) => {
    const threadId = randomId();
    const ask = { assistant_id: 'ask', input: {} };
    await client.untilEnded(await startRun(client, threadId, ask));
    const runId = await startRun(client, threadId, { ...ask, input: 'yes' });
    expect(await client.untilEnded(runId)).toMatchObject({
      status: 'SUCCESS',
      output: { answer: 'yes' },
    });
  });

  it('run.start from a checkpoint answers nothing', async ({ client }) => {
    const threadId = randomId();
    const sdk = sdkClient(client);
    await client.untilEnded(await startRun(client, threadId, { assistant_id: 'ask', input: {} }));
    const history = await sdk.threads.getHistory(threadId);
    const configurable = { checkpoint_id: history.at(-1)?.checkpoint?.checkpoint_id };
    const params = { assistant_id: 'ask', input: { log: ['again'] }, config: { configurable } };
    expect(await client.untilEnded(await startRun(client, threadId, params))).toMatchObject({
      status: 'INTERRUPTED',
    });
    const unknown = { ...params, config: { configurable: { checkpoint_id: randomId() } } };
    const { body } = await command(client, threadId, {
      id: 3,
      method: 'run.start',
      params: unknown,
    });
    expect(body).toMatchObject({ type: 'error', error: 'no_such_checkpoint' });
  });

  it('input.respond also updates the state', async ({ client }) => {
    const threadId = randomId();
    await client.untilEnded(await startRun(client, threadId, { assistant_id: 'ask', input: {} }));
    const { tasks } = await sdkClient(client).threads.getState(threadId);
    const answer = {
      namespace: [],
      interrupt_id: tasks[0]?.interrupts[0]?.id,
      response: false,
      update: { log: ['updated'] },
      strict_resume: true,
    };
    const { body } = await command(client, threadId, respond(answer));
    expect(body).toMatchObject({ type: 'success', id: 7, result: {} });
    const events = await (await openEvents(client, threadId)).upToEnd();
    expect(dataOf(events, 'values').at(-1)).toMatchObject({
      answer: false,
      log: ['before', 'updated', 'ask'],
    });
    const again = await command(client, threadId, respond(answer));
    expect(again.body).toMatchObject({ type: 'error', error: 'no_such_interrupt' });
  });

  it.for([
    ['an id that names no question', [{ interrupt_id: 'x' }], 'no_such_interrupt'],
    ['an answer to it and one to no question', [{}, { interrupt_id: 'x' }], 'no_such_interrupt'],
    ['two answers to it', [{}, {}], 'invalid_argument'],
  ] as const)(
    'input.respond leaves a question open with %s',
    async ([, ids, error], { client }) => {
      const threadId = randomId();
      await client.untilEnded(await startRun(client, threadId, { assistant_id: 'ask', input: {} }));
      const { tasks } = await sdkClient(client).threads.getState(threadId);
      const open = tasks[0]?.interrupts[0]?.id;
      const responses = ids.map((each) => ({ interrupt_id: open, response: 1, ...each }));
      const { body } = await command(client, threadId, respond({ responses }));
      expect(body).toMatchObject({ type: 'error', id: 7, error });
      expect((await client.getThread(threadId)).status).toBe('INTERRUPTED');
    },
  );

  it.for([
    ['no method', { id: 1 }, 422],
    ['no id', { method: 'run.start', params: {} }, 422],
    ['a fraction as id', { id: 1.5, method: 'run.start' }, 422],
    ['a list', [], 422],
    ['params of a wrong type', { id: 1, method: 'run.start', params: 7 }, 422],
    ['no JSON', '{', 400],
  ] as const)('with %s is refused', async ([, body, status], { client }) => {
    const answer = await command(client, randomId(), body);
    expect(answer).toMatchObject({ status, body: { code: 'BAD_USER_INPUT' } });
  });

  it.for([
    ['an unknown method', 'agent.dance', {}, 'unknown_command'],
    ['no assistant', 'run.start', { input: {} }, 'invalid_argument'],
    [
      'an unknown assistant',
      'run.start',
      { assistant_id: 'nobody', input: {} },
      'invalid_argument',
    ],
    ['a wrong strategy', 'run.start', { ...hi, multitaskStrategy: 'maybe' }, 'invalid_argument'],
    ['a list as config', 'run.start', { ...hi, config: [] }, 'invalid_argument'],
    ['a wrong input', 'run.start', { assistant_id: 'strict', input: 7 }, 'invalid_argument'],
    ['no answer', 'input.respond', {}, 'invalid_argument'],
    ['no answers', 'input.respond', { responses: [] }, 'invalid_argument'],
    ['answers without ids', 'input.respond', { responses: [{ response: 1 }] }, 'invalid_argument'],
    ['nobody to answer', 'input.respond', { interrupt_id: 'x', response: 1 }, 'no_such_run'],
  ] as const)('with %s answers with an error', async ([, method, params, error], { client }) => {
    const threadId = await client.createThread();
    const { status, body } = await command(client, threadId, { id: 9, method, params });
    expect([status, body]).toEqual([
      200,
      { type: 'error', id: 9, error, message: expect.any(String) },
    ]);
  });

  it('on a missing thread answers nothing', async ({ client }) => {
    const answer = await command(client, randomId(), respond({ interrupt_id: 'x', response: 1 }));
    expect(answer).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
  });
});

describe('A filter of events', () => {
  it.for([
    ['no channels', {}],
    ['an empty list of channels', { channels: [] }],
    ['an unknown channel', { channels: ['values', 'feelings'] }],
    ['a text as channels', { channels: 'values' }],
    ['a namespace that is no list', { channels: ['values'], namespaces: ['a'] }],
    ['a negative depth', { channels: ['values'], depth: -1 }],
    ['a text as since', { channels: ['values'], since: '7' }],
    ['a list', []],
  ])('with %s is refused', async ([, body], { client }) => {
    const threadId = await client.createThread();
    const answer = await sendTo(client, 'POST', `/threads/${threadId}/stream/events`, body);
    expect(answer).toMatchObject({ status: 422, body: { code: 'BAD_USER_INPUT' } });
  });

  it.for(['values', 'custom:progress'])('may have the channel %s', async (channel, { client }) => {
    await openEvents(client, await client.createThread(), { channels: [channel] });
  });
});

describe('The protocol with access control', () => {
  keys('ends a stream with the credentials of its client', async ({ server }) => {
    const { url, app } = server;
    const expiresAt = new Date(Date.now() + 6000);
    const viewer = { ...SYSTEM, tenant: 'acme' };
    const input = { name: 'short', owner: 'olga', roles: ['member' as const], expiresAt };
    const { key } = await createApiKey(app, viewer, input);
    const headers = { 'x-api-key': key };
    const threadId = randomId();
    await startRun({ url, headers }, threadId, hi);
    const response = await fetch(`${url}/threads/${threadId}/stream/events`, {
      method: 'POST',
      headers,
      body: '{"channels":["input"]}',
    });
    const [, data] = /event: error\ndata: (.*)\n\n$/.exec(await response.text()) ?? [];
    expect(JSON.parse(data ?? 'null')).toEqual({
      type: 'error',
      id: null,
      error: 'permission_denied',
      message: 'The credentials have expired.',
    });
  });

  keys('shows no thread of another tenant, owner or reader', async ({ server }) => {
    const alice = await createViewer(server, { tenant: 'acme', owner: 'alice', role: 'member' });
    const target = (headers: Record<string, string>) => ({ url: server.url, headers });
    const threadId = randomId();
    await startRun(target(alice.headers), threadId, hi);
    await (await openEvents(target(alice.headers), threadId)).upToEnd();
    const others = [
      { tenant: 'globex', owner: 'alice', role: 'admin' },
      { tenant: 'acme', owner: 'bob', role: 'member' },
    ] as const;
    for (const other of others) {
      const { headers } = await createViewer(server, other);
      const filter = { channels: ['values'] };
      const path = `/threads/${threadId}/stream/events`;
      const stream = await sendTo(server, 'POST', path, filter, headers);
      expect(stream).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
      for (const body of [
        { id: 1, method: 'run.start', params: hi },
        respond({ interrupt_id: 'x', response: 1 }),
      ]) {
        const answer = await command(target(headers), threadId, body);
        expect(answer).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
      }
    }
    const { headers } = await createViewer(server, {
      tenant: 'acme',
      owner: 'alice',
      role: 'reader',
    });
    await (await openEvents(target(headers), threadId)).upToEnd();
    const start = { id: 1, method: 'run.start', params: hi };
    expect(await command(target(headers), threadId, start)).toMatchObject({ status: 403 });
  });
});
