import { on, once } from 'node:events';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import type { Client } from './client.ts';

/** The id of no thread. */
export const NOBODY = '01900000-0000-7000-8000-000000000000';

/** Repeats a part of a document. */
export const repeat = (count: number, of: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => of(n)).join(' ');

export const GRAPHQL_WS = 'graphql-transport-ws';
export const socketUrl = ({ url }: { url: string }) => `${url.replace('http', 'ws')}/graphql`;

/** Returns the answers to a refused document over HTTP, SSE and WebSocket. */
export async function refusals(
  client: Pick<Client, 'url' | 'errors'>,
  query: string,
  variables: Record<string, unknown> = {},
) {
  return [
    await client.errors(query, variables),
    await errorsOfStream(client, { query, variables }),
    await errorsOfSocket(client, { query, variables }),
  ];
}

async function errorsOfStream(client: Pick<Client, 'url'>, body: object): Promise<any[]> {
  const response = await fetch(`${client.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify(body),
  });
  const [, answer] = /^event: next\ndata: (.*)$/m.exec(await response.text()) ?? [];
  return JSON.parse(answer ?? '{}').errors;
}

async function errorsOfSocket(client: Pick<Client, 'url'>, payload: object): Promise<any[]> {
  using socket = await openSocket(client);
  socket.send({ id: '1', type: 'subscribe', payload });
  const { type, payload: answer } = await socket.receive();
  return type === 'error' ? answer : answer.errors;
}

/**
 * A WebSocket after the handshake, without a client library. `credentials` are its connection parameters, `headers` those of the
 * upgrade request.
 */
export async function openSocket(
  client: Pick<Client, 'url'>,
  credentials: Record<string, string> = {},
  headers: Record<string, string> = {},
) {
  const socket = new WebSocket(socketUrl(client), GRAPHQL_WS, { headers });
  const messages = on(socket, 'message');
  const send = (message: object) => socket.send(JSON.stringify(message));
  const receive = async () => JSON.parse(String((await messages.next()).value[0]));
  await once(socket, 'open');
  send({ type: 'connection_init', payload: credentials });
  expect(await receive()).toEqual({ type: 'connection_ack' });
  return {
    socket,
    send,
    receive,
    [Symbol.dispose]: () => socket.terminate(),
  };
}
