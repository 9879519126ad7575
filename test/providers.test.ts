import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { readConfig } from '../src/config.ts';
import { startServer } from '../src/server.ts';
import { CREATE_RUN, CREATE_THREAD, createClients, human, type TestApp } from './support/app.ts';
import { createTestDatabase } from './support/databases.ts';
import {
  anthropic,
  claudeWithTools,
  openai,
  startProvider,
  type Call,
  type Dialect,
  type ProviderServer,
} from './support/providers.ts';

const KEYS = {
  openai: 'sk-proj-Kq7TzzR2wVnLm0pYhXzGsWxyz',
  anthropic: 'sk-ant-api03-Jv4MuuT8sBgNz6rPkQyZhQrst',
};

/** The graph for Claude with tools: its id and its export. */
const TOOLS = claudeWithTools.getName();

let app: TestApp;
let provider: ProviderServer;
let folder: string;
const logged: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'threadql-providers-'));
  const graphsFile = path.join(folder, 'langgraph.json');
  const graphs = {
    agent: `${path.join(import.meta.dirname, '../src/examples/agent.ts')}:graph`,
    [TOOLS]: `${path.join(import.meta.dirname, 'support/providers.ts')}:${TOOLS}`,
  };
  await writeFile(graphsFile, JSON.stringify({ graphs }));
  const { databaseUrl, dataDir, dispose } = await createTestDatabase();
  const config = { ...readConfig({}), port: 0, graphsFile, databaseUrl, dataDir, poolSize: 5 };
  const log = pino({ level: 'trace' }, { write: (line: string) => void logged.push(line) });
  app = createClients(await startServer(config, { log, env: process.env }), dispose);
});
afterAll(async () => {
  await app.stop();
  await rm(folder, { recursive: true });
});

beforeEach(async () => {
  provider = await startProvider();
  for (const { name, env, baseUrl } of [openai, anthropic]) {
    vi.stubEnv(env.key, KEYS[name]);
    vi.stubEnv(env.url, baseUrl(provider.origin));
  }
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await provider[Symbol.asyncDispose]();
});

const MESSAGE = `messageId type text content usage { inputTokens outputTokens totalTokens }
  toolCalls { toolCallId name args } responseMetadata additionalKwargs`;

const FOLLOW = `subscription ($runId: ID!, $modes: [StreamMode!]) { runEvents(runId: $runId, modes: $modes) {
  __typename
  ... on MessagesEvent { isChunk metadata message { ${MESSAGE} } }
  ... on ValuesEvent { values }
  ... on UpdatesEvent { update }
  ... on TasksEvent { data }
  ... on CheckpointsEvent { checkpoint { values tasks { error } } }
  ... on RunFinishedEvent { status error { name message } }
} }`;

const THREAD = `query ($id: ID!) { thread(id: $id) {
  status error { name message } messages { ${MESSAGE} }
  history { nodes { values metadata writes tasks { error } } }
  runs { nodes { status error { name message } } }
} }`;

async function createThread(): Promise<string> {
  return (await app.gql(CREATE_THREAD)).createThread.id;
}

async function createAssistant(configurable: Record<string, unknown>): Promise<string> {
  const input = { graphId: 'agent', config: { configurable } };
  const { createAssistant: assistant } = await app.gql(
    `mutation ($input: CreateAssistantInput!) { createAssistant(input: $input) { id } }`,
    { input },
  );
  return assistant.id;
}

interface Started {
  threadId: string;
  runId: string;
  /** The messages of the run, live, and its end. */
  events: AsyncIterableIterator<any>;
  /** The request to the model. */
  call: Call;
}

/** Starts a run and waits for the request to the provider. */
async function start(input: Record<string, unknown>): Promise<Started> {
  const threadId = (input['threadId'] as string | undefined) ?? (await createThread());
  const runId = await createRun({ ...input, threadId });
  const events = app.subscribe(FOLLOW, { runId, modes: ['MESSAGES'] });
  return { threadId, runId, events, call: await provider.next() };
}

