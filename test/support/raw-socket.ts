import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { until } from './app.ts';

/** A connection to a server, without a library. */
export interface RawSocket extends Disposable {
  socket: Socket;
  write(data: string | Buffer): void;
  /** Returns all received text. */
  text(): string;
  /** Waits until the received text matches, and returns the match. */
  see(pattern: RegExp): Promise<RegExpExecArray>;
  /** Returns all received text, after the server has closed the connection. */
  closed: Promise<string>;
}

/** Connects to the server at a URL, from one of the loopback addresses. */
export async function connectRaw(
  url: string,
  { localAddress }: { localAddress?: string } = {},
): Promise<RawSocket> {
  const { port, hostname: host } = new URL(url);
  const socket = connect({ port: Number(port), host, localAddress });
  let text = '';
  socket.on('data', (data) => {
    text += data.toString('latin1');
  });
  socket.on('error', () => {});
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(text)));
  await once(socket, 'connect');
  return {
    socket,
    write: (data) => void socket.write(data),
    text: () => text,
    see: (pattern) => until(() => pattern.exec(text)),
    closed,
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

/** The head of a request, with a Host header by default. */
export function head(first: string, headers: Record<string, string | number> = {}): string {
  const lines = Object.entries({ Host: 'localhost', ...headers });
  return `${first} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

/** A whole POST of a GraphQL document. */
export function post(query: string, headers: Record<string, string> = {}): string {
  const body = JSON.stringify({ query });
  const length = Buffer.byteLength(body);
  const all = { 'Content-Type': 'application/json', 'Content-Length': length, ...headers };
  return head('POST /graphql', all) + body;
}

export const UPGRADE = head('GET /graphql', {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': 13,
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Protocol': 'graphql-transport-ws',
});

const TEXT = 1;
export const PING = 9;

/** A frame of a WebSocket as clients send it. */
export function frame(data: string | object, opcode = TEXT): Buffer {
  const bytes = Buffer.from(typeof data === 'string' ? data : JSON.stringify(data));
  const start = Buffer.alloc(bytes.length < 126 ? 2 : 10);
  start[0] = 0x80 | opcode;
  start[1] = 0x80 | (bytes.length < 126 ? bytes.length : 127);
  if (bytes.length >= 126) start.writeBigUInt64BE(BigInt(bytes.length), 2);
  return Buffer.concat([start, Buffer.alloc(4), bytes]);
}

/** A connection with a WebSocket after the handshake. */
export async function openRawWebSocket(url: string): Promise<RawSocket> {
  const raw = await connectRaw(url);
  raw.write(UPGRADE);
  await raw.see(/ 101 /);
  raw.write(frame({ type: 'connection_init' }));
  await raw.see(/connection_ack/);
  return raw;
}
