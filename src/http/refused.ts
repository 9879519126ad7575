import { once } from 'node:events';
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ErrorCode } from '../errors.ts';

/** After a refusal, the server continues to read for this time: a client that is still sending cannot read the refusal on a closed connection. */
const LINGER_MS = 2000;
/** The most refused connections still being read. Above this number, the server closes a refused connection at once. */
const MOST_LINGERING = 100;

/** The default headers of every answer. */
export const COMMON_HEADERS = { 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' };

/** Refuses a request before GraphQL sees it. */
export class RefusedError extends Error {
  readonly status: number;
  readonly code: ErrorCode;

  constructor(status: number, code: ErrorCode, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The refusal of a request after its head or body took too long. */
export function tooSlow(part: string, variable: string, seconds: number): RefusedError {
  const message = `The ${part} of the request took longer than ${seconds} s. ${variable} sets the limit.`;
  return new RefusedError(408, 'BAD_USER_INPUT', message);
}

/** Answers at once, and continues to read for a moment if the client is still sending. */
export async function refuseRequest(
  request: IncomingMessage,
  response: ServerResponse,
  { error, body: described }: { error: RefusedError; body: object },
): Promise<void> {
  const body = JSON.stringify(described);
  response.writeHead(error.status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...(!request.complete && { connection: 'close' }),
  });
  response.write(body);
  request.resume();
  if (!request.complete) {
    // Ends early if the client closes the connection.
    const sent = once(request, 'close').catch(() => {});
    await Promise.race([sent, sleep(LINGER_MS, undefined, { ref: false })]);
  }
  response.end();
}

let lingering = 0;

/** Answers on a connection without a response object, and closes it. */
export function refuseConnection(connection: Duplex, error: RefusedError): void {
  if (!connection.writable) return void connection.destroy();
  const body = JSON.stringify(describeRefusal(error));
  const head = {
    connection: 'close',
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...COMMON_HEADERS,
  };
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`);
  connection.end(
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}\r\n${lines.join('')}\r\n${body}`,
  );
  if (lingering >= MOST_LINGERING)
    return void connection.once('finish', () => connection.destroy());
  lingering += 1;
  connection.resume();
  const cut = setTimeout(() => connection.destroy(), LINGER_MS).unref();
  connection.once('close', () => {
    clearTimeout(cut);
    lingering -= 1;
  });
}

/** A refusal in the form of GraphQL's errors. */
export function describeRefusal({ message, code }: RefusedError): object {
  return { errors: [{ message, extensions: { code } }] };
}
