import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { expectWithin, refuse, type Connection, type ConnectionTable } from './connection.ts';
import { RefusedError } from './refused.ts';

/** The server closes an idle connection this much later than its `Keep-Alive` header says. */
const KEEP_ALIVE_MARGIN_SECONDS = 5;
/** Waiting requests of all connections. */
const MOST_WAITING = 10_000;

/** Answers a request after the earlier requests of its connection. */
export function takeTurn(
  table: ConnectionTable,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { socket } = request;
  const connection = table.connections.get(socket);
  if (!connection || connection.state !== 'HTTP' || socket.destroyed) return;
  connection.requests.push({ request, response });
  if (connection.requests.length === 1) return begin(table, connection);
  table.waiting += 1;
  socket.pause();
  if (table.waiting > MOST_WAITING) socket.destroy();
}

/** Stops to read from a client with a waiting request, also if Node resumes the socket. */
export function pauseIfWaiting({ socket, requests, failure }: Connection): void {
  if (requests.length > 1 || failure) socket.pause();
}

/** Drops the requests of a closed connection. */
export function dropRequests(table: ConnectionTable, { requests }: Connection): void {
  table.waiting -= Math.max(requests.length - 1, 0);
  requests.length = 0;
}

/** Handles invalid HTTP, and connections broken by clients. */
export function failConnection(
  table: ConnectionTable,
  socket: Socket,
  { code }: { code?: string },
): void {
  const connection = table.connections.get(socket);
  if (!connection || !socket.writable || code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  if (connection.state === 'REFUSED') return;
  connection.failure = noHttp(code);
  socket.pause();
  refuseBroken(connection);
}

/** Refuses invalid HTTP when all whole requests before it are answered. */
function refuseBroken(connection: Connection): boolean {
  const { failure, requests } = connection;
  if (!failure || requests[0]?.request.complete) return false;
  refuse(connection, failure);
  return true;
}

function noHttp(code: string | undefined): RefusedError {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new RefusedError(431, 'BAD_USER_INPUT', 'The head of the request is too large.');
  }
  return new RefusedError(400, 'BAD_USER_INPUT', 'The request is not valid HTTP.');
}

function begin(table: ConnectionTable, connection: Connection): void {
  const [next] = connection.requests;
  if (!next) return;
  connection.resting = false;
  connection.deadline = undefined;
  next.response.once('close', () => finishAnswer(table, connection));
  table.answer(next.request, next.response);
}

/** Begins the next request of the connection, or waits for it. */
function finishAnswer(table: ConnectionTable, connection: Connection): void {
  const { socket, requests } = connection;
  if (requests.shift() && requests.length > 0) table.waiting -= 1;
  // The connection ends after an answer with `Connection: close`.
  if (socket.destroyed || !socket.writable || refuseBroken(connection)) return;
  if (requests.length <= 1) socket.resume();
  if (requests.length > 0) begin(table, connection);
  else waitForRequest(table, connection);
}

function waitForRequest(table: ConnectionTable, connection: Connection): void {
  const { socket } = connection;
  connection.resting = true;
  connection.readBefore = socket.bytesRead;
  expectWithin(table, connection, {
    seconds: table.limits.keepAliveSeconds + KEEP_ALIVE_MARGIN_SECONDS,
    expire: () => socket.destroy(),
  });
}