async function createRun(input: Record<string, unknown>): Promise<string> {
  const streamModes = ['VALUES', 'UPDATES', 'MESSAGES', 'CUSTOM', 'TASKS', 'CHECKPOINTS'];
  const defaults = { assistantId: 'agent', input: human('How are you?'), streamModes };
  return (await app.gql(CREATE_RUN, { input: { ...defaults, ...input } })).createRun.id;
}

function ask({ name }: Dialect, configurable: Record<string, unknown> = {}): Promise<Started> {
  return start({ config: { configurable: { model_name: name, ...configurable } } });
}

/** Returns the next message or chunk with a text. Undefined: the run has ended before. */
async function nextSaying(events: AsyncIterableIterator<any>): Promise<any> {
  for (let step = await events.next(); !step.done; step = await events.next()) {
    const { message } = step.value.runEvents;
    if (message?.text) return message;
  }
  return undefined;
}

async function rest(events: AsyncIterableIterator<any>): Promise<any[]> {
  const list: any[] = [];
  for await (const { runEvents } of events) list.push(runEvents);
  return list;
}

async function findThread(id: string): Promise<any> {
  return (await app.gql(THREAD, { id })).thread;
}

/** Answers with a whole message. */
function answer(call: Call, dialect: Dialect, text: string, id = `id-${text}`): void {
  const tokens = { input: 1, output: 1 };
  call.end(dialect.open(id), dialect.text(id, text), ...dialect.close(id, tokens));
}

/** No visible part of the run contains a key, or an end of a key. */
async function expectNoKeys({ threadId, runId }: Started): Promise<void> {
  const events = await rest(app.subscribe(FOLLOW, { runId }));
  expect(events.length).toBeGreaterThan(2);
  const seen = JSON.stringify([events, await findThread(threadId), logged]);
  expect(logged.join('')).toContain(runId);
  for (const key of Object.values(KEYS)) {
    for (const part of [key, key.slice(0, 8), key.slice(-4)]) expect(seen).not.toContain(part);
  }
}

