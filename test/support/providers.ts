import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { ChatAnthropic } from '@langchain/anthropic';
import type { BaseMessage } from '@langchain/core/messages';
import { AIMessage, ToolMessage } from '@langchain/core/messages';
import { END, MessagesZodState, START, StateGraph } from '@langchain/langgraph';

/** A request to a model. The test answers it piece by piece. */
export interface Call {
  path: string | undefined;
  headers: IncomingHttpHeaders;
  body: any;
  /** Sends pieces of the stream, at once. */
  send(...pieces: string[]): void;
  /** Ends the answer. */
  end(...pieces: string[]): void;
  /** Answers with an HTTP error instead of a stream. */
  refuse(status: number, body: unknown, headers?: Record<string, string>): void;
  /** Breaks the connection. */
  cut(): void;
  /** Resolves when the connection closes. True: the answer had ended before. */
  closed: Promise<boolean>;
}

/** A local HTTP server in place of a provider. */
export interface ProviderServer extends AsyncDisposable {
  origin: string;
  /** Waits for a request, and returns the oldest one that no test has read. */
  next(): Promise<Call>;
  /** The number of requests. */
  count(): number;
}

export async function startProvider(): Promise<ProviderServer> {
  const calls: Call[] = [];
  const takers: ((call: Call) => void)[] = [];
  let count = 0;
  function give(call: Call): void {
    count += 1;
    const take = takers.shift();
    if (take) take(call);
    else calls.push(call);
  }
  const server = createServer((request, response) => {
    json(request).then(
      (body) => give(createCall(request, body, response)),
      () => response.destroy(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    count: () => count,
    next() {
      const call = calls.shift();
      return call ? Promise.resolve(call) : new Promise((resolve) => takers.push(resolve));
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function createCall(
  { url: path, headers }: IncomingMessage,
  body: any,
  response: ServerResponse,
): Call {
  function send(...pieces: string[]): void {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const piece of pieces) response.write(piece);
  }
  return {
    path,
    headers,
    body,
    send,
    end(...pieces) {
      send(...pieces);
      response.end();
    },
    refuse(status, answer, more = {}) {
      response.writeHead(status, { 'content-type': 'application/json', ...more });
      response.end(JSON.stringify(answer));
    },
    cut: () => void response.destroy(),
    closed: new Promise((resolve) => {
      response.on('close', () => resolve(response.writableFinished));
    }),
  };
}

interface ToolCall {
  id: string;
  name: string;
  /** The JSON of the arguments, in the pieces of the stream. */
  args: string[];
}

/** The API of a provider. Every piece is a separate write to the socket. */
export interface Dialect {
  name: 'openai' | 'anthropic';
  /** The path of requests. */
  path: string;
  env: { key: string; url: string };
  /** The value of the environment variable for a server at `origin`. */
  baseUrl(origin: string): string;
  /** The header with the key. */
  keyHeader(key: string): [name: string, value: string];
  /** The beginning of a message. The model has read `input` tokens. */
  open(id: string, input?: number): string;
  /** A piece of the message's text. */
  text(id: string, text: string): string;
  /** A call of a tool, the only content of its message. */
  toolCall(id: string, call: ToolCall): string[];
  /** The end of a message, with its cost in tokens. */
  close(id: string, tokens: { input: number; output: number }): string[];
  /** An error within the stream. */
  failure(message: string): string;
  /** The body of an HTTP error. */
  refusal(type: string, message: string): unknown;
}

/** Chat completions. */
export const openai: Dialect = {
  name: 'openai',
  path: '/v1/chat/completions',
  env: { key: 'OPENAI_API_KEY', url: 'OPENAI_BASE_URL' },
  baseUrl: (origin) => `${origin}/v1`,
  keyHeader: (key) => ['authorization', `Bearer ${key}`],
  open: (id) => completion(id, { role: 'assistant', content: '', refusal: null }),
  text: (id, content) => completion(id, { content }),
  toolCall: (id, { id: callId, name, args }) => [
    completion(id, {
      tool_calls: [{ index: 0, id: callId, type: 'function', function: { name, arguments: '' } }],
    }),
    ...args.map((piece) =>
      completion(id, { tool_calls: [{ index: 0, function: { arguments: piece } }] }),
    ),
  ],
  close: (id, { input, output }) => [
    completion(id, {}, { finish_reason: 'stop' }),
    data({
      ...completionFields(id),
      choices: [],
      usage: {
        prompt_tokens: input,
        completion_tokens: output,
        total_tokens: input + output,
        prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
      },
    }),
    'data: [DONE]\n\n',
  ],
  failure: (message) =>
    data({ error: { message, type: 'server_error', param: null, code: 'server_error' } }),
  refusal: (code, message) => ({
    error: { message, type: 'invalid_request_error', param: null, code },
  }),
};

function completion(id: string, delta: unknown, { finish_reason = null as string | null } = {}) {
  const choice = { index: 0, delta, logprobs: null, finish_reason };
  return data({ ...completionFields(id), choices: [choice], usage: null });
}

function completionFields(id: string) {
  return {
    id,
    object: 'chat.completion.chunk',
    created: 1_760_000_000,
    model: 'gpt-4o-mini-2024-07-18',
    service_tier: 'default',
    system_fingerprint: 'fp_1',
  };
}

function data(content: unknown): string {
  return `data: ${JSON.stringify(content)}\n\n`;
}

/** Messages. */
export const anthropic: Dialect = {
  name: 'anthropic',
  path: '/v1/messages',
  env: { key: 'ANTHROPIC_API_KEY', url: 'ANTHROPIC_BASE_URL' },
  baseUrl: (origin) => origin,
  keyHeader: (key) => ['x-api-key', key],
  // Anthropic counts the first token here and all of them in message_delta; LangChain adds the two.
  open: (id, input = 0) =>
    event('message_start', {
      message: {
        id,
        type: 'message',
        role: 'assistant',
        model: 'claude-sonnet-4-5-20250929',
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: {
          input_tokens: input,
          cache_creation_input_tokens: 0,
          cache_read_input_tokens: 0,
          output_tokens: 0,
          service_tier: 'standard',
        },
      },
    }) +
    event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }) +
    event('ping', {}),
  text: (_id, text) =>
    event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }),
  toolCall: (_id, { id, name, args }) => [
    event('content_block_stop', { index: 0 }) +
      event('content_block_start', {
        index: 1,
        content_block: { type: 'tool_use', id, name, input: {} },
      }),
    ...args.map((piece) =>
      event('content_block_delta', {
        index: 1,
        delta: { type: 'input_json_delta', partial_json: piece },
      }),
    ),
    event('content_block_stop', { index: 1 }),
  ],
  close: (_id, { output }) => [
    event('content_block_stop', { index: 0 }),
    event('message_delta', {
      delta: { stop_reason: 'end_turn', stop_sequence: null },
      usage: { output_tokens: output },
    }),
    event('message_stop', {}),
  ],
  failure: (message) => event('error', { error: { type: 'overloaded_error', message } }),
  refusal: (type, message) => ({ type: 'error', error: { type, message } }),
};

function event(type: string, content: object): string {
  return `event: ${type}\n${data({ type, ...content })}`;
}

const WEATHER = {
  name: 'weather',
  description: 'Tells the weather.',
  input_schema: { type: 'object' as const, properties: { city: { type: 'string' as const } } },
};

/** Calls Claude with a tool. Claude then answers in content blocks, and the graph answers the tool's calls. */
export const claudeWithTools = new StateGraph(MessagesZodState)
  .addNode('agent', async ({ messages }, config) => {
    const model = new ChatAnthropic({ model: 'claude-sonnet-4-5' }).bindTools([WEATHER]);
    return { messages: [await model.invoke(messages, config)] };
  })
  .addNode('tools', ({ messages }) => ({ messages: callsOf(messages).map(tellWeather) }))
  .addEdge(START, 'agent')
  .addEdge('agent', 'tools')
  .addEdge('tools', END)
  .compile({ name: 'claudeWithTools' });

function callsOf(messages: BaseMessage[]) {
  const last = messages.at(-1);
  return AIMessage.isInstance(last) ? (last.tool_calls ?? []) : [];
}

function tellWeather({ id = '' }: { id?: string }): ToolMessage {
  return new ToolMessage({ tool_call_id: id, content: 'Rain.' });
}
