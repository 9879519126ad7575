import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import {
  expectHead,
  expectWithin,
  networkOf,
  refuse,
  warn,
  WARN_EVERY_SECONDS,
  type Connection,
  type ConnectionTable,
} from './connection.ts';
import { pass } from './passes.ts';
import { RefusedError } from './refused.ts';
import { dropRequests, failConnection, pauseIfWaiting, takeTurn } from './request-turns.ts';

/** The connections of the HTTP server, held to the limits of the configuration. */
export interface Connections {
  /**
   * Answers a request after the earlier requests of its connection. While a request waits, the server does not read from
   * its connection. When the client leaves, its waiting requests are dropped.
   */
  takeTurn(request: IncomingMessage, response: ServerResponse): void;
  /** Calls `cut` when the body of a request takes too long. The returned function ends the watch. */
  watchBody(request: IncomingMessage, cut: () => void): () => void;
  /** Hands a connection over to a WebSocket. False if the connection still waits for an answer. */
  upgrade(socket: Socket): boolean;
  /** A WebSocket has read a whole message, or a control frame of so many bytes. */
  noteRead(socket: Socket, frameBytes?: number): void;
  /** Counts the bytes of messages in the memory of a WebSocket. */
  noteKept(socket: Socket, kept: () => number): void;
  /** Closes all connections. */
  closeAll(): void;
}

/**
 * Watches over the connections of a server. `answer` gets the requests of a connection in turn.
 *
 * A second is a pass over all connections. While a graph blocks the event loop there is no pass, and afterwards the server
 * reads from its clients before the next pass. So a block never makes a client exceed a limit of time.
 */
export function createConnections(
  server: Server,
  options: Pick<ConnectionTable, 'limits' | 'log' | 'answer'>,
): Connections {
  const table: ConnectionTable = {
    ...options,
    connections: new Map(),
    networks: new Map(),
    second: 0,
    waiting: 0,
    warnedAt: -WARN_EVERY_SECONDS,
  };
  const { connections, limits } = table;
  watchServer(server, table);
  return {
    takeTurn: (request, response) => takeTurn(table, request, response),
    watchBody(request, cut) {
      const connection = connections.get(request.socket);
      if (!connection) return () => {};
      expectWithin(table, connection, { seconds: limits.bodySeconds, expire: cut });
      return () => {
        connection.deadline = undefined;
      };
    },
    upgrade(socket) {
      const connection = connections.get(socket);
      if (!connection || connection.requests.length > 0 || connection.state !== 'HTTP')
        return false;
      const { bytesRead: readBefore } = socket;
      const deadline = undefined;
      Object.assign(connection, { state: 'WEBSOCKET', resting: false, readBefore, deadline });
      return true;
    },
    noteRead(socket, frameBytes) {
      const connection = connections.get(socket);
      if (!connection) return;
      connection.readBefore =
        frameBytes === undefined ? socket.bytesRead : connection.readBefore + frameBytes;
    },
    noteKept(socket, kept) {
      const connection = connections.get(socket);
      if (connection) connection.kept = kept;
    },
    closeAll() {
      for (const socket of connections.keys()) socket.destroy();
    },
  };
}

function watchServer(server: Server, table: ConnectionTable): void {
  const { connectionLimit, keepAliveSeconds } = table.limits;
  server.maxConnections = connectionLimit;
  server.keepAliveTimeout = keepAliveSeconds * 1000;
  server.once('listening', () => {
    const ticking = setInterval(() => pass(table), 1000).unref();
    server.once('close', () => clearInterval(ticking));
  });
  server.on('connection', (socket) => open(table, socket));
  server.on('clientError', (error: Error & { code?: string }, socket: Socket) =>
    failConnection(table, socket, error),
  );
  server.on('drop', () => warn(table, 'CONNECTION_LIMIT'));
  // Without a listener Node closes the connection itself, even if a request came while the event loop was blocked.
  server.on('timeout', () => {});
}

function open(table: ConnectionTable, socket: Socket): void {
  const { connections, networks } = table;
  const limit = table.limits.addressConnections;
  const connection = createConnection(table, socket);
  const { network } = connection;
  const count = networks.get(network) ?? 0;
  const isOver = count >= limit;
  connections.set(socket, connection);
  if (!isOver) networks.set(network, count + 1);
  socket.once('close', () => {
    connections.delete(socket);
    dropRequests(table, connection);
    if (!isOver) leaveNetwork(table, network);
  });
  socket.on('resume', () => pauseIfWaiting(connection));
  if (!isOver) return expectHead(table, connection);
  warn(table, 'ADDRESS_CONNECTIONS', network);
  refuse(connection, tooManyConnections(limit));
}

function createConnection({ second }: ConnectionTable, socket: Socket): Connection {
  return {
    socket,
    network: networkOf(socket.remoteAddress ?? ''),
    state: 'HTTP',
    requests: [],
    resting: false,
    readBefore: 0,
    kept: () => 0,
    taken: 0,
    takenAt: second,
  };
}

function leaveNetwork({ networks }: ConnectionTable, network: string): void {
  const count = (networks.get(network) ?? 1) - 1;
  if (count === 0) networks.delete(network);
  else networks.set(network, count);
}

function tooManyConnections(limit: number): RefusedError {
  return new RefusedError(
    503,
    'SERVICE_UNAVAILABLE',
    `Limit of ${limit} connections of one address exceeded. ADDRESS_CONNECTIONS sets the limit.`,
  );
}