describe.each([openai, anthropic])('agent with $name', (dialect) => {
  it('shows each token before the next one has come', async () => {
    const { threadId, events, call } = await ask(dialect);
    expect(call.path).toBe(dialect.path);
    const [header, value] = dialect.keyHeader(KEYS[dialect.name]);
    expect(call.headers[header]).toBe(value);
    expect(call.body).toMatchObject({
      stream: true,
      messages: [{ role: 'user', content: 'How are you?' }],
    });

    const ids = new Set<string>();
    call.send(dialect.open('message-1', 25));
    for (const word of ['I ', 'am ', 'fine', '.']) {
      call.send(dialect.text('message-1', word));
      const { messageId, text, type } = await nextSaying(events);
      expect({ text, type }).toEqual({ text: word, type: 'AI' });
      ids.add(messageId);
    }
    expect((await findThread(threadId)).status).toBe('BUSY');

    call.end(...dialect.close('message-1', { input: 25, output: 4 }));
    const last = await rest(events);
    expect(last.at(-1)).toMatchObject({ __typename: 'RunFinishedEvent', status: 'SUCCESS' });
    const chunks = last.filter(({ __typename }) => __typename === 'MessagesEvent');
    for (const { isChunk, message } of chunks) {
      // The text of the chunks is not repeated as a whole message.
      expect({ isChunk, text: message.text }).toEqual({ isChunk: true, text: '' });
      ids.add(message.messageId);
    }
    expect(chunks.at(-1).message.usage).toMatchObject({ outputTokens: 4 });

    const { status, messages } = await findThread(threadId);
    expect(status).toBe('IDLE');
    expect(messages).toMatchObject([
      { type: 'HUMAN' },
      {
        type: 'AI',
        text: 'I am fine.',
        content: 'I am fine.',
        usage: { inputTokens: 25, outputTokens: 4, totalTokens: 29 },
      },
    ]);
    expect([...ids]).toEqual([messages[1].messageId]);
    expect(provider.count()).toBe(1);
  });

  it('shows a tool call piece by piece, and whole on the message', async () => {
    const started = await ask(dialect);
    const { threadId, events, call } = started;
    const args = ['{"city":', ' "Par', 'is"}'];
    call.end(
      dialect.open('message-2'),
      ...dialect.toolCall('message-2', { id: 'call-1', name: 'weather', args }),
      ...dialect.close('message-2', { input: 1, output: 1 }),
    );
    const chunks = (await rest(events)).filter(({ isChunk }) => isChunk);
    const calls = chunks.flatMap(({ message }) => message.toolCalls);
    expect(calls[0]).toMatchObject({ toolCallId: 'call-1', name: 'weather' });

    const { messages } = await findThread(threadId);
    expect(messages[1]).toMatchObject({
      text: '',
      toolCalls: [{ toolCallId: 'call-1', name: 'weather', args: { city: 'Paris' } }],
    });
    expect(new Set(chunks.map(({ message }) => message.messageId))).toEqual(
      new Set([messages[1].messageId]),
    );
    await expectNoKeys(started);
  });

  it('ends in ERROR with what the provider says in mid-stream', async () => {
    const started = await ask(dialect);
    const { threadId, events, call } = started;
    call.send(dialect.open('message-3'), dialect.text('message-3', 'I am'));
    expect(await nextSaying(events)).toMatchObject({ text: 'I am' });
    call.end(dialect.failure('The engine is on fire.'));

    const error = { message: expect.stringContaining('The engine is on fire.') as string };
    expect((await rest(events)).at(-1)).toMatchObject({ status: 'ERROR', error });
    expect(await findThread(threadId)).toMatchObject({
      status: 'ERROR',
      error,
      messages: [{ type: 'HUMAN' }],
      runs: { nodes: [{ status: 'ERROR', error }] },
    });
    // An answer with visible parts is not requested again.
    expect(provider.count()).toBe(1);
    await expectNoKeys(started);
  });

  it('ends in ERROR when the connection breaks off, and the thread can go on', async () => {
    const { threadId, events, call } = await ask(dialect);
    call.send(dialect.open('message-4'), dialect.text('message-4', 'I am'));
    expect(await nextSaying(events)).toMatchObject({ text: 'I am' });
    call.cut();
    expect((await rest(events)).at(-1)).toMatchObject({ status: 'ERROR' });

    const config = { configurable: { model_name: dialect.name } };
    const again = await start({ threadId, config, input: human('Again.') });
    answer(again.call, dialect, 'Fine.');
    expect((await rest(again.events)).at(-1)).toMatchObject({ status: 'SUCCESS' });
    const { status, messages } = await findThread(threadId);
    expect([status, messages.map(({ text }: any) => text)]).toEqual([
      'IDLE',
      ['How are you?', 'Again.', 'Fine.'],
    ]);
  });

  const key = KEYS[dialect.name];
  const masked = `${key.slice(0, 8)}${'*'.repeat(20)}${key.slice(-4)}`;
  it.each([
    ['401 and the ends of a key', 401, `Wrong API key: ${masked}. Look.`, ': ***. Look.'],
    [
      '401 and fewer of them',
      401,
      `Wrong API key: ${key.slice(0, 3)}...${key.slice(-4)}.`,
      ': ***.',
    ],
    ['401 and a whole key', 401, `Wrong API key: ${key}.`, ': ***.'],
    ['429', 429, 'You send too many requests.', 'You send too many requests.'],
    ['500', 500, 'The server had an error.', 'The server had an error.'],
  ])('ends in ERROR when it is answered %s', async (_case, status, message, shown) => {
    const started = await ask(dialect, { max_retries: status === 500 ? 0 : undefined });
    const { threadId, events, call } = started;
    call.refuse(status, dialect.refusal('refused', message));

    const error = { message: expect.stringContaining(shown) as string };
    expect((await rest(events)).at(-1)).toMatchObject({ status: 'ERROR', error });
    expect(await findThread(threadId)).toMatchObject({ status: 'ERROR', error });
    expect(provider.count()).toBe(1);
    await expectNoKeys(started);
  });

  it('does not show a key that cannot be sent', async () => {
    vi.stubEnv(dialect.env.key, `${key}\n${key}`);
    const config = { configurable: { model_name: dialect.name, max_retries: 0 } };
    const threadId = await createThread();
    const runId = await createRun({ threadId, config });
    const events = await rest(app.subscribe(FOLLOW, { runId }));
    expect(events.at(-1)).toMatchObject({
      status: 'ERROR',
      error: { name: 'TypeError', message: expect.stringContaining('***') as string },
    });
    await expectNoKeys({ threadId, runId } as Started);
  });

  it('asks again when the provider is overloaded, and the run knows nothing of it', async () => {
    const { events, call } = await ask(dialect, { max_retries: 1 });
    call.refuse(503, dialect.refusal('overloaded', 'Come back later.'));
    const second = await provider.next();
    expect(second.body).toEqual(call.body);
    answer(second, dialect, 'Fine.');
    expect(await nextSaying(events)).toMatchObject({ text: 'Fine.' });
    expect((await rest(events)).at(-1)).toMatchObject({ status: 'SUCCESS' });
  });

  it.each([
    ['the run is cancelled', `mutation ($run: ID!) { cancelRun(id: $run) { id } }`],
    ['the run is undone', `mutation ($run: ID!) { cancelRun(id: $run, action: ROLLBACK) { id } }`],
    ['the thread is deleted', `mutation ($thread: ID!) { deleteThread(id: $thread) }`],
  ])('hangs up when %s meanwhile', async (_what, stop) => {
    const { threadId, runId, events, call } = await ask(dialect);
    call.send(dialect.open('message-5'), dialect.text('message-5', 'I am'));
    expect(await nextSaying(events)).toMatchObject({ text: 'I am' });

    const id = stop.includes('$run') ? { run: runId } : { thread: threadId };
    await app.gql(stop, id);
    expect((await rest(events)).at(-1)).toMatchObject({ status: 'CANCELLED' });
    call.send(dialect.text('message-5', ' still here'));
    expect(await call.closed).toBe(false);
  });
});

describe('one thread with openai and anthropic', () => {
  it('sends each of them the whole conversation in its own format', async () => {
    const threadId = await createThread();
    const system_prompt = 'Be brief.';
    const [gpt, claude] = await Promise.all([
      createAssistant({ model_name: 'openai', system_prompt, model: 'gpt-4.1' }),
      createAssistant({ model_name: 'anthropic', system_prompt, model: 'claude-opus-4-5' }),
    ]);
    async function turn(assistantId: string, dialect: Dialect, [question, said]: string[]) {
      const input = human(question ?? '');
      const { events, call } = await start({ threadId, assistantId, input });
      answer(call, dialect, said ?? '');
      expect((await rest(events)).at(-1)).toMatchObject({ status: 'SUCCESS' });
      return call;
    }
    const talk = [
      ['Who are you?', 'GPT.'],
      ['And you?', 'Claude.'],
      ['And now?', 'GPT again.'],
      ['Once more?', 'Claude again.'],
    ];
    const calls = [
      await turn(gpt, openai, talk[0] ?? []),
      await turn(claude, anthropic, talk[1] ?? []),
      await turn(gpt, openai, talk[2] ?? []),
      await turn(claude, anthropic, talk[3] ?? []),
    ];

    const said = talk.flatMap(([question, reply]) => [
      { role: 'user', content: question },
      { role: 'assistant', content: reply },
    ]);
    expect(calls.map(({ path, body }) => [path, body])).toMatchObject([
      [openai.path, { model: 'gpt-4.1', stream_options: { include_usage: true } }],
      [anthropic.path, { model: 'claude-opus-4-5', max_tokens: expect.any(Number) as number }],
      [openai.path, { model: 'gpt-4.1' }],
      [anthropic.path, { model: 'claude-opus-4-5' }],
    ]);
    const system = { role: 'system', content: system_prompt };
    expect(calls[0]?.body.messages).toEqual([system, ...said.slice(0, 1)]);
    expect(calls[2]?.body.messages).toEqual([system, ...said.slice(0, 5)]);
    expect(calls[1]?.body).toMatchObject({ system: system_prompt });
    expect(calls[1]?.body.messages).toEqual(said.slice(0, 3));
    expect(calls[3]?.body.messages).toEqual(said.slice(0, 7));
    // The prompt is the assistant's, not the thread's.
    expect((await findThread(threadId)).messages.map(({ text }: any) => text)).toEqual(talk.flat());
  });

  it("passes Claude's content blocks and tool calls on to GPT", async () => {
    const first = await start({ assistantId: TOOLS });
    const { threadId } = first;
    const args = ['{"city":', '"Paris"}'];
    first.call.end(
      anthropic.open('msg-1'),
      anthropic.text('msg-1', 'Let me '),
      anthropic.text('msg-1', 'look.'),
      ...anthropic.toolCall('msg-1', { id: 'toolu_1', name: 'weather', args }),
      ...anthropic.close('msg-1', { input: 1, output: 1 }),
    );
    expect((await rest(first.events)).at(-1)).toMatchObject({ status: 'SUCCESS' });
    const { messages } = await findThread(threadId);
    expect(messages.map(({ type }: any) => type)).toEqual(['HUMAN', 'AI', 'TOOL']);
    expect(messages[1]).toMatchObject({
      text: 'Let me look.',
      content: [{ type: 'text' }, { type: 'tool_use' }, { type: 'input_json_delta' }],
      toolCalls: [{ toolCallId: 'toolu_1', name: 'weather', args: { city: 'Paris' } }],
    });

    const config = { configurable: { model_name: 'openai' } };
    const second = await start({ threadId, config, input: human('Well?') });
    answer(second.call, openai, 'It rains.');
    expect((await rest(second.events)).at(-1)).toMatchObject({ status: 'SUCCESS' });
    expect(second.call.body.messages).toEqual([
      { role: 'user', content: 'How are you?' },
      {
        role: 'assistant',
        content: 'Let me look.',
        tool_calls: [
          {
            id: 'toolu_1',
            type: 'function',
            function: { name: 'weather', arguments: '{"city":"Paris"}' },
          },
        ],
      },
      { role: 'tool', content: 'Rain.', tool_call_id: 'toolu_1' },
      { role: 'user', content: 'Well?' },
    ]);
  });

  it("passes GPT's tool calls on to Claude", async () => {
    const gpt = { configurable: { model_name: 'openai' } };
    const claude = { configurable: { model_name: 'anthropic' } };
    const first = await start({ config: gpt });
    const { threadId } = first;
    first.call.end(
      openai.open('chatcmpl-1'),
      ...openai.toolCall('chatcmpl-1', { id: 'call_1', name: 'weather', args: ['{}'] }),
      ...openai.close('chatcmpl-1', { input: 1, output: 1 }),
    );
    await rest(first.events);
    const result = { role: 'tool', tool_call_id: 'call_1', content: 'Rain.' };
    const second = await start({ threadId, config: claude, input: { messages: [result] } });
    answer(second.call, anthropic, 'It rains.');
    expect((await rest(second.events)).at(-1)).toMatchObject({ status: 'SUCCESS' });
    expect(second.call.body.messages).toEqual([
      { role: 'user', content: 'How are you?' },
      {
        role: 'assistant',
        content: [{ type: 'tool_use', id: 'call_1', name: 'weather', input: {} }],
      },
      {
        role: 'user',
        content: [{ type: 'tool_result', tool_use_id: 'call_1', content: 'Rain.' }],
      },
    ]);
  });
});
